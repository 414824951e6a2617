"""In-place updates of parameters and of their slots, the arrays that an optimizer keeps for each parameter."""

from typing import Protocol

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Symbolic, tt
from rnnaudio.kernels import elementwise
from rnnaudio.kernels.elementwise import Rule
from rnnaudio.ops.arrays import contiguous, scalars


class CompiledRule(Protocol):
    """The update rule of an optimizer (:mod:`rnnaudio.optimizers`), computed by a compiled kernel."""

    @property
    def slots(self) -> tuple[str, ...]: ...

    @property
    def kernel(self) -> Rule: ...

    def constants(self, n: int) -> tuple[float, ...]:
        """Return the constants that are arguments of the kernel at the n-th update; n counts from 1."""
        ...


def sum_of_squares(x: Symbolic) -> Symbolic:
    """Compute the sum of x^2 over all elements, a scalar."""
    return _SumOfSquares()(x) if engine.kernel() == "fused" else tt.sum(tt.sqr(x))


class _SumOfSquares(engine.Kernel):
    ndims = (0,)

    def compute(self, x: np.ndarray) -> list[np.ndarray]:
        return scalars([elementwise.sum_of_squares(np.ascontiguousarray(x))], x.dtype)


class Update(engine.Kernel):
    """The graph operation (p, g, clip, rate, n, *slots) -> new p, |new p - p|^2, |p|^2, *new slots.

    p is a parameter with ``ndim`` axes, g its gradient, clip a factor that scales g, rate the learning rate, and n the
    number of the update, which counts from 1. ``rule`` defines the update. The arrays of p and the slots are
    overwritten.
    """

    __props__ = ("rule", "ndims")

    def __init__(self, rule: CompiledRule, ndim: int):
        n_slots = len(rule.slots)
        self.rule, self.ndims = rule, (ndim, 0, 0, *[ndim] * n_slots)
        self.destroy_map = {0: [0]} | {3 + k: [5 + k] for k in range(n_slots)}

    def compute(
        self, p: np.ndarray, g: np.ndarray, clip: np.ndarray, rate: np.ndarray, n: np.ndarray, *slots: np.ndarray
    ) -> list[np.ndarray]:
        constants = self.rule.constants(int(n))
        g = contiguous(g)
        sums = elementwise.update(self.rule.kernel, p, g, list(slots), float(clip), float(rate), constants)
        return [p, *scalars(sums, p.dtype), *slots]
