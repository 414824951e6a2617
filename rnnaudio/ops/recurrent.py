"""Recurrent cells over whole sequences, each a single graph operation: T time steps, B sequences, n units."""

from collections.abc import Sequence

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Gradient, SharedVariable, Symbolic, tt
from rnnaudio.kernels import gru as gru_kernel
from rnnaudio.kernels import lstm as lstm_kernel
from rnnaudio.kernels import memory_lstm as memory_kernel
from rnnaudio.kernels.buffers import empty
from rnnaudio.ops.arrays import absent, contiguous
from rnnaudio.ops.dense import Product, WeightGradient


def _mask_or_absent(mask: Symbolic | None) -> Symbolic:
    return absent(2, "int8") if mask is None else tt.cast(tt.neq(mask, 0), "int8")


def lstm(
    x: Symbolic,
    w: Symbolic,
    r: Symbolic,
    bias: Symbolic,
    peepholes: Sequence[Symbolic],
    h0: Symbolic,
    c0: Symbolic,
    mask: Symbolic | None,
) -> tuple[Symbolic, Symbolic]:
    """Compute the hidden and the cell states of an LSTM after every step: x (T, B, n_in) -> two arrays (T, B, n).

    There are T steps, B sequences and n units. The arguments are input weights w (n_in, 4 n), recurrent weights r
    (n, 4 n), bias (4 n,), three peepholes (n,) or an empty sequence, initial states h0 and c0 (B, n), and a mask
    (T, B) or None; steps at which the mask is 0 leave the state unchanged. The equations, and the order of the blocks
    of the weights, are those of :class:`rnnaudio.nn.LSTM`.
    """
    p = tt.stack(peepholes) if peepholes else absent(2, x.dtype)
    hidden, cell, _ = _LSTMSequence()(x, w, r, bias, p, h0, c0, _mask_or_absent(mask))
    return hidden, cell


def gru(x: Symbolic, w: Symbolic, r: Symbolic, bias: Symbolic, h0: Symbolic, mask: Symbolic | None) -> Symbolic:
    """Compute the hidden states of a GRU after every step: x (T, B, n_in) -> (T, B, n).

    There are T steps, B sequences and n units. The arguments are input weights w (n_in, 3 n), recurrent weights r
    (n, 3 n), bias (3 n,), initial state h0 (B, n), and a mask (T, B) or None; steps at which the mask is 0 leave the
    state unchanged. The equations, and the order of the blocks of the weights, are those of :class:`rnnaudio.nn.GRU`.
    """
    return _GRUSequence()(x, w, r, bias, h0, _mask_or_absent(mask))[0]


def memory_lstm(
    x: Symbolic,
    weights: Sequence[Symbolic],
    m0: Symbolic,
    mask: Symbolic | None,
    noises: Sequence[Symbolic | tuple[()]],
    std: SharedVariable,
) -> Symbolic:
    """Compute the memory cells of a :class:`rnnaudio.nn.MemoryLSTM` of depth k after every step.

    There are T steps and B sequences: x (T, B, n) -> (T, B, k n).

    weights
        w_hidden (2 n, 6 n), bias_hidden (6 n,), w_gates (2 n, 3 n) and bias_gates (3 n,).
    m0
        the initial memory cells (B, k n).
    mask
        (T, B); steps at which it is 0 leave the memory cells unchanged. None: no mask.
    noises
        two arrays of random numbers N(0, 1), for the hidden layers (T, B, k 6 n) and for the gates (T, B, k 3 n); two
        empty tuples for no noise.
    std
        the standard deviation of the noise, a scalar that multiplies both arrays.
    """
    sampled = [absent(3, x.dtype) if isinstance(noise, tuple) else noise for noise in noises]
    return _MemoryLSTMSequence()(x, *weights, m0, _mask_or_absent(mask), *sampled, std)[0]


