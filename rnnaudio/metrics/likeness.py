"""Similarity to real music: distances between distributions of frames, loop detection, copy detection.

Each metric measures one aspect only, and none replaces listening: the output of a Markov chain over real frames passes
most of them. Compare scores with the scores of such a chain, and with those of a held-out part of the same real music.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.vq import kmeans2, vq

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.spectrum import HOP_SAMPLES, log_mel

N_BINS = 50
LOOP_LAGS_SECONDS = (0.25, 8.0)
MOST_FRAMES_OF_BINS = 20_000


def frechet_distance(a: FloatArray, b: FloatArray) -> float:
    """Frechet distance between two sets of frames, (n_a, n_features) and (n_b, n_features).

    With the means m and covariances S of the sets it is

        |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))

    This is the squared 2-Wasserstein distance between the two Gaussians, as in the Frechet inception distance (Heusel
    et al. 2017), but here on log-mel frames in dB. tr (S_a S_b)^(1/2) is computed as the sum of the square roots of
    the eigenvalues of S_a^(1/2) S_b S_a^(1/2). RnnaudioError for fewer than two frames in a set.
    """
    for frames in (a, b):
        if frames.ndim != 2 or len(frames) < 2:
            raise RnnaudioError(f"got frames of shape {frames.shape}, expected (2 or more, features): give more audio")
    mean = a.mean(axis=0) - b.mean(axis=0)
    s_a, s_b = (np.atleast_2d(np.cov(frames, rowvar=False)) for frames in (a, b))
    values, vectors = np.linalg.eigh(s_a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ s_b @ root)
    cross = float(np.sum(np.sqrt(np.maximum(mixed, 0.0))))
    return float(max(0.0, mean @ mean + np.trace(s_a) + np.trace(s_b) - 2.0 * cross))


def jensen_shannon_distance(p: ArrayLike, q: ArrayLike) -> float:
    """Square root of the Jensen-Shannon divergence, in bits, of two histograms: 0 if equal, 1 if disjoint.

    sqrt((KL(p | m) + KL(q | m)) / 2), m = (p + q) / 2, with counts normalised to shares. RnnaudioError if a histogram
    is empty or the shapes differ.
    """
    counts = [np.asarray(h, np.float64) for h in (p, q)]
    shapes = [h.shape for h in counts]
    if shapes[0] != shapes[1] or not all(h.sum() > 0 for h in counts):
        raise RnnaudioError(f"got histograms of shapes {shapes[0]}, {shapes[1]}; expected equal shapes, not empty")
    shares = [h / h.sum() for h in counts]
    m = (shares[0] + shares[1]) / 2.0
    halves = [float(np.sum(h[h > 0] * np.log2(h[h > 0] / m[h > 0]))) for h in shares]
    return float(np.sqrt(max(0.0, sum(halves) / 2.0)))


def loop_score(audio: ArrayLike, sample_rate_hz: int) -> float:
    """Highest autocorrelation of the log-mel spectrogram at lags of .25 to 8 s, at most half the length of the audio.

    c(l) = sum_t x_t . x_(t+l) / sqrt(sum |x_t|^2 sum |x_(t+l)|^2), where x_t are the frames in dB minus their mean. A
    second of music repeated over and over scores 1, real music at most about .6. Audio is mono, (n_samples,). Raises
    RnnaudioError for audio shorter than about .5 s, and for the reasons of `log_mel`.
    """
    x = log_mel(audio, sample_rate_hz)
    x = x - x.mean(axis=0)
    first, last = (round(s * sample_rate_hz / HOP_SAMPLES) for s in LOOP_LAGS_SECONDS)
    last = min(last, len(x) // 2)
    if last < first:
        raise RnnaudioError(f"{len(x)} frames are too few to detect loops: give half a second of audio or more")
    n = 1 << (2 * len(x) - 1).bit_length()
    spectra = np.fft.rfft(x, n, axis=0)
    products = np.fft.irfft(np.sum(np.abs(spectra) ** 2, axis=1), n)
    energy = np.concatenate([[0.0], np.cumsum(np.sum(x**2, axis=1))])
    lags = np.arange(first, last + 1)
    early, late = energy[len(x) - lags], energy[-1] - energy[lags]
    return float(np.max(products[lags] / np.maximum(np.sqrt(early * late), 1e-12)))


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """k-means centres of log-mel frames of real music, (n_bins, 64) in dB; frames are classified by nearest centre."""

    centres: FloatArray

    @classmethod
    def learn(cls, frames: FloatArray, n_bins: int = N_BINS, *, seed: int = 2016) -> Vocabulary:
        """Fit a vocabulary of ``n_bins`` centres by k-means to frames (n, 64) of real music in dB.

        At most 20,000 frames, evenly spaced, are used. seed: determines the initial centres. RnnaudioError for fewer
        frames than bins.
        """
        if len(frames) < n_bins:
            raise RnnaudioError(f"{len(frames)} frames are too few for {n_bins} bins: give more music")
        some = frames[:: -(-len(frames) // MOST_FRAMES_OF_BINS)]
        centres, _ = kmeans2(some, n_bins, minit="++", seed=seed)
        return cls(centres)

    def words(self, frames: FloatArray) -> NDArray[np.int64]:
        """Index of the nearest centre of each frame: (n, 64) -> (n,)."""
        return np.asarray(vq(frames, self.centres)[0], np.int64)

    def histogram(self, frames: FloatArray) -> NDArray[np.int64]:
        """Number of frames nearest to each centre, (n_bins,)."""
        return np.bincount(self.words(frames), minlength=len(self.centres))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Code sequences of the training data, used to detect copies of the training data in other sequences."""

    sequences: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, sequences: Iterable[ArrayLike]) -> Corpus:
        """Make a corpus from sequences of integer codes, (n_frames,) each, one sequence per piece."""
        return cls(tuple(np.asarray(s, np.int64) for s in sequences))

    @cached_property
    def _runs(self) -> dict[int, NDArray[np.int64]]:
        return {}

    def runs(self, n: int) -> NDArray[np.int64]:
        """Sorted 64-bit hashes, (n_hashes,), of all distinct windows of n consecutive codes.

        A hash takes 8 bytes; the codes would take 8 n bytes.
        """
        if n not in self._runs:
            self._runs[n] = np.unique(np.concatenate([_hashes(s, n) for s in self.sequences]))
        return self._runs[n]

    def copied_share(self, codes: ArrayLike, n: int) -> float:
        """Share of the codes, (n_frames,), in windows of n consecutive codes that also occur in this corpus.

        It is 0 for fewer than n codes. RnnaudioError for n below 1, or codes with more than one axis.
        """
        codes = np.asarray(codes, np.int64)
        if n < 1 or codes.ndim != 1:
            raise RnnaudioError(f"got runs of {n} in codes of shape {codes.shape}; expected 1 or more, and one axis")
        if len(codes) < n:
            return 0.0
        wanted, known = _hashes(codes, n), self.runs(n)
        found = np.r_[known, -1][np.searchsorted(known, wanted)] == wanted  # hash() is never -1
        copied = np.zeros(len(codes), bool)
        for start in np.flatnonzero(found):
            copied[start : start + n] = True
        return float(copied.mean())


def _hashes(codes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Hashes of all windows of n consecutive codes, (len - n + 1,); empty for a shorter sequence."""
    if len(codes) < n:
        return np.empty(0, np.int64)
    return np.fromiter((hash(w.tobytes()) for w in windows(codes, n)), np.int64, len(codes) - n + 1)


def windows(codes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """All windows of n consecutive codes: (n_frames,) -> (n_frames - n + 1, n), a view; ValueError if n > n_frames."""
    return np.lib.stride_tricks.sliding_window_view(codes, n)
