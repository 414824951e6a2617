"""Faults planted in runs on recordings or synthetic notes, by settings of `train` or by changes to the corpus."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import signal

from experiments.proofs.recorded_runs import RATE_HZ, Parts
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.config import from_dict, to_dict
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES

# Healthy runs, small enough for seconds each.
OVER_FRAMES = FramesConfig(
    model=ModelConfig(n_units=32, linear_skip=2), frame_size=40, n_steps=24, batch_size=16, optimizer="adam",
    learning_rate=2e-3, max_updates=3000, validate_every=25, patience=8,
)  # fmt: skip
OVER_CODES = CodesConfig(
    n_units=32, transpose=(), n_steps=16, batch_size=8, max_updates=240, validate_every=20
)
FAULTY_UPDATES = 300  # of runs with a fault that shows at once
RECIPES: dict[str, tuple[Any, Any]] = {"frames": (FRAMES, OVER_FRAMES), "codes": (CODES, OVER_CODES)}


def unchanged(parts: Parts) -> Parts:
    return parts


def half_silent(parts: Parts) -> Parts:
    """Append noise of equal length, 80 dB softer, to each training piece, like a recording of a silent room."""
    rng = np.random.default_rng(0)
    hushed = [np.append(a, 1e-4 * a.std() * rng.standard_normal(a.size)).astype(np.float32) for a in parts.train]
    return parts._replace(train=hushed)


def clipped(parts: Parts) -> Parts:
    """Clip all pieces at 1.5 standard deviations of the training pieces, as if recorded with too much gain."""
    limit = 1.5 * np.std(np.concatenate(parts.train))
    return Parts(*([np.clip(a, -limit, limit) for a in pieces] for pieces in parts))


def one_soft(parts: Parts) -> Parts:
    """Make the second training piece 30 dB softer."""
    return _second(parts, lambda a: 10.0**-1.5 * a)


def one_dull(parts: Parts) -> Parts:
    """Filter the second training piece with a low-pass at 800 Hz, as in a very old recording."""
    low = signal.ellip(8, 0.1, 80.0, 800.0, fs=RATE_HZ, output="sos")
    return _second(parts, lambda a: signal.sosfiltfilt(low, a))


def one_offset(parts: Parts) -> Parts:
    """Add a constant offset of 1.5 standard deviations to the second training piece."""
    return _second(parts, lambda a: a + 1.5 * a.std())


def a_second(parts: Parts) -> Parts:
    """Keep one second of training music."""
    return parts._replace(train=[parts.train[0][:RATE_HZ]])


def some_seconds(parts: Parts) -> Parts:
    """Keep eight seconds of training music, in equal parts from the beginnings of all pieces."""
    n = 8 * RATE_HZ // len(parts.train)
    return parts._replace(train=[a[:n] for a in parts.train])


def _second(parts: Parts, change: Callable[[np.ndarray], np.ndarray]) -> Parts:
    train = [change(a).astype(np.float32) if k == 1 else a for k, a in enumerate(parts.train)]
    return parts._replace(train=train)


@dataclass(frozen=True)
class Planted:
    """A fault: its name, the cause that a diagnosis should find ("" for a healthy run), and how to plant it.

    settings: values by path (``model.n_units``) that replace those of the healthy config. sound: function that returns
    the parts of a corpus with the fault. recipe: ``frames`` or ``codes``.
    """

    name: str
    cause: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    sound: Callable[[Parts], Parts] = unchanged
    recipe: str = "frames"

    def config(self, seed: int) -> Any:
        """Make the config of the run: the healthy settings with this seed, and the changes of the fault.

        A run with a fault has FAULTY_UPDATES updates at most, unless the fault sets that number itself.
        """
        healthy = RECIPES[self.recipe][1]
        short = {} if "max_updates" in self.settings or not self.cause else {"max_updates": FAULTY_UPDATES}
        return changed(dataclasses.replace(healthy, seed=seed), {**short, **self.settings})


def changed(config: Any, settings: Mapping[str, Any]) -> Any:
    """Return the config with new values for some settings, given by path: ``{"model.n_units": 8}``."""
    values = to_dict(config)
    for path, value in settings.items():
        *above, name = path.split(".")
        place: Any = values
        for part in above:
            place = place[part]
        place[name] = value
    return from_dict(type(config), values)


COSINE = {"schedule": "cosine", "max_updates": 800, "patience": 100}
HEALTHY = (
    Planted("healthy", ""),
    Planted("healthy, GRU", "", COSINE | {"model.cell": "gru", "model.options": {}}),
    Planted("healthy, RMSprop", "", COSINE | {"optimizer": "rmsprop", "learning_rate": 1e-3}),
    Planted("healthy", "", recipe="codes"),
    Planted("healthy, dropout", "", {"dropout": 0.4}, recipe="codes"),
    Planted("healthy, two layers", "", {"n_layers": 2, "batch_size": 12}, recipe="codes"),
)
LONG = {
    "frame_size": 100, "batch_size": 8, "batches": "consecutive", "learning_rate": 4e-3, "max_updates": 1000,
    "patience": 1000, "model.linear_skip": 0, "model.n_units": 128,
}  # fmt: skip
SOON = {"max_updates": 100, "validate_every": 5, "model.linear_skip": 0}
OF_FRAMES = (
    Planted("target is the input", "target-is-input", {"target_shift": 0}),
    Planted("RMSprop that does not divide", "unscaled-rmsprop", {"optimizer": "rmsprop_2016"}),
    Planted("cost on the last step", "last-step-cost", {"cost": "last_step"}),
    Planted("learning rate x 250", "learning-rate-too-high", {"learning_rate": 0.5}),
    Planted("clipped sound", "clipped-data", sound=clipped),
    Planted("a soft piece", "pieces-do-not-belong-together", sound=one_soft),
    Planted("a dull piece", "pieces-do-not-belong-together", sound=one_dull),
    Planted("half of it silent", "training-on-silence", sound=half_silent),
    Planted("a second of music", "too-little-music", sound=a_second),
    Planted("a large model for long", "overfitting", LONG, some_seconds),
    Planted("a short training", "limit-too-soon", SOON),
    Planted("two units", "no-better-than-linear", {"model.n_units": 2, "learning_rate": 2e-4}),
    Planted("noise at the input", "noise-drowns-prediction", {"model.input_noise": 2.0}),
)
OF_CODES = tuple(
    dataclasses.replace(fault, recipe="codes", settings=settings)
    for fault, settings in (
        (OF_FRAMES[4], {}),
        (OF_FRAMES[5], {}),
        (OF_FRAMES[7], {}),
        (OF_FRAMES[8], {}),
        (OF_FRAMES[9], {"n_units": 128, "max_updates": 600, "dropout": 0.0, "learning_rate": 5e-3}),
        (OF_FRAMES[10], {"minutes": 0.03, "validate_every": 3, "max_updates": 30000, "patience": 10**6}),
        (OF_FRAMES[12], {"input_noise": 5.0}),
    )
)
