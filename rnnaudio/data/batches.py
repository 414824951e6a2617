"""Batches of windows: five ways to choose them, each a pure function of (seed, index).

A window is n_steps + 1 frames of frame_size adjoining samples of one piece: n_steps inputs, and one frame more so that
the targets may lie a frame ahead. A batcher is a frozen description; it remembers nothing, so a run resumes in the
middle of an epoch with the index alone. In all of them an epoch is one set's worth of samples: as many batches as hold
the split once, so that epochs cost the same. Pieces shorter than a window are left out.
"""

from dataclasses import KW_ONLY, dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from rnnaudio.audio.sources import HasPieces, Samples
from rnnaudio.errors import RnnaudioError

N_OFFSETS = 10
MAX_FIXED_SAMPLES = 2**24


class Batch(NamedTuple):
    """frames: (n_steps + 1, batch_size, frame_size) float32, standardised; resets: (batch_size,) bool, True where a
    carried state has to start anew."""

    frames: np.ndarray
    resets: np.ndarray


class Batches(Protocol):
    """What training needs of a batcher; `index` counts batches from the start of training."""

    @property
    def batches_per_epoch(self) -> int: ...

    @property
    def carries_state(self) -> bool:
        """Whether item b of a batch continues item b of the batch before, except where `resets` says otherwise."""

    def batch(self, index: int) -> Batch: ...


