"""Toy problems before a real run: does this model, by this rule, cost and batch, learn what is easy?

In 2016 none was tried, although a sine generator was there. Each rung trains a fresh model by the run's own settings
on sound in memory, at a constant learning rate, and is judged by what its strategy promises: the promised target, at
all steps, without noise. So a rung that is passed speaks for target, cost, rule and model together, and one that is
not is diagnosed with nothing but a sine to look at.
"""

import dataclasses
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.runs.frames.recipe import (
    BATCHERS,
    LoadedRun,
    annealing,
    built,
    in_decibel,
    pairs,
    power,
    start_from_linear_prediction,
)
from rnnaudio.runs.frames.build import build_judging, build_optimizer, build_strategy
from rnnaudio.runs.frames.config import TrainConfig
from rnnaudio.runs.diagnosis.diagnose import as_text, subject_of
from rnnaudio.data import Batch, Batches, RandomWindows, fixed_windows
from rnnaudio.data.corpus import ArrayPiece, Split
from rnnaudio.data.demo import embedded_recordings
from rnnaudio.diagnostics import linear_prediction
from rnnaudio.diagnostics.diagnose import diagnose
from rnnaudio.diagnostics.subject import Diagnosis
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Layer
from rnnaudio.objectives import STRATEGIES
from rnnaudio.training import Evaluation, Limits, Run, train
from rnnaudio.training.memory import check_memory
from rnnaudio.training.stopping import StoppingState

RATE_HZ = 16_000
LEAST_SECONDS, LEAST_FRAMES, LEAST_WINDOWS = 4.0, 320, 4  # of sound: the most of the three
PART = (3.0 - math.sqrt(5.0)) / 2.0  # of a period, 0.382: far from 0, 1/2 and 1, and irrational
MOST_STEPS = 64
VALIDATE_EVERY = 20
MOST_VALIDATION_BATCHES = 4
N_BASELINE_BATCHES = 8


class Rung(NamedTuple):
    """A toy problem.

    sound: (frame size, n_samples) -> audio to train on and to validate on; pass_mse: normalised MSE to reach, for the
    reason ``why``; max_updates: within so many; by_design: causes that are the problem's own, not the settings'.
    """

    name: str
    sound: Callable[[int, int], tuple[np.ndarray, np.ndarray]]
    pass_mse: float
    max_updates: int
    why: str
    by_design: tuple[str, ...] = ()


class Climbed(NamedTuple):
    """How a rung went. mse: normalised, of the promised target; diagnosis: None if it was passed."""

    rung: Rung
    mse: float
    n_updates: int
    seconds: float
    diagnosis: Diagnosis | None

    @property
    def passed(self) -> bool:
        return self.mse <= self.rung.pass_mse

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        reached = f"{in_decibel(self.mse)}, expected {in_decibel(self.rung.pass_mse)} or less"
        return f"{self.rung.name:10s} {verdict}: {reached} ({self.n_updates} updates, {self.seconds:.0f} s)"


# ---------------------------------------------------------------- sounds


def _near(frequency_hz: float, frame_size: int, part: float) -> float:
    """Cycles per sample near a frequency, such that a frame is some whole periods and ``part`` of one: then neither
    the last frame nor its negative is the next one, whatever the frame size. An irrational part never repeats itself,
    so that no stretch to validate on is one of those trained on."""
    return (round(frequency_hz * frame_size / RATE_HZ) + part) / frame_size


