"""Features of windows of one second: level, noisiness, movement and repetition of the spectrum, clipping.

Audio is mono, floating point, (n_samples,), with full scale at -1 and 1. Windows start every quarter of a second.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rnnaudio.audio.mel import mel_weights
from rnnaudio.metrics.prediction import FloatArray, decibel

WINDOW_SECONDS = 1.0
STEP_SECONDS = 0.25
FRAME_SECONDS = 0.064
HOP_SECONDS = 0.016
N_BANDS = 40
N_WIDE_BANDS = 9  # in which noisiness is measured
FLOOR_POWER = 1e-10
RANGE_DB = 50.0  # below the loudest band of the window: what is softer is masked
LEVEL_PERCENTILE = 75.0  # of the power of frames of 16 ms: a few clicks are no sound
PEAK_SHARE, FLAT_SHARE, LEAST_PEAK = 0.995, 2e-4, 1e-4
SHORTEST_PERIOD, LONGEST_PERIOD = 0.16, 3.2  # seconds
LEAST_AVERAGED = 1.0  # seconds over which a repetition is compared, or the period if that is longer
LEAST_VARIATION_DB = 1.0  # a steady spectrum repeats at every period, which says nothing
SAME_DISTANCE = 0.15
TYPICAL_SECONDS = 3.0
N_COMPARED = 3  # windows that follow each other, whose mean spectra are compared
BLOCK_FRAMES = 1024


class Windows(NamedTuple):
    """Features of each window, (n_windows,) each.

    level
        75th percentile of the power of frames of 16 ms, in dB of full scale.
    noisiness
        10 log10 of the geometric over the arithmetic mean of the power within each of 9 bands from 60 Hz to .45 of the
        sample rate, mean over frames and bands, weighted by amplitude: -2.5 dB for Gaussian noise of any colour, -10
        dB and below for tones.
    movement
        standard deviation over time of the mel spectrum in dB, mean over the bands. In each frame, the mean over the
        bands is subtracted first, so that changes of level alone do not count.
    clipped
        share of the samples that, like the sample before, have a magnitude of at least .995 of the window's peak,
        while the two magnitudes differ by less than .0002 of the peak.
    recurrence
        mean distance between the spectra of a stretch that begins with the window and the spectra one period later,
        for the period from .16 to 3.2 s with the least distance; divided by the mean distance of two random frames
        nearby. The stretch lasts a second, or one period if that is longer. 0: exact repetition; about 1: none, and 1
        if the sound is too steady or too short for a comparison.
    period
        the period with the least distance, in seconds, or a shorter one whose distance is almost as small; 0 if the
        sound is too short for a comparison.
    change
        standard deviation, in dB, of the mean mel spectra (as for ``movement``) of the window and of the next two
        stretches of its length, mean over the bands: .2 dB for noise of any colour, less for what is held or repeats
        itself within a second. Windows with less than 2 s after them have the value of the last one that has more;
        infinite if the sound is shorter than 3 s.
    """

    level: FloatArray
    noisiness: FloatArray
    movement: FloatArray
    clipped: FloatArray
    recurrence: FloatArray
    period: FloatArray
    change: FloatArray


class _Frames(NamedTuple):
    mel: FloatArray  # (n_frames, N_BANDS - 1) dB
    flatness: FloatArray  # (n_frames, N_WIDE_BANDS) dB
    power: FloatArray  # (n_frames, N_WIDE_BANDS)


def measure_windows(samples: FloatArray, sample_rate_hz: int) -> Windows:
    """Measure each window of 1 s within ``samples``, (n_samples,), finite; windows start every .25 s.

    The fields of the result are empty if there is less than 1 s of samples.
    """
    n_frame, n_hop = _sizes(sample_rate_hz)
    n_window = round(WINDOW_SECONDS * sample_rate_hz)
    n_windows = max(0, int((len(samples) - n_window) / (STEP_SECONDS * sample_rate_hz)) + 1)
    if len(samples) < n_window:
        return Windows(*np.zeros((7, 0)))
    frames = _frames(samples, sample_rate_hz)
    recurrence, period = _recurrence(frames.mel, n_hop / sample_rate_hz)
    n_frames = (n_window - n_frame) // n_hop + 1
    rows = np.zeros((n_windows, 7))
    for k in range(n_windows):
        start = round(k * STEP_SECONDS * sample_rate_hz)
        first = min(-(-start // n_hop), len(frames.mel) - n_frames)
        part = slice(first, first + n_frames)
        rows[k, 0] = _level(samples[start : start + n_window], n_hop)
        rows[k, 1:3] = _noisiness(frames, part), _movement(frames.mel[part])
        rows[k, 3] = _clipped(samples[start : start + n_window])
        rows[k, 4:6] = recurrence[first], period[first]
        rows[k, 6] = _change(
            frames.mel[first : first + N_COMPARED * n_frames], n_frames, rows[k - 1, 6] if k else np.inf
        )
    return Windows(*rows.T)


@lru_cache(maxsize=8)
def of_noise(sample_rate_hz: int) -> Windows:
    """Features of the windows of a minute of white noise (rms .1), a reference for detecting noise at this rate."""
    return measure_windows(0.1 * np.random.default_rng(0).standard_normal(60 * sample_rate_hz), sample_rate_hz)


def _sizes(sample_rate_hz: int) -> tuple[int, int]:
    """Number of samples in a frame, a power of two, and in a hop."""
    return int(2 ** round(np.log2(FRAME_SECONDS * sample_rate_hz))), round(HOP_SECONDS * sample_rate_hz)


def _frames(samples: FloatArray, sample_rate_hz: int) -> _Frames:
    n_frame, n_hop = _sizes(sample_rate_hz)
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_frame)[::n_hop]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_frame) / n_frame)
    weights = mel_weights(n_frame, sample_rate_hz, N_BANDS)[:, 1:]  # the lowest band has rumble and offsets
    frequencies = np.fft.rfftfreq(n_frame, 1.0 / sample_rate_hz)
    edges_hz = np.concatenate([[60.0], np.geomspace(200.0, 0.45 * sample_rate_hz, N_WIDE_BANDS)])
    edges = np.searchsorted(frequencies, edges_hz)
    bands = [slice(start, max(stop, start + 2)) for start, stop in pairwise(edges)]
    parts: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for start in range(0, len(frames), BLOCK_FRAMES):
        spectrum = np.fft.rfft(frames[start : start + BLOCK_FRAMES] * hann, axis=1)
        power = (2.0 / hann.sum()) ** 2 * np.abs(spectrum) ** 2 + 1e-12
        logarithm = decibel(power)
        means = np.stack([power[:, band].mean(axis=1) for band in bands], axis=1)
        flatness = np.stack([logarithm[:, band].mean(axis=1) for band in bands], axis=1) - decibel(means)
        n_bins = [band.stop - band.start for band in bands]
        parts.append((decibel(power @ weights + FLOOR_POWER), flatness, means * n_bins))
    return _Frames(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _level(samples: FloatArray, n_hop: int) -> float:
    n = len(samples) // n_hop * n_hop
    power = np.mean(samples[:n].reshape(-1, n_hop) ** 2, axis=1)
    return float(decibel(max(np.percentile(power, LEVEL_PERCENTILE), FLOOR_POWER)))


def _noisiness(frames: _Frames, part: slice) -> float:
    weights = np.sqrt(frames.power[part])
    return float(np.sum(frames.flatness[part] * weights) / np.sum(weights))


def _movement(mel: FloatArray) -> float:
    audible = np.maximum(mel, mel.max() - RANGE_DB)
    return float((audible - audible.mean(axis=1, keepdims=True)).std(axis=0).mean())


def _change(mel: FloatArray, n_frames: int, otherwise: float) -> float:
    """Standard deviation of the mean spectra of windows of ``n_frames`` on end, see :class:`Windows`.

    mel: (n, n_bands) in dB, n at most 3 ``n_frames``. ``otherwise`` if there are fewer.
    """
    if len(mel) < N_COMPARED * n_frames:
        return otherwise
    audible = np.maximum(mel, mel.max() - RANGE_DB)
    shape = audible - audible.mean(axis=1, keepdims=True)
    return float(shape.reshape(N_COMPARED, n_frames, -1).mean(axis=1).std(axis=0).mean())


def _clipped(samples: FloatArray) -> float:
    magnitude = np.abs(samples)
    peak = float(magnitude.max())
    if peak < LEAST_PEAK:
        return 0.0
    is_high = magnitude >= PEAK_SHARE * peak
    return float(np.mean(is_high[1:] & is_high[:-1] & (np.abs(np.diff(magnitude)) < FLAT_SHARE * peak)))


def _recurrence(mel: FloatArray, hop_seconds: float) -> tuple[FloatArray, FloatArray]:
    """Compute recurrence and period (in s) of the stretch from each frame on, see :class:`Windows`: (n_frames,) each.

    mel: (n_frames, n_bands) in dB. Of periods whose distances differ by less than .15 of the typical distance, the
    shortest counts. Frames near the end, after which too little sound follows for a comparison, have the values of the
    last frame with a comparison; without any comparison, recurrence is 1 and period 0.
    """
    shape = np.maximum(mel, mel.max() - RANGE_DB)
    shape = shape - shape.mean(axis=1, keepdims=True)
    n_frames = len(shape)
    typical = _typical_distance(shape, hop_seconds)
    least, of_period, period = np.full(n_frames, np.inf), np.full(n_frames, np.inf), np.zeros(n_frames)
    for lag in range(round(SHORTEST_PERIOD / hop_seconds), round(LONGEST_PERIOD / hop_seconds) + 1):
        n_averaged = max(lag, round(LEAST_AVERAGED / hop_seconds))
        if n_frames - lag < n_averaged:
            break
        distance = np.sqrt(np.mean((shape[lag:] - shape[:-lag]) ** 2, axis=1))
        sums = np.concatenate([[0.0], np.cumsum(distance)])
        mean = (sums[n_averaged:] - sums[:-n_averaged]) / n_averaged
        n = len(mean)
        least[:n] = np.minimum(least[:n], mean)
        shorter = mean < of_period[:n] - SAME_DISTANCE * typical[:n]
        of_period[:n][shorter], period[:n][shorter] = mean[shorter], lag * hop_seconds
    n_known = int(np.sum(np.isfinite(least)))
    relative = np.ones(n_frames)
    varied = typical[:n_known] > LEAST_VARIATION_DB
    relative[:n_known][varied] = least[:n_known][varied] / typical[:n_known][varied]
    if n_known:
        relative[n_known:], period[n_known:] = relative[n_known - 1], period[n_known - 1]
    return relative, period


def _typical_distance(shape: FloatArray, hop_seconds: float) -> FloatArray:
    """Mean distance of two random frames within the 3 s after each frame, (n_frames,).

    It is measured every quarter of a second and interpolated linearly.
    """
    rng = np.random.default_rng(0)
    places = np.arange(0, len(shape), max(1, round(STEP_SECONDS / hop_seconds)))
    values = []
    for place in places:
        near = shape[place : place + round(TYPICAL_SECONDS / hop_seconds)]
        one, other = near[rng.integers(0, len(near), (2, 200))]
        values.append(np.sqrt(np.mean((one - other) ** 2, axis=1)).mean())
    return np.interp(np.arange(len(shape)), places, values)