@dataclass(frozen=True, eq=False)
class _Windows:
    """The fields of every batcher, and the places where its windows may begin.

    Raises RnnaudioError if a size is not a positive whole number, and if every piece is shorter than a window.
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
        """Samples from one window to the adjoining one, which share a frame."""
        return self.n_steps * self.frame_size

    @property
    def window(self) -> int:
        """Samples in a window."""
        return self.hop + self.frame_size

    @property
    def span(self) -> int:
        """Samples that have to be there from the place that is drawn."""
        return self.window

    @cached_property
    def pieces(self) -> tuple[Samples, ...]:
        return tuple(piece for piece in self.split.pieces if piece.n_samples >= self.span)

    @cached_property
    def last_starts(self) -> np.ndarray:
        """(n_pieces,): the last sample of each piece at which a window may begin."""
        return np.array([piece.n_samples - self.span for piece in self.pieces])

    @cached_property
    def n_set(self) -> int:
        """Batches that hold as many samples as the pieces (the shared frame not counted twice)."""
        return max(1, sum(piece.n_samples for piece in self.pieces) // (self.batch_size * self.hop))

    def locate(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(piece numbers, starts) of places counted through all possible starts of all pieces."""
        ends = np.cumsum(self.last_starts + 1)
        numbers = np.searchsorted(ends, places, side="right")
        return numbers, places - ends[numbers] + self.last_starts[numbers] + 1

    def n_places(self) -> int:
        return int(np.sum(self.last_starts + 1))

    def read(self, numbers: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """The frames of the windows at these starts, time-major."""
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
    """Every item begins anywhere in the set, each possible sample equally likely (so pieces weigh by length)."""

    carries_state: ClassVar[bool] = False

    @property
    def batches_per_epoch(self) -> int:
        return self.n_set

    def batch(self, index: int) -> Batch:
        """The batch of that index, at random places drawn from (seed, index)."""
        places = np.random.default_rng((self.seed, index)).integers(self.n_places(), size=self.batch_size)
        return Batch(self.read(*self.locate(places)), _all_reset(self.batch_size))


class ShiftedWindows(_Windows):
    """The batch of 2016: one random window; item b is that window moved by b samples, b = 0 .. batch_size - 1.

    The items are nearly equal, so the batch holds little more than one window does.
    """

    carries_state: ClassVar[bool] = False

    @property
    def span(self) -> int:
        return self.window + self.batch_size - 1

    @property
    def batches_per_epoch(self) -> int:
        return self.n_set

    def batch(self, index: int) -> Batch:
        """The batch of that index, at one random place drawn from (seed, index)."""
        place = np.random.default_rng((self.seed, index)).integers(self.n_places(), size=1)
        (number,), (start,) = self.locate(place)
        stretch = self.pieces[number].read(int(start), int(start) + self.span)
        windows = np.lib.stride_tricks.sliding_window_view(stretch, self.window)
        frames = windows.reshape(self.batch_size, -1, self.frame_size)  # a view, as the windows are
        # axes change: (batch, time) -> (time, batch)
        return Batch(np.ascontiguousarray(frames.transpose(1, 0, 2)), _all_reset(self.batch_size))


class FrameOffsets(_Windows):
    """Every window of the set once an epoch: windows adjoin, in an order drawn for each epoch from the seed.

    Epoch e begins all pieces at (e modulo 10) tenths of a frame, so that ten epochs show every sound at ten places
    within the frame. The last batch of an epoch is filled up with the windows that came first.
    """

    carries_state: ClassVar[bool] = False

    def _counts(self, offset: int) -> tuple[np.ndarray, np.ndarray]:
        """(first starts, numbers of windows) of the pieces; a piece with less room to spare is moved by less."""
        first_starts = np.minimum(offset, self.last_starts)
        return first_starts, (self.last_starts - first_starts) // self.hop + 1

    @property
    def batches_per_epoch(self) -> int:
        return -(-int(self._counts(0)[1].sum()) // self.batch_size)

    def batch(self, index: int) -> Batch:
        """The batch of that index: batch index mod batches_per_epoch of epoch index // batches_per_epoch."""
        epoch, step = divmod(index, self.batches_per_epoch)
        first_starts, counts = self._counts(epoch % N_OFFSETS * self.frame_size // N_OFFSETS)
        ends = np.cumsum(counts)
        order = permutation(self.seed, epoch, int(ends[-1]))
        chosen = order[(step * self.batch_size + np.arange(self.batch_size)) % len(order)]
        numbers = np.searchsorted(ends, chosen, side="right")
        starts = first_starts[numbers] + (chosen - ends[numbers] + counts[numbers]) * self.hop
        return Batch(self.read(numbers, starts), _all_reset(self.batch_size))


class ConsecutiveWindows(_Windows):
    """Parallel streams for carried state: item b of a batch continues item b of the batch before.

    Each stream walks through the pieces in order, window adjoining window (they share the one extra frame). For each
    epoch the seed gives every stream a phase, from 0 to n_steps * frame_size - 1 samples, at which it enters each
    piece, and the streams begin at equal distances in the set, from a place drawn with the same seed, so that together
    they go through it about once. `resets` is True in the first batch of an epoch and where a stream enters a piece.
    """

    carries_state: ClassVar[bool] = True

    @property
    def batches_per_epoch(self) -> int:
        return self.n_set

    def batch(self, index: int) -> Batch:
        """The batch of that index: batch index mod batches_per_epoch of epoch index // batches_per_epoch."""
        epoch, step = divmod(index, self.batches_per_epoch)
        rng = np.random.default_rng((self.seed, epoch))
        phases = rng.integers(self.hop, size=(self.batch_size, 1)) % (self.last_starts + 1)  # (stream, piece)
        counts = (self.last_starts - phases) // self.hop + 1  # windows of each piece in each stream's walk
        ends = np.cumsum(counts, axis=1)
        distances = (rng.random() + np.arange(self.batch_size) / self.batch_size) % 1.0
        walked = (np.floor(distances * ends[:, -1]).astype(int) + step) % ends[:, -1]
        numbers = np.sum(ends <= walked[:, None], axis=1)
        streams = np.arange(self.batch_size)
        within = walked - ends[streams, numbers] + counts[streams, numbers]
        starts = phases[streams, numbers] + within * self.hop
        return Batch(self.read(numbers, starts), (within == 0) | (step == 0))


@dataclass(frozen=True, eq=False)
class RandomRuns(_Windows):
    """The Fourier batches of 2016: random places, each followed for `n_segments` adjoining windows with carried state.

    `resets` is True for all items in every n_segments-th batch, which begins at new places, and in no other.
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

    def batch(self, index: int) -> Batch:
        """The batch of that index: segment index mod n_segments of places drawn from (seed, index // n_segments)."""
        run, segment = divmod(index, self.n_segments)
        places = np.random.default_rng((self.seed, run)).integers(self.n_places(), size=self.batch_size)
        numbers, starts = self.locate(places)
        return Batch(self.read(numbers, starts + segment * self.hop), np.full(self.batch_size, segment == 0))


def fixed_windows(split: HasPieces, *, frame_size: int, n_steps: int, batch_size: int) -> list[Batch]:
    """Windows for validation: spread evenly over all pieces, the same at each call.

    As many batches as hold the split once, at least one, and at most 2**24 samples (64 MiB, 17 minutes at 16 kHz) so
    that they fit in memory whatever the split. Raises RnnaudioError like the batchers.
    """
    windows = _Windows(split, frame_size=frame_size, n_steps=n_steps, batch_size=batch_size, seed=0)
    n_batches = max(1, min(windows.n_set, MAX_FIXED_SAMPLES // (batch_size * windows.window)))
    n_items = n_batches * batch_size
    places = (2 * np.arange(n_items) + 1) * windows.n_places() // (2 * n_items)  # the middles of equal parts
    return [Batch(windows.read(*windows.locate(part)), _all_reset(batch_size)) for part in np.split(places, n_batches)]


def _all_reset(batch_size: int) -> np.ndarray:
    return np.ones(batch_size, bool)


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """A permutation of n windows; kept, as it is the same for all batches of an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(n)
