"""Intervals between onsets: their histogram on a logarithmic scale, and its distance from that of real music."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnaudio.metrics.likeness import jensen_shannon_distance
from rnnaudio.metrics.music import onsets_seconds
from rnnaudio.metrics.prediction import FloatArray

SHORTEST_SECONDS, LONGEST_SECONDS = 0.0625, 4.0
N_INTERVALS = 24  # four per octave: an eighth and a triplet (3 to 2) are two bins apart


def interval_histogram(audio: ArrayLike, sample_rate_hz: int) -> NDArray[np.int64]:
    """Histogram of the intervals between successive onsets of audio, (n_samples,): counts (24,), see :func:`counted`.

    Onsets are those of :func:`rnnaudio.metrics.music.onsets_seconds`, whose errors are raised.
    """
    return counted(onsets_seconds(audio, sample_rate_hz))


def counted(onsets: FloatArray) -> NDArray[np.int64]:
    """Histogram of the intervals between successive onsets, (n_onsets,) in seconds: counts (24,).

    Bins are a quarter of an octave wide, from .0625 to 4 s. Shorter and longer intervals count in the first and the
    last bin. All counts are 0 if there are fewer than two onsets.
    """
    edges = np.geomspace(SHORTEST_SECONDS, LONGEST_SECONDS, N_INTERVALS + 1)
    bins = np.clip(np.searchsorted(edges, np.diff(onsets), side="right") - 1, 0, N_INTERVALS - 1)
    return np.bincount(bins, minlength=N_INTERVALS)


def interval_distance(histogram: ArrayLike, reference: ArrayLike) -> float:
    """Jensen-Shannon distance of a histogram of intervals, (24,), from that of real music: 0 if equal, 1 if disjoint.

    An empty histogram also has a distance of 1. RnnaudioError if only the reference is empty, or if shapes differ.
    With few intervals the distance is large by chance (about .2 for a hundred): compare stretches of equal length.
    """
    counts = np.asarray(histogram)
    return jensen_shannon_distance(counts, reference) if counts.any() else 1.0
