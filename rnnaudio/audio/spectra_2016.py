"""The "frequency domain" of 2016: frames of magnitudes instead of frames of samples, and their inverse.

A frame of n samples is converted to n // 2 + 1 magnitudes by :class:`rnnaudio.audio.stft.STFT` with a rectangular
window and a hop of n (no overlap), and these are scaled to -1 .. 1 by the smallest and largest magnitude of the
training data. The flaws of 2016 are kept: bins 80 Hz wide (frames of 200 samples at 16 kHz), leakage of the
rectangular window, nearly all values close to -1 and only a few large ones, and no phase. For overlapping windows and
a logarithmic scale see ``scaling.py``.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Audio, Features, Frames, Magnitudes, Phases
from rnnaudio.audio.sources import HasPieces
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError

FRAMES_AT_ONCE = 4096


class MagnitudeScale(NamedTuple):
    """Min/max scaling of the magnitudes of frames of standardised audio; fitted once, then fixed.

    s = 2 (|rfft(x)| - low) / (high - low) - 1, where x is a frame of ``frame_size`` samples.
    """

    frame_size: int
    low: float
    high: float

    @classmethod
    def fit(cls, split: HasPieces, frame_size: int) -> "MagnitudeScale":
        """Fit to the smallest and largest magnitude in the (training) split, cut into frames without overlap.

        Magnitudes of frames at other positions may lie slightly outside this range. RnnaudioError if every piece is
        shorter than a frame, or if all magnitudes are equal (silence).
        """
        low, high = np.inf, -np.inf
        for frames in _adjoining(split, frame_size):
            magnitudes = magnitudes_of(frames)
            low, high = min(low, float(magnitudes.min())), max(high, float(magnitudes.max()))
        if not low < high:
            raise RnnaudioError(
                f"the magnitudes of frames of {frame_size} samples are constant, or there are none: give longer pieces"
            )
        return cls(frame_size, low, high)

    @property
    def n_bins(self) -> int:
        return self.frame_size // 2 + 1

    def scaled(self, frames: Frames) -> Features:
        """Scale the magnitudes of frames: (..., frame_size) samples -> (..., n_bins) float32.

        The result is -1 to 1 for the frames that were fitted; values beyond are not clipped.
        """
        return (2.0 * (magnitudes_of(frames) - self.low) / (self.high - self.low) - 1.0).astype(np.float32)

    def audio(self, scaled: Features, phases: Phases | None = None) -> Audio:
        """Invert (n_frames, n_bins) scaled magnitudes -> (n_frames * frame_size,) float32 standardised audio.

        phases: (n_frames, n_bins) in radians; None: zero in all bins, which makes each frame (as one period)
        symmetric about its first sample. Negative magnitudes, which a model may predict, are clipped to zero.
        """
        magnitudes = np.maximum((scaled.astype(np.float64) + 1.0) / 2.0 * (self.high - self.low) + self.low, 0.0)
        spectra = magnitudes if phases is None else magnitudes * np.exp(1j * phases)
        return adjoining_frames(self.frame_size).inverse(spectra).astype(np.float32)


def magnitudes_of(frames: Frames) -> Magnitudes:
    """Magnitudes |rfft| of frames with a rectangular window: (..., n) samples -> (..., n // 2 + 1) float64."""
    return np.abs(adjoining_frames(np.shape(frames)[-1]).of_frames(frames))


@lru_cache(maxsize=4)
def adjoining_frames(frame_size: int) -> STFT:
    """The short-time Fourier transform of 2016: a rectangular window of ``frame_size`` samples, no overlap."""
    return STFT(frame_size, frame_size, "rectangular", "none")


def _adjoining(split: HasPieces, frame_size: int) -> Iterator[Frames]:
    """Iterate over all pieces in blocks of frames (n_frames, frame_size); the remainder of each piece is dropped."""
    for piece in split.pieces:
        n_whole = piece.n_samples // frame_size * frame_size
        for start in range(0, n_whole, FRAMES_AT_ONCE * frame_size):
            stop = min(start + FRAMES_AT_ONCE * frame_size, n_whole)
            yield piece.read(start, stop).reshape(-1, frame_size)
