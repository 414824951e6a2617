"""Patches of log-amplitude spectrograms as images: time across, frequency up."""

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
PURPOSE = 10  # separates these random numbers from those of weights, noise and other batches with the same seed


@dataclass(frozen=True, eq=False)
class PatchScale:
    """Log-magnitudes of the lowest ``n_bins`` bins, scaled to 0 (silence) .. 1 (``top``).

        x = log(1 + c |X| / sqrt(n)) / top

    Bins on a linear frequency axis can be inverted exactly, unlike mel bands (:class:`MelScale`). Higher frequencies
    are discarded; the inverse sets them to zero. ``logs`` holds c, n and top, which is 10 % above the largest
    logarithm in the training data; larger values are clipped. ``deviation`` is the standard deviation of x over the
    training frames: a likelihood of x / deviation does not depend on top.
    """

    logs: LogScale
    n_bins: int
    deviation: float

    @classmethod
    def fit(cls, split: HasPieces, stft: STFT, n_bins: int, *, compression: float = 30.0) -> "PatchScale":
        """Fit to at most 20,000 frames spread over a split (pass the training split).

        RnnaudioError if no piece has a frame, all frames are silent or equal, values are NaN, the sample rate differs,
        or n_bins exceeds the bins of the window.
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
        """Scale magnitudes |X|: (..., bins of the window) -> (..., n_bins) float32, 0 to 1."""
        return np.minimum(self.logs.scaled(magnitudes)[..., : self.n_bins], np.float32(1.0))

    def magnitudes(self, scaled: Features) -> Magnitudes:
        """Invert to magnitudes |X|: (..., n_bins) -> (..., bins of the window) float64."""
        above = np.zeros((*scaled.shape[:-1], self.stft.n_bins - self.n_bins))
        return self.logs.magnitudes(np.concatenate([scaled, above], axis=-1))

    def spectrogram(self, piece: Samples) -> Features:
        """Scaled magnitudes of all whole frames of a piece, (n_frames, n_bins) float32; n_frames may be 0."""
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
    """Spectrograms of all pieces that hold a patch of ``n_frames``; RnnaudioError if none does."""
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
    """Cut frames start .. start + n_frames - 1 out of (time, n_bins) for each start: images (n, n_bins n_frames).

    An image is n_bins high and n_frames wide, row by row, its first row the highest frequency.
    """
    windows = np.lib.stride_tricks.sliding_window_view(spectrogram, n_frames, axis=0)  # (start, bin, frame)
    return np.ascontiguousarray(windows[starts, ::-1]).reshape(len(starts), -1)


def regular_patches(every: Sequence[Features], n_frames: int, stride: int | None = None) -> Images:
    """Patches every ``stride`` frames, from the first frame of each spectrogram; None: adjoining patches."""
    distance = stride or n_frames
    starts = [np.arange(0, len(rows) - n_frames + 1, distance) for rows in every]
    return np.concatenate([patches_at(rows, at, n_frames) for rows, at in zip(every, starts, strict=True)])


def rows_of_patches(images: Images, n_frames: int) -> Features:
    """Concatenate images (n, n_bins n_frames) in time to a spectrogram (n n_frames, n_bins)."""
    patches = images.reshape(len(images), -1, n_frames)[:, ::-1]
    return np.swapaxes(patches, 1, 2).reshape(len(images) * n_frames, -1)  # axes change: (bin, frame) -> (frame, bin)


def nearest_patches(images: Images, every: Sequence[Features], n_frames: int) -> Images:
    """Nearest neighbour of each image among the adjoining patches of the spectrograms, by squared distance."""
    found = np.zeros_like(images)
    least = np.full(len(images), np.inf)
    for rows in every:  # one piece at a time: all patches together take as much memory as the corpus
        patches = regular_patches([rows], n_frames)
        candidates = patches[nearest(images, patches)]
        distances = np.sum((images - candidates) ** 2, axis=1)
        closer = distances < least
        found[closer], least[closer] = candidates[closer], distances[closer]
    return found


@dataclass(frozen=True, eq=False)
class PatchBatches:
    """Random patches that begin at any frame of the spectrograms (time, n_bins) with equal probability.

    ``batch(index)`` is pure. An epoch has as many patches as there are adjoining ones. RnnaudioError for a batch size
    below 1 or a spectrogram shorter than a patch.
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
