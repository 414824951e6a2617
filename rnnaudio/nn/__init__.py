"""Layers, recurrent cells and stacks."""

from rnnaudio.nn.feedforward import Activation, BatchNorm, Dense, Dropout, GaussianNoise
from rnnaudio.nn.layer import Context, Layer
from rnnaudio.nn.memory_lstm import MemoryLSTM
from rnnaudio.nn.model import Sequential, Sum, mlp
from rnnaudio.nn.recurrent import GRU, LSTM, Cell, LearntInitialState, LinearPredictor, Noisy, unroll

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "BatchNorm",
    "Cell",
    "Context",
    "Dense",
    "Dropout",
    "GaussianNoise",
    "Layer",
    "LearntInitialState",
    "LinearPredictor",
    "MemoryLSTM",
    "Noisy",
    "Sequential",
    "Sum",
    "mlp",
    "unroll",
]
