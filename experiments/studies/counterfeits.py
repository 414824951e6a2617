"""Test of the measure of survival: real continuations of music against counterfeits, per corpus.

    rnnaudio experiment run counterfeits --recordings DIR [--strings FILE.h5]

Each recording of 40 s or more is a corpus of its own: limits from its first 60 %, excerpts from the rest. Shorter
recordings, of 4 s or more, are judged by the limits of all others. Speech (files named as in LibriSpeech,
speaker-chapter-number), the piano in the package, and all recordings together are judged in three folds, each by the
limits of two thirds of the pieces. Further corpora are one piece and one minute alone, strings, and eight hours made
by rule. The cost of calibration is measured. The first second of every excerpt is the prime; the continuation is the
real one, or a counterfeit made from it. Finally, models are trained on some of these corpora for a few updates, and
the sounds that they generate are judged. The goals: 95 % of the real continuations are alive; of each kind of
counterfeit that a detector should find, 95 % are found dead within 3 s, and 90 % for the right reason.
"""

import dataclasses
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import tyro

from experiments.shared.records import record
from experiments.studies.counterfeit_corpora import Corpus, corpora
from experiments.studies.counterfeit_models import confusion, played_by_models
from experiments.studies.counterfeit_sounds import FAULTS, RATE_HZ, counterfeits
from rnnaudio.audio.sources import Samples
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.errors import run_command
from rnnaudio.metrics import AliveLimits, alive_seconds
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.records import Record
from rnnaudio.runs.judging import limits_of_pieces

EXCERPT_SECONDS = 11.0
SHORTEST_SECONDS = 4.0
DEAD_WITHIN_SECONDS = 3.0
PRIME_DBFS = -55.0  # excerpts whose first second is softer are left out
WANTED = {"real_alive": 0.95, "dead_within_3_s": 0.95, "right_reason": 0.9}
TINY_UPDATES = 2


@dataclasses.dataclass(frozen=True)
class Options:
    """Judge real continuations and counterfeits on each corpus."""

    recordings: Path | None = None  # a folder of recordings of many kinds
    strings: Path | None = None  # a corpus of rendered strings, `make needs-strings`; else they are made by rule
    models: bool = True  # train models and judge what they play
    every: float = 5.0  # seconds between excerpts
    seed: int = 0
    workers: int = 1  # processes that judge corpora
    run_dir: Path = Path("runs/counterfeits")  # of the models; those that are complete are not trained again
    smoke: bool = False  # a few excerpts of a few corpora, models that are hardly trained; nothing is recorded


class Verdict(NamedTuple):
    """Verdict on a sound: True if found dead within 3 s, the fault, and a description of the death."""

    is_dead: bool
    fault: str
    reason: str


def main() -> None:
    """Read the options, judge all corpora and models, print and record the results."""
    options: Options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    all_corpora = list(corpora(options.recordings, options.strings))
    if options.smoke:
        options = dataclasses.replace(options, every=60.0)
        all_corpora = [corpus for corpus in all_corpora if corpus.name in ("piano", "strings, made by rule")]
    rows = {}
    others = [whole(all_corpora[number - 1].folds[0][0][0]) for number in range(len(all_corpora))]
    with ProcessPoolExecutor(options.workers) as pool:
        for corpus, row in zip(all_corpora, pool.map(judged, all_corpora, others, repeat(options)), strict=True):
            rows[corpus.name] = row
            print(line(corpus.name, row), flush=True)
    results: Record = {"wanted": WANTED, "rows": rows}
    if options.models:
        with TemporaryDirectory() if options.smoke else nullcontext(options.run_dir) as folder:
            played = played_by_models(all_corpora, Path(folder), TINY_UPDATES if options.smoke else None)
            results["models"] = confusion(played)
        print(*(f"{label}: {row}" for label, row in results["models"]["by_label"].items()), sep="\n")
    if not options.smoke:
        record("counterfeits", results)


