"""Gradients of a batch, and updates from gradients, as separate functions.

Processes that train one model together compute the gradients of their shares of a batch, add them up, and then update.
"""

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from rnnaudio import engine, optimizers
from rnnaudio.audio.arrays import Array
from rnnaudio.engine import SharedVariable, Symbolic, tt
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import Objective
from rnnaudio.training.step import BatchArrays, Graph, Sums, copies, pairs


class Backward(NamedTuple):
    """Results of a pass over a batch: loss, sums of the reported values, final state, gradients by parameter name.

    ``weight`` is the weight of the loss, :attr:`rnnaudio.objectives.Outcome.weight`; NaN if the objective has none.
    """

    loss: float
    values: Sums
    state: list[Array]
    gradients: dict[str, Array]
    weight: float


class Gradients(Protocol):
    """A compiled function from a batch to its :class:`Backward`.

    parameters
        the parameters of the model, by name.
    mode
        the engine mode in which the function was compiled.
    has_weight
        True if the objective returns the weight of its loss.
    statistics
        names of the model's variables that an update would have to set from the batch, such as running means.
    """

    parameters: dict[str, SharedVariable]
    mode: str
    has_weight: bool
    statistics: list[str]

    def __call__(self, batch: BatchArrays, state: list[Array] | None, *, update: int) -> Backward:
        """Compute loss, reported values, final state and gradients of a batch, without updating the parameters.

        The arguments are described in :class:`rnnaudio.training.TrainStep`.
        """
        ...


class WholeGradients:
    """The :class:`Gradients` for whole sequences, not cut into segments.

    The random numbers are the same as in :class:`rnnaudio.training.TrainStep`.
    """

    def __init__(self, model: Layer, objective: Objective, *, seed: int):
        self.parameters, self._seed = model.parameters(), seed
        key = tt.vector("key", dtype="int64")
        context = Context.training_with(key)
        self._graph = graph = Graph(model, objective, context)
        loss, terms, final = graph.outcome[:3]
        self.statistics = [str(variable.name) for variable, _ in context.updates]
        self.has_weight, weight = known_weight(graph.outcome.weight)
        self._terms, states = list(terms), flatten(final)
        self._n_states, self.mode = len(states), engine.mode_for([loss])
        outputs = [loss, weight, *flatten(tuple(tuple(t) for t in terms.values())), *states]
        gradients = engine.gradient(loss, list(self.parameters.values()))
        self._function = engine.function([*graph.inputs, key], [*outputs, *gradients], mode=self.mode)

    def __call__(self, batch: BatchArrays, state: list[Array] | None, *, update: int) -> Backward:
        key = np.asarray([self._seed, update], dtype="int64")
        results = iter(self._function(*self._graph.arguments(batch, state), key))
        loss, weight = float(next(results)), float(next(results))
        values = pairs(self._terms, list(islice(results, 2 * len(self._terms))))
        final = copies(list(islice(results, self._n_states)))
        return Backward(loss, values, final, dict(zip(self.parameters, results, strict=True)), weight)


class Update:
    """A compiled update of parameters from their gradients, by an optimizer and its state.

    ``update(gradients, learning_rate)`` clips the gradients, which are given by parameter name, and changes the
    parameters in place. It returns two dicts by parameter name: the L2 norm of the gradient before clipping, and the
    L2 norm of the parameter's change divided by that of the parameter.
    """

    def __init__(self, optimizer: optimizers.Optimizer, parameters: Mapping[str, SharedVariable], mode: str):
        self.state = optimizers.OptimizerState(optimizer, parameters)
        self._parameters = parameters
        rate = engine.tensor("learning_rate", 0)
        given = {name: engine.tensor("gradient", p.ndim) for name, p in parameters.items()}
        step = optimizers.updates_from(optimizer, given, parameters, self.state, rate)
        statistics = [tt.stack(list(v.values())) for v in (step.gradient_norms, step.update_ratios)]
        self._function = engine.function([*given.values(), rate], statistics, step.pairs, mode=mode)

    def __call__(self, gradients: Mapping[str, Array], learning_rate: float) -> tuple[dict[str, float], ...]:
        rows = self._function(*(gradients[name] for name in self._parameters), learning_rate)
        return tuple(dict(zip(self._parameters, map(float, row), strict=True)) for row in rows)


def known_weight(weight: Symbolic | None) -> tuple[bool, Symbolic]:
    """Return (True, weight), or (False, NaN) if ``weight`` is None."""
    unknown = tt.as_tensor_variable(np.asarray(np.nan, engine.float_type()))
    return weight is not None, unknown if weight is None else weight
