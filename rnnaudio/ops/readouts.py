"""Likelihoods of read-outs, each one operation of a graph: as a graph they take seconds in mode python."""

from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import softplus, tt
from rnnaudio.kernels import gaussian_mixture, logistic


def logistic_nats(said: Any, target: Any, n_levels: int, half_step: float, least_scale: float) -> Any:
    """-log P(target), elementwise: said (.., 3 K, n), blocks of logits, m and raw s in units, target (.., n) levels.

    :class:`rnnaudio.readouts.LogisticMixture` has the equations.
    """
    if engine.kernel() == "fused":
        return _Nats(target.ndim, logistic, (n_levels, half_step, least_scale))(said, target)
    logits, m, raw = _thirds(said)
    d = np.asarray(half_step, said.dtype)
    s = softplus(raw) + np.asarray(least_scale, said.dtype)
    level = target[..., None, :]
    value = tt.cast(2 * level - (n_levels - 1), said.dtype) * d
    above, below = softplus((m - value - d) / s), softplus((value - d - m) / s)
    not_last, not_first = (tt.cast(x, said.dtype) for x in (tt.lt(level, n_levels - 1), tt.gt(level, 0)))
    narrow = tt.log(-tt.expm1(-np.asarray(2.0 * half_step, said.dtype) / s))
    log_p = not_last * (not_first * narrow - above) - not_first * below
    return engine.log_sum_exp(logits, -2) - engine.log_sum_exp(logits + log_p, -2)


def gaussian_mixture_nats(said: Any, target: Any, least_variance: float) -> Any:
    """-log of the density, elementwise: said (.., 3 K, n), of logits, means and log (v - least), target (.., n).

    :class:`rnnaudio.readouts.GaussianMixture` has the equations.
    """
    if engine.kernel() == "fused":
        return _Nats(target.ndim, gaussian_mixture, (least_variance,))(said, target)
    logits, means, logs = _thirds(said)
    variance = tt.exp(logs) + np.asarray(least_variance, said.dtype)
    squares = tt.sqr(target[..., None, :] - means) / variance
    log_density = -np.asarray(0.5, said.dtype) * (squares + tt.log(variance))
    constant = np.asarray(gaussian_mixture.HALF_LOG_2_PI, said.dtype)
    return engine.log_sum_exp(logits, -2) - engine.log_sum_exp(logits + log_density, -2) + constant


def _thirds(said: Any) -> list[Any]:
    """(.., 3 K, n) -> 3 x (.., K, n)."""
    n = said.shape[said.ndim - 2] // 3
    return [said[..., k * n : (k + 1) * n, :] for k in range(3)]


class _Nats(engine.Kernel):
    """said, target -> nats, by the functions of a module: ``nats``, and ``gradients`` of its float arguments."""

    __props__ = ("ndims", "likelihood", "constants")

    def __init__(self, ndim: int, likelihood: Any, constants: tuple[float, ...]):
        self.ndims, self.likelihood, self.constants = (ndim,), likelihood, constants

    def compute(self, said: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        return [self.likelihood.nats(_rows(said, 2), _rows(target, 1), *self.constants).reshape(target.shape)]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        ndims = tuple(x.ndim for x in inputs if x.dtype.startswith("float"))
        results = _Gradients(ndims, self.likelihood, self.constants)(*inputs, *output_gradients)
        return list(results) if len(ndims) == 2 else [results, None]


class _Gradients(engine.Kernel):
    __props__ = ("ndims", "likelihood", "constants")

    def __init__(self, ndims: tuple[int, ...], likelihood: Any, constants: tuple[float, ...]):
        self.ndims, self.likelihood, self.constants = ndims, likelihood, constants

    def compute(self, said: np.ndarray, target: np.ndarray, d_nats: np.ndarray) -> list[np.ndarray]:
        rows = _rows(said, 2), _rows(target, 1), _rows(d_nats, 1)
        results = self.likelihood.gradients(*rows, *self.constants)
        return [g.reshape(x.shape) for g, x in zip(results, (said, target), strict=False)]


def _rows(x: np.ndarray, n_last: int) -> np.ndarray:
    """All axes but the last ``n_last`` in one."""
    return np.ascontiguousarray(x).reshape(-1, *x.shape[x.ndim - n_last :])
