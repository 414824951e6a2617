"""Sounds that `generate` continues: an excerpt of a file, or excerpts of the test split."""

import sys
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from rnnaudio.audio import Decoder, resample
from rnnaudio.audio.files import without_offset
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.continuing import LoadedRun


class Primes(NamedTuple):
    """The sounds to continue, each ``seconds`` long.

    One prime is an excerpt of ``file`` that begins at ``start``: seconds, counted from the end if negative, or "end"
    for the last ``seconds`` of the file. Without a file, ``streams`` primes come from the test split, at positions
    ``place``, ``place`` + 1, ... of :meth:`rnnaudio.data.corpus.Split.prime_at`.
    """

    file: Path | None = None
    seconds: float = 1.0
    place: int = 0
    streams: int = 1
    start: float | Literal["end"] = 0.0

    def check(self) -> None:
        """RnnaudioError for values out of range, or options that exclude each other."""
        if not 0 < self.seconds < float("inf"):
            raise RnnaudioError(f"prime_seconds is {self.seconds}; expected more than 0 and less than infinity")
        if self.place < 0:
            raise RnnaudioError(f"prime_index is {self.place}; expected 0 or more")
        if self.streams < 1:
            raise RnnaudioError(f"streams is {self.streams}; expected 1 or more")
        if self.file is not None and self.streams > 1:
            raise RnnaudioError(
                f"--streams {self.streams} from one --prime-file would all sound the same: leave one of the two out "
                "(without a file each stream has its own place in the corpus' test split)"
            )
        if self.file is None and self.start != 0.0:
            raise RnnaudioError(
                f"--prime-start {self.start} is a place in a file, and there is none: name it with --prime-file, or "
                "choose a place in the test split with --prime-index"
            )
        if self.start != "end" and not np.isfinite(self.start):
            raise RnnaudioError(f"prime_start is {self.start}; expected a number of seconds, or end")

    def read(self, run: LoadedRun, corpus: Path | None) -> list[np.ndarray]:
        """Read the primes, (n,) samples each, at the rate and on the scale of the run's corpus.

        corpus: its path; None: where it was in training. RnnaudioError if the file, or each piece of the test split,
        is shorter, or if they cannot be read.
        """
        if self.file is not None:
            return [_of_file(run, self.file, self.seconds, self.start)]
        with run.open_corpus(corpus) as opened:
            seconds = opened.test.prime_length(self.seconds)
            if seconds < self.seconds:
                _note(f"no test piece has {self.seconds:g} s: the prime has {seconds:.3g} s")
            return [opened.test.prime_at(self.place + k, seconds) for k in range(self.streams)]


def _of_file(run: LoadedRun, path: Path, seconds: float, start: float | Literal["end"]) -> np.ndarray:
    """The excerpt of an audio file at the rate and on the scale of the run's corpus, cleaned as a corpus is.

    What was corrected or is missing is printed. RnnaudioError if the file is shorter or cannot be read.
    """
    with Decoder() as decoder:
        decoded = decoder.decode(path)
    audio, rate, notes = decoded.audio, decoded.sample_rate_hz, list(decoded.notes)
    if decoded.truncated:
        notes.append(f"truncated: {decoded.truncated}; what is there is used")
    audio, offset = without_offset(audio)
    if rate != run.sample_rate_hz:
        notes.append(f"has {rate} Hz, the run {run.sample_rate_hz} Hz: it is resampled")
        audio, rate = resample(audio, rate, run.sample_rate_hz), run.sample_rate_hz
    for note in [*notes, *filter(None, [offset])]:
        _note(f"{path}: {note}")
    n_prime = round(seconds * rate)
    if len(audio) < n_prime:
        raise RnnaudioError(
            f"{path} has {len(audio) / rate:.3g} s of sound ({len(audio)} samples at {rate} Hz), the prime is to have "
            f"{seconds:g} s: take a longer file or a lower --prime-seconds"
        )
    first = len(audio) - n_prime if start == "end" else round(start * rate) + (len(audio) if start < 0 else 0)
    if not 0 <= first <= len(audio) - n_prime:
        raise RnnaudioError(
            f"--prime-start {start:g} with a prime of {seconds:g} s is outside {path}, which has "
            f"{len(audio) / rate:.3f} s: expected {-len(audio) / rate:.3f} to {(len(audio) - n_prime) / rate:.3f}, or "
            "end for its last seconds"
        )
    prime = audio[first : first + n_prime]
    if not np.any(prime):
        _note(f"{path} is silent in the prime, from {first / rate:.3g} s on: what follows is the model alone")
    return run.scale.standardise(prime)


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
