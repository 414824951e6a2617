"""Types of the arrays that kernels take, named after their axes.

Unless a function states otherwise, arrays are C-contiguous, and all arrays of one call have the same dtype, float32 or
float64.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Number: TypeAlias = np.floating | float
"""A single number of the dtype of a call's arrays. An argument named ``like`` only conveys that dtype."""

Vector: TypeAlias = NDArray[np.floating]
"""(feature,): a bias, or the values of one sequence at one step."""

Matrix: TypeAlias = NDArray[np.floating]
"""(rows, columns): a weight, or (batch, feature) at one step."""

Frames: TypeAlias = NDArray[np.floating]
"""(time, batch, feature): all steps of a batch of sequences; for likelihoods, (rows, parameters, feature)."""

Depths: TypeAlias = NDArray[np.floating]
"""(time, batch, depth, feature), or (batch, depth, feature) at one step."""

Panels: TypeAlias = NDArray[np.floating]
"""A matrix packed by :func:`rnnaudio.kernels.product.pack`, as an array of one axis."""

Mask: TypeAlias = NDArray[np.int8]
"""(time, batch): 0 where a step leaves the state unchanged; (0, 0) for no mask."""

Levels: TypeAlias = NDArray[np.integer]
"""(..., feature): the level of each quantised sample, counted from 0."""

Sums: TypeAlias = NDArray[np.float64]
"""(n_blocks, n_sums): partial sums, one row for each block of elements."""

Share: TypeAlias = tuple[Any, ...]
"""The arguments of one call of a function whose work is divided into several calls, to run in several threads."""

Compiled: TypeAlias = Callable[..., Any]
"""A function compiled by numba, or one that numba can compile."""
