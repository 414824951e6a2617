"""Parts of runs with planted faults: sounds, faulty batchers, faulty models."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import signal

from rnnaudio.engine import tensor
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
from rnnaudio.objectives import Outcome, Strategy

RATE_HZ = 8000
N_HARMONICS = 3
Arrays = list[np.ndarray]


class Size(NamedTuple):
    """Sizes of a run: samples per frame, units, steps and items per batch, seconds per piece, and updates."""

    frame: int
    units: int
    steps: int
    items: int
    seconds: float
    updates: int


# ---------------------------------------------------------------- sound


def music(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Decaying notes of the tempered scale at random times, five a second on average, and soft noise.

    Each note has three harmonics, the k-th with amplitude 1 / k^2. Fundamentals are the 30 semitones from 55 Hz. The
    noise is white, with a standard deviation of .02. Returns (n,) float64 at 8 kHz; peaks may exceed 1.
    """
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
    """White noise filtered by four resonances between 100 and 1000 Hz, only partly predictable.

        x_t = (1 - r) e_t + 2 r cos(w) x_{t-1} - r^2 x_{t-2},   e ~ N(0, 1),   r = .995,   w = 2 pi pitch / rate

    The result is the sum of x over the four pitches, each with its own noise: (n,) float64 at 8 kHz.
    """
    n, total = int(seconds * RATE_HZ), 0.0
    for pitch_hz in (110.0, 230.0, 420.0, 870.0):
        w, r = 2.0 * np.pi * pitch_hz / RATE_HZ, 0.995
        resonance = signal.lfilter([1.0 - r], [1.0, -2.0 * r * np.cos(w), r**2], rng.standard_normal(n + RATE_HZ))
        total = total + resonance[RATE_HZ:]
    return np.asarray(total)


def standardised(train: Arrays, valid: Arrays) -> tuple[Arrays, Arrays]:
    """Scale both splits so that the training pieces have mean 0 and standard deviation 1."""
    mean, std = np.mean(np.concatenate(train)), np.std(np.concatenate(train))
    return [(a - mean) / std for a in train], [(a - mean) / std for a in valid]


def min_max_with_click(train: Arrays, valid: Arrays) -> tuple[Arrays, Arrays]:
    """Set one training sample to 15 standard deviations, then scale so that the training samples span -1 to 1.

    The sample is in the first training piece, which is changed in place. Validation is scaled in the same way.
    """
    train[0][len(train[0]) // 3] = 15.0 * np.std(train[0])
    low, high = min(a.min() for a in train), max(a.max() for a in train)
    scaled, also = ([2.0 * (a - low) / (high - low) - 1.0 for a in part] for part in (train, valid))
    return scaled, also


def clipped(train: Arrays, valid: Arrays) -> tuple[Arrays, Arrays]:
    """Standardise both splits, clip them at 1.2 standard deviations, then standardise again."""
    train, valid = standardised(train, valid)
    return standardised([np.clip(a, -1.2, 1.2) for a in train], [np.clip(a, -1.2, 1.2) for a in valid])


# ---------------------------------------------------------------- batches


class Padded(NamedTuple):
    frames: np.ndarray
    resets: np.ndarray
    mask: np.ndarray  # (steps, items): 1 where a step counts


class Around:
    """A batcher that applies a change to the batches of another one."""

    def __init__(self, inner: Any, change: Callable[[Any, int], Any], carries_state: bool = False):
        self._inner, self._change = inner, change
        self.carries_state, self.batches_per_epoch = carries_state, inner.batches_per_epoch

    def batch(self, index: int) -> Any:
        return self._change(self._inner.batch(index), index)


def padded(batch: Any, index: int) -> Padded:
    """Let each item of a batch end after a quarter of its steps or later: zeros follow, where the mask is 0."""
    n, items = len(batch.frames) - 1, batch.frames.shape[1]
    lengths = np.random.default_rng(index).integers(n // 4, n + 1, items)
    mask = np.arange(1, n + 1)[:, None] <= lengths
    frames = batch.frames.copy()
    frames[1:][~mask] = 0.0
    return Padded(frames, batch.resets, mask.astype("float32"))


def swapped(batch: Any, index: int) -> Any:
    """Plant swapped axes: store the frames batch-major, and read them as if they were time-major."""
    return batch._replace(frames=np.ascontiguousarray(batch.frames.swapaxes(0, 1)).reshape(batch.frames.shape))


def never_reset(batch: Any, index: int) -> Any:
    return batch._replace(resets=np.zeros_like(batch.resets))


@dataclass(frozen=True)
class Masked(Strategy):
    """Prediction of the next frame, scored where the mask is 1; if ``inverted``, where it is 0."""

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
        terms = super().outcome(_Fixed(y), [frames], state, context).terms
        return Outcome(mean_squared_error(y, target, 1.0 - mask if self.inverted else mask), terms, state)


class _Fixed(Layer):
    """A layer that outputs ``y`` for any input."""

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
    """A healthy model: an LSTM in parallel with a linear prediction."""
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
    """Set the forget bias to -5 instead of 1; the blocks of the bias are those of i, f, g, o."""
    return bias - np.repeat([0.0, 6.0, 0.0, 0.0], len(bias) // 4)


def spoilt(build: Build, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Build:
    """Make a builder of models in which the parameters whose names end in ``name`` are changed."""

    def built(size: Size, rng: np.random.Generator) -> Layer:
        model = build(size, rng)
        values = model.get_values()
        chosen = [path for path in values if path.endswith(name)]
        assert chosen, name
        model.set_values(values | {path: change(values[path]) for path in chosen})
        return model

    return built
