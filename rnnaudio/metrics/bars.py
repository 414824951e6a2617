"""Metre and recurrence of bars: similarity of harmony and rhythm of each bar to the bars 1, 2, 4 and 8 before.

Audio is mono, (n_samples,), floating point, with full scale at -1 and 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.music import CHROMA_FRAME, CHROMA_HOP, chroma, onset_strength, shares
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.spectrum import FRAME_SAMPLES, HOP_SAMPLES
from rnnaudio.metrics.tempo import Tempo, follow

LEAST_SECONDS = 40.0  # eight of the longest bars, 32 s, and two more
PERIODS_IN_A_BAR = (4, 6, 8)
BARS_BEFORE = (1, 2, 4, 8)
CELLS = 4  # to a period
METRE = 4 * CELLS  # cells after which the metre begins anew
FINE = np.linspace(-0.004, 0.004, 41)


class Recurrence(NamedTuple):
    """Similarity of bars to earlier bars; see :func:`recurrence` for the definitions.

    value
        mean of ``by_bars``: about 0 if nothing recurs, 1 at most.
    by_bars
        similarity to the bars 1, 2, 4 and 8 before, (4,).
    bar_seconds
        median duration of a bar in seconds.
    metre_share
        share of the metre in the variance of the onset strength: about .03 for onsets at random, 1 for a loop of one
        bar.
    """

    value: float
    by_bars: FloatArray
    bar_seconds: float
    metre_share: float


def bar_recurrence(audio: ArrayLike, sample_rate_hz: int) -> Recurrence:
    """Similarity of the bars of audio, (n_samples,), to earlier ones; see :func:`recurrence`.

    RnnaudioError if the audio is shorter than 40 s; also the errors of `log_mel` and `chroma`.
    """
    if len(np.asarray(audio)) < LEAST_SECONDS * sample_rate_hz:
        seconds = len(np.asarray(audio)) / sample_rate_hz
        raise RnnaudioError(f"bars need {LEAST_SECONDS:.0f} s of audio or more, got {seconds:.1f} s: give more")
    strength = onset_strength(audio, sample_rate_hz)
    tempo = follow(strength, sample_rate_hz / HOP_SAMPLES)
    return recurrence(strength, chroma(audio, sample_rate_hz), tempo, sample_rate_hz)


def recurrence(strength: FloatArray, classes: FloatArray, tempo: Tempo, sample_rate_hz: int) -> Recurrence:
    """Measure the similarity of bars to those 1, 2, 4 and 8 bars earlier, and the mean of these four values.

    Time is divided into cells of a quarter of a beat period, which follow the path of the tempo (see
    `rnnaudio.metrics.tempo.follow`). A cell has two features: the square roots of the shares of the pitch classes,
    (12,), and the onset strength, (1,). The metre of a feature is its mean over all cells at the same place within
    four periods. With y_t the feature of cell t minus its mean over all cells, and x_t the feature minus its metre,

        rho(l) = sum_t x_t . x_(t+l) / sqrt(sum |y_t|^2 sum |y_(t+l)|^2)

    The similarity to the bar k bars earlier is the mean of rho(k L) over both features, for bars of L cells. Without
    the metre, properties that never change, such as a held key or a steady beat, do not count as recurrence. A bar
    that is repeated over and over is nothing but metre; therefore the result also has the share of the metre in the
    variance of the onset strength. Neither the octave of the period nor the number of beats in a bar is known: bars of
    4, 6 and 8 periods (1 to 4 s) are tried, and the length with the greatest similarity counts. Bar lines need not be
    found, because the similarity does not depend on them.

    strength: (n_frames,), the `onset_strength` of 40 s of audio or more. classes: (n, 12), the `chroma` of the same
    audio. tempo: the tempo of the same audio.
    """
    seconds = (len(classes) - 1) * CHROMA_HOP / sample_rate_hz
    edges = _on_the_beat(tempo, strength, seconds, sample_rate_hz)
    onsets = _onsets(strength, edges, sample_rate_hz)
    features = _pitches(classes, edges, sample_rate_hz), onsets
    by_size = {n: _similarity(features, n * CELLS) for n in PERIODS_IN_A_BAR}
    best = max(by_size, key=lambda n: float(by_size[n].mean()))
    share = float(np.var(_metre(onsets)) / max(float(np.var(onsets)), 1e-12))
    return Recurrence(float(by_size[best].mean()), by_size[best], best * float(np.median(tempo.path)), share)


def _on_the_beat(tempo: Tempo, strength: FloatArray, seconds: float, sample_rate_hz: int) -> FloatArray:
    """Find the edges of the cells, see :func:`_cells`, with all periods of the tempo's path scaled by one factor.

    The factor, within .4 % of 1, is the one for which the metre of the onset strength varies most (epoch folding). It
    is needed because the periods of the path are multiples of .3 %: such an error shifts the beat by a whole cell in
    half a minute.
    """
    tried = [_cells(tempo.times, tempo.path * factor, seconds) for factor in 1.0 + FINE]
    return max(tried, key=lambda edges: float(np.var(_metre(_onsets(strength, edges, sample_rate_hz)))))


def _cells(times: FloatArray, periods: FloatArray, seconds: float) -> FloatArray:
    """Edges of the cells, (n_cells + 1,) in seconds since the middle of the first frame of chroma.

    times, periods: (n,) in seconds, the tempo's path. seconds: duration to divide into cells.
    """
    t = np.linspace(0.0, seconds, max(2, round(100.0 * seconds)))
    per_second = CELLS / np.interp(t, times, periods)
    cells = np.concatenate([[0.0], np.cumsum((per_second[1:] + per_second[:-1]) / 2.0 * np.diff(t))])
    return np.interp(np.arange(int(cells[-1]) + 1), cells, t)


def _means(frames: FloatArray, frame_seconds: FloatArray, edges: FloatArray) -> FloatArray:
    """Mean over each cell of frames (n_frames, n), whose middles are at ``frame_seconds``: (n_cells, n)."""
    hop = frame_seconds[1] - frame_seconds[0]
    ends = np.concatenate([[frame_seconds[0] - hop / 2.0], frame_seconds + hop / 2.0])
    sums = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, axis=0)])
    at_edges = np.stack([np.interp(edges, ends, column) for column in sums.T], axis=1)
    return np.asarray(np.diff(at_edges, axis=0) * hop / np.diff(edges)[:, None])


def _pitches(classes: FloatArray, edges: FloatArray, sample_rate_hz: int) -> FloatArray:
    """Square root of the mean share of each pitch class in each cell, (n_cells, 12)."""
    seconds = np.arange(len(classes)) * CHROMA_HOP / sample_rate_hz
    return np.asarray(np.sqrt(_means(shares(classes), seconds, edges)))


def _onsets(strength: FloatArray, edges: FloatArray, sample_rate_hz: int) -> FloatArray:
    """Mean onset strength in each cell, (n_cells, 1)."""
    # An attack raises the energy of a frame only once it lies a quarter inside it; before, the window attenuates it.
    late = HOP_SAMPLES + 0.75 * FRAME_SAMPLES - CHROMA_FRAME / 2
    seconds = (np.arange(len(strength)) * HOP_SAMPLES + late) / sample_rate_hz
    return _means(strength[:, None], seconds, edges)


def _metre(x: FloatArray) -> FloatArray:
    """Metre of x (n_cells, n): for each cell, the mean over all cells at the same place within four periods."""
    usual = np.stack([x[place::METRE].mean(axis=0) for place in range(min(METRE, len(x)))])
    return usual[np.arange(len(x)) % METRE]


def _similarity(features: tuple[FloatArray, ...], n_cells: int) -> FloatArray:
    """Mean over the features, (n, n_features) each, of rho at 1, 2, 4 and 8 bars of ``n_cells`` cells: (4,)."""
    return np.array([np.mean([_rho(y, bars * n_cells) for y in features]) for bars in BARS_BEFORE])


def _rho(feature: FloatArray, lag: int) -> float:
    x, y = feature - _metre(feature), feature - feature.mean(axis=0)
    energy = np.sqrt(np.sum(y[:-lag] ** 2) * np.sum(y[lag:] ** 2))
    return float(np.sum(x[:-lag] * x[lag:]) / energy) if energy > 1e-12 else 0.0
