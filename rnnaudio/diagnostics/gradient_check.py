"""Gradient check: comparison of symbolic gradients of any model and objective with central differences, in float64."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Array, Floats
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten, unflatten
from rnnaudio.objectives import Objective

STEPS = (1e-3, 1e-5)
ENOUGH = 1e-8  # relative error below which no further step size is tried
INITIAL_STATE_STD = 0.1


class ArrayCheck(NamedTuple):
    """Check of one array: the entry at which symbolic gradient and central difference disagree most.

    name
        path of a parameter, field of the batch, or ``state_k`` for the k-th array of the initial state.
    error, entry
        relative error at this entry, see :func:`relative_error`, and the index of the entry in the array.
    symbolic, difference
        the symbolic gradient and the central difference at this entry.
    n_checked, n_entries
        number of entries checked, and number of all entries of the array.
    largest_gradient
        largest magnitude of the symbolic gradient in the whole array; 0: the loss does not depend on this array.
    """

    name: str  # path of a parameter, field of the batch, or state_k for the k-th array of the initial state
    error: float  # relative, see relative_error
    entry: tuple[int, ...]  # index of the entry
    symbolic: float
    difference: float
    n_checked: int
    n_entries: int
    largest_gradient: float  # largest |symbolic| in the whole array; 0: the loss does not depend on this array

    def __str__(self) -> str:
        place = f"{self.name}[{', '.join(map(str, self.entry))}]"
        return f"{self.error:9.1e}  {place:40s} {self.symbolic:+.6e} {self.n_checked:6d} of {self.n_entries}"


class GradientReport(NamedTuple):
    """The checks of all parameters, float fields of the batch and initial states; `str()` returns them as a table."""

    arrays: list[ArrayCheck]

    @property
    def largest(self) -> float:
        """Largest relative error of all arrays; NaN if any error is NaN."""
        return float(np.max([array.error for array in self.arrays]))

    def __str__(self) -> str:
        heading = f"{'error':>9s}  {'worst entry':40s} {'gradient':>13s} {'checked':>7s}"
        return "\n".join([heading, *map(str, self.arrays)])


def check_gradients(
    model: Layer,
    objective: Objective,
    batch: object,
    *,
    rng: np.random.Generator,
    training: bool = True,
    n_entries: int = 10,
    mode: str | None = None,
) -> GradientReport:
    """Compare d loss / d a with central differences for every parameter, float field of the batch and initial state.

    Returns, for each of these arrays, the entry a at which gradient and difference disagree most.

    The check runs on a float64 copy and leaves the model (of either precision) unchanged. The loss is evaluated at the
    model's parameters, ``batch`` (an object with the objective's fields), and the model's initial state plus noise of
    standard deviation 0.1, to avoid accidental zeros. Noise and dropout of the model are the same in every evaluation.

    The difference is (8 (f(a+e) - f(a-e)) - (f(a+2e) - f(a-2e))) / 12 e, where f is the loss, with an error of order
    e^4. It is computed with e = 1e-3 and, unless the relative error is then below 1e-8, with e = 1e-5, too; the
    smaller error counts. A kink (relu) between the points spoils a wide step, but a wrong gradient disagrees with both
    steps.

    training
        True: check the training graph, with noise and batch statistics; False: the evaluation graph.
    n_entries
        number of entries to check in each array, sampled by ``rng``; all entries of a smaller array.
    mode
        compile mode; None: the engine's own.
    """
    with engine.precision("float64"):
        loss, gradients, arrays = _compile(in_float64(model), objective, batch, rng, training, mode)
        centre = loss()
        pairs = zip(arrays, gradients(), strict=True)
        checks = [_check_array(array, gradient, loss, centre, n_entries, rng) for array, gradient in pairs]
    return GradientReport(checks)


def relative_error(a: float, b: float, floor: float) -> float:
    """Relative error |a - b| / max(|a|, |b|, floor).

    :func:`check_gradients` sets the floor to 1e-3 of the array's largest gradient, but at least 1e-5 of the loss: the
    difference of two losses has a rounding error of about 1e-13 of the loss, which must not decide the result.
    """
    return abs(a - b) / max(abs(a), abs(b), floor)


def in_float64(model: Layer) -> Layer:
    """Copy a model, with parameters and statistics in float64; to be called inside ``precision("float64")``."""
    variables = (model.parameters() | model.statistics()).values()
    return copy.deepcopy(model, {id(v): engine.shared(v.get_value(), v.name) for v in variables})


class _Array(NamedTuple):
    """An array that the loss depends on; ``store(value)`` makes the compiled functions use a changed ``value``."""

    name: str
    value: Array
    store: Callable[[Array], None]


def _compile(
    model: Layer, objective: Objective, batch: object, rng: np.random.Generator, training: bool, mode: str | None
) -> tuple[Callable[[], float], Callable[[], list[Array]], list[_Array]]:
    """Compile the functions loss and gradients, and list the arrays that they depend on; returns all three.

    The loss has a function of its own because it is several times faster without the gradients.
    """
    fields = objective.variables()
    given = [np.array(getattr(batch, name), dtype=v.dtype) for name, v in zip(objective.fields, fields, strict=True)]
    start = model.initial_state(objective.batch_size(*fields))
    context = Context.training_with(np.array([0, 0], "int64")) if training else Context.evaluation()
    offsets = [engine.tensor(f"state_{k}", 2) for k in range(len(flatten(start)))]
    state = unflatten(start, [s + offset for s, offset in zip(flatten(start), offsets, strict=True)])
    loss = objective.outcome(model, fields, state, context).loss

    n = int(objective.batch_size(*given))
    given += [INITIAL_STATE_STD * rng.standard_normal((n, width)) for width in flatten(model.state_sizes)]
    inputs = [*fields, *offsets]
    floats = [(v, a) for v, a in zip(inputs, given, strict=True) if a.dtype.kind == "f"]
    parameters = model.parameters()
    wanted = [*parameters.values(), *(v for v, _ in floats)]
    loss_of = engine.function(inputs, loss, mode=mode)
    gradients_of = engine.function(inputs, engine.gradient(loss, wanted), mode=mode)

    arrays = [_Array(name, v.get_value(), v.set_value) for name, v in parameters.items()]
    arrays += [_Array(str(v.name), a, lambda value: None) for v, a in floats]
    return lambda: float(loss_of(*given)), lambda: gradients_of(*given), arrays


def _check_array(
    array: _Array,
    gradient: Floats,
    loss: Callable[[], float],
    centre: float,
    n_entries: int,
    rng: np.random.Generator,
) -> ArrayCheck:
    n_checked = min(n_entries, array.value.size)
    largest = float(np.max(np.abs(gradient)))
    floor = max(1e-3 * largest, 1e-5 * abs(centre), np.finfo(float).tiny)
    checks = []
    for flat in np.sort(rng.choice(array.value.size, n_checked, replace=False)):
        entry = tuple(int(k) for k in np.unravel_index(flat, array.value.shape))
        error, difference = _best_difference(array, entry, loss, float(gradient[entry]), floor)
        symbolic = float(gradient[entry])
        checks.append(ArrayCheck(array.name, error, entry, symbolic, difference, n_checked, array.value.size, largest))
    return max(checks, key=lambda check: (np.isnan(check.error), check.error))


def _best_difference(
    array: _Array, entry: tuple[int, ...], loss: Callable[[], float], symbolic: float, floor: float
) -> tuple[float, float]:
    """Return the relative error and the central difference for the step size with the smallest error.

    Larger steps are tried first; no further step is tried once the error is at most 1e-8.
    """
    results = []
    for epsilon in STEPS:
        difference = _central_difference(array, entry, loss, epsilon)
        results.append((relative_error(symbolic, difference, floor), difference))
        if results[-1][0] <= ENOUGH:
            break
    return min(results)


def _central_difference(array: _Array, entry: tuple[int, ...], loss: Callable[[], float], epsilon: float) -> float:
    centre = array.value[entry]

    def at(value: float) -> float:
        array.value[entry] = value
        array.store(array.value)
        return loss()

    near = at(centre + epsilon) - at(centre - epsilon)
    far = at(centre + 2 * epsilon) - at(centre - 2 * epsilon)
    array.value[entry] = centre
    array.store(array.value)
    return (8 * near - far) / (12 * epsilon)
