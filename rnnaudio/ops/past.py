"""Attention over the entries before each step, by a kernel or by the engine's own operations."""

from collections.abc import Sequence

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Gradient, Symbolic, tt
from rnnaudio.kernels import past as kernel
from rnnaudio.ops.arrays import contiguous


def past_attention(queries: Symbolic, past: Symbolic, new: Symbolic, bias: Symbolic, filled: Symbolic) -> Symbolic:
    """Compute, for each of T steps, the mean (T, B, m) of the last P entries, weighted by attention.

    queries
        (T, B, n). The score of an entry is the product of the query and the last n numbers of the entry, plus a bias.
    past
        (B, P m): the P entries before the first step, the oldest first.
    new
        (T, B, m): the entry that each step adds. The query of the same step attends to it and to the P - 1 entries
        before it.
    bias
        (P,), the biases of the scores, from the oldest entry to the latest.
    filled
        (B, 1): number of recurrent states before the first step, counted up to P + 1. An entry holds the state before
        its step, so new[0] exists if filled >= 1, and the last filled - 1 entries of past exist (none if filled is 0).
        With past and new joined in this order, entry j = 0, 1, ... exists if j + filled >= P + 1.

    The mean is 0 where no entry exists. The equations are those of :class:`rnnaudio.nn.PastAttention`.
    """
    if engine.kernel() == "fused":
        return _PastAttention()(queries, past, new, bias, filled)[0]
    return _by_engine(queries, past, new, bias, filled)


def last_entries(past: Symbolic, new: Symbolic, n_past: int) -> Symbolic:
    """Append the new entries (T, B, m) to the past (B, P m) and return the last P = ``n_past`` entries, (B, P m)."""
    entries = past.reshape((past.shape[0], n_past, new.shape[2]))[:, new.shape[0] :]
    joined = tt.concatenate([entries, new.dimshuffle(1, 0, 2)[:, -n_past:]], axis=1)
    return joined.reshape((past.shape[0], past.shape[1]))


def _by_engine(queries: Symbolic, past: Symbolic, new: Symbolic, bias: Symbolic, filled: Symbolic) -> Symbolic:
    """Compute :func:`past_attention` from the scores of all pairs (query, entry), with a mask for the softmax."""
    n_steps, batch, m = new.shape[0], new.shape[1], new.shape[2]
    length = bias.shape[0]
    rows = tt.concatenate([past.reshape((batch, length, m)), new.dimshuffle(1, 0, 2)], axis=1)
    scores = engine.batched_dot(queries.dimshuffle(1, 0, 2), rows[:, :, m - queries.shape[2] :].dimshuffle(0, 2, 1))
    row = tt.arange(length + n_steps)
    place = row[None, :] - tt.arange(1, n_steps + 1)[:, None]  # of a row among those that a query looks at
    near = tt.and_(tt.ge(place, 0), tt.lt(place, length))
    exists = tt.cast(row, queries.dtype)[None, :] + filled[:, 0][:, None] > tt.cast(
        length, queries.dtype
    ) + np.asarray(0.5, queries.dtype)
    seen = tt.and_(near[None, :, :], exists[:, None, :])
    scores = scores + bias[tt.clip(place, 0, length - 1)][None, :, :]
    weights = masked_softmax(scores, seen)
    return engine.batched_dot(weights, rows).dimshuffle(1, 0, 2)


def masked_softmax(scores: Symbolic, seen: Symbolic) -> Symbolic:
    """Compute the softmax over the last axis of ``scores`` (..., k), restricted to elements where ``seen`` is True.

    ``seen`` is (..., k), boolean. All other elements of the result are 0.
    """
    lowest = tt.min(scores, axis=-1, keepdims=True)
    largest = tt.max(tt.switch(seen, scores, lowest), axis=-1, keepdims=True)
    powers = tt.switch(seen, tt.exp(tt.switch(seen, scores - largest, tt.zeros_like(scores))), tt.zeros_like(scores))
    total = tt.sum(powers, axis=-1, keepdims=True)
    return powers / tt.switch(total > 0, total, tt.ones_like(total))


class _PastAttention(engine.Kernel):
    """The graph operation (queries, past, new, bias, filled) -> means (T, B, m), weights (T, B, P)."""

    ndims = (3, 3)
    data = (4,)

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        return kernel.forward(*map(contiguous, arrays))

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        queries, past, new, _, _ = inputs
        weights, d_mean = outputs[1], output_gradients[0]
        d_queries, d_bias, d_scores = _Gradient()(past, new, weights, d_mean, queries.shape[2])
        d_past, d_new = (_RowsGradient(of_past)(queries, weights, d_scores, d_mean) for of_past in (True, False))
        return [d_queries, d_past, d_new, d_bias, None]


class _Gradient(engine.Kernel):
    """The graph operation (past, new, weights, gradient of the means, n) -> gradients of queries, bias and scores."""

    ndims = (3, 1, 3)

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        past, new, weights, d_mean, n = map(contiguous, arrays)
        return kernel.backward(past, new, weights, d_mean, int(n))


class _RowsGradient(engine.Kernel):
    """The graph operation (queries, weights, gradients of scores and means) -> gradient of ``past``, or of ``new``.

    The result is the gradient of ``past`` if ``of_past`` is True, otherwise that of ``new``.
    """

    def __init__(self, of_past: bool):
        self.ndims, self.of_past = (2 if of_past else 3,), of_past

    __props__ = ("ndims", "of_past")

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        return [kernel.rows_backward(*map(contiguous, arrays), of_past=self.of_past)]
