"""Whole sequences of recurrent cells."""

from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.kernels import gru as gru_kernel
from rnnaudio.kernels import lstm as lstm_kernel
from rnnaudio.kernels import memory_lstm as memory_kernel
from rnnaudio.kernels.buffers import empty
from rnnaudio.ops.arrays import contiguous, nothing
from rnnaudio.ops.dense import Product, WeightGradient


def _ornothing(mask: Any) -> Any:
    return nothing(2, "int8") if mask is None else tt.cast(tt.neq(mask, 0), "int8")


def lstm(x: Any, w: Any, r: Any, bias: Any, peepholes: list[Any], h0: Any, c0: Any, mask: Any) -> tuple[Any, Any]:
    """All hidden and all cell states of an LSTM: x (T, B, n_in) -> 2 x (T, B, n); mask (T, B) or None."""
    p = tt.stack(peepholes) if peepholes else nothing(2, x.dtype)
    hidden, cell, _ = _LSTMSequence()(x, w, r, bias, p, h0, c0, _ornothing(mask))
    return hidden, cell


def gru(x: Any, w: Any, r: Any, bias: Any, h0: Any, mask: Any) -> Any:
    """All hidden states of a GRU: x (T, B, n_in) -> (T, B, n); mask (T, B) or None."""
    return _GRUSequence()(x, w, r, bias, h0, _ornothing(mask))[0]


def memory_lstm(x: Any, *arguments: Any) -> Any:
    """All memories of a MemoryLSTM: x (T, B, n) -> (T, B, k n).

    The other arguments: w_hidden, bias_hidden, w_gates, bias_gates, m0, mask (T, B) or None, the noise of the hidden
    layers and of the gates (or ()), and its standard deviation.
    """
    *parameters, mask, noise_hidden, noise_gates, std = arguments
    noises = [nothing(3, x.dtype) if isinstance(e, tuple) else e for e in (noise_hidden, noise_gates)]
    return _MemoryLSTMSequence()(x, *parameters, _ornothing(mask), *noises, std)[0]


class _LSTMSequence(engine.Kernel):
    """x, W, R, b, p, h0, c0, mask -> all hidden states, all cell states, all gates."""

    ndims = (3, 3, 3)
    is_sequence = True

    def compute(self, x: np.ndarray, *others: np.ndarray) -> Any:
        return lstm_kernel.forward(np.ascontiguousarray(x), *map(np.ascontiguousarray, others))

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        x, w, r, _, p, h0, c0, mask = inputs
        dh, dc = (nothing(3, x.dtype) if g is None else g for g in output_gradients[:2])
        dz, *rest = _LSTMSequenceGradient()(r, p, h0, c0, mask, *outputs, dh, dc)
        return [Product(3)(dz, w.T), WeightGradient()(x, dz), *rest, None]


class _LSTMSequenceGradient(engine.Kernel):
    ndims = (3, 2, 1, 2, 2, 2)

    def compute(self, *arrays: np.ndarray) -> Any:
        r, p, h0, c0, mask, hidden, cell, gates, dh, dc = map(np.ascontiguousarray, arrays)
        return lstm_kernel.backward(r, p, h0, c0, mask, lstm_kernel.Forward(hidden, cell, gates), dh, dc)


class _GRUSequence(engine.Kernel):
    """x, W, R, b, h0, mask -> all hidden states, all gates, all h * r."""

    ndims = (3, 3, 3)
    is_sequence = True

    def compute(self, *arrays: np.ndarray) -> Any:
        return gru_kernel.forward(*map(np.ascontiguousarray, arrays))

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        x, w, r, _, h0, mask = inputs
        dz, *rest = _GRUSequenceGradient()(r, h0, mask, *outputs, output_gradients[0])
        return [Product(3)(dz, w.T), WeightGradient()(x, dz), *rest, None]


class _GRUSequenceGradient(engine.Kernel):
    ndims = (3, 2, 1, 2)

    def compute(self, *arrays: np.ndarray) -> Any:
        r, h0, mask, hidden, gates, reset, dh = map(np.ascontiguousarray, arrays)
        return gru_kernel.backward(r, h0, mask, gru_kernel.Forward(hidden, gates, reset), dh)


class _MemoryLSTMSequence(engine.Kernel):
    """x, w_hidden, bias_hidden, w_gates, bias_gates, m0, mask, noise (2), std -> memories, hidden layers, gates."""

    ndims = (3, 4, 4)
    is_sequence = True
    data = (7, 8, 9)  # the noise

    def compute(self, *arrays: np.ndarray) -> Any:
        return memory_kernel.forward(*map(contiguous, arrays))

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        x, w_hidden, _, w_gates, _, m0, mask, *noise = inputs
        dz, *rest = _MemoryLSTMSequenceGradient()(x, w_hidden, w_gates, m0, mask, *outputs, output_gradients[0])
        return [Product(3)(dz, w_hidden[x.shape[2] :].T), *rest, None, *[None] * len(noise)]


class _MemoryLSTMSequenceGradient(engine.Kernel):
    ndims = (3, 2, 1, 2, 1, 2)

    def compute(self, *arrays: np.ndarray) -> Any:
        x, w_hidden, w_gates, m0, mask, memory, hidden, gates, d_out = map(contiguous, arrays)
        states = memory_kernel.Forward(memory, hidden, gates)
        return memory_kernel.backward(x, w_hidden, w_gates, m0, mask, states, d_out)


def last(x: Any) -> Any:
    """x[-1] of (time, batch, n). In mode python the engine fills the gradient's zeros in a Python loop."""
    return _Last()(x) if engine.kernel() == "fused" else x[-1]


class _Last(engine.Kernel):
    ndims = (2,)

    def compute(self, x: np.ndarray) -> list[np.ndarray]:
        return [x[-1].copy()]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        return [_LastGradient()(output_gradients[0], inputs[0].shape[0])]


class _LastGradient(engine.Kernel):
    """The gradient at the last step, the number of steps -> that of all steps."""

    ndims = (3,)

    def compute(self, d: np.ndarray, n_steps: np.ndarray) -> list[np.ndarray]:
        out = empty((int(n_steps), *d.shape), d.dtype)
        out[:-1], out[-1] = 0, d
        return [out]
