"""The negative log-likelihood of a mixture of logistic distributions discretised to levels, and its gradient.

For a level of value v and width 2 d, and a component of mean m and scale s, let b = (v + d - m) / s be the upper edge
and a = (v - d - m) / s the lower edge. With F the logistic function, the level's probability is

    F(b) - F(a) = F(b) F(-a) (1 - e^(a - b)),    b - a = 2 d / s

where the right-hand side does not subtract two nearly equal numbers. The lowest level extends to -infinity and has
probability F(b); the highest level extends to infinity and has probability F(-a). All computations are in float64,
because there are few numbers and because the last bits matter for a sharp peak.
"""

import math

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.arrays import Frames, Levels, Matrix
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.product import require_shapes


@njit(inline="always")
def softplus(x: float) -> float:
    """Return log(1 + e^x), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@njit(inline="always")
def logistic(x: float) -> float:
    """Return 1 / (1 + e^-x)."""
    return 1.0 / (1.0 + math.exp(-x))


@njit()
def _log_parts(
    prediction: Matrix, level: int, j: int, n_levels: int, half_step: float, least: float, parts: Matrix
) -> float:
    """Return log sum_k w_k P(level | k), and set parts (4, K) to log w_k, log P(level | k), b and s.

    The weights w_k, means and scales of the K components are given by column j of prediction (3 K, n).
    """
    k_all = parts.shape[1]
    value = (2.0 * level - (n_levels - 1)) * half_step
    most = np.float64(prediction[0, j])
    for k in range(1, k_all):
        most = max(most, np.float64(prediction[k, j]))
    total = 0.0
    for k in range(k_all):
        total += math.exp(prediction[k, j] - most)
    highest = -np.inf
    for k in range(k_all):
        s = softplus(np.float64(prediction[2 * k_all + k, j])) + least
        b = (value + half_step - prediction[k_all + k, j]) / s
        width = 2.0 * half_step / s
        log_p = 0.0
        if level < n_levels - 1:
            log_p -= softplus(-b)
        if level > 0:
            log_p -= softplus(b - width)
        if 0 < level < n_levels - 1:
            log_p += math.log(-math.expm1(-width))
        parts[0, k], parts[1, k] = prediction[k, j] - most - math.log(total), log_p
        parts[2, k], parts[3, k] = b, s
        highest = max(highest, parts[0, k] + log_p)
    total = 0.0
    for k in range(k_all):
        total += math.exp(parts[0, k] + parts[1, k] - highest)
    return highest + math.log(total)


@njit()
def _nats(
    prediction: Frames, target: Levels, n_levels: int, half_step: float, least: float, out: Matrix, first: int,
    last: int,
) -> None:  # fmt: skip
    parts = np.empty((4, prediction.shape[1] // 3))
    for i in range(first, last):
        for j in range(prediction.shape[2]):
            out[i, j] = -_log_parts(prediction[i], target[i, j], j, n_levels, half_step, least, parts)


@njit()
def _gradient(
    prediction: Frames, target: Levels, d_nats: Matrix, n_levels: int, half_step: float, least: float,
    out: Frames, first: int, last: int,
) -> None:  # fmt: skip
    k_all = prediction.shape[1] // 3
    parts = np.empty((4, k_all))
    for i in range(first, last):
        for j in range(prediction.shape[2]):
            level, d = target[i, j], np.float64(d_nats[i, j])
            log_all = _log_parts(prediction[i], level, j, n_levels, half_step, least, parts)
            for k in range(k_all):
                share = math.exp(parts[0, k] + parts[1, k] - log_all)
                b, s = parts[2, k], parts[3, k]
                width = 2.0 * half_step / s
                a = b - width
                above = logistic(-b) if level < n_levels - 1 else 0.0
                below = logistic(a) if level > 0 else 0.0
                narrow = width / math.expm1(width) if 0 < level < n_levels - 1 else 0.0
                d_raw = logistic(np.float64(prediction[i, 2 * k_all + k, j]))
                out[i, k, j] = d * (math.exp(parts[0, k]) - share)
                out[i, k_all + k, j] = d * share * (above - below) / s
                out[i, 2 * k_all + k, j] = d * share * (above * b - below * a + narrow) / s * d_raw


def nats(prediction: Frames, target: Levels, n_levels: int, half_step: float, least: float) -> Matrix:
    """Compute -log P(target), elementwise, in nats: prediction (rows, 3 K, n), target (rows, n) -> (rows, n).

    target holds integer levels 0 .. n_levels - 1. prediction holds, along its second axis, K logits, K means m, and K
    values r with the scales s = softplus(r) + ``least``. ``half_step`` is d. m, s, d and ``least`` are multiples of
    the ``unit`` of :class:`rnnaudio.readouts.LogisticMixture`. ValueError if shapes do not match.
    """
    require_shapes(target=(target, (prediction.shape[0], prediction.shape[2])))
    out = np.empty(target.shape, prediction.dtype)
    shares = threads.split(len(prediction), work=100 * prediction.size)
    threads.run(_nats, [(prediction, target, n_levels, half_step, least, out, *share) for share in shares])
    return out


def gradients(
    prediction: Frames, target: Levels, d_nats: Matrix, n_levels: int, half_step: float, least: float
) -> tuple[Frames]:
    """Compute the loss gradient with respect to prediction: a tuple with a single array (rows, 3 K, n).

    d_nats (rows, n) is the loss gradient with respect to the result of :func:`nats`; the other arguments are those of
    ``nats``. ValueError if shapes do not match.
    """
    require_shapes(target=(target, (prediction.shape[0], prediction.shape[2])), d_nats=(d_nats, target.shape))
    out = np.empty(prediction.shape, prediction.dtype)
    shares = threads.split(len(prediction), work=200 * prediction.size)
    threads.run(_gradient, [(prediction, target, d_nats, n_levels, half_step, least, out, *share) for share in shares])
    return (out,)
