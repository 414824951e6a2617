"""The three models of `experiments.proofs.verify`, run on the selected engine.

    RNNAUDIO_ENGINE=theano python -m experiments.proofs.verify_models BATCHES.safetensors RESULTS.safetensors

This command reads a batch of frames and one of digits. For each model it writes the outputs before training and the
parameters after 20 updates, all in float64.
"""

import sys

import numpy as np
from safetensors.numpy import load_file, save_file

from rnnaudio import engine
from rnnaudio.data import Batch
from rnnaudio.data.minibatches import LabelledBatch
from rnnaudio.nn import LSTM, Context, Layer, Sequential, mlp
from rnnaudio.objectives import Classification, Objective, predict_next, reconstruct_current
from rnnaudio.optimizers import Adam
from rnnaudio.training import TrainStep

FRAME, UNITS, SEED, N_UPDATES = 100, 64, 2016, 20


def recurrent_model() -> Sequential:
    """LSTM with an MLP read-out: the model of both strategies."""
    rng = np.random.default_rng(SEED)
    return Sequential([LSTM(FRAME, UNITS, rng=rng), mlp([UNITS, 64, FRAME], rng=rng)])


def mnist_model() -> Sequential:
    """The MNIST network, built by the same function as the read-out of the recurrent model."""
    return mlp([784, 64, 10], rng=np.random.default_rng(SEED))


def outputs(model: Layer, x: np.ndarray) -> np.ndarray:
    """Outputs of the model for x in evaluation: x (batch, n) is applied directly, x (time, batch, n) is unrolled."""
    variable = engine.tensor("x", x.ndim)
    run = model.step if x.ndim == 2 else model.unroll
    y, _ = run(variable, model.initial_state(variable.shape[x.ndim - 2]), Context.evaluation())
    return np.asarray(engine.function([variable], y)(x))


def run_all(batches: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs and trained parameters of the three models, float64: ``mnist/outputs``, ``mnist/dense.weight``, ...

    batches: ``frames`` (time + 1, batch, 100), ``images`` (n, 784) and ``labels`` (n,).
    """
    frames, images, labels = batches["frames"], batches["images"], batches["labels"]
    labelled = LabelledBatch(images.astype("float64"), labels)
    consecutive = Batch(frames.astype("float64"), np.ones(frames.shape[1], bool))
    results: dict[str, np.ndarray] = {}
    with engine.precision("float64"):
        tasks: list[tuple[str, Layer, Objective, object, np.ndarray]] = [
            ("mnist", mnist_model(), Classification(), labelled, labelled.images),
            ("predict_next", recurrent_model(), predict_next, consecutive, consecutive.frames[:-1]),
            ("reconstruct_current", recurrent_model(), reconstruct_current, consecutive, consecutive.frames[:-1]),
        ]
        for name, model, objective, batch, x in tasks:
            results[f"{name}/outputs"] = outputs(model, x)
            step = TrainStep(model, objective, Adam(max_gradient_norm=1.0), seed=SEED)
            for update in range(N_UPDATES):
                step(batch, None, learning_rate=1e-3, update=update)
            results |= {f"{name}/{key}": value for key, value in model.get_values().items()}
    return results


if __name__ == "__main__":
    save_file(run_all(load_file(sys.argv[1])), sys.argv[2])
