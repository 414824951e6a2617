"""Read-outs: what a model says is a distribution, to be scored by its likelihood and drawn from."""

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
