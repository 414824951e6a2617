"""One update of a parameter and of its optimizer's slots, in place."""

from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.kernels import elementwise
from rnnaudio.ops.arrays import contiguous, scalars


def sum_of_squares(x: Any) -> Any:
    """sum of x^2 over all elements."""
    return _SumOfSquares()(x) if engine.kernel() == "fused" else tt.sum(tt.sqr(x))


class _SumOfSquares(engine.Kernel):
    ndims = (0,)

    def compute(self, x: np.ndarray) -> list[np.ndarray]:
        return scalars([elementwise.sum_of_squares(np.ascontiguousarray(x))], x.dtype)


class Update(engine.Kernel):
    """p, g, clip, rate, n, memory... -> new p, |new p - p|^2, |p|^2, new memory...; p and the memory in place.

    ``rule`` names its compiled function (``kernel``) and, for the n-th update, its ``constants(n)``.
    """

    __props__ = ("rule", "ndims")

    def __init__(self, rule: Any, ndim: int):
        n_slots = len(rule.slots)
        self.rule, self.ndims = rule, (ndim, 0, 0, *[ndim] * n_slots)
        self.destroy_map = {0: [0]} | {3 + k: [5 + k] for k in range(n_slots)}

    def compute(
        self, p: np.ndarray, g: np.ndarray, clip: np.ndarray, rate: np.ndarray, n: np.ndarray, *memory: np.ndarray
    ) -> list[np.ndarray]:
        constants = self.rule.constants(int(n))
        g = contiguous(g)
        sums = elementwise.update(self.rule.kernel, p, g, list(memory), float(clip), float(rate), constants)
        return [p, *scalars(sums, p.dtype), *memory]
