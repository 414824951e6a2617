"""A probability for each level."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnaudio import losses
from rnnaudio.readouts.readout import Sampling, blocks, drawn_component


@dataclass(frozen=True)
class Categorical:
    """P(level) = softmax(.); P = n_levels logits a value. Knows nothing of which levels are near each other."""

    n_levels: int
    kernel: str = "categorical"
    kernel_constants: tuple[float, float] = (1.0, 0.0)

    @property
    def n_parameters(self) -> int:
        return self.n_levels

    def nats(self, said: Any, target: Any) -> Any:
        logits = blocks(said, self.n_levels)
        axes = range(logits.ndim)
        return losses.cross_entropy(logits.transpose([*axes[:-2], axes[-1], axes[-2]]), target)

    def about(self, said: Any, centre: Any) -> Any:
        raise ValueError("a categorical read-out has no location that a linear prediction could move")

    def sample(self, said: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        logits = blocks(said, self.n_levels)
        return drawn_component(logits, sampling, rng.random(logits[..., 0, :].shape))
