"""Phase differences: the part of the phase that can be predicted from magnitudes.

For a tone at the centre of bin k, the phase of the bin advances by 2 pi k hop / n, many turns, from frame to frame (n
is the window length in samples). The phase itself depends on the onset time, so no model can predict it. Differences
of phases, in contrast, do not change if the same angle is added to all phases. For frame m and bin k they are:

    in time        v[m, k] = phase[m, k] - phase[m-1, k] - 2 pi k hop / n. This is the hop times the deviation of the
                   instantaneous (angular) frequency from the bin's centre: 0 for a tone at the centre
    in frequency   u[m, k] = centred phase[m, k] - centred phase[m, k-1]. Centred phases refer to the centre of the
                   frame, c = n // 2, instead of its first sample: 2 pi k c / n is added. This is -2 pi / n times the
                   group delay from the centre: 0 for an impulse at the centre

Both are wrapped to -pi .. pi. For a Gaussian window they are derivatives of the log-magnitude (Portnoff 1979), so they
are local functions of the spectrogram; the phase is their sum along a path.
"""

from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Features, Floats, Magnitudes, Phases
from rnnaudio.audio.phase.griffin_lim import centre_advance, checked_magnitudes
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError

# gamma / n^2 for the Gaussian exp(-pi t^2 / gamma) nearest to each window: Prusa, Balazs and Sondergaard (2017),
# table 2.
NEAREST_GAUSSIAN = {"hann": 0.25645, "hamming": 0.29794, "blackman": 0.17954}
FAINT = 1e-10  # lower limit of a magnitude under the logarithm


class Differences(NamedTuple):
    """Phase differences v (time) and u (frequency) in radians, as defined at the top of the module.

    Both have the shape of the phases: (n_frames, ..., n_bins), or (..., n_bins) for a single frame.

    time
        difference from the frame before; 0 in the first frame.
    frequency
        difference from the bin below; 0 in the first bin.
    """

    time: Phases
    frequency: Phases


def wrapped(angle: Floats) -> Phases:
    """Wrap angles in radians to -pi <= a < pi."""
    return np.mod(np.asarray(angle) + np.pi, 2.0 * np.pi) - np.pi


def hop_advance(stft: STFT) -> Phases:
    """Phase advance 2 pi k hop / n from frame to frame of a tone at each bin's centre, modulo 2 pi; (n_bins,)."""
    turns = np.arange(stft.n_bins) * stft.hop_samples % stft.window_samples  # exact, in integers
    return 2.0 * np.pi * turns / stft.window_samples


def phase_differences(phases: Phases, stft: STFT) -> Differences:
    """Compute the :class:`Differences` of phases (n_frames, ..., n_bins), in radians.

    The phases must refer to the first sample of each frame.
    """
    time, frequency = np.zeros(phases.shape), np.zeros(phases.shape)
    time[1:] = wrapped(np.diff(phases, axis=0) - hop_advance(stft))
    frequency[..., 1:] = wrapped(np.diff(phases + centre_advance(stft), axis=-1))
    return Differences(time, frequency)


def magnitude_differences(magnitudes: Magnitudes, stft: STFT) -> Differences:
    """Estimate phase differences from magnitudes (n_frames, n_bins): Prusa, Balazs and Sondergaard (2017).

        v = hop n / gamma  d log|X| / dk        u = -gamma / (hop n)  d log|X| / dm

    n is the window length in samples, exp(-pi t^2 / gamma) the Gaussian nearest to the window. The derivatives are
    central differences, averaged over the two frames (v) or bins (u) of the phase difference. A frame needs the frame
    after it; at the ends log|X| is extrapolated linearly. RnnaudioError for a rectangular window, which no Gaussian
    approximates, and for magnitudes that are negative, not finite or of a wrong shape.
    """
    logs = np.log(np.maximum(checked_magnitudes(magnitudes, stft), FAINT))
    first, last = logs[:2][::-1], logs[-2:]  # a single frame gives one row in each
    before = np.concatenate([2.0 * logs[:1] - first[:1], logs[:-1]])
    after = np.concatenate([logs[1:], 2.0 * logs[-1:] - last[:1]])
    found = differences_between(before, logs, after, gradient_slope(stft))
    found.time[0] = 0.0
    return found


def differences_between(before: Features, logs: Features, after: Features, slope: float) -> Differences:
    """Estimate the phase differences of a frame from its log-magnitudes and those of its two neighbours.

    before, logs, after: natural logarithms of |X| in the previous frame, the frame and the next one, (..., n_bins)
    each. For the first and the last frame the caller extrapolates the missing neighbour linearly. The formulas are
    those of :func:`magnitude_differences`; ``slope`` is the result of :func:`gradient_slope`.
    """
    frequency = np.zeros(logs.shape)
    has_slope = logs.shape[-1] > 1
    along_bins: Features = np.gradient((logs + before) / 2.0, axis=-1) if has_slope else np.zeros(logs.shape)
    along_time = (after - before) / 2.0
    frequency[..., 1:] = (along_time[..., 1:] + along_time[..., :-1]) / 2.0
    return Differences(wrapped(slope * along_bins), wrapped(-frequency / slope))


def gradient_slope(stft: STFT) -> float:
    """Return the factor hop n / gamma of :func:`magnitude_differences`; RnnaudioError for a rectangular window."""
    if stft.window not in NEAREST_GAUSSIAN:
        raise RnnaudioError(
            f"no Gaussian approximates a {stft.window} window: use one of {', '.join(NEAREST_GAUSSIAN)}"
        )
    return stft.hop_samples / (NEAREST_GAUSSIAN[stft.window] * stft.window_samples)
