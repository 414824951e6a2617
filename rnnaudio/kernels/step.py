"""One time step of a layer on NumPy arrays, which updates the state in place: the fast path of generation.

For a layer with a kernel, the kernel's module (:mod:`rnnaudio.kernels.lstm`, :mod:`.gru`, :mod:`.dense`) has a
subclass of :class:`Step`. This module has the steps that need no compiled code: stacks, normalisation, and layers
that do nothing outside training.
"""

import copy
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from rnnaudio.kernels import threads
from rnnaudio.kernels.arrays import Matrix, Vector
from rnnaudio.kernels.product import require_shapes

Inputs: TypeAlias = Callable[[int, Matrix, list[Matrix]], list[Matrix]]
"""The wiring of a stack: (k, the stack's input x, outputs of steps 0 to k - 1) -> the inputs of step k."""

Stepping = TypeVar("Stepping", bound="Step")
Composed = TypeVar("Composed", bound="CompositeStep")


class Step:
    """One step of a layer for several streams (independent sequences): x (n_streams, n_in) -> y (n_streams, n_out).

    The next call may overwrite y. The argument ``state`` lists the widths of the state's leaves (its arrays, in the
    order of ``Layer.initial_state``), ``room`` the widths of a subclass's arrays for intermediate results.
    :attr:`rows` holds an array (n_streams, width) for each of these widths, in this order. A subclass keeps its packed
    weights elsewhere, so that all :meth:`parts` share them. The initial state is zero unless :attr:`initial`, which
    holds a row (width,) for each leaf, is set to other values; they take effect at :meth:`start`.
    """

    def __init__(
        self, n_streams: int, n_in: int, dtype: DTypeLike, *, state: Sequence[int] = (), room: Sequence[int] = ()
    ):
        self.n_streams, self.n_in, self.dtype = n_streams, n_in, np.dtype(dtype)
        self.initial = [np.zeros(width, dtype) for width in state]
        self.rows = [np.zeros((n_streams, width), dtype) for width in (*state, *room)]

    @property
    def state(self) -> list[np.ndarray]:
        """The state's leaves (n_streams, width), which every step updates; callers may write to them between steps."""
        return self.rows[: len(self.initial)]

    def start(self) -> None:
        """Set all streams to the initial state."""
        for leaf, row in zip(self.state, self.initial, strict=True):
            leaf[...] = row

    def __call__(self, x: Matrix) -> Matrix:
        """Compute and return y of the next step, for x (n_streams, n_in). ValueError if x has another shape."""
        x = np.ascontiguousarray(x, self.dtype)
        require_shapes(x=(x, (self.n_streams, self.n_in)))
        return self.advance(x)

    def advance(self, x: Matrix) -> Matrix:
        """Compute and return y of the next step, without checks: x must be C-contiguous, with :attr:`dtype`."""
        raise NotImplementedError

    def part(self: Stepping, first: int, last: int) -> Stepping:
        """Return a step for streams first to last - 1 that shares weights and state with this step, without copies."""
        part = copy.copy(self)
        part.n_streams, part.rows = last - first, [rows[first:last] for rows in self.rows]
        return part

    def parts(self) -> list["Step"]:
        """Divide the streams between steps made by :meth:`part`, at most one per thread, for parallel computation."""
        return [self.part(*share) for share in threads.split(self.n_streams)]


class Unchanged(Step):
    """The step of a layer that does nothing outside training: y = x."""

    def __init__(self, n: int, n_streams: int, dtype: DTypeLike):
        super().__init__(n_streams, n, dtype)

    def advance(self, x: Matrix) -> Matrix:
        return x


class NormalisedStep(Step):
    """The step of a normalisation: y = (x - mean) factor + shift; mean, factor and shift (n,)."""

    def __init__(self, mean: Vector, factor: Vector, shift: Vector, n_streams: int):
        super().__init__(n_streams, len(mean), mean.dtype, room=[len(mean)])
        self._weights = mean, factor, shift

    def advance(self, x: Matrix) -> Matrix:
        mean, factor, shift = self._weights
        (y,) = self.rows
        np.subtract(x, mean, out=y)
        np.multiply(y, factor, out=y)
        return np.add(y, shift, out=y)


class CompositeStep(Step):
    """A step composed of several steps; its ``state`` lists the leaves of the states of all these steps, in order.

    ``room`` lists the widths of the composite's own arrays for intermediate results.
    """

    def __init__(self, steps: Sequence[Step], room: Sequence[int]):
        first = steps[0]
        super().__init__(first.n_streams, first.n_in, first.dtype, room=room)
        self.steps = list(steps)

    @property
    def state(self) -> list[np.ndarray]:
        return [leaf for step in self.steps for leaf in step.state]

    def start(self) -> None:
        for step in self.steps:
            step.start()

    def part(self: Composed, first: int, last: int) -> Composed:
        part = super().part(first, last)
        part.steps = [step.part(first, last) for step in self.steps]
        return part


class Chain(CompositeStep):
    """Steps computed in order; step k takes the arrays ``inputs_of(k, x, outputs)``, joined side by side.

    x is the input of the whole chain, and ``outputs`` lists the outputs of steps 0 to k - 1. The output of the chain
    is that of the last step.
    """

    def __init__(self, steps: Sequence[Step], inputs_of: Inputs):
        super().__init__(steps, [step.n_in for step in steps])
        self._inputs_of = inputs_of

    def advance(self, x: Matrix) -> Matrix:
        outputs: list[np.ndarray] = []
        for k, step in enumerate(self.steps):
            inputs = self._inputs_of(k, x, outputs)
            joined = inputs[0] if len(inputs) == 1 else np.concatenate(inputs, axis=1, out=self.rows[k])
            outputs.append(step.advance(joined))
        return outputs[-1]


class Total(CompositeStep):
    """The sum of several steps: y = f_1(x) + f_2(x) + ..., each (n_streams, n_out)."""

    def __init__(self, steps: Sequence[Step], n_out: int):
        super().__init__(steps, [n_out])

    def advance(self, x: Matrix) -> Matrix:
        outputs = [step.advance(x) for step in self.steps]
        y = self.rows[0]
        y[...] = outputs[0]
        for output in outputs[1:]:
            np.add(y, output, out=y)
        return y
