"""Primes, the sounds that a run continues: an excerpt of a file, excerpts of a test split, or the prime of a pack."""

import sys
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from rnnaudio.audio import Decoder, resample
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.files import Decoded, without_offset
from rnnaudio.data.disk_space import LEAST_BYTES_PER_SECOND, n_bytes
from rnnaudio.errors import RnnaudioError
from rnnaudio.records import Record
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.text import visible

MOST_SECONDS = 1e9
LONG_SECONDS = 600.0  # of a file: of longer ones only a part is read, if the format allows it
MARGIN_SECONDS = 30.0  # on either side of the prime, as the mean of a second of music is no constant offset


def check_seconds(seconds: float, name: str) -> None:
    """Check that a length in seconds is above 0 and at most 1e9; RnnaudioError, with its ``name``, if not."""
    if not 0 < seconds <= MOST_SECONDS:
        raise RnnaudioError(f"{name} is {seconds}; expected more than 0, and {MOST_SECONDS:.0g} at most")


class Primes(NamedTuple):
    """Description of the primes to continue, the sounds that come before the generated ones.

    file
        audio file, of which one excerpt is the only prime; None: primes are excerpts of the test split or, for a pack
        without a corpus, the prime of the pack.
    seconds
        length of each prime.
    place, streams
        index of the first prime in the test split, and number of primes; they have the indices ``place``,
        ``place`` + 1, ..., see :meth:`rnnaudio.data.corpus.Split.prime_at`.
    start
        beginning of the excerpt of ``file``, in seconds, from the end of the file if negative; "end": the last
        ``seconds`` of the file.
    """

    file: Path | None = None
    seconds: float = 1.0
    place: int = 0
    streams: int = 1
    start: float | Literal["end"] = 0.0

    def check(self) -> None:
        """Raise RnnaudioError for values out of range, or for options that exclude each other."""
        check_seconds(self.seconds, "prime_seconds")
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
        if self.start != "end" and not abs(self.start) <= MOST_SECONDS:
            raise RnnaudioError(f"prime_start is {self.start}; expected a number of seconds, or end")

    def read(self, run: LoadedRun, corpus: Path | None, packed: Audio | None = None) -> list[np.ndarray]:
        """Read the primes, (n,) samples each, standardised and at the sample rate of the run's corpus.

        run
            gives the sample rate, the scale and the corpus.
        corpus
            path of the run's corpus; None: where it was in training.
        packed
            the prime of a pack, (n,) standardised samples; None: the run is not packed. It is used if neither a file
            nor a corpus is named.

        If no test piece is as long as a prime, the primes are as long as the longest piece; likewise with the prime of
        a pack. A note on stderr says so.

        RnnaudioError if ``file`` is shorter than the prime; if all test pieces are shorter than both the prime and
        .2 s; if the file or the corpus cannot be read; or if more primes than one, or another than the first, are
        asked of a pack.
        """
        if self.file is not None:
            return [_of_file(run, self.file, self.seconds, self.start)]
        if packed is not None and corpus is None:
            return [self._of_pack(packed, run.sample_rate_hz)]
        with run.open_corpus(corpus) as opened:
            seconds = opened.test.prime_length(self.seconds)
            if seconds < self.seconds:
                _note(f"no test piece has {self.seconds:g} s: the prime has {seconds:.3g} s")
            return [opened.test.prime_at(self.place + k, seconds) for k in range(self.streams)]

    def _of_pack(self, packed: Audio, rate: int) -> Audio:
        """Return the first ``seconds`` of the prime of a pack, (n,) samples; rate: the sample rate in Hz.

        If ``packed`` is shorter, all of it is returned and a note is printed. RnnaudioError if ``place`` or
        ``streams`` ask for another prime, or if ``seconds`` is less than a sample.
        """
        for option, value, most in (("--prime-index", self.place, 0), ("--streams", self.streams, 1)):
            if value > most:
                raise RnnaudioError(
                    f"{option} is {value}, but a pack has one prime: leave it out, name a --prime-file, or the run's "
                    "corpus (--corpus)"
                )
        n_prime = round(self.seconds * rate)
        if n_prime < 1:
            raise RnnaudioError(f"prime_seconds is {self.seconds:g}: no sample at {rate} Hz; ask for more")
        if n_prime > len(packed):
            _note(f"the pack has no prime of {self.seconds:g} s: the prime has {len(packed) / rate:.3g} s")
        return packed[:n_prime]

    def origin(self, run: LoadedRun, corpus: Path | None) -> Record:
        """Return title, source and licence, by name, of the piece from which the first prime is read.

        For a file, the title is the file's name; source and licence are empty. corpus: as in :meth:`read`.
        """
        if self.file is not None:
            return {"title": self.file.name, "source": "", "licence": ""}
        with run.open_corpus(corpus) as opened:
            piece, *_ = opened.test.place_of_prime(self.place, opened.test.prime_length(self.seconds))
            return {name: getattr(piece, name, "") for name in ("title", "source", "licence")}


