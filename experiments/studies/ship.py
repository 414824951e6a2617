"""Packing of a run as a model that comes with the package, if it is small and plays.

    rnnaudio experiment run ship --run-dir runs/piano --name piano

Packs the run with its matrices in half precision (`rnnaudio pack --float16`, with the same --prime-seconds and
--licence, gives the same bytes), measures the effect of half precision and how long the sound of the pack stays alive,
and copies the pack to ``rnnaudio/models/NAME.zip`` only if

* it has at most 8 MB,
* bits per frame of the validation and the test music change by less than .01,
* continuations of eight test primes, 300 s each, all stay alive for at least 60 s.

The name also needs a line in ``rnnaudio/models/__init__.py``, and its licences one in ``README.md`` beside it.
"""

import dataclasses
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tyro

from experiments.shared.on_corpus import CORPUS
from experiments.shared.records import record
from experiments.studies.music import SMOKE
from rnnaudio import models
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data import AudioCorpus
from rnnaudio.data.code_batches import fixed_code_windows
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.yardstick import most_looped
from rnnaudio.objectives import NextCodes
from rnnaudio.runs import packs
from rnnaudio.runs.codes.choice import choose
from rnnaudio.runs.codes.model import encoded
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.codes.run import CodesRun
from rnnaudio.runs.fit import fit
from rnnaudio.runs.judging import judge
from rnnaudio.runs.load import load
from rnnaudio.runs.primes import Primes
from rnnaudio.training import Evaluation

LICENCE = "BSD 3-Clause, as rnnaudio, for the parameters; the prime has that of its piece"
MOST_BYTES, MOST_BITS = 8_000_000, 0.01
ALIVE_SECONDS, PLAYED_SECONDS, N_PRIMES = 60.0, 300.0, 8
HEARD_BYTES = 44 + 2 * 16_000 + 2  # of WAV: its header, a prime of a second, a sample of what follows
Figures = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Options:
    """The run to pack, and the name under which it comes with the package."""

    run_dir: Path = Path("runs/piano")
    corpus: Path = CORPUS
    name: str = "piano"
    prime_seconds: float = 2.0
    smoke: bool = False  # a small model of the piano in the package; nothing is moved or recorded

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z][a-z0-9-]*", self.name):
            raise RnnaudioError(f"name is {self.name!r}; expected small letters, digits and hyphens")


def main() -> None:
    """Pack the run, measure the pack, copy it to the models if it meets the conditions, and record the figures."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    with TemporaryDirectory() as folder:
        pack = Path(folder) / f"{options.name}.zip"
        if options.smoke:
            corpus = build_demo_corpus(Path(folder) / "corpus.h5")
            small = dataclasses.replace(options, run_dir=Path(folder) / "run", corpus=corpus)
            fit(CODES, SMOKE, corpus, small.run_dir)
            with AudioCorpus.open(corpus) as opened:
                choose(small.run_dir, opened, n_primes=1, seconds=2.0)
            print(measured(small, pack, n_primes=1, seconds=2.0))
            return
        figures = measured(options, pack)
        print(figures)
        refuse_unless_it_plays(figures)
        target = models.FOLDER / pack.name
        shutil.copyfile(pack, target)
    record("ship" if options.name == "piano" else f"ship-{options.name}", figures)
    print(f"wrote {target}")


def measured(options: Options, pack: Path, *, n_primes: int = N_PRIMES, seconds: float = PLAYED_SECONDS) -> Figures:
    """Write the pack, and measure its size, bits per frame, survival, loops and time to the first sound.

    Bits are those of the run before and after packing, on validation and test music. seconds: length of each of the
    ``n_primes`` continuations. Raises the errors of packing, loading and :func:`first_sound`.
    """
    form = packs.Form(float16=True, licence=LICENCE)
    packs.pack(options.run_dir, pack, options.corpus, primes=Primes(seconds=options.prime_seconds), form=form)
    before = load(options.run_dir, CodesRun)
    with packs.run_folder(pack) as folder:
        after = load(folder, CodesRun)
    with before.open_corpus(options.corpus) as corpus:
        bits = {
            split: [bits_of(run, getattr(corpus, split)) for run in (before, after)] for split in ("valid", "test")
        }
        alive, loops = played(after, corpus, n_primes, seconds)
    return {
        "n_bytes": pack.stat().st_size,
        "updates": before.record["n_updates"],
        "training_minutes": round(before.record["seconds"] / 60.0, 1),
        "bits_before_and_after": {split: [round(value, 4) for value in pair] for split, pair in bits.items()},
        "most_bits_changed": round(max(abs(a - b) for a, b in bits.values()), 5),
        "played_seconds": seconds,
        "alive_seconds": alive,
        "loop_scores": loops,
        "first_sound_seconds": first_sound(pack),
    }


def bits_of(run: CodesRun, split: Any) -> float:
    """Bits per frame over all stages, on the music of a split encoded by the codec of the run."""
    windows = fixed_code_windows(tuple(encoded(split, run.codec)), run.config.n_steps, run.config.batch_size)
    return Evaluation(run.model, NextCodes())(windows)["bits"]


def played(run: CodesRun, corpus: AudioCorpus, n_primes: int, seconds: float) -> tuple[list[float], list[float]]:
    """Continue test primes, a second each; returns (seconds alive, loop scores) of the continuations, each sorted."""
    primes = [corpus.test.prime_at(k, 1.0) for k in range(n_primes)]
    results = run.continue_primes(primes, round(seconds * run.sample_rate_hz))
    audios = [corpus.restore(one.audio[one.n_prime :]) for one in results]
    alive = [
        judge(audio, corpus, one.stopped, corpus.restore(prime)).seconds
        for audio, one, prime in zip(audios, results, primes, strict=True)
    ]
    loops = (most_looped(audio.astype(np.float64), run.sample_rate_hz) for audio in audios)
    return sorted(alive), sorted(round(loop, 3) for loop in loops)


def first_sound(pack: Path) -> float:
    """Seconds from the start of `rnnaudio generate` in a new process to the first generated sample.

    RnnaudioError if the command fails or writes no sound.
    """
    code = "from rnnaudio.cli import main; main()"
    command = [sys.executable, "-c", code, "generate", str(pack), "-", "--seconds", "2"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        n_read = len(process.stdout.read(HEARD_BYTES))
        wall = time.perf_counter() - started
        process.stdout.read()
    if process.returncode or not n_read:
        raise RnnaudioError(f"{pack} does not play: status {process.returncode}; run `rnnaudio generate` on it")
    return round(wall, 1)


def refuse_unless_it_plays(figures: Figures) -> None:
    """Raise RnnaudioError, naming the first condition at the top of this module that the figures do not meet, if any.

    figures: the result of :func:`measured`.
    """
    alive: Sequence[float] = figures["alive_seconds"]
    for is_met, what in (
        (figures["n_bytes"] <= MOST_BYTES, f"it has {figures['n_bytes']} bytes, expected {MOST_BYTES} at most"),
        (figures["most_bits_changed"] < MOST_BITS, f"half precision changes {figures['most_bits_changed']} bits"),
        (min(alive) >= ALIVE_SECONDS, f"a continuation dies after {min(alive):.1f} s"),
    ):
        if not is_met:
            raise RnnaudioError(f"this run does not come with the package: {what}; train it for longer, or another")
