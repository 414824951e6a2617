"""Harmony over ten seconds and more: how well a key is kept, and how often the chord changes.

Audio is mono, (n_samples,), floating point, with full scale at -1 and 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.music import CHROMA_HOP, KEY_SECONDS, chords, chroma, key_fit
from rnnaudio.metrics.prediction import FloatArray

LEAST_SECONDS = 2 * KEY_SECONDS


class Harmony(NamedTuple):
    """Two measures of harmony, see the functions :func:`key_kept` and :func:`chord_changes` (per second)."""

    key_kept: float
    chord_changes: float


def harmony(audio: ArrayLike, sample_rate_hz: int) -> Harmony:
    """Compute the :class:`Harmony` of audio of 20 s or more; RnnaudioError if it is shorter.

    Also raises the errors of :func:`rnnaudio.metrics.music.chroma`.
    """
    if len(np.asarray(audio)) < LEAST_SECONDS * sample_rate_hz:
        seconds = len(np.asarray(audio)) / sample_rate_hz
        raise RnnaudioError(f"harmony needs {LEAST_SECONDS:.0f} s of audio or more, got {seconds:.1f} s: give more")
    classes, per_second = chroma(audio, sample_rate_hz), sample_rate_hz / CHROMA_HOP
    return Harmony(key_kept(classes, per_second), chord_changes(classes, per_second))


def key_kept(classes: FloatArray, per_second: float) -> float:
    """Mean correlation of each stretch of 10 s with the key of the stretch before: 1 at most, about 0 for random keys.

        mean_w f(w + 1, argmax_k f(w, k)),   f(w, k): correlation of stretch w with the profile of key k

    f is :func:`rnnaudio.metrics.music.key_fit`. The result is low for music without a key and for music that changes
    its key. classes: chroma, (n_frames, 12), of 20 s or more; per_second: number of frames per second.
    """
    n = round(KEY_SECONDS * per_second)
    fit = key_fit(classes, n)
    keys = np.argmax(fit[:-1], axis=1)
    return float(np.mean(fit[np.arange(1, len(fit)), keys]))


def chord_changes(classes: FloatArray, per_second: float) -> float:
    """Number of chord changes per second; a chord is one of 24 triads, see :func:`rnnaudio.metrics.music.chords`.

    classes: chroma, (n_frames, 12); per_second: number of frames per second.
    """
    return float(np.count_nonzero(np.diff(chords(classes, per_second))) * per_second / len(classes))
