"""Survival time of generated audio: it ends with silence, noise, a standstill, a loop, monotony, clipping, loudness.

Each of these faults is detected where a feature of windows of 1 s (:mod:`rnnaudio.metrics.windows`) crosses a limit.
Most limits are the same for all music, because real recordings of every kind stay far from them; a limit that many
recordings of a corpus cross is relaxed for this corpus, see :func:`calibrate`. Audio is mono, floating
point, (n_samples,), with full scale at -1 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.spectrum import checked
from rnnaudio.metrics.windows import STEP_SECONDS, WINDOW_SECONDS, Windows, measure_windows, of_noise

N_WINDOWS_DEAD = 8
N_WINDOWS_BACK = 4  # without a fault, on end: after them, dead audio is alive again

USUAL_DBFS = -23.0
# Limits that hold for all music, unless the corpus itself crosses them.
SILENCE_DBFS = -60.0
QUIET_DB = -35.0  # relative to the prime, or to the median level of the corpus
LOUD_DB = 6.0  # above the 99.5th percentile of the level
STEADY_SHARE = 1.2  # of the movement of white noise: noise of any colour moves less
FROZEN_SHARE = 0.6
NOISY_DB = -6.5  # the noisiness of noise of any usual colour is above it, that of tones below
NARROW_DB = -9.0  # least noisiness of noise in narrow bands, which moves like noise, and unlike tones
BROAD_DB = -2.75  # least noisiness of pure noise (white noise: -2.4); no music reaches it for seconds on end
WAVERING_SHARE = 2.0  # of the movement of white noise: noise whose colour wavers moves more than steady noise
UNCHANGED_SHARE = 2.0  # of the change of white noise from second to second
REPEATED = 0.2
CLIPPED = 0.01
FADE_DB = -4.0  # slope of the level, per second, over the two seconds before silence: a fade, not an abrupt end

MOST_ODD = 0.02  # share of a recording's runs of windows beyond a limit; more is how this recording sounds
ODD_PIECES = 0.8  # quantile over recordings: a fifth of them must sound so to move a limit
MOST_PIECES = 0.5  # half of them, to move a limit for primes that do not sound so themselves
MARGIN = 0.05  # by which a moved limit lies beyond what was measured
MOST_PERCENTILE = 99.5


@dataclass(frozen=True)
class AliveLimits:
    """Limits of the features of :class:`rnnaudio.metrics.windows.Windows`, made by :func:`calibrate`.

    median_dbfs
        median level of the recordings.
    loud_dbfs
        a window is too loud if its level is above this limit.
    silence_dbfs, quiet_db
        a window is silent if its level is below ``silence_dbfs``, or below the level of the prime (``median_dbfs`` if
        there is no prime) plus ``quiet_db``, which is negative.
    steady
        a window with a noisiness of -9 dB or more is noise if its movement, in dB, is below this limit.
    wavering, wavering_after_noise
        a window with a noisiness of -2.75 dB or more is also noise if its movement, in dB, is below this limit:
        ``wavering_after_noise`` if there is no prime, or if the prime has a median noisiness of -2.75 dB or more;
        ``wavering`` after any other prime. 0: no such limit, as in files of earlier versions.
    frozen
        a window with a noisiness below -6.5 dB is at a standstill if its movement, in dB, is below this limit.
    repeated
        a window is part of a loop if its recurrence is below this limit.
    clipped
        a window is clipped if a larger share of its samples than this is at the peak.
    unchanged
        a window is monotonous if its change, in dB, is below this limit. 0: no such limit, as in files of earlier
        versions.
    blind
        names of the faults that these limits hardly detect, because they were relaxed for recordings with such faults.
    """

    sample_rate_hz: int
    median_dbfs: float
    loud_dbfs: float
    silence_dbfs: float
    quiet_db: float
    steady: float
    frozen: float
    repeated: float
    clipped: float
    blind: tuple[str, ...] = ()
    wavering: float = 0.0
    wavering_after_noise: float = 0.0
    unchanged: float = 0.0


class Alive(NamedTuple):
    """Time for which audio stays alive, and the cause of its death.

    seconds
        time of death; for audio that does not die, its length up to the first NaN or infinite sample.
    reason
        description of the cause of death, or of a NaN or infinite sample; empty if the audio is alive at its end.
    confidence
        for audio that dies, the share of the windows after its death that have a fault; for other audio, the share of
        all windows that have no fault.
    fault
        the fault, one of FAULTS, that the reason describes; empty if the audio is alive at its end, or ends with a NaN
        or infinite sample.
    """

    seconds: float
    reason: str
    confidence: float = 1.0
    fault: str = ""


class InRange(NamedTuple):
    """Share of windows without a fault, and the time from which the audio is dead for good.

    fraction
        share of windows without a fault.
    dead_from_s
        start, in seconds, of the first death (8 consecutive windows with faults) that is never followed by 4
        consecutive windows without faults; None if there is no such death.
    """

    fraction: float
    dead_from_s: float | None


# In order of precedence, the fault that says more first: silence is also steady; a steady tone also repeats itself;
# clipped sound is usually too loud as well; noise that repeats itself is a loop, as noise never does so by chance. All
# that is steady is also monotonous.
FAULTS = ("silence", "standstill", "clipping", "loudness", "loop", "noise", "monotony")


def calibrate(real_recordings: Iterable[ArrayLike], sample_rate_hz: int) -> AliveLimits:
    """Calibrate, on real recordings, the limits by which generated audio is judged alive or dead.

    The limits are those of :func:`limits_of_all_music`, except that each limit that about a fifth of the recordings
    cross (half of them for the limit ``wavering``) is relaxed until they hardly cross it. The median level and the
    limit of loudness are always measured on the recordings.

    Recordings are read one at a time; those shorter than 1 s are ignored. RnnaudioError if all are shorter, or if one
    is not mono, floating point and finite.
    """
    measured = []
    for number, recording in enumerate(real_recordings):
        samples = checked(recording, sample_rate_hz)
        if not np.isfinite(samples).all():
            raise RnnaudioError(f"recording {number} holds NaN or infinite samples: repair it or leave it out")
        if len(samples) >= WINDOW_SECONDS * sample_rate_hz:
            measured.append(measure_windows(samples, sample_rate_hz))
    if not measured:
        raise RnnaudioError("no recording is as long as 1 s: give longer recordings to calibrate the limits")
    levels = np.concatenate([windows.level for windows in measured])
    of_all, noise = limits_of_all_music(sample_rate_hz), float(np.median(of_noise(sample_rate_hz).movement))
    noisy = [w.movement + 1e3 * (w.noisiness < NARROW_DB) for w in measured]
    broad = [w.movement + 1e3 * (w.noisiness < BROAD_DB) for w in measured]
    tonal = [w.movement + 1e3 * (w.noisiness >= NOISY_DB) for w in measured]
    limits = AliveLimits(
        sample_rate_hz,
        median_dbfs=float(np.median(levels)),
        loud_dbfs=float(np.percentile(levels, MOST_PERCENTILE)) + LOUD_DB,
        silence_dbfs=_low_limit([w.level for w in measured], SILENCE_DBFS),
        quiet_db=_low_limit([w.level - np.median(w.level) for w in measured], QUIET_DB),
        steady=_low_limit(noisy, STEADY_SHARE * noise),
        frozen=_low_limit(tonal, FROZEN_SHARE * noise),
        repeated=_low_limit([w.recurrence for w in measured], REPEATED),
        clipped=-_low_limit([-w.clipped for w in measured], -CLIPPED),
        wavering=_low_limit(broad, WAVERING_SHARE * noise, MOST_PIECES),
        wavering_after_noise=_low_limit(broad, WAVERING_SHARE * noise),
        unchanged=_low_limit([w.change for w in measured if np.isfinite(w.change).all()], of_all.unchanged),
    )
    blind = {
        "silence": limits.silence_dbfs < SILENCE_DBFS - 20.0,
        "noise": limits.steady < 1.1 * noise,
        "standstill": limits.frozen < 0.3 * noise,
        "loop": limits.repeated < 0.5 * REPEATED,
        "clipping": limits.clipped > 10.0 * CLIPPED,
        "monotony": limits.unchanged < 0.8 * of_all.unchanged,
    }
    return replace(limits, blind=tuple(name for name, is_so in blind.items() if is_so))


def limits_of_all_music(sample_rate_hz: int) -> AliveLimits:
    """Return the limits for all music, not calibrated on a corpus; they assume a median level of -23 dBFS."""
    noise = of_noise(sample_rate_hz)
    movement, change = float(np.median(noise.movement)), float(np.median(noise.change))
    return AliveLimits(
        sample_rate_hz, USUAL_DBFS, LOUD_DB, SILENCE_DBFS, QUIET_DB, STEADY_SHARE * movement, FROZEN_SHARE * movement,
        REPEATED, CLIPPED, (), WAVERING_SHARE * movement, WAVERING_SHARE * movement, UNCHANGED_SHARE * change,
    )  # fmt: skip


def _low_limit(features: Sequence[FloatArray], limit: float, odd_pieces: float = ODD_PIECES) -> float:
    """Lower limit of a feature, (n_windows,) per recording: ``limit``, or less if many recordings stay below it.

    Without recordings it is ``limit``. A recording stays below the limit if more than 2 % of its runs of 8 windows are
    entirely below it. odd_pieces: quantile over recordings; with .8 the limit is lowered if more than a fifth of them
    stay below it.
    """
    runs = [_runs(feature).max(axis=1) for feature in features]
    shares = [float(np.mean(run < limit)) for run in runs]
    if not shares or np.quantile(shares, odd_pieces) <= MOST_ODD:
        return limit
    lowest = float(np.percentile(np.concatenate(runs), 1.0))
    return min(limit, lowest - MARGIN * max(abs(lowest), abs(limit)))


def _runs(feature: NDArray[np.generic], n: int = N_WINDOWS_DEAD) -> NDArray[np.generic]:
    """Cut a feature (n_windows,) into all runs of ``n`` consecutive windows: (n_runs, n), a view.

    If there are fewer than ``n`` windows, the result is a single run of all windows.
    """
    return np.lib.stride_tricks.sliding_window_view(feature, min(n, len(feature)))


def alive_seconds(audio: ArrayLike, sample_rate_hz: int, limits: AliveLimits, prime: ArrayLike | None = None) -> Alive:
    """Find when and why audio dies: at the start of the first 8 consecutive windows of 1 s that all have a fault.

    Windows start every quarter of a second. Faults, see :class:`AliveLimits`: ``silence``, also where a few clicks
    interrupt it; ``clipping``; ``loudness``; ``noise``; ``standstill`` (a held tone or chord, also with a tremolo);
    ``loop`` (a repetition of .16 to 3.2 s); ``monotony`` (what stays the same from second to second though it moves
    within each: a drone with beats). The cause of death is a fault that at least half of these 8 windows have, or else
    the most frequent one. Audio of fewer than 8 windows, shorter than 2.75 s, is dead from 0 s on if
    all its windows have faults. The first NaN or infinite sample ends the audio.

    prime: the audio that was continued, on the same scale. Silence is judged relative to its level, and its noisiness
    decides which limit for noise applies. A prime shorter than 1 s is ignored.

    RnnaudioError if the audio is not mono and floating point, is shorter than 1 s, or has another sample rate than the
    limits.
    """
    samples = _to_judge(audio, sample_rate_hz, limits)
    n_finite = int(np.argmin(np.append(np.isfinite(samples), False)))
    seconds, reason = n_finite / sample_rate_hz, ""
    if n_finite < len(samples):
        reason = f"stopped being sound: a sample is {samples[n_finite]}"
    if n_finite < WINDOW_SECONDS * sample_rate_hz:
        return Alive(seconds, reason)
    windows = measure_windows(samples[:n_finite], sample_rate_hz)
    faults = _faults(windows, limits, _after(prime, sample_rate_hz, limits))
    is_faulty = np.any(list(faults.values()), axis=0)
    dead = _runs(is_faulty).all(axis=1)
    if not dead.any():
        return Alive(seconds, reason, float(np.mean(~is_faulty)))
    start = int(np.argmax(dead))
    cause = _cause(faults, start)
    confidence = float(np.mean(is_faulty[start:]))
    return Alive(start * STEP_SECONDS, _death(windows, cause, faults[cause], start), confidence, cause)


def in_range(audio: ArrayLike, sample_rate_hz: int, limits: AliveLimits, prime: ArrayLike | None = None) -> InRange:
    """Compute the share of windows without faults, over the whole audio, and the time from which it is dead for good.

    The faults and ``prime`` are those of :func:`alive_seconds`. Audio that dies and stays dead is dead for good from
    the time of death that :func:`alive_seconds` finds; audio that revives is dead for good from a later time, or not
    at all. Windows with NaN or infinite samples count as faulty. Raises the errors of :func:`alive_seconds`.
    """
    samples = _to_judge(audio, sample_rate_hz, limits)
    finite = np.isfinite(samples)
    windows = measure_windows(np.where(finite, samples, 0.0), sample_rate_hz)
    faults = _faults(windows, limits, _after(prime, sample_rate_hz, limits))
    is_fine = ~np.any(list(faults.values()), axis=0)
    starts = [round(k * STEP_SECONDS * sample_rate_hz) for k in range(len(is_fine))]
    is_fine &= [bool(finite[start : start + sample_rate_hz].all()) for start in starts]
    back = np.flatnonzero(_runs(is_fine, N_WINDOWS_BACK).all(axis=1))
    since = int(back[-1]) + N_WINDOWS_BACK if len(back) else 0
    dead = np.zeros(0, bool) if since >= len(is_fine) else _runs(~is_fine[since:]).all(axis=1)
    is_dead = dead.any() and len(is_fine) - since >= min(N_WINDOWS_DEAD, len(is_fine))
    return InRange(float(is_fine.mean()), (since + int(np.argmax(dead))) * STEP_SECONDS if is_dead else None)


def _to_judge(audio: ArrayLike, sample_rate_hz: int, limits: AliveLimits) -> FloatArray:
    """Return samples as float64; RnnaudioError unless they have the limits' sample rate and last 1 s or longer."""
    samples = checked(audio, sample_rate_hz)
    if limits.sample_rate_hz != sample_rate_hz:
        raise RnnaudioError(
            f"the limits are for {limits.sample_rate_hz} Hz, the audio is {sample_rate_hz} Hz: resample it"
        )
    if len(samples) < WINDOW_SECONDS * sample_rate_hz:
        raise RnnaudioError(f"{len(samples) / sample_rate_hz:.2f} s of audio are too short: give at least 1 s")
    return samples


