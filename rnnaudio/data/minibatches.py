"""Minibatches of labelled images."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Images, Whole
from rnnaudio.data.batches import permutation


class LabelledBatch(NamedTuple):
    """A batch of images (batch, n_pixels) float32 and their labels (batch,) int64."""

    images: Images
    labels: Whole


@dataclass(frozen=True, eq=False)
class Minibatches:
    """Minibatches of all examples, each once per epoch, in random order; without ``shuffle``, in stored order.

    images: (n, n_pixels) float32; labels: (n,) int64. Examples that do not fill a batch are dropped. ``batch(index)``
    is a pure function of (seed, index); indices count from the start of training.
    """

    images: Images
    labels: Whole
    batch_size: int
    seed: int
    shuffle: bool = True
    carries_state: ClassVar[bool] = False

    @cached_property
    def batches_per_epoch(self) -> int:
        return len(self.labels) // self.batch_size

    def batch(self, index: int) -> LabelledBatch:
        return self.part(index, slice(None))

    def part(self, index: int, rows: slice) -> LabelledBatch:
        """Return the examples ``rows`` of batch ``index``, for one of several processes that share each batch."""
        epoch, step = divmod(index, self.batches_per_epoch)
        batch = slice(step * self.batch_size, (step + 1) * self.batch_size)
        order = permutation(self.seed, epoch, len(self.labels)) if self.shuffle else np.arange(len(self.labels))
        chosen = order[batch][rows]
        return LabelledBatch(self.images[chosen], self.labels[chosen])
