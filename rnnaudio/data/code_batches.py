"""Batches of code sequences for models that carry their state from batch to batch."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Codes, Flags, Whole
from rnnaudio.errors import RnnaudioError


class CodeBatch(NamedTuple):
    """A batch of windows of codes.

    codes
        (n_context + n_steps, batch_size, n_stages), of the integer dtype of the sequences.
    resets
        (batch_size,) bool, True for each item (window) before which the recurrent state must be reset to its initial
        value.
    """

    codes: Codes
    resets: Flags


@dataclass(frozen=True, eq=False)
class CodeStreams:
    """Batches of parallel streams through code sequences: item b of a batch continues item b of the one before.

    The sequences have the shape (n_frames, n_stages). A window consists of n_context frames that serve as context
    only, followed by n_steps frames to predict.

    For each epoch the seed determines a random order of the sequences and a random window in this order. The first
    stream begins there and the others at equal distances from it, so that together they cover all sequences about
    once. Windows do not cross the end of a sequence: a stream that reaches the end continues with the next sequence,
    with a reset. Sequences shorter than a window are skipped; RnnaudioError if all are shorter.
    """

    sequences: tuple[Codes, ...]
    n_steps: int
    batch_size: int
    seed: int
    n_context: int = 1
    carries_state: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.usable:
            raise too_short(self.sequences, self.n_steps, self.n_context, "piece")

    @cached_property
    def usable(self) -> tuple[Codes, ...]:
        """Sequences that are not shorter than a window: those of at least n_context + n_steps frames."""
        return tuple(sequence for sequence in self.sequences if len(sequence) >= self.n_context + self.n_steps)

    @property
    def batches_per_epoch(self) -> int:
        return max(1, sum((n - 1) // self.n_steps for n in self._lengths) // self.batch_size)

    def batch(self, index: int) -> CodeBatch:
        """Return batch (index mod batches_per_epoch) of epoch (index // batches_per_epoch)."""
        return self.part(index, slice(None))

    def part(self, index: int, rows: slice) -> CodeBatch:
        """Return the items ``rows`` of batch ``index``, for one of several processes that share each batch."""
        windows, resets = self.windows(index, rows)
        return CodeBatch(self.codes_of(windows), resets)

    def windows(self, index: int, rows: slice) -> tuple[Whole, Flags]:
        """Find the windows of the items ``rows`` of batch ``index``; returns (windows, resets).

        windows: (n, 2) integers, rows of (index into `usable`, first frame), see :func:`walk`. resets: (n,) bool, True
        where the state must be reset before the window.
        """
        epoch, step = divmod(index, self.batches_per_epoch)
        windows = walk(self._lengths, self.n_steps, self.seed, epoch)
        streams = np.arange(self.batch_size)[rows]
        places = (streams * len(windows) // self.batch_size + step) % len(windows)
        before = windows[places - 1]
        continues = (before[:, 0] == windows[places, 0]) & (before[:, 1] + self.n_steps == windows[places, 1])
        return windows[places], ~continues | (step == 0)

    def codes_of(self, windows: Whole) -> Codes:
        """Return the codes of windows: rows of :meth:`windows` (n, 2) -> (n_context + n_steps, n, n_stages)."""
        n = self.n_context + self.n_steps
        return np.stack([self.usable[k][start : start + n] for k, start in windows], axis=1)

    @cached_property
    def _lengths(self) -> tuple[int, ...]:
        """Length of each usable sequence in frames, minus the frames of context beyond the first."""
        return tuple(len(sequence) - self.n_context + 1 for sequence in self.usable)


@lru_cache(maxsize=4)
def walk(lengths: tuple[int, ...], n_steps: int, seed: int, epoch: int) -> Whole:
    """List the windows of an epoch, in order: an integer array (n_windows, 2) of rows (sequence number, first frame).

    lengths: lengths of the sequences in frames, each above n_steps. (seed, epoch) determines the order of the
    sequences, the first frame used of each, and the window with which the epoch begins. Successive windows of a
    sequence begin n_steps frames apart.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = []
    for number in rng.permutation(len(lengths)):
        offset = int(rng.integers(min(n_steps, lengths[number] - n_steps)))
        rows += [(number, start) for start in range(offset, lengths[number] - n_steps, n_steps)]
    return np.roll(np.array(rows), -int(rng.integers(len(rows))), axis=0)


def fixed_code_windows(
    sequences: tuple[Codes, ...], n_steps: int, batch_size: int, n_context: int = 1
) -> list[CodeBatch]:
    """Make batches of windows of all sequences, for validation; each window starts from the initial state.

    sequences: (n_frames, n_stages) each. A window has n_context frames of context, then n_steps frames to predict. The
    predicted frames of successive windows adjoin, so that the windows overlap by n_context frames. The last batch may
    be smaller. Sequences shorter than a window are skipped; RnnaudioError if all are shorter.
    """
    windows = [
        sequences[k][start : start + n_context + n_steps] for k, start in fixed_places(sequences, n_steps, n_context)
    ]
    if not windows:
        raise too_short(sequences, n_steps, n_context, "validation piece")
    batches = [np.stack(windows[k : k + batch_size], axis=1) for k in range(0, len(windows), batch_size)]
    return [CodeBatch(codes, np.ones(codes.shape[1], bool)) for codes in batches]


def fixed_places(sequences: tuple[Codes, ...], n_steps: int, n_context: int = 1) -> list[tuple[int, int]]:
    """List the starts of the windows of :func:`fixed_code_windows`, in order: (sequence number, first frame)."""
    return [
        (k, start)
        for k, sequence in enumerate(sequences)
        for start in range(0, len(sequence) - n_context - n_steps + 1, n_steps)
    ]


def too_short(sequences: tuple[Codes, ...], n_steps: int, n_context: int, kind: str) -> RnnaudioError:
    """Make the error for windows longer than every sequence; ``kind``: the word for a sequence in its message."""
    longest = max((len(sequence) for sequence in sequences), default=0)
    return RnnaudioError(
        f"n_steps is {n_steps}, which with {n_context} of context makes {n_context + n_steps} frames, but the longest "
        f"{kind} has {longest}: lower n_steps"
    )
