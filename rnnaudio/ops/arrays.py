"""Conversions of arrays and variables to the arguments of kernels."""

import numpy as np
from numpy.typing import DTypeLike

from rnnaudio.engine import Symbolic, tt


def rows(x: np.ndarray) -> np.ndarray:
    """Return x (..., n) as a C-contiguous matrix (rows, n); a view of x if it is C-contiguous, else a copy."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def contiguous(x: np.ndarray) -> np.ndarray:
    """Return x if it is C-contiguous, else a C-contiguous copy; unlike np.ascontiguousarray, it keeps the shape ()."""
    return np.ascontiguousarray(x).reshape(x.shape)


def absent(ndim: int, dtype: str) -> Symbolic:
    """Make a constant with ``ndim`` axes of length 0, which stands for an absent argument of a kernel."""
    return tt.as_tensor_variable(np.zeros((0,) * ndim, dtype))


def scalars(values: list[float], dtype: DTypeLike) -> list[np.ndarray]:
    """Convert numbers to arrays of shape () and this dtype; too large ones become infinite, without a warning."""
    with np.errstate(over="ignore"):
        return [np.asarray(value, dtype) for value in values]
