"""Musical descriptors: onsets, pitch classes, chords, key, and the beat.

The descriptors are estimated from spectra by simple rules, in order to compare generated with real audio; the values
alone mean little. Audio is mono, (n_samples,), floating point, with full scale at -1 and 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d, median_filter, uniform_filter1d

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.spectrum import FRAME_SAMPLES, HOP_SAMPLES, checked, log_mel

ONSET_DB = 1.5  # by how much the rise over three frames, averaged over bands, must exceed its local mean
ONSET_APART_SECONDS = 0.06
USUAL_SECONDS = 0.5
QUIET_DB = -70.0  # rises of a band below this level are noise

CHROMA_FRAME, CHROMA_HOP = 8192, 2048
LOWEST_HZ, HIGHEST_HZ = 55.0, 2000.0
KEY_SECONDS = 10.0
CHORD_SMOOTHING_SECONDS = 0.6
BEAT_LAGS_SECONDS = (0.2, 2.0)
BEAT_SHARE = 0.9  # share of the highest autocorrelation; several multiples of a beat come close to the highest
# Krumhansl and Kessler 1982: profiles of pitch classes in a major and a minor key.
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
TRIADS = ((0, 4, 7), (0, 3, 7))  # major, minor


def onset_strength(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    """Rise of the log-mel spectrogram from one frame to the next in dB, mean over bands: (n_frames - 1,).

    The hop is 256 samples. Falls count as zero; levels are floored at -70 dB (spectral flux, Dixon 2006). Raises the
    errors of `log_mel`.
    """
    mel = np.maximum(log_mel(audio, sample_rate_hz), QUIET_DB)
    return np.asarray(np.maximum(np.diff(mel, axis=0), 0.0).mean(axis=1))


def onsets_seconds(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    """Onset times in seconds, (n_onsets,): peaks of the onset strength that stand out by 1.5 dB.

    The sum of the strength over the three frames around a peak must exceed three times its mean over the second around
    the peak by 1.5 dB. Peaks are at least .06 s apart, so that a chord is one onset. Raises the errors of `log_mel`.
    """
    return onsets_of(onset_strength(audio, sample_rate_hz), sample_rate_hz)


def onsets_of(strength: FloatArray, sample_rate_hz: int) -> FloatArray:
    """Onset times in seconds, (n_onsets,), of an onset strength (n_frames,); see :func:`onsets_seconds`."""
    per_second = sample_rate_hz / HOP_SAMPLES
    apart, usual = (max(1, round(s * per_second)) for s in (ONSET_APART_SECONDS, USUAL_SECONDS))
    smooth = uniform_filter1d(strength, 3, mode="nearest")
    is_peak = (smooth == maximum_filter1d(smooth, 2 * apart + 1)) & (smooth > 0)
    stands_out = smooth - uniform_filter1d(smooth, 2 * usual + 1, mode="nearest") > ONSET_DB / 3.0
    frames = np.flatnonzero(is_peak & stands_out)
    # An attack raises the energy of a frame only once it lies a quarter inside it; before, the window attenuates it.
    return np.asarray(((frames + 1) * HOP_SAMPLES + 0.75 * FRAME_SAMPLES) / sample_rate_hz)


def onsets_per_second(audio: ArrayLike, sample_rate_hz: int) -> float:
    """Number of onsets per second of audio; raises the errors of `log_mel`."""
    return len(onsets_seconds(audio, sample_rate_hz)) * sample_rate_hz / len(np.asarray(audio))


def chroma(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    """Power in each pitch class, (n_frames, 12) from C to B, between 55 and 2000 Hz.

    The upper limit is .45 times the sample rate if that is lower. Frames have 8192 samples (Hann window), the hop is
    2048. Each spectral peak adds its power to the pitch class of the nearest semitone (A = 440 Hz); leakage beside the
    peaks is ignored. RnnaudioError if the audio is shorter than a frame, is not mono and floating point, or has a
    sample rate below 4 kHz.
    """
    samples = checked(audio, sample_rate_hz)
    if len(samples) < CHROMA_FRAME:
        raise RnnaudioError(f"{len(samples)} samples are too few for pitches: give {CHROMA_FRAME} or more")
    frames = np.lib.stride_tricks.sliding_window_view(samples, CHROMA_FRAME)[::CHROMA_HOP]
    frequency_hz = np.fft.rfftfreq(CHROMA_FRAME, 1.0 / sample_rate_hz)
    in_range = np.flatnonzero((frequency_hz >= LOWEST_HZ) & (frequency_hz <= min(HIGHEST_HZ, 0.45 * sample_rate_hz)))
    pitch_class = np.round(12.0 * np.log2(frequency_hz[in_range] / 440.0) + 9.0).astype(int) % 12
    to_class = np.eye(12)[pitch_class]
    window = np.hanning(CHROMA_FRAME + 1)[:-1]
    rows = []
    for block in np.array_split(frames, -(-len(frames) // 256)):
        power = np.abs(np.fft.rfft(block * window, axis=1)) ** 2
        centre = power[:, in_range]
        peaks = (centre >= power[:, in_range - 1]) & (centre > power[:, in_range + 1])
        rows.append((centre * peaks) @ to_class)
    return np.concatenate(rows)


def pitch_class_entropy(audio: ArrayLike, sample_rate_hz: int) -> float:
    """Entropy of the pitch classes in bits: 0 for a single class, log2 12 = 3.58 for a uniform distribution.

    All frames have the same weight, except that silent frames are left out; 0 if all are silent. Raises the errors of
    `chroma`.
    """
    share = shares(chroma(audio, sample_rate_hz)).mean(axis=0)
    share = share[share > 0] / max(share.sum(), 1e-30)
    return float(-np.sum(share * np.log2(share)))


class Structure(NamedTuple):
    """Beat, chords and keys: structure on a scale of seconds, for comparison with the values of real music.

    beat
        highest autocorrelation of the onset strength at lags of .2 to 2 s.
    beat_seconds
        shortest lag, in seconds, at which that autocorrelation has a peak of at least .9 times ``beat``.
    chord_seconds
        duration, in seconds, of the chord to which a frame belongs: median over frames.
    key_stability
        share of the pairs of successive stretches of 10 s that are in the same key.
    key_clarity
        correlation with the profile of the best-fitting key: mean over stretches.
    """

    beat: float
    beat_seconds: float
    chord_seconds: float
    key_stability: float
    key_clarity: float


def structure(audio: ArrayLike, sample_rate_hz: int) -> Structure:
    """Compute the :class:`Structure` of audio, (n_samples,), that is 20 s or longer.

    RnnaudioError if the audio is shorter; also the errors of :func:`log_mel` and :func:`chroma`.
    """
    if len(np.asarray(audio)) < 2 * KEY_SECONDS * sample_rate_hz:
        raise RnnaudioError(f"structure over seconds needs {2 * KEY_SECONDS:.0f} s of audio or more")
    strength = onset_strength(audio, sample_rate_hz)
    beat, beat_seconds = _beat(strength - strength.mean(), sample_rate_hz / HOP_SAMPLES)
    classes = chroma(audio, sample_rate_hz)
    per_second = sample_rate_hz / CHROMA_HOP
    keys, clarity = _keys(classes, round(KEY_SECONDS * per_second))
    stability = float(np.mean(keys[1:] == keys[:-1]))
    return Structure(beat, beat_seconds, _chord_seconds(classes, per_second), stability, clarity)


def shares(classes: FloatArray) -> FloatArray:
    """Power in each pitch class, (n_frames, 12), as a share of the total of the frame; silent frames stay zero."""
    return classes / np.maximum(classes.sum(axis=1, keepdims=True), 1e-30)


def _beat(x: FloatArray, per_second: float) -> tuple[float, float]:
    first, last = (round(s * per_second) for s in BEAT_LAGS_SECONDS)
    energy = float(x @ x) or 1.0
    scores = [float(x[lag:] @ x[:-lag]) / energy * len(x) / (len(x) - lag) for lag in range(first, last + 1)]
    peak = max(scores)
    is_peak = maximum_filter1d(scores, 7, mode="nearest") == scores
    soonest = int(np.argmax(is_peak & (np.array(scores) >= BEAT_SHARE * peak)))
    return peak, (first + soonest) / per_second


def chords(classes: FloatArray, per_second: float) -> NDArray[np.int64]:
    """Find the chord of each frame of chroma, (n_frames, 12) -> (n_frames,): the one of 24 triads with the most power.

    Chords 0 to 11 are C major to B major, 12 to 23 C minor to B minor. The shares of the pitch classes are first
    smoothed by a median filter of .6 s. per_second: number of frames per second. A silent frame counts as C major.
    """
    triads = np.array([np.roll(np.isin(range(12), kind), root) for kind in TRIADS for root in range(12)])
    size = max(1, round(CHORD_SMOOTHING_SECONDS * per_second)) | 1
    smooth = median_filter(shares(classes), (size, 1))
    return np.argmax(smooth @ triads.T, axis=1)


def _chord_seconds(classes: FloatArray, per_second: float) -> float:
    """Median over frames of the duration, in seconds, of the chord to which the frame belongs."""
    best = chords(classes, per_second)
    changes = np.flatnonzero(np.diff(best)) + 1
    n_frames = np.diff([0, *changes, len(best)])
    return float(np.median(np.repeat(n_frames, n_frames))) / per_second


def key_fit(classes: FloatArray, n_frames: int) -> FloatArray:
    """Correlation of each stretch of ``n_frames`` frames of chroma with the profiles of the keys: (n_stretches, 24).

    classes: chroma, (n, 12). Keys 0 to 11 are C major to B major, 12 to 23 C minor to B minor; the profiles are those
    of Krumhansl and Kessler (1982). A remainder at the end counts as a stretch if it is longer than half of one. All
    correlations of a silent stretch are 0.
    """
    profiles = np.array([np.roll(p, k) for p in (MAJOR, MINOR) for k in range(12)])
    profiles = (profiles - profiles.mean(axis=1, keepdims=True)) / profiles.std(axis=1, keepdims=True)
    share = shares(classes)
    stretches = [share[k : k + n_frames].mean(axis=0) for k in range(0, len(share) - n_frames // 2, n_frames)]
    x = np.array([(s - s.mean()) / max(s.std(), 1e-12) for s in stretches])
    return np.asarray(x @ profiles.T / 12.0)


def _keys(classes: FloatArray, n_frames: int) -> tuple[NDArray[np.int64], float]:
    """Best-fitting key of each stretch, numbered as in :func:`key_fit`, and the mean of the correlations with it."""
    fit = key_fit(classes, n_frames)
    return np.argmax(fit, axis=1), float(fit.max(axis=1).mean())
