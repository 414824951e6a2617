"""Patches of log-amplitude spectrograms as images: time across, frequency up."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from rnnaudio.audio.scaling import LogScale, check_rate, spread_magnitudes
from rnnaudio.audio.sources import HasPieces, Samples
from rnnaudio.audio.stft import STFT
from rnnaudio.data.images import ImageBatch, nearest
from rnnaudio.errors import RnnaudioError

FRAMES_AT_ONCE = 512
HEADROOM = 1.1
PURPOSE = 10  # keeps these draws apart from those of weights, noise and other batches of the same seed


@dataclass(frozen=True, eq=False)
class PatchScale:
    """x = log(1 + c |X| / sqrt(n)) / top, of the lowest ``n_bins`` bins alone: 0 is silence, and 1 is ``top``.

    A linear scale of hertz is its own inverse; of mel bands the way back to bins is a guess (:class:`MelScale`). What
    is above the bins is lost: it comes back silent. ``logs`` holds c, n and top, a tenth over the largest logarithm
    seen in training; what exceeds it all the same is cut. ``deviation`` is that of x over the training frames: a
    likelihood of x / deviation does not depend on top.
    """

    logs: LogScale
    n_bins: int
    deviation: float

    @classmethod
    def fit(cls, split: HasPieces, stft: STFT, n_bins: int, *, compression: float = 30.0) -> "PatchScale":
        """From at most 20,000 frames spread over a split (give the training one).

        RnnaudioError: no piece has a frame, all are silent or alike, NaN, another sampling rate, more bins than the
        window has.
        """
        check_rate(split, stft)
        if not 1 <= n_bins <= stft.n_bins:
            raise RnnaudioError(f"n_bins: got {n_bins}, expected 1 to the {stft.n_bins} of the window")
        plain = LogScale(stft, compression, np.zeros(stft.n_bins), 1.0)
        logs = np.concatenate([plain.scaled(part)[:, :n_bins] for part in spread_magnitudes(split, stft)])
        if logs.min() == logs.max():
            raise RnnaudioError(f"all frames of {stft.window_samples} samples are silent or alike: give other sound")
        top = HEADROOM * float(logs.max())
        deviation = float(np.sqrt(np.mean(np.var(logs, axis=0, dtype=np.float64)))) / top
        return cls(LogScale(stft, compression, np.zeros(stft.n_bins), top), n_bins, deviation)

    @property
    def stft(self) -> STFT:
        return self.logs.stft

    def scaled(self, magnitudes: np.ndarray) -> np.ndarray:
        """(..., bins of the window) |X| -> (..., n_bins) float32, 0 to 1."""
        return np.minimum(self.logs.scaled(magnitudes)[..., : self.n_bins], np.float32(1.0))

    def magnitudes(self, scaled: np.ndarray) -> np.ndarray:
        """(..., n_bins) -> (..., bins of the window) |X| float64."""
        above = np.zeros((*scaled.shape[:-1], self.stft.n_bins - self.n_bins))
        return self.logs.magnitudes(np.concatenate([scaled, above], axis=-1))

    def spectrogram(self, piece: Samples) -> np.ndarray:
        """All whole frames of a piece, scaled: (n_frames, n_bins) float32; none of a piece shorter than a window."""
        n, hop = self.stft.window_samples, self.stft.hop_samples
        n_frames = max(0, (piece.n_samples - n) // hop + 1)
        scaled = np.empty((n_frames, self.n_bins), np.float32)
        for first in range(0, n_frames, FRAMES_AT_ONCE):
            last = min(first + FRAMES_AT_ONCE, n_frames)
            audio = piece.read(first * hop, (last - 1) * hop + n)
            frames = np.lib.stride_tricks.sliding_window_view(audio, n)[::hop]
            scaled[first:last] = self.scaled(np.abs(self.stft.of_frames(frames)))
        return scaled


def spectrograms(split: HasPieces, scale: PatchScale, n_frames: int) -> list[np.ndarray]:
    """Those of the pieces that hold a patch of ``n_frames``; RnnaudioError if none does."""
    every = [scale.spectrogram(piece) for piece in split.pieces]
    long_enough = [rows for rows in every if len(rows) >= n_frames]
    if not long_enough:
        name, longest = getattr(split, "name", "given"), max(map(len, every), default=0)
        raise RnnaudioError(
            f"no piece of the split {name!r} has a patch of {n_frames} frames, the longest has {longest}: give longer "
            "pieces, or take fewer frames"
        )
    return long_enough


def patches_at(spectrogram: np.ndarray, starts: np.ndarray, n_frames: int) -> np.ndarray:
    """Frames start .. start + n_frames - 1 of (time, n_bins), for each start: images (n, n_bins n_frames).

    An image is n_bins high and n_frames wide, row by row, its first row the highest frequency.
    """
    windows = np.lib.stride_tricks.sliding_window_view(spectrogram, n_frames, axis=0)  # (start, bin, frame)
    return np.ascontiguousarray(windows[starts, ::-1]).reshape(len(starts), -1)


def regular_patches(every: Sequence[np.ndarray], n_frames: int, stride: int | None = None) -> np.ndarray:
    """Patches ``stride`` frames apart, from the first frame of each spectrogram on; None: side by side."""
    apart = stride or n_frames
    starts = [np.arange(0, len(rows) - n_frames + 1, apart) for rows in every]
    return np.concatenate([patches_at(rows, at, n_frames) for rows, at in zip(every, starts, strict=True)])


def rows_of_patches(images: np.ndarray, n_frames: int) -> np.ndarray:
    """Images (n, n_bins n_frames) one after another, as a spectrogram again: (n n_frames, n_bins)."""
    patches = images.reshape(len(images), -1, n_frames)[:, ::-1]
    return np.swapaxes(patches, 1, 2).reshape(len(images) * n_frames, -1)  # axes change: (bin, frame) -> (frame, bin)


def nearest_patches(images: np.ndarray, every: Sequence[np.ndarray], n_frames: int) -> np.ndarray:
    """For each image the patch of those side by side in the spectrograms that is nearest by squares, (n, pixels)."""
    found = np.zeros_like(images)
    least = np.full(len(images), np.inf)
    for rows in every:  # one piece at a time: all patches at once would be the corpus again
        patches = regular_patches([rows], n_frames)
        candidates = patches[nearest(images, patches)]
        distances = np.sum((images - candidates) ** 2, axis=1)
        closer = distances < least
        found[closer], least[closer] = candidates[closer], distances[closer]
    return found


@dataclass(frozen=True, eq=False)
class PatchBatches:
    """Patches that begin at any frame of the spectrograms (time, n_bins), each frame as likely as any other.

    ``batch(index)`` is pure. An epoch is as many patches as lie side by side. RnnaudioError for a batch size below 1
    or a spectrogram shorter than a patch.
    """

    spectrograms: Sequence[np.ndarray]
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
    def _ends(self) -> np.ndarray:
        return np.cumsum([len(rows) - self.n_frames + 1 for rows in self.spectrograms])

    def batch(self, index: int) -> ImageBatch:
        places = np.random.default_rng((self.seed, index, PURPOSE)).integers(self._ends[-1], size=self.batch_size)
        numbers = np.searchsorted(self._ends, places, side="right")
        starts = places - np.append(0, self._ends)[numbers]
        patches = [patches_at(self.spectrograms[k], starts[i : i + 1], self.n_frames) for i, k in enumerate(numbers)]
        return ImageBatch(np.concatenate(patches))
