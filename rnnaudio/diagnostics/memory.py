"""What a model's memory does: does it grow, does it forget where it began, does it hear its input?"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.diagnostics.excerpt import quick_mode, rms
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten, unflatten

LEAST_STEPS = 64
NUDGE = 0.01
CONSTANT = 1e-4  # a unit that moves by less, against the rms of all units of its array, tells nothing

State = list[np.ndarray]


class MemoryFigures(NamedTuple):
    """As :class:`rnnaudio.diagnostics.subject.Measurements` describes them; constant_units: the share of state units
    that do not move over steps and sequences."""

    growth_with_input: np.ndarray
    growth_without: np.ndarray
    echo: np.ndarray
    flip: float
    constant_units: float


class Stepped:
    """One step of a model: ``stepped(x (batch, n), state) -> (y, state)``, in evaluation or, ``noisy``, in training.

    By the layers' compiled steps where all have one and there is no noise; else by a graph.
    """

    def __init__(self, model: Layer, *, noisy: bool = False):
        self._model, self._noisy = model, noisy
        self._has_kernel = not noisy and engine.kernel() == "fused" and model.compiled_step(1) is not None
        self._compiled: dict[int, Any] = {}

    def _of(self, n_streams: int) -> Any:
        """The compiled step of so many sequences."""
        if n_streams not in self._compiled:
            self._compiled[n_streams] = self._model.compiled_step(n_streams)
        return self._compiled[n_streams]

    @cached_property
    def _graph(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """(step, start)."""
        x, n = engine.tensor("x", 2), engine.tt.lscalar("batch_size")
        key = engine.tt.vector("key", dtype="int64")
        fresh = self._model.initial_state(n)
        old = [engine.tensor(f"state_{k}", 2) for k in range(len(flatten(fresh)))]
        context = Context.training_with(key) if self._noisy else Context.evaluation()
        y, new = self._model.step(x, unflatten(fresh, old), context)
        step = engine.function([key, x, *old], [y, *flatten(new)], mode=quick_mode())
        return step, engine.function([n], flatten(fresh), mode=quick_mode())

    def start(self, batch_size: int) -> State:
        """The state before the first frame."""
        if self._has_kernel:
            self._of(batch_size).start()
            return [leaf.copy() for leaf in self._of(batch_size).state]
        return [np.array(leaf) for leaf in self._graph[1](batch_size)]

    def __call__(self, x: np.ndarray, state: State, key: tuple[int, int] = (0, 0)) -> tuple[np.ndarray, State]:
        if not self._has_kernel:
            y, *new = self._graph[0](np.array(key, "int64"), x, *state)
            return np.array(y), [np.array(leaf) for leaf in new]
        step = self._of(len(x))
        for leaf, value in zip(step.state, state, strict=True):
            leaf[...] = value
        with np.errstate(all="ignore"):
            return step(x).copy(), [leaf.copy() for leaf in step.state]

    def outputs(self, x: np.ndarray, seed: int = 0) -> np.ndarray:
        """The outputs for x (time, batch, n) from the start; ``seed`` decides the noise, if there is any."""
        state, said = self.start(x.shape[1]), []
        for t, frame in enumerate(x):
            y, state = self(frame, state, (seed, t))
            said.append(y)
        return np.stack(said)

    def states(self, x: np.ndarray, state: State) -> list[State]:
        """The states after 1, 2, .. steps of x (time, batch, n)."""
        visited = []
        for frame in x:
            state = self(frame, state)[1]
            visited.append(state)
        return visited


def unrolled(model: Layer) -> Callable[[np.ndarray], np.ndarray]:
    """The evaluation graph over whole sequences, compiled: x (time, batch, n) -> y."""
    x = engine.tensor("x", 3)
    y, _ = model.unroll(x, model.initial_state(x.shape[1]), Context.evaluation())
    function: Callable[[np.ndarray], np.ndarray] = engine.function([x], y, mode=quick_mode())
    return function


def memory_figures(stepped: Stepped, x: np.ndarray, rng: np.random.Generator) -> MemoryFigures:
    """Run over x (time, batch, n), repeated to 64 steps at least, from the model's own s_0 unless said otherwise.

    growth      rms of all states s_t, with the input; and with zeros, from s_0 + N(0, 0.01): a memory that starts at
                exactly 0 might stay there by accident
    echo        |s_t - s'_t| / sqrt((|s_t|^2 + |s'_t|^2) / 2), s'_0 = s_0 + N(0, rms of s_T)
    flip        |s(x_T, s) - s(-x_T, s)| / |s(x_T, s)|, s the state before the last frame
    """
    x = np.concatenate([x] * -(-LEAST_STEPS // len(x)))
    start = stepped.start(x.shape[1])
    if not start:
        return MemoryFigures(np.empty(0), np.empty(0), np.empty(0), float("nan"), float("nan"))
    heard = stepped.states(x, start)
    nudged = [s + NUDGE * rng.standard_normal(s.shape).astype(x.dtype) for s in start]
    silent = stepped.states(np.zeros_like(x), nudged)
    sizes = [rms(leaf) + 1e-3 for leaf in heard[-1]]
    elsewhere = [s + a * rng.standard_normal(s.shape) for s, a in zip(start, sizes, strict=True)]
    other = stepped.states(x, [s.astype(x.dtype) for s in elsewhere])
    turned = stepped(-x[-1], heard[-2])[1]
    return MemoryFigures(
        np.array([size(state) for state in heard]),
        np.array([size(state) for state in silent]),
        np.array([distance(a, b) for a, b in zip(heard, other, strict=True)]),
        size(difference(heard[-1], turned)) / max(size(heard[-1]), 1e-30),
        constant_share(heard),
    )


def size(state: State) -> float:
    """Root mean square of all numbers of a state."""
    return rms(np.concatenate([leaf.ravel() for leaf in state]))


def difference(a: State, b: State) -> State:
    return [p - q for p, q in zip(a, b, strict=True)]


def distance(a: State, b: State) -> float:
    """|a - b| / sqrt((|a|^2 + |b|^2) / 2): 0 for equal states, sqrt 2 for unrelated ones of one size."""
    return size(difference(a, b)) / max(np.hypot(size(a), size(b)) / np.sqrt(2.0), 1e-30)


def constant_share(states: list[State]) -> float:
    """Share of the units, all arrays together, whose standard deviation over time and batch is next to nothing."""
    still = []
    for leaves in zip(*states, strict=True):
        over_time = np.stack(leaves)
        still.append(np.std(over_time, axis=(0, 1)) <= CONSTANT * max(rms(over_time), 1e-30))
    return float(np.mean(np.concatenate(still)))
