"""All steps of the memory-LSTM of 2016, forward and backward; each thread computes a share of the batch.

The equations and names are those of :class:`rnnaudio.nn.memory_lstm.MemoryLSTM`. The shapes, for T steps, B sequences,
depth k and width n, are:

x
    (T, B, n)
memory
    (T, B, k n): the memory cells of all depths, which are the only state
hidden
    (T, B, k, 6 n): the hidden layers of the gates' MLPs, in the order f, g, c (forget, input, candidate)
gates
    (T, B, k, 3 n), in the same order
mask
    (T, B), or (0, 0) for no mask
"""

from typing import NamedTuple

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.activations import sigmoid, tanh
from rnnaudio.kernels.arrays import Depths, Frames, Mask, Matrix, Number, Panels, Vector
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
def _hidden_of(z: Vector, bias: Vector, noise: Vector, std: Number, is_lowest: bool, hidden: Vector) -> None:
    """Compute the hidden layers of the three gates' MLPs, for one depth of one step of one sequence.

    On entry the first 6 n numbers of ``z`` hold the product of the MLPs' input and weights. At the lowest depth
    (``is_lowest``) the part that comes from the layer's input x is not in ``z`` but, on entry, in ``hidden``.
    """
    n, zero = hidden.size // 6, hidden.dtype.type(0)
    relus, tanhs = hidden[: 4 * n], hidden[4 * n :]
    if is_lowest:
        for j in range(6 * n):
            hidden[j] += z[j] + bias[j]
    else:
        for j in range(6 * n):
            hidden[j] = z[j] + bias[j]
    if noise.size:
        for j in range(6 * n):
            hidden[j] += std * noise[j]
    for j in range(4 * n):
        relus[j] = zero if relus[j] <= zero else relus[j]  # in this order NaN stays NaN
    for j in range(2 * n):
        tanhs[j] = tanh(tanhs[j])


@njit()
def _gates_of(z: Matrix, bias: Vector, noise: Vector, std: Number, before: Vector, gates: Vector, new: Vector) -> None:
    """Compute f, g, c (in ``gates``) from z, and the new memory cell, f * before + g * c.

    z (3, padded n) holds the pre-activations without bias and noise.
    """
    n = new.size
    f, g, c, f_and_g = gates[:n], gates[n : 2 * n], gates[2 * n :], gates[: 2 * n]
    for k in range(3):
        gate, z_k, bias_k = gates[k * n : (k + 1) * n], z[k], bias[k * n : (k + 1) * n]
        for j in range(n):
            gate[j] = z_k[j] + bias_k[j]
    if noise.size:
        for j in range(3 * n):
            gates[j] += std * noise[j]
    for j in range(2 * n):
        f_and_g[j] = sigmoid(f_and_g[j])
    for j in range(n):
        c[j] = tanh(c[j])
    for j in range(n):
        new[j] = f[j] * before[j]
    for j in range(n):
        new[j] += g[j] * c[j]


