"""A trained model, one frame at a time."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.kernels.step import Step
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten, unflatten


class Stepper:
    """A model as a function of one frame: x (batch, n_in), state -> y (batch, n_out), new state.

    The same graph serves priming and free running, so a frame is consumed once and in one way only. The state is a
    list of arrays; :meth:`start` gives the model's own initial state. The graph is compiled at the first call.

    :meth:`streams` is the fast way: the same function with its state kept in place, by compiled kernels.
    """

    def __init__(self, model: Layer):
        self.n_in, self.n_out = model.n_in, model.n_out
        self._model = model
        self._kernel, self._float_type = engine.kernel(), engine.float_type()

    @cached_property
    def _functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """(step, start), in the kernel and precision that held when this object was made."""
        with engine.using_kernel(self._kernel), engine.precision(self._float_type):
            x = engine.tensor("x", 2)
            n = engine.tt.lscalar("batch_size")
            fresh = self._model.initial_state(n)
            old = [engine.tensor(f"state_{k}", 2) for k in range(len(flatten(fresh)))]
            y, new = self._model.step(x, unflatten(fresh, old), Context.evaluation())
            return engine.function([x, *old], [y, *flatten(new)]), engine.function([n], flatten(fresh))

    def start(self, batch_size: int) -> list[np.ndarray]:
        """The state before the first frame."""
        return [np.asarray(a) for a in self._functions[1](batch_size)]

    def __call__(self, x: np.ndarray, state: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        y, *new = self._functions[0](x, *state)
        return y, new

    def prime(self, frames: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Consume true frames (time, batch, n_in); the outputs (time, batch, n_out) and the state after them."""
        state, outputs = self.start(frames.shape[1]), []
        for frame in frames:
            y, state = self(frame, state)
            outputs.append(y)
        return np.stack(outputs), state

    def streams(self, n_streams: int) -> Step:
        """The step of so many streams, from the initial state, with the values that the parameters have now.

        Compiled where the kernel is ``fused`` and every layer has such a step; else the graph.
        """
        with engine.using_kernel(self._kernel), engine.precision(self._float_type):
            step = self._model.compiled_step(n_streams) if self._kernel == "fused" else None
        return step or GraphStep(self, n_streams, self._float_type)


class GraphStep(Step):
    """The engine's graph as a :class:`Step`, for layers that have no compiled one."""

    def __init__(self, stepper: Stepper, n_streams: int, dtype: str):
        super().__init__(n_streams, stepper.n_in, dtype)
        self._stepper = stepper
        self.start()

    @property
    def state(self) -> list[np.ndarray]:
        return self.rows

    def start(self) -> None:
        self.rows = self._stepper.start(self.n_streams)
        self._make_writable()

    def advance(self, x: np.ndarray) -> np.ndarray:
        y, self.rows = self._stepper(x, self.rows)
        self._make_writable()
        return y

    def _make_writable(self) -> None:
        """The state is free to be written to; an engine's results may not be."""
        self.rows = [row if row.flags.writeable else row.copy() for row in self.rows]

    def parts(self) -> list[Step]:
        """One: the engines' functions keep what they compute with, and so serve one thread."""
        return [self]
