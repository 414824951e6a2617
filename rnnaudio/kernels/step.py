"""Single time steps of layers, on NumPy arrays and with a state that is updated in place, for fast generation.

For a layer with a kernel, the module of the kernel (such as :mod:`rnnaudio.kernels.lstm`) has a subclass of
:class:`Step`. This module has the steps without compiled code: stacks, normalisation, and layers that have an effect
only in training.
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
"""A function (k, the stack's input x, outputs of the steps 0 to k - 1) -> list of the inputs of step k."""

Stepping = TypeVar("Stepping", bound="Step")
Composed = TypeVar("Composed", bound="CompositeStep")


class Step:
    """One step of a layer for several streams (independent sequences): x (n_streams, n_in) -> y (n_streams, n_out).

    A call updates the state in place, and may overwrite the y of the previous call.

    n_streams, n_in, dtype
        number of streams, width of x, and dtype of all arrays.
    state
        widths of the arrays of the state, in the order of ``Layer.initial_state``.
    room
        widths of further arrays of a subclass, for intermediate results.

    The attribute ``rows`` is a list of arrays (n_streams, width), those of the state and then those of ``room``. The
    attribute ``initial`` is a list of rows (width,), one for each array of the state; they are zero unless a caller
    sets them, and take effect at :meth:`start`. Weights of a subclass are shared by all :meth:`parts`.
    """

    def __init__(
        self, n_streams: int, n_in: int, dtype: DTypeLike, *, state: Sequence[int] = (), room: Sequence[int] = ()
    ):
        self.n_streams, self.n_in, self.dtype = n_streams, n_in, np.dtype(dtype)
        self.initial = [np.zeros(width, dtype) for width in state]
        self.rows = [np.zeros((n_streams, width), dtype) for width in (*state, *room)]

    @property
    def state(self) -> list[np.ndarray]:
        """The arrays (n_streams, width) of the state, updated by every step; callers may write to them."""
        return self.rows[: len(self.initial)]

    def start(self) -> None:
        """Set all streams to the initial state."""
        for leaf, row in zip(self.state, self.initial, strict=True):
            leaf[...] = row

    def __call__(self, x: Matrix) -> Matrix:
        """Compute the next step: x (n_streams, n_in) -> y (n_streams, n_out). ValueError if x has another shape."""
        x = np.ascontiguousarray(x, self.dtype)
        require_shapes(x=(x, (self.n_streams, self.n_in)))
        return self.advance(x)

    def advance(self, x: Matrix) -> Matrix:
        """Compute the next step without checks of x, which must be C-contiguous and of the step's dtype."""
        raise NotImplementedError

    def part(self: Stepping, first: int, last: int) -> Stepping:
        """Return a step for the streams first to last - 1 that shares weights and state with this step."""
        part = copy.copy(self)
        part.n_streams, part.rows = last - first, [rows[first:last] for rows in self.rows]
        return part

    def parts(self) -> list["Step"]:
        """Divide the streams: return a list of steps made by :meth:`part`, at most one per thread."""
        return [self.part(*share) for share in threads.split(self.n_streams)]


class Unchanged(Step):
    """The step of a layer that has an effect only in training, such as dropout: y = x."""

    def __init__(self, n: int, n_streams: int, dtype: DTypeLike):
        super().__init__(n_streams, n, dtype)

    def advance(self, x: Matrix) -> Matrix:
        return x


class NormalisedStep(Step):
    """The step of a normalisation: y = (x - mean) factor + shift, with mean, factor and shift (n,)."""

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
    """A step composed of several steps; its ``state`` is a list of the arrays of all their states, in order.

    ``room`` lists the widths of additional arrays for intermediate results.
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
    """Steps computed one after the other. The output of the chain is that of the last step.

    The input of step k is the concatenation of the arrays ``inputs_of(k, x, outputs)``, where x is the input of the
    chain, and ``outputs`` is a list of the outputs of the steps 0 to k - 1.
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
