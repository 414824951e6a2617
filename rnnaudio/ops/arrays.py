"""Arrays on their way to a kernel."""

from typing import Any

import numpy as np

from rnnaudio.engine import tt


def rows(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def contiguous(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(x.shape)  # NumPy's gives scalars an axis


def nothing(ndim: int, dtype: str) -> Any:
    """What kernels take for an argument that is not there."""
    return tt.as_tensor_variable(np.zeros((0,) * ndim, dtype))


def scalars(values: list[float], dtype: Any) -> list[np.ndarray]:
    with np.errstate(over="ignore"):  # a diverging run: infinity is what the caller looks for
        return [np.asarray(value, dtype) for value in values]
