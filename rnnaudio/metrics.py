"""Numbers for sound (NumPy only): how wrong a prediction is, and how long a generated sound stays music.

Audio is mono, floating point, one axis of samples with full scale at -1 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnaudio.errors import RnnaudioError
from rnnaudio.mel import mel_weights

FloatArray = NDArray[np.float64]

FRAME_SAMPLES = 2048
HOP_SAMPLES = 256
N_MEL_BANDS = 64
FLOOR_POWER = 1e-10  # -100 dB of full scale: above 16-bit quantisation in any band, below every recording
N_WINDOWS_DEAD = 8
PERCENTILES = (0.5, 99.5)
MINIMUM_RATE_HZ = 4000  # a window of 1 s must hold several frames
BLOCK_FRAMES = 1024


def decibel(power_ratio: ArrayLike) -> FloatArray:
    """10 log10(power_ratio), elementwise, of ratios of powers (squared amplitudes); 0 gives -infinity, < 0 NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10.0 * np.log10(np.asarray(power_ratio, dtype=np.float64))


def normalised_mse(prediction: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None) -> float:
    """sum (prediction - target)^2 / sum target^2: 1.0 (0 dB) is what predicting zero gives, 0.0 is perfect.

    prediction and target have the same shape (..., n_features); mask, if given, has their shape without the last axis
    and counts the positions where it is 1. RnnaudioError if the shapes differ or the target is zero throughout.
    """
    prediction, target = np.asarray(prediction, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if prediction.shape != target.shape:
        raise RnnaudioError(f"the prediction has shape {prediction.shape}, the target {target.shape}: make them equal")
    weight = np.ones(target.shape) if mask is None else _feature_mask(mask, target)
    energy = np.sum(weight * target**2)
    if energy == 0.0:
        raise RnnaudioError("the target is zero throughout, so no error can be measured against it: choose another")
    return float(np.sum(weight * (prediction - target) ** 2) / energy)


def _feature_mask(mask: ArrayLike, target: FloatArray) -> FloatArray:
    weight = np.asarray(mask, dtype=np.float64)
    if weight.shape != target.shape[:-1]:
        raise RnnaudioError(
            f"the mask has shape {weight.shape}, expected {target.shape[:-1]}: the target's but the last"
        )
    return weight[..., None]


def log_mel(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    """Log-mel spectrogram (n_frames, 64) in dB: frames of 2048 samples (Hann), hop 256, no padding at the ends.

    Frame j is samples [256 j, 256 j + 2048). Power is scaled so that a sine of amplitude 1 at a bin's centre has 0 dB
    in that bin, summed with triangular weights on the scale mel = 2595 log10(1 + f / 700) from 0 to half the rate,
    and floored at -100 dB. RnnaudioError if the audio is not mono, floating point and finite, or is shorter than a
    frame, or the rate is below 4 kHz.
    """
    samples = _checked(audio, sample_rate_hz)
    if len(samples) < FRAME_SAMPLES:
        raise RnnaudioError(f"{len(samples)} samples of audio are less than a frame of {FRAME_SAMPLES}: give more")
    if not np.isfinite(samples).all():
        raise RnnaudioError("the audio holds samples that are not finite: repair it first")
    return _frame_features(samples, sample_rate_hz)[0]


class WindowFeatures(NamedTuple):
    """What is measured in each window of 1 s, in dB: one value a window."""

    level: FloatArray
    flatness: FloatArray
    flux: FloatArray
    movement: FloatArray


Range = tuple[float, float]


@dataclass(frozen=True)
class AliveLimits:
    """The range of each feature, in dB, in real recordings at this sampling rate; made by `calibrate`."""

    sample_rate_hz: int
    level: Range
    flatness: Range
    flux: Range
    movement: Range


# What `calibrate` found on the nine training pieces of mozart-steinway.h5, rendered from recorded notes, before it had
# repeats (1,707 s); for when that corpus is not at hand: limits from the minute embedded in the package are too narrow
# for other pieces.
STEINWAY_16_KHZ = AliveLimits(
    sample_rate_hz=16000,
    level=(-48.8, -18.1),
    flatness=(-38.9, -10.3),
    flux=(0.385, 2.53),
    movement=(2.84, 16.3),
)


class Alive(NamedTuple):
    """How many seconds the sound stayed music, and why it then did not; the reason is empty if it did to the end."""

    seconds: float
    reason: str


# In the order in which they explain a death: silence is also flat and still; noise and held tones may also be loud.
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
    """The 0.5 to 99.5 percentiles of every feature over the windows of all recordings together.

    Give several works: limits from one alone call other real music dead. Recordings are read one at a time; what
    is shorter than 1 s counts for nothing. RnnaudioError if no recording is as long as that, or one is not mono,
    floating point and finite.
    """
    windows = []
    for number, recording in enumerate(real_recordings):
        samples = _checked(recording, sample_rate_hz)
        if not np.isfinite(samples).all():
            raise RnnaudioError(f"recording {number} holds samples that are not finite: repair it or leave it out")
        if len(samples) >= sample_rate_hz:
            windows.append(np.stack(_window_features(samples, sample_rate_hz)))
    if not windows:
        raise RnnaudioError("no recording is as long as 1 s: give longer ones to learn the limits of real music from")
    low, high = np.percentile(np.concatenate(windows, axis=1), PERCENTILES, axis=1)
    ranges = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    return AliveLimits(sample_rate_hz, *ranges)


def alive_seconds(audio: ArrayLike, sample_rate_hz: int, limits: AliveLimits) -> Alive:
    """Seconds until the sound died: the start of the first 8 windows on end that lie outside the limits.

    Windows are 1 s long, a new one starting each quarter of a second. A window is outside when any of these is:

        level      10 log10 of the mean square of the samples
        flatness   10 log10 of the geometric over the arithmetic mean of the power from 60 Hz to .45 of the rate, mean
                   of the frames
        flux       mean absolute change of log_mel from frame to frame, over frames and bands
        movement   standard deviation of log_mel over the frames of the window, mean of bands

    The reason is the feature, and the side, out of range in at least half of those 8 windows (if several, silence
    before noise before standstill). Audio with less than 8 windows (2.75 s) is dead at 0 s if all it has are outside.
    A sample that is not finite ends the life at the latest. Loops are not seen: a repeated bar is alive.

    RnnaudioError if the audio is not mono and floating point, is shorter than 1 s, or the limits are of another rate.
    """
    samples = _checked(audio, sample_rate_hz)
    if limits.sample_rate_hz != sample_rate_hz:
        raise RnnaudioError(
            f"the limits are for {limits.sample_rate_hz} Hz, the audio is {sample_rate_hz} Hz: resample it"
        )
    if len(samples) < sample_rate_hz:
        raise RnnaudioError(f"{len(samples) / sample_rate_hz:.2f} s of audio cannot be judged: give at least 1 s")
    n_finite = int(np.argmin(np.append(np.isfinite(samples), False)))
    seconds, reason = n_finite / sample_rate_hz, ""
    if n_finite < len(samples):
        reason = f"stopped being sound: a sample is {samples[n_finite]}"
    if n_finite < sample_rate_hz:
        return Alive(seconds, reason)
    features = _window_features(samples[:n_finite], sample_rate_hz)
    outside = {(name, side): _outside(features, limits, name, side) for name, side, _ in _DEATHS}
    start = _first_run(np.any(list(outside.values()), axis=0))
    if start is None:
        return Alive(seconds, reason)
    run = slice(start, start + N_WINDOWS_DEAD)
    return Alive(start * _hop(sample_rate_hz) / sample_rate_hz, _death(features, limits, outside, run))


def _checked(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    samples = np.asarray(audio)
    if samples.ndim != 1:
        raise RnnaudioError(f"the audio has shape {samples.shape}, expected one axis (mono): mix the channels first")
    if samples.dtype.kind != "f":
        raise RnnaudioError(
            f"the audio is {samples.dtype}, expected floats between -1 and 1: divide by full scale first"
        )
    if sample_rate_hz < MINIMUM_RATE_HZ:
        raise RnnaudioError(
            f"the rate is {sample_rate_hz} Hz, expected {MINIMUM_RATE_HZ} Hz or more: resample the audio"
        )
    return samples.astype(np.float64, copy=False)


def _hop(sample_rate_hz: int) -> int:
    return sample_rate_hz // 4


def _window_features(samples: FloatArray, sample_rate_hz: int) -> WindowFeatures:
    """Features of each window, from the frames that lie wholly inside it."""
    mel, flatness = _frame_features(samples, sample_rate_hz)
    flux = np.abs(np.diff(mel, axis=0)).mean(axis=1)
    rows = []
    for start in range(0, len(samples) - sample_rate_hz + 1, _hop(sample_rate_hz)):
        stop = start + sample_rate_hz
        first, last = -(-start // HOP_SAMPLES), (stop - FRAME_SAMPLES) // HOP_SAMPLES
        level = decibel(max(float(np.mean(samples[start:stop] ** 2)), FLOOR_POWER))
        frames = slice(first, last + 1)
        rows.append((level, flatness[frames].mean(), flux[first:last].mean(), mel[frames].std(axis=0).mean()))
    return WindowFeatures(*np.array(rows, dtype=np.float64).T)


def _frame_features(samples: FloatArray, sample_rate_hz: int) -> tuple[FloatArray, FloatArray]:
    """log_mel (n_frames, 64) and flatness (n_frames,) in dB, in blocks of frames so that memory stays small."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)
    weights = mel_weights(FRAME_SAMPLES, sample_rate_hz, N_MEL_BANDS)
    frequency_hz = np.fft.rfftfreq(FRAME_SAMPLES, 1.0 / sample_rate_hz)
    heard = (frequency_hz >= 60.0) & (frequency_hz <= 0.45 * sample_rate_hz)
    mel, flatness = [], []
    for start in range(0, len(frames), BLOCK_FRAMES):
        spectrum = np.fft.rfft(frames[start : start + BLOCK_FRAMES] * hann, axis=1)
        power = (2.0 / hann.sum()) ** 2 * np.abs(spectrum) ** 2
        mel.append(decibel(np.maximum(power @ weights, FLOOR_POWER)))
        audible = power[:, heard] + FLOOR_POWER
        flatness.append(decibel(audible).mean(axis=1) - decibel(audible.mean(axis=1)))
    return np.concatenate(mel), np.concatenate(flatness)


def _outside(features: WindowFeatures, limits: AliveLimits, name: str, side: str) -> NDArray[np.bool_]:
    low, high = getattr(limits, name)
    values = getattr(features, name)
    return np.asarray(values < low if side == "below" else values > high)


def _first_run(dead: NDArray[np.bool_]) -> int | None:
    """Where the first 8 windows on end begin that are all dead (or the only, shorter run there is room for)."""
    length = min(N_WINDOWS_DEAD, len(dead))
    runs = np.lib.stride_tricks.sliding_window_view(dead, length).all(axis=1)
    return int(np.argmax(runs)) if runs.any() else None


def _death(
    features: WindowFeatures, limits: AliveLimits, outside: dict[tuple[str, str], NDArray[np.bool_]], run: slice
) -> str:
    """The sentence for the first side of a feature with half of the run's windows, else that with most of them."""
    share = [float(outside[name, side][run].mean()) for name, side, _ in _DEATHS]
    cause = share.index(next((s for s in share if s >= 0.5), max(share)))
    name, side, sentence = _DEATHS[cause]
    value = np.median(getattr(features, name)[run][outside[name, side][run]])
    limit = getattr(limits, name)[side == "above"]
    return f"{sentence} ({name} {value:.1f} dB, {side} {limit:.1f} dB)"