class _Expected(NamedTuple):
    """The level in dBFS relative to which silence is judged, and the limit of wavering noise that applies."""

    level: float
    wavering: float


def _after(prime: ArrayLike | None, sample_rate_hz: int, limits: AliveLimits) -> _Expected:
    """Return level and limit for audio that follows ``prime``; without a prime of 1 s or more, those of ``limits``."""
    if prime is None or len(np.asarray(prime)) < WINDOW_SECONDS * sample_rate_hz:
        return _Expected(limits.median_dbfs, limits.wavering_after_noise)
    windows = measure_windows(checked(prime, sample_rate_hz), sample_rate_hz)
    is_noise = np.median(windows.noisiness) >= BROAD_DB
    return _Expected(float(np.median(windows.level)), limits.wavering_after_noise if is_noise else limits.wavering)


def _faults(windows: Windows, limits: AliveLimits, expected: _Expected) -> dict[str, NDArray[np.bool_]]:
    """Detect the windows that have each fault: name of the fault -> (n_windows,)."""
    is_still = (windows.noisiness < NOISY_DB) & (windows.movement < limits.frozen)
    is_steady = (windows.noisiness >= NARROW_DB) & (windows.movement < limits.steady)
    is_wavering = (windows.noisiness >= BROAD_DB) & (windows.movement < expected.wavering)
    return {
        "silence": windows.level < max(limits.silence_dbfs, expected.level + limits.quiet_db),
        "clipping": windows.clipped > limits.clipped,
        "loudness": windows.level > limits.loud_dbfs,
        "noise": (is_steady | is_wavering) & ~is_still,
        "standstill": is_still,
        "loop": _with_last_repetition(windows.recurrence < limits.repeated, windows.period),
        "monotony": windows.change < limits.unchanged,
    }


