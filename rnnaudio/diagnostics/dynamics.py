"""Dynamics of a model's state: growth, influence of the initial state, sensitivity to the input."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Array, Floats, Frames
from rnnaudio.diagnostics.excerpt import quick_mode, rms
from rnnaudio.kernels.step import Step
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten, unflatten
from rnnaudio.nn.state import stored_leaves

LEAST_STEPS = 64
NUDGE = 0.01
CONSTANT = 1e-4  # a unit counts as constant if its standard deviation, over the rms of its array, is at most this

StateArrays: TypeAlias = list[Array]  # the leaves of a state, (batch, width) each
Compiled: TypeAlias = Callable[..., list[Array]]


class DynamicsFigures(NamedTuple):
    """Measurements of the dynamics of a state.

    growth_with_input, growth_without, echo, flip
        as in :class:`rnnaudio.diagnostics.subject.Measurements`.
    constant_units
        share of state units that do not vary over steps and sequences, see :func:`constant_share`.
    """

    growth_with_input: Floats
    growth_without: Floats
    echo: Floats
    flip: float
    constant_units: float


class Stepped:
    """Step function of a model: ``stepped(x, state) -> (y, state)`` for one frame x (batch, n) of each sequence.

    The model is evaluated without noise or, if ``noisy``, as in training. The layers' compiled steps are used if every
    layer has one, the kernel is ``fused``, and ``noisy`` is False; otherwise a compiled graph.
    """

    def __init__(self, model: Layer, *, noisy: bool = False):
        self._model, self._noisy = model, noisy
        self.is_stored = stored_leaves(model.state_sizes)
        self._has_kernel = not noisy and engine.kernel() == "fused" and model.compiled_step(1) is not None
        self._compiled: dict[int, Step] = {}

    def _of(self, n_streams: int) -> Step:
        """Return the compiled step for ``n_streams`` sequences, made at the first call."""
        if n_streams not in self._compiled:
            step = self._model.compiled_step(n_streams)
            assert step is not None  # __init__ found one for a single stream
            self._compiled[n_streams] = step
        return self._compiled[n_streams]

    @cached_property
    def _graph(self) -> tuple[Compiled, Compiled]:
        """The compiled graphs of the step and of the initial state."""
        x, n = engine.tensor("x", 2), engine.tt.lscalar("batch_size")
        key = engine.tt.vector("key", dtype="int64")
        fresh = self._model.initial_state(n)
        old = [engine.tensor(f"state_{k}", 2) for k in range(len(flatten(fresh)))]
        context = Context.training_with(key) if self._noisy else Context.evaluation()
        y, new = self._model.step(x, unflatten(fresh, old), context)
        step = engine.function([key, x, *old], [y, *flatten(new)], mode=quick_mode())
        return step, engine.function([n], flatten(fresh), mode=quick_mode())

    def start(self, batch_size: int) -> StateArrays:
        """Return the initial state of ``batch_size`` sequences, a list of arrays (batch_size, width)."""
        if self._has_kernel:
            self._of(batch_size).start()
            return [leaf.copy() for leaf in self._of(batch_size).state]
        return [np.array(leaf) for leaf in self._graph[1](batch_size)]

    def __call__(self, x: Frames, state: StateArrays, key: tuple[int, int] = (0, 0)) -> tuple[Frames, StateArrays]:
        """Advance by one frame x (batch, n); returns (output (batch, n_out), new state).

        key: seed of the noise, for a ``noisy`` step.
        """
        if not self._has_kernel:
            y, *new = self._graph[0](np.array(key, "int64"), x, *state)
            return np.array(y), [np.array(leaf) for leaf in new]
        step = self._of(len(x))
        for leaf, value in zip(step.state, state, strict=True):
            leaf[...] = value
        with np.errstate(all="ignore"):
            return step(x).copy(), [leaf.copy() for leaf in step.state]

    def outputs(self, x: Frames, seed: int = 0) -> Frames:
        """Outputs (time, batch, n_out) for x (time, batch, n) from the initial state.

        ``seed`` determines the noise, if ``noisy``.
        """
        state, outputs = self.start(x.shape[1]), []
        for t, frame in enumerate(x):
            y, state = self(frame, state, (seed, t))
            outputs.append(y)
        return np.stack(outputs)

    def computed(self, state: StateArrays) -> StateArrays:
        """Return the arrays of a state that a step computes, without those that only store earlier values.

        Stored arrays are those of :func:`rnnaudio.nn.state.stored_leaves`, such as the entries of attention.
        """
        return [leaf for leaf, is_stored in zip(state, self.is_stored, strict=True) if not is_stored]

    def states(self, x: Frames, state: StateArrays) -> tuple[list[StateArrays], StateArrays]:
        """Run the model from ``state`` with input x (time, batch, n).

        Returns the :meth:`computed` part of the state after each step, in a list, and the whole state before the last
        step.
        """
        visited, before = [], state
        for frame in x:
            before, state = state, self(frame, state)[1]
            visited.append(self.computed(state))
        return visited, before

    def disturbed(self, state: StateArrays, sizes: list[float], rng: np.random.Generator) -> StateArrays:
        """Add Gaussian noise to the :meth:`computed` part of a state; returns the whole state.

        sizes: standard deviation of the noise for each array of the computed part.
        """
        stds = iter(sizes)
        return [
            leaf if is_stored else (leaf + next(stds) * rng.standard_normal(leaf.shape)).astype(leaf.dtype)
            for leaf, is_stored in zip(state, self.is_stored, strict=True)
        ]


def unrolled(model: Layer) -> Callable[[Frames], Frames]:
    """Compile a function x (time, batch, n) -> y (time, batch, n_out): the model, run from its initial state."""
    x = engine.tensor("x", 3)
    y, _ = model.unroll(x, model.initial_state(x.shape[1]), Context.evaluation())
    function: Callable[[Frames], Frames] = engine.function([x], y, mode=quick_mode())
    return function


def dynamics_figures(stepped: Stepped, x: Frames, rng: np.random.Generator) -> DynamicsFigures:
    """Measure the states s_1 .. s_T of a model with input x (time, batch, n), repeated to at least 64 steps.

    growth      rms of s_t over all units: with the input, from the initial state s_0; and with zeros as input, from
                s_0 + N(0, 0.01^2), because a state of exactly 0 might stay there
    echo        |s_t - s'_t| / sqrt((|s_t|^2 + |s'_t|^2) / 2), where s'_t are the states with the same input, but from
                s'_0 = s_0 + noise with the rms of s_T
    flip        |s(x_T) - s(-x_T)| / |s(x_T)|, where s(x) is the state that follows s_{T-1} with the input x

    Only the computed part of a state counts (:meth:`Stepped.computed`), because stored parts, such as the entries of
    attention, grow and vanish irrespective of the dynamics. ``rng`` samples the noise of growth and echo. The arrays
    are empty and the numbers NaN for a model without a computed state.
    """
    x = np.concatenate([x] * -(-LEAST_STEPS // len(x)))
    start = stepped.start(x.shape[1])
    if all(stepped.is_stored):
        return DynamicsFigures(np.empty(0), np.empty(0), np.empty(0), float("nan"), float("nan"))
    driven, before = stepped.states(x, start)
    nudged = stepped.disturbed(start, [NUDGE] * len(driven[-1]), rng)
    silent, _ = stepped.states(np.zeros_like(x), nudged)
    other, _ = stepped.states(x, stepped.disturbed(start, [rms(leaf) + 1e-3 for leaf in driven[-1]], rng))
    flipped = stepped.computed(stepped(-x[-1], before)[1])
    return DynamicsFigures(
        np.array([size(state) for state in driven]),
        np.array([size(state) for state in silent]),
        np.array([distance(a, b) for a, b in zip(driven, other, strict=True)]),
        size(difference(driven[-1], flipped)) / max(size(driven[-1]), 1e-30),
        constant_share(driven),
    )


def size(state: StateArrays) -> float:
    """Root mean square of all units of a state."""
    return rms(np.concatenate([leaf.ravel() for leaf in state]))


def difference(a: StateArrays, b: StateArrays) -> StateArrays:
    """Difference a - b of two states, array by array."""
    return [p - q for p, q in zip(a, b, strict=True)]


def distance(a: StateArrays, b: StateArrays) -> float:
    """Distance |a - b| / sqrt((|a|^2 + |b|^2) / 2) of two states: 0 if equal, about sqrt 2 if uncorrelated."""
    return size(difference(a, b)) / max(np.hypot(size(a), size(b)) / np.sqrt(2.0), 1e-30)


def constant_share(states: list[StateArrays]) -> float:
    """Share of units whose standard deviation over time and batch is at most 1e-4 of the rms of their state array."""
    still = []
    for leaves in zip(*states, strict=True):
        over_time = np.stack(leaves)
        still.append(np.std(over_time, axis=(0, 1)) <= CONSTANT * max(rms(over_time), 1e-30))
    return float(np.mean(np.concatenate(still)))