@njit()
def _forward(
    packed: tuple[Panels, ...], bias_1: Vector, bias_2: Vector, noise_1: Depths, noise_2: Depths, std: Number,
    m0: Depths, mask: Mask, memory: Depths, hidden: Depths, gates: Depths, first: int, last: int,
) -> None:  # fmt: skip
    """Compute all steps of the sequences first to last - 1; on entry the lowest depth of ``hidden`` holds x W_below.

    W_below is the lower half of w_hidden.
    """
    w_memory, w_below, w_forget, w_input, w_candidate = packed
    n_steps, _, depth, n = memory.shape
    rows, like = last - first, w_memory[0]
    z = np.empty((rows, depth, padded(6 * n, memory.itemsize)), memory.dtype)
    z_gates = np.empty((rows, 3, padded(n, memory.itemsize)), memory.dtype)
    no_noise = bias_1[:0]
    for t in range(n_steps):
        before = m0 if t == 0 else memory[t - 1]
        of_all_depths = before[first:last].reshape(rows * depth, n)
        z_all, back = at(z.reshape(rows * depth, z.shape[2])), BACKWARDS * (t % 2)
        multiply(at(of_all_depths), rows * depth, n, address(w_memory), 6 * n, z_all, back, like)
        for d in range(depth):
            if d > 0:
                below = at(memory[t, first:last, d - 1])
                multiply(below, rows, n, address(w_below), 6 * n, at(z[:, d]), ADD + back, like)
            for b in range(first, last):
                e = noise_1[t, b, d] if noise_1.size else no_noise
                _hidden_of(z[b - first, d], bias_1, e, std, d == 0, hidden[t, b, d])
            h = hidden[t, first:last, d]
            multiply(at(h), rows, 2 * n, address(w_forget), n, at(z_gates[:, 0]), back, like)
            multiply(at(h[:, 2 * n :]), rows, 2 * n, address(w_input), n, at(z_gates[:, 1]), back, like)
            multiply(at(h[:, 4 * n :]), rows, 2 * n, address(w_candidate), n, at(z_gates[:, 2]), back, like)
            for b in range(first, last):
                if mask.size and mask[t, b] == 0:
                    copy_row(before[b, d], memory[t, b, d])
                    clear_row(hidden[t, b, d])  # padding may hold anything, and 0 x inf is not 0 in the backward pass
                    clear_row(gates[t, b, d])
                else:
                    e = noise_2[t, b, d] if noise_2.size else no_noise
                    _gates_of(z_gates[b - first], bias_2, e, std, before[b, d], gates[t, b, d], memory[t, b, d])


@njit()
def _gates_back(gates: Vector, before: Vector, d_memory: Vector, d_gates: Vector) -> None:
    """Set d_gates to the loss gradient with respect to the pre-activations of the gates.

    On entry d_memory is the loss gradient with respect to the new memory cell. On return it has been multiplied
    by f, and is the gradient with respect to the old memory cell ``before``, without the part that flows through the
    gates.
    """
    n = before.size
    f, g, c = gates[:n], gates[n : 2 * n], gates[2 * n :]
    df, dg, dc = d_gates[:n], d_gates[n : 2 * n], d_gates[2 * n :]
    one = before.dtype.type(1)
    for j in range(n):
        df[j] = d_memory[j] * before[j]
    for j in range(n):
        df[j] *= f[j] * (one - f[j])
    for j in range(n):
        dg[j] = d_memory[j] * c[j]
    for j in range(n):
        dg[j] *= g[j] * (one - g[j])
    for j in range(n):
        dc[j] = d_memory[j] * g[j]
    for j in range(n):
        dc[j] *= one - c[j] * c[j]
    for j in range(n):
        d_memory[j] *= f[j]


@njit()
def _hidden_back(hidden: Vector, z: Matrix, d_hidden: Vector) -> None:
    """Set d_hidden to the loss gradient with respect to the pre-activations of the gates' hidden layers.

    z (3, padded 2 n) is the loss gradient with respect to the activations ``hidden``.
    """
    n = hidden.size // 6
    zero = hidden.dtype.type(0)
    one = hidden.dtype.type(1)
    for k in range(2):
        d, h, z_k = d_hidden[k * 2 * n : (k + 1) * 2 * n], hidden[k * 2 * n : (k + 1) * 2 * n], z[k]
        for j in range(2 * n):
            d[j] = zero if h[j] <= zero else z_k[j]
    d, h, z_c = d_hidden[4 * n :], hidden[4 * n :], z[2]
    for j in range(2 * n):
        d[j] = z_c[j] * (one - h[j] * h[j])