def judged(corpus: Corpus, other: FloatArray, options: Options) -> Record:
    """Judge the excerpts of a corpus and their counterfeits; returns the row of the record.

    It has the share of real continuations that are alive to their end and, by kind of counterfeit, the shares found
    dead within 3 s and dead for the right reason; the cost of calibration is that of the last fold. other: music of
    another corpus, (n,) samples at 16 kHz, for counterfeits.
    """
    rng = np.random.default_rng(options.seed)
    real: list[Verdict] = []
    fake: dict[str, list[Verdict]] = defaultdict(list)
    cost: Record = {}
    blind: set[str] = set()
    for calibration, pieces in corpus.folds:
        limits, cost = timed_limits(calibration)
        blind |= set(limits.blind)
        for excerpt in (e for piece in pieces for e in excerpts(whole(piece), options.every)):
            prime, continuation = np.split(excerpt, [RATE_HZ])
            real.append(verdict(continuation, limits, prime))
            for name, sound in counterfeits(continuation, other, rng).items():
                fake[name].append(verdict(sound, limits, prime))
    return {
        "excerpts": len(real),
        "is_development": corpus.is_development,
        "calibration": cost,
        "real_alive": share(not v.reason for v in real),
        "deaths_of_real": sorted({v.reason for v in real} - {""}),
        "blind": sorted(blind),
        "counterfeits": {
            name: {
                "dead_within_3_s": share(v.is_dead for v in found),
                "right_reason": share(v.is_dead and v.fault in FAULTS[name] for v in found),
            }
            for name, found in fake.items()
        },
    }


def whole(piece: Samples) -> FloatArray:
    return np.asarray(piece.read(0, piece.n_samples), np.float64)


def excerpts(piece: FloatArray, every: float) -> Iterator[FloatArray]:
    """Iterate over excerpts of 4 to 11 s of a piece at intervals of ``every`` seconds.

    Excerpts whose first second has an rms of -55 dBFS or less are left out.
    """
    for start in range(0, len(piece) - round(SHORTEST_SECONDS * RATE_HZ) + 1, round(every * RATE_HZ)):
        excerpt = piece[start : start + round(EXCERPT_SECONDS * RATE_HZ)]
        if np.sqrt(np.mean(excerpt[:RATE_HZ] ** 2)) > 10 ** (PRIME_DBFS / 20.0):
            yield excerpt


def verdict(sound: FloatArray, limits: AliveLimits, prime: FloatArray) -> Verdict:
    alive = alive_seconds(sound, RATE_HZ, limits, prime)
    return Verdict(bool(alive.reason) and alive.seconds < DEAD_WITHIN_SECONDS, alive.fault, alive.reason)


def share(values: Iterator[bool]) -> float:
    return round(float(np.mean(list(values))), 4)


def line(name: str, row: Record) -> str:
    """Format the results of a corpus: the share of real excerpts alive, and the counterfeits that miss the goals."""
    missed = [
        f"{fake} {figures['dead_within_3_s']:.0%}/{figures['right_reason']:.0%}"
        for fake, figures in row["counterfeits"].items()
        if FAULTS[fake] and any(figures[name] < WANTED[name] for name in figures)
    ]
    return f"{name:70.70s} real {row['real_alive']:4.0%} of {row['excerpts']:3d}; below the goal: {missed or 'none'}"


def timed_limits(pieces: Sequence[Samples]) -> tuple[AliveLimits, Record]:
    """Calibrate the limits; returns them, and the cost: hours of music, seconds of processor time, peak megabytes."""
    tracemalloc.start()
    started = time.process_time()
    limits = limits_of_pieces(pieces, RATE_HZ)
    cost = {
        "hours": round(sum(piece.n_samples for piece in pieces) / RATE_HZ / 3600.0, 3),
        "seconds": round(time.process_time() - started, 1),
        "megabytes": round(tracemalloc.get_traced_memory()[1] / 1e6, 1),
    }
    tracemalloc.stop()
    return limits, cost


if __name__ == "__main__":
    run_command(main, "counterfeits")
