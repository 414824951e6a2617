"""Survival time of generated audio: how long level, spectrum and spectral change stay within those of real recordings.

Audio is mono, (n_samples,), floating point, with full scale at -1 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray, decibel
from rnnaudio.metrics.spectrum import FLOOR_POWER, FRAME_SAMPLES, HOP_SAMPLES, checked, frame_features

N_WINDOWS_DEAD = 8
PERCENTILES = (0.5, 99.5)


class WindowFeatures(NamedTuple):
    """Features of windows of 1 s, in dB, (n_windows,) each; `alive_seconds` defines them."""

    level: FloatArray
    flatness: FloatArray
    flux: FloatArray
    movement: FloatArray


Range = tuple[float, float]


@dataclass(frozen=True)
class AliveLimits:
    """Limits (low, high) of each feature in dB, from real recordings at this sample rate; made by `calibrate`."""

    sample_rate_hz: int
    level: Range
    flatness: Range
    flux: Range
    movement: Range


# Result of `calibrate` on the nine training pieces (1,707 s, rendered from recorded notes) of a version of
# mozart-steinway.h5 without repeats. For use without that corpus: limits from the minute of music that comes with the
# package would be too narrow for other pieces.
STEINWAY_16_KHZ = AliveLimits(
    sample_rate_hz=16000,
    level=(-48.8, -18.1),
    flatness=(-38.9, -10.3),
    flux=(0.385, 2.53),
    movement=(2.84, 16.3),
)


class Alive(NamedTuple):
    """Seconds until the audio left the limits of music, and the reason.

    If it never did, ``seconds`` is its duration, and ``reason`` is empty.
    """

    seconds: float
    reason: str


# (feature, side, description), in order of precedence: silence is also flat and static, and noise may also be loud.
_DEATHS = (
    ("level", "below", "faded to silence"),
    ("flatness", "above", "turned into noise"),
    ("flux", "below", "froze: the spectrum stopped changing"),
    ("movement", "below", "froze: the spectrum stopped moving"),
    ("level", "above", "became too loud"),
    ("flatness", "below", "turned into pure tones"),
    ("flux", "above", "became restless: the spectrum changes too fast"),
    ("movement", "above", "became restless: the spectrum moves too far"),
)


def calibrate(real_recordings: Iterable[ArrayLike], sample_rate_hz: int) -> AliveLimits:
    """Compute limits from real recordings: 0.5 and 99.5 percentiles of every feature over all their windows.

    Pass several works: limits from a single work reject other real music. Recordings are read one at a time; those
    shorter than 1 s are ignored. RnnaudioError if all are shorter, or if one is not mono, floating point and finite.
    """
    windows = []
    for number, recording in enumerate(real_recordings):
        samples = checked(recording, sample_rate_hz)
        if not np.isfinite(samples).all():
            raise RnnaudioError(f"recording {number} holds NaN or infinite samples: repair it or leave it out")
        if len(samples) >= sample_rate_hz:
            windows.append(np.stack(_window_features(samples, sample_rate_hz)))
    if not windows:
        raise RnnaudioError("no recording is as long as 1 s: give longer recordings to calibrate the limits")
    low, high = np.percentile(np.concatenate(windows, axis=1), PERCENTILES, axis=1)
    ranges = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    return AliveLimits(sample_rate_hz, *ranges)


def alive_seconds(audio: ArrayLike, sample_rate_hz: int, limits: AliveLimits) -> Alive:
    """Seconds until the audio stops being music: the start of the first 8 consecutive windows outside the limits.

    Windows are 1 s long and start every quarter of a second. A window is outside if any of its features is outside its
    limits:

        level      10 log10 of the mean square of the samples
        flatness   10 log10 of the geometric over the arithmetic mean of the power from 60 Hz to .45 of the sample
                   rate, mean over frames
        flux       absolute change of `log_mel` from frame to frame, mean over frames and bands
        movement   standard deviation of `log_mel` over the frames of the window, mean over bands

    The reason names a feature that is out of range, and on which side, in at least half of those 8 windows (of
    several, the first of: silence, noise, standstill, others). Audio with fewer than 8 windows (2.75 s) survives for
    0 s if all of them are outside. The first NaN or infinite sample ends the audio. Loops are not detected: a repeated
    bar counts as music.

    RnnaudioError if the audio is not mono and floating point, is shorter than 1 s, or differs from the limits in
    sample rate.
    """
    samples = _to_judge(audio, sample_rate_hz, limits)
    n_finite = int(np.argmin(np.append(np.isfinite(samples), False)))
    seconds, reason = n_finite / sample_rate_hz, ""
    if n_finite < len(samples):
        reason = f"stopped being sound: a sample is {samples[n_finite]}"
    if n_finite < sample_rate_hz:
        return Alive(seconds, reason)
    features = _window_features(samples[:n_finite], sample_rate_hz)
    outside = _sides(features, limits)
    start = _first_run(np.any(list(outside.values()), axis=0))
    if start is None:
        return Alive(seconds, reason)
    run = slice(start, start + N_WINDOWS_DEAD)
    return Alive(start * _hop(sample_rate_hz) / sample_rate_hz, _death(features, limits, outside, run))


class InRange(NamedTuple):
    """Share of windows within the limits, and the time from which all windows are outside.

    fraction
        share of windows within the limits.
    dead_from_s
        start, in seconds, of the run of windows outside the limits with which the audio ends; None if this run has
        fewer than 8 windows (or fewer than all, if there are not 8).
    """

    fraction: float
    dead_from_s: float | None


def in_range(audio: ArrayLike, sample_rate_hz: int, limits: AliveLimits) -> InRange:
    """Measure the share of windows within the limits over the whole audio; windows are those of `alive_seconds`.

    Windows with NaN or infinite samples count as outside. Raises the errors of `alive_seconds`.
    """
    samples = _to_judge(audio, sample_rate_hz, limits)
    finite = np.isfinite(samples)
    inside = ~np.any(
        list(_sides(_window_features(np.where(finite, samples, 0.0), sample_rate_hz), limits).values()), 0
    )
    hop = _hop(sample_rate_hz)
    inside &= [bool(finite[k * hop : k * hop + sample_rate_hz].all()) for k in range(len(inside))]
    n_dead = len(inside) if not inside.any() else int(np.argmax(inside[::-1]))
    is_dead = n_dead >= min(N_WINDOWS_DEAD, len(inside))
    return InRange(float(inside.mean()), (len(inside) - n_dead) * hop / sample_rate_hz if is_dead else None)


def _to_judge(audio: ArrayLike, sample_rate_hz: int, limits: AliveLimits) -> FloatArray:
    """Samples as float64; RnnaudioError if their sample rate is not that of the limits, or if they are below 1 s."""
    samples = checked(audio, sample_rate_hz)
    if limits.sample_rate_hz != sample_rate_hz:
        raise RnnaudioError(
            f"the limits are for {limits.sample_rate_hz} Hz, the audio is {sample_rate_hz} Hz: resample it"
        )
    if len(samples) < sample_rate_hz:
        raise RnnaudioError(f"{len(samples) / sample_rate_hz:.2f} s of audio are too short: give at least 1 s")
    return samples


def _sides(features: WindowFeatures, limits: AliveLimits) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Flags of the windows out of range, (n_windows,), by (feature, side)."""
    return {(name, side): _outside(features, limits, name, side) for name, side, _ in _DEATHS}