@njit()
def _backward(
    packed: tuple[Panels, ...], m0: Depths, mask: Mask, memory: Depths, hidden: Depths, gates: Depths, d_out: Depths,
    d_hidden: Depths, d_gates: Depths, dm0: Depths, first: int, last: int,
) -> None:  # fmt: skip
    """Compute d_hidden, d_gates and dm0 of the sequences first to last - 1, in reverse order of steps and depths."""
    w_memory, w_below, w_forget, w_input, w_candidate = packed  # transposed
    n_steps, _, depth, n = memory.shape
    rows, like = last - first, w_memory[0]
    dm = np.zeros((rows, depth, padded(n, memory.itemsize)), memory.dtype)
    z = np.empty((rows, 3, padded(2 * n, memory.itemsize)), memory.dtype)
    for t in range(n_steps - 1, -1, -1):
        before, back = (m0 if t == 0 else memory[t - 1]), BACKWARDS * (t % 2)
        for b in range(first, last):
            for d in range(depth):
                add_row(d_out[t, b, d], dm[b - first, d])
        for d in range(depth - 1, -1, -1):
            for b in range(first, last):
                if mask.size and mask[t, b] == 0:
                    clear_row(d_gates[t, b, d])
                else:
                    _gates_back(gates[t, b, d], before[b, d], dm[b - first, d, :n], d_gates[t, b, d])
            g = d_gates[t, first:last, d]
            multiply(at(g), rows, n, address(w_forget), 2 * n, at(z[:, 0]), back, like)
            multiply(at(g[:, n:]), rows, n, address(w_input), 2 * n, at(z[:, 1]), back, like)
            multiply(at(g[:, 2 * n :]), rows, n, address(w_candidate), 2 * n, at(z[:, 2]), back, like)
            for b in range(first, last):
                _hidden_back(hidden[t, b, d], z[b - first], d_hidden[t, b, d])
            if d > 0:
                above = at(d_hidden[t, first:last, d])
                multiply(above, rows, 6 * n, address(w_below), n, at(dm[:, d - 1]), ADD + back, like)
        of_all_depths = at(d_hidden[t, first:last].reshape(rows * depth, 6 * n))
        dm_all = at(dm.reshape(rows * depth, dm.shape[2]))
        multiply(of_all_depths, rows * depth, 6 * n, address(w_memory), n, dm_all, ADD + back, like)
    for k in range(rows):
        for d in range(depth):
            copy_row(dm[k, d, :n], dm0[first + k, d])


class Forward(NamedTuple):
    """The results of :func:`forward`; the docstring of the module lists their shapes."""

    memory: Frames
    hidden: Depths
    gates: Depths


class Backward(NamedTuple):
    """The results of :func:`backward`: loss gradients with respect to the parameters, m0 and pre-activations (dz).

    dz refers to the pre-activations of the hidden layers at the lowest depth. From dz the caller computes the gradient
    with respect to x.
    """

    dz: Frames  # (T, B, 6 n)
    w_hidden: Matrix
    bias_hidden: Vector
    w_gates: Matrix
    bias_gates: Vector
    memory: Matrix  # gradient with respect to m0


def _blocks(w_gates: Matrix) -> list[Matrix]:
    n = w_gates.shape[1] // 3
    return [w_gates[:, k * n : (k + 1) * n] for k in range(3)]


