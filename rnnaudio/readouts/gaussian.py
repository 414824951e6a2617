"""Gaussians: one for each value, or a mixture."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnaudio import losses
from rnnaudio.engine import tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.losses import LEAST_VARIANCE
from rnnaudio.ops.readouts import gaussian_mixture_nats
from rnnaudio.readouts.readout import Sampling, blocks, chosen, drawn_component


@dataclass(frozen=True)
class Gaussian:
    """N(m, v), v = exp(.) + LEAST_VARIANCE; P = 2: m, then the logarithm. Drawn: m + temperature sqrt(v) N(0, 1)."""

    n_parameters: int = 2

    def nats(self, said: Any, target: Any) -> Any:
        return losses.gaussian_likelihood(said, target)

    def mean(self, said: Any) -> Any:
        return losses.gaussian_parts(said)[0]

    def sample(self, said: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        mean, log_variance = losses.gaussian_parts(said)
        std = np.sqrt(np.exp(log_variance) + LEAST_VARIANCE)
        return np.asarray(mean + sampling.temperature * std * rng.standard_normal(mean.shape))


GAUSSIAN = Gaussian()


@dataclass(frozen=True)
class GaussianMixture:
    """sum_k w_k N(m_k, v_k), w = softmax(.), v_k = exp(.) + LEAST_VARIANCE. Bishop (1994), diagonal.

    P = 3 K: the logits of all components, their means, their logarithms. Drawn: a component of the logits over the
    temperature, then its m + temperature sqrt(v) N(0, 1).
    """

    n_components: int

    def __post_init__(self) -> None:
        if self.n_components < 1:
            raise RnnaudioError(f"n_components is {self.n_components}: expected 1 or more")

    @property
    def n_parameters(self) -> int:
        return 3 * self.n_components

    def _parts(self, said: Any) -> tuple[Any, Any, Any]:
        """Logits, means and logarithms of all components, (.., K, n) each."""
        rows, k = blocks(said, self.n_parameters), self.n_components
        return rows[..., :k, :], rows[..., k : 2 * k, :], rows[..., 2 * k :, :]

    def nats(self, said: Any, target: Any) -> Any:
        return gaussian_mixture_nats(blocks(said, self.n_parameters), target, LEAST_VARIANCE).mean()

    def mean(self, said: Any) -> Any:
        logits, means, _ = self._parts(said)
        xp = np if isinstance(said, np.ndarray) else tt
        weights = xp.exp(logits - xp.max(logits, axis=-2, keepdims=True))
        return xp.sum(weights * means, axis=-2) / xp.sum(weights, axis=-2)

    def sample(self, said: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        logits, means, logs = self._parts(said)
        component = drawn_component(logits, sampling, rng.random(means[..., 0, :].shape))
        std = np.sqrt(np.exp(chosen(logs, component)) + LEAST_VARIANCE)
        noise = rng.standard_normal(component.shape)
        return np.asarray(chosen(means, component) + sampling.temperature * std * noise)