def _sine(frame_size: int, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    return _halves(_tone(440.0, frame_size, PART, n_samples))


def _two_sines(frame_size: int, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    return _halves(_tone(440.0, frame_size, PART, n_samples) + _tone(620.0, frame_size, PART**1.5, n_samples))


def _tone(frequency_hz: float, frame_size: int, part: float, n_samples: int) -> np.ndarray:
    return np.sin(2 * np.pi * _near(frequency_hz, frame_size, part) * np.arange(2 * n_samples))


def _chirp(frame_size: int, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """From 220 Hz up to 880 Hz and down again, once to train on and once more, in other phases, to validate on."""
    frequency_hz = 550.0 - 330.0 * np.cos(2 * np.pi * np.arange(2 * n_samples) / n_samples)
    return _halves(np.sin(2 * np.pi * np.cumsum(frequency_hz) / RATE_HZ))


def _clip(frame_size: int, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Two seconds of piano, again and again where a window is longer; the same to train and to validate on."""
    load: Any = next(recording.load for recording in embedded_recordings() if recording.split == "train")
    audio, rate = load()
    clip = np.resize(audio[rate : 3 * rate], max(n_samples // 2, 2 * rate))
    return clip, clip


def _halves(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.split(audio, 2)
    return first, second


TONES = "a linear predictor makes no error here, silence one of 0 dB"
FEW_SOUNDS = ("shifted-batch",)  # whatever the batches are, all windows of a tone sum up two of them

RUNGS = (
    Rung("sine", _sine, 0.1, 200, TONES, FEW_SOUNDS),
    Rung("two sines", _two_sines, 0.1, 300, TONES, FEW_SOUNDS),
    Rung(
        "chirp", _chirp, 0.4, 600,
        "one linear predictor for all pitches comes to -1.9 dB in frames of 200 samples", FEW_SOUNDS,
    ),
    Rung(
        "one clip", _clip, 0.25, 600,
        "it is judged by what it trains on, two seconds of piano to know by heart",
        (*FEW_SOUNDS, "validation-is-training"),
    ),
)  # fmt: skip


# ---------------------------------------------------------------- the ladder


def shortened(config: TrainConfig) -> TrainConfig:
    """The config with sequences of at most 64 steps after the burn-in: a ladder is to take minutes."""
    return dataclasses.replace(config, n_steps=min(config.n_steps, MOST_STEPS + config.burn_in))


@dataclass(frozen=True)
class Reached:
    """Stop at a loss; the best parameters are those of the lowest one."""

    loss: float

    def initial(self) -> StoppingState:
        return StoppingState()

    def update(self, state: StoppingState, loss: float) -> StoppingState:
        """The state after one more validation."""
        improved = loss < state.best_loss
        should_stop = loss <= self.loss
        return state._replace(
            epoch=state.epoch + 1,
            best_loss=min(loss, state.best_loss),
            improved=improved,
            should_stop=should_stop,
            reason="the toy problem is solved" if should_stop else "",
        )


def climb(config: TrainConfig, rungs: tuple[Rung, ...] = RUNGS) -> Iterator[Climbed]:
    """Each rung in turn, up to the first that fails; that one is diagnosed.

    RnnaudioError for settings that cannot be built, and for a step that does not fit into the memory.
    """
    config = shortened(config)
    options = {"n_steps": config.n_steps, "batch_size": config.batch_size, "segment_steps": config.segment_steps}
    check_memory(built(config), build_strategy(config), build_optimizer(config), **options)
    for rung in rungs:
        print(f"{rung.name}: {rung.max_updates} updates at most ...", file=sys.stderr, flush=True)
        climbed = attempt(config, rung)
        yield climbed
        if not climbed.passed:
            return


def attempt(config: TrainConfig, rung: Rung) -> Climbed:
    """Train a fresh model on one toy problem, judge it, and diagnose it if it failed."""
    to_train, to_validate = _splits(config, rung)
    sizes = {"frame_size": config.frame_size, "n_steps": config.n_steps, "batch_size": config.batch_size}
    batches: Batches = BATCHERS[config.batches](to_train, seed=config.seed, **sizes)
    validation = spread(fixed_windows(to_validate, **sizes), MOST_VALIDATION_BATCHES)
    model, strategy = built(config), build_strategy(config)
    anywhere = RandomWindows(to_train, seed=config.seed, **sizes)
    some = pairs(strategy, map(anywhere.batch, range(N_BASELINE_BATCHES)))
    start_from_linear_prediction(model, linear_prediction(some, n_frames=config.model.linear_skip or 2))
    run = _trained(config, rung, model, batches, validation)
    judge = Evaluation(model, STRATEGIES[config.strategy], config.segment_steps)
    climbed = Climbed(rung, judge(validation)["normalised_mse"], run.n_updates, run.seconds, None)
    if climbed.passed:
        return climbed
    best_loss = run.stopping.best_loss
    record = {
        "config": {"validation_power": power(target for _, target in pairs(strategy, validation))},
        "stopping": {"best_loss": best_loss if math.isfinite(best_loss) else None},
        "history": run.history,
        "n_updates": run.n_updates,
    }
    subject = subject_of(LoadedRun(config, model, record), batches, validation, to_train.pieces)
    found = diagnose(subject)
    causes = tuple(cause for cause in found.causes if cause.name not in rung.by_design)
    return climbed._replace(diagnosis=dataclasses.replace(found, causes=causes))


def _trained(config: TrainConfig, rung: Rung, model: Layer, batches: Batches, validation: list[Batch]) -> Run:
    with _temporary_folder() as folder:
        run = train(
            model,
            build_strategy(config),
            batches,
            validation,
            optimizer=build_optimizer(config),
            stopping=Reached(rung.pass_mse),
            run_dir=Path(folder),
            limits=Limits(rung.max_updates, validate_every=VALIDATE_EVERY),
            seed=config.seed,
            segment_steps=config.segment_steps,
            judging=build_judging(config),
            on_update=annealing(model, config),
            on_validation=lambda row: None,
        )
    if run.reason.startswith("interrupted"):
        raise KeyboardInterrupt
    return run


def _temporary_folder() -> Any:
    try:
        return tempfile.TemporaryDirectory(prefix="rnnaudio-preflight-")
    except OSError as error:
        raise RnnaudioError(f"cannot make a temporary folder: {error.strerror}; name another with TMPDIR") from error


def _splits(config: TrainConfig, rung: Rung) -> tuple[Split, Split]:
    """The sound of a rung, scaled as the run's is."""
    window = (config.n_steps + 1) * config.frame_size + config.batch_size
    least = (round(LEAST_SECONDS * RATE_HZ), LEAST_FRAMES * config.frame_size, LEAST_WINDOWS * window)
    trained, validated = rung.sound(config.frame_size, max(least))
    mean, std = trained.mean(), trained.std()
    if config.scaling == "min_max_2016":
        mean, std = (trained.max() + trained.min()) / 2.0, np.ptp(trained) / 2.0
    sounds = {"train": trained, "valid": validated}
    pieces = {name: ArrayPiece(((audio - mean) / std).astype(np.float32)) for name, audio in sounds.items()}
    return Split("train", (pieces["train"],), RATE_HZ), Split("valid", (pieces["valid"],), RATE_HZ)


def spread(batches: Sequence[Batch], n: int) -> list[Batch]:
    """At most ``n`` of the batches, spread evenly over them."""
    return [batches[k * len(batches) // n] for k in range(n)] if len(batches) > n else list(batches)


# ---------------------------------------------------------------- in words


def preflight(config: TrainConfig, say: Callable[[str], None] = print) -> bool:
    """Climb the ladder and tell what happens; whether all of it was passed."""
    say("preflight: toy problems with these settings")
    for climbed in climb(config):
        say(str(climbed))
        if climbed.diagnosis is not None:
            say(f"needed because: {climbed.rung.why}\n{as_text(climbed.diagnosis, config)}")
            return False
    say("preflight passed")
    return True


def require(config: TrainConfig) -> None:
    """RnnaudioError, after all has been told, unless the settings pass."""
    if not preflight(config):
        raise RnnaudioError("preflight failed, so nothing was trained: change what it names, or leave out --preflight")
