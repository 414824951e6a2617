"""Let a trained model continue seeds, to WAV files."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio.app.audio_run import LoadedRun, load_run
from rnnaudio.atomic import replacing
from rnnaudio.data import read_audio, write_wav
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Generated

MOST_SAMPLES = 2**29  # 2 GiB in memory while they are played; a WAV file ends at twice that


class Seeds(NamedTuple):
    """What is continued: the beginning of ``file``, or ``streams`` places of the test split from ``place`` on."""

    file: Path | None
    seconds: float
    place: int
    streams: int


def play(
    run_dir: Path, out: Path, corpus: Path | None = None, *, seeds: Seeds, seconds: float, overwrite: bool
) -> str:
    """Write each seed and its continuation; a sentence on what was written. ``corpus``: where it is, if moved.

    One stream goes to ``out``, several to names with a number: ``out-1.wav``, ``out-2.wav``, ...
    """
    _check(seeds, seconds)
    targets = _targets(out, seeds.streams, overwrite)
    run = load_run(run_dir)
    heard = _heard(run, seeds, corpus)
    n_samples = round(seconds * run.sample_rate_hz)
    if n_samples * len(heard) > MOST_SAMPLES:
        raise RnnaudioError(
            f"{len(heard)} x {seconds:g} s are {n_samples * len(heard):.2g} samples; expected at most {MOST_SAMPLES} "
            f"({MOST_SAMPLES / run.sample_rate_hz / 3600:.0f} hours) at a time: ask for less"
        )
    results = run.continue_seeds(heard, n_samples)
    n_clipped = _write_all(targets, [run.scale.restore(result.audio) for result in results], run.sample_rate_hz)
    return _described(targets, results, run.sample_rate_hz) + (f"; {n_clipped} samples clipped" if n_clipped else "")


def _check(seeds: Seeds, seconds: float) -> None:
    for name, value in (("seconds", seconds), ("seed_seconds", seeds.seconds)):
        if not value > 0:
            raise RnnaudioError(f"{name} is {value}; expected more than 0")
    if seeds.place < 0:
        raise RnnaudioError(f"seed_index is {seeds.place}; expected 0 or more")
    if seeds.streams < 1:
        raise RnnaudioError(f"streams is {seeds.streams}; expected 1 or more")
    if seeds.file is not None and seeds.streams > 1:
        raise RnnaudioError(
            f"--streams {seeds.streams} from one --seed-file would all sound the same: leave one of the two out "
            "(without a file each stream has its own place in the corpus' test split)"
        )


def _targets(out: Path, streams: int, overwrite: bool) -> list[Path]:
    """The files to write; RnnaudioError if one of them is there and may not be replaced."""
    if out.suffix.lower() != ".wav":
        raise RnnaudioError(f"{out}: expected a name that ends in .wav; convert the sound afterwards")
    numbered = [out.with_name(f"{out.stem}-{k + 1}{out.suffix}") for k in range(streams)]
    targets = numbered if streams > 1 else [out]
    for target in targets:
        if target.exists() and not overwrite:
            raise RnnaudioError(f"{target} exists: choose another name, or replace it with --overwrite")
    return targets


def _heard(run: LoadedRun, seeds: Seeds, corpus: Path | None) -> list[np.ndarray]:
    """The seeds, standardised."""
    if seeds.file is not None:
        return [_beginning(run, seeds.file, seeds.seconds)]
    with run.open_corpus(corpus) as opened:
        return [opened.test.seed_at(seeds.place + k, seeds.seconds) for k in range(seeds.streams)]


def _beginning(run: LoadedRun, path: Path, seconds: float) -> np.ndarray:
    """The first seconds of an audio file, standardised as the run's corpus is; RnnaudioError if it is shorter."""
    audio, rate = read_audio(path, run.sample_rate_hz)
    n_seed = round(seconds * rate)
    if len(audio) < n_seed:
        raise RnnaudioError(
            f"{path} has {len(audio) / rate:.3g} s of sound ({len(audio)} samples at {rate} Hz), the seed is to have "
            f"{seconds:g} s: take a longer file or a lower --seed-seconds"
        )
    if not np.any(audio[:n_seed]):
        print(f"note: {path} begins with silence: what you will hear is the model alone", file=sys.stderr)
    return run.scale.standardise(audio[:n_seed])


def _write_all(targets: list[Path], audio: list[np.ndarray], rate: int) -> int:
    """Write all files, or none if one cannot be written; the number of clipped samples."""
    with ExitStack() as stack:
        places = [stack.enter_context(replacing(target)) for target in targets]
        return sum(write_wav(place, sound, rate) for place, sound in zip(places, audio, strict=True))


def _described(targets: list[Path], results: list[Generated], rate: int) -> str:
    n_new = [len(result.audio) - result.n_seed for result in results]
    several = len(results) > 1
    names = f"{targets[0]} to {targets[-1].name}" if several else f"{targets[0]}"
    text = f"wrote {names}: {results[0].n_seed / rate:.2f} s seed + {max(n_new) / rate:.2f} s generated"
    text += " each" if several else ""
    if sum(n_new):
        speed = sum(n_new) / rate / results[0].seconds
        text += f", {speed:.{0 if speed >= 10 else 1}f} times faster than real time"
        text += " in all" if several else ""
    for target, result in zip(targets, results, strict=True):
        name = f"{target.name} " if several else ""
        text += f"; {name}stopped early: {result.stopped}" if result.stopped else ""
    return text
