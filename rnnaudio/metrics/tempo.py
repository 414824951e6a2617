"""Tempo: the beat period in windows of ten seconds, its path through the music, and its deviation.

A period, its double and its half count as the same tempo. Audio is mono, (n_samples,), floating point, with full scale
at -1 and 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.music import onset_strength
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.spectrum import HOP_SAMPLES

WINDOW_SECONDS, STEP_SECONDS = 10.0, 2.0
LEAST_SECONDS = 20.0  # six windows
SHORTEST_SECONDS = 0.25  # periods lie between this and its double
MULTIPLES = (1, 2, 4)
N_STEPS = 240  # periods of the octave that are tried: .3 % apart
CHANGE_PENALTY = 27.0  # a change by 3 % from one window to the next costs .05 of autocorrelation


class Tempo(NamedTuple):
    """Beat periods of a stretch of audio, and their deviation from the median; see :func:`follow`.

    times
        middles of the windows, (n_windows,) in seconds.
    periods
        period of each window by itself, (n_windows,) in seconds, within half an octave of ``period``; NaN for a window
        with a constant onset strength, such as silence.
    path
        period of each window on the best path through all windows, (n_windows,) in seconds.
    period
        circular median of ``periods`` over the octave, in seconds; NaN if all windows have a constant onset strength.
    deviation_percent
        median over the windows of the deviation of a period from ``period``, in per cent of the shorter of the two.
    """

    times: FloatArray
    periods: FloatArray
    path: FloatArray
    period: float
    deviation_percent: float


def tempo(audio: ArrayLike, sample_rate_hz: int) -> Tempo:
    """Find the beat periods of audio, (n_samples,), of 20 s or more; see :func:`follow`.

    RnnaudioError if the audio is shorter; also the errors of `log_mel`.
    """
    if len(np.asarray(audio)) < LEAST_SECONDS * sample_rate_hz:
        seconds = len(np.asarray(audio)) / sample_rate_hz
        raise RnnaudioError(f"the tempo needs {LEAST_SECONDS:.0f} s of audio or more, got {seconds:.1f} s: give more")
    return follow(onset_strength(audio, sample_rate_hz), sample_rate_hz / HOP_SAMPLES)


def tempo_deviation(audio: ArrayLike, sample_rate_hz: int) -> float:
    """Deviation of the period over the audio, in per cent: 0 for a steady beat, about 19 for periods at random.

        100 (2^d - 1),   d = median_w |log2 P_w - log2 P|

    P_w is the period of window w, P the median of all. Differences of log2 are taken modulo 1, because the octave does
    not count; so they are 1/2 at most, and the result 41 %. A window with a constant onset strength counts with 1/2.
    Raises the errors of :func:`tempo`.
    """
    return tempo(audio, sample_rate_hz).deviation_percent


def follow(strength: FloatArray, per_second: float) -> Tempo:
    """Find the beat periods of an onset strength, (n_frames,), with ``per_second`` frames per second.

    Windows last 10 s and start every 2 s. With r the normalised autocorrelation of a window minus its mean, the fit of
    a period P is

        F(P) = (r(P) + r(2 P) + r(4 P)) / 3,   .25 s <= P < .5 s

    so that a beat, its half and its double support the same P. The period of a window is the P with the highest F. The
    path is the sequence of periods P_w with the highest sum over w of F_w(P_w) - 27 (log2 P_w / P_(w-1))^2, found by
    dynamic programming: it bridges unclear windows, and follows gradual changes of the tempo.
    """
    n, step = (round(s * per_second) for s in (WINDOW_SECONDS, STEP_SECONDS))
    starts = range(0, max(1, len(strength) - n + 1), step)
    fits = np.array([_fit(strength[start : start + n], per_second) for start in starts])
    octave = np.where(fits.any(axis=1), np.argmax(fits, axis=1) / N_STEPS, np.nan)
    centre = _circular_median(octave[np.isfinite(octave)])
    apart = _wrapped(octave - centre)
    deviation = float(np.median(np.nan_to_num(np.abs(apart), nan=0.5)))
    times = (np.array(starts) + n / 2.0) / per_second
    return Tempo(times, _seconds(centre + apart), _seconds(_path(fits)), float(_seconds(centre)), _percent(deviation))


def _seconds(octaves: FloatArray | float) -> FloatArray:
    """Convert positions in octaves above .25 s to periods in seconds."""
    return np.asarray(SHORTEST_SECONDS * 2.0 ** np.asarray(octaves, np.float64))


def _percent(octaves: float) -> float:
    return 100.0 * (2.0**octaves - 1.0)


def _wrapped(octaves: FloatArray) -> FloatArray:
    """Wrap differences in octaves to -.5 .. .5 by adding whole octaves."""
    return np.asarray((octaves + 0.5) % 1.0 - 0.5)


def _fit(strength: FloatArray, per_second: float) -> FloatArray:
    """Fit F, see :func:`follow`, of 240 periods of the octave from .25 s on: (240,); zeros for constant strength."""
    x = strength - strength.mean()
    energy = float(x @ x)
    if energy <= 1e-12 * len(x):
        return np.zeros(N_STEPS)
    spectrum = np.fft.rfft(x, 2 * len(x))
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: len(x)]
    lags = np.arange(len(x))
    r = products / energy * len(x) / (len(x) - lags)
    periods = _seconds(np.arange(N_STEPS) / N_STEPS) * per_second
    return np.asarray(np.mean([np.interp(multiple * periods, lags, r) for multiple in MULTIPLES], axis=0))


def _circular_median(octave: FloatArray) -> float:
    """Circular median of positions, (n,) in octaves: the one with the least sum of distances to all; NaN if n is 0."""
    if not len(octave):
        return float("nan")
    away = np.abs(_wrapped(octave[:, None] - octave))
    return float(octave[np.argmin(away.sum(axis=1))])


def _path(fits: FloatArray) -> FloatArray:
    """Find the best path through the fits, (n_windows, 240), see :func:`follow`; returns (n_windows,).

    The path is in octaves above .25 s. It is continuous, and so may leave the range of 0 to 1.
    """
    places = np.arange(N_STEPS) / N_STEPS
    cost = CHANGE_PENALTY * _wrapped(places[:, None] - places) ** 2  # from the second to the first
    score, came = fits[0], []
    for fit in fits[1:]:
        through = score - cost
        came.append(np.argmax(through, axis=1))
        score = fit + through.max(axis=1)
    path = [int(np.argmax(score))]
    for back in reversed(came):
        path.append(int(back[path[-1]]))
    octave = places[path[::-1]]
    return np.asarray(octave[0] + np.concatenate([[0.0], np.cumsum(_wrapped(np.diff(octave)))]))
