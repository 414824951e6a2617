"""Batches of audio windows: five sampling schemes, each a pure function of (seed, index).

A window consists of (n_steps + 1) * frame_size consecutive samples of one piece, cut into n_steps + 1 frames: n_steps
inputs, and one more frame because targets may lie one frame ahead. A batcher is immutable and has no state, so that
training can resume in the middle of an epoch from the batch index alone. In every scheme the batches of an epoch
together hold about as many samples as the pieces used, so that an epoch takes about the same time in all schemes.
Pieces that are too short for the scheme, in most cases shorter than a window, are skipped.
"""

from dataclasses import KW_ONLY, dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from rnnaudio.audio.arrays import Flags, Frames, Whole
from rnnaudio.audio.sources import HasPieces, Samples
from rnnaudio.errors import RnnaudioError

ALL = slice(None)
N_OFFSETS = 10
MAX_FIXED_SAMPLES = 2**24


class Batch(NamedTuple):
    """A batch of windows.

    frames
        (n_steps + 1, batch_size, frame_size) float32, standardised samples: (audio - mean) / std of the corpus.
    resets
        (batch_size,) bool, True for each item (window) before which the recurrent state must be reset to its initial
        value.
    """

    frames: Frames
    resets: Flags


class Batches(Protocol):
    """Interface of a batcher, which returns the batch of a given index; indices count from the start of training."""

    @property
    def batches_per_epoch(self) -> int: ...

    @property
    def carries_state(self) -> bool:
        """True if item b of a batch continues item b of the previous batch, except where `resets` is True."""

    def batch(self, index: int) -> Batch: ...

    def part(self, index: int, rows: slice) -> Batch:
        """Return the items ``rows`` of ``batch(index)``, for one of several processes that share each batch."""
        ...