def _with_last_repetition(repeats: NDArray[np.bool_], period: FloatArray) -> NDArray[np.bool_]:
    """Mark the windows in ``repeats``, and also those of the last repetition after each run of 8 or more of them.

    repeats: (n_windows,), True if the sound that follows one period later is alike. period: (n_windows,) in seconds.
    Returns the marks, (n_windows,).
    """
    extended = repeats.copy()
    for start in np.flatnonzero(_runs(repeats).all(axis=1)) if len(repeats) >= N_WINDOWS_DEAD else ():
        last = start + N_WINDOWS_DEAD - 1
        compared = period[last] + max(period[last], WINDOW_SECONDS) - WINDOW_SECONDS
        extended[last : last + 1 + int(compared / STEP_SECONDS)] = True
    return extended


def _cause(faults: dict[str, NDArray[np.bool_]], start: int) -> str:
    """Return the first fault in FAULTS that at least half of the 8 windows from ``start`` have.

    If there is none, return the most frequent fault.
    """
    run = slice(start, start + N_WINDOWS_DEAD)
    shares = {name: float(faults[name][run].mean()) for name in FAULTS}
    return next((name for name in FAULTS if shares[name] >= 0.5), max(FAULTS, key=lambda name: shares[name]))


def _death(windows: Windows, cause: str, has_fault: NDArray[np.bool_], start: int) -> str:
    """Describe in words, with its measured value, the fault ``cause`` of the 8 windows from ``start``."""
    run = slice(start, start + N_WINDOWS_DEAD)
    of_cause = has_fault[run]

    def median(feature: FloatArray) -> float:
        return float(np.percentile(feature[run][of_cause], 50.0, method="lower"))

    if cause == "silence":
        # The last three windows before an abrupt end hold some of the silence.
        before = windows.level[max(0, start - 3 - N_WINDOWS_DEAD) : max(0, start - 3)]
        is_fade = len(before) > 3 and np.polyfit(np.arange(len(before)) * STEP_SECONDS, before, 1)[0] <= FADE_DB
        return f"{'faded to silence' if is_fade else 'fell silent'} (level {median(windows.level):.1f} dB)"
    sentences = {
        "clipping": f"clipped ({median(windows.clipped):.0%} of the samples at the peak)",
        "loudness": f"became too loud (level {round(median(windows.level), 1) + 0.0:.1f} dB)",  # no -0.0
        "noise": f"turned into noise (movement {median(windows.movement):.1f} dB)",
        "standstill": f"froze: the spectrum stopped moving (movement {median(windows.movement):.1f} dB)",
        "loop": f"repeats itself every {median(windows.period):.2f} s (recurrence {median(windows.recurrence):.2f})",
        "monotony": f"stopped changing: each second sounds like the last (change {median(windows.change):.2f} dB)",
    }
    return sentences[cause]
