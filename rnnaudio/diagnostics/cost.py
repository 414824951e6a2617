"""Measurements of the cost: the outputs that receive a gradient, their target, and the error floor set by noise."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Floats, Frames
from rnnaudio.diagnostics.batch_check import MAX_SHIFT
from rnnaudio.diagnostics.dynamics import Stepped
from rnnaudio.diagnostics.excerpt import HasFrames, copied, quick_mode
from rnnaudio.nn import Context, GaussianNoise, Layer, LinearPredictor, Noisy
from rnnaudio.objectives import Objective

Symbolic: TypeAlias = Any  # a variable of the engine's graph
State: TypeAlias = Any  # a NamedTuple of such variables


class OffsetOutput(Layer):
    """A model with an array p added to its output, so that d loss / d p is d loss / d output.

    added: p, a symbolic array (time, batch, n_out). With p = 0 the output is the model's.
    """

    def __init__(self, model: Layer, added: Symbolic):
        super().__init__()
        self.n_in, self.n_out = model.n_in, model.n_out
        self._model, self._added = self._child("model", model), added
        self.x: Symbolic = None  # the input that the objective passed to the model
        self.y: Symbolic = None

    @property
    def state_sizes(self) -> State:
        return self._model.state_sizes

    def initial_state(self, batch_size: Symbolic) -> State:
        return self._model.initial_state(batch_size)

    def unroll(self, x: Symbolic, state: State, context: Context, mask: Symbolic = None) -> tuple[Symbolic, State]:
        self.x = x
        self.y, state = self._model.unroll(x, state, context, mask)
        return self.y + self._added, state


class CostGradient(NamedTuple):
    """Result of :meth:`Cost.look`.

    x, y
        input (time, batch, n_in) that the objective passes to the model, and the model's output (time, batch, n_out).
    gradient
        d loss / d output, (time, batch, n_out), evaluated at y, or at the argument ``output`` of :meth:`Cost.look`.
    """

    x: Frames
    y: Frames
    gradient: Frames


class Cost:
    """The loss of an objective as a function of the model's output, and its gradient; without training noise.

    :meth:`look` evaluates the gradient. The functions are compiled by the constructor.
    """

    def __init__(self, model: Layer, objective: Objective):
        added = engine.tensor("added", 3)
        variables = objective.variables()
        offset = OffsetOutput(model, added)
        state = model.initial_state(objective.batch_size(*variables))
        loss = objective.outcome(offset, variables, state, Context.evaluation()).loss
        (gradient,) = engine.gradient(loss, [added])
        self._fields, self._n_out = objective.fields, model.n_out
        outputs = [offset.x, offset.y, gradient]
        self._function = engine.function([*variables, added], outputs, mode=quick_mode())
        self._look = engine.function(variables, [offset.x, offset.y], mode=quick_mode())

    def look(self, batch: HasFrames, output: Frames | None = None) -> CostGradient:
        """Return the model's input and output on a batch, and the gradient of the loss with respect to the output.

        output: (time, batch, n_out), the output at which the gradient is evaluated; None: the model's own. The output
        returned is the model's own in either case.
        """
        given = [getattr(batch, name) for name in self._fields]
        x, y = self._look(*given)
        added = np.zeros_like(y) if output is None else output - y
        return CostGradient(x, y, self._function(*given, added)[2])


def cost_coverage(cost: Cost, batch: HasFrames, rng: np.random.Generator) -> Floats:
    """Norm over n_out of d loss / d output, for each step and sequence: (time, batch).

    The gradient is evaluated at the model's output plus noise N(0, 1) from ``rng``, so that it is not zero by chance.
    """
    y = cost.look(batch).y
    output = y + rng.standard_normal(y.shape).astype(y.dtype)
    return np.sqrt(np.sum(np.square(cost.look(batch, output).gradient, dtype=np.float64), axis=2))


def measured_target_shift(cost: Cost, batch: HasFrames, coverage: Floats) -> int | None:
    """Measure the shift k, |k| <= 3, of the target that the cost implies, target_t = frame_{t+k}.

    Returns k, or None if no k fits, or several do. Every loss is smallest at its target. So k fits if the gradient
    vanishes when frame_{t+k} is the output of step t, at all steps that the cost covers. coverage: (time, batch), the
    result of :func:`cost_coverage`.
    """
    found = []
    frames, n = batch.frames, len(coverage)
    for k in range(-MAX_SHIFT, MAX_SHIFT + 1):
        times = [t for t in range(n) if 0 <= t + k < len(frames) and coverage[t].any()]
        output = np.zeros((n, *frames.shape[1:]), frames.dtype)
        output[times] = frames[[t + k for t in times]]
        remaining = np.linalg.norm(cost.look(batch, output).gradient[times], axis=2)
        if times and remaining.sum() < 1e-4 * coverage[times].sum():
            found.append(k)
    return found[0] if len(found) == 1 else None


class NoiseFigures(NamedTuple):
    """Variance of the outputs due to all training noise, and due to the part of it that is added after the weights.

    See :func:`noise_figures`.
    """

    total: float
    after_weights: float


def noise_figures(model: Layer, x: Frames) -> NoiseFigures:
    """Variance of the outputs due to training noise, E (y - y')^2 / 2, where y and y' have independent noise.

    x (time, batch, n) is the input. The variance is measured on a copy of the model: as given (``total``), and with
    all parameters set to zero (``after_weights``), where only noise that is added after the weights reaches the
    output. Noise after the weights sets a floor to the squared error that no weights can lower, unlike noise on the
    input or the state.
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


def input_noise_std(model: Layer) -> float:
    """Standard deviation of the noise that training adds to the input of the first layer with weights; 0 if none.

    A parallel :class:`rnnaudio.nn.LinearPredictor` does not count as this layer.
    """
    for _, layer in model.layers():
        if isinstance(layer, Noisy | GaussianNoise):
            return float(layer.std.get_value())
        if layer.parameters() and not isinstance(layer, LinearPredictor) and next(_children(layer), None) is None:
            return 0.0
    return 0.0


def _children(layer: Layer) -> Iterator[Layer]:
    """Iterate over all layers within a layer, without the layer itself."""
    return (child for path, child in layer.layers() if path)
