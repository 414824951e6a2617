"""Sounds of a listening test: excerpts of files, with a folder per condition, or continuations by runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio.audio import Decoder
from rnnaudio.audio.arrays import Audio
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.comparing.entries import RECORDING, Entry, entries_in
from rnnaudio.runs.comparing.sounds import Asked, Stretch, continued, longest_prime, stretch_in
from rnnaudio.runs.listening.pairs import in_order
from rnnaudio.runs.primes import Primes
from rnnaudio.text import visible

LEAST_SECONDS = 1.0  # of a sound
MOST_SOUNDS = 200  # of a condition: beyond, a test of minutes needs none


class Excerpt(NamedTuple):
    """A sound of a listening test: ``audio``, (n,) samples, full scale -1 to 1, and its origin.

    ``file`` names the origin: a sound file, the folder of a run, or RECORDING for the recording itself. It is written
    to the key of the test, the file that tells which sound is which.
    """

    audio: Audio
    sample_rate_hz: int
    file: str

    @property
    def seconds(self) -> float:
        return len(self.audio) / self.sample_rate_hz


class Found(NamedTuple):
    """Excerpts by condition and name, and the reasons for sounds and conditions that were left out."""

    excerpts: dict[str, dict[str, Excerpt]]
    left_out: list[str]


def of_folders(folders: Sequence[Path], start: float, seconds: float) -> Found:
    """Read an excerpt of each sound file in the folders: at most ``seconds`` long, from ``start`` on, in seconds.

    Each folder is a condition, under its name; a sound has the name of its file without the ending. Left out, with
    reasons in the result, are: files that cannot be read, are truncated, have the name of an earlier one, or have less
    than a second after ``start``; all but the first 200 files of a folder, in the order of their names; and folders
    without a playable sound. Hidden files are ignored.
    """
    excerpts: dict[str, dict[str, Excerpt]] = {}
    left_out: list[str] = []
    with Decoder() as decoder:
        for folder in folders:
            found: dict[str, Excerpt] = {}
            for path in _files(folder, left_out):
                try:
                    _require_new(path, found)
                    found[visible(path.stem)] = _excerpt(decoder, path, start, seconds)
                except RnnaudioError as error:
                    left_out.append(str(error))
            if found:
                excerpts[visible(folder.name)] = found
            else:
                left_out.append(f"{folder}: it holds no sound that can be played")
    return Found(excerpts, left_out)


def _files(folder: Path, left_out: list[str]) -> list[Path]:
    try:
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir()]
    except OSError as error:
        left_out.append(f"{folder}: {error.strerror}")
        return []
    if len(names) > MOST_SOUNDS:
        left_out.append(f"{folder}: {len(names) - MOST_SOUNDS} of its {len(names)} files, those beyond {MOST_SOUNDS}")
    return [folder / name for name in in_order(names)[:MOST_SOUNDS]]


def _require_new(path: Path, found: dict[str, Excerpt]) -> None:
    if visible(path.stem) in found:
        raise RnnaudioError(f"{path}: {Path(found[visible(path.stem)].file).name} has the same name already")


def _excerpt(decoder: Decoder, path: Path, start: float, seconds: float) -> Excerpt:
    """Read an excerpt of a file; RnnaudioError if the file cannot be read, is truncated, or is too short."""
    stated, end = decoder.stated_seconds(path), start + seconds
    decoded = decoder.decode(path, part=(start, end) if stated is not None and stated > end else None)
    if decoded.truncated:
        raise RnnaudioError(f"{path}: truncated: {decoded.truncated}; copy or download it again")
    rate = decoded.sample_rate_hz
    audio = decoded.audio if decoded.is_part else decoded.audio[round(start * rate) :]
    excerpt = Excerpt(audio[: round(seconds * rate)], rate, str(path))
    if excerpt.seconds < LEAST_SECONDS:
        after = f" from {start:g} s on" if start else ""
        raise RnnaudioError(f"{path}: it has {excerpt.seconds:.2g} s{after}, expected {LEAST_SECONDS:g} s or more")
    return excerpt


def of_runs(places: Sequence[Path], seconds: float, n_primes: int, seed: int) -> Found:
    """Generate continuations of the same primes by all runs.

    The primes are excerpts of one test split: that of the first run whose corpus is found. Each run is a condition,
    with the name that :func:`entries_in` gives it, and so is the recording. The sound named ``prime k`` is the
    continuation of prime k, without the prime. seconds: length of each continuation. seed: random seed of the
    sampling.

    RnnaudioError if no corpus of a run is where it was in training, or no test piece continues for a second after a
    prime. Runs that cannot be loaded or played are left out.
    """
    entries, left_out = entries_in(places)
    if not entries:
        return Found({}, left_out)
    stretches = _stretches(entries, seconds, n_primes)
    excerpts = {RECORDING: {_name(k): _true(stretch) for k, stretch in enumerate(stretches)}}
    asked = Asked(Primes(), seconds=seconds, seed=seed, blind=True)
    for number, entry in enumerate(entries, 1):
        print(f"{number} of {len(entries)}: {visible(entry.name)}", flush=True)
        try:
            excerpts[entry.name] = {_name(k): _played(entry, stretch, asked) for k, stretch in enumerate(stretches)}
        except (RnnaudioError, MemoryError) as error:
            left_out.append(f"{entry.run_dir}: {error or 'too little memory'}")
    return Found(excerpts, left_out)


def _name(k: int) -> str:
    return f"prime {k + 1}"


def _true(stretch: Stretch) -> Excerpt:
    """Return the continuation in the recording."""
    return Excerpt(stretch.original, stretch.sample_rate_hz, RECORDING)


def _played(entry: Entry, stretch: Stretch, asked: Asked) -> Excerpt:
    """Generate a run's continuation of the prime; samples that are not finite become 0."""
    _, generated, _ = continued(entry.run, stretch, asked)
    return Excerpt(np.nan_to_num(generated, posinf=0.0, neginf=0.0), entry.run.sample_rate_hz, str(entry.run_dir))


def _stretches(entries: Sequence[Entry], seconds: float, n_primes: int) -> list[Stretch]:
    """Read primes from the first corpus that is found, each with at least a second of recording after it."""
    for entry in entries:
        try:
            with entry.run.open_corpus() as corpus:
                print(f"primes: {n_primes} of the test split of {visible(corpus.path)}", flush=True)
                stretches = _of_corpus(corpus, longest_prime(entries), seconds, n_primes)
        except (RnnaudioError, OSError):
            continue
        if min(len(stretch.original) / stretch.sample_rate_hz for stretch in stretches) < LEAST_SECONDS:
            raise RnnaudioError(
                f"{corpus.path}: no test piece goes on for a second after a prime, so that nothing can be compared "
                "with the recording: write sounds with `generate`, a folder for each condition"
            )
        return stretches
    gone = entries[0].run.record["config"]["corpus"]["path"]
    raise RnnaudioError(
        f"no prime: no corpus of these runs is where it was ({gone}); write sounds with `generate`, a folder for each "
        "condition"
    )


def _of_corpus(corpus: AudioCorpus, prime_seconds: float, seconds: float, n_primes: int) -> list[Stretch]:
    return [stretch_in(corpus, k, prime_seconds, seconds) for k in range(n_primes)]
