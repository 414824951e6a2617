"""Minibatches of labelled images."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rnnaudio.data.batches import permutation


class LabelledBatch(NamedTuple):
    """images (batch, n) float32; labels (batch,) int64."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Minibatches:
    """All examples once an epoch, in an order drawn for each epoch from the seed (or, without ``shuffle``, as they
    lie); a remainder is left out.

    ``batch(index)`` depends on (seed, index) alone; index counts from the start of training.
    """

    images: np.ndarray
    labels: np.ndarray
    batch_size: int
    seed: int
    shuffle: bool = True
    carries_state: ClassVar[bool] = False

    @cached_property
    def batches_per_epoch(self) -> int:
        return len(self.labels) // self.batch_size

    def batch(self, index: int) -> LabelledBatch:
        epoch, step = divmod(index, self.batches_per_epoch)
        chosen: Any = slice(step * self.batch_size, (step + 1) * self.batch_size)
        if self.shuffle:
            chosen = permutation(self.seed, epoch, len(self.labels))[chosen]
        return LabelledBatch(self.images[chosen], self.labels[chosen])
