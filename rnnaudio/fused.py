"""Operations of a graph that are computed by the kernels of :mod:`rnnaudio.kernels`, and their gradients."""

import math
from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.kernels import dense, elementwise
from rnnaudio.kernels import gru as gru_kernel
from rnnaudio.kernels import lstm as lstm_kernel
from rnnaudio.kernels import memory_lstm as memory_kernel
from rnnaudio.kernels.buffers import empty
from rnnaudio.kernels.product import column_sums, product


def _rows(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _contiguous(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(x.shape)  # NumPy's gives scalars an axis


def dot(x: Any, w: Any) -> Any:
    """x W: (..., k), (k, n) -> (..., n)."""
    return _Product(x.ndim)(x, w) if engine.kernel() == "fused" else tt.dot(x, w)


ACTIVATIONS = {"linear": lambda x: x, "relu": engine.relu, "tanh": tt.tanh, "sigmoid": engine.sigmoid}


def affine(x: Any, w: Any, bias: Any, activation: str = "linear") -> Any:
    """f(x W + b), f one of ACTIVATIONS: (..., k), (k, n), (n,) -> (..., n)."""
    if engine.kernel() == "fused":
        return _AddBias(x.ndim, activation)(_Product(x.ndim)(x, w), bias)
    return ACTIVATIONS[activation](tt.dot(x, w) + bias)


def activated(x: Any, activation: str) -> Any:
    """f(x), f one of ACTIVATIONS: (..., n) -> (..., n)."""
    if engine.kernel() == "fused":
        return _AddBias(x.ndim, activation)(x, tt.zeros((x.shape[x.ndim - 1],), x.dtype))
    return ACTIVATIONS[activation](x)


class _Product(engine.Kernel):
    """x W: (..., k), (k, n) -> (..., n)."""

    def __init__(self, ndim: int):
        self.ndims = (ndim,)

    __props__ = ("ndims",)

    def compute(self, x: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
        y = empty((*x.shape[:-1], w.shape[1]), x.dtype)
        product(_rows(x), w, _rows(y))
        return [y]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        (x, w), (dy,) = inputs, output_gradients
        return [_Product(x.ndim)(dy, w.T), _WeightGradient()(x, dy)]


class _WeightGradient(engine.Kernel):
    """x^T dy: (..., k), (..., n) -> (k, n)."""

    ndims = (2,)

    def compute(self, x: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
        dw = empty((x.shape[-1], dy.shape[-1]), x.dtype)
        product(_rows(x).T, _rows(dy), dw)
        return [dw]


class _AddBias(engine.Kernel):
    """f(z + b): (..., n), (n,) -> (..., n)."""

    def __init__(self, ndim: int, activation: str):
        self.ndims, self.activation = (ndim,), activation

    __props__ = ("ndims", "activation")

    def compute(self, z: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        y = empty(z.shape, z.dtype)
        dense.add_bias(self.activation, _rows(z), bias, _rows(y))
        return [y]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        (dy,) = output_gradients
        dz = dy if self.activation == "linear" else _ActivationGradient(dy.ndim, self.activation)(outputs[0], dy)
        return [dz, _BiasGradient()(dz)]


class _ActivationGradient(engine.Kernel):
    """dy f'(z), from y = f(z)."""

    def __init__(self, ndim: int, activation: str):
        self.ndims, self.activation = (ndim,), activation

    __props__ = ("ndims", "activation")

    def compute(self, y: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
        dz = empty(y.shape, y.dtype)
        dense.activation_gradient(self.activation, _rows(y), _rows(dy), _rows(dz))
        return [dz]


class _BiasGradient(engine.Kernel):
    """Sum over all axes but the last."""

    ndims = (1,)

    def compute(self, dy: np.ndarray) -> list[np.ndarray]:
        return [column_sums(_rows(dy))]


def nothing(ndim: int, dtype: str) -> Any:
    """What kernels take for an argument that is not there."""
    return tt.as_tensor_variable(np.zeros((0,) * ndim, dtype))


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
        return [_Product(3)(dz, w.T), _WeightGradient()(x, dz), *rest, None]


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
        return [_Product(3)(dz, w.T), _WeightGradient()(x, dz), *rest, None]


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
        return memory_kernel.forward(*map(_contiguous, arrays))

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        x, w_hidden, _, w_gates, _, m0, mask, *noise = inputs
        dz, *rest = _MemoryLSTMSequenceGradient()(x, w_hidden, w_gates, m0, mask, *outputs, output_gradients[0])
        return [_Product(3)(dz, w_hidden[x.shape[2] :].T), *rest, None, *[None] * len(noise)]


class _MemoryLSTMSequenceGradient(engine.Kernel):
    ndims = (3, 2, 1, 2, 1, 2)

    def compute(self, *arrays: np.ndarray) -> Any:
        x, w_hidden, w_gates, m0, mask, memory, hidden, gates, d_out = map(_contiguous, arrays)
        states = memory_kernel.Forward(memory, hidden, gates)
        return memory_kernel.backward(x, w_hidden, w_gates, m0, mask, states, d_out)


# ---------------------------------------------------------------- losses and updates


def squared_errors(prediction: Any, target: Any) -> tuple[Any, Any]:
    """sum of (prediction - target)^2, and sum of target^2, over all elements."""
    if engine.kernel() == "fused" and prediction.ndim == target.ndim:
        return tuple(_SquaredErrors()(prediction, target))
    return tt.sum(tt.sqr(prediction - target)), tt.sum(tt.sqr(target))


def _scalars(values: list[float], dtype: Any) -> list[np.ndarray]:
    with np.errstate(over="ignore"):  # a diverging run: infinity is what the caller looks for
        return [np.asarray(value, dtype) for value in values]


class _SquaredErrors(engine.Kernel):
    ndims = (0, 0)

    def compute(self, prediction: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        sums = elementwise.squared_errors(*map(np.ascontiguousarray, (prediction, target)))
        return _scalars(sums, prediction.dtype)

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        (p, t), (d_error, d_power) = inputs, output_gradients
        towards = None if d_error is None else _ScaledDifference(p.ndim)(p, t, 2 * d_error)
        away = None if towards is None else -towards
        if d_power is not None:
            away = 2 * d_power * t if away is None else away + 2 * d_power * t
        return [towards, away]


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


def bernoulli_nats(logits: Any, target: Any) -> Any:
    """log(1 + e^l) - x l summed over the last axis: 2 x (batch, n) -> (batch,)."""
    if engine.kernel() == "fused" and logits.ndim == target.ndim == 2:
        return _Bernoulli()(logits, target)
    return tt.sum(engine.softplus(logits) - target * logits, axis=-1)


class _Bernoulli(engine.Kernel):
    """logits, target (batch, n) -> nats (batch,): in mode python the engine's softplus is a Python loop."""

    ndims = (1,)

    def compute(self, logits: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        tail = np.log1p(np.exp(-np.abs(logits)))
        return [np.sum(np.maximum(logits, 0) - target * logits + tail, axis=1)]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        (logits, target), (d,) = inputs, output_gradients
        return [(engine.sigmoid(logits) - target) * d[:, None], -logits * d[:, None]]


def pixel_nats(logits: Any, log_std: Any, target: Any) -> Any:
    """-log N(target; sigmoid(logit), e^log_std) summed over the last axis: (batch, n), (), (batch, n) -> (batch,)."""
    if engine.kernel() == "fused" and logits.ndim == target.ndim == 2 and np.ndim(log_std) == 0:
        return _PixelNats()(logits, log_std, target)
    scaled = (target - engine.sigmoid(logits)) * tt.exp(-log_std)
    return tt.sum(0.5 * tt.sqr(scaled) + log_std + 0.5 * math.log(2 * math.pi), axis=-1)


class _PixelNats(engine.Kernel):
    # As a graph its gradient has products of three and more arrays, which take seconds in mode python.
    ndims = (1,)

    def compute(self, logits: np.ndarray, log_std: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        return [elementwise.pixel_nats(logits, log_std, target)]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        return list(_PixelGradients()(*inputs, *output_gradients))


class _PixelGradients(engine.Kernel):
    ndims = (2, 0, 2)

    def compute(
        self, logits: np.ndarray, log_std: np.ndarray, target: np.ndarray, d_nats: np.ndarray
    ) -> list[np.ndarray]:
        d_logits, d_log_std, d_target = elementwise.pixel_gradients(logits, log_std, target, d_nats)
        return [d_logits, *_scalars([d_log_std], logits.dtype), d_target]


class _ScaledDifference(engine.Kernel):
    """factor (a - b)."""

    __props__ = ("ndims",)

    def __init__(self, ndim: int):
        self.ndims = (ndim,)

    def compute(self, a: np.ndarray, b: np.ndarray, factor: np.ndarray) -> list[np.ndarray]:
        out = empty(a.shape, a.dtype)
        elementwise.scaled_difference(np.ascontiguousarray(a), np.ascontiguousarray(b), float(factor), out)
        return [out]


def gaussian_nats(prediction: Any, target: Any, least_variance: float) -> Any:
    """(log v + (target - m)^2 / v) / 2, elementwise: (..., 2 n), m and log (v - least_variance), and (..., n)."""
    if engine.kernel() == "fused":
        return _GaussianNats(target.ndim, least_variance)(prediction, target)
    n = prediction.shape[prediction.ndim - 1] // 2
    mean, log_variance = prediction[..., :n], prediction[..., n:]
    variance = tt.exp(log_variance) + np.asarray(least_variance, prediction.dtype)
    return (tt.log(variance) + tt.sqr(target - mean) / variance) / 2


class _GaussianNats(engine.Kernel):
    # As a graph its gradient has products of three and more arrays, which take seconds in mode python.
    __props__ = ("ndims", "least_variance")

    def __init__(self, ndim: int, least_variance: float):
        self.ndims, self.least_variance = (ndim,), least_variance

    def compute(self, prediction: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        return [elementwise.gaussian_nats(prediction, target, self.least_variance)]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        return list(_GaussianGradients(self.ndims[0], self.least_variance)(*inputs, *output_gradients))


class _GaussianGradients(engine.Kernel):
    __props__ = ("ndims", "least_variance")

    def __init__(self, ndim: int, least_variance: float):
        self.ndims, self.least_variance = (ndim, ndim), least_variance

    def compute(self, prediction: np.ndarray, target: np.ndarray, d_nats: np.ndarray) -> list[np.ndarray]:
        return list(elementwise.gaussian_gradients(prediction, target, d_nats, self.least_variance))


def sum_of_squares(x: Any) -> Any:
    """sum of x^2 over all elements."""
    return _SumOfSquares()(x) if engine.kernel() == "fused" else tt.sum(tt.sqr(x))


class _SumOfSquares(engine.Kernel):
    ndims = (0,)

    def compute(self, x: np.ndarray) -> list[np.ndarray]:
        return _scalars([elementwise.sum_of_squares(np.ascontiguousarray(x))], x.dtype)


class Update(engine.Kernel):
    """p, g, clip, rate, n, memory... -> new p, |new p - p|^2, |p|^2, new memory...; p and the memory in place.

    ``rule`` names its compiled function (``kernel``) and, for the n-th update, its ``constants(n)``.
    """

    __props__ = ("rule", "ndims")

    def __init__(self, rule: Any, ndim: int):
        n_slots = len(rule.slots)
        self.rule, self.ndims = rule, (ndim, 0, 0, *[ndim] * n_slots)
        self.destroy_map = {0: [0]} | {3 + k: [5 + k] for k in range(n_slots)}

    def compute(
        self, p: np.ndarray, g: np.ndarray, clip: np.ndarray, rate: np.ndarray, n: np.ndarray, *memory: np.ndarray
    ) -> list[np.ndarray]:
        constants = self.rule.constants(int(n))
        g = _contiguous(g)
        sums = elementwise.update(self.rule.kernel, p, g, list(memory), float(clip), float(rate), constants)
        return [p, *_scalars(sums, p.dtype), *memory]
