"""Sums and updates that read each array once, in blocks shared out between threads.

Sums are taken in float64 per block and added up in order, so they do not depend on the number of threads.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from rnnaudio.kernels import threads
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.product import require_shapes

BLOCK = 131_072

# Lets sums be reordered into vector lanes. Nothing is assumed about NaN or infinity: they must come through.
SUMS = {"reassoc", "nsz", "contract"}


def _over_blocks(work: Callable[..., Any], size: int, n_sums: int, *arguments: Any) -> list[float]:
    """work(*arguments, sums, first block, last block) on all blocks of ``size`` elements; the totals of its sums."""
    n_blocks = max(1, -(-size // BLOCK))
    sums = np.zeros((n_blocks, n_sums))
    threads.run(work, [(*arguments, sums, first, last) for first, last in threads.split(n_blocks)])
    return [float(total) for total in sums.sum(axis=0)]


@njit(fastmath=SUMS)
def _sum_of_squares(x: Any, sums: Any, first: int, last: int) -> None:
    for block in range(first, last):
        part = x[block * BLOCK : (block + 1) * BLOCK]
        total = 0.0
        for value in part:
            total += np.float64(value) * np.float64(value)
        sums[block, 0] = total


def sum_of_squares(x: np.ndarray) -> float:
    """sum of x^2 over all elements."""
    return _over_blocks(_sum_of_squares, x.size, 1, x.reshape(-1))[0]


@njit(fastmath=SUMS)
def _squared_errors(prediction: Any, target: Any, sums: Any, first: int, last: int) -> None:
    for block in range(first, last):
        p, t = prediction[block * BLOCK : (block + 1) * BLOCK], target[block * BLOCK : (block + 1) * BLOCK]
        error, power = 0.0, 0.0
        for i in range(p.size):
            d = np.float64(p[i] - t[i])
            error += d * d
            power += np.float64(t[i]) * np.float64(t[i])
        sums[block, 0], sums[block, 1] = error, power


def squared_errors(prediction: np.ndarray, target: np.ndarray) -> list[float]:
    """sum of (prediction - target)^2, and sum of target^2."""
    require_shapes(target=(target, prediction.shape))
    return _over_blocks(_squared_errors, prediction.size, 2, prediction.reshape(-1), target.reshape(-1))


@njit()
def _scaled_difference(a: Any, b: Any, factor: Any, out: Any, sums: Any, first: int, last: int) -> None:
    here = slice(first * BLOCK, last * BLOCK)
    x, y, z = a[here], b[here], out[here]
    for i in range(x.size):
        z[i] = factor * (x[i] - y[i])


def scaled_difference(a: np.ndarray, b: np.ndarray, factor: float, out: np.ndarray) -> None:
    """out = factor (a - b)."""
    require_shapes(b=(b, a.shape), out=(out, a.shape))
    arrays = a.reshape(-1), b.reshape(-1), a.dtype.type(factor), out.reshape(-1)
    _over_blocks(_scaled_difference, a.size, 0, *arrays)


# ---------------------------------------------------------------- updates of parameters, in place
#
# Each takes a parameter p, its gradient g, the arrays that the rule remembers (or empty ones), the factor of gradient
# clipping, the learning rate, and the rule's constants, and sums up (new p - p)^2 and p^2. The equations are those of
# rnnaudio.optimizers.


@njit()
def square_of_difference(new: Any, old: Any) -> Any:
    """(new - old)^2 of what is stored: with reordering allowed, a step lost to rounding would not be 0."""
    d = np.float64(new) - np.float64(old)
    return d * d


@njit(fastmath=SUMS)
def sgd(p: Any, g: Any, _0: Any, _1: Any, clip: Any, rate: Any, _c: Any, sums: Any, first: int, last: int) -> None:
    """p <- p - eta g."""
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        q, d = p[here], g[here]
        change, size = 0.0, 0.0
        for i in range(q.size):
            old = q[i]
            q[i] = old - rate * (clip * d[i])
            change += square_of_difference(q[i], old)
            size += np.float64(old) * np.float64(old)
        sums[block, 0], sums[block, 1] = change, size


@njit(fastmath=SUMS)
def momentum(p: Any, g: Any, v: Any, _1: Any, clip: Any, rate: Any, c: Any, sums: Any, first: int, last: int) -> None:
    """v <- mu v - eta g;  p <- p + v."""
    mu = c[0]
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        q, d, w = p[here], g[here], v[here]
        change, size = 0.0, 0.0
        for i in range(q.size):
            old = q[i]
            w[i] = mu * w[i] - rate * (clip * d[i])
            q[i] = old + w[i]
            change += square_of_difference(q[i], old)
            size += np.float64(old) * np.float64(old)
        sums[block, 0], sums[block, 1] = change, size


@njit(fastmath=SUMS)
def rmsprop(p: Any, g: Any, r: Any, _1: Any, clip: Any, rate: Any, c: Any, sums: Any, first: int, last: int) -> None:
    """r <- rho r + (1 - rho) g^2;  p <- p - eta g / sqrt(r + epsilon); c: rho, 1 - rho, epsilon."""
    rho, rest, epsilon = c[0], c[1], c[2]
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        q, d, s = p[here], g[here], r[here]
        change, size = 0.0, 0.0
        for i in range(q.size):
            old, slope = q[i], clip * d[i]
            s[i] = rho * s[i] + rest * slope * slope
            q[i] = old - rate * slope / np.sqrt(s[i] + epsilon)
            change += square_of_difference(q[i], old)
            size += np.float64(old) * np.float64(old)
        sums[block, 0], sums[block, 1] = change, size


@njit(fastmath=SUMS)
def adam(p: Any, g: Any, m: Any, v: Any, clip: Any, rate: Any, c: Any, sums: Any, first: int, last: int) -> None:
    """Adam; c: b1, 1 - b1, 1 - b1^n, b2, 1 - b2, 1 - b2^n, epsilon."""
    b1, rest1, unbias1, b2, rest2, unbias2, epsilon = c[0], c[1], c[2], c[3], c[4], c[5], c[6]
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        q, d, mean, square = p[here], g[here], m[here], v[here]
        change, size = 0.0, 0.0
        for i in range(q.size):
            old, slope = q[i], clip * d[i]
            mean[i] = b1 * mean[i] + rest1 * slope
            square[i] = b2 * square[i] + rest2 * slope * slope
            q[i] = old - rate * (mean[i] / unbias1) / (np.sqrt(square[i] / unbias2) + epsilon)
            change += square_of_difference(q[i], old)
            size += np.float64(old) * np.float64(old)
        sums[block, 0], sums[block, 1] = change, size


def update(
    rule: Callable[..., Any],
    p: np.ndarray,
    g: np.ndarray,
    memory: list[np.ndarray],
    clip: float,
    rate: float,
    constants: tuple[float, ...],
) -> list[float]:
    """Apply a rule in place; the sums of (new p - p)^2 and p^2."""
    require_shapes(gradient=(g, p.shape), **{f"memory {k}": (a, p.shape) for k, a in enumerate(memory)})
    if not all(a.flags.c_contiguous for a in (p, *memory)):
        raise ValueError("parameters and memory must be C-contiguous: a flat copy would take the update, not they")
    number = p.dtype.type
    flat = [a.reshape(-1) for a in (p, g, *memory)]
    nothing = [np.empty(0, p.dtype)] * (4 - len(flat))
    arguments = *flat, *nothing, number(clip), number(rate), np.array(constants, p.dtype)
    return _over_blocks(rule, p.size, 2, *arguments)


def pixel_nats(logits: np.ndarray, log_std: np.ndarray, target: np.ndarray) -> np.ndarray:
    """-log N(target; sigmoid(logit), e^log_std): (batch, n), (), (batch, n) -> (batch,)."""
    error = target - scipy.special.expit(logits)
    constant = logits.shape[1] * (log_std + logits.dtype.type(0.5 * math.log(2 * math.pi)))
    return 0.5 * np.exp(-2 * log_std) * np.sum(error * error, axis=1) + constant


def pixel_gradients(
    logits: np.ndarray, log_std: np.ndarray, target: np.ndarray, d_nats: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Those of :func:`pixel_nats` with respect to logits, log_std and target, times d_nats (batch,)."""
    mean = scipy.special.expit(logits)
    error = target - mean
    precision = np.exp(-2 * log_std)
    d_target = error * (precision * d_nats)[:, None]
    d_log_std = np.sum(d_nats * (logits.shape[1] - precision * np.sum(error * error, axis=1)))
    return d_target * (mean * (mean - 1)), float(d_log_std), d_target


def gaussian_nats(prediction: np.ndarray, target: np.ndarray, least_variance: float) -> np.ndarray:
    """(log v + (target - m)^2 / v) / 2 of prediction (..., 2 n): m and log (v - least_variance); (..., n)."""
    mean, log_variance = np.split(prediction, 2, axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run: infinity is what the caller looks for
        variance = np.exp(log_variance) + prediction.dtype.type(least_variance)
        return (np.log(variance) + (target - mean) ** 2 / variance) / 2


def gaussian_gradients(
    prediction: np.ndarray, target: np.ndarray, d_nats: np.ndarray, least_variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Those of :func:`gaussian_nats` with respect to prediction and target, times d_nats (..., n)."""
    mean, log_variance = np.split(prediction, 2, axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        above = np.exp(log_variance)
        variance = above + prediction.dtype.type(least_variance)
        off = (mean - target) / variance
        d_mean = d_nats * off
        d_log = d_nats * (above / variance - off * off * above) / 2
    return np.concatenate([d_mean, d_log], axis=-1), -d_mean
