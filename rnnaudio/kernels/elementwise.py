"""Sums over arrays, optimizer updates, and Gaussian likelihoods.

Sums and updates read each array once, in blocks that are divided among threads. Sums are accumulated in float64 within
a block, and the sums of the blocks are added in order, so results do not depend on the number of threads. The Gaussian
likelihoods, of pixels and of frames, are computed by NumPy.
"""

import math
from typing import TypeAlias

import numpy as np
import scipy.special

from rnnaudio.kernels import threads
from rnnaudio.kernels.arrays import Compiled, Frames, Matrix, Number, Sums, Vector
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.product import require_shapes

BLOCK = 131_072

# Flags that let the compiler reorder sums into vector lanes, without assuming that there is no NaN or inf: those must
# propagate.
SUMS = {"reassoc", "nsz", "contract"}

Rule: TypeAlias = Compiled
"""A compiled optimizer update: (p, g, slot, slot, clip, rate, constants, sums, first, last) -> None.

It updates the parameter p and its slots (arrays that the optimizer keeps per parameter) in place, for the blocks first
to last - 1 of BLOCK elements. g is the gradient, ``clip`` the factor by which clipping scales g, and ``rate`` the
learning rate. The row of each block in ``sums`` is set to the sums of (new p - p)^2 and of p^2.
"""


