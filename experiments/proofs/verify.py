"""Cross-checks between the MNIST network and the two audio strategies, from the same seeds.

    rnnaudio verify [--theano-python .venv-theano/bin/python]

1. The read-out MLP of a recurrent model and the MNIST network are the same code: the output of one unrolled step
   equals the MLP applied to the state.
2. With equal weights both strategies give equal outputs; they differ in the target only.
3. After the same number of updates from the same seed, the loss of reconstruct is below that of predict.
4. Both engines, scan and a plain NumPy loop agree on each of the three models.
5. Shuffled targets destroy the result of all three models.
"""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from experiments.blog_2016.mnist import DATA
from experiments.proofs.verify_models import FRAME, SEED, UNITS, mnist_model, outputs, recurrent_model, run_all
from experiments.shared.on_corpus import CORPUS
from experiments.shared.options import command
from rnnaudio import engine
from rnnaudio.data import AudioCorpus, Batch, Mnist, RandomWindows, Split, fetch_mnist, fixed_windows, load_mnist
from rnnaudio.data.minibatches import LabelledBatch, Minibatches
from rnnaudio.diagnostics import measured_shifts
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Layer, mlp
from rnnaudio.objectives import Classification, Objective, Strategy, predict_next, reconstruct_current
from rnnaudio.optimizers import Adam
from rnnaudio.training import Evaluation, TrainStep

N_UPDATES = 600
NAMES = ("mnist", "predict_next", "reconstruct_current")
WINDOWS = {"frame_size": FRAME, "n_steps": 20, "batch_size": 32}


class Check(NamedTuple):
    """The result of a check, as a line of the table."""

    what: str
    figure: str
    passed: bool | None  # None: cannot be run here

    def __str__(self) -> str:
        verdict = {True: "ok", False: "FAIL", None: "-"}[self.passed]
        return f"{verdict:5s} {self.what:52s} {self.figure}"


class ShuffledLabels(Minibatches):
    """MNIST batches with labels that belong to other images."""

    def batch(self, index: int) -> LabelledBatch:
        images, labels = super().batch(index)
        return LabelledBatch(images, np.roll(labels, 1))


