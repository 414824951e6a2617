"""Losses: squared errors and negative log-likelihoods."""

import math

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Gradient, Symbolic, tt
from rnnaudio.kernels import elementwise
from rnnaudio.kernels.buffers import empty
from rnnaudio.ops.arrays import scalars


def squared_errors(prediction: Symbolic, target: Symbolic) -> tuple[Symbolic, Symbolic]:
    """Compute two scalars, the sums over all elements of (prediction - target)^2 and of target^2, for equal shapes."""
    if engine.kernel() == "fused" and prediction.ndim == target.ndim:
        return tuple(_SquaredErrors()(prediction, target))
    return tt.sum(tt.sqr(prediction - target)), tt.sum(tt.sqr(target))


class _SquaredErrors(engine.Kernel):
    ndims = (0, 0)

    def compute(self, prediction: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        sums = elementwise.squared_errors(*map(np.ascontiguousarray, (prediction, target)))
        return scalars(sums, prediction.dtype)

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        (p, t), (d_error, d_power) = inputs, output_gradients
        d_prediction = None if d_error is None else _ScaledDifference(p.ndim)(p, t, 2 * d_error)
        d_target = None if d_prediction is None else -d_prediction
        if d_power is not None:
            d_target = 2 * d_power * t if d_target is None else d_target + 2 * d_power * t
        return [d_prediction, d_target]


def bernoulli_nats(logits: Symbolic, target: Symbolic) -> Symbolic:
    """Compute -log p(x) = log(1 + e^l) - x l of Bernoulli variables, summed over the last axis, in nats.

    l is ``logits`` (..., n), and x is ``target`` (..., n) with values from 0 to 1. The result is (...).
    """
    if engine.kernel() == "fused" and logits.ndim == target.ndim == 2:
        return _Bernoulli()(logits, target)
    return tt.sum(engine.softplus(logits) - target * logits, axis=-1)


class _Bernoulli(engine.Kernel):
    """The graph operation logits, target (batch, n) -> nats (batch,).

    In mode ``python`` the engine's own softplus would be a Python loop over the elements.
    """

    ndims = (1,)

    def compute(self, logits: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        tail = np.log1p(np.exp(-np.abs(logits)))
        return [np.sum(np.maximum(logits, 0) - target * logits + tail, axis=1)]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        (logits, target), (d,) = inputs, output_gradients
        return [(engine.sigmoid(logits) - target) * d[:, None], -logits * d[:, None]]


def pixel_nats(logits: Symbolic, log_std: Symbolic | float, target: Symbolic) -> Symbolic:
    """Compute -log N(target; mean = sigmoid(logits), std = e^log_std), summed over the last axis, in nats.

    logits (..., n), log_std a scalar, target (..., n) -> (...).
    """
    if engine.kernel() == "fused" and logits.ndim == target.ndim == 2 and getattr(log_std, "ndim", 0) == 0:
        return _PixelNats()(logits, log_std, target)
    scaled = (target - engine.sigmoid(logits)) * tt.exp(-log_std)
    return tt.sum(0.5 * tt.sqr(scaled) + log_std + 0.5 * math.log(2 * math.pi), axis=-1)


class _PixelNats(engine.Kernel):
    # If it were composed of engine operations, its gradient would take seconds in mode python: it has products of
    # three or more arrays.
    ndims = (1,)

    def compute(self, logits: np.ndarray, log_std: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        return [elementwise.pixel_nats(logits, log_std, target)]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        return list(_PixelGradients()(*inputs, *output_gradients))


class _PixelGradients(engine.Kernel):
    ndims = (2, 0, 2)

    def compute(
        self, logits: np.ndarray, log_std: np.ndarray, target: np.ndarray, d_nats: np.ndarray
    ) -> list[np.ndarray]:
        d_logits, d_log_std, d_target = elementwise.pixel_gradients(logits, log_std, target, d_nats)
        return [d_logits, *scalars([d_log_std], logits.dtype), d_target]


class _ScaledDifference(engine.Kernel):
    """The graph operation (a, b, factor) -> factor (a - b), with a scalar ``factor``."""

    __props__ = ("ndims",)

    def __init__(self, ndim: int):
        self.ndims = (ndim,)

    def compute(self, a: np.ndarray, b: np.ndarray, factor: np.ndarray) -> list[np.ndarray]:
        out = empty(a.shape, a.dtype)
        elementwise.scaled_difference(np.ascontiguousarray(a), np.ascontiguousarray(b), float(factor), out)
        return [out]


def gaussian_nats(prediction: Symbolic, target: Symbolic, least_variance: float) -> Symbolic:
    """Compute (log v + (target - m)^2 / v) / 2, elementwise, in nats, for a Gaussian of mean m and variance v.

    This is the negative log-likelihood without its constant, log(2 pi) / 2. prediction (..., 2 n) holds n means m,
    then n values log(v - least_variance); target and result are (..., n).
    """
    if engine.kernel() == "fused":
        return _GaussianNats(target.ndim, least_variance)(prediction, target)
    n = prediction.shape[prediction.ndim - 1] // 2
    mean, log_variance = prediction[..., :n], prediction[..., n:]
    variance = tt.exp(log_variance) + np.asarray(least_variance, prediction.dtype)
    return (tt.log(variance) + tt.sqr(target - mean) / variance) / 2


class _GaussianNats(engine.Kernel):
    # If it were composed of engine operations, its gradient would take seconds in mode python: it has products of
    # three or more arrays.
    __props__ = ("ndims", "least_variance")

    def __init__(self, ndim: int, least_variance: float):
        self.ndims, self.least_variance = (ndim,), least_variance

    def compute(self, prediction: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        return [elementwise.gaussian_nats(prediction, target, self.least_variance)]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        return list(_GaussianGradients(self.ndims[0], self.least_variance)(*inputs, *output_gradients))


class _GaussianGradients(engine.Kernel):
    __props__ = ("ndims", "least_variance")

    def __init__(self, ndim: int, least_variance: float):
        self.ndims, self.least_variance = (ndim, ndim), least_variance

    def compute(self, prediction: np.ndarray, target: np.ndarray, d_nats: np.ndarray) -> list[np.ndarray]:
        return list(elementwise.gaussian_gradients(prediction, target, d_nats, self.least_variance))
