"""All steps of an LSTM on a batch of sequences, forward and backward; each thread computes a share of the batch.

The equations and names are those of :class:`rnnaudio.nn.recurrent.LSTM`. The shapes, for T steps, B sequences and n
units, are: x (T, B, n_in); hidden and cell (T, B, n); gates (T, B, 4 n), in the order i, f, g, o; peepholes (3, n),
for i, f, o; mask (T, B). An empty array stands for no peepholes or no mask.
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
def gates_of(
    z: Vector, bias: Vector, peepholes: Matrix, c_before: Vector, gates: Vector, c: Vector, h: Vector
) -> None:
    """Compute, in place, gates (4 n,), c and h (n,) of one step of one sequence.

    On entry ``gates`` holds x W, the first 4 n numbers of ``z`` hold h R with h of the previous step, and ``c_before``
    is c of the previous step; ``peepholes`` may be empty. There are many short loops over slices because a compiler
    turns a loop into vector instructions only if it can exclude that the arrays of the loop overlap, which fails for
    many arrays and for indices that might be negative.
    """
    n = c.size
    i, f, g, o, i_and_f = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :], gates[: 2 * n]
    for j in range(4 * n):
        gates[j] += z[j] + bias[j]
    if peepholes.size:
        for j in range(n):
            i[j] += peepholes[0, j] * c_before[j]
        for j in range(n):
            f[j] += peepholes[1, j] * c_before[j]
    for j in range(2 * n):
        i_and_f[j] = sigmoid(i_and_f[j])
    for j in range(n):
        g[j] = tanh(g[j])
    for j in range(n):
        c[j] = f[j] * c_before[j]
    for j in range(n):
        c[j] += i[j] * g[j]
    if peepholes.size:
        for j in range(n):
            o[j] += peepholes[2, j] * c[j]
    for j in range(n):
        o[j] = sigmoid(o[j])
    for j in range(n):
        h[j] = o[j] * tanh(c[j])


@njit()
def _forward(
    r: Panels, bias: Vector, peepholes: Matrix, h0: Matrix, c0: Matrix, mask: Mask, h: Frames, c: Frames,
    gates: Frames, first: int, last: int,
) -> None:  # fmt: skip
    """Compute all steps of the sequences first to last - 1; on entry ``gates`` holds x W."""
    n = h0.shape[1]
    z = np.empty((last - first, padded(4 * n, h.itemsize)), h.dtype)
    for t in range(gates.shape[0]):
        h_before, c_before = (h0, c0) if t == 0 else (h[t - 1], c[t - 1])
        multiply(at(h_before[first:last]), last - first, n, address(r), 4 * n, at(z), BACKWARDS * (t % 2), r[0])
        for b in range(first, last):
            if mask.size and mask[t, b] == 0:
                copy_row(h_before[b], h[t, b])
                copy_row(c_before[b], c[t, b])
                clear_row(gates[t, b])
            else:
                gates_of(z[b - first], bias, peepholes, c_before[b], gates[t, b], c[t, b], h[t, b])


@njit()
def gates_back(
    gates: Vector, peepholes: Matrix, c_before: Vector, c: Vector, dh: Vector, dc: Vector, dz: Vector, row: Vector
) -> None:
    """Set dz (4 n,) to the loss gradient with respect to the pre-activations of one step of one sequence.

    On entry dh and dc (n,) are the loss gradients with respect to h and c. On return dc is the loss gradient with
    respect to the previous cell state ``c_before``. ``row`` (n,) is overwritten.
    """
    n = c.size
    one = c.dtype.type(1)
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    dz_i, dz_f, dz_g, dz_o = dz[:n], dz[n : 2 * n], dz[2 * n : 3 * n], dz[3 * n :]
    for j in range(n):
        row[j] = tanh(c[j])
    for j in range(n):
        dz_o[j] = dh[j] * row[j]
    for j in range(n):
        dz_o[j] *= o[j] * (one - o[j])
    for j in range(n):
        row[j] = dh[j] * (one - row[j] * row[j])
    for j in range(n):
        dc[j] += row[j] * o[j]
    if peepholes.size:
        for j in range(n):
            dc[j] += dz_o[j] * peepholes[2, j]
    for j in range(n):
        dz_i[j] = dc[j] * i[j]
    for j in range(n):
        dz_g[j] = dz_i[j] * (one - g[j] * g[j])
    for j in range(n):
        dz_i[j] *= g[j] * (one - i[j])
    for j in range(n):
        dc[j] *= f[j]
    for j in range(n):
        dz_f[j] = dc[j] * (one - f[j])
    for j in range(n):
        dz_f[j] *= c_before[j]
    if peepholes.size:
        for j in range(n):
            dc[j] += dz_i[j] * peepholes[0, j]
        for j in range(n):
            dc[j] += dz_f[j] * peepholes[1, j]


@njit()
def _backward(
    r_transposed: Panels, peepholes: Matrix, c0: Matrix, mask: Mask, c: Frames, gates: Frames, dh_out: Frames,
    dc_out: Frames, dz: Frames, dh0: Matrix, dc0: Matrix, first: int, last: int,
) -> None:  # fmt: skip
    """Compute dz, dh0 and dc0 of the sequences first to last - 1, from the last step to the first."""
    n, rows = c0.shape[1], last - first
    dh = np.zeros((rows, padded(n, c.itemsize)), c.dtype)
    dc = np.zeros((rows, n), c.dtype)
    kept = np.zeros((rows, n), c.dtype)  # gradients with respect to h that pass a masked step unchanged
    row = np.empty(n, c.dtype)
    for t in range(gates.shape[0] - 1, -1, -1):
        c_before = c0 if t == 0 else c[t - 1]
        for b in range(first, last):
            k = b - first
            if dh_out.size:
                add_row(dh_out[t, b], dh[k])
            if dc_out.size:
                add_row(dc_out[t, b], dc[k])
            if mask.size and mask[t, b] == 0:
                copy_row(dh[k], kept[k])
                clear_row(dz[t, b])
            else:
                gates_back(gates[t, b], peepholes, c_before[b], c[t, b], dh[k, :n], dc[k], dz[t, b], row)
        dz_rows, flags = at(dz[t, first:last]), BACKWARDS * (t % 2)
        multiply(dz_rows, rows, 4 * n, address(r_transposed), n, at(dh), flags, r_transposed[0])
        if mask.size:
            for k in range(rows):
                add_row(kept[k], dh[k])
                clear_row(kept[k])
    for k in range(rows):
        copy_row(dh[k], dh0[first + k])
        copy_row(dc[k], dc0[first + k])


class Forward(NamedTuple):
    """The results of :func:`forward`; the docstring of the module lists their shapes."""

    hidden: Frames
    cell: Frames
    gates: Frames


class Backward(NamedTuple):
    """The results of :func:`backward`: loss gradients with respect to pre-activations (dz), parameters, h0 and c0.

    The caller computes the gradients with respect to x and w_input from dz.
    """

    dz: Frames  # (T, B, 4 n)
    w_hidden: Matrix
    bias: Vector
    peepholes: Matrix
    hidden: Matrix  # gradient with respect to h0
    cell: Matrix  # gradient with respect to c0


def forward(
    x: Frames, w_input: Matrix, w_hidden: Matrix, bias: Vector, peepholes: Matrix, h0: Matrix, c0: Matrix, mask: Mask
) -> Forward:
    """Compute states and gates of all T steps of B sequences, from x (T, B, n_in) and the states h0 and c0 (B, n).

    w_input (n_in, 4 n), w_hidden (n, 4 n) and bias (4 n,) hold the blocks i, f, g, o in this order; peepholes are
    (3, n), or empty for none; mask is (T, B), or (0, 0) for no mask. ValueError if shapes do not match.
    """
    n_steps, batch = x.shape[:2]
    n = w_hidden.shape[0]
    require_shapes(
        w_input=(w_input, (x.shape[2], 4 * n)), w_hidden=(w_hidden, (n, 4 * n)), bias=(bias, (4 * n,)),
        h0=(h0, (batch, n)), c0=(c0, (batch, n)), mask=(mask, (n_steps, batch) if mask.size else mask.shape),
        peepholes=(peepholes, (3, n) if peepholes.size else peepholes.shape),
    )  # fmt: skip
    out = Forward(*(empty((n_steps, batch, width), x.dtype) for width in (n, n, 4 * n)))
    product(x.reshape(-1, x.shape[2]), w_input, out.gates.reshape(-1, 4 * n))
    r = pack(w_hidden)
    shares = threads.split(batch, SHARE_ROWS)
    threads.run(_forward, [(r, bias, peepholes, h0, c0, mask, *out, *share) for share in shares])
    return out


def backward(
    w_hidden: Matrix, peepholes: Matrix, h0: Matrix, c0: Matrix, mask: Mask, states: Forward, dh_out: Frames,
    dc_out: Frames,
) -> Backward:  # fmt: skip
    """Compute the gradients of :class:`Backward`, given dh_out and dc_out (T, B, n).

    dh_out and dc_out are the loss gradients with respect to the hidden and cell states of all T steps; an empty array
    (0, 0, 0) stands for a gradient of zero. ``states`` is the result of :func:`forward`; the other arguments are those
    of ``forward``. ValueError if dh_out or dc_out has another shape.
    """
    hidden, cell, gates = states
    _, batch, n = hidden.shape
    require_shapes(
        dh_out=(dh_out, hidden.shape if dh_out.size else dh_out.shape),
        dc_out=(dc_out, hidden.shape if dc_out.size else dc_out.shape),
    )
    dz, dh0, dc0 = empty(gates.shape, gates.dtype), np.empty_like(h0), np.empty_like(c0)
    r_transposed = pack(w_hidden.T)
    shares = threads.split(batch, SHARE_ROWS)
    threads.run(
        _backward,
        [(r_transposed, peepholes, c0, mask, cell, gates, dh_out, dc_out, dz, dh0, dc0, *share) for share in shares],
    )
    flat = dz.reshape(-1, 4 * n)
    d_w = empty(w_hidden.shape, w_hidden.dtype)
    recurrent_gradient(h0, hidden, dz, d_w)
    d_peepholes = np.empty_like(peepholes)
    if peepholes.size:
        d_i, d_f, _, d_o = (dz[:, :, block * n : (block + 1) * n] for block in range(4))
        for row, d in ((0, d_i), (1, d_f)):  # the peepholes of i and f multiply the previous step's cell
            d_peepholes[row] = np.einsum("bn,bn->n", c0, d[0]) + np.einsum("tbn,tbn->n", cell[:-1], d[1:])
        d_peepholes[2] = np.einsum("tbn,tbn->n", cell, d_o)
    return Backward(dz, d_w, column_sums(flat), d_peepholes, dh0, dc0)


@njit()
def _step(
    x: Matrix, h: Matrix, c: Matrix, gates: Matrix, c_before: Matrix, both: Matrix, w: Panels, bias: Vector,
    peepholes: Matrix, zero: Vector,
) -> None:  # fmt: skip
    """Compute one step of all streams, and update h and c in place.

    ``both`` is scratch for [x, h]; w is the packed matrix [W; R].
    """
    (rows, n_in), n = x.shape, h.shape[1]
    for b in range(rows):
        copy_row(x[b], both[b, :n_in])
        copy_row(h[b], both[b, n_in:])
    multiply_few(at(both), rows, n_in + n, address(w), 4 * n, at(gates), bias[0])
    for b in range(rows):
        copy_row(c[b], c_before[b])
        gates_of(zero, bias, peepholes, c_before[b], gates[b, : 4 * n], c[b], h[b])


class LSTMStep(Step):
    """One step of an LSTM for ``n_streams`` sequences. The output is the hidden state.

    The state is [hidden, cell], two arrays (n_streams, n). The shapes of the weights are those of :func:`forward`.
    """

    def __init__(self, w_input: Matrix, w_hidden: Matrix, bias: Vector, peepholes: Matrix, n_streams: int):
        n_in, n = len(w_input), len(w_hidden)
        room = [padded(4 * n, bias.itemsize), n, n_in + n]
        super().__init__(n_streams, n_in, bias.dtype, state=[n, n], room=room)
        self._weights = pack(np.concatenate([w_input, w_hidden])), bias, peepholes, np.zeros_like(bias)

    def advance(self, x: Matrix) -> Matrix:
        _step(x, *self.rows, *self._weights)
        return self.rows[0]
