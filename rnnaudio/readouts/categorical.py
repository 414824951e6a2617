"""A categorical distribution over levels."""

from dataclasses import dataclass

import numpy as np

from rnnaudio import losses
from rnnaudio.engine import Array, Symbolic
from rnnaudio.readouts.readout import Sampling, blocks, sampled_component


@dataclass(frozen=True)
class Categorical:
    """A categorical distribution for each value: probabilities softmax(logits), one logit for each of n_levels levels.

    There are P = n_levels parameters per value (see :class:`Readout`). Levels that are near to each other are not
    treated as similar. ``kernel`` and ``kernel_constants``: see :class:`LevelReadout`.
    """

    n_levels: int
    kernel: str = "categorical"
    kernel_constants: tuple[float, float] = (1.0, 0.0)

    @property
    def n_parameters(self) -> int:
        return self.n_levels

    def nats(self, prediction: Symbolic, target: Symbolic) -> Symbolic:
        logits = blocks(prediction, self.n_levels)
        axes = range(logits.ndim)
        return losses.cross_entropy(logits.transpose([*axes[:-2], axes[-1], axes[-2]]), target)

    def shifted(self, prediction: Array, centre: Array) -> Array:
        raise ValueError("a categorical read-out has no location that a linear prediction could move")

    def sample(self, prediction: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        logits = blocks(prediction, self.n_levels)
        return sampled_component(logits, sampling, rng.random(logits[..., 0, :].shape))
