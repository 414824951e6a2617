"""Matrix products, biases and activation functions."""

from collections.abc import Callable

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Gradient, Symbolic, tt
from rnnaudio.kernels import dense
from rnnaudio.kernels.buffers import empty
from rnnaudio.kernels.product import column_sums, product
from rnnaudio.ops.arrays import rows


def dot(x: Symbolic, w: Symbolic) -> Symbolic:
    """Compute the matrix product x W: x (..., k), W (k, n) -> (..., n)."""
    return Product(x.ndim)(x, w) if engine.kernel() == "fused" else tt.dot(x, w)


ACTIVATIONS: dict[str, Callable[[Symbolic], Symbolic]] = {
    "linear": lambda x: x,
    "relu": engine.relu,
    "tanh": tt.tanh,
    "sigmoid": engine.sigmoid,
}


def affine(x: Symbolic, w: Symbolic, bias: Symbolic, activation: str = "linear") -> Symbolic:
    """Compute f(x W + b): x (..., k), W (k, n), b (n,) -> (..., n).

    ``activation`` is the name of f: linear, relu, tanh or sigmoid.
    """
    if engine.kernel() == "fused":
        return _AddBias(x.ndim, activation)(Product(x.ndim)(x, w), bias)
    return ACTIVATIONS[activation](tt.dot(x, w) + bias)


def activated(x: Symbolic, activation: str) -> Symbolic:
    """Compute f(x) for each element: (..., n) -> (..., n).

    ``activation`` is the name of f: linear, relu, tanh or sigmoid.
    """
    if engine.kernel() == "fused":
        return _AddBias(x.ndim, activation)(x, tt.zeros((x.shape[x.ndim - 1],), x.dtype))
    return ACTIVATIONS[activation](x)


class Product(engine.Kernel):
    """The graph operation x W: x (..., k), W (k, n) -> (..., n); x has ``ndim`` axes."""

    def __init__(self, ndim: int):
        self.ndims = (ndim,)

    __props__ = ("ndims",)

    def compute(self, x: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
        y = empty((*x.shape[:-1], w.shape[1]), x.dtype)
        product(rows(x), w, rows(y))
        return [y]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        (x, w), (dy,) = inputs, output_gradients
        return [Product(x.ndim)(dy, w.T), WeightGradient()(x, dy)]


class WeightGradient(engine.Kernel):
    """The gradient of the loss with respect to W in y = x W, given the gradient dy with respect to y.

    It is x^T dy, summed over the leading axes: x (..., k), dy (..., n) -> (k, n).
    """

    ndims = (2,)

    def compute(self, x: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
        dw = empty((x.shape[-1], dy.shape[-1]), x.dtype)
        product(rows(x).T, rows(dy), dw)
        return [dw]


class _AddBias(engine.Kernel):
    """The graph operation f(z + b): z (..., n), b (n,) -> (..., n); z has ``ndim`` axes, f is ``activation``."""

    def __init__(self, ndim: int, activation: str):
        self.ndims, self.activation = (ndim,), activation

    __props__ = ("ndims", "activation")

    def compute(self, z: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        y = empty(z.shape, z.dtype)
        dense.add_bias(self.activation, rows(z), bias, rows(y))
        return [y]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        (dy,) = output_gradients
        dz = dy if self.activation == "linear" else _ActivationGradient(dy.ndim, self.activation)(outputs[0], dy)
        return [dz, _BiasGradient()(dz)]


class _ActivationGradient(engine.Kernel):
    """The loss gradient with respect to z, where y = f(z): dy f'(z), computed from y and dy, both (..., n)."""

    def __init__(self, ndim: int, activation: str):
        self.ndims, self.activation = (ndim,), activation

    __props__ = ("ndims", "activation")

    def compute(self, y: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
        dz = empty(y.shape, y.dtype)
        dense.activation_gradient(self.activation, rows(y), rows(dy), rows(dz))
        return [dz]


class _BiasGradient(engine.Kernel):
    """The gradient with respect to a bias: the sum of dz over all axes but the last, (..., n) -> (n,)."""

    ndims = (1,)

    def compute(self, dy: np.ndarray) -> list[np.ndarray]:
        return [column_sums(rows(dy))]
