"""Compiled functions for training: one update of the parameters, and an evaluation over batches."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, Protocol, TypeAlias, cast

import numpy as np

from rnnaudio import engine, optimizers
from rnnaudio.audio.arrays import Array, Flags
from rnnaudio.engine import tt
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten, unflatten
from rnnaudio.objectives import Divisible, Objective
from rnnaudio.parallel import ALONE, Ranks

Sums: TypeAlias = dict[str, tuple[float, float]]  # name of a reported value -> (numerator, denominator)
BatchArrays: TypeAlias = object  # has an array for each name in ``objective.fields``: a NamedTuple such as data.Batch


class Continuing(Protocol):
    """A batch that continues the sequences of the preceding batch.

    Where ``resets`` (batch,) is True, a new sequence starts from the model's initial state instead.
    """

    @property
    def resets(self) -> Flags: ...


class StepResult(NamedTuple):
    """Results of one training update, see :class:`TrainStep`."""

    loss: float  # before the update
    values: Sums  # the objective's reported values
    gradient_norms: dict[str, float]  # L2 norm of each parameter's gradient, before clipping
    update_ratios: dict[str, float]  # L2 norm of each parameter's change over the L2 norm of the parameter
    state: list[Array]  # final state, one array per leaf


class Graph:
    """The graph from a batch and an initial state to the objective's ``outcome``, for updates and evaluations.

    ``context`` selects training or evaluation and samples the noise. The ``inputs`` of the graph are ``variables``,
    the arrays of the batch; ``resets`` (batch,), 1 for sequences that start from the model's initial state; and
    ``carried``, the arrays (batch, width) of the state from which all other sequences start.
    """

    def __init__(self, model: Layer, objective: Objective, context: Context):
        self.variables = objective.variables()
        batch_size = objective.batch_size(*self.variables)
        fresh = model.initial_state(batch_size)
        self.resets = tt.vector("resets", dtype="int8")
        self.carried = [engine.tensor(f"state_{k}", 2) for k in range(len(flatten(fresh)))]
        starts = [
            tt.switch(self.resets[:, None], new, old) for new, old in zip(flatten(fresh), self.carried, strict=True)
        ]
        self.outcome = objective.outcome(model, self.variables, unflatten(fresh, starts), context)
        self.inputs = [*self.variables, self.resets, *self.carried]
        for variable in self.inputs:  # axes: (time, batch, feature), or without time
            engine.mark_batch_axis(variable, 1 if variable.ndim > 2 else 0)
        self._objective = objective
        self._widths = flatten(model.state_sizes)

    def arguments(self, batch: BatchArrays, state: list[Array] | None) -> list[Array]:
        """Return the values of ``inputs``. If ``state`` is None, sequences start from the model's initial state."""
        return [*self.arrays(batch), *self.start(batch, state)]

    def arrays(self, batch: BatchArrays) -> list[Array]:
        """Return the values of ``variables``: the arrays of the batch that the objective uses."""
        return [getattr(batch, field) for field in self._objective.fields]

    def start(self, batch: BatchArrays, state: list[Array] | None) -> list[Array]:
        """Return the values of ``resets`` and ``carried``, in one list.

        If ``state`` is None, all sequences start from the model's initial state.
        """
        n = int(self._objective.batch_size(*self.arrays(batch)))
        if state is None:
            zeros = [np.zeros((n, width), engine.float_type()) for width in self._widths]
            return [np.ones(n, "int8"), *zeros]
        return [np.asarray(cast(Continuing, batch).resets, "int8"), *state]


class TrainStep:
    """A compiled update of a model's parameters on one batch.

    ``step(batch, state, learning_rate=..., update=...)`` updates the parameters and returns a :class:`StepResult`.
    ``state`` is the final state of the preceding batch, a list of arrays, or None for the model's initial state.
    ``update`` is the number of updates so far. The noise is a function of ``seed`` and ``update``.
    """

    def __init__(self, model: Layer, objective: Objective, optimizer: optimizers.Optimizer, *, seed: int):
        self.parameters = model.parameters()
        self.optimizer_state = optimizers.OptimizerState(optimizer, self.parameters)
        self._seed = seed
        key, rate = tt.vector("key", dtype="int64"), engine.tensor("learning_rate", 0)
        context = Context.training_with(key)
        self._graph = graph = Graph(model, objective, context)
        loss, terms, final = graph.outcome[:3]
        step = optimizers.updates(optimizer, loss, self.parameters, self.optimizer_state, rate)
        self._terms = list(terms)
        outputs = [loss, *flatten(tuple(tuple(t) for t in terms.values()))]
        outputs += [tt.stack(list(v.values())) for v in (step.gradient_norms, step.update_ratios)]
        self._function = engine.function(
            [*graph.inputs, key, rate], [*outputs, *flatten(final)], step.pairs + context.updates
        )

    def __call__(
        self, batch: BatchArrays, state: list[Array] | None, *, learning_rate: float, update: int
    ) -> StepResult:
        """Update the parameters in place, and return the loss before the update, the final state and statistics."""
        key = np.asarray([self._seed, update], dtype="int64")
        loss, *rest = self._function(*self._graph.arguments(batch, state), key, learning_rate)
        n_terms = 2 * len(self._terms)
        norms, ratios = (
            dict(zip(self.parameters, map(float, row), strict=True)) for row in rest[n_terms : n_terms + 2]
        )
        values = pairs(self._terms, rest[:n_terms])
        return StepResult(float(loss), values, norms, ratios, copies(rest[n_terms + 2 :]))