class ShuffledTargets(Strategy):
    """A strategy with targets that belong to other sequences of the batch, and hence to other music."""

    def split(self, frames: Any) -> tuple[Any, Any]:
        x, target = super().split(frames)
        return x, engine.tt.roll(target, 1, axis=1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def numpy_mlp(x: np.ndarray, values: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
    """relu(x W1 + b1) W2 + b2 in plain NumPy."""
    names = ("dense.weight", "dense.bias", "dense_2.weight", "dense_2.bias")
    w1, b1, w2, b2 = (values[f"{prefix}{name}"] for name in names)
    return np.maximum(x @ w1 + b1, 0.0) @ w2 + b2


def numpy_recurrent(x: np.ndarray, values: dict[str, np.ndarray]) -> np.ndarray:
    """The LSTM and its read-out as a plain loop over time, from zeros: x (time, batch, n) -> (time, batch, n)."""
    w, r, b = (values[f"lstm.{name}"] for name in ("w_input", "w_hidden", "bias"))
    h = c = np.zeros((x.shape[1], UNITS))
    ys = []
    for frame in x:
        i, f, g, o = np.split(frame @ w + h @ r + b, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        ys.append(numpy_mlp(h, values, "sequential."))
    return np.stack(ys)


def check_shared_code(frames: np.ndarray) -> Check:
    """Compare the read-out inside a recurrent model with a network built like MNIST's that has the same weights."""
    model = recurrent_model()
    lstm, readout = dict(model.layers())["lstm"], dict(model.layers())["sequential"]
    network = mlp([UNITS, 64, FRAME], rng=np.random.default_rng(0))
    network.set_values(readout.get_values())
    x = frames[:1].astype(engine.float_type())
    difference = float(np.max(np.abs(outputs(network, outputs(lstm, x)[0]) - outputs(model, x)[0])))
    return Check("MNIST's code on one LSTM step = one-step unroll", f"{difference:.1e}", difference < 1e-6)


def check_same_outputs(frames: np.ndarray) -> list[Check]:
    """Compare the compiled loss of each strategy with the error of the common output relative to its target."""
    frames = frames.astype(engine.float_type())
    model = recurrent_model()
    y = outputs(model, frames[:-1])
    batch = [Batch(frames, np.ones(frames.shape[1], bool))]
    checks = []
    for strategy, target in ((predict_next, frames[1:]), (reconstruct_current, frames[:-1])):
        expected = float(np.sum((y - target) ** 2) / np.sum(target**2))
        difference = abs(Evaluation(model, strategy)(batch)["normalised_mse"] - expected) / expected
        what = f"{strategy.name}: loss of the common output, own target"
        checks.append(Check(what, f"{expected:.4f}, differs by {difference:.1e}", bool(difference < 1e-5)))
    found = [measured_shifts(frames, s.split(frames)[1]) for s in (predict_next, reconstruct_current)]
    checks.append(Check("their targets: the input shifted by", f"{found[0]} and {found[1]}", found == [(1,), (0,)]))
    return checks


def trained(model: Layer, objective: Objective, batches: Any, true: Objective, validation: list[Any]) -> float:
    """Train for 600 updates; returns the first reported value of the objective ``true`` on the validation batches."""
    step, evaluate = TrainStep(model, objective, Adam(max_gradient_norm=1.0), seed=SEED), Evaluation(model, true)
    for update in range(N_UPDATES):
        step(batches.batch(update), None, learning_rate=2e-3, update=update)
    return next(iter(evaluate(validation).values()))


def check_training(train: Split, valid: Split, data: Mnist) -> list[Check]:
    """Compare the losses of the three models after training with true and with shuffled targets."""
    windows = RandomWindows(train, seed=SEED, **WINDOWS)
    fixed = fixed_windows(valid, **WINDOWS)[:20]
    digits = (data.train.images, data.train.labels, 100, SEED)
    losses, checks = {}, []

    def compare(name: str, pair: list[float], chance: float) -> None:
        losses[name], shuffled = pair
        destroyed = losses[name] < 0.8 * chance and shuffled > 0.95 * chance
        figure = f"{losses[name]:.3f} -> {shuffled:.3f} (at chance: {chance:.3f})"
        checks.append(Check(f"{name}: shuffled targets destroy it", figure, destroyed))

    task = Classification()
    test = [LabelledBatch(*data.valid)]
    sources = (Minibatches(*digits), ShuffledLabels(*digits))
    compare("mnist", [trained(mnist_model(), task, batches, task, test) for batches in sources], float(np.log(10)))
    for strategy in (predict_next, reconstruct_current):
        objectives = (strategy, ShuffledTargets(strategy.name, strategy.shift))
        pair = [trained(recurrent_model(), objective, windows, strategy, fixed) for objective in objectives]
        compare(strategy.name, pair, 1.0)
    predict, reconstruct = losses["predict_next"], losses["reconstruct_current"]
    return [
        Check("reconstruct's loss < predict's", f"{reconstruct:.3f} < {predict:.3f}", reconstruct < predict),
        *checks,
    ]


def check_numpy(batches: dict[str, np.ndarray], results: dict[str, np.ndarray]) -> list[Check]:
    """Compare compiled outputs with plain NumPy, for each model."""
    with engine.precision("float64"):
        mnist, recurrent = mnist_model().get_values(), recurrent_model().get_values()
    y = numpy_recurrent(batches["frames"][:-1].astype("float64"), recurrent)
    expected = {
        "mnist": numpy_mlp(batches["images"].astype("float64"), mnist),
        "predict_next": y,
        "reconstruct_current": y,
    }
    differences = {name: float(np.max(np.abs(results[f"{name}/outputs"] - value))) for name, value in expected.items()}
    return [Check(f"{name}: {engine.NAME} = NumPy", f"{d:.1e}", d < 1e-10) for name, d in differences.items()]


def check_scan(batches: dict[str, np.ndarray], results: dict[str, np.ndarray]) -> list[Check]:
    """Compare outputs, and parameters after 20 updates, computed with scan and with the fused kernels."""
    with engine.using_kernel("scan"):
        scan = run_all(batches)
    return _agreement("scan", "fused", scan, results, 1e-10)


def _agreement(
    one: str, other: str, results: dict[str, np.ndarray], others: dict[str, np.ndarray], limit: float
) -> list[Check]:
    differences = {key: float(np.max(np.abs(results[key] - value))) for key, value in others.items()}
    largest = {name: max(d for key, d in differences.items() if key.startswith(f"{name}/")) for name in NAMES}
    return [Check(f"{name}: {one} = {other}", f"{d:.1e}", d < limit) for name, d in largest.items()]


def check_engines(batches: dict[str, np.ndarray], results: dict[str, np.ndarray], theano_python: Path) -> list[Check]:
    """Compare outputs, and parameters after 20 updates, of Theano (in its own environment) and of this engine.

    Without that environment the checks are left out. RnnaudioError if the process in it fails.
    """
    if not theano_python.exists():
        reason = "left out: needs Theano, so Python 3.11"
        return [Check(f"{name}: {engine.NAME} = theano", reason, None) for name in NAMES]
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "batches.safetensors", Path(folder) / "results.safetensors"
        save_file(batches, source)
        command = [str(theano_python), "-m", "experiments.proofs.verify_models", str(source), str(target)]
        done = subprocess.run(command, env=os.environ | {"RNNAUDIO_ENGINE": "theano"}, capture_output=True, text=True)
        if done.returncode:
            raise RnnaudioError(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1:]}")
        other = load_file(target)
    return _agreement(engine.NAME, "theano", other, results, 1e-8)


def check_all(corpus: Path = CORPUS, theano_python: Path = Path(".venv-theano/bin/python")) -> int:
    """Run every check and print the table; the exit status is 1 if one fails.

    Args:
        corpus: the piano corpus.
        theano_python: the Python of an environment with Theano 1.0.5.
    """
    data = load_mnist(fetch_mnist(DATA))
    with AudioCorpus.open(corpus) as piano:
        frames = fixed_windows(piano.valid, **WINDOWS)[0].frames
        batches = {"frames": frames, "images": data.valid.images[:64], "labels": data.valid.labels[:64]}
        results = run_all(batches)
        checks = [
            check_shared_code(frames),
            *check_same_outputs(frames),
            *check_training(piano.train, piano.valid, data),
            *check_numpy(batches, results),
            *check_scan(batches, results),
            *check_engines(batches, results, theano_python),
        ]
    for check in checks:
        print(check)
    n_failed = sum(check.passed is False for check in checks)
    n_passed = sum(check.passed is True for check in checks)
    print(f"{n_passed} of {len(checks)} checks passed, {n_failed} failed")
    return 1 if n_failed else 0


main = command(check_all)
