"""Corpus reader: splits and their pieces, whose samples are read as standardised audio, one range at a time."""

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.sources import Samples
from rnnaudio.corpus_file.layout import SAMPLE_SCALE, text_of
from rnnaudio.data.corpus_format import open_checked
from rnnaudio.data.corpus_verify import Verification
from rnnaudio.errors import RnnaudioError
from rnnaudio.markup import escape, table
from rnnaudio.text import visible

AT_ONCE_BYTES = 1 << 29  # of samples, which are compared with their sums in one or two seconds
CHUNK = 1 << 22  # samples read at once in a pass over the whole corpus
LEAST_PRIME_SECONDS = 0.2
GOLDEN_RATIO_PART = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, eq=False)
class ArrayPiece:
    """A piece held in an array, (n_samples,), assumed to be standardised; for toy problems and tests."""

    audio: Audio

    @property
    def n_samples(self) -> int:
        return self.audio.size

    def read(self, start: int, stop: int) -> Audio:
        """Read samples start to stop - 1, (stop - start,) float32; IndexError outside the piece."""
        _check_range(start, stop, self.n_samples)
        return np.array(self.audio[start:stop], np.float32)


@dataclass(frozen=True, eq=False)
class Stretch:
    """A piece that consists of the samples first to last - 1 of another piece."""

    piece: Samples
    first: int
    last: int

    @property
    def n_samples(self) -> int:
        return self.last - self.first

    def read(self, start: int, stop: int) -> Audio:
        """Read samples start to stop - 1, counted from the beginning of the stretch; IndexError outside it."""
        _check_range(start, stop, self.n_samples)
        return self.piece.read(self.first + start, self.first + stop)


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece of a corpus file: a recording, a part of one, or several short recordings joined.

    ``dataset`` holds the stored samples; :meth:`read` returns stored sample * ``gain`` - ``offset``. ``verification``
    compares the samples with their SHA-256 sum.
    """

    title: str
    source: str
    licence: str
    split: str
    n_samples: int
    dataset: h5py.Dataset
    gain: float  # read() = stored sample * gain - offset
    offset: float
    verification: Verification

    def read(self, start: int, stop: int) -> Audio:
        """Read samples start to stop - 1, (stop - start,) float32, standardised: (audio - mean) / std.

        The first read of a piece compares all its samples with their SHA-256 sum, unless a child process compares them
        (:meth:`Verification.in_background`). Raises IndexError outside the piece, RnnaudioError if the file is closed,
        a checksum does not match, or a sample is not finite.
        """
        _check_range(start, stop, self.n_samples)
        try:
            if self.dataset:
                self.verification.require(self.dataset)
            stored = self.dataset[start:stop]
        except (OSError, ValueError) as error:
            raise RnnaudioError(
                f"{self.title}: samples {start} to {stop} cannot be read: the corpus was closed, or "
                "the file is damaged ('rnnaudio corpus build' makes it again)"
            ) from error
        audio = np.multiply(stored, np.float32(self.gain), dtype=np.float32)
        audio -= np.float32(self.offset)
        return audio

    def about(self, sample_rate_hz: int, source: str | None = None) -> str:
        """Format one line of text on the piece: split, length in seconds, title, source and licence.

        source: text to show in place of the piece's own source; None: its own.
        """
        seconds = self.n_samples / sample_rate_hz
        return f"{self.split:6s} {seconds:8.1f} s  {self.title}  ({source or self.source}; {self.licence})"


@dataclass(frozen=True, eq=False)
class Split:
    """The pieces of one split of a corpus: train, valid or test."""

    name: str
    pieces: Sequence[Samples]
    sample_rate_hz: int

    @property
    def n_samples(self) -> int:
        return sum(piece.n_samples for piece in self.pieces)

    @property
    def seconds(self) -> float:
        return self.n_samples / self.sample_rate_hz

    def cut(self, share: float) -> tuple["Split", "Split"]:
        """Cut the last ``share`` (0 to 1) off each piece; returns (split of the beginnings, split of the ends)."""
        cuts = [round((1.0 - share) * piece.n_samples) for piece in self.pieces]
        pairs = list(zip(self.pieces, cuts, strict=True))
        begun = tuple(Stretch(piece, 0, cut) for piece, cut in pairs)
        ends = tuple(Stretch(piece, cut, piece.n_samples) for piece, cut in pairs)
        return Split(self.name, begun, self.sample_rate_hz), Split(self.name, ends, self.sample_rate_hz)

    def first(self, seconds: float) -> Audio:
        """Read the first `seconds` of the first piece that is long enough, (n_samples,) float32, standardised.

        Raises RnnaudioError if no piece is long enough, or if `seconds` is not positive.
        """
        return self.prime_at(0, seconds)

    def prime_length(self, seconds: float, least_seconds: float = LEAST_PRIME_SECONDS) -> float:
        """Return the length in seconds of a prime: ``seconds``, or less if the longest piece is shorter.

        In that case it is the length of the longest piece. RnnaudioError if the longest piece is shorter than both
        ``seconds`` and ``least_seconds``, or if ``seconds`` is less than one sample.
        """
        longest = max((piece.n_samples for piece in self.pieces), default=0)
        n_samples = round(seconds * self.sample_rate_hz)
        if 0 < n_samples <= longest:
            return seconds
        if n_samples <= 0 or longest < least_seconds * self.sample_rate_hz:
            self.prime_at(0, seconds)  # raises
        return longest / self.sample_rate_hz

    def prime_at(self, index: int, seconds: float) -> Audio:
        """Read an excerpt of `seconds` that primes a model, (n_samples,) float32, standardised.

        `index` selects the excerpt: number floor(n (.618 index mod 1)), counted from 0, of the n possible excerpts of
        all pieces that are long enough; .618 stands for (sqrt(5) - 1) / 2. The excerpts of successive indices are thus
        spread evenly over the split, and index 0 gives the excerpt of `first`. Raises RnnaudioError if no piece is
        long enough or `seconds` is not positive, ValueError for a negative index.
        """
        piece, start, stop = self.place_of_prime(index, seconds)
        return piece.read(start, stop)

    def place_of_prime(self, index: int, seconds: float) -> tuple[Samples, int, int]:
        """Find an excerpt without reading it; returns (piece, start, stop).

        The excerpt consists of the samples start to stop - 1 of the piece. Arguments and errors are those of
        :meth:`prime_at`.
        """
        if index < 0:
            raise ValueError(f"index: got {index}, expected 0 or more")
        n_prime = round(seconds * self.sample_rate_hz)
        pieces = [piece for piece in self.pieces if piece.n_samples >= n_prime]
        if n_prime <= 0 or not pieces:
            longest = max((piece.n_samples for piece in self.pieces), default=0) / self.sample_rate_hz
            raise RnnaudioError(
                f"prime of {seconds:g} s: the pieces of the split {self.name!r} have up to "
                f"{longest:.3f} s; ask for more than 0 and at most that"
            )
        ends = np.cumsum([piece.n_samples - n_prime + 1 for piece in pieces])
        place = int(math.fmod(index * GOLDEN_RATIO_PART, 1.0) * int(ends[-1]))
        number = int(np.searchsorted(ends, place, side="right"))
        start = place - (int(ends[number - 1]) if number else 0)
        return pieces[number], start, start + n_prime


@dataclass(frozen=True)
class Scale:
    """Standardisation by the mean and standard deviation of the training samples (full scale is -1 to 1)."""

    mean: float
    std: float

    def standardise(self, audio: Audio) -> Audio:
        """Standardise audio on the scale -1 to 1: (audio - mean) / std, float32."""
        return ((np.asarray(audio, np.float64) - self.mean) / self.std).astype(np.float32)

    def restore(self, audio: Audio) -> Audio:
        """Restore standardised audio to the scale -1 to 1 (not clipped): audio * std + mean, float32."""
        return (np.asarray(audio, np.float64) * self.std + self.mean).astype(np.float32)


@dataclass(frozen=True, eq=False)
class AudioCorpus(Scale):
    """An open corpus file, to be used as a context manager.

        with AudioCorpus.open("corpus.h5") as corpus:
            audio = corpus.train.pieces[0].read(0, 16000)

    `pieces` holds all pieces in file order; `train`, `valid` and `test` are the splits.
    """

    path: Path
    sample_rate_hz: int
    pieces: tuple[Piece, ...]
    file: h5py.File

    @classmethod
    def open(cls, path: Path) -> "AudioCorpus":
        """Open a corpus for reading. Samples stay in the file until they are read, whatever the size of the corpus.

        Raises the errors of :func:`rnnaudio.data.corpus_format.open_checked`.
        """
        path = Path(path)
        file = open_checked(path)
        mean, std = float(file.attrs["mean"]), float(file.attrs["std"])
        gain = SAMPLE_SCALE[text_of(file, "dtype")] / std
        verification = Verification(path, file)
        pieces = tuple(
            Piece(
                **{name: visible(text_of(dataset, name)) for name in ("title", "source", "licence", "split")},
                n_samples=len(dataset),
                dataset=dataset,
                gain=gain,
                offset=mean / std,
                verification=verification,
            )
            for dataset in file["pieces"].values()
        )
        return cls(mean, std, path, int(file.attrs["sample_rate_hz"]), pieces, file)

    def __enter__(self) -> "AudioCorpus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()

    def _repr_html_(self) -> str:
        """Return an HTML table for notebooks, with the number of pieces and the duration of each split."""
        splits = (self.train, self.valid, self.test)
        rows = [{"split": one.name, "pieces": len(one.pieces), "seconds": round(one.seconds, 1)} for one in splits]
        return f"<p>{escape(visible(self.path))}: {self.sample_rate_hz} Hz</p>{table(rows)}"

    @property
    def verification(self) -> Verification:
        """The :class:`Verification` that all pieces share; it compares samples with their SHA-256 sums."""
        return self.pieces[0].verification

    @property
    def train(self) -> Split:
        return self._split("train")

    @property
    def valid(self) -> Split:
        return self._split("valid")

    @property
    def test(self) -> Split:
        return self._split("test")

    def min_max_2016(self) -> "AudioCorpus":
        """Return a copy of this corpus, on the same open file, scaled as in 2016.

        The lowest sample of all pieces becomes -1 and the highest 1, so that silence is in general not at 0. All
        samples are read. RnnaudioError if all of them are equal.
        """
        bounds = [
            (part.min(), part.max())
            for piece in self.pieces
            for start in range(0, piece.n_samples, CHUNK)
            for part in [piece.read(start, min(start + CHUNK, piece.n_samples))]
        ]
        low, high = self.restore(np.array([min(a for a, _ in bounds), max(b for _, b in bounds)])).astype(float)
        if low == high:
            raise RnnaudioError(f"{self.path}: all samples are {low:g}; min/max scaling needs audio that varies")
        return self._rescaled(float(low + high) / 2.0, float(high - low) / 2.0)

    def digest(self) -> str:
        """Return 16 hexadecimal digits that identify samples, splits and order of the pieces, but not their texts."""
        pieces = "\n".join(f"{piece.split} {text_of(piece.dataset, 'sha256')}" for piece in self.pieces)
        return hashlib.sha256(pieces.encode()).hexdigest()[:16]

    def _rescaled(self, mean: float, std: float) -> "AudioCorpus":
        """Return a copy of this corpus, on the same open file, that reads samples as (audio - mean) / std."""
        pieces = tuple(
            dataclasses.replace(piece, gain=piece.gain * self.std / std, offset=mean / std) for piece in self.pieces
        )
        return dataclasses.replace(self, mean=mean, std=std, pieces=pieces)

    def _split(self, name: str) -> Split:
        return Split(name, tuple(piece for piece in self.pieces if piece.split == name), self.sample_rate_hz)

    def verify(self) -> None:
        """Compare the samples of every piece with their stored SHA-256 sum.

        RnnaudioError, naming the first faulty piece, if a sum differs or a sample is not finite.
        """
        for piece in self.pieces:
            self.verification.compare(piece.dataset)

    @contextmanager
    def verified_for_training(self) -> Iterator[None]:
        """Context manager that compares all pieces with their SHA-256 sums.

        A corpus of up to 512 MiB of samples is compared before the block runs, a larger one by a child process while
        the block runs. The child is ended when the block ends; to let it finish, call ``verification.wait()`` in the
        block. RnnaudioError, naming a piece that differs, is raised before the block, or within the block by
        :meth:`Piece.read`, ``verification.raise_fault`` or ``verification.wait``.
        """
        datasets = [piece.dataset for piece in self.pieces]
        if sum(dataset.nbytes for dataset in datasets) > AT_ONCE_BYTES:
            with self.verification.in_background(datasets):
                yield
            return
        for dataset in datasets:
            self.verification.require(dataset)
        yield


def _check_range(start: int, stop: int, n_samples: int) -> None:
    if not 0 <= start <= stop <= n_samples:
        raise IndexError(f"samples {start} to {stop}: expected 0 <= start <= stop <= {n_samples}")
