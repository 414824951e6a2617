"""Music sample by sample with SampleRNN, a model in tiers of frames: bits per sample, and survival of its sound.

    rnnaudio experiment run samples [--minutes 15] [--tiers 3] [--readout logistic] [--law mu] [--n-taps 16] [--smoke]

Trains on the corpus, at the corpus's sample rate, and reports bits per sample on stretches of unseen works, next to
those of

    order 0              the histogram of levels in training
    linear prediction    from 16 past values, by least squares on training, with fitted logistic noise

Then it times the generation of one stream, continues eight unseen primes of a second each, and measures how long the
sound stays alive. The same command continues an interrupted run.
"""

import dataclasses
import time
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import scipy.optimize
import scipy.special

from experiments.shared.on_corpus import CORPUS, complete, full_or_tiny
from experiments.shared.options import Figures, Named
from experiments.shared.records import record
from rnnaudio import plots
from rnnaudio.audio import write_wav
from rnnaudio.data import AudioCorpus
from rnnaudio.data.sample_batches import Levels, levels_of, stretches
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.samples import SamplePlayer
from rnnaudio.generation.sampling import Sampling
from rnnaudio.objectives import NextSamples
from rnnaudio.runs.config import require_more_than_zero
from rnnaudio.runs.continuing import SamplingOptions
from rnnaudio.runs.fit import fit
from rnnaudio.runs.judging import judge
from rnnaudio.runs.load import load
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.samples.model import Facts, linear_path, measured_facts, windows_of
from rnnaudio.runs.samples.recipe import SAMPLES, SamplesRun
from rnnaudio.training import Evaluation, Run

FRAMES = {2: (16,), 3: (128, 16)}
SEGMENT = 2048  # samples of a test stretch that are computed at once
N_TAPS = 16
SHOWN_HZ = 4000.0


@dataclasses.dataclass(frozen=True)
class Options(Named):
    """Options of SampleRNN on the corpus."""

    stem: ClassVar[str] = "samples"
    always_named: ClassVar[tuple[str, ...]] = ("tiers", "readout")
    corpus: Path = CORPUS
    run_dir: Path | None = None  # default: runs/samples-TIERS-READOUT
    minutes: float = 15.0  # of training, at most
    updates: int = 3200  # at most; the learning rate falls over so many
    tiers: Literal[2, 3] = 3
    readout: Literal["logistic", "categorical"] = "logistic"
    law: Literal["mu", "linear"] = "mu"  # of the 256 levels
    n_taps: int = N_TAPS  # of the linear path, logistic only; 0: none
    temperature: float = 1.0
    n_seeds: int = 8
    seconds: float = 10.0  # generated from each
    test_stretches: int = 48
    test_samples: int = 32768  # of each
    n_units: int = 256
    batch_size: int = 32
    smoke: bool = False  # a few updates of a small model on the piano in the package; nothing is recorded

    def __post_init__(self) -> None:
        require_more_than_zero(self, "updates", "temperature", "n_seeds", "seconds", "test_stretches", "test_samples")
        if self.n_taps < 0:
            raise RnnaudioError(f"n_taps is {self.n_taps}: expected 0 or more")
        longest = FRAMES[self.tiers][0]
        if self.test_samples % longest:
            raise RnnaudioError(f"test_samples is {self.test_samples}: expected a whole number of frames of {longest}")


TINY: Figures = {
    "updates": 4,
    "n_seeds": 1,
    "seconds": 1.0,
    "test_stretches": 2,
    "test_samples": 2048,
    "n_units": 8,
    "batch_size": 4,
}


def main() -> None:
    """Train, measure, generate, record."""
    full_or_tiny(Options, TINY, run, keep)


def keep(options: Options, figures: Figures) -> None:
    """Record the figures of a full run."""
    record(options.name, figures)


def run(options: Options, corpus: AudioCorpus) -> Figures:
    """Train, measure and generate; returns the figures. Sounds go to the run's folder."""
    folder, config = options.folder, config_of(options)
    done = complete(fit(SAMPLES, config, corpus.path, folder, resume=True))
    sampler = load(folder, SamplesRun)
    figures = {"settings": dataclasses.asdict(config), "training": training_figures(done, config)}
    figures["bits_a_sample"] = bits(sampler, corpus, options)
    plots.learning_curve(done.history, folder / "learning_curve.png", quantity="bits a sample")
    figures["speed"] = {"generated_samples_per_second": speed(sampler, corpus)}
    figures["played"] = played(sampler, corpus, options, folder)
    for name in ("training", "bits_a_sample", "speed", "played"):
        print(f"{name}: {figures[name]}", flush=True)
    return figures


def config_of(options: Options) -> SamplesConfig:
    """The config of the run that the options describe."""
    small: Figures = {"n_steps": 256, "n_valid": 512, "valid_stretches": 4, "validate_every": 2}
    return SamplesConfig(
        frames=FRAMES[options.tiers],
        readout=options.readout,
        law=options.law,
        n_taps=options.n_taps,
        n_units=options.n_units,
        batch_size=options.batch_size,
        max_updates=options.updates,
        minutes=options.minutes,
        **(small if options.smoke else {}),
    )


