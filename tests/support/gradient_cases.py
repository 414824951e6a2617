"""What the gradient check is run on: every layer, loss and stack, masked and unmasked, in training and evaluation.

Shared by test_gradients.py, which asserts the errors, and experiments/proofs/gradcheck.py, which prints them.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine, losses
from rnnaudio.diagnostics.gradient_check import GradientReport, check_gradients
from rnnaudio.engine import tt
from rnnaudio.nn import (
    GRU,
    LSTM,
    Activation,
    BatchNorm,
    Context,
    Dense,
    Draw,
    DrawnInitialState,
    Dropout,
    GaussianNoise,
    GRUEarly2016,
    Layer,
    Layer2016,
    LearntInitialState,
    LinearPredictor,
    LongTermPrediction,
    MemoryLSTM,
    Noisy,
    Painter,
    PastAttention,
    Repeated,
    Sequential,
    Sum,
    mlp,
    mlp_2016,
)
from rnnaudio.nn.feedforward import FeedForward

N_STEPS, N_BATCH, N_IN, N_UNITS = 4, 3, 2, 3
CROSS_ENTROPIES = tuple(losses.CROSS_ENTROPIES.values())


def weighted_phase_distance(prediction: Any, target: Any, mask: Any = None) -> Any:
    """With weights that depend on the target, so that both have a gradient."""
    return losses.phase_distance(prediction, target, mask, weight=tt.sqr(target) + 0.1)


# A gap in the middle, an end and a beginning left out: each sequence of the batch another.
MASK = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 1], [1, 0, 1]])


class Batch(NamedTuple):
    inputs: np.ndarray  # (time, batch, n_in)
    targets: np.ndarray  # (time, batch, n_out), or (time, batch) labels
    mask: np.ndarray  # (time, batch)


class Outcome(NamedTuple):
    loss: Any


@dataclass(frozen=True)
class Supervised:
    """A loss of (prediction, target, mask) over all time steps; the mask holds for the recurrences and the loss."""

    loss: Callable[..., Any] = losses.mean_squared_error
    masked: bool = False
    fields: tuple[str, ...] = ("inputs", "targets", "mask")

    def variables(self) -> list[Any]:
        labels = self.loss in CROSS_ENTROPIES
        targets = engine.tensor("targets", 2, "int64") if labels else engine.tensor("targets", 3)
        return [engine.tensor("inputs", 3), targets, engine.tensor("mask", 2, "int8")]

    def batch_size(self, inputs: Any, *others: Any) -> Any:
        return inputs.shape[1]

    def outcome(self, model: Layer, variables: list[Any], state: Any, context: Context) -> Outcome:
        inputs, targets, mask = variables
        prediction, final = model.unroll(inputs, state, context, mask if self.masked else None)
        loss = self.loss(prediction, targets, mask if self.masked else None)
        # The final state belongs to the loss: it is what carried training hands on.
        return Outcome(loss + sum(tt.mean(tt.sqr(leaf)) for leaf in _leaves(final)))


def _leaves(state: Any) -> list[Any]:
    return [leaf for item in state for leaf in _leaves(item)] if isinstance(state, tuple) else [state]


def randomise(model: Layer, rng: np.random.Generator, std: float = 0.5) -> Layer:
    """Set every parameter, biases and peepholes too, to N(0, std), and running statistics as if trained."""
    values = model.get_values()
    for name, value in values.items():
        if name in model.parameters() or name.endswith("running_mean"):
            values[name] = std * rng.standard_normal(value.shape)
        elif name.endswith("running_variance"):
            values[name] = rng.uniform(0.5, 2.0, value.shape)
    model.set_values(values)
    return model


def between_2016(n: int) -> list[FeedForward]:
    """All that the blog put between product and bias, in its order."""
    return [BatchNorm(n, shift=False), GaussianNoise(n, 0.3), Dropout(n, 0.5)]


def attentive_draw(rng: np.random.Generator) -> Layer:
    """An image of 3 x 4 pixels, read and written through grids of filters."""
    return Draw((3, 4), 3, 2, rng=rng, n_read=3, n_write=2)


Build = Callable[[np.random.Generator], Layer]

LAYERS: dict[str, Build] = {
    "dense linear": lambda rng: Dense(N_IN, N_UNITS, rng=rng),
    "dense relu": lambda rng: Dense(N_IN, N_UNITS, rng=rng, activation="relu"),
    "dense tanh": lambda rng: Dense(N_IN, N_UNITS, rng=rng, activation="tanh"),
    "dense sigmoid": lambda rng: Dense(N_IN, N_UNITS, rng=rng, activation="sigmoid"),
    "activation relu": lambda rng: Activation(N_IN, "relu"),
    "activation tanh": lambda rng: Activation(N_IN, "tanh"),
    "batch norm": lambda rng: BatchNorm(N_IN),
    "dropout": lambda rng: Dropout(N_IN, 0.4),
    "gaussian noise": lambda rng: GaussianNoise(N_IN, 0.3),
    "layer of 2016": lambda rng: Layer2016(N_IN, N_UNITS, rng=rng, between=between_2016(N_UNITS), activation="tanh"),
    "plain layer of 2016": lambda rng: Layer2016(N_IN, N_UNITS, rng=rng),
    "lstm": lambda rng: LSTM(N_IN, N_UNITS, rng=rng),
    "lstm peepholes": lambda rng: LSTM(N_IN, N_UNITS, rng=rng, peepholes=True),
    "gru": lambda rng: GRU(N_IN, N_UNITS, rng=rng),
    "memory lstm": lambda rng: MemoryLSTM(N_IN, 3, rng=rng),
    "memory lstm with noise": lambda rng: MemoryLSTM(N_IN, 2, rng=rng, noise_std=0.3),
    "bounded memory lstm with noise": lambda rng: MemoryLSTM(N_IN, 2, rng=rng, noise_std=0.3, bounded=True),
    "learnt memory lstm": lambda rng: LearntInitialState(MemoryLSTM(N_IN, 1, rng=rng)),
    "linear predictor": lambda rng: LinearPredictor(N_IN, N_UNITS, n_frames=3),
    "long-term prediction with dropout": lambda rng: LongTermPrediction(2, n_candidates=3, n_back=2, dropout=0.3),
    "noisy lstm": lambda rng: Noisy(LSTM(N_IN, N_UNITS, rng=rng, peepholes=True), std=0.3, state_std=0.2),
    "noisy gru": lambda rng: Noisy(GRU(N_IN, N_UNITS, rng=rng), std=0.3, state_std=0.2),
    "learnt initial state": lambda rng: LearntInitialState(LSTM(N_IN, N_UNITS, rng=rng, peepholes=True)),
    "drawn initial state": lambda rng: DrawnInitialState(LSTM(N_IN, N_UNITS, rng=rng), std=0.5),
    "early gru of 2016": lambda rng: GRUEarly2016(N_IN, N_UNITS, rng=rng),
    "repeated gru": lambda rng: Repeated(GRU(N_IN, N_IN, rng=rng), 3),
    "past attention": lambda rng: PastAttention(GRU(N_IN, N_UNITS, rng=rng), 5, n_keys=2, rng=rng),
    "painter": lambda rng: Painter(N_IN, (2, 3), 3, rng=rng),
    "draw": lambda rng: Draw((1, N_IN), 3, 2, rng=rng),
    "learnt and noisy gru": lambda rng: LearntInitialState(Noisy(GRU(N_IN, N_UNITS, rng=rng), state_std=0.2)),
}
STACKS: dict[str, Build] = {
    "stack": lambda rng: Sequential([LSTM(N_IN, 3, rng=rng), GRU(3, 2, rng=rng), Dense(2, 2, rng=rng)]),
    "skip stack": lambda rng: Sequential(
        [LSTM(N_IN, 2, rng=rng), GRU(N_IN + 2, 3, rng=rng), Dense(2 + 3, 2, rng=rng)], skip=True
    ),
    "tower": lambda rng: Sequential(
        [GRU(N_IN, 3, rng=rng), LSTM(3, 2, rng=rng), Dense(3 + 2, 2, rng=rng)], read_all=True
    ),
    "linear path beside a stack": lambda rng: Sum(
        stack=Sequential([Noisy(GRU(N_IN, 3, rng=rng), std=0.3), Dense(3, 2, rng=rng)]),
        linear=LinearPredictor(N_IN, 2),
    ),
    "past attention over a stack with dropout": lambda rng: Sequential(
        [
            PastAttention(Sequential([GRU(N_IN, 3, rng=rng), Dropout(3, 0.3)]), 6, n_keys=2, rng=rng),
            Dense(3, 2, rng=rng),
        ]
    ),
    "normalised dropped stack": lambda rng: Sequential(
        [Noisy(LSTM(N_IN, 3, rng=rng), state_std=0.2), BatchNorm(3), Dropout(3, 0.3), Dense(3, 2, rng=rng)]
    ),
    "mlp of 2016": lambda rng: mlp_2016([N_IN, 5, 2], rng=rng, between=between_2016),
    "mlp": lambda rng: mlp([N_IN, 6, 5, 2], rng=rng, batch_norm=True, dropout=0.3, noise=0.3),
}
EVEN: Build = lambda rng: Dense(N_IN, 4, rng=rng)  # noqa: E731
LOSSES = (
    losses.mean_squared_error,
    losses.normalised_mean_squared_error,
    losses.phase_distance,
    weighted_phase_distance,
    losses.gaussian_likelihood,
    *CROSS_ENTROPIES,
)


class Case(NamedTuple):
    name: str
    build: Build
    objective: Supervised
    training: bool
    most_entries: int = 100  # of an array: fewer where a loss takes long

    @property
    def label(self) -> str:
        mask = "masked" if self.objective.masked else "unmasked"
        return f"{self.name}, {mask}, {'training' if self.training else 'evaluation'}"


def _cases() -> list[Case]:
    cases = [
        Case(name, build, Supervised(masked=masked), True)
        for name, build in (LAYERS | STACKS).items()
        for masked in (False, True)
    ]
    evaluated = "batch norm", "layer of 2016", "noisy lstm", "memory lstm with noise", "normalised dropped stack"
    for name in (*evaluated, "mlp"):
        cases.append(Case(name, (LAYERS | STACKS)[name], Supervised(masked=True), False))
    cases.append(Case("draw with attention", attentive_draw, Supervised(), True, 1))
    for loss in LOSSES:
        build = EVEN if loss is losses.gaussian_likelihood else LAYERS["dense linear"]
        for masked in (False, True):
            cases.append(Case(loss.__name__.replace("_", " "), build, Supervised(loss, masked), True))
    return cases


CASES = _cases()


def check(case: Case, n_entries: int = 3, mode: str | None = None) -> GradientReport:
    """The gradient check of one case, ``n_entries`` an array; its numbers depend on its label alone."""
    rng = np.random.default_rng(zlib.crc32(case.label.encode()))
    with engine.precision("float64"):
        model = randomise(case.build(rng), rng)
    inputs = rng.standard_normal((N_STEPS, N_BATCH, model.n_in))
    if case.objective.loss in CROSS_ENTROPIES:
        targets = rng.integers(model.n_out, size=(N_STEPS, N_BATCH))
    else:
        parts = 2 if case.objective.loss is losses.gaussian_likelihood else 1  # a mean and a variance to each target
        targets = rng.standard_normal((N_STEPS, N_BATCH, model.n_out // parts))
    batch = Batch(inputs, targets, MASK)
    options = {"training": case.training, "n_entries": min(n_entries, case.most_entries), "mode": mode}
    return check_gradients(model, case.objective, batch, rng=rng, **options)
