"""Runs sample by sample: quantise a corpus, fit the linear path, train a :class:`SampleModel`, play on."""

import dataclasses
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.data.code_batches import CodeStreams
from rnnaudio.data.quantize import Quantizer
from rnnaudio.data.sample_batches import fitted_quantizer, levels_of
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.samples import SamplePlayer
from rnnaudio.nn import SampleModel
from rnnaudio.objectives import NextSamples
from rnnaudio.runs.bits import bits_by_counts, fitting
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.continuing import LoadedRun, SamplingOptions
from rnnaudio.runs.recipe import Prepared, Recipe
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.samples.model import Facts, build_model, measured_facts, windows_of
from rnnaudio.runs.toys import WAVES
from rnnaudio.training.loop import set_model

BLOCK_SAMPLES = 1024  # played at a time, about


@dataclass(frozen=True)
class SamplesRun(LoadedRun):
    """A trained run over samples."""

    config: SamplesConfig
    model: SampleModel
    quantizer: Quantizer

    @property
    def temperature(self) -> float:
        """1, as learnt."""
        return 1.0

    def blocks(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions, *, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Continue each prime; at_once: a frame of the lowest tier at a time."""
        if n_samples < 1:
            raise RnnaudioError(f"asked for {n_samples} samples; expected 1 or more")
        course, seed = sampling.course(self.temperature), self.config.seed if sampling.seed is None else sampling.seed
        context = np.stack([self.quantizer.levels(prime) for prime in primes])
        player = SamplePlayer(self.model, context, course.at(0.0), seed=seed)
        frame = self.config.frames[-1]
        n_block = frame if at_once else max(frame, BLOCK_SAMPLES // frame * frame)
        for done in range(0, n_samples, n_block):
            levels = []
            for now in range(done, min(done + n_block, n_samples), frame):
                player.sampling = course.at(now / n_samples)
                levels.append(next(player))
            yield self.quantizer.samples(np.concatenate(levels, axis=1)[:, : n_samples - done])


class SamplesRecipe(Recipe[SamplesConfig]):
    """A model in tiers of frames that samples one sample at a time (SampleRNN)."""

    name = "samples"
    key = "samples"
    Config = SamplesConfig
    quantity = "bits a sample"
    seconds = 5.0
    problems = WAVES

    def may_change(self, config: SamplesConfig) -> Set[str]:
        return {"minutes", "preflight"}

    def in_words(self, loss: float) -> str:
        return f"{loss:.3f} bits a sample"

    def prepare(self, config: SamplesConfig, corpus: AudioCorpus, run_dir: Path | None = None) -> Prepared:
        """Quantise the music and fit the linear path. RnnaudioError as the parts say."""
        quantizer = fitted_quantizer(corpus.train, config.n_levels, config.law)
        levels = levels_of(corpus.train, quantizer)
        facts = measured_facts(levels, quantizer, 0 if config.readout == "categorical" else config.n_taps)
        model = build_model(config, facts)
        n_context = model.n_context
        batches = CodeStreams(levels.sequences, config.n_steps, config.batch_size, config.seed, n_context)
        validation = windows_of(corpus.valid, quantizer, n_context, config.n_valid, config.valid_stretches)
        return Prepared(
            model,
            NextSamples(n_context),
            batches,
            validation,
            fitting(config),
            corpus.train.pieces,
            bits_by_counts(levels.sequences, validation, n_context),
            {"facts": dataclasses.asdict(facts)},
        )

    def load(self, config: SamplesConfig, saved: SavedRun) -> SamplesRun:
        facts = from_dict(Facts, saved.settings["facts"])
        model = build_model(config, facts)
        set_model(model, saved.parameters(), saved.path)
        return SamplesRun(config, model, saved.record, quantizer_of(config, facts))


SAMPLES = SamplesRecipe()


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