def _over_blocks(work: Compiled, size: int, n_sums: int, *arguments: np.ndarray | Number) -> list[float]:
    """Run ``work`` on all blocks of arrays of ``size`` elements; return its ``n_sums`` sums over all blocks.

    Each thread calls work(*arguments, sums, first, last) for some of the blocks, first to last - 1. The call sets the
    rows of these blocks in sums (n_blocks, n_sums).
    """
    n_blocks = max(1, -(-size // BLOCK))
    sums = np.zeros((n_blocks, n_sums))
    threads.run(work, [(*arguments, sums, first, last) for first, last in threads.split(n_blocks)])
    return [float(total) for total in sums.sum(axis=0)]


@njit(fastmath=SUMS)
def _sum_of_squares(x: Vector, sums: Sums, first: int, last: int) -> None:
    for block in range(first, last):
        part = x[block * BLOCK : (block + 1) * BLOCK]
        total = 0.0
        for value in part:
            total += np.float64(value) * np.float64(value)
        sums[block, 0] = total


def sum_of_squares(x: np.ndarray) -> float:
    """Return the sum of x^2 over all elements of an array of any shape."""
    return _over_blocks(_sum_of_squares, x.size, 1, x.reshape(-1))[0]


@njit(fastmath=SUMS)
def _squared_errors(prediction: Vector, target: Vector, sums: Sums, first: int, last: int) -> None:
    for block in range(first, last):
        p, t = prediction[block * BLOCK : (block + 1) * BLOCK], target[block * BLOCK : (block + 1) * BLOCK]
        error, power = 0.0, 0.0
        for i in range(p.size):
            d = np.float64(p[i] - t[i])
            error += d * d
            power += np.float64(t[i]) * np.float64(t[i])
        sums[block, 0], sums[block, 1] = error, power


def squared_errors(prediction: np.ndarray, target: np.ndarray) -> list[float]:
    """Return the sums over all elements of (prediction - target)^2 and of target^2. ValueError if shapes differ."""
    require_shapes(target=(target, prediction.shape))
    return _over_blocks(_squared_errors, prediction.size, 2, prediction.reshape(-1), target.reshape(-1))


@njit()
def _scaled_difference(a: Vector, b: Vector, factor: Number, out: Vector, sums: Sums, first: int, last: int) -> None:
    here = slice(first * BLOCK, last * BLOCK)
    x, y, z = a[here], b[here], out[here]
    for i in range(x.size):
        z[i] = factor * (x[i] - y[i])


def scaled_difference(a: np.ndarray, b: np.ndarray, factor: float, out: np.ndarray) -> None:
    """Write factor (a - b) to ``out``, which must be C-contiguous. ValueError if the shapes of the arrays differ."""
    require_shapes(b=(b, a.shape), out=(out, a.shape))
    arrays = a.reshape(-1), b.reshape(-1), a.dtype.type(factor), out.reshape(-1)
    _over_blocks(_scaled_difference, a.size, 0, *arrays)


# ---------------------------------------------------------------- updates of parameters, in place
#
# Each takes a parameter p, its gradient g, two slots of the optimizer's state (empty arrays if it has fewer), the
# factor ``clip`` by which clipping scales g, the learning rate eta, and the rule's constants c. In the equations,
# which are those of rnnaudio.optimizers, g is already scaled. For each block, ``sums`` receives the sums of
# (new p - p)^2 and p^2.


@njit()
def square_of_difference(new: Number, old: Number) -> float:
    """Return (new - old)^2 of two numbers as stored in memory: 0 if the change was too small to alter the number.

    The function is compiled without the flags that permit reordering. With these flags the compiler might square the
    change before it is rounded.
    """
    d = np.float64(new) - np.float64(old)
    return d * d


@njit(fastmath=SUMS)
def sgd(
    p: Vector, g: Vector, _0: Vector, _1: Vector, clip: Number, rate: Number, _c: Vector, sums: Sums, first: int,
    last: int,
) -> None:  # fmt: skip
    """Update by stochastic gradient descent: p <- p - eta g.

    The arguments are those of a :data:`Rule`. eta is ``rate``; g in the equation is the argument g times ``clip``.
    """
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
def momentum(
    p: Vector, g: Vector, v: Vector, _1: Vector, clip: Number, rate: Number, c: Vector, sums: Sums, first: int,
    last: int,
) -> None:  # fmt: skip
    """Update with momentum: v <- mu v - eta g;  p <- p + v.

    The arguments are those of a :data:`Rule`; c holds mu. eta is ``rate``; g in the equation is the argument g times
    ``clip``.
    """
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
def rmsprop(
    p: Vector, g: Vector, r: Vector, _1: Vector, clip: Number, rate: Number, c: Vector, sums: Sums, first: int,
    last: int,
) -> None:  # fmt: skip
    """Update by RMSprop: r <- rho r + (1 - rho) g^2;  p <- p - eta g / sqrt(r + epsilon).

    The arguments are those of a :data:`Rule`; c holds rho, 1 - rho, epsilon. eta is ``rate``; g in the equation is the
    argument g times ``clip``.
    """
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
def adam(
    p: Vector, g: Vector, m: Vector, v: Vector, clip: Number, rate: Number, c: Vector, sums: Sums, first: int,
    last: int,
) -> None:  # fmt: skip
    """Update by Adam: p <- p - eta m^ / (sqrt(v^) + epsilon), with bias-corrected moments m^ and v^.

    The slots m and v are the moments of the gradient g times ``clip``. The arguments are those of a :data:`Rule`; eta
    is ``rate``. At the n-th update, c holds b1, 1 - b1, 1 - b1^n, b2, 1 - b2, 1 - b2^n, epsilon.
    """
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
    rule: Rule,
    p: np.ndarray,
    g: np.ndarray,
    slots: list[np.ndarray],
    clip: float,
    rate: float,
    constants: tuple[float, ...],
) -> list[float]:
    """Apply a rule to a parameter p and its slots in place; return the sums of (new p - p)^2 and of p^2.

    g is the gradient, ``clip`` a factor that scales g, ``rate`` the learning rate, and ``constants`` are the constants
    of the rule. ValueError if shapes differ, or if p or a slot is not C-contiguous.
    """
    require_shapes(gradient=(g, p.shape), **{f"slot {k}": (a, p.shape) for k, a in enumerate(slots)})
    if not all(a.flags.c_contiguous for a in (p, *slots)):
        raise ValueError("parameters and slots must be C-contiguous: else only a flat copy would be updated")
    number = p.dtype.type
    flat = [a.reshape(-1) for a in (p, g, *slots)]
    absent = [np.empty(0, p.dtype)] * (4 - len(flat))
    arguments = *flat, *absent, number(clip), number(rate), np.array(constants, p.dtype)
    return _over_blocks(rule, p.size, 2, *arguments)


def pixel_nats(logits: Matrix, log_std: np.ndarray, target: Matrix) -> Vector:
    """Compute -log N(target; mean = sigmoid(logits), std = e^log_std), summed over the pixels of each image, in nats.

    logits and target are (batch, n), for n pixels; log_std is an array of shape (). The result is (batch,).
    """
    error = target - scipy.special.expit(logits)
    constant = logits.shape[1] * (log_std + logits.dtype.type(0.5 * math.log(2 * math.pi)))
    return 0.5 * np.exp(-2 * log_std) * np.sum(error * error, axis=1) + constant


def pixel_gradients(
    logits: Matrix, log_std: np.ndarray, target: Matrix, d_nats: Vector
) -> tuple[Matrix, float, Matrix]:
    """Compute the loss gradients with respect to logits (batch, n), log_std (as a float) and target (batch, n).

    d_nats (batch,) is the loss gradient with respect to the result of :func:`pixel_nats`.
    """
    mean = scipy.special.expit(logits)
    error = target - mean
    precision = np.exp(-2 * log_std)
    d_target = error * (precision * d_nats)[:, None]
    d_log_std = np.sum(d_nats * (logits.shape[1] - precision * np.sum(error * error, axis=1)))
    return d_target * (mean * (mean - 1)), float(d_log_std), d_target


def gaussian_nats(prediction: Frames, target: Frames, least_variance: float) -> Frames:
    """Compute (log v + (target - m)^2 / v) / 2, elementwise, in nats, for a Gaussian of mean m and variance v.

    This is the negative log-likelihood without the constant log(2 pi) / 2. prediction (..., 2 n) holds n means m, then
    n values log(v - least_variance); target and result are (..., n).
    """
    mean, log_variance = np.split(prediction, 2, axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):  # callers treat an infinite loss as divergence
        variance = np.exp(log_variance) + prediction.dtype.type(least_variance)
        return (np.log(variance) + (target - mean) ** 2 / variance) / 2


def gaussian_gradients(
    prediction: Frames, target: Frames, d_nats: Frames, least_variance: float
) -> tuple[Frames, Frames]:
    """Compute the loss gradients with respect to prediction (..., 2 n) and target (..., n).

    d_nats (..., n) is the loss gradient with respect to the result of :func:`gaussian_nats`.
    """
    mean, log_variance = np.split(prediction, 2, axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        above = np.exp(log_variance)
        variance = above + prediction.dtype.type(least_variance)
        off = (mean - target) / variance
        d_mean = d_nats * off
        d_log = d_nats * (above / variance - off * off * above) / 2
    return np.concatenate([d_mean, d_log], axis=-1), -d_mean
