"""Attention of T queries, each over the P entries before it, forward and backward. Threads divide the sequences.

The equations are those of :class:`rnnaudio.nn.PastAttention`. The history of a sequence consists of P + T rows of m
numbers: the P entries of its past, the oldest first, then the T new entries. Query t = 0, 1, ... attends to the
rows t + 1 to t + P; the last of these is at distance 1. The key of a row is its last n numbers, which are not copied.

The shapes, for B sequences, are: queries and their gradients (T, B, n); past (B, P m); new entries, means and their
gradients (T, B, m); weights and gradients of scores (T, B, P), in the order of the rows; bias (P,), in the same order;
filled (B, 1), the number of states before the first step. Row j exists if j + filled >= P + 1, tested as
j + filled > P + 1/2. Products are computed for BLOCK queries at a time, with the band of rows to which they attend.
"""

from typing import NamedTuple

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.arrays import Frames, Matrix, Number, Vector
from rnnaudio.kernels.buffers import empty
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.product import At, address, at, column_sums, product_at, require_shapes

BLOCK = 64


class Band(NamedTuple):
    """The rows of a sequence's history to which a block of queries attends: n_past old rows, then n_new new rows."""

    past: At
    n_past: int
    new: At
    n_new: int


@njit()
def _band(past: Matrix, new: Frames, length: int, b: int, t: int, n_queries: int, first: int) -> Band:
    """Return the rows for the queries t to t + n_queries - 1 of sequence b.

    The first ``first`` numbers of each row are left out. ``length`` is P. If ``past`` or ``new`` is empty, its
    address in the band is invalid and must not be used.
    """
    m, size = new.shape[2], new.itemsize
    n_past, begin = max(0, length - 1 - t), max(0, t + 1 - length)
    of_past = At(address(past) + b * past.strides[0] + ((t + 1) * m + first) * size, m * size, size)
    of_new = At(address(new) + begin * new.strides[0] + b * new.strides[1] + first * size, new.strides[0], size)
    return Band(of_past, n_past, of_new, n_queries - 1 + length - n_past)


@njit()
def _transposed(a: At) -> At:
    return At(a.address, a.column, a.row)


@njit()
def _at_query(a: Frames, b: int, t: int) -> At:
    """Return address and strides of the rows of sequence b from step t on: (T, B, k) -> (T - t, k)."""
    return At(address(a) + t * a.strides[0] + b * a.strides[1], a.strides[0], a.itemsize)


@njit()
def _against(a: At, band: Band, c: Matrix, n_queries: int, k: int, like: Number) -> None:
    """Set c (queries, rows) to a (queries, k) times the transposed rows of the band."""
    here = at(c)
    product_at(a, _transposed(band.past), here, n_queries, k, band.n_past, False, like)
    there = At(here.address + band.n_past * here.column, here.row, here.column)
    product_at(a, _transposed(band.new), there, n_queries, k, band.n_new, False, like)


@njit()
def _gathered(a: Matrix, band: Band, c: At, n_queries: int, k: int, like: Number) -> None:
    """Set c (queries, k) to a (queries, rows) times the rows of the band."""
    here = at(a)
    product_at(here, band.past, c, n_queries, band.n_past, k, False, like)
    there = At(here.address + band.n_past * here.column, here.row, here.column)
    product_at(there, band.new, c, n_queries, band.n_new, k, True, like)


@njit()
def softmax_from(scores: Vector, bias: Vector, start: int) -> None:
    """Replace scores (P,) by softmax(scores + bias) over the elements from index ``start`` on, and the others by 0."""
    for i in range(min(start, scores.size)):
        scores[i] = 0
    if start >= scores.size:
        return
    for i in range(start, scores.size):
        scores[i] += bias[i]
    largest = scores[start]
    for i in range(start, scores.size):
        largest = max(largest, scores[i])
    total = scores.dtype.type(0)
    for i in range(start, scores.size):
        scores[i] = np.exp(scores[i] - largest)
        total += scores[i]
    for i in range(start, scores.size):
        scores[i] /= total


@njit()
def _spread(compact: Frames, b: int, t: int, n_queries: int, wide: Matrix) -> None:
    """Copy the weights (P,) of each query of a block to the columns of its rows in the band; set the others to 0.

    ``compact`` (T, B, P) holds the weights; ``wide`` (BLOCK, BLOCK - 1 + P) is the result.
    """
    length = compact.shape[2]
    wide[:] = 0
    for r in range(n_queries):
        for i in range(length):
            wide[r, r + i] = compact[t + r, b, i]


@njit()
def _forward(
    queries: Frames, past: Matrix, new: Frames, bias: Vector, filled: Matrix, mean: Frames, weights: Frames,
    first: int, last: int,
) -> None:  # fmt: skip
    n, m, length, like = queries.shape[2], new.shape[2], bias.size, bias[0]
    wide = np.zeros((BLOCK, BLOCK - 1 + length), bias.dtype)
    for b in range(first, last):
        exists = int(np.ceil(length + 0.5 - filled[b, 0]))  # the first row that does
        for t in range(0, queries.shape[0], BLOCK):
            rows = min(BLOCK, queries.shape[0] - t)
            _against(_at_query(queries, b, t), _band(past, new, length, b, t, rows, m - n), wide, rows, n, like)
            for r in range(rows):
                line = weights[t + r, b]
                for i in range(length):
                    line[i] = wide[r, r + i]
                softmax_from(line, bias, max(0, exists - (t + r + 1)))
            _spread(weights, b, t, rows, wide)
            _gathered(wide, _band(past, new, length, b, t, rows, 0), _at_query(mean, b, t), rows, m, like)


