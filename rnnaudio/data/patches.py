"""Patches of log-magnitude spectrograms as images, with time to the right and frequency upwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from rnnaudio.audio.arrays import Features, Images, Magnitudes, Whole
from rnnaudio.audio.scaling import LogScale, check_rate, spread_magnitudes
from rnnaudio.audio.sources import HasPieces, Samples
from rnnaudio.audio.stft import STFT
from rnnaudio.data.images import ImageBatch, nearest
from rnnaudio.errors import RnnaudioError

FRAMES_AT_ONCE = 512
HEADROOM = 1.1
PURPOSE = 10  # makes these random numbers differ from those of weights, noise and other batches with the same seed


@dataclass(frozen=True, eq=False)
class PatchScale:
    """Scaling of the log-magnitudes of the lowest ``n_bins`` bins to 0 (silence) .. 1.

        x = log(1 + c |X| / sqrt(n)) / top

    Unlike mel bands (:class:`MelScale`), bins on a linear frequency axis can be inverted exactly. Higher bins are
    discarded; the inverse sets them to zero. ``logs`` holds the compression c, the window length n and top, which is
    10 % above the largest logarithm in the training data; larger values are clipped to x = 1. ``deviation`` is the
    standard deviation of x over the training frames: a likelihood of x / deviation does not depend on top.
    """

    logs: LogScale
    n_bins: int
    deviation: float

    @classmethod
    def fit(cls, split: HasPieces, stft: STFT, n_bins: int, *, compression: float = 30.0) -> "PatchScale":
        """Fit a scale to frames spread over the (training) split, about 20,000 at most.

        n_bins: number of the lowest bins to use. compression: the factor c.

        RnnaudioError if every piece is shorter than a frame, all frames are silent or equal, values are NaN, the split
        and the transform differ in sample rate, or n_bins exceeds the number of bins of the transform.
        """
        check_rate(split, stft)
        if not 1 <= n_bins <= stft.n_bins:
            raise RnnaudioError(f"n_bins: got {n_bins}, expected 1 to {stft.n_bins}, the bins of the window")
        plain = LogScale(stft, compression, np.zeros(stft.n_bins), 1.0)
        logs = np.concatenate([plain.scaled(part)[:, :n_bins] for part in spread_magnitudes(split, stft)])
        if logs.min() == logs.max():
            raise RnnaudioError(f"all frames of {stft.window_samples} samples are equal or silent: give other audio")
        top = HEADROOM * float(logs.max())
        deviation = float(np.sqrt(np.mean(np.var(logs, axis=0, dtype=np.float64)))) / top
        return cls(LogScale(stft, compression, np.zeros(stft.n_bins), top), n_bins, deviation)

    @property
    def stft(self) -> STFT:
        return self.logs.stft

    def scaled(self, magnitudes: Magnitudes) -> Features:
        """Scale magnitudes |X|: (..., stft.n_bins) -> (..., n_bins) float32, 0 to 1."""
        return np.minimum(self.logs.scaled(magnitudes)[..., : self.n_bins], np.float32(1.0))

    def magnitudes(self, scaled: Features) -> Magnitudes:
        """Invert to magnitudes |X|: (..., n_bins) -> (..., stft.n_bins) float64."""
        above = np.zeros((*scaled.shape[:-1], self.stft.n_bins - self.n_bins))
        return self.logs.magnitudes(np.concatenate([scaled, above], axis=-1))

    def spectrogram(self, piece: Samples) -> Features:
        """Compute the scaled magnitudes of all whole frames of a piece, (n_frames, n_bins) float32.

        There are no rows for a piece shorter than a frame.
        """
        n, hop = self.stft.window_samples, self.stft.hop_samples
        n_frames = max(0, (piece.n_samples - n) // hop + 1)
        scaled = np.empty((n_frames, self.n_bins), np.float32)
        for first in range(0, n_frames, FRAMES_AT_ONCE):
            last = min(first + FRAMES_AT_ONCE, n_frames)
            audio = piece.read(first * hop, (last - 1) * hop + n)
            frames = np.lib.stride_tricks.sliding_window_view(audio, n)[::hop]
            scaled[first:last] = self.scaled(np.abs(self.stft.of_frames(frames)))
        return scaled


def spectrograms(split: HasPieces, scale: PatchScale, n_frames: int) -> list[Features]:
    """Compute the scaled spectrograms, (time, n_bins) each, of all pieces with at least ``n_frames`` frames.

    RnnaudioError if there is no such piece.
    """
    every = [scale.spectrogram(piece) for piece in split.pieces]
    long_enough = [rows for rows in every if len(rows) >= n_frames]
    if not long_enough:
        name, longest = getattr(split, "name", "given"), max(map(len, every), default=0)
        raise RnnaudioError(
            f"no piece of the split {name!r} has a patch of {n_frames} frames, the longest has {longest}: give longer "
            "pieces, or use fewer frames"
        )
    return long_enough


def patches_at(spectrogram: Features, starts: Whole, n_frames: int) -> Images:
    """Cut a patch of frames start .. start + n_frames - 1 out of a spectrogram (time, n_bins) for each start.

    Returns images (n, n_bins * n_frames), stored row by row; each is n_bins high and n_frames wide, with the highest
    frequency in its first row. starts: (n,) indices of frames.
    """
    windows = np.lib.stride_tricks.sliding_window_view(spectrogram, n_frames, axis=0)  # (start, bin, frame)
    return np.ascontiguousarray(windows[starts, ::-1]).reshape(len(starts), -1)


def regular_patches(every: Sequence[Features], n_frames: int, stride: int | None = None) -> Images:
    """Cut patches of ``n_frames`` frames out of all spectrograms, (time, n_bins) each, at regular intervals.

    every: the spectrograms. stride: frames from the start of one patch to the next; None: patches adjoin. Returns
    images (n, n_bins * n_frames), as :func:`patches_at` does.
    """
    distance = stride or n_frames
    starts = [np.arange(0, len(rows) - n_frames + 1, distance) for rows in every]
    return np.concatenate([patches_at(rows, at, n_frames) for rows, at in zip(every, starts, strict=True)])


def rows_of_patches(images: Images, n_frames: int) -> Features:
    """Join images (n, n_bins * n_frames) in time to a spectrogram (n * n_frames, n_bins).

    It is the inverse of cutting one spectrogram into adjoining patches (:func:`regular_patches`).
    """
    patches = images.reshape(len(images), -1, n_frames)[:, ::-1]
    return np.swapaxes(patches, 1, 2).reshape(len(images) * n_frames, -1)  # axes change: (bin, frame) -> (frame, bin)


def nearest_patches(images: Images, every: Sequence[Features], n_frames: int) -> Images:
    """Find, for each image, the patch of the spectrograms with the least sum of squared differences to it.

    The patches adjoin and do not overlap, as :func:`regular_patches` cuts them. every: spectrograms (time, n_bins).
    Images and result have the shape (n, n_bins * n_frames).
    """
    found = np.zeros_like(images)
    least = np.full(len(images), np.inf)
    for rows in every:  # one at a time, as all patches together take as much memory as all spectrograms
        patches = regular_patches([rows], n_frames)
        candidates = patches[nearest(images, patches)]
        distances = np.sum((images - candidates) ** 2, axis=1)
        closer = distances < least
        found[closer], least[closer] = candidates[closer], distances[closer]
    return found


@dataclass(frozen=True, eq=False)
class PatchBatches:
    """Batches of random patches, which begin at any frame of the spectrograms (time, n_bins) with equal probability.

    n_frames: frames per patch. ``batch(index)`` is a pure function of (seed, index). An epoch has about as many
    patches as fit into the spectrograms without overlap. RnnaudioError for a batch size below 1 or a spectrogram
    shorter than a patch.
    """

    spectrograms: Sequence[Features]
    n_frames: int
    batch_size: int
    seed: int
    carries_state: ClassVar[bool] = False

    def __post_init__(self) -> None:
        shortest = min(map(len, self.spectrograms), default=0)
        if self.batch_size < 1 or not 1 <= self.n_frames <= shortest:
            raise RnnaudioError(
                f"batches of {self.batch_size} patches of {self.n_frames} frames: expected at least 1 patch, of 1 to "
                f"{shortest} frames, the shortest spectrogram"
            )

    @cached_property
    def batches_per_epoch(self) -> int:
        n_patches = sum(len(rows) // self.n_frames for rows in self.spectrograms)
        return max(1, n_patches // self.batch_size)

    @cached_property
    def _ends(self) -> Whole:
        return np.cumsum([len(rows) - self.n_frames + 1 for rows in self.spectrograms])

    def batch(self, index: int) -> ImageBatch:
        places = np.random.default_rng((self.seed, index, PURPOSE)).integers(self._ends[-1], size=self.batch_size)
        numbers = np.searchsorted(self._ends, places, side="right")
        starts = places - np.append(0, self._ends)[numbers]
        patches = [patches_at(self.spectrograms[k], starts[i : i + 1], self.n_frames) for i, k in enumerate(numbers)]
        return ImageBatch(np.concatenate(patches))
