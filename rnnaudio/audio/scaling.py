"""Magnitudes as a model takes them, and back: logarithm and principal components, mel bands."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.optimize

from rnnaudio.audio.mel import mel_weights
from rnnaudio.audio.sources import HasPieces
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError

FRAMES_AT_ONCE = 64
MOST_FRAMES = 20_000


@dataclass(frozen=True, eq=False)
class LogScale:
    """s = (log(1 + c |X| / sqrt(n)) - mean) V / deviation, n the window in samples; fitted once, then fixed.

    The logarithm makes loud and soft partials alike and is finite at silence, where it is 0; c says how soft is soft.
    V holds the first principal components of the training frames in its columns, (n_bins, n_features), not whitened;
    None: all bins as they are, and then the inverse is exact but for rounding. Of the components that are left out
    :meth:`fit` keeps nothing; ``lost`` is their share of the variance.
    """

    stft: STFT
    compression: float
    mean: np.ndarray  # (n_bins,)
    deviation: float  # root of the mean variance of a feature
    basis: np.ndarray | None = None  # V
    lost: float = 0.0

    @classmethod
    def fit(
        cls, split: HasPieces, stft: STFT, *, compression: float = 30.0, n_components: int | None = None
    ) -> "LogScale":
        """Mean, deviation and components over at most 20,000 frames spread over a split (give the training one).

        RnnaudioError: no piece has a frame, all are silent, the split has another sampling rate, more components than
        bins or frames.
        """
        check_rate(split, stft)
        if not compression > 0.0:
            raise RnnaudioError(f"compression: got {compression}, expected more than 0")
        logs = np.concatenate([_log(part, stft, compression) for part in spread_magnitudes(split, stft)])
        mean = logs.mean(axis=0)
        centred = logs - mean
        if not centred.any():
            raise RnnaudioError(f"all frames of {stft.window_samples} samples are alike or silent: give other sound")
        basis, lost, n_features = None, 0.0, stft.n_bins
        if n_components is not None:
            if not 1 <= n_components <= min(centred.shape):
                raise RnnaudioError(f"n_components: got {n_components}, expected 1 to {min(centred.shape)}")
            variances, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
            basis, n_features = vectors[:, ::-1][:, :n_components], n_components
            lost = float(max(0.0, 1.0 - variances[::-1][:n_components].sum() / variances.sum()))
            centred = centred @ basis
        deviation = float(np.sqrt(np.sum(centred**2) / len(centred) / n_features))
        return cls(stft, compression, mean, deviation, basis, lost)

    @property
    def n_features(self) -> int:
        return self.stft.n_bins if self.basis is None else self.basis.shape[1]

    def scaled(self, magnitudes: np.ndarray) -> np.ndarray:
        """(..., n_bins) |X| -> (..., n_features) float32."""
        centred = _log(magnitudes, self.stft, self.compression) - self.mean
        return ((centred if self.basis is None else centred @ self.basis) / self.deviation).astype(np.float32)

    def log_magnitudes(self, scaled: np.ndarray) -> np.ndarray:
        """(..., n_features) -> (..., n_bins): log(1 + c |X| / sqrt(n)), not below 0, as a model may say."""
        centred = self.deviation * np.asarray(scaled, np.float64)
        return np.maximum((centred if self.basis is None else centred @ self.basis.T) + self.mean, 0.0)

    def magnitudes(self, scaled: np.ndarray) -> np.ndarray:
        """(..., n_features) -> (..., n_bins) |X| float64."""
        return np.expm1(self.log_magnitudes(scaled)) * np.sqrt(self.stft.window_samples) / self.compression


@dataclass(frozen=True, eq=False)
class MelScale:
    """b = |X| M: mel bands of a magnitude spectrum, (..., n_bins) -> (..., n_bands), and guesses at the way back.

    M is :func:`rnnaudio.audio.mel.mel_weights`. Fewer bands than bins cannot be inverted: what differs within a band
    is
    lost, the lines of partials above all. ``pinv`` takes the shortest spectrum with these bands, negative values cut
    off, so the bands are met nearly. ``nnls`` meets them as well as any spectrum can that is nowhere negative, but of
    those it finds one with few lines, each too loud. Spectral convergence on three times 2 s of the piano corpus at
    16 kHz (0 dB is silence's): window 1024, 64 bands: pinv -6.3, nnls 1.6 dB; 128 bands: -14.8, -2.0 dB; window 2048,
    64 bands: -3.4, 4.3 dB. RnnaudioError if a band has no bin, or the transform no sampling rate.
    """

    stft: STFT
    n_bands: int = 64

    def __post_init__(self) -> None:
        if self.n_bands < 1:
            raise RnnaudioError(f"n_bands is {self.n_bands}; expected 1 or more")
        empty = np.flatnonzero(~self.weights.any(axis=0))
        if empty.size:
            raise RnnaudioError(
                f"{empty.size} of {self.n_bands} mel bands have no bin (the first: band {empty[0]}): take fewer bands "
                f"or a window longer than {self.stft.window_samples} samples"
            )

    @cached_property
    def weights(self) -> np.ndarray:
        """M: (n_bins, n_bands)."""
        return mel_weights(self.stft.window_samples, self.stft.rate(), self.n_bands)

    def bands(self, magnitudes: np.ndarray) -> np.ndarray:
        """(..., n_bins) -> (..., n_bands); RnnaudioError as :meth:`STFT.check_bins`."""
        return real_magnitudes(magnitudes, self.stft) @ self.weights

    def magnitudes(self, bands: np.ndarray, method: Literal["pinv", "nnls"] = "pinv") -> np.ndarray:
        """(..., n_bands) -> (..., n_bins), not negative. RnnaudioError: other bands, NaN, no such method."""
        bands = np.asarray(bands, np.float64)
        if bands.shape[-1:] != (self.n_bands,) or not np.isfinite(bands).all():
            raise RnnaudioError(f"got bands of shape {bands.shape}; expected finite ones (..., {self.n_bands})")
        if method not in ("pinv", "nnls"):
            raise RnnaudioError(f"method is {method!r}; expected pinv or nnls")
        if method == "pinv":
            return np.maximum(bands @ np.linalg.pinv(self.weights), 0.0)
        rows = [scipy.optimize.nnls(self.weights.T, row)[0] for row in bands.reshape(-1, self.n_bands)]
        return np.reshape(rows, (*bands.shape[:-1], self.stft.n_bins))


def spread_magnitudes(split: HasPieces, stft: STFT, most: int = MOST_FRAMES) -> Iterator[np.ndarray]:
    """|X| (up to 64, n_bins) of adjoining frames, from places spread evenly over all pieces, ``most`` and 64 at most.

    RnnaudioError if no piece has a frame.
    """
    hop = stft.hop_samples
    counts = [max(0, (piece.n_samples - stft.window_samples) // hop + 1) for piece in split.pieces]
    if not any(counts):
        raise RnnaudioError(f"no piece has a frame of {stft.window_samples} samples: give longer pieces")
    stride = FRAMES_AT_ONCE * max(1, -(-sum(counts) // most))
    begin = 0  # of the piece, among the frames of all: a place may lie in two pieces, and in no piece need be one
    for piece, count in zip(split.pieces, counts, strict=True):
        for place in range(begin // stride * stride, begin + count, stride):
            first, last = max(place, begin) - begin, min(place + FRAMES_AT_ONCE, begin + count) - begin
            if first >= last:
                continue
            audio: Any = piece.read(first * hop, (last - 1) * hop + stft.window_samples)
            frames = np.lib.stride_tricks.sliding_window_view(audio, stft.window_samples)[::hop]
            yield np.abs(stft.of_frames(frames))
        begin += count


def check_rate(split: HasPieces, stft: STFT) -> None:
    """RnnaudioError if the transform is for another sampling rate than the split's."""
    rate = getattr(split, "sample_rate_hz", stft.sample_rate_hz)
    if stft.sample_rate_hz not in (None, rate):
        raise RnnaudioError(f"the sound has {rate} Hz, the transform {stft.sample_rate_hz} Hz: resample the sound")


def _log(magnitudes: np.ndarray, stft: STFT, compression: float) -> np.ndarray:
    return np.log1p(compression / np.sqrt(stft.window_samples) * real_magnitudes(magnitudes, stft))


def real_magnitudes(magnitudes: np.ndarray, stft: STFT) -> np.ndarray:
    """(..., n_bins) float64; RnnaudioError if they are complex, negative, not finite or of another window."""
    magnitudes = np.asarray(magnitudes)
    stft.check_bins(magnitudes[None])
    if np.iscomplexobj(magnitudes):
        raise RnnaudioError("got complex spectra, expected their magnitudes: take np.abs of them")
    if (magnitudes < 0.0).any():
        raise RnnaudioError("the magnitudes hold negative values: undo the scaling first, and cut them off at 0")
    return magnitudes.astype(np.float64)
