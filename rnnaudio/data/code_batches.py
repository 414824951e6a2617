"""Batches of code sequences for models that carry their state."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from rnnaudio.errors import RnnaudioError


class CodeBatch(NamedTuple):
    """codes: (n_context + n_steps, batch_size, n_stages), whole numbers of the sequences' type; resets: (batch_size,)
    bool, True where a state starts anew."""

    codes: np.ndarray
    resets: np.ndarray


@dataclass(frozen=True, eq=False)
class CodeStreams:
    """Parallel walks through sequences (n_frames, n_stages): item b of a batch goes on where item b of the last ended.

    A window is n_context frames that are only heard, and n_steps that are foretold.

    For each epoch the seed puts the sequences in an order, end to end, and the streams at equal distances in them,
    from a place drawn too, so that together they go through all of it once. A window does not reach over the end of
    its sequence: a stream that comes near it goes on to the next one, with a reset. RnnaudioError if no sequence holds
    a window.
    """

    sequences: tuple[np.ndarray, ...]
    n_steps: int
    batch_size: int
    seed: int
    n_context: int = 1
    carries_state: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self._usable:
            raise too_short(self.sequences, self.n_steps, "piece")

    @cached_property
    def _usable(self) -> tuple[np.ndarray, ...]:
        return tuple(sequence for sequence in self.sequences if len(sequence) >= self.n_context + self.n_steps)

    @property
    def batches_per_epoch(self) -> int:
        return max(1, sum((n - 1) // self.n_steps for n in self._lengths) // self.batch_size)

    def batch(self, index: int) -> CodeBatch:
        """The batch of that index."""
        epoch, step = divmod(index, self.batches_per_epoch)
        windows = walk(self._lengths, self.n_steps, self.seed, epoch)
        places = (np.arange(self.batch_size) * len(windows) // self.batch_size + step) % len(windows)
        before = windows[places - 1]
        items = [self._usable[n][start : start + self.n_context + self.n_steps] for n, start in windows[places]]
        goes_on = (before[:, 0] == windows[places, 0]) & (before[:, 1] + self.n_steps == windows[places, 1])
        return CodeBatch(np.stack(items, axis=1), ~goes_on | (step == 0))

    @cached_property
    def _lengths(self) -> tuple[int, ...]:
        """Those of the sequences, as if only one frame were heard before a window."""
        return tuple(len(sequence) - self.n_context + 1 for sequence in self._usable)


@lru_cache(maxsize=4)
def walk(lengths: tuple[int, ...], n_steps: int, seed: int, epoch: int) -> np.ndarray:
    """(n_windows, 2): sequence and first frame of adjoining windows, in the epoch's order, begun at its phase."""
    rng = np.random.default_rng((seed, epoch))
    rows = []
    for number in rng.permutation(len(lengths)):
        phase = int(rng.integers(min(n_steps, lengths[number] - n_steps)))
        rows += [(number, start) for start in range(phase, lengths[number] - n_steps, n_steps)]
    return np.roll(np.array(rows), -int(rng.integers(len(rows))), axis=0)


def fixed_code_windows(
    sequences: tuple[np.ndarray, ...], n_steps: int, batch_size: int, n_context: int = 1
) -> list[CodeBatch]:
    """Adjoining windows of all sequences for validation, each from a fresh state; the last batch may be smaller."""
    windows = [
        sequence[start : start + n_context + n_steps]
        for sequence in sequences
        for start in range(0, len(sequence) - n_context - n_steps + 1, n_steps)
    ]
    if not windows:
        raise too_short(sequences, n_steps, "validation piece")
    batches = [np.stack(windows[k : k + batch_size], axis=1) for k in range(0, len(windows), batch_size)]
    return [CodeBatch(codes, np.ones(codes.shape[1], bool)) for codes in batches]


def too_short(sequences: tuple[np.ndarray, ...], n_steps: int, what: str) -> RnnaudioError:
    """For windows that no sequence holds."""
    longest = max((len(sequence) for sequence in sequences), default=0)
    return RnnaudioError(f"n_steps is {n_steps}, but the longest {what} has {longest} frames: lower it")
