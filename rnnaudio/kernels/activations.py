"""tanh and sigmoid in a form that a compiler can turn into vector instructions.

In float32, tanh is approximated by the quotient of an odd polynomial of degree 13 and an even polynomial of degree 6,
with the coefficients of the library Eigen. The input is clipped to [-7.9, 7.9]; outside this range tanh rounds to +-1
in float32. The absolute error is below 4e-7. The tanh of the C library computes only one number per call, which would
be slow for the millions of numbers of a gated layer. It is used for float64, which is needed only in checks.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from rnnaudio.kernels.arrays import Compiled, Number, Vector
from rnnaudio.kernels.compile import njit

_LIMIT = np.float32(7.90531110763549805)
_ODD = tuple(
    np.float32(x)
    for x in (
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    )
)
_EVEN = tuple(
    np.float32(x) for x in (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)
)
_A0, _A1, _A2, _A3, _A4, _A5, _A6 = _ODD
_B0, _B1, _B2, _B3 = _EVEN
_HALF = np.float32(0.5)


def tanh(x: Number) -> Number:
    """Compute the hyperbolic tangent, in compiled code only. NotImplementedError if called from Python."""
    raise NotImplementedError("tanh is for compiled code; call numpy.tanh")


def sigmoid(x: Number) -> Number:
    """Compute 1 / (1 + exp(-x)), in compiled code only. NotImplementedError if called from Python."""
    raise NotImplementedError("sigmoid is for compiled code; call scipy.special.expit")


@njit(inline="always")
def _rational_tanh(x: Number) -> Number:
    x = min(max(x, -_LIMIT), _LIMIT)
    s = x * x
    odd = x * (_A0 + s * (_A1 + s * (_A2 + s * (_A3 + s * (_A4 + s * (_A5 + s * _A6))))))
    return odd / (_B0 + s * (_B1 + s * (_B2 + s * _B3)))


# In the next two functions x is a numba type. numba requires their signature to equal the implementations',
# annotations included.


@overload(tanh, inline="always")
def _tanh(x: Number) -> Compiled:
    def in_float32(x: Number) -> Number:
        return _rational_tanh(x)

    def in_float64(x: Number) -> float:
        return math.tanh(x)

    return in_float32 if x == types.float32 else in_float64


@overload(sigmoid, inline="always")
def _sigmoid(x: Number) -> Compiled:
    def in_float32(x: Number) -> Number:
        return _HALF + _HALF * _rational_tanh(_HALF * x)

    def in_float64(x: Number) -> float:
        return 1.0 / (1.0 + math.exp(-x))

    return in_float32 if x == types.float32 else in_float64


@njit()
def sigmoid_row(x: Vector, bias: Vector, out: Vector) -> None:
    """Set out = sigmoid(x + bias); all arrays are (n,)."""
    for j in range(out.size):
        out[j] = sigmoid(x[j] + bias[j])


@njit()
def tanh_row(x: Vector, bias: Vector, out: Vector) -> None:
    """Set out = tanh(x + bias); all arrays are (n,)."""
    for j in range(out.size):
        out[j] = tanh(x[j] + bias[j])


@njit()
def linear_row(x: Vector, bias: Vector, out: Vector) -> None:
    """Set out = x + bias; all arrays are (n,)."""
    for j in range(out.size):
        out[j] = x[j] + bias[j]


@njit()
def relu_row(x: Vector, bias: Vector, out: Vector) -> None:
    """Set out = max(x + bias, 0), or NaN where x + bias is NaN; all arrays are (n,)."""
    zero = out.dtype.type(0)
    for j in range(out.size):
        s = x[j] + bias[j]
        out[j] = zero if s <= 0 else s


KINDS = ("linear", "relu", "tanh", "sigmoid")


@njit()
def activate_row(kind: int, x: Vector, bias: Vector, out: Vector) -> None:
    """Set out = f(x + bias), where f is the activation function KINDS[kind]; all arrays are (n,)."""
    if kind == 0:
        linear_row(x, bias, out)
    elif kind == 1:
        relu_row(x, bias, out)
    elif kind == 2:
        tanh_row(x, bias, out)
    else:
        sigmoid_row(x, bias, out)
