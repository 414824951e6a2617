"""Images for models that generate them: checked, and made binary."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from rnnaudio.data.batches import permutation
from rnnaudio.errors import RnnaudioError

PURPOSE = 4  # keeps these draws apart from those of batches, weights and noise of the same seed


class ImageBatch(NamedTuple):
    """images (batch, n) float32."""

    images: np.ndarray


def checked_images(images: np.ndarray, n_pixels: int, name: str = "images") -> np.ndarray:
    """The images (n, n_pixels) as float32; RnnaudioError if they have another size, or values outside 0 to 1."""
    images = np.asarray(images)
    if images.ndim != 2 or images.shape[1] != n_pixels or not len(images):
        raise RnnaudioError(f"{name} are {images.shape}; expected (number of images, {n_pixels}), at least one")
    if not np.isfinite(images).all():
        raise RnnaudioError(f"{name} hold {np.sum(~np.isfinite(images))} values that are not finite; remove those")
    if images.min() < 0 or images.max() > 1:
        raise RnnaudioError(
            f"{name} run from {images.min():g} to {images.max():g}; expected 0 to 1: scale them (divide by 255, say)"
        )
    return images.astype(np.float32, copy=False)


def binarised(images: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
    """Each pixel p becomes 1 with probability p, else 0; ``key`` alone decides the draws."""
    draws = np.random.default_rng((*key, PURPOSE)).random(images.shape, np.float32)
    return (draws < images).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ImageBatches:
    """All images once an epoch in an order drawn anew; a remainder is left out. ``batch(index)`` is pure.

    With ``binary`` each batch is :func:`binarised` by a draw of its own, so an image is another one in each epoch
    (dynamic binarisation).
    """

    images: np.ndarray
    batch_size: int
    seed: int
    binary: bool = True
    carries_state: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= len(self.images):
            raise RnnaudioError(
                f"batch_size is {self.batch_size}; expected 1 to the number of images, {len(self.images)}"
            )

    @cached_property
    def batches_per_epoch(self) -> int:
        return len(self.images) // self.batch_size

    def batch(self, index: int) -> ImageBatch:
        epoch, step = divmod(index, self.batches_per_epoch)
        chosen = permutation(self.seed, epoch, len(self.images))[step * self.batch_size :][: self.batch_size]
        images = self.images[chosen]
        return ImageBatch(binarised(images, (self.seed, index, 1)) if self.binary else images)


def in_batches(images: np.ndarray, batch_size: int) -> list[ImageBatch]:
    """All of them in their order, the last batch shorter where they do not fit."""
    return [ImageBatch(images[first : first + batch_size]) for first in range(0, len(images), batch_size)]


def nearest(images: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each image (n, pixels) the index of the one ``among`` (m, pixels) at the smallest squared distance."""
    squares = np.sum(among.astype(np.float64) ** 2, axis=1)
    return np.argmin(squares[None] - 2.0 * (images @ among.T), axis=1)
