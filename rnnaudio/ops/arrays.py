"""Conversions between arrays and variables as graphs have them and as kernels take them."""

import numpy as np
from numpy.typing import DTypeLike

from rnnaudio.engine import Symbolic, tt


def rows(x: np.ndarray) -> np.ndarray:
    """Reshape (..., n) to (rows, n), C-contiguous."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def contiguous(x: np.ndarray) -> np.ndarray:
    """Return x C-contiguous and of the same shape; NumPy's own function gives scalars an axis."""
    return np.ascontiguousarray(x).reshape(x.shape)


def absent(ndim: int, dtype: str) -> Symbolic:
    """Make an empty variable, which kernels take for an absent argument."""
    return tt.as_tensor_variable(np.zeros((0,) * ndim, dtype))


def scalars(values: list[float], dtype: DTypeLike) -> list[np.ndarray]:
    """Convert numbers to arrays without axes; too large ones become infinite, which callers take for divergence."""
    with np.errstate(over="ignore"):
        return [np.asarray(value, dtype) for value in values]
