"""Scalings of magnitudes for model inputs, with their inverses: logarithm, principal components, mel bands."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.optimize

from rnnaudio.audio.arrays import Array, Features, Floats, Magnitudes
from rnnaudio.audio.mel import mel_weights
from rnnaudio.audio.sources import HasPieces
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError

FRAMES_AT_ONCE = 64
MOST_FRAMES = 20_000


@dataclass(frozen=True, eq=False)
class LogScale:
    """Standardised log-magnitudes, optionally projected onto principal components; fitted once, then fixed.

        s = (log(1 + c |X| / sqrt(n)) - mean) V / deviation,   n the window length in samples

    The logarithm compresses the range between loud and soft partials; it is 0, not -infinity, at silence. A larger
    ``compression`` c raises soft partials further. The columns of V, (n_bins, n_features), are the first principal
    components of the training frames, not whitened. The remaining components are discarded; ``lost`` is their share of
    the variance. Without V (``basis`` None) all bins are kept, and the inverse is exact up to rounding.
    """

    stft: STFT
    compression: float
    mean: Floats  # (n_bins,)
    deviation: float  # root of the mean, over features, of the variance
    basis: Floats | None = None  # V
    lost: float = 0.0

    @classmethod
    def fit(
        cls, split: HasPieces, stft: STFT, *, compression: float = 30.0, n_components: int | None = None
    ) -> "LogScale":
        """Fit mean, deviation and components to frames spread over the (training) split, about 20,000 at most.

        compression: c, see the class. n_components: number of principal components; None: all bins, no projection.
        RnnaudioError if every piece is shorter than a frame, all frames are equal or silent, the sample rate of the
        split differs from the transform's, compression is not positive, or n_components exceeds the number of bins or
        frames.
        """
        check_rate(split, stft)
        if not compression > 0.0:
            raise RnnaudioError(f"compression: got {compression}, expected more than 0")
        logs = np.concatenate([_log(part, stft, compression) for part in spread_magnitudes(split, stft)])
        mean = logs.mean(axis=0)
        centred = logs - mean
        if not centred.any():
            raise RnnaudioError(f"all frames of {stft.window_samples} samples are equal or silent: give other audio")
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

    def scaled(self, magnitudes: Magnitudes) -> Features:
        """Scale magnitudes |X|: (..., n_bins) -> (..., n_features) float32."""
        centred = _log(magnitudes, self.stft, self.compression) - self.mean
        return ((centred if self.basis is None else centred @ self.basis) / self.deviation).astype(np.float32)

    def log_magnitudes(self, scaled: Features) -> Features:
        """Undo the scaling, but not the logarithm: (..., n_features) -> (..., n_bins) float64.

        The result is log(1 + c |X| / sqrt(n)), at least 0.
        """
        centred = self.deviation * np.asarray(scaled, np.float64)
        return np.maximum((centred if self.basis is None else centred @ self.basis.T) + self.mean, 0.0)

    def magnitudes(self, scaled: Features) -> Magnitudes:
        """Invert the scaling: (..., n_features) -> magnitudes |X| (..., n_bins), float64."""
        return np.expm1(self.log_magnitudes(scaled)) * np.sqrt(self.stft.window_samples) / self.compression


@dataclass(frozen=True, eq=False)
class MelScale:
    """Mel bands b = |X| M of magnitudes, (..., n_bins) -> (..., n_bands), with approximate inverses.

    M is :func:`rnnaudio.audio.mel.mel_weights`. With fewer bands than bins there is no exact inverse: detail within a
    band is lost, above all the spectral lines of partials. The method ``pinv`` takes the minimum-norm spectrum with
    the given bands and clips negative values, so that it matches the bands only approximately. ``nnls`` matches them
    as closely as a non-negative spectrum can, but its solution concentrates the energy in a few lines, each too loud.
    Spectral convergence on three excerpts of 2 s of the piano corpus at 16 kHz (lower is better, silence scores 0 dB):
    window 1024, 64 bands: pinv -6.3, nnls 1.6 dB; window 1024, 128 bands: pinv -14.8, nnls -2.0 dB; window 2048, 64
    bands: pinv -3.4, nnls 4.3 dB. RnnaudioError if a band contains no bin, n_bands is below 1, or the transform has no
    sample rate.
    """

    stft: STFT
    n_bands: int = 64

    def __post_init__(self) -> None:
        if self.n_bands < 1:
            raise RnnaudioError(f"n_bands is {self.n_bands}; expected 1 or more")
        empty = np.flatnonzero(~self.weights.any(axis=0))
        if empty.size:
            raise RnnaudioError(
                f"{empty.size} of {self.n_bands} mel bands contain no bin (the first: band {empty[0]}): use fewer "
                f"bands or a window longer than {self.stft.window_samples} samples"
            )

    @cached_property
    def weights(self) -> Floats:
        """Filter bank M, (n_bins, n_bands)."""
        return mel_weights(self.stft.window_samples, self.stft.rate(), self.n_bands)

    def bands(self, magnitudes: Magnitudes) -> Features:
        """Mel bands of magnitudes: (..., n_bins) -> (..., n_bands) float64. Errors: see :func:`real_magnitudes`."""
        return real_magnitudes(magnitudes, self.stft) @ self.weights

    def magnitudes(self, bands: Features, method: Literal["pinv", "nnls"] = "pinv") -> Magnitudes:
        """Invert mel bands approximately to non-negative magnitudes: (..., n_bands) -> (..., n_bins) float64.

        For the two methods see the class.

        RnnaudioError for a wrong number of bands, values that are not finite, or an unknown method.
        """
        bands = np.asarray(bands, np.float64)
        if bands.shape[-1:] != (self.n_bands,) or not np.isfinite(bands).all():
            raise RnnaudioError(f"got bands of shape {bands.shape}; expected finite values (..., {self.n_bands})")
        if method not in ("pinv", "nnls"):
            raise RnnaudioError(f"method is {method!r}; expected pinv or nnls")
        if method == "pinv":
            return np.maximum(bands @ np.linalg.pinv(self.weights), 0.0)
        rows = [scipy.optimize.nnls(self.weights.T, row)[0] for row in bands.reshape(-1, self.n_bands)]
        return np.reshape(rows, (*bands.shape[:-1], self.stft.n_bins))


def spread_magnitudes(split: HasPieces, stft: STFT, most: int = MOST_FRAMES) -> Iterator[Magnitudes]:
    """Iterate over the magnitudes of blocks of adjoining frames, (n_frames, n_bins) each, spread over all pieces.

    A block holds up to 64 frames, and all blocks together at most ``most`` + 64 frames. RnnaudioError if every piece
    is shorter than a frame.
    """
    hop = stft.hop_samples
    counts = [max(0, (piece.n_samples - stft.window_samples) // hop + 1) for piece in split.pieces]
    if not any(counts):
        raise RnnaudioError(f"no piece has a frame of {stft.window_samples} samples: give longer pieces")
    stride = FRAMES_AT_ONCE * max(1, -(-sum(counts) // most))
    begin = 0  # number of frames in the pieces before; a block may span two pieces, and a piece may hold no block
    for piece, count in zip(split.pieces, counts, strict=True):
        for place in range(begin // stride * stride, begin + count, stride):
            first, last = max(place, begin) - begin, min(place + FRAMES_AT_ONCE, begin + count) - begin
            if first >= last:
                continue
            audio = piece.read(first * hop, (last - 1) * hop + stft.window_samples)
            frames = np.lib.stride_tricks.sliding_window_view(audio, stft.window_samples)[::hop]
            yield np.abs(stft.of_frames(frames))
        begin += count


def check_rate(split: HasPieces, stft: STFT) -> None:
    """Raise RnnaudioError if transform and split have different sample rates; a missing rate matches any."""
    rate = getattr(split, "sample_rate_hz", stft.sample_rate_hz)
    if stft.sample_rate_hz not in (None, rate):
        raise RnnaudioError(f"the audio has {rate} Hz, the transform {stft.sample_rate_hz} Hz: resample the audio")


def _log(magnitudes: Magnitudes, stft: STFT, compression: float) -> Features:
    return np.log1p(compression / np.sqrt(stft.window_samples) * real_magnitudes(magnitudes, stft))


def real_magnitudes(magnitudes: Array, stft: STFT) -> Magnitudes:
    """Return magnitudes (..., n_bins) as float64.

    RnnaudioError for another number of bins, and for values that are complex, negative or not finite.
    """
    magnitudes = np.asarray(magnitudes)
    stft.check_bins(magnitudes[None])
    if np.iscomplexobj(magnitudes):
        raise RnnaudioError("got complex spectra, expected their magnitudes: take np.abs of them")
    if (magnitudes < 0.0).any():
        raise RnnaudioError("the magnitudes hold negative values: invert the scaling first, and clip them at 0")
    return magnitudes.astype(np.float64)
