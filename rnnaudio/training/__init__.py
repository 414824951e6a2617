"""Training: the loop, compiled updates, early stopping, schedules and checkpoints."""

from rnnaudio.training.loop import train
from rnnaudio.training.run import Judging, Limits, Run
from rnnaudio.training.schedules import Constant, ExponentialDecay, LinearAnnealing, WarmupCosine
from rnnaudio.training.segmented import SegmentedTrainStep, training_step
from rnnaudio.training.step import Evaluation, TrainStep
from rnnaudio.training.stopping import EarlyStopping, MeanDifferenceStopping

__all__ = [
    "Constant",
    "EarlyStopping",
    "Evaluation",
    "ExponentialDecay",
    "Judging",
    "Limits",
    "LinearAnnealing",
    "MeanDifferenceStopping",
    "Run",
    "SegmentedTrainStep",
    "TrainStep",
    "WarmupCosine",
    "train",
    "training_step",
]
