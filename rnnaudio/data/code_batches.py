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
        (batch_size,) bool, True for items before which the carried state must be reset to its initial value.
    """

    codes: Codes
    resets: Flags


@dataclass(frozen=True, eq=False)
class CodeStreams:
    """Parallel streams through code sequences for carried state: item b of a batch continues item b of the one before.

    The sequences have the shape (n_frames, n_stages). A window consists of n_context frames that serve as context
    only, followed by n_steps frames to predict.

    For each epoch the seed determines a random order of the sequences and a random window in this order. The first
    stream begins there and the others at equal distances from it, so that together they cover all sequences about
    once. Windows do not cross the end of a sequence: a stream that reaches the end continues with the next sequence,
    with a reset. Sequences shorter than a window are skipped; RnnaudioError if all are.
    """

    sequences: tuple[Codes, ...]
    n_steps: int
    batch_size: int
    seed: int
    n_context: int = 1
    carries_state: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self._usable:
            raise too_short(self.sequences, self.n_steps, self.n_context, "piece")

    @cached_property
    def _usable(self) -> tuple[Codes, ...]:
        return tuple(sequence for sequence in self.sequences if len(sequence) >= self.n_context + self.n_steps)

    @property
    def batches_per_epoch(self) -> int:
        return max(1, sum((n - 1) // self.n_steps for n in self._lengths) // self.batch_size)

    def batch(self, index: int) -> CodeBatch:
        """Batch number (index mod batches_per_epoch) of epoch number (index // batches_per_epoch)."""
        return self.part(index, slice(None))

    def part(self, index: int, rows: slice) -> CodeBatch:
        """The sequences ``rows`` of batch ``index``, for one of several processes."""
        epoch, step = divmod(index, self.batches_per_epoch)
        windows = walk(self._lengths, self.n_steps, self.seed, epoch)
        streams = np.arange(self.batch_size)[rows]
        places = (streams * len(windows) // self.batch_size + step) % len(windows)
        before = windows[places - 1]
        items = [self._usable[n][start : start + self.n_context + self.n_steps] for n, start in windows[places]]
        continues = (before[:, 0] == windows[places, 0]) & (before[:, 1] + self.n_steps == windows[places, 1])
        return CodeBatch(np.stack(items, axis=1), ~continues | (step == 0))

    @cached_property
    def _lengths(self) -> tuple[int, ...]:
        """Lengths of the usable sequences in frames, minus the frames of context beyond the first."""
        return tuple(len(sequence) - self.n_context + 1 for sequence in self._usable)


@lru_cache(maxsize=4)
def walk(lengths: tuple[int, ...], n_steps: int, seed: int, epoch: int) -> Whole:
    """Windows of an epoch, in order: an integer array (n_windows, 2) of rows (sequence number, first frame).

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
    """Batches of windows of all sequences, for validation; each window starts from the initial state.

    sequences: (n_frames, n_stages) each. A window has n_context frames of context, then n_steps frames to predict. The
    predicted frames of successive windows adjoin, so that the windows overlap by n_context. The last batch may be
    smaller. Sequences shorter than a window are skipped; RnnaudioError if all are.
    """
    windows = [
        sequence[start : start + n_context + n_steps]
        for sequence in sequences
        for start in range(0, len(sequence) - n_context - n_steps + 1, n_steps)
    ]
    if not windows:
        raise too_short(sequences, n_steps, n_context, "validation piece")
    batches = [np.stack(windows[k : k + batch_size], axis=1) for k in range(0, len(windows), batch_size)]
    return [CodeBatch(codes, np.ones(codes.shape[1], bool)) for codes in batches]


def too_short(sequences: tuple[Codes, ...], n_steps: int, n_context: int, kind: str) -> RnnaudioError:
    """Make the error for windows longer than every sequence; ``kind`` is the word for a sequence in the message."""
    longest = max((len(sequence) for sequence in sequences), default=0)
    return RnnaudioError(
        f"n_steps is {n_steps}, which with {n_context} of context makes {n_context + n_steps} frames, but the longest "
        f"{kind} has {longest}: lower n_steps"
    )
