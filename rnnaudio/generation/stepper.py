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

    With ``noise_seed`` it is the training graph, noise and dropout on, drawn anew at every call (as in 2016).
    """

    def __init__(self, model: Layer, *, noise_seed: int | None = None):
        self.n_in, self.n_out = model.n_in, model.n_out
        self._noise_seed, self._n_calls = noise_seed, 0
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
            key = engine.tt.vector("key", dtype="int64")
            context = Context.evaluation() if self._noise_seed is None else Context.training_with(key)
            y, new = self._model.step(x, unflatten(fresh, old), context)
            step = engine.function([x, *old, key], [y, *flatten(new)])
            return step, engine.function([n], flatten(fresh))

    def start(self, batch_size: int) -> list[np.ndarray]:
        """The state before the first frame."""
        return [np.asarray(a) for a in self._functions[1](batch_size)]

    def __call__(self, x: np.ndarray, state: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        key = np.asarray([self._noise_seed or 0, self._n_calls], "int64")
        self._n_calls += 1
        y, *new = self._functions[0](x, *state, key)
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

        Compiled where the kernel is ``fused``, no noise is on, and every layer has such a step; else the graph.
        """
        compiled = self._kernel == "fused" and self._noise_seed is None
        with engine.using_kernel(self._kernel), engine.precision(self._float_type):
            step = self._model.compiled_step(n_streams) if compiled else None
        return step or GraphStep(self, n_streams, self._float_type)


class TwoFunctions(Step):
    """The blog's way to generate (2016): h = f2(k, h), then k = f(k, h), by two functions in turn.

    f2 computes the state from a frame; f computes the next frame from the same frame and that state, and forgets the
    state it made. So each frame is consumed twice, and when f speaks the memory is one frame ahead of where training
    had it.
    """

    def __init__(self, step: Step):
        super().__init__(step.n_streams, step.n_in, step.dtype)
        self._step = step

    def advance(self, x: np.ndarray) -> np.ndarray:
        self._step.advance(x)
        ahead = [leaf.copy() for leaf in self._step.state]
        y = self._step.advance(x).copy()  # it may be a part of the state
        for leaf, kept in zip(self._step.state, ahead, strict=True):
            leaf[...] = kept
        return y


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
