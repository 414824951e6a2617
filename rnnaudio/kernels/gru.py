"""All steps of a GRU on a batch of sequences, forward and backward; each thread computes a share of the batch.

The equations and names are those of :class:`rnnaudio.nn.recurrent.GRU`. The shapes, for T steps, B sequences and n
units, are: x (T, B, n_in); hidden (T, B, n); gates (T, B, 3 n), in the order r, u, k; reset = h_{t-1} * r_t
(T, B, n); mask (T, B), or (0, 0) for no mask.
"""

from typing import NamedTuple

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.activations import sigmoid, tanh
from rnnaudio.kernels.arrays import Frames, Mask, Matrix, Panels, Vector
from rnnaudio.kernels.buffers import empty
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.few_rows import multiply_few
from rnnaudio.kernels.micro import SHARE_ROWS
from rnnaudio.kernels.product import (
    ADD,
    BACKWARDS,
    add_row,
    address,
    at,
    clear_row,
    column_sums,
    copy_row,
    multiply,
    pack,
    padded,
    product,
    recurrent_gradient,
    require_shapes,
)
from rnnaudio.kernels.step import Step


@njit()
def _gates_of(z: Vector, bias: Vector, old: Vector, r_and_u: Vector, reset: Vector) -> None:
    """Compute r, u and reset = h * r: the first half of one step of one sequence.

    On entry ``r_and_u`` holds x W, ``z`` holds h R, and ``old`` is h; on return ``r_and_u`` holds the gates. The
    reason for many short loops is given in :func:`rnnaudio.kernels.lstm.gates_of`.
    """
    n = old.size
    for j in range(2 * n):
        r_and_u[j] += z[j] + bias[j]
    for j in range(2 * n):
        r_and_u[j] = sigmoid(r_and_u[j])
    for j in range(n):
        reset[j] = old[j] * r_and_u[j]


@njit()
def _state_of(z: Vector, bias_k: Vector, old: Vector, u: Vector, k: Vector, new: Vector) -> None:
    """Compute the candidate k and the new state ``new``: the second half of one step of one sequence.

    On entry ``k`` holds x W_k, ``z`` holds (h * r) R_k, and ``old`` is h.
    """
    n = old.size
    for j in range(n):
        k[j] += z[j] + bias_k[j]
    for j in range(n):
        k[j] = tanh(k[j])
    for j in range(n):
        new[j] = u[j] * (k[j] - old[j])
    for j in range(n):
        new[j] += old[j]


@njit()
def _forward(
    r_gates: Panels, r_candidate: Panels, bias: Vector, h0: Matrix, mask: Mask,
    h: Frames, gates: Frames, reset: Frames, first: int, last: int,
) -> None:  # fmt: skip
    """Compute all steps of the sequences first to last - 1; on entry ``gates`` holds x W."""
    n, rows, like = h0.shape[1], last - first, r_gates[0]
    z_gates = np.empty((rows, padded(2 * n, h.itemsize)), h.dtype)
    z_candidate = np.empty((rows, padded(n, h.itemsize)), h.dtype)
    for t in range(gates.shape[0]):
        h_before, back = (h0 if t == 0 else h[t - 1]), BACKWARDS * (t % 2)
        multiply(at(h_before[first:last]), rows, n, address(r_gates), 2 * n, at(z_gates), back, like)
        for b in range(first, last):
            _gates_of(z_gates[b - first], bias, h_before[b], gates[t, b, : 2 * n], reset[t, b])
        multiply(at(reset[t, first:last]), rows, n, address(r_candidate), n, at(z_candidate), back, like)
        for b in range(first, last):
            if mask.size and mask[t, b] == 0:
                copy_row(h_before[b], h[t, b])
                clear_row(gates[t, b])  # a padded step may hold anything, and 0 x inf is not 0 in the backward pass
                clear_row(reset[t, b])
            else:
                u, k = gates[t, b, n : 2 * n], gates[t, b, 2 * n :]
                _state_of(z_candidate[b - first], bias[2 * n :], h_before[b], u, k, h[t, b])