def _of_file(run: LoadedRun, path: Path, seconds: float, start: float | Literal["end"]) -> np.ndarray:
    """Read an excerpt of an audio file, cleaned as for a corpus: (n,) standardised samples at the run's rate.

    seconds, start: as in :class:`Primes`. If the file is longer than ten minutes, only the excerpt and half a minute
    on either side are decoded, and the offset is measured on these. Notes are printed on corrections and on damage of
    the file. RnnaudioError if the file is too short or cannot be read.
    """
    rate = run.sample_rate_hz
    n_prime = round(seconds * rate)
    if n_prime < 1:
        raise RnnaudioError(f"prime_seconds is {seconds:g}: no sample at {rate} Hz; expected {1 / rate:.2g} s or more")
    with Decoder() as decoder:
        length, part = _long(path, decoder.stated_seconds(path)), None
        if length is not None:
            begin = _first(path, round(length * rate), rate, seconds, start) / rate
            # From a whole second on, which is a whole number of samples at any rate.
            part = max(0.0, float(np.floor(begin - MARGIN_SECONDS))), min(length, begin + seconds + MARGIN_SECONDS)
        decoded = decoder.decode(path, part=part)
    audio, before = _cleaned(path, decoded, rate), 0
    if part and length is not None and decoded.is_part:
        before = round(part[0] * rate)
        first = _first(path, round(length * rate), rate, seconds, start) - before
        first = min(first, len(audio) - n_prime)  # what is resampled may end a sample early
    else:
        first = _first(path, len(audio), rate, seconds, start)
    if first < 0:
        raise RnnaudioError(f"{path} ends within the prime: take another --prime-start, or mend the file")
    prime = audio[first : first + n_prime]
    if not np.any(prime):
        _note(
            f"{path} is silent in the prime, from {(before + first) / rate:.3g} s on: what follows is the model alone"
        )
    return run.scale.standardise(prime)


def _cleaned(path: Path, decoded: Decoded, rate: int) -> np.ndarray:
    """Subtract a constant offset, and resample to ``rate`` Hz; prints notes on corrections and on damage."""
    audio, notes = decoded.audio, list(decoded.notes)
    if decoded.truncated:
        notes.append(f"truncated: {decoded.truncated}; what is there is used")
    audio, offset = without_offset(audio)
    if decoded.sample_rate_hz != rate:
        notes.append(f"has {decoded.sample_rate_hz} Hz, the run {rate} Hz: it is resampled")
        audio = resample(audio, decoded.sample_rate_hz, rate)
    for note in [*notes, *filter(None, [offset])]:
        _note(f"{path}: {note}")
    return audio


def _long(path: Path, stated_seconds: float | None) -> float | None:
    """Return the stated length of a file in seconds if it exceeds ten minutes, else None.

    Only a part of such a file should be decoded. None also if a file of its size cannot be as long as it states.
    """
    is_long = stated_seconds is not None and LONG_SECONDS < stated_seconds <= n_bytes(path) / LEAST_BYTES_PER_SECOND
    return stated_seconds if is_long else None


def _first(path: Path, n_samples: int, rate: int, seconds: float, start: float | Literal["end"]) -> int:
    """Return the index of a prime's first sample in a file of ``n_samples`` samples at ``rate`` Hz.

    RnnaudioError if the prime does not lie within the file.
    """
    n_prime = round(seconds * rate)
    if n_samples < n_prime:
        raise RnnaudioError(
            f"{path} has {n_samples / rate:.3g} s of sound ({n_samples} samples at {rate} Hz), the prime is to have "
            f"{seconds:g} s: take a longer file or a lower --prime-seconds"
        )
    first = n_samples - n_prime if start == "end" else round(start * rate) + (n_samples if start < 0 else 0)
    if not 0 <= first <= n_samples - n_prime:
        raise RnnaudioError(
            f"--prime-start {start:g} with a prime of {seconds:g} s is outside {path}, which has "
            f"{n_samples / rate:.3f} s: expected {-n_samples / rate:.3f} to {(n_samples - n_prime) / rate:.3f}, or "
            "end for its last seconds"
        )
    return first


def _note(text: str) -> None:
    print(f"note: {visible(text)}", file=sys.stderr)
