"""Mixtures of logistic distributions, discretised to levels."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from rnnaudio.engine import Array, Symbolic
from rnnaudio.errors import RnnaudioError
from rnnaudio.ops.readouts import logistic_nats
from rnnaudio.readouts.readout import Sampling, blocks, chosen, sampled_component

LEAST_PROBABILITY = 1e-300  # smaller ones are raised to this, which has a finite logarithm
LEAST_SCALE = 0.05  # minimum of s, in distances between levels: all but 1e-4 of a component can be in one level


@dataclass(frozen=True)
class LogisticMixture:
    """A mixture of K logistic distributions for each value, discretised to levels. Salimans et al., PixelCNN++ (2017).

        P(level l) = sum_k w_k [F((v_l + d - m_k) / s_k) - F((v_l - d - m_k) / s_k)],   F(x) = 1 / (1 + e^-x)

    The n_levels levels stand for values v from -1 to 1, 2 d apart; the lowest level includes all smaller values, the
    highest level all larger values. With K = ``n_components``, there are P = 3 K parameters per value (see
    :class:`Readout`): the logits of the weights w, then raw m, then raw s, with

        m = unit (raw m),   s = unit (softplus(raw s) + least),   least = LEAST_SCALE 2 d / unit

    ``unit`` is the typical size of a prediction error in v, so that a model's outputs are of the order of 1.
    ``kernel``: see :class:`LevelReadout`.

    To sample a value, a component is sampled from softmax(logits / temperature). With u ~ U(0, 1), and with m and s of
    this component, the value is m + temperature s log(u / (1 - u)), rounded to the nearest level. With top-k or
    nucleus sampling, a level is sampled from the levels' :meth:`probabilities` instead.

    RnnaudioError for fewer than 1 component or 2 levels, or a unit that is not above 0.
    """

    n_components: int
    n_levels: int
    unit: float = 1.0
    kernel: str = "logistic"

    def __post_init__(self) -> None:
        if self.n_components < 1 or self.n_levels < 2 or not self.unit > 0.0:
            got = f"{self.n_components} components, {self.n_levels} levels, a unit of {self.unit}"
            raise RnnaudioError(f"got {got}; expected 1 or more, 2 or more, and above 0")

    @property
    def n_parameters(self) -> int:
        return 3 * self.n_components

    @property
    def half_step(self) -> float:
        """Half the distance between adjacent levels, d in the equations of the class, in multiples of ``unit``."""
        return 1.0 / (self.n_levels - 1) / self.unit

    @property
    def least_scale(self) -> float:
        """The minimum of the scale s as a multiple of ``unit``: ``least`` in the equations of the class."""
        return LEAST_SCALE * 2.0 * self.half_step

    @property
    def kernel_constants(self) -> tuple[float, float]:
        return self.unit, self.least_scale

    def nats(self, prediction: Symbolic, target: Symbolic) -> Symbolic:
        rows = blocks(prediction, self.n_parameters)
        return logistic_nats(rows, target, self.n_levels, self.half_step, self.least_scale).mean()

    def shifted(self, prediction: Array, centre: Array) -> Array:
        places = np.repeat([0.0, 1.0 / self.unit, 0.0], self.n_components)[:, None].astype(prediction.dtype)
        moved = blocks(prediction, self.n_parameters) + centre[..., None, :] * places
        return moved.reshape([prediction.shape[axis] for axis in range(prediction.ndim)])

    def sample(self, prediction: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        if not sampling.is_whole:
            p = self.probabilities(prediction, sampling.temperature)
            logits = np.log(np.maximum(p, LEAST_PROBABILITY)).reshape(-1, self.n_levels)
            # p already includes the temperature, and `sampling.sample` divides by it: so multiply first.
            levels = sampling.sample(sampling.temperature * logits, rng.random(len(logits)))
            return levels.reshape(p.shape[:-1])
        rows, k = blocks(prediction, self.n_parameters).astype(np.float64), self.n_components
        shape = rows[..., 0, :].shape
        uniform = rng.random((*shape, 2))
        component = sampled_component(rows[..., :k, :], sampling, uniform[..., 0])
        mean, raw_scale = chosen(rows[..., k : 2 * k, :], component), chosen(rows[..., 2 * k :, :], component)
        scale = sampling.temperature * (np.logaddexp(0.0, raw_scale) + self.least_scale)
        u = uniform[..., 1]
        with np.errstate(divide="ignore"):  # u = 0: -inf, the lowest level
            value = self.unit * (mean + scale * (np.log(u) - np.log1p(-u)))
        level = np.floor((np.clip(value, -1.0, 1.0) + 1.0) / 2.0 * (self.n_levels - 1) + 0.5)
        return np.asarray(level, np.int64)

    def probabilities(self, prediction: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Compute the probability of each level of n values: (..., 3 n_components n) -> (..., n, n_levels), NumPy.

        Logits are divided by the temperature, and the scales s are multiplied by it.
        """
        rows, k = blocks(prediction, self.n_parameters).astype(np.float64)[..., None], self.n_components
        logits, mean, raw_scale = rows[..., :k, :, :], rows[..., k : 2 * k, :, :], rows[..., 2 * k :, :, :]
        scale = temperature * (np.logaddexp(0.0, raw_scale) + self.least_scale)
        between = ((np.arange(self.n_levels - 1) + 0.5) * 2.0 / (self.n_levels - 1) - 1.0) / self.unit
        weight = softmax(logits / temperature, axis=-3)
        below = np.sum(weight * expit((between - mean) / scale), axis=-3)
        return np.diff(below, axis=-1, prepend=0.0, append=1.0)
