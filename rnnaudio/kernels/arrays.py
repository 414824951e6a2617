"""Types of the arguments of kernels. The types of arrays are named after their axes.

Unless a function states otherwise, arrays are C-contiguous, and all arrays of one call have the same dtype, float32 or
float64.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Number: TypeAlias = np.floating | float
"""A number of the same dtype as the arrays of a call. An argument ``like`` is used only for its dtype."""

Vector: TypeAlias = NDArray[np.floating]
"""Array (feature,): a bias, or the values of one sequence at one step."""

Matrix: TypeAlias = NDArray[np.floating]
"""Array (rows, columns), such as a weight, or (batch, feature) at one step."""

Frames: TypeAlias = NDArray[np.floating]
"""Array (time, batch, feature) for all steps of a batch; for likelihoods, (rows, parameters, feature)."""

Depths: TypeAlias = NDArray[np.floating]
"""Array (time, batch, depth, feature), or (batch, depth, feature) at one step."""

Panels: TypeAlias = NDArray[np.floating]
"""Array of one axis: a matrix packed by :func:`rnnaudio.kernels.product.pack`."""

Mask: TypeAlias = NDArray[np.int8]
"""Array (time, batch), 0 for steps that leave the state unchanged; (0, 0) for no mask."""

Levels: TypeAlias = NDArray[np.integer]
"""Array (..., feature): the level of each quantised sample, counted from 0."""

Sums: TypeAlias = NDArray[np.float64]
"""Array (n_blocks, n_sums): partial sums, one row for each block of elements."""

Share: TypeAlias = tuple[Any, ...]
"""The arguments of one call of a function whose work is divided into several calls, to run in several threads."""

Compiled: TypeAlias = Callable[..., Any]
"""A function compiled by numba, or one that numba can compile."""