class Evaluation:
    """A compiled function that computes the reported values of an objective: ``evaluate(batches) -> {name: value}``.

    With ``segment_steps`` above 0, each batch of a :class:`rnnaudio.objectives.Divisible` objective is processed in
    segments of this many steps, to save memory. With a ``noise_seed``, the values are computed in the training graph,
    with noise and dropout (as in 2016). Batch k, from 0, then gets the noise of training update k with the same seed,
    if neither is cut into segments. This must not change, because recorded runs and the losses of resumed runs depend
    on it.
    """

    def __init__(self, model: Layer, objective: Objective, segment_steps: int = 0, noise_seed: int | None = None):
        self._noise_seed = noise_seed
        key = tt.vector("key", dtype="int64")
        context = Context.evaluation() if noise_seed is None else Context.training_with(key)
        self._graph = graph = Graph(model, objective, context)
        self._objective, self._segment_steps = objective, segment_steps
        terms = flatten(tuple(tuple(t) for t in graph.outcome.terms.values()))
        final = flatten(graph.outcome.state) if segment_steps else []
        self._terms = list(graph.outcome.terms)
        self._function = engine.function([*graph.inputs, key], [*terms, *final])

    def __call__(self, batches: Iterable[BatchArrays], ranks: Ranks = ALONE) -> dict[str, float]:
        """Compute the values over all batches together; every batch starts from the model's initial state.

        The batches are divided among the ``ranks``. The result is the same, bit for bit, for any number of ranks.
        """
        share, total = ranks.share, Totals()
        mine = [
            list(self._sums(number, batch)) if number % share.size == share.rank else []
            for number, batch in enumerate(batches)
        ]
        for of_batch in zip(*ranks.gather(mine), strict=True):
            for sums in chain(*of_batch):
                total.add(sums)
        return total.values()

    def _sums(self, number: int, batch: BatchArrays) -> Iterator[Sums]:
        """Yield the sums of batch ``number``, from 0, or those of each of its segments in order."""
        start = self._graph.start(batch, None)
        for k, arrays in enumerate(self._parts(self._graph.arrays(batch))):
            segment = [k] if self._segment_steps else []  # the key has the form that training steps use
            key = [self._noise_seed or 0, number, *segment]
            values = self._function(*arrays, *start, np.asarray(key, "int64"))
            yield pairs(self._terms, values[: 2 * len(self._terms)])
            start = continued(values[2 * len(self._terms) :], start)

    def _parts(self, arrays: list[Array]) -> list[list[Array]]:
        if not (self._segment_steps and isinstance(self._objective, Divisible)):
            return [arrays]
        return [segment.arrays for segment in self._objective.segments(self._segment_steps, *arrays)]


class Totals:
    """Accumulated numerators and denominators of an objective's reported values, by name.

    ``sums`` are the sums to start from, such as those of a checkpoint; None: no sums.
    """

    def __init__(self, sums: dict[str, list[float]] | None = None):
        self.sums: dict[str, list[float]] = sums or {}

    def add(self, values: Sums) -> None:
        """Add the numerators and denominators of a batch or segment."""
        for name, (numerator, denominator) in values.items():
            entry = self.sums.setdefault(name, [0.0, 0.0])
            entry[0] += numerator
            entry[1] += denominator

    def values(self) -> dict[str, float]:
        """Return, by name, the sum of numerators divided by the sum of denominators; NaN if the divisor is 0."""
        return {name: n / d if d else float("nan") for name, (n, d) in self.sums.items()}


def pairs(names: list[str], flat: Sequence[Array]) -> Sums:
    """Convert [numerator, denominator, numerator, ...], in the order of ``names``, to a dict of pairs by name."""
    return {name: (float(flat[2 * k]), float(flat[2 * k + 1])) for k, name in enumerate(names)}


def copies(states: list[Array]) -> list[Array]:
    """Return copies of final states. The engine returns views, which keep the states of all steps in memory."""
    return [np.array(state) for state in states]


def continued(states: list[Array], start: list[Array]) -> list[Array]:
    """Return the list [resets, *carried] for a segment that continues the preceding one; all resets are 0.

    ``states`` is the final state of the preceding segment, and ``start`` its list [resets, *carried].
    """
    return [np.zeros_like(start[0]), *copies(states)]
