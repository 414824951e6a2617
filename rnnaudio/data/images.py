"""Images for generative models: checks, binarisation, batches."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Images, Whole
from rnnaudio.data.batches import permutation
from rnnaudio.errors import RnnaudioError

PURPOSE = 4  # makes these random numbers differ from those of batches, weights and noise with the same seed


class ImageBatch(NamedTuple):
    """A batch of images, (batch, n_pixels) float32, 0 to 1."""

    images: Images


def checked_images(images: Images, n_pixels: int, name: str = "images") -> Images:
    """Return images (n, n_pixels) as float32; RnnaudioError for another shape, no image, or values outside 0 to 1.

    name: word for the images in the error message.
    """
    images = np.asarray(images)
    if images.ndim != 2 or images.shape[1] != n_pixels or not len(images):
        raise RnnaudioError(f"{name} have shape {images.shape}; expected (number of images, {n_pixels}), at least one")
    if not np.isfinite(images).all():
        raise RnnaudioError(f"{name} hold {np.sum(~np.isfinite(images))} values that are not finite; remove them")
    if images.min() < 0 or images.max() > 1:
        raise RnnaudioError(
            f"{name} range from {images.min():g} to {images.max():g}; expected 0 to 1: scale them (divide by 255, say)"
        )
    return images.astype(np.float32, copy=False)


def binarised(images: Images, key: tuple[int, ...]) -> Images:
    """Sample binary images of the same shape, float32: a pixel of value p becomes 1 with probability p, else 0.

    key: whole numbers that seed the random numbers; the same key gives the same result.
    """
    uniform = np.random.default_rng((*key, PURPOSE)).random(images.shape, np.float32)
    return (uniform < images).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ImageBatches:
    """Batches of all images, each once per epoch, in random order; images that do not fill a batch are dropped.

    images: (n, n_pixels) float32, 0 to 1. ``batch(index)`` is a pure function of (seed, index). With ``binary`` each
    batch is :func:`binarised` with its own random numbers, so that an image differs from epoch to epoch (dynamic
    binarisation). RnnaudioError for a batch size below 1 or above the number of images.
    """

    images: Images
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


def in_batches(images: Images, batch_size: int) -> list[ImageBatch]:
    """Divide images (n, n_pixels) into batches, in their order; the last batch may be smaller."""
    return [ImageBatch(images[first : first + batch_size]) for first in range(0, len(images), batch_size)]


def nearest(images: Images, among: Images) -> Whole:
    """Find the nearest neighbour of each of the images (n, n_pixels) in ``among`` (m, n_pixels); returns indices (n,).

    The distance is the sum of squared differences over pixels.
    """
    squares = np.sum(among.astype(np.float64) ** 2, axis=1)
    return np.argmin(squares[None] - 2.0 * (images @ among.T), axis=1)
