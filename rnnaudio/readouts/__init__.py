"""Read-outs: a model's output as a distribution, to be scored by its likelihood and sampled from."""

from rnnaudio.readouts.categorical import Categorical
from rnnaudio.readouts.gaussian import GAUSSIAN, Gaussian, GaussianMixture
from rnnaudio.readouts.logistic import LogisticMixture
from rnnaudio.readouts.readout import FrameReadout, LevelReadout, Readout

__all__ = [
    "GAUSSIAN",
    "Categorical",
    "FrameReadout",
    "Gaussian",
    "GaussianMixture",
    "LevelReadout",
    "LogisticMixture",
    "Readout",
]