def training_figures(done: Run, config: SamplesConfig) -> Figures:
    """The figures of a training run that are recorded."""
    n = done.n_updates * config.batch_size * config.n_steps
    return {
        "updates": done.n_updates,
        "minutes": round(done.seconds / 60.0, 2),
        "epochs": round(done.history[-1]["epoch"], 2),
        "samples_per_second": round(n / max(done.seconds, 1e-9)),
        "valid_bits": {str(row["updates"]): round(row["valid"], 3) for row in done.history},
        "ended": done.reason,
    }


def bits(sampler: SamplesRun, corpus: AudioCorpus, options: Options) -> dict[str, float]:
    """Bits per sample of the model and both baselines on the same stretches of the test split.

    The first samples of a stretch serve as context only.
    """
    quantizer, model = sampler.quantizer, sampler.model
    segment = min(SEGMENT, options.test_samples)
    objective = NextSamples(model.n_context)
    batches = windows_of(corpus.test, quantizer, model.n_context, options.test_samples, options.test_stretches)
    ours = Evaluation(model, objective, segment)(batches)["bits"]
    train = levels_of(corpus.train, quantizer)
    smoothed = (train.counts + 1.0) / (train.counts + 1.0).sum()
    predicted = np.concatenate([batch.codes[model.n_context :].ravel() for batch in batches])
    facts = measured_facts(train, quantizer, N_TAPS)
    levels = np.concatenate([batch.codes[model.n_context - N_TAPS :, :, 0] for batch in batches], axis=1)
    values = {
        "order 0": -np.mean(np.log2(smoothed[predicted])),
        "linear prediction": linear_bits(levels, facts, fitted_scale(train, facts, sampler), sampler),
        "model": ours,
    }
    return {name: round(float(value), 3) for name, value in values.items()}


def fitted_scale(train: Levels, facts: Facts, sampler: SamplesRun) -> float:
    """Scale of the logistic noise around the linear prediction that is most likely on stretches of the training data.

    It is found to 1 %, from a twentieth to twice ``facts.unit``, in the unit of the quantised values (-1 to 1).
    """
    length = min(4096, max(map(len, train.sequences)))
    some = np.stack([part[:, 0] for part in stretches(train.sequences, length, 48)], axis=1)

    def cost(log_scale: float) -> float:
        return linear_bits(some, facts, float(np.exp(log_scale)), sampler)

    bounds = np.log(facts.unit / 20.0), np.log(2.0 * facts.unit)
    found = scipy.optimize.minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-2})
    return float(np.exp(found.x))


def linear_bits(levels: np.ndarray, facts: Facts, scale: float, sampler: SamplesRun) -> float:
    """Mean bits per sample of levels (time, batch), under logistic noise around the linear prediction.

    The first N_TAPS samples are context only.
    """
    n_levels = sampler.quantizer.n_levels
    values = sampler.quantizer.values(levels)
    centre, levels, d = linear_path(values, np.array(facts.taps)), levels[N_TAPS:], 1.0 / (n_levels - 1)
    a, b = ((values[N_TAPS:] + edge - centre) / scale for edge in (-d, d))
    below = np.where(levels > 0, scipy.special.log_expit(-a), 0.0)
    above = np.where(levels < n_levels - 1, scipy.special.log_expit(b), 0.0)
    is_inner = (levels > 0) & (levels < n_levels - 1)
    return float(-np.mean(below + above + is_inner * np.log(-np.expm1(-2.0 * d / scale))) / np.log(2.0))


def speed(sampler: SamplesRun, corpus: AudioCorpus) -> int:
    """Samples generated per second by one stream: median of five runs of 1600 samples."""
    prime = sampler.quantizer.levels(corpus.test.first(1.0))[None]
    player = SamplePlayer(sampler.model, prime, Sampling())
    turns = []
    for _ in range(5):
        started = time.perf_counter()
        player.levels(1600)
        turns.append(1600 / (time.perf_counter() - started))
    return round(float(np.median(turns)))


def played(sampler: SamplesRun, corpus: AudioCorpus, options: Options, folder: Path) -> Figures:
    """Seconds that the continuation of each prime stays alive, and how it ends; sounds and a plot go to the folder."""
    rate = corpus.sample_rate_hz
    seeds = [corpus.test.prime_at(k, 1.0) for k in range(options.n_seeds)]
    lives, sounds = [], {}
    sampling = SamplingOptions((options.temperature,))
    blocks = sampler.blocks(seeds, round(options.seconds * rate), sampling, at_once=False)
    for k, audio in enumerate(np.concatenate(list(blocks), axis=1)):
        lives.append(judge(corpus.restore(audio), corpus, "", corpus.restore(seeds[k])))
        sounds[f"seed {k + 1}"] = corpus.restore(np.concatenate([seeds[k], audio]))
        write_wav(folder / f"played-{k + 1}.wav", sounds[f"seed {k + 1}"], rate)
    title, path = "A second of unseen music, then what is played", folder / "played.png"
    plots.spectrogram_sheet(sounds, rate, path, title=title, highest_hz=SHOWN_HZ, prime_seconds=1.0)
    ends = [life.reason.split(" (")[0] or "alive to the end" for life in lives]
    return {
        "alive_seconds": sorted(round(life.seconds, 2) for life in lives),
        "ends": {end: ends.count(end) for end in sorted(set(ends))},
    }
