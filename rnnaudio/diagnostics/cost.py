"""What the cost is really of: which outputs receive a gradient, towards what target, above which floor of noise."""

from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.diagnostics.batch_check import MAX_SHIFT
from rnnaudio.diagnostics.excerpt import copied, quick_mode
from rnnaudio.diagnostics.memory import Stepped
from rnnaudio.nn import Context, Layer
from rnnaudio.objectives import Objective


class Watched(Layer):
    """A model whose output has p added to it: with p = 0 the same model, and d loss / d p is d loss / d output."""

    def __init__(self, model: Layer, added: Any):
        super().__init__()
        self.n_in, self.n_out = model.n_in, model.n_out
        self._model, self._added = self._child("model", model), added
        self.x: Any = None  # what the objective gave the model
        self.y: Any = None

    @property
    def state_sizes(self) -> Any:
        return self._model.state_sizes

    def initial_state(self, batch_size: Any) -> Any:
        return self._model.initial_state(batch_size)

    def unroll(self, x: Any, state: Any, context: Context, mask: Any = None) -> tuple[Any, Any]:
        self.x = x
        self.y, state = self._model.unroll(x, state, context, mask)
        return self.y + self._added, state


class Seen(NamedTuple):
    """input and output (time, batch, n) of the model inside the objective, and d loss / d output."""

    x: np.ndarray
    y: np.ndarray
    gradient: np.ndarray


class Cost:
    """An objective on a model in evaluation, compiled, with something added to the output."""

    def __init__(self, model: Layer, objective: Objective):
        added = engine.tensor("added", 3)
        variables = objective.variables()
        watched = Watched(model, added)
        state = model.initial_state(objective.batch_size(*variables))
        loss = objective.outcome(watched, variables, state, Context.evaluation()).loss
        (gradient,) = engine.gradient(loss, [added])
        self._fields, self._n_out = objective.fields, model.n_out
        outputs = [watched.x, watched.y, gradient]
        self._function = engine.function([*variables, added], outputs, mode=quick_mode())
        self._look = engine.function(variables, [watched.x, watched.y], mode=quick_mode())

    def look(self, batch: Any, output: np.ndarray | None = None) -> Seen:
        """The graph on a batch; with ``output`` as if the model had said that."""
        given = [getattr(batch, name) for name in self._fields]
        x, y = self._look(*given)
        added = np.zeros_like(y) if output is None else output - y
        return Seen(x, y, self._function(*given, added)[2])


def cost_coverage(cost: Cost, batch: Any, rng: np.random.Generator) -> np.ndarray:
    """(time, batch): |d loss / d output| of each step and sequence, at outputs N(0, 1) away from the model's own."""
    y = cost.look(batch).y
    said = y + rng.standard_normal(y.shape).astype(y.dtype)
    return np.sqrt(np.sum(np.square(cost.look(batch, said).gradient, dtype=np.float64), axis=2))


def measured_target_shift(cost: Cost, batch: Any, coverage: np.ndarray) -> int | None:
    """The shift k, |k| <= 3, for which an output frame_{t+k} leaves no gradient where the cost counts; None if no k
    or several do. A loss is smallest at its target, whatever else it is."""
    found = []
    frames, n = batch.frames, len(coverage)
    for k in range(-MAX_SHIFT, MAX_SHIFT + 1):
        times = [t for t in range(n) if 0 <= t + k < len(frames) and coverage[t].any()]
        said = np.zeros((n, *frames.shape[1:]), frames.dtype)
        said[times] = frames[[t + k for t in times]]
        left = np.linalg.norm(cost.look(batch, said).gradient[times], axis=2)
        if times and left.sum() < 1e-4 * coverage[times].sum():
            found.append(k)
    return found[0] if len(found) == 1 else None


class NoiseFigures(NamedTuple):
    """Variance of the outputs in the training graph by its noise: all of it, and what is added after all weights."""

    total: float
    after_weights: float


def noise_figures(model: Layer, x: np.ndarray) -> NoiseFigures:
    """E (y - y')^2 / 2 of two draws, x (time, batch, n); once more with all parameters zero, when noise has no other
    way to the output.

    The second is a floor under a squared error: no weight can learn to undo it. Noise on input or state is not.
    """
    model = copied(model)
    stepped = Stepped(model, noisy=True)

    def variance() -> float:
        first, second = (stepped.outputs(x, seed).astype(np.float64) for seed in (1, 2))
        return float(np.mean(np.square(first - second)) / 2.0)

    total = variance()
    if total == 0.0:
        return NoiseFigures(0.0, 0.0)
    for parameter in model.parameters().values():
        parameter.set_value(np.zeros_like(parameter.get_value()))
    return NoiseFigures(total, variance())
