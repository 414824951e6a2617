"""Runs with one fault planted each: small models on synthetic sound, built of the package's own parts.

A plan says how a run is made; a fault is a change of a healthy plan, and the cause that a diagnosis should name.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import signal

from rnnaudio import optimizers
from rnnaudio.app.audio_run import start_from_linear_prediction
from rnnaudio.data import ConsecutiveWindows, RandomWindows, ShiftedWindows, fixed_windows
from rnnaudio.data.corpus import ArrayPiece, Split
from rnnaudio.diagnostics import linear_prediction
from rnnaudio.diagnostics.subject import Subject
from rnnaudio.engine import tensor
from rnnaudio.generation import OutputNoise, Stepper, generate
from rnnaudio.losses import mean_squared_error
from rnnaudio.nn import (
    GRU,
    LSTM,
    Dense,
    GaussianNoise,
    Layer,
    LinearPredictor,
    MemoryLSTM,
    Sequential,
    Sum,
    mlp,
)
from rnnaudio.nn.initializers import rand_2016
from rnnaudio.objectives import Outcome, Strategy, predict_next
from rnnaudio.training.step import Evaluation, TrainStep

RATE_HZ = 8000
N_TRAIN, N_VALID = 8, 3
Arrays = list[np.ndarray]
N_HARMONICS = 3
RIDGE = 1e-2  # keeps the linear prediction stable when it is fed what it says


class Size(NamedTuple):
    """Of a run: samples of a frame, units, steps and items of a batch, seconds of a piece, updates."""

    frame: int
    units: int
    steps: int
    items: int
    seconds: float
    updates: int


# ---------------------------------------------------------------- sound


def music(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Decaying notes of a tempered scale, three harmonics each, that begin at random; (n,) float64."""
    n = int(seconds * RATE_HZ)
    audio = 0.02 * rng.standard_normal(n)
    n_notes = int(n / (0.1 * RATE_HZ))
    for start in np.cumsum(rng.exponential(0.2 * RATE_HZ, n_notes)).astype(int):
        if start >= n:
            break
        t = np.arange(n - start) / RATE_HZ
        pitch_hz = 55.0 * 2.0 ** (rng.integers(0, 30) / 12.0)
        envelope = np.exp(-t / rng.uniform(0.1, 0.5)) * np.minimum(1.0, t / 0.003) * rng.uniform(0.3, 1.0)
        for k in range(1, N_HARMONICS + 1):
            audio[start:] += envelope * np.sin(2.0 * np.pi * (k * pitch_hz * t + rng.random())) / k**2
    return audio


