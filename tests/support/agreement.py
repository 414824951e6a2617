"""How far the package is from its independent oracles, as numbers: what the tests assert and gradcheck prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine, optimizers
from rnnaudio.engine import tt
from rnnaudio.nn import GRU, LSTM, Cell, Context, MemoryLSTM
from tests.support import oracles
from tests.support.gradient_cases import randomise

GOLDEN = Path(__file__).with_name("golden")
Arrays = dict[str, np.ndarray]


class Sizes(NamedTuple):
    n_steps: int
    n_batch: int
    n_in: int
    n_units: int


SIZES = Sizes(n_steps=6, n_batch=3, n_in=2, n_units=4)
KINDS: dict[str, Callable[[int, int, np.random.Generator], Cell]] = {
    "lstm": lambda n_in, n_units, rng: LSTM(n_in, n_units, rng=rng),
    "lstm peepholes": lambda n_in, n_units, rng: LSTM(n_in, n_units, rng=rng, peepholes=True),
    "gru": lambda n_in, n_units, rng: GRU(n_in, n_units, rng=rng),
    "memory lstm": lambda n_in, n_units, rng: MemoryLSTM(n_units, 2, rng=rng),
}


def recurrence(
    kind: str,
    sizes: Sizes = SIZES,
    *,
    masked: bool = False,
    padding: float | None = None,
    truncate: int | None = None,
    mode: str | None = None,
    dtype: str = "float64",
) -> dict[str, float]:
    """Relative difference of the package from the NumPy loop, by array: outputs, final state, gradients.

    kind is one of KINDS; a memory LSTM of depth 2 takes its width from n_units alone. All parameters, the input and
    the carried state are random and non-zero, and numbers of ``dtype``; the loop is float64. The cost weighs every
    output with its own random number, and the final cell too. ``padding`` replaces the input of the package where the
    mask is 0; the loop has zeros there. In float32 the difference is relative to each array's
    largest number: sums of hundreds of numbers may fall near zero.
    """
    rng = np.random.default_rng(2016)
    with engine.precision(dtype):
        cell = KINDS[kind](sizes.n_in, sizes.n_units, rng)
        # Wide relu layers of large weights are chaotic, which float32 does not bear for many steps.
        randomise(cell, rng, std=min(0.5, (2 if dtype == "float64" else 0.5) / np.sqrt(sizes.n_units)))
        x, *others = (
            rng.standard_normal(shape).astype(dtype)
            for shape in (
                (sizes.n_steps, sizes.n_batch, cell.n_in),
                *((sizes.n_batch, width) for width in cell.state_sizes),
                (sizes.n_steps, sizes.n_batch, cell.n_out),
                (sizes.n_batch, cell.n_out),
            )
        )
        state, weights = others[:-2], others[-2:]
        mask = rng.integers(0, 2, (sizes.n_steps, sizes.n_batch)).astype("int8") if masked else None
        padded = x if padding is None else np.where(mask[..., None], x, np.asarray(padding, dtype))
        got = _symbolic(cell, padded, state, weights, mask, truncate, mode)
        x = x if padding is None else x * mask[..., None]
    parameters = {name: value.get_value().astype(float) for name, value in cell.parameters().items()}
    exact = [np.asarray(a, float) for a in (x, *state, *weights)]
    expected = _numpy(
        parameters, exact[0], exact[1:-2], exact[-2:], None if mask is None else mask.astype(float), truncate
    )
    floor = 1e-3 if dtype == "float64" else 1.0
    return {name: oracles.max_relative_error(got[name], value, floor) for name, value in expected.items()}


def _symbolic(
    cell: Any, x: np.ndarray, state: list[np.ndarray], weights: list[np.ndarray], mask: Any, truncate: Any, mode: Any
) -> Arrays:
    x_v, mask_v = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
    state_v = [engine.tensor(f"state_{k}", 2) for k in range(len(state))]
    context = Context.training_with(np.array([0, 0]), truncate_gradient=-1 if truncate is None else truncate)
    y, final = cell.unroll(x_v, type(cell.state_sizes)(*state_v), context, None if mask is None else mask_v)
    cost = tt.sum(y * weights[0])
    if len(state) == 2:
        cost = cost + tt.sum(final.cell * weights[1])
    parameters = cell.parameters()
    names = ["x", *("h0", "c0")[: len(state)], *parameters]
    gradients = engine.gradient(cost, [x_v, *state_v, *parameters.values()])
    function = engine.function([x_v, mask_v, *state_v], [y, *final, *gradients], mode=mode)
    values = function(x, np.ones(x.shape[:2], "int8") if mask is None else mask, *state)
    return dict(zip(["outputs", *("final h", "final c")[: len(state)], *names], values, strict=True))


def _numpy(
    p: Arrays, x: np.ndarray, state: list[np.ndarray], weights: list[np.ndarray], mask: Any, truncate: int | None
) -> Arrays:
    if "w_gates" in p:
        memory = oracles.memory_forward(x, state[0], p, mask)[0]
        gradients = oracles.memory_backward(x, state[0], p, weights[0], mask, truncate=truncate)
        gradients["h0"] = gradients.pop("m0")
        return {"outputs": memory, "final h": memory[-1], **gradients}
    if len(state) == 1:
        hidden = oracles.gru_forward(x, state[0], p, mask)
        gradients = oracles.gru_backward(x, state[0], p, weights[0], mask, truncate)
        return {"outputs": hidden, "final h": hidden[-1], **gradients}
    hidden, cells = oracles.lstm_forward(x, *state, p, mask)
    gradients = oracles.lstm_backward(x, *state, p, weights[0], weights[1], mask, truncate)
    return {"outputs": hidden, "final h": hidden[-1], "final c": cells[-1], **gradients}


# --- Optimisers against PyTorch's recorded paths -------------------------------------------------------------------


def golden_optimizers() -> dict[str, Any]:
    return json.loads((GOLDEN / "optimizers.json").read_text())


def rule(case: str, settings: dict[str, float]) -> optimizers.Optimizer:
    """The package's rule with the settings of a golden case."""
    common = {k: v for k, v in settings.items() if k in ("learning_rate", "max_gradient_norm")}
    if case == "momentum":
        return optimizers.Momentum(momentum=settings["momentum"], **common)
    if case == "rmsprop":
        return optimizers.RMSprop(rho=settings["decay"], epsilon=settings["epsilon_inside_root"], **common)
    if case == "adam":
        names = ("beta1", "beta2", "epsilon")
        return optimizers.Adam(**{name: settings[name] for name in names}, **common)
    return optimizers.SGD(**common)


