"""Recurrent cells over whole sequences (T time steps, B sequences, n units), each a single graph operation."""

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

    There are T steps, B sequences and n units. Input weights w (n_in, 4 n), recurrent weights r (n, 4 n), bias (4 n,);
    peepholes: three (n,), or an empty sequence for none; initial states h0, c0 (B, n); mask (T, B), where 0 carries
    the state over unchanged, or None. :class:`rnnaudio.nn.LSTM` has the equations and the order of the blocks.
    """
    p = tt.stack(peepholes) if peepholes else absent(2, x.dtype)
    hidden, cell, _ = _LSTMSequence()(x, w, r, bias, p, h0, c0, _mask_or_absent(mask))
    return hidden, cell


def gru(x: Symbolic, w: Symbolic, r: Symbolic, bias: Symbolic, h0: Symbolic, mask: Symbolic | None) -> Symbolic:
    """Compute the hidden states of a GRU after every step: x (T, B, n_in) -> (T, B, n).

    There are T steps, B sequences and n units. Input weights w (n_in, 3 n), recurrent weights r (n, 3 n), bias (3 n,);
    initial state h0 (B, n); mask (T, B), where 0 carries the state over unchanged, or None. :class:`rnnaudio.nn.GRU`
    has the equations and the order of the blocks.
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

    x (T, B, n), T steps of B sequences -> (T, B, k n).

    weights
        w_hidden (2 n, 6 n), bias_hidden (6 n,), w_gates (2 n, 3 n) and bias_gates (3 n,).
    m0
        the initial memory cells (B, k n).
    mask
        (T, B), where 0 carries the memory cells over unchanged; None: no mask.
    noises
        two arrays of random numbers N(0, 1), for the hidden layers (T, B, k 6 n) and for the gates (T, B, k 3 n), or
        () in place of each array for no noise.
    std
        the standard deviation of the noise, a scalar that multiplies both arrays.
    """
    sampled = [absent(3, x.dtype) if isinstance(noise, tuple) else noise for noise in noises]
    return _MemoryLSTMSequence()(x, *weights, m0, _mask_or_absent(mask), *sampled, std)[0]


class _LSTMSequence(engine.Kernel):
    """x, W, R, b, p, h0, c0, mask -> all hidden states, all cell states, all gates."""

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
    """x, W, R, b, h0, mask -> all hidden states, all gates, all h * r."""

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
    """x, w_hidden, bias_hidden, w_gates, bias_gates, m0, mask, noise (2), std -> memory cells, hidden, gates."""

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

    In mode ``python`` the engine's own gradient of x[-1] would fill in zeros in a Python loop.
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
    """Backward pass of :func:`last`: gradient of x[-1] (batch, n), number of steps -> gradient of x (time, batch, n).

    It is zero at all steps but the last.
    """

    ndims = (3,)

    def compute(self, d: np.ndarray, n_steps: np.ndarray) -> list[np.ndarray]:
        out = empty((int(n_steps), *d.shape), d.dtype)
        out[:-1], out[-1] = 0, d
        return [out]
