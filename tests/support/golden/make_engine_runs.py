"""Write engine_runs.json: the parameters of five small models after 50 updates in float64, on the engine in use.

    RNNAUDIO_ENGINE=pytensor python tests/support/golden/make_engine_runs.py       (from the checkout; rnnaudio
    installed)

The two engines live in two environments (they need different NumPys), so they meet in this file: the tests replay the
same runs on whatever engine they run on and compare. The committed file comes from PyTensor in python mode.

Weights and data are drawn with NumPy alone, and noise and dropout are a pure function of (seed, update) on both
engines; so equal parameters after 50 updates mean equal forward passes, gradients, random numbers and rules.
Numbers are written as repr does, which Python reads back to the very same float64.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.nn import GRU, LSTM, Dense, Layer, LearntInitialState, LinearPredictor, Noisy, Sequential, Sum, mlp
from rnnaudio.objectives import Classification, Objective, predict_next, reconstruct_current
from rnnaudio.optimizers import SGD, Adam, Momentum, Optimizer, RMSprop
from rnnaudio.training.step import TrainStep

N_UPDATES, N_STEPS, N_BATCH, FRAME, N_CLASSES = 50, 6, 4, 5, 3
PATH = Path(__file__).with_name("engine_runs.json")


class Frames(NamedTuple):
    frames: np.ndarray
    resets: np.ndarray


class Images(NamedTuple):
    images: np.ndarray
    labels: np.ndarray
    resets: np.ndarray


class Run(NamedTuple):
    build: Callable[[np.random.Generator], Layer]
    objective: Objective
    optimizer: Optimizer


RUNS = {
    "lstm": Run(
        lambda rng: Sequential([LSTM(FRAME, 6, rng=rng, peepholes=True), Dense(6, FRAME, rng=rng)]),
        predict_next,
        RMSprop(3e-3, max_gradient_norm=1.0),
    ),
    "gru": Run(
        lambda rng: Sequential([LearntInitialState(GRU(FRAME, 6, rng=rng)), Dense(6, FRAME, rng=rng)]),
        reconstruct_current,
        Adam(1e-2),
    ),
    "noisy lstm": Run(
        lambda rng: Sequential([Noisy(LSTM(FRAME, 6, rng=rng), std=0.1, state_std=0.05), Dense(6, FRAME, rng=rng)]),
        predict_next,
        RMSprop(3e-3),
    ),
    "skip stack": Run(
        lambda rng: Sum(
            stack=Sequential(
                [LSTM(FRAME, 4, rng=rng), LSTM(FRAME + 4, 4, rng=rng), Dense(8, FRAME, rng=rng)], skip=True
            ),
            linear=LinearPredictor(FRAME, FRAME),
        ),
        predict_next,
        Momentum(2e-2, max_gradient_norm=0.5),
    ),
    "mlp": Run(
        lambda rng: mlp([FRAME, 8, 6, N_CLASSES], rng=rng, batch_norm=True, dropout=0.2, noise=0.1),
        Classification(),
        SGD(0.1),
    ),
}


def start(run: Run) -> Layer:
    """The model with every parameter N(0, .3), drawn without LAPACK, whose rounding differs between versions."""
    rng = np.random.default_rng(2016)
    model = run.build(rng)
    values = model.get_values()
    model.set_values(values | {name: 0.3 * rng.standard_normal(values[name].shape) for name in model.parameters()})
    return model


def batch(run: Run, update: int) -> Frames | Images:
    """A damped sine of another frequency and phase per sequence; every tenth update a sequence starts anew."""
    rng = np.random.default_rng([7, update])
    if isinstance(run.objective, Classification):
        labels = rng.integers(N_CLASSES, size=16)
        return Images(rng.standard_normal((16, FRAME)) + labels[:, None], labels, np.ones(16, bool))
    time = np.arange((N_STEPS + 1) * FRAME).reshape(N_STEPS + 1, 1, FRAME)
    phase, frequency = rng.uniform(0, 6, (N_BATCH, 1)), rng.uniform(0.1, 0.8, (N_BATCH, 1))
    frames = np.sin(frequency * time + phase) + 0.1 * rng.standard_normal((N_STEPS + 1, N_BATCH, FRAME))
    return Frames(frames, (np.arange(N_BATCH) + update) % 10 == 0)


def replay(name: str) -> dict[str, Any]:
    """{"losses": one per update, "start": {parameter: values}, "end": {parameter or statistic: values}}."""
    run = RUNS[name]
    with engine.precision("float64"):
        model = start(run)
        first = model.get_values()
        step = TrainStep(model, run.objective, run.optimizer, seed=2016)
        losses, state = [], None
        for update in range(N_UPDATES):
            result = step(batch(run, update), state, learning_rate=run.optimizer.learning_rate, update=update)
            losses.append(result.loss)
            state = result.state
    return {"losses": losses, "start": first, "end": model.get_values()}


def largest_difference(run: dict[str, Any], golden: dict[str, Any]) -> float:
    """Largest absolute difference of any parameter, statistic or loss."""
    pairs = [(run["losses"], golden["losses"])] + [(run["end"][name], golden["end"][name]) for name in golden["end"]]
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)))) for a, b in pairs)


def read_golden() -> dict[str, Any]:
    return json.loads(PATH.read_text())


def main() -> None:
    runs = {}
    for name in RUNS:
        run = replay(name)
        end = {parameter: value.tolist() for parameter, value in run["end"].items()}
        runs[name] = {"losses": run["losses"], "end": end}
    versions = {engine.NAME: engine.VERSION, "numpy": np.__version__, "python": sys.version.split()[0]}
    golden = {
        "made_by": "tests/support/golden/make_engine_runs.py",
        "mode": engine.MODE,
        "versions": versions,
        "runs": runs,
    }
    temporary = PATH.with_suffix(".partial")
    with temporary.open("w") as file:
        file.write(json.dumps(golden, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, PATH)


if __name__ == "__main__":
    main()