def symbolic_cost(problem: dict[str, Any], w: Any, b: Any) -> Any:
    """The golden problem's cost; golden/make_optimizers.py explains it."""
    x, y, stiffness = (np.asarray(problem[name]) for name in ("x", "y", "stiffness"))
    return 0.5 * tt.sum(stiffness * tt.sqr(w)) + 0.5 * tt.sum(tt.sqr(tt.tanh(tt.dot(x, w) + b) - y))


def descend(
    optimizer: optimizers.Optimizer, problem: dict[str, Any], n_updates: int, mode: str | None = None
) -> dict[int, Arrays]:
    """{updates done: {"w": ..., "b": ...}} on the way, through the symbolic updates in float64."""
    with engine.precision("float64"):
        parameters = {name: engine.shared(np.asarray(problem[name]), name) for name in ("w", "b")}
        memory = optimizers.OptimizerState(optimizer, parameters)
        rate = engine.tensor("learning_rate", 0)
        step = optimizers.updates(optimizer, symbolic_cost(problem, *parameters.values()), parameters, memory, rate)
        update = engine.function([rate], [], step.pairs, mode=mode)
    path = {}
    for n in range(1, n_updates + 1):
        update(optimizer.learning_rate)
        path[n] = {name: p.get_value() for name, p in parameters.items()}
    return path


def optimizer_errors(case: str, mode: str | None = None) -> dict[int, float]:
    """Largest absolute difference from PyTorch's parameters, by number of updates."""
    golden = golden_optimizers()
    after = golden["cases"][case]["parameters_after"]
    path = descend(rule(case, golden["cases"][case]["settings"]), golden["problem"], max(map(int, after)), mode)
    return {
        int(n): max(float(np.max(np.abs(path[int(n)][name] - np.asarray(value)))) for name, value in arrays.items())
        for n, arrays in after.items()
    }
