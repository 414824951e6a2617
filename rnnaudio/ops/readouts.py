"""Negative log-likelihoods of read-outs.

Each is a single graph operation, because a composition of many operations would take seconds in mode ``python``.
"""

from types import ModuleType

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Gradient, Symbolic, softplus, tt
from rnnaudio.kernels import gaussian_mixture, logistic


def logistic_nats(
    prediction: Symbolic, target: Symbolic, n_levels: int, half_step: float, least_scale: float
) -> Symbolic:
    """Compute -log P(target) under a mixture of K logistic distributions, elementwise, in nats.

    prediction (..., 3 K, n) holds K logits, then K locations m, then K values from which the scales s are computed;
    target (..., n) holds integer levels 0 .. n_levels - 1; the result is (..., n). The equations, ``half_step`` and
    ``least_scale`` are described in :class:`rnnaudio.readouts.LogisticMixture`.
    """
    if engine.kernel() == "fused":
        return _Nats(target.ndim, logistic, (n_levels, half_step, least_scale))(prediction, target)
    logits, m, raw_s = _thirds(prediction)
    d = np.asarray(half_step, prediction.dtype)
    s = softplus(raw_s) + np.asarray(least_scale, prediction.dtype)
    level = target[..., None, :]
    value = tt.cast(2 * level - (n_levels - 1), prediction.dtype) * d
    above, below = softplus((m - value - d) / s), softplus((value - d - m) / s)
    not_last, not_first = (tt.cast(x, prediction.dtype) for x in (tt.lt(level, n_levels - 1), tt.gt(level, 0)))
    narrow = tt.log(-tt.expm1(-np.asarray(2.0 * half_step, prediction.dtype) / s))
    log_p = not_last * (not_first * narrow - above) - not_first * below
    return engine.log_sum_exp(logits, -2) - engine.log_sum_exp(logits + log_p, -2)


def gaussian_mixture_nats(prediction: Symbolic, target: Symbolic, least_variance: float) -> Symbolic:
    """Compute -log p(target), with p the density of a mixture of K Gaussians, elementwise, in nats.

    prediction (..., 3 K, n) holds K logits, then K means, then K values log(v - least_variance), v the variances;
    target and result are (..., n). The equations are those of :class:`rnnaudio.readouts.GaussianMixture`.
    """
    if engine.kernel() == "fused":
        return _Nats(target.ndim, gaussian_mixture, (least_variance,))(prediction, target)
    logits, means, log_variances = _thirds(prediction)
    variance = tt.exp(log_variances) + np.asarray(least_variance, prediction.dtype)
    squares = tt.sqr(target[..., None, :] - means) / variance
    log_density = -np.asarray(0.5, prediction.dtype) * (squares + tt.log(variance))
    constant = np.asarray(gaussian_mixture.HALF_LOG_2_PI, prediction.dtype)
    return engine.log_sum_exp(logits, -2) - engine.log_sum_exp(logits + log_density, -2) + constant


def _thirds(prediction: Symbolic) -> list[Symbolic]:
    """Split (..., 3 K, n) into three variables (..., K, n)."""
    n = prediction.shape[prediction.ndim - 2] // 3
    return [prediction[..., k * n : (k + 1) * n, :] for k in range(3)]


class _Nats(engine.Kernel):
    """The graph operation (prediction, target) -> nats, computed by a module of :mod:`rnnaudio.kernels`.

    The function ``nats`` of the module ``likelihood`` computes the result. Its function ``gradients`` returns the
    gradients with respect to prediction and target, or to the prediction alone if targets are integer levels.
    """

    __props__ = ("ndims", "likelihood", "constants")

    def __init__(self, ndim: int, likelihood: ModuleType, constants: tuple[float, ...]):
        self.ndims, self.likelihood, self.constants = (ndim,), likelihood, constants

    def compute(self, prediction: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        return [self.likelihood.nats(_rows(prediction, 2), _rows(target, 1), *self.constants).reshape(target.shape)]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        ndims = tuple(x.ndim for x in inputs if x.dtype.startswith("float"))
        results = _Gradients(ndims, self.likelihood, self.constants)(*inputs, *output_gradients)
        return list(results) if len(ndims) == 2 else [results, None]


class _Gradients(engine.Kernel):
    __props__ = ("ndims", "likelihood", "constants")

    def __init__(self, ndims: tuple[int, ...], likelihood: ModuleType, constants: tuple[float, ...]):
        self.ndims, self.likelihood, self.constants = ndims, likelihood, constants

    def compute(self, prediction: np.ndarray, target: np.ndarray, d_nats: np.ndarray) -> list[np.ndarray]:
        rows = _rows(prediction, 2), _rows(target, 1), _rows(d_nats, 1)
        results = self.likelihood.gradients(*rows, *self.constants)
        return [g.reshape(x.shape) for g, x in zip(results, (prediction, target), strict=False)]


def _rows(x: np.ndarray, n_last: int) -> np.ndarray:
    """Reshape x so that all axes but the last ``n_last`` become one."""
    return np.ascontiguousarray(x).reshape(-1, *x.shape[x.ndim - n_last :])
