"""Our models as the benchmark trains them: codes, DRAW, MNIST, samples, with the settings of their recipes.

Data are random: the time of a step does not depend on them. ``tiny`` sizes are for tests.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.benchmarks.sizes import FACTS, Size, codes_config, samples_config
from experiments.blog_2016.mnist import SETTINGS
from experiments.studies import drawing
from rnnaudio import engine, losses, ops
from rnnaudio.data.code_batches import CodeBatch
from rnnaudio.data.images import ImageBatch
from rnnaudio.data.minibatches import LabelledBatch, Minibatches
from rnnaudio.engine import tt
from rnnaudio.nn import Context, Draw, Layer
from rnnaudio.objectives import Bound, Classification, NextCodes, NextSamples, Objective
from rnnaudio.optimizers import Adam, Optimizer
from rnnaudio.runs.codes.model import build_model as code_model
from rnnaudio.runs.samples.model import Facts
from rnnaudio.runs.samples.model import build_model as sample_model
from rnnaudio.training import Evaluation, TrainStep


class Ours(NamedTuple):
    """A model of ours, ready to be trained.

    step
        trains: an update, or for MNIST an epoch; returns the last loss.
    loss
        computes the loss of the parameters as they are now, without noise or dropout.
    setup
        all that a peer needs to train the same model: parameter values, as ``model/NAME``, and data.
    """

    model: Layer
    step: Callable[[], float]
    loss: Callable[[], float]
    setup: dict[str, np.ndarray]


def rng_of(purpose: int) -> np.random.Generator:
    """A random generator whose seed depends only on ``purpose``, so that it is the same in every process."""
    return np.random.default_rng((2016, purpose))


def codes(size: Size) -> Ours:
    """An LSTM over codes of two stages, with an MLP and a cross-entropy per stage; codes (T + 1, batch, 2)."""
    c, rng = codes_config(size), rng_of(1)
    stages = rng.standard_normal((c.n_stages, c.n_codes, c.n_components)).astype("float32")
    codec: Any = SimpleNamespace(
        n_features=c.n_components, n_codes=c.n_codes, n_stages=c.n_stages, stages=stages,
        deviations=np.ones(c.n_components, "float32"),
    )  # fmt: skip
    model = code_model(c, codec)
    batch = CodeBatch(rng.integers(c.n_codes, size=(c.n_steps + 1, c.batch_size, c.n_stages)), _all(c.batch_size))
    adam = Adam(c.learning_rate, max_gradient_norm=1.0)
    return _trained_on(model, NextCodes(), adam, batch, "bits", {"codes": batch.codes})


def draw(size: Size, *, attention: bool) -> Ours:
    """DRAW on binary images (batch, pixels), trained as in the study; the loss is in nats per image."""
    small: dict[str, Any] = {"n_units": 4, "n_codes": 3, "n_read": 2, "n_write": 3, "n_steps": 3, "batch_size": 4}
    o = drawing.Options(attention=attention, **(small if size == "tiny" else {}))
    sides, rng = ((6, 5) if size == "tiny" else (28, 28)), rng_of(2)
    n_pixels = sides[0] * sides[1]
    model = drawing.model_of(o, sides, np.full(n_pixels, 0.3))
    images = (rng.random((o.batch_size, n_pixels)) < 0.3).astype("float32")
    step = TrainStep(model, Bound(o.n_steps), Adam(o.learning_rate, max_gradient_norm=o.max_gradient_norm), seed=0)
    batch, count = ImageBatch(images), iter(range(10**9))
    return Ours(
        model,
        lambda: step(batch, None, learning_rate=o.learning_rate, update=next(count)).loss,
        lambda: bound_without_noise(model, images, o.n_steps),
        _setup(model, images=images, sides=np.array(sides), n_steps=np.array(o.n_steps)),
    )


def bound_without_noise(model: Draw, images: np.ndarray, n_steps: int) -> float:
    """The formula of the bound with each code at its mean, in nats per image: not a bound, but good for comparing."""
    x = engine.tensor("images", 2)
    states = model.paint(x, n_steps, model.initial_state(x.shape[0]), Context.evaluation())
    nats = tt.sum(losses.bernoulli_nats(ops.last(states.painter.canvas), x)) + tt.sum(ops.last(states.nats))
    return float(engine.function([x], nats)(images)) / len(images)


def mnist(size: Size, *, setting: str) -> Ours:
    """A perceptron of the MNIST experiments, on random images; a step is an epoch of 50,000 (tiny: 40) of them."""
    s = SETTINGS[setting]
    n, batch_size = (40, 20) if size == "tiny" else (50_000, s.batch_size)
    if size == "tiny":
        s = dataclasses.replace(s, hidden=tuple(5 for _ in s.hidden))
    model, rng = s.model(rng_of(3)), rng_of(4)
    images, labels = rng.random((n, 784), np.float32), rng.integers(10, size=n)
    batches = Minibatches(images, labels, batch_size, seed=0, shuffle=False)
    step, objective = TrainStep(model, Classification(), s.optimizer, seed=0), Classification()
    rate, count = s.optimizer.learning_rate, iter(range(10**9))

    def epoch() -> float:
        for index in range(batches.batches_per_epoch):
            loss = step(batches.batch(index), None, learning_rate=rate, update=next(count)).loss
        return loss

    first = LabelledBatch(images[:batch_size], labels[:batch_size])
    evaluate = Evaluation(model, objective)
    setup = _setup(model, images=images, labels=labels, batch_size=np.array(batch_size), rate=np.array(rate))
    return Ours(model, epoch, lambda: evaluate([first])["cross_entropy"], setup)


def samples(size: Size, *, cell: Literal["gru", "lstm"]) -> Ours:
    """A SampleRNN in three tiers, of cells ``gru`` or ``lstm``; levels (n_context + n, batch, 1).

    PyTorch's GRU multiplies by the reset gate after the product, ours before it. The two agree if the candidate's
    recurrent weights are zero, so they are initialised to zero.
    """
    c, rng = samples_config(size, cell), rng_of(5)
    model = sample_model(c, Facts(**FACTS))
    values = model.get_values()
    if cell == "gru":
        for name in [name for name in values if name.endswith("w_hidden")]:
            values[name] = np.concatenate([values[name][:, : 2 * c.n_units], 0 * values[name][:, 2 * c.n_units :]], 1)
        model.set_values(values)
    levels = rng.integers(c.n_levels, size=(model.n_context + c.n_steps, c.batch_size, 1))
    batch = CodeBatch(levels, _all(c.batch_size))
    adam = Adam(c.learning_rate, max_gradient_norm=1.0)
    return _trained_on(model, NextSamples(model.n_context), adam, batch, "bits", {"levels": levels})


def _trained_on(
    model: Layer, objective: Objective, optimizer: Optimizer, batch: Any, figure: str, data: dict[str, np.ndarray]
) -> Ours:
    """A model trained on one batch repeatedly, from the initial state in each update; figure: the name of the loss."""
    step, evaluate = TrainStep(model, objective, optimizer, seed=0), Evaluation(model, objective)
    rate, count = optimizer.learning_rate, iter(range(10**9))
    return Ours(
        model,
        lambda: step(batch, None, learning_rate=rate, update=next(count)).loss,
        lambda: evaluate([batch])[figure],
        _setup(model, **data),
    )


def _setup(model: Layer, **data: np.ndarray) -> dict[str, np.ndarray]:
    return {**{f"model/{name}": value for name, value in model.get_values().items()}, **data}


def _all(n: int) -> np.ndarray:
    return np.ones(n, bool)


MODELS: dict[str, Callable[[Size], Ours]] = {
    "codes": codes,
    "draw": partial(draw, attention=False),
    "draw-attention": partial(draw, attention=True),
    "mnist": partial(mnist, setting="blog"),
    "mnist-better": partial(mnist, setting="better"),
    "samples": partial(samples, cell="gru"),
    "samples-lstm": partial(samples, cell="lstm"),
}
UNITS = {name: "epoch" if name.startswith("mnist") else "update" for name in MODELS}
