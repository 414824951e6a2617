"""Layers that are a product, or an activation function, of their input: a whole batch, and one step."""

from typing import Any

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.activations import KINDS, activate_row, linear_row, relu_row, sigmoid_row, tanh_row
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.few_rows import multiply_few
from rnnaudio.kernels.product import address, at, pack, padded, require_shapes
from rnnaudio.kernels.step import Step

# One function for each kind: a model pays for compiling those that it uses.


@njit()
def _linear(z: Any, bias: Any, y: Any, first: int, last: int) -> None:
    for i in range(first, last):
        linear_row(z[i], bias, y[i])


@njit()
def _relu(z: Any, bias: Any, y: Any, first: int, last: int) -> None:
    for i in range(first, last):
        relu_row(z[i], bias, y[i])


@njit()
def _tanh(z: Any, bias: Any, y: Any, first: int, last: int) -> None:
    for i in range(first, last):
        tanh_row(z[i], bias, y[i])


@njit()
def _sigmoid(z: Any, bias: Any, y: Any, first: int, last: int) -> None:
    for i in range(first, last):
        sigmoid_row(z[i], bias, y[i])


@njit()
def _relu_back(y: Any, dy: Any, dz: Any, first: int, last: int) -> None:
    for i in range(first, last):
        for j in range(y.shape[1]):
            dz[i, j] = dy[i, j] if y[i, j] > 0 else dy[i, j] * 0


@njit()
def _tanh_back(y: Any, dy: Any, dz: Any, first: int, last: int) -> None:
    one = y.dtype.type(1)
    for i in range(first, last):
        for j in range(y.shape[1]):
            dz[i, j] = dy[i, j] * (one - y[i, j] * y[i, j])


@njit()
def _sigmoid_back(y: Any, dy: Any, dz: Any, first: int, last: int) -> None:
    one = y.dtype.type(1)
    for i in range(first, last):
        for j in range(y.shape[1]):
            dz[i, j] = dy[i, j] * (y[i, j] * (one - y[i, j]))


FORWARD = {"linear": _linear, "relu": _relu, "tanh": _tanh, "sigmoid": _sigmoid}
BACKWARD = {"relu": _relu_back, "tanh": _tanh_back, "sigmoid": _sigmoid_back}


def add_bias(kind: str, z: np.ndarray, bias: np.ndarray, y: np.ndarray) -> None:
    """y = f(z + bias), f one of KINDS; z and y (rows, n), bias (n,); y may be z."""
    require_shapes(bias=(bias, z.shape[1:]), y=(y, z.shape))
    shares = threads.split(z.shape[0], work=z.size)
    threads.run(FORWARD[kind], [(z, bias, y, *share) for share in shares])


def activation_gradient(kind: str, y: np.ndarray, dy: np.ndarray, dz: np.ndarray) -> None:
    """dz = dy f'(z), from y = f(z); all (rows, n)."""
    require_shapes(dy=(dy, y.shape), dz=(dz, y.shape))
    shares = threads.split(y.shape[0], work=y.size)
    threads.run(BACKWARD[kind], [(y, dy, dz, *share) for share in shares])


@njit()
def _affine(x: Any, z: Any, y: Any, w: Any, bias: Any, kind: int) -> None:
    """y = f(x W + b), f the ``kind``-th of KINDS; w holds the panels of W, z has room for whole panels."""
    rows, k = x.shape
    multiply_few(at(x), rows, k, address(w), bias.size, at(z), bias[0])
    for b in range(rows):
        activate_row(kind, z[b], bias, y[b])


@njit()
def _activate(x: Any, y: Any, zero: Any, kind: int) -> None:
    for b in range(x.shape[0]):
        activate_row(kind, x[b], zero, y[b])


class DenseStep(Step):
    """y = f(x W + b); ``kind`` names f, one of KINDS."""

    def __init__(self, w: Any, bias: Any, kind: str, n_streams: int):
        room = [padded(bias.size, bias.itemsize), bias.size]
        super().__init__(n_streams, len(w), bias.dtype, room=room)
        self._weights = pack(w), bias, KINDS.index(kind)

    def advance(self, x: np.ndarray) -> np.ndarray:
        _affine(x, *self.rows, *self._weights)
        return self.rows[1]


class ActivationStep(Step):
    """y = f(x); ``kind`` names f, one of KINDS."""

    def __init__(self, n: int, kind: str, n_streams: int, dtype: Any):
        super().__init__(n_streams, n, dtype, room=[n])
        self._weights = np.zeros(n, dtype), KINDS.index(kind)

    def advance(self, x: np.ndarray) -> np.ndarray:
        _activate(x, *self.rows, *self._weights)
        return self.rows[0]


class LinearStep(Step):
    """y = [x_t, x_{t-1}, ...] A + b. The state: the last frames, side by side in one array, the latest first."""

    def __init__(self, w: Any, bias: Any, n_frames: int, n_streams: int):
        room = [len(w), padded(bias.size, bias.itemsize), bias.size]
        super().__init__(n_streams, len(w) // n_frames, bias.dtype, room=room)
        self.initial = [np.zeros(self.n_in, bias.dtype)] * n_frames
        self._weights = pack(w), bias, KINDS.index("linear")

    @property
    def state(self) -> list[np.ndarray]:
        frames = self.rows[0]
        return [frames[:, k * self.n_in : (k + 1) * self.n_in] for k in range(len(self.initial))]

    def advance(self, x: np.ndarray) -> np.ndarray:
        frames, z, y = self.rows
        frames[:, self.n_in :] = frames[:, : -self.n_in]
        frames[:, : self.n_in] = x
        _affine(frames, z, y, *self._weights)
        return y
