"""Music cut into parts of about a second in random order: a control for measures of musical time.

The result has the sound of the music, but not its rhythm, key and form. Audio is mono, (n_samples,), floating point.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, cycle, takewhile

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray

PART_SECONDS = (0.7, 1.3)  # of various length: splices every second would be a beat
FADE_SECONDS = 0.02
LEAST_SECONDS = 2 * PART_SECONDS[1]


def shuffled(
    audio: ArrayLike, sample_rate_hz: int, rng: np.random.Generator, others: Sequence[ArrayLike] = ()
) -> FloatArray:
    """Join parts of the audio, about a second each, in random order with cross-fades of 20 ms: (n_samples,) float64.

    The result is as long as ``audio``. others: more audio, whose parts are mixed with those of ``audio``. rng: source
    of the random lengths and order. Because parts overlap, they may not fill the length; the first parts of the random
    order then follow once more. RnnaudioError if ``audio`` or another sound is shorter than 2.6 s.
    """
    sounds = [np.asarray(one, np.float64) for one in (audio, *others)]
    shortest = min(map(len, sounds))
    if shortest < LEAST_SECONDS * sample_rate_hz:
        got = f"{shortest / sample_rate_hz:.1f} s of audio"
        raise RnnaudioError(f"got {got} to shuffle, expected {LEAST_SECONDS:g} s or more: give more")
    parts = [part for one in sounds for part in _parts(one, sample_rate_hz, rng)]
    order = (parts[k] for k in cycle(rng.permutation(len(parts))))
    return _joined(order, len(sounds[0]), round(FADE_SECONDS * sample_rate_hz))


def _parts(audio: FloatArray, sample_rate_hz: int, rng: np.random.Generator) -> list[FloatArray]:
    """Cut audio into adjoining parts of .7 to 1.3 s; the last part includes the remainder, and has less than 2 s."""
    least, most = (round(s * sample_rate_hz) for s in PART_SECONDS)
    lengths = rng.integers(least, most + 1, -(-len(audio) // least))
    ends = list(takewhile(lambda end: end <= len(audio) - least, accumulate(map(int, lengths))))
    return np.split(audio, ends)


def _joined(parts: Iterable[FloatArray], n: int, n_fade: int) -> FloatArray:
    """Join an endless sequence of parts with cross-fades of ``n_fade`` samples; returns the first n samples."""
    ramp, sound, at = np.linspace(0.0, 1.0, n_fade), np.zeros(n), 0
    for part in parts:
        faded = part.copy()
        faded[:n_fade] *= ramp
        faded[-n_fade:] *= ramp[::-1]
        sound[at : at + len(part)] += faded[: n - at]
        at += len(part) - n_fade
        if at >= n:
            break
    return sound
