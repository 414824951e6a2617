"""Measurements of the sizes of updates, relative to those that the update rule implies, and of their effects."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from rnnaudio.audio.arrays import Array, Floats
from rnnaudio.diagnostics.excerpt import HasFrames, copied, rms
from rnnaudio.nn import Layer
from rnnaudio.optimizers import Optimizer

WARM_UP = 8
N_UPDATES = 3
ROUNDING = 1e-6  # relative: a few times the last bit of float32
GARBAGE = 3.0  # rms of a random state that is unlike any state of a model


class Result(Protocol):
    """Result of a training step: loss, gradient norms by parameter, and the state after the last frame."""

    @property
    def loss(self) -> float: ...

    @property
    def gradient_norms(self) -> dict[str, float]: ...

    @property
    def state(self) -> list[Array]: ...


class Step(Protocol):
    """A training step, such as :class:`rnnaudio.training.TrainStep`, which updates the parameters of its model.

    ``state`` is the state carried from the previous batch, or None for the initial state; ``update``, the number of
    the update, determines the training noise.
    """

    def __call__(
        self, batch: HasFrames, state: list[Array] | None, *, learning_rate: float, update: int
    ) -> Result: ...


MakeStep: TypeAlias = Callable[[Layer], Step]


class UpdateFigures(NamedTuple):
    """Result of :func:`update_figures`; the keys of dictionaries are the names of the parameters.

    ratios
        rms of a parameter's change in an update (median over the three updates) over the rms of the parameter;
        infinite for a parameter of zeros.
    kept_promise
        the same rms change over the rms change that the update rule implies (see :func:`promised`, median over the
        three updates); NaN if the rule implies no change.
    gradients
        norm of the gradient, median over the eight updates with a learning rate of 0.
    n_axes
        number of axes of the parameter.
    rise
        loss after the three updates over the loss before them, on the same batch with the same noise.
    leak
        relative change of the loss when a state that should be reset is replaced by a random state.
    norms
        (8,): norms of the gradient of all parameters together, at the eight updates with a learning rate of 0.
    visible
        True if the change that the rule implies exceeds the rounding error of the parameter.
    """

    ratios: dict[str, float]
    kept_promise: dict[str, float]
    gradients: dict[str, float]
    n_axes: dict[str, int]
    rise: float
    leak: float
    norms: Floats
    visible: dict[str, bool]


def update_figures(
    model: Layer,
    make_step: MakeStep,
    optimizer: Optimizer,
    learning_rate: float,
    batches: Sequence[HasFrames],
) -> UpdateFigures:
    """Measure three updates at the given learning rate on a copy of the model.

    Before these come eight updates with a learning rate of 0, which leave the parameters unchanged, but fill the
    optimizer state and give losses and gradients. The eight updates use ``batches`` in turn; the three updates use the
    batch of the eighth.

    make_step
        function (model) -> training step for that model.
    optimizer
        the update rule that the steps are meant to follow; see :func:`promised`.
    """
    model = copied(model)
    step = make_step(model)
    norms = []
    for n in range(WARM_UP):
        idle = step(batches[n % len(batches)], None, learning_rate=0.0, update=n)
        norms.append(idle.gradient_norms)
    batch = batches[(WARM_UP - 1) % len(batches)]
    changes: dict[str, list[float]] = {name: [] for name in model.parameters()}
    promises: dict[str, list[float]] = {name: [] for name in model.parameters()}
    sizes = {name: rms(v.get_value()) for name, v in model.parameters().items()}
    for n in range(N_UPDATES):
        before = values(model)
        result = step(batch, None, learning_rate=learning_rate, update=WARM_UP - 1)
        after = values(model)
        for name in changes:
            changes[name].append(rms(after[name] - before[name]))
        for name, size in promised(optimizer, result.gradient_norms, before, learning_rate, WARM_UP + n + 1).items():
            promises[name].append(size)
    final = step(batch, None, learning_rate=0.0, update=WARM_UP - 1)
    change = {name: float(np.median(c)) for name, c in changes.items()}
    return UpdateFigures(
        {name: c / sizes[name] if sizes[name] else float("inf") for name, c in change.items()},
        {name: c / p if (p := float(np.median(promises[name]))) else float("nan") for name, c in change.items()},
        {name: float(np.median([row[name] for row in norms])) for name in change},
        {name: v.ndim for name, v in model.parameters().items()},
        rise(idle.loss, final.loss),
        reset_leak(step, batch, idle),
        np.array([np.sqrt(np.sum(np.square(list(row.values())))) for row in norms]),
        {name: float(np.median(promises[name])) > ROUNDING * sizes[name] for name in change},
    )


def rise(before: float, after: float) -> float:
    """Ratio after / before of two losses; infinite if only ``after`` is not finite, 1 if ``before`` is 0."""
    if np.isfinite(before) and not np.isfinite(after):
        return float("inf")
    return after / before if before else 1.0


def reset_leak(step: Step, batch: HasFrames, fresh: Result) -> float:
    """Relative change of the loss if a random state of rms 3 is carried into a batch whose ``resets`` are all True.

    The result is 0 for a training step that resets its state. The step is called with a learning rate of 0. fresh: any
    result of the step, from which the shapes of the state are taken.
    """
    rng = np.random.default_rng(0)
    garbage = [GARBAGE * rng.standard_normal(s.shape).astype(s.dtype) for s in fresh.state]
    resets = np.ones(len(batch.resets), bool)
    if isinstance(batch, tuple) and hasattr(batch, "_replace"):  # a NamedTuple has no __dict__
        everywhere = batch._replace(resets=resets)
    else:
        everywhere = type(batch)(**{**vars(batch), "resets": resets})
    first, second = (step(everywhere, s, learning_rate=0.0, update=0).loss for s in (None, garbage))
    return abs(first - second) / max(abs(first), 1e-30)


def values(model: Layer) -> dict[str, Floats]:
    """Return copies of all parameters in float64, by name."""
    return {name: np.array(v.get_value(), np.float64) for name, v in model.parameters().items()}


def promised(
    optimizer: Optimizer, norms: dict[str, float], parameters: dict[str, Floats], learning_rate: float, n: int
) -> dict[str, float]:
    """Rms change of each parameter in the n-th update (n > 8), as the equation of the update rule implies.

    The first eight updates have a learning rate of 0, as in :func:`update_figures`. The equation is applied to a
    gradient g that is constant over entries and updates, has the measured norm (``norms``, by parameter), and is
    clipped as the rule clips it. The change is about the learning rate for a rule that normalises the gradient, and
    rate * g for plain gradient descent. Real gradients vary over entries and time, so only the order of magnitude is
    meaningful.
    """
    total = np.sqrt(sum(norm**2 for norm in norms.values()))
    limit = optimizer.max_gradient_norm
    clip = 1.0 if limit is None else limit / max(total, limit)
    sizes = {}
    for name, parameter in parameters.items():
        g = np.array([norms[name] * clip / np.sqrt(parameter.size)])
        slots = tuple(np.zeros(1) for _ in optimizer.slots)
        p = new = np.zeros(1)
        for k in range(1, n + 1):
            rate = learning_rate if k > WARM_UP else 0.0
            p, (new, slots) = new, optimizer.step(new, g, slots, rate, k)
        sizes[name] = float(abs(new - p)[0])
    return sizes
