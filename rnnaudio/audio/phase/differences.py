"""Differences of phases: what of a phase can be told from magnitudes.

From frame to frame the phase of a bin turns by 2 pi k hop / n for a tone at the bin's centre, many times over, and it
depends on when the sound began: no model can say it. What is left are differences, which do not change when all phases
are shifted:

    in time        v[m, k] = phase[m, k] - phase[m-1, k] - 2 pi k hop / n, the hop times the instantaneous frequency's
                   deviation from the bin's centre: 0 for a tone there
    in frequency   u[m, k] = centred phase[m, k] - centred phase[m, k-1], -2 pi / n times the group delay: 0 for an
                   event at the frame's centre, from which phases count here (2 pi k c / n more than from its start)

both wrapped to -pi .. pi. For a Gaussian window they are derivatives of the log-magnitude (Portnoff 1979), local
functions of the picture that the blog could read; the phase is their sum along a path.
"""

from typing import NamedTuple

import numpy as np

from rnnaudio.audio.phase.griffin_lim import centre_advance, checked_magnitudes
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError

# Variance of the Gaussian exp(-pi t^2 / gamma) that is nearest to a window, gamma / n^2: Prusa, Balazs and Sondergaard
# (2017), table 2.
NEAREST_GAUSSIAN = {"hann": 0.25645, "hamming": 0.29794, "blackman": 0.17954}
FAINT = 1e-10  # a magnitude below counts as this: silence has no logarithm


class Differences(NamedTuple):
    """time: (n_frames, n_bins), its first row 0, leading to each frame from the one before; frequency: (n_frames,
    n_bins), its first column 0, leading to each bin from the one below. Radians."""

    time: np.ndarray
    frequency: np.ndarray


def wrapped(angle: np.ndarray) -> np.ndarray:
    """The same angle within -pi <= a < pi."""
    return np.mod(np.asarray(angle) + np.pi, 2.0 * np.pi) - np.pi


def hop_advance(stft: STFT) -> np.ndarray:
    """(n_bins,): 2 pi k hop / n, the turn of a bin's centre from frame to frame, less whole turns."""
    turns = np.arange(stft.n_bins) * stft.hop_samples % stft.window_samples  # whole numbers: no digits are lost
    return 2.0 * np.pi * turns / stft.window_samples


def phase_differences(phases: np.ndarray, stft: STFT) -> Differences:
    """Of phases (n_frames, ..., n_bins), in radians from each frame's first sample."""
    time, frequency = np.zeros(phases.shape), np.zeros(phases.shape)
    time[1:] = wrapped(np.diff(phases, axis=0) - hop_advance(stft))
    frequency[..., 1:] = wrapped(np.diff(phases + centre_advance(stft), axis=-1))
    return Differences(time, frequency)


def magnitude_differences(magnitudes: np.ndarray, stft: STFT) -> Differences:
    """Guesses from the magnitudes alone, (n_frames, n_bins): phase gradient of Prusa, Balazs and Sondergaard (2017).

        v = hop n / gamma  d log|X| / dk        u = -gamma / (hop n)  d log|X| / dm

    by central differences, means of the two ends. A frame needs the one after it. RnnaudioError for a rectangular
    window, which no Gaussian is near to.
    """
    logs = np.log(np.maximum(checked_magnitudes(magnitudes, stft), FAINT))
    first, last = logs[:2][::-1], logs[-2:]  # of a single frame one row each
    before = np.concatenate([2.0 * logs[:1] - first[:1], logs[:-1]])
    after = np.concatenate([logs[1:], 2.0 * logs[-1:] - last[:1]])
    found = differences_between(before, logs, after, gradient_slope(stft))
    found.time[0] = 0.0
    return found


def differences_between(before: np.ndarray, logs: np.ndarray, after: np.ndarray, slope: float) -> Differences:
    """:func:`magnitude_differences` of log-magnitudes (..., n_bins), those a frame earlier and those a frame later; at
    an end, where there are none, these go on as a straight line."""
    along_bins, frequency = np.zeros(logs.shape), np.zeros(logs.shape)
    if logs.shape[-1] > 1:
        along_bins = np.gradient((logs + before) / 2.0, axis=-1)
    along_time = (after - before) / 2.0
    frequency[..., 1:] = (along_time[..., 1:] + along_time[..., :-1]) / 2.0
    return Differences(wrapped(slope * along_bins), wrapped(-frequency / slope))


def gradient_slope(stft: STFT) -> float:
    """hop n / gamma; RnnaudioError for a rectangular window."""
    if stft.window not in NEAREST_GAUSSIAN:
        raise RnnaudioError(f"no Gaussian is near to a {stft.window} window: take {', '.join(NEAREST_GAUSSIAN)}")
    return stft.hop_samples / (NEAREST_GAUSSIAN[stft.window] * stft.window_samples)
