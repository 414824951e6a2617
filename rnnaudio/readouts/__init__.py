"""Read-outs: a model's output as the parameters of a distribution, for its likelihood and for sampling."""

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
