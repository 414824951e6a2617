"""Gaussian distributions: one for each value, or a mixture for each value."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnaudio import losses
from rnnaudio.engine import Array, Symbolic, tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.losses import LEAST_VARIANCE
from rnnaudio.ops.readouts import gaussian_mixture_nats
from rnnaudio.readouts.readout import Sampling, blocks, chosen, sampled_component


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian N(m, v) for each value, of mean m and variance v = exp(e) + LEAST_VARIANCE.

    The parameters per value (P = 2 of :class:`Readout`) are m, then e. A sample is m + temperature sqrt(v) N(0, 1).
    """

    n_parameters: int = 2

    def nats(self, prediction: Symbolic, target: Symbolic) -> Symbolic:
        return losses.gaussian_likelihood(prediction, target)

    def mean(self, prediction: Array) -> Array:
        return losses.gaussian_parts(prediction)[0]

    def sample(self, prediction: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        mean, log_variance = losses.gaussian_parts(prediction)
        std = np.sqrt(np.exp(log_variance) + LEAST_VARIANCE)
        return np.asarray(mean + sampling.temperature * std * rng.standard_normal(mean.shape))


GAUSSIAN = Gaussian()


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of K Gaussians for each value, sum_k w_k N(m_k, v_k), v_k = exp(e_k) + LEAST_VARIANCE. Bishop (1994).

    K is ``n_components``. The parameters per value (P = 3 K of :class:`Readout`) are the logits of the weights w, then
    the means m, then the exponents e. To sample a value, a component is sampled from softmax(logits / temperature),
    after top-k and nucleus, if any; the value is m + temperature sqrt(v) N(0, 1) of this component. RnnaudioError for
    fewer than one component.
    """

    n_components: int

    def __post_init__(self) -> None:
        if self.n_components < 1:
            raise RnnaudioError(f"n_components is {self.n_components}; expected 1 or more")

    @property
    def n_parameters(self) -> int:
        return 3 * self.n_components

    def _parts(self, prediction: Array) -> tuple[Array, Array, Array]:
        """Split a prediction (..., 3 K n) into logits, means and exponents, (..., K, n) each."""
        rows, k = blocks(prediction, self.n_parameters), self.n_components
        return rows[..., :k, :], rows[..., k : 2 * k, :], rows[..., 2 * k :, :]

    def nats(self, prediction: Symbolic, target: Symbolic) -> Symbolic:
        return gaussian_mixture_nats(blocks(prediction, self.n_parameters), target, LEAST_VARIANCE).mean()

    def mean(self, prediction: Array) -> Array:
        logits, means, _ = self._parts(prediction)
        xp: Any = np if isinstance(prediction, np.ndarray) else tt
        weights = xp.exp(logits - xp.max(logits, axis=-2, keepdims=True))
        return xp.sum(weights * means, axis=-2) / xp.sum(weights, axis=-2)

    def sample(self, prediction: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        logits, means, log_variances = self._parts(prediction)
        component = sampled_component(logits, sampling, rng.random(means[..., 0, :].shape))
        std = np.sqrt(np.exp(chosen(log_variances, component)) + LEAST_VARIANCE)
        noise = rng.standard_normal(component.shape)
        return np.asarray(chosen(means, component) + sampling.temperature * std * noise)
