"""Layers, recurrent cells and stacks."""

from rnnaudio.nn.attention import AttentiveWrite
from rnnaudio.nn.code_model import CodeModel
from rnnaudio.nn.draw import Draw, Painter
from rnnaudio.nn.feedforward import Activation, BatchNorm, Dense, Dropout, GaussianNoise
from rnnaudio.nn.layer import Context, Gates, Layer, Parameters, Taps, Values
from rnnaudio.nn.layer_2016 import Layer2016, mlp_2016
from rnnaudio.nn.long_term import LongTermPrediction
from rnnaudio.nn.memory_lstm import MemoryLSTM
from rnnaudio.nn.model import Repeated, Sequential, Sum, mlp
from rnnaudio.nn.past_attention import PastAttention
from rnnaudio.nn.recurrent import GRU, LSTM, Cell, GRUEarly2016, LinearPredictor, unroll
from rnnaudio.nn.sample_model import FrameTier, SampleModel, SampleTier, sample_model
from rnnaudio.nn.state import State, StateSizes
from rnnaudio.nn.wrappers import DrawnInitialState, LearntInitialState, Noisy

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "AttentiveWrite",
    "BatchNorm",
    "Cell",
    "CodeModel",
    "Context",
    "Dense",
    "Draw",
    "DrawnInitialState",
    "Dropout",
    "FrameTier",
    "GRUEarly2016",
    "Gates",
    "GaussianNoise",
    "Layer",
    "Layer2016",
    "LearntInitialState",
    "LinearPredictor",
    "LongTermPrediction",
    "MemoryLSTM",
    "Noisy",
    "Painter",
    "Parameters",
    "PastAttention",
    "Repeated",
    "SampleModel",
    "SampleTier",
    "Sequential",
    "State",
    "StateSizes",
    "Sum",
    "Taps",
    "Values",
    "mlp",
    "mlp_2016",
    "sample_model",
    "unroll",
]