def _hop(sample_rate_hz: int) -> int:
    return sample_rate_hz // 4


def _window_features(samples: FloatArray, sample_rate_hz: int) -> WindowFeatures:
    """Features of each window, computed from the spectral frames that lie completely inside it."""
    mel, flatness = frame_features(samples, sample_rate_hz)
    flux = np.abs(np.diff(mel, axis=0)).mean(axis=1)
    rows = []
    for start in range(0, len(samples) - sample_rate_hz + 1, _hop(sample_rate_hz)):
        stop = start + sample_rate_hz
        first, last = -(-start // HOP_SAMPLES), (stop - FRAME_SAMPLES) // HOP_SAMPLES
        level = decibel(max(float(np.mean(samples[start:stop] ** 2)), FLOOR_POWER))
        frames = slice(first, last + 1)
        rows.append((level, flatness[frames].mean(), flux[first:last].mean(), mel[frames].std(axis=0).mean()))
    return WindowFeatures(*np.array(rows, dtype=np.float64).T)


def _outside(features: WindowFeatures, limits: AliveLimits, name: str, side: str) -> NDArray[np.bool_]:
    low, high = getattr(limits, name)
    values = getattr(features, name)
    return np.asarray(values < low if side == "below" else values > high)


def _first_run(dead: NDArray[np.bool_]) -> int | None:
    """Index of the first window of the first 8 consecutive ``dead`` ones; None if there are none.

    If there are fewer than 8 windows, all of them must be dead.
    """
    length = min(N_WINDOWS_DEAD, len(dead))
    runs = np.lib.stride_tricks.sliding_window_view(dead, length).all(axis=1)
    return int(np.argmax(runs)) if runs.any() else None


def _death(
    features: WindowFeatures, limits: AliveLimits, outside: dict[tuple[str, str], NDArray[np.bool_]], run: slice
) -> str:
    """Describe why the windows of ``run`` are outside the limits.

    Names the first entry of _DEATHS that applies to half of these windows, or else the one that applies to most.
    """
    share = [float(outside[name, side][run].mean()) for name, side, _ in _DEATHS]
    cause = share.index(next((s for s in share if s >= 0.5), max(share)))
    name, side, sentence = _DEATHS[cause]
    value = np.median(getattr(features, name)[run][outside[name, side][run]])
    limit = getattr(limits, name)[side == "above"]
    return f"{sentence} ({name} {value:.1f} dB, {side} {limit:.1f} dB)"
