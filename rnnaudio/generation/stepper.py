"""Running a trained model one frame at a time."""

from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Array, Frames
from rnnaudio.kernels.step import Step
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten, unflatten

StateArrays: TypeAlias = list[Array]  # the leaves of a state, (batch, width) each
Compiled: TypeAlias = Callable[..., list[Array]]


class Stepper:
    """A model as a function of one frame: x (batch, n_in), state -> y (batch, n_out), new state.

    Priming and free running use the same graph, and each frame is an input exactly once. The state is a list of
    arrays, (batch, width) each; :meth:`start` returns the model's initial state. The graph is compiled at the first
    call.

    The result of :meth:`streams` is faster: compiled kernels update its state in place.

    With ``noise_seed`` the training graph is used, with noise and dropout sampled at every call (as in 2016); None:
    the evaluation graph, without noise.
    """

    def __init__(self, model: Layer, *, noise_seed: int | None = None):
        self.n_in, self.n_out = model.n_in, model.n_out
        self._noise_seed, self._n_calls = noise_seed, 0
        self._model = model
        self._kernel, self._float_type = engine.kernel(), engine.float_type()

    @cached_property
    def _functions(self) -> tuple[Compiled, Compiled]:
        """Compile (step, start), with the kernel and precision in effect when this object was made."""
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

    def start(self, batch_size: int) -> StateArrays:
        """Return the model's initial state for ``batch_size`` sequences, an array (batch_size, width) per leaf."""
        return [np.asarray(a) for a in self._functions[1](batch_size)]

    def __call__(self, x: Frames, state: StateArrays) -> tuple[Frames, StateArrays]:
        """Step all sequences by one frame x (batch, n_in); returns (outputs (batch, n_out), new state)."""
        key = np.asarray([self._noise_seed or 0, self._n_calls], "int64")
        self._n_calls += 1
        y, *new = self._functions[0](x, *state, key)
        return y, new

    def prime(self, frames: Frames) -> tuple[Frames, StateArrays]:
        """Step through true frames (time, batch, n_in) from the initial state; returns (outputs, final state).

        The outputs are (time, batch, n_out). There must be at least one frame.
        """
        state, outputs = self.start(frames.shape[1]), []
        for frame in frames:
            y, state = self(frame, state)
            outputs.append(y)
        return np.stack(outputs), state

    def streams(self, n_streams: int) -> Step:
        """Make a :class:`rnnaudio.kernels.step.Step` of the model: x (n_streams, n_in) -> y (n_streams, n_out).

        The step has the parameters' current values and starts in the model's initial state. It is compiled if the
        kernel is ``fused``, there is no noise, and every layer has a compiled step; otherwise it runs the engine's
        graph.
        """
        compiled = self._kernel == "fused" and self._noise_seed is None
        with engine.using_kernel(self._kernel), engine.precision(self._float_type):
            step = self._model.compiled_step(n_streams) if compiled else None
        return step or GraphStep(self, n_streams, self._float_type)


class TwoFunctions(Step):
    """Generation as in the blog of 2016: h = f2(k, h), then k = f(k, h), by two functions in turn.

    f2 computes the state h from a frame k; f computes the next frame from the same frame and this state, and discards
    its new state. So each frame is an input twice, and f starts from a state one frame ahead of the state in training.

    step: the model's step, whose state this object reads and updates.
    """

    def __init__(self, step: Step):
        super().__init__(step.n_streams, step.n_in, step.dtype)
        self._step = step

    def advance(self, x: Frames) -> Frames:
        self._step.advance(x)
        ahead = [leaf.copy() for leaf in self._step.state]
        y = self._step.advance(x).copy()  # it may be a view of the state
        for leaf, kept in zip(self._step.state, ahead, strict=True):
            leaf[...] = kept
        return y


class GraphStep(Step):
    """The engine's graph as a :class:`rnnaudio.kernels.step.Step`, for models without a compiled step."""

    def __init__(self, stepper: Stepper, n_streams: int, dtype: str):
        super().__init__(n_streams, stepper.n_in, dtype)
        self._stepper = stepper
        self.start()

    @property
    def state(self) -> StateArrays:
        return self.rows

    def start(self) -> None:
        self.rows = self._stepper.start(self.n_streams)
        self._make_writable()

    def advance(self, x: Frames) -> Frames:
        y, self.rows = self._stepper(x, self.rows)
        self._make_writable()
        return y

    def _make_writable(self) -> None:
        """Copy read-only results of the engine, as callers may write to the state."""
        self.rows = [row if row.flags.writeable else row.copy() for row in self.rows]

    def parts(self) -> list[Step]:
        """Return a single part with all streams, because compiled functions of the engine are not thread-safe."""
        return [self]