def breath(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """White noise through four resonances of 100 to 1000 Hz, x_t = e_t + 2 r cos(w) x_{t-1} - r^2 x_{t-2}, r = .995:
    sound of which the next frame can be told in part only; (n,) float64."""
    n, total = int(seconds * RATE_HZ), 0.0
    for pitch_hz in (110.0, 230.0, 420.0, 870.0):
        w, r = 2.0 * np.pi * pitch_hz / RATE_HZ, 0.995
        resonance = signal.lfilter([1.0 - r], [1.0, -2.0 * r * np.cos(w), r**2], rng.standard_normal(n + RATE_HZ))
        total = total + resonance[RATE_HZ:]
    return np.asarray(total)


def standardised(train: Arrays, valid: Arrays) -> tuple[Arrays, Arrays]:
    """Mean 0 and standard deviation 1 of the training pieces."""
    mean, std = np.mean(np.concatenate(train)), np.std(np.concatenate(train))
    return [(a - mean) / std for a in train], [(a - mean) / std for a in valid]


def min_max_with_click(train: Arrays, valid: Arrays) -> tuple[Arrays, Arrays]:
    """Lowest sample -1, highest 1, after one click of 15 standard deviations."""
    train[0][len(train[0]) // 3] = 15.0 * np.std(train[0])
    low, high = min(a.min() for a in train), max(a.max() for a in train)
    scaled, also = ([2.0 * (a - low) / (high - low) - 1.0 for a in part] for part in (train, valid))
    return scaled, also


def clipped(train: Arrays, valid: Arrays) -> tuple[Arrays, Arrays]:
    """Everything beyond 1.2 deviations cut off, then standardised."""
    train, valid = standardised(train, valid)
    return standardised([np.clip(a, -1.2, 1.2) for a in train], [np.clip(a, -1.2, 1.2) for a in valid])


# ---------------------------------------------------------------- batches


class Padded(NamedTuple):
    frames: np.ndarray
    resets: np.ndarray
    mask: np.ndarray  # (steps, items): 1 where a step counts


class Around:
    """A batcher that gives changed batches of another."""

    def __init__(self, inner: Any, change: Callable[[Any, int], Any], carries_state: bool = False):
        self._inner, self._change = inner, change
        self.carries_state, self.batches_per_epoch = carries_state, inner.batches_per_epoch

    def batch(self, index: int) -> Any:
        return self._change(self._inner.batch(index), index)


def padded(batch: Any, index: int) -> Padded:
    """Items that end early, zeros after their end."""
    n, items = len(batch.frames) - 1, batch.frames.shape[1]
    lengths = np.random.default_rng(index).integers(n // 4, n + 1, items)
    mask = np.arange(1, n + 1)[:, None] <= lengths
    frames = batch.frames.copy()
    frames[1:][~mask] = 0.0
    return Padded(frames, batch.resets, mask.astype("float32"))


def swapped(batch: Any, index: int) -> Any:
    """Items read one after the other into an array that is time-major."""
    return batch._replace(frames=np.ascontiguousarray(batch.frames.swapaxes(0, 1)).reshape(batch.frames.shape))


def never_reset(batch: Any, index: int) -> Any:
    return batch._replace(resets=np.zeros_like(batch.resets))


@dataclass(frozen=True)
class Masked(Strategy):
    """Prediction scored where the mask is 1; ``inverted``: where it is 0."""

    fields: tuple[str, ...] = ("frames", "mask")
    inverted: bool = False

    def variables(self) -> list[Any]:
        return [tensor("frames", 3), tensor("mask", 2)]

    def batch_size(self, frames: Any, mask: Any = None) -> Any:
        return frames.shape[1]

    def outcome(self, model: Layer, variables: list[Any], state: Any, context: Any) -> Outcome:
        frames, mask = variables
        x, target = self.split(frames)
        y, state = model.unroll(x, state, context)
        terms = super().outcome(_Said(y), [frames], state, context).terms
        return Outcome(mean_squared_error(y, target, 1.0 - mask if self.inverted else mask), terms, state)


class _Said(Layer):
    """What was said, whatever is asked."""

    def __init__(self, y: Any):
        super().__init__()
        self._y = y

    def unroll(self, x: Any, state: Any, context: Any, mask: Any = None) -> tuple[Any, Any]:
        return self._y, state


# ---------------------------------------------------------------- models

Build = Callable[[Size, np.random.Generator], Layer]


def beside_linear(size: Size, stack: Layer) -> Layer:
    return Sum(linear=LinearPredictor(size.frame, size.frame, n_frames=2), stack=stack)


def lstm(size: Size, rng: np.random.Generator) -> Layer:
    """The healthy one: an LSTM beside linear prediction."""
    layers = [LSTM(size.frame, size.units, rng=rng), Dense(size.units, size.frame, rng=rng)]
    return beside_linear(size, Sequential(layers))


def gru(size: Size, rng: np.random.Generator) -> Layer:
    layers = [GRU(size.frame, size.units, rng=rng), Dense(size.units, size.frame, rng=rng)]
    return beside_linear(size, Sequential(layers))


def gru_alone(size: Size, rng: np.random.Generator) -> Layer:
    return GRU(size.frame, size.frame, rng=rng)


def small_tanh_readout(size: Size, rng: np.random.Generator) -> Layer:
    readout = Dense(size.units, size.frame, rng=rng, activation="tanh", weights=rand_2016)
    return Sequential([LSTM(size.frame, size.units, rng=rng), readout])


def memory_lstm(size: Size, rng: np.random.Generator) -> Layer:
    return Sequential([MemoryLSTM(size.frame, 2, rng=rng), mlp([2 * size.frame, 2 * size.frame, size.frame], rng=rng)])


def noisy_readout(size: Size, rng: np.random.Generator) -> Layer:
    return Sequential([lstm(size, rng), GaussianNoise(size.frame, 0.15)])


def with_relu(size: Size, rng: np.random.Generator) -> Layer:
    readout = mlp([size.units, size.units, size.frame], rng=rng)
    return beside_linear(size, Sequential([LSTM(size.frame, size.units, rng=rng), readout]))


def forgetful(bias: np.ndarray) -> np.ndarray:
    """Forget bias -5 instead of 1; the blocks are those of i, f, g, o."""
    return bias - np.repeat([0.0, 6.0, 0.0, 0.0], len(bias) // 4)


def spoilt(build: Build, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Build:
    """The same model with the parameters whose names end in ``name`` changed."""

    def built(size: Size, rng: np.random.Generator) -> Layer:
        model = build(size, rng)
        values = model.get_values()
        chosen = [path for path in values if path.endswith(name)]
        assert chosen, name
        model.set_values(values | {path: change(values[path]) for path in chosen})
        return model

    return built


# ---------------------------------------------------------------- a run


RMSPROP = optimizers.RMSprop(max_gradient_norm=1.0)


@dataclass(frozen=True)
class Plan:
    """How a run is made. ``claimed``: the rule that it says it uses, if another."""

    sound: Callable[[np.random.Generator, float], np.ndarray] = music
    scale: Callable[..., Any] = standardised
    batches: Callable[..., Any] = RandomWindows
    around: Callable[[Any], Any] = lambda batches: batches
    model: Callable[[Size, np.random.Generator], Layer] = lstm
    objective: Any = predict_next
    optimizer: Any = RMSPROP
    claimed: Any = None
    learning_rate: float = 2e-3
    frozen: str = ""
    validate_on_training: bool = False
    judged_by: str = "valid"
    noise: bool = True
    two_functions: bool = False


class Frozen:
    """A training step after which the parameters of one layer are what they were before."""

    def __init__(self, model: Layer, step: Any, name: str):
        self._variables = [v for path, v in model.parameters().items() if name in path]
        assert self._variables, name
        self._step = step

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        before = [v.get_value() for v in self._variables]
        result = self._step(*arguments, **options)
        for variable, value in zip(self._variables, before, strict=True):
            variable.set_value(value)
        return result


def subject_of(plan: Plan, size: Size, seed: int) -> Subject:
    """Train as planned, and hand over what a diagnosis looks at."""
    rng = np.random.default_rng((seed, 77))
    sound = [[plan.sound(rng, size.seconds) for _ in range(n)] for n in (N_TRAIN, N_VALID)]
    train, valid = (
        Split(name, [ArrayPiece(a.astype(np.float32)) for a in part], RATE_HZ)
        for name, part in zip(("train", "valid"), plan.scale(*sound), strict=True)
    )
    sizes: dict[str, int] = {"frame_size": size.frame, "n_steps": size.steps, "batch_size": size.items}
    batches = plan.around(plan.batches(train, seed=seed, **sizes))
    validation = fixed_windows(train if plan.validate_on_training else valid, **sizes)
    model = plan.model(size, rng)
    plain = RandomWindows(train, seed=seed, **sizes)
    pairs = (predict_next.split(plain.batch(k).frames) for k in range(16))
    start_from_linear_prediction(model, linear_prediction(pairs, ridge=RIDGE))

    def make_step(model: Layer) -> Any:
        step = TrainStep(model, plan.objective, plan.optimizer, seed=seed)
        return Frozen(model, step, plan.frozen) if plan.frozen else step

    history, best_loss = run(plan, size, model, make_step(model), batches, validation)
    subject = Subject(
        model,
        plan.objective,
        plan.claimed or plan.optimizer,
        plan.learning_rate,
        batches,
        validation,
        train.pieces,
        make_step,
        None,
        history,
        best_loss,
    )
    return dataclasses.replace(subject, play=player(plan, model, validation, seed))


def run(
    plan: Plan, size: Size, model: Layer, step: Any, batches: Any, validation: Any
) -> tuple[list[dict[str, Any]], float]:
    """The loop of training in small: (history, loss by which the parameters were chosen)."""
    evaluate = Evaluation(model, predict_next)
    history: list[dict[str, Any]] = []
    best_loss, best, carried = float("inf"), model.get_values(), None
    every, losses = max(1, size.updates // 6), []
    for update in range(size.updates):
        before = model.get_values()
        result = step(batches.batch(update), carried, learning_rate=plan.learning_rate, update=update)
        if not np.isfinite(result.loss) or not all(np.isfinite(v).all() for v in model.get_values().values()):
            model.set_values(before)
            break
        carried = result.state if batches.carries_state else None
        losses.append(result.values["normalised_mse"])
        if (update + 1) % every == 0:
            train = sum(a for a, _ in losses) / sum(b for _, b in losses)
            row = {"updates": update + 1, "train": train, "valid": evaluate(validation)["normalised_mse"]}
            history.append(row)
            losses = []
            if row[plan.judged_by] < best_loss:
                best_loss, best = row[plan.judged_by], model.get_values()
    model.set_values(best)
    return history, best_loss


def player(plan: Plan, model: Layer, validation: Any, seed: int) -> Callable[[np.ndarray, int], np.ndarray]:
    """Generation as planned; noise of the variance of the validation error."""
    power = float(np.mean([np.mean(np.square(batch.frames[1:])) for batch in validation]))
    std = float(np.sqrt(power * Evaluation(model, predict_next)(validation)["normalised_mse"]))
    stepper = Stepper(model)

    def play(frames: np.ndarray, n_frames: int) -> np.ndarray:
        noise = OutputNoise(std, seed) if plan.noise and np.isfinite(std) else None
        n = frames.shape[1]
        options: dict[str, Any] = {"noise": noise, "two_functions": plan.two_functions}
        played = generate(stepper, frames.ravel(), n_samples=n_frames * n, **options)
        new = played.audio[played.n_seed :]
        return new[: len(new) // n * n].reshape(-1, n)

    return play


# ---------------------------------------------------------------- faults


class Fault(NamedTuple):
    """What is planted, the cause to be named, and the plan of the run."""

    name: str
    cause: str
    plan: Plan


MASKED: dict[str, Any] = {"around": lambda inner: Around(inner, padded)}
HEALTHY = (
    Plan(),
    Plan(model=gru),
    Plan(batches=ConsecutiveWindows),
    Plan(sound=breath),
    Plan(optimizer=optimizers.Adam(max_gradient_norm=1.0), learning_rate=1e-3),
    Plan(objective=Masked("predict_next", 1), **MASKED),
)

FAULTS = (
    Fault("target is the input", "target-is-input", Plan(objective=Strategy("predict_next", shift=0))),
    Fault(
        "RMSprop that does not divide", "unscaled-rmsprop",
        Plan(optimizer=optimizers.RMSprop2016(max_gradient_norm=1.0), claimed=RMSPROP),
    ),
    Fault("cost on the last step", "last-step-cost", Plan(objective=Strategy("predict_next", 1, first_scored=-1))),
    Fault("feedback without noise", "noiseless-feedback", Plan(sound=breath, noise=False)),
    Fault("memory that grows", "unbounded-memory", Plan(model=memory_lstm, learning_rate=1e-5)),
    Fault("noise after the read-out", "noise-in-readout", Plan(model=noisy_readout)),
    Fault("judged by training cost", "judged-by-training-cost", Plan(judged_by="train")),
    Fault("validation from training", "validation-is-training", Plan(validate_on_training=True)),
    Fault("two functions play", "two-functions", Plan(two_functions=True)),
    Fault("GRU without read-out", "bounded-output", Plan(model=gru_alone)),
    Fault("small tanh read-out", "bounded-output", Plan(model=small_tanh_readout)),
    Fault("min/max scaling, one click", "min-max-scaling", Plan(scale=min_max_with_click)),
    Fault("one window, shifted", "shifted-batch", Plan(batches=ShiftedWindows)),
    Fault("learning rate x 100", "learning-rate-too-high", Plan(learning_rate=0.2)),
    Fault("learning rate SGD 20", "learning-rate-too-high", Plan(optimizer=optimizers.SGD(), learning_rate=20.0)),
    Fault("learning rate / 10000", "learning-rate-too-low", Plan(learning_rate=2e-7)),
    Fault("frozen read-out", "frozen-layer", Plan(frozen="dense")),
    Fault("axes swapped", "axes-swapped", Plan(around=lambda inner: Around(inner, swapped))),
    Fault(
        "mask inverted", "cost-on-padding", Plan(objective=Masked("predict_next", 1, inverted=True), **MASKED)
    ),
    Fault(
        "state never reset", "state-not-reset",
        Plan(batches=ConsecutiveWindows, around=lambda inner: Around(inner, never_reset, True)),
    ),
    Fault("clipped sound", "clipped-data", Plan(scale=clipped)),
    Fault("dead relu", "dead-units", Plan(model=spoilt(with_relu, "dense.bias", lambda b: b - 10.0))),
    Fault("weights x 20", "saturated-gates", Plan(model=spoilt(lstm, "lstm.w_input", lambda w: 20.0 * w))),
    Fault("forget bias -5", "vanishing-gradient", Plan(model=spoilt(lstm, "lstm.bias", forgetful))),
)  # fmt: skip