@dataclass(frozen=True, eq=False)
class _Windows:
    """Base class of the batchers: common settings, and the positions where windows may begin.

    split: the pieces. frame_size: samples per frame. n_steps: frames per window, minus one. batch_size: windows per
    batch.

    RnnaudioError if a size is not a positive whole number, or if every piece is shorter than `span`.
    """

    split: HasPieces
    _: KW_ONLY
    frame_size: int  # samples
    n_steps: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("frame_size", "n_steps", "batch_size"):
            if not (isinstance(getattr(self, name), int | np.integer) and getattr(self, name) > 0):
                raise RnnaudioError(f"{name}: got {getattr(self, name)!r}, expected a whole number, at least 1")
        if not self.pieces:
            self._refuse()

    @property
    def hop(self) -> int:
        """Distance in samples between the starts of adjoining windows, which share one frame."""
        return self.n_steps * self.frame_size

    @property
    def window(self) -> int:
        """Length of a window in samples."""
        return self.hop + self.frame_size

    @property
    def span(self) -> int:
        """Number of samples that a piece must hold from each start position on.

        It is the length of a window, or more in schemes that read several windows from one start position.
        """
        return self.span_of(frame_size=self.frame_size, n_steps=self.n_steps, batch_size=self.batch_size)

    @staticmethod
    def span_of(*, frame_size: int, n_steps: int, batch_size: int) -> int:
        """Return the :attr:`span`, in samples, of a batcher with these sizes; frame_size is in samples."""
        return (n_steps + 1) * frame_size

    @cached_property
    def pieces(self) -> tuple[Samples, ...]:
        return tuple(piece for piece in self.split.pieces if piece.n_samples >= self.span)

    @cached_property
    def last_starts(self) -> Whole:
        """Last possible start position in each piece, in samples from its beginning; (n_pieces,)."""
        return np.array([piece.n_samples - self.span for piece in self.pieces])

    @cached_property
    def n_set(self) -> int:
        """Number of batches, at least 1, that hold as many samples as the pieces; frames in two windows count once."""
        return max(1, sum(piece.n_samples for piece in self.pieces) // (self.batch_size * self.hop))

    def locate(self, places: Whole) -> tuple[Whole, Whole]:
        """Convert indices of start positions to (piece numbers, start samples), (n,) each.

        places: (n,), from 0 to n_places() - 1; all possible start positions are counted through the pieces in order. A
        start sample is counted from the beginning of its piece.
        """
        ends = np.cumsum(self.last_starts + 1)
        numbers = np.searchsorted(ends, places, side="right")
        return numbers, places - ends[numbers] + self.last_starts[numbers] + 1

    def n_places(self) -> int:
        return int(np.sum(self.last_starts + 1))

    def batch(self, index: int) -> Batch:
        """Return batch number ``index``, counted from the start of training: a pure function of (seed, index)."""
        return self.part(index, ALL)

    def part(self, index: int, rows: slice) -> Batch:
        """Return the items ``rows`` of batch ``index``, for one of several processes that share each batch."""
        raise NotImplementedError

    def read(self, numbers: Whole, starts: Whole) -> Frames:
        """Read windows: (n_windows,) piece numbers and start samples -> (n_steps + 1, n_windows, frame_size) float32.

        numbers: indices into ``pieces``. starts: first sample of each window, counted from the beginning of its piece.
        """
        frames = np.empty((self.n_steps + 1, len(starts), self.frame_size), np.float32)
        for item, (number, start) in enumerate(zip(numbers.tolist(), starts.tolist(), strict=True)):
            window = self.pieces[number].read(start, start + self.window)
            frames[:, item] = window.reshape(-1, self.frame_size)
        return frames

    def _refuse(self) -> None:
        longest = max((piece.n_samples for piece in self.split.pieces), default=0)
        if self.frame_size > longest:
            raise RnnaudioError(
                f"frame_size is {self.frame_size} samples, but the longest piece has {longest}: lower "
                "frame_size or add longer pieces"
            )
        raise RnnaudioError(
            f"a batch needs {self.span} adjoining samples ({self.n_steps} + 1 frames of "
            f"{self.frame_size}), but the longest piece has {longest}: lower n_steps or frame_size"
        )


class RandomWindows(_Windows):
    """Batches of windows at independent, uniformly random positions of the split; longer pieces occur more often."""

    carries_state: ClassVar[bool] = False

    @property
    def batches_per_epoch(self) -> int:
        return self.n_set

    def part(self, index: int, rows: slice) -> Batch:
        """Return the windows ``rows`` of batch ``index``; (seed, index) determines the random positions."""
        places = np.random.default_rng((self.seed, index)).integers(self.n_places(), size=self.batch_size)[rows]
        return Batch(self.read(*self.locate(places)), _all_reset(len(places)))


class ShiftedWindows(_Windows):
    """Batches as in 2016: item b is the same random window shifted by b samples, b = 0 .. batch_size - 1.

    The items of a batch are nearly equal, so a batch holds little more information than a single window.
    """

    carries_state: ClassVar[bool] = False

    @staticmethod
    def span_of(*, frame_size: int, n_steps: int, batch_size: int) -> int:
        return (n_steps + 1) * frame_size + batch_size - 1

    @property
    def batches_per_epoch(self) -> int:
        return self.n_set

    def part(self, index: int, rows: slice) -> Batch:
        """Return the windows ``rows`` of batch ``index``; (seed, index) determines where window 0 begins."""
        place = np.random.default_rng((self.seed, index)).integers(self.n_places(), size=1)
        (number,), (start,) = self.locate(place)
        stretch = self.pieces[number].read(int(start), int(start) + self.span)
        windows = np.lib.stride_tricks.sliding_window_view(stretch, self.window)
        frames = windows.reshape(self.batch_size, -1, self.frame_size)[rows]  # a view, like the windows
        # axes change: (batch, time) -> (time, batch)
        return Batch(np.ascontiguousarray(frames.transpose(1, 0, 2)), _all_reset(len(frames)))


class FrameOffsets(_Windows):
    """Batches of all adjoining windows of the split, each once per epoch, in a random order set by seed and epoch.

    In epoch e the first window of each piece begins at (e modulo 10) tenths of a frame (or earlier, where a piece is
    too short for this), so that in ten epochs every sound occurs at ten positions within a frame. The last batch of an
    epoch is filled up with the first windows of the epoch's order.
    """

    carries_state: ClassVar[bool] = False

    def _counts(self, offset: int) -> tuple[Whole, Whole]:
        """Return the first start, in samples, and the number of windows of each piece, (n_pieces,) each.

        offset: first start in samples. A piece that is too short for the offset begins at its last possible start.
        """
        first_starts = np.minimum(offset, self.last_starts)
        return first_starts, (self.last_starts - first_starts) // self.hop + 1

    @property
    def batches_per_epoch(self) -> int:
        return -(-int(self._counts(0)[1].sum()) // self.batch_size)

    def part(self, index: int, rows: slice) -> Batch:
        """Return the windows ``rows`` of batch (index mod batches_per_epoch) of epoch (index // batches_per_epoch)."""
        epoch, step = divmod(index, self.batches_per_epoch)
        first_starts, counts = self._counts(epoch % N_OFFSETS * self.frame_size // N_OFFSETS)
        ends = np.cumsum(counts)
        order = permutation(self.seed, epoch, int(ends[-1]))
        chosen = order[(step * self.batch_size + np.arange(self.batch_size)[rows]) % len(order)]
        numbers = np.searchsorted(ends, chosen, side="right")
        starts = first_starts[numbers] + (chosen - ends[numbers] + counts[numbers]) * self.hop
        return Batch(self.read(numbers, starts), _all_reset(len(starts)))


class ConsecutiveWindows(_Windows):
    """Batches of parallel streams for carried state: item b of a batch continues item b of the previous batch.

    Each stream goes through the pieces in order, in adjoining windows (which share one frame). For each epoch the seed
    determines an offset for every stream and piece, 0 to n_steps * frame_size - 1 samples (fewer in short pieces): the
    position at which the stream enters the piece. The first stream begins at a random position of the split and the
    others at equal distances from it, so that together they cover the split about once. `resets` is True in the first
    batch of an epoch and where a stream enters a piece.
    """

    carries_state: ClassVar[bool] = True

    @property
    def batches_per_epoch(self) -> int:
        return self.n_set

    def part(self, index: int, rows: slice) -> Batch:
        """Return the windows of the streams ``rows`` in batch ``index``.

        It is batch (index mod batches_per_epoch) of epoch (index // batches_per_epoch).
        """
        epoch, step = divmod(index, self.batches_per_epoch)
        rng = np.random.default_rng((self.seed, epoch))
        offsets = rng.integers(self.hop, size=(self.batch_size, 1)) % (self.last_starts + 1)  # (stream, piece)
        counts = (self.last_starts - offsets) // self.hop + 1  # windows in each piece, (stream, piece)
        ends = np.cumsum(counts, axis=1)
        distances = (rng.random() + np.arange(self.batch_size) / self.batch_size) % 1.0
        walked = (np.floor(distances * ends[:, -1]).astype(int) + step) % ends[:, -1]
        numbers = np.sum(ends <= walked[:, None], axis=1)
        streams = np.arange(self.batch_size)
        within = walked - ends[streams, numbers] + counts[streams, numbers]
        starts = offsets[streams, numbers] + within * self.hop
        return Batch(self.read(numbers[rows], starts[rows]), ((within == 0) | (step == 0))[rows])


@dataclass(frozen=True, eq=False)
class RandomRuns(_Windows):
    """Batches as in the Fourier experiments of 2016: sequences of `n_segments` adjoining windows at random positions.

    Batch i holds window number (i mod n_segments) of each of batch_size sequences. The state is carried from window to
    window within a sequence. Batches 0, n_segments, 2 n_segments ... hold the first windows of new sequences: there
    `resets` is True for all items, and in all other batches it is False.
    """

    _: KW_ONLY
    n_segments: int = 10
    carries_state: ClassVar[bool] = True

    @property
    def span(self) -> int:
        return self.n_segments * self.hop + self.frame_size

    @property
    def batches_per_epoch(self) -> int:
        return self.n_set

    def part(self, index: int, rows: slice) -> Batch:
        """Return window number (index mod n_segments) of each of the sequences ``rows``.

        The random positions of the batch_size sequences are determined by (seed, index // n_segments).
        """
        run, segment = divmod(index, self.n_segments)
        places = np.random.default_rng((self.seed, run)).integers(self.n_places(), size=self.batch_size)[rows]
        numbers, starts = self.locate(places)
        return Batch(self.read(numbers, starts + segment * self.hop), np.full(len(places), segment == 0))


def fixed_windows(split: HasPieces, *, frame_size: int, n_steps: int, batch_size: int) -> list[Batch]:
    """Make a list of batches of fixed windows for validation, at start positions spread evenly over all pieces.

    frame_size: samples per frame. n_steps, batch_size: see :class:`Batch`.

    The batches together hold about as many samples as the split, but at most 2**24 (64 MiB, 17 minutes at 16 kHz), to
    limit memory use; there is at least one batch. RnnaudioError if a size is not a positive whole number, or if every
    piece is shorter than a window.
    """
    windows = _Windows(split, frame_size=frame_size, n_steps=n_steps, batch_size=batch_size, seed=0)
    n_batches = max(1, min(windows.n_set, MAX_FIXED_SAMPLES // (batch_size * windows.window)))
    n_items = n_batches * batch_size
    places = (2 * np.arange(n_items) + 1) * windows.n_places() // (2 * n_items)  # the middles of equal parts
    return [Batch(windows.read(*windows.locate(part)), _all_reset(batch_size)) for part in np.split(places, n_batches)]


def _all_reset(batch_size: int) -> Flags:
    return np.ones(batch_size, bool)


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, n: int) -> Whole:
    """Return a random order of n items, (n,) indices, determined by (seed, epoch); cached for the whole epoch."""
    return np.random.default_rng((seed, epoch)).permutation(n)