def forward(
    x: Frames, w_hidden: Matrix, bias_hidden: Vector, w_gates: Matrix, bias_gates: Vector, m0: Matrix, mask: Mask,
    noise_hidden: Frames, noise_gates: Frames, std: Number | np.ndarray,
) -> Forward:  # fmt: skip
    """Compute memory cells, hidden layers and gates of all T steps of B sequences, from x (T, B, n) and m0 (B, k n).

    m0 holds the initial memory cells of k depths. w_hidden (2 n, 6 n), bias_hidden (6 n,), w_gates (2 n, 3 n) and
    bias_gates (3 n,) hold the blocks f, g, c in this order. The random numbers noise_hidden (T, B, k 6 n) and
    noise_gates (T, B, k 3 n), or empty arrays for no noise, are multiplied by ``std``. mask is (T, B), or (0, 0) for
    no mask. ValueError if shapes do not match.
    """
    n_steps, batch, n = x.shape
    depth = m0.shape[1] // n
    require_shapes(
        w_hidden=(w_hidden, (2 * n, 6 * n)), bias_hidden=(bias_hidden, (6 * n,)),
        w_gates=(w_gates, (2 * n, 3 * n)), bias_gates=(bias_gates, (3 * n,)), m0=(m0, (batch, depth * n)),
        mask=(mask, (n_steps, batch) if mask.size else mask.shape),
    )  # fmt: skip
    for noise, width in ((noise_hidden, 6 * n), (noise_gates, 3 * n)):
        require_shapes(noise=(noise, (n_steps, batch, depth * width) if noise.size else noise.shape))
    out = Forward(*(empty((n_steps, batch, depth, width), x.dtype) for width in (n, 6 * n, 3 * n)))
    lowest = out.hidden.reshape(n_steps * batch, -1)[:, : 6 * n]
    product(x.reshape(-1, n), w_hidden[n:], lowest)
    packed = tuple(map(pack, (w_hidden[:n], w_hidden[n:], *_blocks(w_gates))))
    noises = [
        e.reshape(n_steps, batch, depth, -1) if e.size else np.empty((0, 0, 0, 0), x.dtype)
        for e in (noise_hidden, noise_gates)
    ]
    shares = threads.split(batch, SHARE_ROWS)
    given = packed, bias_hidden, bias_gates, *noises, x.dtype.type(std), m0.reshape(batch, depth, n), mask
    threads.run(_forward, [(*given, *out, *share) for share in shares])
    return out._replace(memory=out.memory.reshape(n_steps, batch, depth * n))


def backward(
    x: Frames, w_hidden: Matrix, w_gates: Matrix, m0: Matrix, mask: Mask, states: Forward, d_out: Frames
) -> Backward:
    """Compute the gradients of :class:`Backward`, given d_out (T, B, k n).

    d_out is the loss gradient with respect to the memory cells of all T steps. ``states`` is the result of
    :func:`forward`; the other arguments are those of ``forward``. ValueError if d_out has another shape.
    """
    n_steps, batch, n = x.shape
    depth = m0.shape[1] // n
    require_shapes(d_out=(d_out, (n_steps, batch, depth * n)))
    memory, d_memory = (a.reshape(n_steps, batch, depth, n) for a in (states.memory, d_out))
    d_hidden, d_gates = (empty(a.shape, a.dtype) for a in (states.hidden, states.gates))
    packed = tuple(pack(w.T) for w in (w_hidden[:n], w_hidden[n:], *_blocks(w_gates)))
    dm0 = np.empty((batch, depth, n), x.dtype)
    given = packed, m0.reshape(batch, depth, n), mask, memory, states.hidden, states.gates, d_memory
    shares = threads.split(batch, SHARE_ROWS)
    threads.run(_backward, [(*given, d_hidden, d_gates, dm0, *share) for share in shares])
    lowest = d_hidden.reshape(n_steps * batch, -1)[:, : 6 * n]
    flat_hidden, flat_gates = d_hidden.reshape(-1, 6 * n), d_gates.reshape(-1, 3 * n)
    return Backward(
        d_hidden[:, :, 0],
        _d_w_hidden(x, m0, memory, d_hidden, lowest),
        column_sums(flat_hidden),
        _d_w_gates(states.hidden.reshape(-1, 6 * n), flat_gates),
        column_sums(flat_gates),
        dm0.reshape(batch, depth * n),
    )


