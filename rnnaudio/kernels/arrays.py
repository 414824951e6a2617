"""Names of the arrays that kernels take, by their axes.

All are C-contiguous and, within one call, of one type, float32 or float64, except where a function states otherwise.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Number: TypeAlias = np.floating | float
"""A single number of the type of a call's arrays; as an argument named ``like`` it only conveys that type."""

Vector: TypeAlias = NDArray[np.floating]
"""(feature,): a bias, or the row of one sequence at one step."""

Matrix: TypeAlias = NDArray[np.floating]
"""(rows, columns): a weight, or (batch, feature) at one step."""

Frames: TypeAlias = NDArray[np.floating]
"""(time, batch, feature): a whole sequence of each stream; for likelihoods (rows, parameters, feature)."""

Depths: TypeAlias = NDArray[np.floating]
"""(time, batch, depth, feature), or (batch, depth, feature) at one step."""

Panels: TypeAlias = NDArray[np.floating]
"""A matrix packed for :func:`rnnaudio.kernels.product.multiply`, one axis."""

Mask: TypeAlias = NDArray[np.int8]
"""(time, batch): 0 where a step keeps the state as it was; (0, 0) for no mask."""

Levels: TypeAlias = NDArray[np.integer]
"""(..., feature): the level of each quantised sample, from 0."""

Sums: TypeAlias = NDArray[np.float64]
"""(block, sum): partial sums, one row for each block of elements."""

Share: TypeAlias = tuple[Any, ...]
"""The arguments of one call of a function that threads share."""

Compiled: TypeAlias = Callable[..., Any]
"""A function that numba has compiled, or that it can compile."""
