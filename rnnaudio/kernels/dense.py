"""What follows the product of a dense layer: bias and activation in one pass, and back."""

from typing import Any

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.activations import sigmoid_row, tanh_row
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.product import require_shapes


@njit()
def _linear(z: Any, bias: Any, y: Any, first: int, last: int) -> None:
    for i in range(first, last):
        z_i, y_i = z[i], y[i]
        for j in range(y_i.size):
            y_i[j] = z_i[j] + bias[j]


@njit()
def _relu(z: Any, bias: Any, y: Any, first: int, last: int) -> None:
    for i in range(first, last):
        z_i, y_i = z[i], y[i]
        for j in range(y_i.size):
            s = z_i[j] + bias[j]
            y_i[j] = s - s if s <= 0 else s  # this way round NaN comes through


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
    """y = f(z + bias), f one of FORWARD; z and y (rows, n), bias (n,); y may be z."""
    require_shapes(bias=(bias, z.shape[1:]), y=(y, z.shape))
    shares = threads.split(z.shape[0], work=z.size)
    threads.run(FORWARD[kind], [(z, bias, y, *share) for share in shares])


def activation_gradient(kind: str, y: np.ndarray, dy: np.ndarray, dz: np.ndarray) -> None:
    """dz = dy f'(z), from y = f(z); all (rows, n)."""
    require_shapes(dy=(dy, y.shape), dz=(dz, y.shape))
    shares = threads.split(y.shape[0], work=y.size)
    threads.run(BACKWARD[kind], [(y, dy, dz, *share) for share in shares])
