"""Sound sample by sample: quantise a corpus, fit the linear path, train a :class:`SampleModel`, play on."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from rnnaudio.runs.codes.code_run import train_on_codes
from rnnaudio.runs.frames.config import from_dict, require_more_than_zero
from rnnaudio.runs.record import check_same, description, rate_of, scale_of
from rnnaudio.data import AudioCorpus
from rnnaudio.data.code_batches import CodeBatch, CodeStreams, fixed_code_windows
from rnnaudio.data.corpus import Scale, Split
from rnnaudio.data.quantize import Quantizer
from rnnaudio.data.sample_batches import Levels, fitted_quantizer, levels_of, stretches
from rnnaudio.diagnostics.baselines import linear_prediction
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.samples import SamplePlayer
from rnnaudio.generation.sampling import Course
from rnnaudio.nn import SampleModel, sample_model
from rnnaudio.objectives import NextSamples
from rnnaudio.readouts import Categorical, LevelReadout, LogisticMixture
from rnnaudio.training import Run, checkpoint
from rnnaudio.training.loop import set_model

BLOCK_SAMPLES = 1024  # played at a time, about
FIT_SAMPLES, FIT_STRETCHES = 16384, 48  # what the linear path is fitted on


@dataclass(frozen=True)
class SamplesConfig:
    """Everything that decides a run over samples."""

    frames: tuple[int, ...] = (128, 16)  # samples of a frame, of each tier but the lowest; the longest first
    window: int = 16  # samples that the lowest tier reads
    n_units: int = 256
    cell: Literal["gru", "lstm"] = "gru"
    readout: Literal["logistic", "categorical"] = "logistic"
    n_components: int = 4  # logistic only
    n_taps: int = 16  # of the linear path, logistic only; 0: none
    n_levels: int = 256
    law: Literal["mu", "linear"] = "mu"
    batch_size: int = 32
    n_steps: int = 512  # samples of a batch; the state goes on to the next
    learning_rate: float = 2e-3
    max_updates: int = 2400
    validate_every: int = 200
    n_valid: int = 4096  # samples of each stretch of validation
    valid_stretches: int = 24
    minutes: float = 15.0
    seed: int = 2016

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", tuple(self.frames))  # JSON has lists only
        require_more_than_zero(
            self, "window", "n_units", "n_components", "batch_size", "learning_rate", "max_updates", "validate_every",
            "valid_stretches", "minutes",
        )  # fmt: skip
        sizes = [*self.frames, 1]
        if not self.frames or any(a % b or a == b for a, b in pairwise(sizes)):
            raise RnnaudioError(f"frames are {self.frames}: each must hold a whole number of the next, two at least")
        for name in ("n_steps", "n_valid"):
            if getattr(self, name) < 1 or getattr(self, name) % self.frames[0]:
                got = f"{name} is {getattr(self, name)}"
                raise RnnaudioError(f"{got}: expected a whole number of frames of {self.frames[0]} samples")


@dataclass(frozen=True)
class Facts:
    """What is measured on the training split and kept with the run.

    peak: of the samples (:class:`Quantizer`). deviation: of the values -1 to 1 that levels stand for. taps: the linear
    path, the constant last; empty for none. unit: the deviation that it leaves.
    """

    peak: float
    deviation: float
    unit: float
    taps: tuple[float, ...] = ()


class Sampler(NamedTuple):
    """A trained run over samples."""

    config: SamplesConfig
    quantizer: Quantizer
    model: SampleModel
    record: dict[str, Any]

    @property
    def sample_rate_hz(self) -> int:
        return rate_of(self.record)

    @property
    def scale(self) -> Scale:
        return scale_of(self.record)

    @property
    def temperature(self) -> float:
        """As learnt."""
        return 1.0

    @property
    def limits(self) -> None:
        """Not measured by these runs."""

    def sound(
        self,
        seeds: Sequence[np.ndarray],
        n_samples: int,
        course: Course,
        *,
        seed: int | None = None,
        at_once: bool = False,
    ) -> Iterator[np.ndarray]:
        """Each seed (standardised samples, equally long) continued, without it: blocks (n_seeds, n) standardised.

        seed: of what is drawn; the run's own if None. at_once: a frame of the lowest tier at a time.
        """
        if n_samples < 1:
            raise RnnaudioError(f"asked for {n_samples} samples; expected 1 or more")
        heard = np.stack([self.quantizer.levels(one) for one in seeds])
        player = SamplePlayer(self.model, heard, course.at(0.0), seed=self.config.seed if seed is None else seed)
        frame = self.config.frames[-1]
        n_block = frame if at_once else max(frame, BLOCK_SAMPLES // frame * frame)
        for done in range(0, n_samples, n_block):
            levels = []
            for now in range(done, min(done + n_block, n_samples), frame):
                player.sampling = course.at(now / n_samples)
                levels.append(next(player))
            yield self.quantizer.samples(np.concatenate(levels, axis=1)[:, : n_samples - done])


def readout_of(config: SamplesConfig, unit: float) -> LevelReadout:
    """As the config names it."""
    if config.readout == "categorical":
        return Categorical(config.n_levels)
    return LogisticMixture(config.n_components, config.n_levels, unit)


def build_model(config: SamplesConfig, facts: Facts) -> SampleModel:
    """With its first weights."""
    return sample_model(
        config.frames,
        config.window,
        config.n_units,
        readout_of(config, facts.unit),
        rng=np.random.default_rng((config.seed, 0, 2)),
        cell=config.cell,
        deviation=facts.deviation,
        taps=np.array(facts.taps) if facts.taps else None,
    )


def measured_facts(levels: Levels, quantizer: Quantizer, n_taps: int) -> Facts:
    """Of a training split. RnnaudioError if it is all of one level."""
    values, share = quantizer.values(np.arange(quantizer.n_levels)), levels.counts / levels.counts.sum()
    mean = float(share @ values)
    deviation = float(np.sqrt(share @ (values - mean) ** 2))
    if not deviation:
        raise RnnaudioError("all training samples have one level: sound is needed")
    if not n_taps:
        return Facts(quantizer.peak, deviation, deviation)
    shortest = min(FIT_SAMPLES, max(map(len, levels.sequences)))
    parts = stretches(levels.sequences, shortest, FIT_STRETCHES)
    v = np.stack([quantizer.values(part) for part in parts], axis=1)
    found = linear_prediction([(v[:-1], v[1:])], n_frames=n_taps)
    if found is None:
        raise RnnaudioError(f"n_taps is {n_taps}: that many cannot be fitted, lower it")
    taps = np.append(found.weight[:, 0], found.bias)
    left = v[n_taps:, :, 0] - linear_path(v[:, :, 0], taps)
    return Facts(quantizer.peak, deviation, float(max(left.std(), 1e-6)), tuple(map(float, taps)))


def linear_path(values: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """(time, ...) -> (time - p, ...): what p taps and a constant foretell of each value but the first p."""
    p, n = len(taps) - 1, len(values)
    return np.asarray(taps[p] + sum(taps[k] * values[p - 1 - k : n - 1 - k] for k in range(p)))


class Task(NamedTuple):
    """What a run trains: a model with its first weights, batches, validation, and what is kept with the run."""

    model: SampleModel
    facts: Facts
    quantizer: Quantizer
    batches: CodeStreams
    validation: list[CodeBatch]


def prepare(config: SamplesConfig, corpus: AudioCorpus) -> Task:
    """Quantise and fit. RnnaudioError as the parts say."""
    quantizer = fitted_quantizer(corpus.train, config.n_levels, config.law)
    levels = levels_of(corpus.train, quantizer)
    facts = measured_facts(levels, quantizer, 0 if config.readout == "categorical" else config.n_taps)
    model = build_model(config, facts)
    n_context = model.n_context
    batches = CodeStreams(levels.sequences, config.n_steps, config.batch_size, config.seed, n_context)
    validation = windows_of(corpus.valid, quantizer, n_context, config.n_valid, config.valid_stretches)
    return Task(model, facts, quantizer, batches, validation)


def train_samples(config: SamplesConfig, corpus_path: Path, run_dir: Path, *, resume: bool = False) -> Run:
    """Prepare and train; all of it goes to ``run_dir``. RnnaudioError as the parts say."""
    path = checkpoint.path_to_write(run_dir, resume)
    with AudioCorpus.open(corpus_path) as corpus:
        task = prepare(config, corpus)
        about = {"samples": dataclasses.asdict(config), "facts": dataclasses.asdict(task.facts)}
        about["corpus"] = description(corpus)
    if path.exists():
        saved = checkpoint.load(path).record.get("config") or {}
        check_same(saved, about, {"samples": {"minutes"}, "corpus": {"path"}}, path)
    return train_on_codes(
        task.model,
        NextSamples(task.model.n_context),
        task.batches,
        task.validation,
        settings=config,
        run_dir=run_dir,
        resume=resume,
        config=about,
        unit="sample",
    )


def windows_of(split: Split, quantizer: Quantizer, n_context: int, n_steps: int, most: int) -> list[CodeBatch]:
    """One batch of stretches, spread over a split, each n_context samples that are heard and n_steps more."""
    parts = stretches(levels_of(split, quantizer).sequences, n_context + n_steps, most)
    return fixed_code_windows(parts, n_steps, len(parts), n_context)


def load_samples(run_dir: Path) -> Sampler:
    """A run with the parameters of its lowest validation loss. RnnaudioError if it is no run over samples."""
    path = checkpoint.path_in(run_dir)
    saved = checkpoint.load(path)
    try:
        config = from_dict(SamplesConfig, saved.record["config"]["samples"])
        facts = from_dict(Facts, saved.record["config"]["facts"])
    except (KeyError, TypeError) as error:
        raise RnnaudioError(f"{path} holds no run over samples ({error}); name a run of the experiment samples") from error
    model = build_model(config, facts)
    set_model(model, saved.group("best") or saved.group("model"), path)
    return Sampler(config, Quantizer(facts.peak, config.n_levels, config.law), model, saved.record)