class _LSTMSequence(engine.Kernel):
    """The graph operation (x, W, R, b, p, h0, c0, mask) -> hidden states, cell states and gates of all steps."""

    ndims = (3, 3, 3)
    is_sequence = True

    def compute(self, x: np.ndarray, *others: np.ndarray) -> Sequence[np.ndarray]:
        return lstm_kernel.forward(np.ascontiguousarray(x), *map(np.ascontiguousarray, others))

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        x, w, r, _, p, h0, c0, mask = inputs
        dh, dc = (absent(3, x.dtype) if g is None else g for g in output_gradients[:2])
        dz, *rest = _LSTMSequenceGradient()(r, p, h0, c0, mask, *outputs, dh, dc)
        return [Product(3)(dz, w.T), WeightGradient()(x, dz), *rest, None]


class _LSTMSequenceGradient(engine.Kernel):
    ndims = (3, 2, 1, 2, 2, 2)

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        r, p, h0, c0, mask, hidden, cell, gates, dh, dc = map(np.ascontiguousarray, arrays)
        return lstm_kernel.backward(r, p, h0, c0, mask, lstm_kernel.Forward(hidden, cell, gates), dh, dc)


class _GRUSequence(engine.Kernel):
    """The graph operation (x, W, R, b, h0, mask) -> hidden states, gates and h * r of all steps."""

    ndims = (3, 3, 3)
    is_sequence = True

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        return gru_kernel.forward(*map(np.ascontiguousarray, arrays))

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        x, w, r, _, h0, mask = inputs
        dz, *rest = _GRUSequenceGradient()(r, h0, mask, *outputs, output_gradients[0])
        return [Product(3)(dz, w.T), WeightGradient()(x, dz), *rest, None]


class _GRUSequenceGradient(engine.Kernel):
    ndims = (3, 2, 1, 2)

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        r, h0, mask, hidden, gates, reset, dh = map(np.ascontiguousarray, arrays)
        return gru_kernel.backward(r, h0, mask, gru_kernel.Forward(hidden, gates, reset), dh)


class _MemoryLSTMSequence(engine.Kernel):
    """The graph operation that computes the memory cells, hidden layers and gates of all steps.

    Its inputs are x, w_hidden, bias_hidden, w_gates, bias_gates, m0, mask, the two noises, and std.
    """

    ndims = (3, 4, 4)
    is_sequence = True
    data = (7, 8, 9)  # the noise

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        return memory_kernel.forward(*map(contiguous, arrays))

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        x, w_hidden, _, w_gates, _, m0, mask, *noise = inputs
        dz, *rest = _MemoryLSTMSequenceGradient()(x, w_hidden, w_gates, m0, mask, *outputs, output_gradients[0])
        return [Product(3)(dz, w_hidden[x.shape[2] :].T), *rest, None, *[None] * len(noise)]


class _MemoryLSTMSequenceGradient(engine.Kernel):
    ndims = (3, 2, 1, 2, 1, 2)

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        x, w_hidden, w_gates, m0, mask, memory, hidden, gates, d_out = map(contiguous, arrays)
        states = memory_kernel.Forward(memory, hidden, gates)
        return memory_kernel.backward(x, w_hidden, w_gates, m0, mask, states, d_out)


def last(x: Symbolic) -> Symbolic:
    """Return x[-1], the last time step: (time, batch, n) -> (batch, n).

    It has a kernel because, in mode ``python``, the engine's own gradient of x[-1] writes its zeros in a Python loop.
    """
    return _Last()(x) if engine.kernel() == "fused" else x[-1]


class _Last(engine.Kernel):
    ndims = (2,)

    def compute(self, x: np.ndarray) -> list[np.ndarray]:
        return [x[-1].copy()]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        return [_LastGradient()(output_gradients[0], inputs[0].shape[0])]


class _LastGradient(engine.Kernel):
    """The gradient of :func:`last`: (gradient of x[-1] (batch, n), number of steps) -> gradient of x (time, batch, n).

    It is zero at all steps but the last.
    """

    ndims = (3,)

    def compute(self, d: np.ndarray, n_steps: np.ndarray) -> list[np.ndarray]:
        out = empty((int(n_steps), *d.shape), d.dtype)
        out[:-1], out[-1] = 0, d
        return [out]
