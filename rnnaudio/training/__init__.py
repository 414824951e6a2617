"""Training: objectives, the loop, early stopping, schedules, checkpoints."""

from rnnaudio.training.loop import Limits, Run, train
from rnnaudio.training.objective import STRATEGIES, Classification, Strategy, predict_next, reconstruct_current
from rnnaudio.training.schedules import Constant, ExponentialDecay, LinearAnnealing, WarmupCosine
from rnnaudio.training.step import Evaluation, TrainStep
from rnnaudio.training.stopping import EarlyStopping, MeanDifferenceStopping

__all__ = [
    "STRATEGIES",
    "Classification",
    "Constant",
    "EarlyStopping",
    "Evaluation",
    "ExponentialDecay",
    "Limits",
    "LinearAnnealing",
    "MeanDifferenceStopping",
    "Run",
    "Strategy",
    "TrainStep",
    "WarmupCosine",
    "predict_next",
    "reconstruct_current",
    "train",
]