@njit()
def _backward(
    gates_transposed: Panels, candidate_transposed: Panels, h0: Matrix, mask: Mask, h: Frames, gates: Frames,
    dh_out: Frames, dz: Frames, dh0: Matrix, first: int, last: int,
) -> None:  # fmt: skip
    """Compute dz and dh0 of the sequences first to last - 1, from the last step to the first."""
    n, rows, like = h0.shape[1], last - first, gates_transposed[0]
    one = h.dtype.type(1)
    dh = np.zeros((rows, padded(n, h.itemsize)), h.dtype)
    d_reset = np.empty((rows, padded(n, h.itemsize)), h.dtype)
    for t in range(gates.shape[0] - 1, -1, -1):
        h_before = h0 if t == 0 else h[t - 1]
        for b in range(first, last):
            d, dz_b, gate, old = dh[b - first], dz[t, b], gates[t, b], h_before[b]
            if dh_out.size:
                add_row(dh_out[t, b], d)
            if mask.size and mask[t, b] == 0:
                clear_row(dz_b)
                continue
            u, k, dz_u, dz_k = gate[n : 2 * n], gate[2 * n :], dz_b[n : 2 * n], dz_b[2 * n :]
            for j in range(n):
                dz_k[j] = d[j] * u[j]
            for j in range(n):
                dz_k[j] *= one - k[j] * k[j]
            for j in range(n):
                dz_u[j] = d[j] * (k[j] - old[j])
            for j in range(n):
                dz_u[j] *= u[j] * (one - u[j])
        dz_k_rows, dz_rows = at(dz[t, first:last, 2 * n :]), at(dz[t, first:last])
        multiply(dz_k_rows, rows, n, address(candidate_transposed), n, at(d_reset), BACKWARDS * (t % 2), like)
        for b in range(first, last):
            if mask.size and mask[t, b] == 0:
                continue
            d, dr, dz_r, gate, old = dh[b - first], d_reset[b - first], dz[t, b, :n], gates[t, b], h_before[b]
            for j in range(n):
                dz_r[j] = dr[j] * old[j]
            for j in range(n):
                dz_r[j] *= gate[j] * (one - gate[j])
            u = gate[n : 2 * n]
            for j in range(n):
                d[j] *= one - u[j]
            for j in range(n):
                d[j] += dr[j] * gate[j]
        multiply(dz_rows, rows, 2 * n, address(gates_transposed), n, at(dh), ADD + BACKWARDS * (t % 2), like)
    for k in range(rows):
        copy_row(dh[k], dh0[first + k])


class Forward(NamedTuple):
    """The results of :func:`forward`; the docstring of the module lists their shapes."""

    hidden: Frames
    gates: Frames
    reset: Frames


class Backward(NamedTuple):
    """The results of :func:`backward`: loss gradients with respect to pre-activations (dz), parameters and h0.

    The caller computes the gradients with respect to x and w_input from dz.
    """

    dz: Frames  # (T, B, 3 n)
    w_hidden: Matrix
    bias: Vector
    hidden: Matrix  # gradient with respect to h0


def forward(x: Frames, w_input: Matrix, w_hidden: Matrix, bias: Vector, h0: Matrix, mask: Mask) -> Forward:
    """Compute hidden states and gates of all T steps of B sequences, from x (T, B, n_in) and the state h0 (B, n).

    w_input (n_in, 3 n), w_hidden (n, 3 n) and bias (3 n,) hold the blocks r, u, k in this order; mask is (T, B), or
    (0, 0) for no mask. ValueError if shapes do not match.
    """
    n_steps, batch = x.shape[:2]
    n = w_hidden.shape[0]
    require_shapes(
        w_input=(w_input, (x.shape[2], 3 * n)), w_hidden=(w_hidden, (n, 3 * n)), bias=(bias, (3 * n,)),
        h0=(h0, (batch, n)), mask=(mask, (n_steps, batch) if mask.size else mask.shape),
    )  # fmt: skip
    out = Forward(*(empty((n_steps, batch, width), x.dtype) for width in (n, 3 * n, n)))
    product(x.reshape(-1, x.shape[2]), w_input, out.gates.reshape(-1, 3 * n))
    r_gates, r_candidate = pack(w_hidden[:, : 2 * n]), pack(w_hidden[:, 2 * n :])
    shares = threads.split(batch, SHARE_ROWS)
    threads.run(_forward, [(r_gates, r_candidate, bias, h0, mask, *out, *share) for share in shares])
    return out