@njit()
def _backward(
    past: Matrix, new: Frames, weights: Frames, d_mean: Frames, d_queries: Frames, d_scores: Frames,
    first: int, last: int,
) -> None:  # fmt: skip
    n, m, length, like = d_queries.shape[2], new.shape[2], weights.shape[2], weights.dtype.type(0)
    wide = np.zeros((BLOCK, BLOCK - 1 + length), weights.dtype)
    for b in range(first, last):
        for t in range(0, weights.shape[0], BLOCK):
            rows = min(BLOCK, weights.shape[0] - t)
            _against(_at_query(d_mean, b, t), _band(past, new, length, b, t, rows, 0), wide, rows, m, like)
            for r in range(rows):
                weight, d_score = weights[t + r, b], d_scores[t + r, b]
                common = like
                for i in range(length):
                    common += weight[i] * wide[r, r + i]
                for i in range(length):
                    d_score[i] = weight[i] * (wide[r, r + i] - common)
            _spread(d_scores, b, t, rows, wide)
            _gathered(wide, _band(past, new, length, b, t, rows, m - n), _at_query(d_queries, b, t), rows, n, like)


@njit()
def _spread_back(
    compact: Frames, given: Frames, d_past: Matrix, d_new: Frames, of_past: bool, b: int, wide: Matrix, first: int
) -> None:
    """Add compact[t, b, i] given[t, b], for all t and i, to the gradient of the i-th row to which query t attends.

    The product is added to the numbers from ``first`` on of the row, in d_past if ``of_past``, otherwise in d_new.
    """
    length, like = compact.shape[2], compact.dtype.type(0)
    for t in range(0, compact.shape[0], BLOCK):
        rows = min(BLOCK, compact.shape[0] - t)
        _spread(compact, b, t, rows, wide)
        band, here = _band(d_past, d_new, length, b, t, rows, first), _transposed(at(wide))
        if of_past:
            product_at(here, _at_query(given, b, t), band.past, band.n_past, rows, given.shape[2], True, like)
        else:
            there = At(here.address + band.n_past * here.row, here.row, here.column)
            product_at(there, _at_query(given, b, t), band.new, band.n_new, rows, given.shape[2], True, like)


@njit()
def _rows_back(
    queries: Frames, weights: Frames, d_scores: Frames, d_mean: Frames, d_past: Matrix, d_new: Frames, of_past: bool,
    first: int, last: int,
) -> None:  # fmt: skip
    """Add the gradients of the past rows to d_past if ``of_past``, otherwise those of the new rows to d_new.

    The other array is empty.
    """
    wide = np.zeros((BLOCK, BLOCK - 1 + weights.shape[2]), weights.dtype)
    for b in range(first, last):
        _spread_back(weights, d_mean, d_past, d_new, of_past, b, wide, 0)
        _spread_back(d_scores, queries, d_past, d_new, of_past, b, wide, d_mean.shape[2] - queries.shape[2])


class Forward(NamedTuple):
    """The results of :func:`forward`: weighted means (T, B, m) of the entries, and their weights (T, B, P)."""

    mean: Frames
    weights: Frames


class Backward(NamedTuple):
    """The results of :func:`backward`: loss gradients with respect to queries, bias and scores."""

    queries: Frames
    bias: Vector
    scores: Frames


def forward(queries: Frames, past: Matrix, new: Frames, bias: Vector, filled: Matrix) -> Forward:
    """Compute the weights of the P entries before each query, and the weighted mean of these entries.

    The docstring of the module lists the shapes. ValueError if shapes do not match.
    """
    (n_steps, batch, n), m, length = queries.shape, new.shape[2], bias.size
    require_shapes(
        new=(new, (n_steps, batch, max(m, n))), past=(past, (batch, length * m)), filled=(filled, (batch, 1))
    )
    out = Forward(*(empty((n_steps, batch, width), queries.dtype) for width in (m, length)))
    threads.run(_forward, [(queries, past, new, bias, filled, *out, *share) for share in threads.split(batch)])
    return out


def backward(past: Matrix, new: Frames, weights: Frames, d_mean: Frames, n: int) -> Backward:
    """Compute the gradients of :class:`Backward`, given d_mean (T, B, m), the loss gradient with respect to the means.

    ``weights`` are those returned by :func:`forward`, and n is the width of a query; past and new are the arguments of
    ``forward``. ValueError if d_mean has another shape.
    """
    require_shapes(d_mean=(d_mean, new.shape))
    d_queries, d_scores = empty((*new.shape[:2], n), new.dtype), empty(weights.shape, new.dtype)
    shares = [(past, new, weights, d_mean, d_queries, d_scores, *share) for share in threads.split(new.shape[1])]
    threads.run(_backward, shares)
    return Backward(d_queries, column_sums(d_scores.reshape(-1, weights.shape[2])), d_scores)


def rows_backward(
    queries: Frames, weights: Frames, d_scores: Frames, d_mean: Frames, *, of_past: bool
) -> Matrix | Frames:
    """Compute the loss gradient with respect to past (B, P m) if ``of_past``, otherwise to new (T, B, m).

    ``queries`` is an argument and ``weights`` a result of :func:`forward`. ``d_mean`` is an argument and ``d_scores``
    a result of :func:`backward`: the loss gradients with respect to the means and the scores.
    """
    batch, m, length = d_mean.shape[1], d_mean.shape[2], weights.shape[2]
    d_past = np.zeros((batch, length * m if of_past else 0), d_mean.dtype)
    d_new = np.zeros(d_mean.shape if not of_past else (0, batch, m), d_mean.dtype)
    shares = [(queries, weights, d_scores, d_mean, d_past, d_new, of_past, *s) for s in threads.split(batch)]
    threads.run(_rows_back, shares)
    return d_past if of_past else d_new
