"""Cells that wrap another cell to add noise to it, or to learn or sample its initial state."""

from typing import Any, Generic, NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Size, Symbolic, tt
from rnnaudio.kernels.step import Step
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.layer import Context, Gates, current, flatten, known_std, leaf_names, unflatten
from rnnaudio.nn.recurrent import Cell, CellState, Inputs, repeat_rows
from rnnaudio.nn.state import State


class Wrapper(Cell[Inputs, CellState]):
    """A cell that wraps another cell. Methods that a subclass does not override call those of the wrapped cell."""

    def __init__(self, cell: Cell[Any, CellState]):
        super().__init__()
        self._cell = cell
        self._child(cell.kind, cell)
        self.n_in, self.n_out, self.state_sizes = cell.n_in, cell.n_out, cell.state_sizes

    def initial_state(self, batch_size: Size) -> State:
        return self._cell.initial_state(batch_size)

    def sequences(self, x: Symbolic, context: Context) -> Inputs:
        return self._cell.sequences(x, context)

    def recur(self, inputs: Inputs, state: CellState) -> CellState:
        return self._cell.recur(inputs, state)

    def output(self, states: CellState) -> Symbolic:
        return self._cell.output(states)

    def gates(self, inputs: Inputs, state: CellState) -> Gates:
        return self._cell.gates(inputs, state)

    def activations(self, scanned: bool = False) -> Activations:
        return self._cell.activations(scanned)

    @property
    def has_kernel(self) -> bool:
        return super().has_kernel and self._cell.has_kernel

    def can_fuse(self, masked: bool, context: Context) -> bool:
        return self.has_kernel and self._cell.can_fuse(masked, context)

    def fused(self, x: Symbolic, state: CellState, mask: Symbolic | None, context: Context) -> CellState:
        return self._cell.fused(x, state, mask, context)

    def compiled_step(self, n_streams: int) -> Step | None:
        return self._cell.compiled_step(n_streams)


class NoisyInputs(NamedTuple, Generic[Inputs]):
    inner: Inputs
    state_noise: tuple[Symbolic, ...]  # one per leaf of the state, or () for none


class Noisy(Wrapper[NoisyInputs[Any], CellState]):
    """A cell with Gaussian noise on its input and on its state at each step, in training only.

    ``std`` and ``state_std`` are the standard deviations of the noise on input and state. They are saved with the
    model but not trained; :meth:`set_std` changes them. The noise is sampled for all steps at once, before the loop
    over time. ValueError if a standard deviation is negative or not finite.
    """

    def __init__(self, cell: Cell[Any, CellState], *, std: float = 0.0, state_std: float = 0.0):
        super().__init__(cell)
        self.std = self._statistic("std", known_std(std))
        self.state_std = self._statistic("state_std", known_std(state_std))
        self._on_input, self._on_state = std > 0, state_std > 0

    def set_std(self, std: float, state_std: float) -> None:
        """Set both standard deviations, for example to anneal the noise.

        ValueError if either is negative or not finite, and if a standard deviation that was 0 at construction is set
        to a value above 0, because the layer then has no such noise in its graph.
        """
        for variable, value, on in ((self.std, std, self._on_input), (self.state_std, state_std, self._on_state)):
            if value > 0 and not on:
                raise ValueError(f"got noise of std {value} for a layer built with 0; build it with the largest std")
            variable.set_value(known_std(value).astype(variable.dtype))

    def activations(self, scanned: bool = False) -> Activations:
        cell = self._cell.activations(scanned or self._on_state)
        on_input = widths(self.n_in) if self._on_input else widths()
        on_state = widths(*flatten(self.state_sizes)) if self._on_state else widths()
        # Kept: the noisy input; for the state, roughly, random numbers, these times the std, and a copy made by scan.
        return cell.beside(Activations(on_input + on_state + on_state + on_state, on_input + on_state))

    def can_fuse(self, masked: bool, context: Context) -> bool:
        return super().can_fuse(masked, context) and not (context.training and self._on_state)

    def _with_noise(self, x: Symbolic, context: Context) -> Symbolic:
        if not (context.training and self._on_input):
            return x
        return x + self.std * context.normal([x.shape[axis] for axis in range(x.ndim)])

    def sequences(self, x: Symbolic, context: Context) -> NoisyInputs[Any]:
        leading = [x.shape[axis] for axis in range(x.ndim - 1)]
        x = self._with_noise(x, context)
        noise: tuple[Symbolic, ...] = ()
        if context.training and self._on_state:
            noise = tuple(self.state_std * context.normal([*leading, n]) for n in flatten(self.state_sizes))
        return NoisyInputs(self._cell.sequences(x, context), noise)

    def recur(self, inputs: NoisyInputs[Any], state: CellState) -> CellState:
        if inputs.state_noise:
            state = unflatten(state, [s + e for s, e in zip(flatten(state), inputs.state_noise, strict=True)])
        return self._cell.recur(inputs.inner, state)

    def gates(self, inputs: NoisyInputs[Any], state: CellState) -> Gates:
        return self._cell.gates(inputs.inner, state)

    def fused(self, x: Symbolic, state: CellState, mask: Symbolic | None, context: Context) -> CellState:
        return self._cell.fused(self._with_noise(x, context), state, mask, context)

    def compiled_step(self, n_streams: int) -> Step | None:
        return self._cell.compiled_step(n_streams)  # without noise


class LearntInitialState(Wrapper[Inputs, CellState]):
    """A cell with a trained initial state, the same for all sequences of a batch and zero before training."""

    def __init__(self, cell: Cell[Inputs, CellState]):
        super().__init__(cell)
        names = zip(leaf_names(self.state_sizes), flatten(self.state_sizes), strict=True)
        self._rows = [self._parameter(f"initial_{name}", np.zeros(width)) for name, width in names]

    def initial_state(self, batch_size: Size) -> State:
        return unflatten(self.state_sizes, [repeat_rows(row, batch_size) for row in self._rows])

    def compiled_step(self, n_streams: int) -> Step | None:
        step = self._cell.compiled_step(n_streams)
        if step is not None:
            step.initial = current(*self._rows)
            step.start()
        return step


class DrawnInitialState(Wrapper[Inputs, CellState]):
    """A cell whose initial state is sampled from a Gaussian of mean 0, separately for each sequence of a batch.

    The blog of 2016 sampled a new state at every call. Here every call gets the same state, so that validation and
    generation are repeatable. ``std`` is the standard deviation. ``number`` is a seed for the random numbers; it
    should differ between the layers of a stack. ValueError if ``std`` is negative or not finite.
    """

    def __init__(self, cell: Cell[Inputs, CellState], *, std: float = 0.01, number: int = 0):
        super().__init__(cell)
        self._std, self._number = float(known_std(std)), number

    def initial_state(self, batch_size: Size) -> State:
        key = tt.as_tensor_variable(np.array([2016, self._number], "int64"))
        leaves = flatten(self.state_sizes)
        sampled = [self._std * engine.normal(key, k, [batch_size, width]) for k, width in enumerate(leaves)]
        return unflatten(self.state_sizes, sampled)

    def compiled_step(self, n_streams: int) -> Step | None:
        return None
