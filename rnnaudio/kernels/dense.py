"""Dense layers and activation functions, for whole batches in training and for single steps of generation."""

import numpy as np
from numpy.typing import DTypeLike

from rnnaudio.kernels import threads
from rnnaudio.kernels.activations import KINDS, activate_row, linear_row, relu_row, sigmoid_row, tanh_row
from rnnaudio.kernels.arrays import Matrix, Panels, Vector
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.few_rows import multiply_few
from rnnaudio.kernels.product import address, at, pack, padded, require_shapes
from rnnaudio.kernels.step import Step

# One function for each kind of activation, so that only those that a model uses are compiled.


@njit()
def _linear(z: Matrix, bias: Vector, y: Matrix, first: int, last: int) -> None:
    for i in range(first, last):
        linear_row(z[i], bias, y[i])


@njit()
def _relu(z: Matrix, bias: Vector, y: Matrix, first: int, last: int) -> None:
    for i in range(first, last):
        relu_row(z[i], bias, y[i])


@njit()
def _tanh(z: Matrix, bias: Vector, y: Matrix, first: int, last: int) -> None:
    for i in range(first, last):
        tanh_row(z[i], bias, y[i])


@njit()
def _sigmoid(z: Matrix, bias: Vector, y: Matrix, first: int, last: int) -> None:
    for i in range(first, last):
        sigmoid_row(z[i], bias, y[i])


@njit()
def _linear_back(y: Matrix, dy: Matrix, dz: Matrix, first: int, last: int) -> None:
    dz[first:last] = dy[first:last]


@njit()
def _relu_back(y: Matrix, dy: Matrix, dz: Matrix, first: int, last: int) -> None:
    for i in range(first, last):
        for j in range(y.shape[1]):
            dz[i, j] = dy[i, j] if y[i, j] > 0 else dy[i, j] * 0


@njit()
def _tanh_back(y: Matrix, dy: Matrix, dz: Matrix, first: int, last: int) -> None:
    one = y.dtype.type(1)
    for i in range(first, last):
        for j in range(y.shape[1]):
            dz[i, j] = dy[i, j] * (one - y[i, j] * y[i, j])


@njit()
def _sigmoid_back(y: Matrix, dy: Matrix, dz: Matrix, first: int, last: int) -> None:
    one = y.dtype.type(1)
    for i in range(first, last):
        for j in range(y.shape[1]):
            dz[i, j] = dy[i, j] * (y[i, j] * (one - y[i, j]))


FORWARD = {"linear": _linear, "relu": _relu, "tanh": _tanh, "sigmoid": _sigmoid}
BACKWARD = {"linear": _linear_back, "relu": _relu_back, "tanh": _tanh_back, "sigmoid": _sigmoid_back}


def add_bias(kind: str, z: Matrix, bias: Vector, y: Matrix) -> None:
    """Write f(z + bias) to y, for z and y (rows, n) and bias (n,); y may be the same array as z.

    ``kind`` is the name of f: linear, relu, tanh or sigmoid. ValueError if shapes do not match.
    """
    require_shapes(bias=(bias, z.shape[1:]), y=(y, z.shape))
    shares = threads.split(z.shape[0], work=z.size)
    threads.run(FORWARD[kind], [(z, bias, y, *share) for share in shares])


def activation_gradient(kind: str, y: Matrix, dy: Matrix, dz: Matrix) -> None:
    """Write dy f'(z), the loss gradient with respect to z, to dz, given y = f(z) and dy; all arrays are (rows, n).

    dy is the loss gradient with respect to y. ``kind`` is the name of f: linear, relu, tanh or sigmoid. ValueError if
    shapes differ.
    """
    require_shapes(dy=(dy, y.shape), dz=(dz, y.shape))
    shares = threads.split(y.shape[0], work=y.size)
    threads.run(BACKWARD[kind], [(y, dy, dz, *share) for share in shares])


@njit()
def _affine(x: Matrix, z: Matrix, y: Matrix, w: Panels, bias: Vector, kind: int) -> None:
    """Set y = f(x W + bias), where f is KINDS[kind] and w holds the panels of W.

    z is a scratch array with the number of columns of y rounded up to whole panels.
    """
    rows, k = x.shape
    multiply_few(at(x), rows, k, address(w), bias.size, at(z), bias[0])
    for b in range(rows):
        activate_row(kind, z[b], bias, y[b])


@njit()
def _activate(x: Matrix, y: Matrix, zero: Vector, kind: int) -> None:
    for b in range(x.shape[0]):
        activate_row(kind, x[b], zero, y[b])


class DenseStep(Step):
    """One step of a dense layer, y = f(x W + b), for ``w`` = W (n_in, n_out) and ``bias`` = b (n_out,).

    ``kind`` is the name of f: linear, relu, tanh or sigmoid. ``n_streams`` is the number of sequences computed at
    once.
    """

    def __init__(self, w: Matrix, bias: Vector, kind: str, n_streams: int):
        room = [padded(bias.size, bias.itemsize), bias.size]
        super().__init__(n_streams, len(w), bias.dtype, room=room)
        self._weights = pack(w), bias, KINDS.index(kind)

    def advance(self, x: Matrix) -> Matrix:
        _affine(x, *self.rows, *self._weights)
        return self.rows[1]


class ActivationStep(Step):
    """One step of an activation function, y = f(x), for x (n_streams, n).

    ``kind`` is the name of f: linear, relu, tanh or sigmoid.
    """

    def __init__(self, n: int, kind: str, n_streams: int, dtype: DTypeLike):
        super().__init__(n_streams, n, dtype, room=[n])
        self._weights = np.zeros(n, dtype), KINDS.index(kind)

    def advance(self, x: Matrix) -> Matrix:
        _activate(x, *self.rows, *self._weights)
        return self.rows[0]


class LinearStep(Step):
    """One step of a linear predictor, y_t = [x_t, x_{t-1}, ...] A + b, from the last ``n_frames`` frames.

    ``w`` is A (n_frames * n_in, n_out), ``bias`` is b (n_out,). The state is a list of the last n_frames frames
    (n_streams, n_in), the latest first, which are views of one array.
    """

    def __init__(self, w: Matrix, bias: Vector, n_frames: int, n_streams: int):
        room = [len(w), padded(bias.size, bias.itemsize), bias.size]
        super().__init__(n_streams, len(w) // n_frames, bias.dtype, room=room)
        self.initial = [np.zeros(self.n_in, bias.dtype)] * n_frames
        self._weights = pack(w), bias, KINDS.index("linear")

    @property
    def state(self) -> list[np.ndarray]:
        frames = self.rows[0]
        return [frames[:, k * self.n_in : (k + 1) * self.n_in] for k in range(len(self.initial))]

    def advance(self, x: Matrix) -> Matrix:
        frames, z, y = self.rows
        frames[:, self.n_in :] = frames[:, : -self.n_in]
        frames[:, : self.n_in] = x
        _affine(frames, z, y, *self._weights)
        return y