def _d_w_hidden(x: Frames, m0: Matrix, memory: Depths, d_hidden: Depths, lowest: Matrix) -> Matrix:
    """Return the loss gradient with respect to w_hidden (2 n, 6 n).

    Its upper half is the sum over i and d of M(i-1, d)^T dz(i, d), its lower half that of M(i, d-1)^T dz(i, d), with
    dz = ``d_hidden``, and with the input x as M(i, 0). ``lowest`` is d_hidden at the lowest depth.
    """
    n_steps, batch, depth, n = memory.shape
    d_w = empty((2 * n, 6 * n), x.dtype)
    rows_of_step = (batch * depth, n)
    recurrent_gradient(
        m0.reshape(rows_of_step), memory.reshape(n_steps, *rows_of_step),
        d_hidden.reshape(n_steps, batch * depth, 6 * n), d_w[:n],
    )  # fmt: skip
    product(x.reshape(-1, n).T, lowest, d_w[n:])
    by_depth, d_by_depth = memory.reshape(-1, depth, n), d_hidden.reshape(-1, depth, 6 * n)
    for d in range(1, depth):
        product(by_depth[:, d - 1].T, d_by_depth[:, d], d_w[n:], add=True)
    return d_w


def _d_w_gates(hidden: Matrix, d_gates: Matrix) -> Matrix:
    """Return the loss gradient with respect to w_gates (2 n, 3 n): (hidden layer)^T dz for each gate, side by side."""
    n = d_gates.shape[1] // 3
    d_w = empty((2 * n, 3 * n), hidden.dtype)
    for k in range(3):
        product(hidden[:, 2 * n * k : 2 * n * (k + 1)].T, d_gates[:, n * k : n * (k + 1)], d_w[:, n * k : n * (k + 1)])
    return d_w


@njit()
def _step(
    x: Matrix, memory: Matrix, both: Matrix, z: Matrix, z_gates: Matrix, hidden: Matrix, gates: Matrix, before: Matrix,
    w_hidden: Panels, w_gates: Matrix, bias_1: Vector, bias_2: Vector,
) -> None:  # fmt: skip
    """Compute one step of all streams, and update ``memory`` in place.

    ``both`` is scratch for [M(i-1, d), M(i, d-1)].
    """
    (rows, n), zero = x.shape, x.dtype.type(0)
    depth, no_noise = memory.shape[1] // n, bias_1[:0]
    width = z_gates.shape[1] // 3
    for d in range(depth):
        for b in range(rows):
            below = x[b] if d == 0 else memory[b, (d - 1) * n : d * n]
            copy_row(memory[b, d * n : (d + 1) * n], both[b, :n])
            copy_row(below, both[b, n:])
        multiply_few(at(both), rows, 2 * n, address(w_hidden), 6 * n, at(z), zero)
        for b in range(rows):
            _hidden_of(z[b], bias_1, no_noise, zero, False, hidden[b])
        for k in range(3):
            panels = address(w_gates[k])
            multiply_few(at(hidden[:, 2 * n * k :]), rows, 2 * n, panels, n, at(z_gates[:, width * k :]), zero)
        for b in range(rows):
            copy_row(both[b, :n], before[b])
            new = memory[b, d * n : (d + 1) * n]
            _gates_of(z_gates[b].reshape(3, width), bias_2, no_noise, zero, before[b], gates[b], new)


class MemoryStep(Step):
    """One step of a memory-LSTM for ``n_streams`` sequences.

    The state and the output are the memory cells of all depths, (n_streams, depth n). The shapes of the weights are
    those of :func:`forward`.
    """

    def __init__(
        self, w_hidden: Matrix, bias_hidden: Vector, w_gates: Matrix, bias_gates: Vector, depth: int, n_streams: int
    ):
        n = len(w_hidden) // 2
        wide, narrow = (padded(width, bias_gates.itemsize) for width in (6 * n, n))
        room = [2 * n, wide, 3 * narrow, 6 * n, 3 * n, n]
        super().__init__(n_streams, n, bias_gates.dtype, state=[depth * n], room=room)
        self._weights = pack(w_hidden), np.stack([pack(w) for w in _blocks(w_gates)]), bias_hidden, bias_gates

    def advance(self, x: Matrix) -> Matrix:
        _step(x, *self.rows, *self._weights)
        return self.rows[0]
