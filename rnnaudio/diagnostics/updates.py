"""What an update really does to each parameter, against what the rule promises and against the loss."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.diagnostics.excerpt import copied, rms
from rnnaudio.nn import Layer
from rnnaudio.optimizers import Optimizer

WARM_UP = 8
N_UPDATES = 3
ROUNDING = 1e-6  # relative: a few times the last bit of float32
GARBAGE = 3.0  # a state far from any that a model makes


class UpdateFigures(NamedTuple):
    """By parameter: rms(change) / rms(parameter) of an update, rms(change) over what the rule promises, |gradient|,
    and the parameter's rms and number of axes; then loss after the updates over the loss before, on the same batch and
    noise; relative change of the loss by a state that the batch says to reset; gradient norms; and by parameter
    whether the promised change is more than its floating point can lose."""

    ratios: dict[str, float]
    kept_promise: dict[str, float]
    gradients: dict[str, float]
    n_axes: dict[str, int]
    rise: float
    leak: float
    norms: np.ndarray
    visible: dict[str, bool]


def update_figures(
    model: Layer,
    make_step: Callable[[Layer], Any],
    optimizer: Optimizer,
    learning_rate: float,
    batches: Sequence[Any],
) -> UpdateFigures:
    """Eight updates at rate 0, for what the rule remembers, then three at the run's rate on the last of these batches.

    All on a copy of the model. Rate 0 leaves parameters alone, and gives losses and gradients.
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
    """after / before; infinite where the updates made the loss overflow, NaN where it was no number before."""
    if np.isfinite(before) and not np.isfinite(after):
        return float("inf")
    return after / before if before else 1.0


def reset_leak(step: Any, batch: Any, fresh: Any) -> float:
    """Relative change of the loss by a state of rms 3 that a batch with all resets set says to forget."""
    rng = np.random.default_rng(0)
    garbage = [GARBAGE * rng.standard_normal(s.shape).astype(s.dtype) for s in fresh.state]
    resets = np.ones(len(batch.resets), bool)
    is_tuple = isinstance(batch, tuple)  # a NamedTuple has no __dict__
    everywhere = batch._replace(resets=resets) if is_tuple else type(batch)(**{**vars(batch), "resets": resets})
    first, second = (step(everywhere, s, learning_rate=0.0, update=0).loss for s in (None, garbage))
    return abs(first - second) / max(abs(first), 1e-30)


def values(model: Layer) -> dict[str, np.ndarray]:
    """Copies of all parameters, float64."""
    return {name: np.array(v.get_value(), np.float64) for name, v in model.parameters().items()}


def promised(
    optimizer: Optimizer, norms: dict[str, float], parameters: dict[str, np.ndarray], learning_rate: float, n: int
) -> dict[str, float]:
    """The rms of the change that the rule's own equation makes of a gradient g of this rms in every entry, every time.

    For a rule that divides by the gradient's size that is about the learning rate, for plain descent rate * g; g is
    clipped as the rule says. A real gradient differs from entry to entry and time to time: expect the order only.
    """
    total = np.sqrt(sum(norm**2 for norm in norms.values()))
    limit = optimizer.max_gradient_norm
    clip = 1.0 if limit is None else limit / max(total, limit)
    sizes = {}
    for name, parameter in parameters.items():
        g = np.array([norms[name] * clip / np.sqrt(parameter.size)])
        memory = tuple(np.zeros(1) for _ in optimizer.slots)
        p = new = np.zeros(1)
        for k in range(1, n + 1):
            rate = learning_rate if k > WARM_UP else 0.0
            p, (new, memory) = new, optimizer.step(new, g, memory, rate, k)
        sizes[name] = float(abs(new - p)[0])
    return sizes
