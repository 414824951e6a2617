"""Minibatches of labelled images."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from rnnaudio.data.batches import permutation


class LabelledBatch(NamedTuple):
    """images (batch, n) float32; labels (batch,) int64."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Minibatches:
    """All examples once an epoch, in an order drawn for each epoch from the seed; a remainder is left out.

    ``batch(index)`` depends on (seed, index) alone; index counts from the start of training.
    """

    images: np.ndarray
    labels: np.ndarray
    batch_size: int
    seed: int
    carries_state: ClassVar[bool] = False

    @cached_property
    def batches_per_epoch(self) -> int:
        return len(self.labels) // self.batch_size

    def batch(self, index: int) -> LabelledBatch:
        epoch, step = divmod(index, self.batches_per_epoch)
        chosen = permutation(self.seed, epoch, len(self.labels))[step * self.batch_size : (step + 1) * self.batch_size]
        return LabelledBatch(self.images[chosen], self.labels[chosen])
