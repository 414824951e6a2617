"""The beat of free runs: a model of codes with and without frames from whole beats back (long-term prediction).

    rnnaudio experiment run beat [--minutes 15] [--seeds 2016 2017] [--parts no body head both] [--smoke]

Each part is a value of the setting ``long_term`` of recipe ``codes``. Each is trained with each seed, and continues
the same validation primes of eight seconds. Columns:

    bits 1, 2 validation loss of the last parameters, in bits a frame, for the first and second code of a frame
    beat      highest autocorrelation of the onset strength at lags of .2 to 2 s (rnnaudio.metrics.music), median
    loops     highest autocorrelation of the log-mel spectrogram at lags of .25 to 8 s (most_looped), median
    repeats   share of frames whose first code is that of the frame before, mean

A loop also has a high ``beat``: read the columns together, and compare them with those of the true continuations
(``music``). The same command continues an interrupted run.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from experiments.shared.on_corpus import CORPUS, complete, full_or_tiny
from experiments.shared.options import Figures, Named, require_one_or_more
from experiments.shared.records import record
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import SamplingSchedule
from rnnaudio.metrics.music import KEY_SECONDS, structure
from rnnaudio.metrics.yardstick import most_looped
from rnnaudio.runs.codes.config import PRIME_SECONDS_OF_A_BEAT, CodesConfig
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.codes.run import CodesRun, loaded
from rnnaudio.runs.fit import fit
from rnnaudio.runs.judging import prime_and_continuation
from rnnaudio.runs.load import saved_recipe
from rnnaudio.runs.record import SavedRun

PARTS = ("no", "body", "head", "both")
COLUMNS = ("bits 1", "bits 2", "beat", "loops", "repeats")
LEAST_SECONDS = 2 * KEY_SECONDS  # of sound, for its structure
SAMPLING_SEED = 1
TINY = CodesConfig(
    n_components=8, n_codes=12, n_stages=2, n_units=8, n_steps=16, batch_size=4, max_updates=4, validate_every=2
)


@dataclasses.dataclass(frozen=True)
class Options(Named):
    """Options of the study of the beat."""

    stem: ClassVar[str] = "beat"
    corpus: Path = CORPUS
    run_dir: Path | None = None  # default: runs/beat, and what differs from the defaults
    minutes: float = 15.0  # of training of each model, at most
    updates: int = 0  # of each model, at most; 0: chosen from the corpus
    parts: tuple[str, ...] = PARTS  # values of long_term
    lag_dropout: float = 0.0
    transpose: tuple[int, ...] = CodesConfig().transpose
    n_codes: int = 0  # of each stage; 0: chosen from the corpus
    n_units: int = 0  # 0: chosen from the corpus
    seeds: tuple[int, ...] = (2016, 2017)
    temperatures: tuple[float, ...] = (1.0, 1.1)
    n_primes: int = 8
    seconds: float = 60.0  # generated from each
    smoke: bool = False  # two parts, four updates, the piano in the package; nothing is recorded

    def __post_init__(self) -> None:
        require_one_or_more(n_primes=self.n_primes, parts=len(self.parts), seeds=len(self.seeds))
        if unknown := [part for part in self.parts if part not in PARTS]:
            raise RnnaudioError(f"parts has {unknown[0]!r}; expected some of {', '.join(PARTS)}")
        if not LEAST_SECONDS <= self.seconds < float("inf"):
            raise RnnaudioError(f"seconds is {self.seconds}; expected {LEAST_SECONDS:g} or more, and finite")

    def config(self, part: str, seed: int) -> CodesConfig:
        """The config of a part, trained with a seed; ``lag_dropout`` applies to parts with long-term prediction."""
        own: Figures = {"long_term": part, "lag_dropout": self.lag_dropout if part != "no" else 0.0, "seed": seed}
        if self.smoke:
            return dataclasses.replace(TINY, transpose=(), **own)
        return CodesConfig(
            minutes=self.minutes, max_updates=self.updates, transpose=self.transpose, n_codes=self.n_codes,
            n_units=self.n_units, patience=0, **own,
        )  # fmt: skip


def main() -> None:
    """Train, generate, measure, print a table, record."""
    tiny = {"seeds": (2016,), "parts": ("no", "body"), "temperatures": (1.0,), "n_primes": 1, "seconds": LEAST_SECONDS}
    full_or_tiny(Options, tiny, run, lambda options, figures: record(options.name, figures))


def run(options: Options, corpus: AudioCorpus) -> Figures:
    """Train and measure each part with each seed; returns the settings and the rows of the table."""
    stretches = [
        prime_and_continuation(corpus.valid, k, PRIME_SECONDS_OF_A_BEAT, options.seconds)
        for k in range(options.n_primes)
    ]
    rows: dict[str, Figures] = {}
    for seed in options.seeds:
        for part in options.parts:
            folder = options.folder / f"{part}-{seed}"
            complete(fit(CODES, options.config(part, seed), corpus.path, folder, resume=True))
            trained = loaded(saved_recipe(folder)[1], SavedRun.read(folder), "model")
            rows |= rows_of(part, seed, trained, corpus, stretches, options)
            print(table(rows), flush=True)
    return {"settings": options.settings, "rows": rows}


def rows_of(
    part: str, seed: int, trained: CodesRun, corpus: AudioCorpus, stretches: Sequence[np.ndarray], options: Options
) -> dict[str, Figures]:
    """The rows of a part, one for each temperature, and a row of the true continuations.

    The codes of the true continuations are those of the codec of ``trained``. stretches: a prime and its true
    continuation, together (n,) standardised samples each.
    """
    rate, last = corpus.sample_rate_hz, trained.history[-1]
    n_prime, n_samples = round(PRIME_SECONDS_OF_A_BEAT * rate), round(options.seconds * rate)
    true = [stretch[n_prime:] for stretch in stretches]
    rows = {f"music ({seed})": measured([trained.codec.encode(audio) for audio in true], true, corpus)}
    names = {"valid_bits_1": "bits 1", "valid_bits_2": "bits 2"} if "valid_bits_1" in last else {"valid": "bits 1"}
    bits: Figures = {"updates": last["updates"]} | {short: round(last[name], 3) for name, short in names.items()}
    for temperature in options.temperatures:
        schedule = SamplingSchedule((temperature,))
        primes = [stretch[:n_prime] for stretch in stretches]
        blocks = list(trained.coded_blocks(primes, n_samples, schedule, seed=SAMPLING_SEED))
        codes = np.concatenate([block.codes for block in blocks], axis=1)
        audio = np.concatenate([block.audio for block in blocks], axis=1)
        rows[f"{part} ({seed}), T {temperature:g}"] = bits | measured(list(codes), list(audio), corpus)
    return rows


def measured(codes: Sequence[np.ndarray], audio: Sequence[np.ndarray], corpus: AudioCorpus) -> Figures:
    """Beat, loops and repeats of sounds: codes (n_frames, n_stages) and standardised samples (n,) of each.

    Beat and loops are medians over the sounds of 20 s or more, None if there are none; repeats is a mean over all.
    """
    rate = corpus.sample_rate_hz
    long = [np.asarray(corpus.restore(one), np.float64) for one in audio if len(one) >= LEAST_SECONDS * rate]
    beats, loops = [structure(one, rate).beat for one in long], [most_looped(one, rate) for one in long]
    repeats = np.mean([np.mean(one[1:, 0] == one[:-1, 0]) for one in codes])
    return {"beat": median(beats), "loops": median(loops), "repeats": round(float(repeats), 3)}


def median(values: Sequence[float]) -> float | None:
    """Median to three decimals; None if there are no values."""
    return round(float(np.median(values)), 3) if values else None


def table(rows: dict[str, Figures]) -> str:
    """The rows as a Markdown table."""
    lines = ["| run | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(shown(row.get(column)) for column in COLUMNS) + " |")
    return "\n".join(lines)


def shown(value: float | None) -> str:
    """Format a figure with three decimals; "" for None."""
    return "" if value is None else f"{value:.3f}"