def backward(w_hidden: Matrix, h0: Matrix, mask: Mask, states: Forward, dh_out: Frames) -> Backward:
    """Compute the gradients of :class:`Backward`, given dh_out (T, B, n).

    dh_out is the loss gradient with respect to the hidden states of all T steps. ``states`` is the result of
    :func:`forward`; the other arguments are those of ``forward``. ValueError if dh_out has another shape.
    """
    hidden, gates, reset = states
    _, batch, n = hidden.shape
    require_shapes(dh_out=(dh_out, hidden.shape))
    dz, dh0 = empty(gates.shape, gates.dtype), np.empty_like(h0)
    transposed = pack(w_hidden[:, : 2 * n].T), pack(w_hidden[:, 2 * n :].T)
    shares = threads.split(batch, SHARE_ROWS)
    threads.run(_backward, [(*transposed, h0, mask, hidden, gates, dh_out, dz, dh0, *share) for share in shares])
    flat = dz.reshape(-1, 3 * n)
    d_w = empty(w_hidden.shape, w_hidden.dtype)
    recurrent_gradient(h0, hidden, dz[:, :, : 2 * n], d_w[:, : 2 * n])
    product(reset.reshape(-1, n).T, flat[:, 2 * n :], d_w[:, 2 * n :])
    return Backward(dz, d_w, column_sums(flat), dh0)


@njit()
def _step(
    x: Matrix, h: Matrix, r_and_u: Matrix, k: Matrix, new: Matrix, both: Matrix, w_gates: Panels, w_candidate: Panels,
    bias: Vector, zero: Vector,
) -> None:  # fmt: skip
    """Compute one step of all streams, and update h in place; ``both`` is scratch for [x, h], then [x, h * r]."""
    (rows, n_in), n, like = x.shape, h.shape[1], bias[0]
    for b in range(rows):
        copy_row(x[b], both[b, :n_in])
        copy_row(h[b], both[b, n_in:])
    multiply_few(at(both), rows, n_in + n, address(w_gates), 2 * n, at(r_and_u), like)
    for b in range(rows):
        _gates_of(zero, bias, h[b], r_and_u[b, : 2 * n], both[b, n_in:])
    multiply_few(at(both), rows, n_in + n, address(w_candidate), n, at(k), like)
    for b in range(rows):
        _state_of(zero, bias[2 * n :], h[b], r_and_u[b, n : 2 * n], k[b], new[b])
        copy_row(new[b], h[b])


class GRUStep(Step):
    """One step of a GRU for ``n_streams`` sequences. The state and the output are the hidden state (n_streams, n).

    The shapes of the weights are those of :func:`forward`.
    """

    def __init__(self, w_input: Matrix, w_hidden: Matrix, bias: Vector, n_streams: int):
        n_in, n = len(w_input), len(w_hidden)
        room = [padded(2 * n, bias.itemsize), padded(n, bias.itemsize), n, n_in + n]
        super().__init__(n_streams, n_in, bias.dtype, state=[n], room=room)
        w = np.concatenate([w_input, w_hidden])
        self._weights = pack(w[:, : 2 * n]), pack(w[:, 2 * n :]), bias, np.zeros_like(bias)

    def advance(self, x: Matrix) -> Matrix:
        _step(x, *self.rows, *self._weights)
        return self.rows[0]
