"""Log-mel spectrogram, on which most metrics are based.

Audio is mono, (n_samples,), floating point, with full scale at -1 and 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio.audio.mel import mel_weights
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray, decibel

FRAME_SAMPLES = 2048
HOP_SAMPLES = 256
N_MEL_BANDS = 64
FLOOR_POWER = 1e-10  # -100 dBFS: above 16-bit quantisation noise in any band, below every recording
MINIMUM_RATE_HZ = 4000  # a window of 1 s must hold several frames
BLOCK_FRAMES = 1024


def log_mel(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    """Log-mel spectrogram (n_frames, 64) in dB: frames of 2048 samples (Hann), hop 256, no padding at the ends.

    Frame j holds the samples 256 j to 256 j + 2047. The power of each bin is scaled so that a sine of amplitude 1 at
    the bin's centre has 0 dB, summed into bands with triangular weights (mel = 2595 log10(1 + f / 700), from 0 to half
    the sample rate), and floored at -100 dB. RnnaudioError if the audio is not mono, floating point and finite, is
    shorter than a frame, or has a sample rate below 4 kHz.
    """
    samples = checked(audio, sample_rate_hz)
    if len(samples) < FRAME_SAMPLES:
        raise RnnaudioError(f"{len(samples)} samples of audio are less than a frame of {FRAME_SAMPLES}: give more")
    if not np.isfinite(samples).all():
        raise RnnaudioError("the audio holds NaN or infinite samples: repair it first")
    return frame_features(samples, sample_rate_hz)[0]


def checked(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    """Return samples as float64; RnnaudioError if not mono and floating point, or at a sample rate below 4 kHz."""
    samples = np.asarray(audio)
    if samples.ndim != 1:
        raise RnnaudioError(f"the audio has shape {samples.shape}, expected one axis (mono): mix the channels first")
    if samples.dtype.kind != "f":
        raise RnnaudioError(
            f"the audio is {samples.dtype}, expected floats between -1 and 1: divide by full scale first"
        )
    if sample_rate_hz < MINIMUM_RATE_HZ:
        raise RnnaudioError(
            f"the sample rate is {sample_rate_hz} Hz, expected {MINIMUM_RATE_HZ} Hz or more: resample the audio"
        )
    return samples.astype(np.float64, copy=False)


def frame_features(samples: FloatArray, sample_rate_hz: int) -> tuple[FloatArray, FloatArray]:
    """Compute the log-mel spectrogram, (n_frames, 64), and the spectral flatness, (n_frames,), both in dB.

    Frames and spectrogram are those of :func:`log_mel`. The flatness is the geometric over the arithmetic mean of the
    power of the bins from 60 Hz to .45 times the sample rate. samples: finite, (n_samples,), at least 2048.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)
    weights = mel_weights(FRAME_SAMPLES, sample_rate_hz, N_MEL_BANDS)
    frequency_hz = np.fft.rfftfreq(FRAME_SAMPLES, 1.0 / sample_rate_hz)
    audible = (frequency_hz >= 60.0) & (frequency_hz <= 0.45 * sample_rate_hz)
    mel, flatness = [], []
    for start in range(0, len(frames), BLOCK_FRAMES):
        spectrum = np.fft.rfft(frames[start : start + BLOCK_FRAMES] * hann, axis=1)
        power = (2.0 / hann.sum()) ** 2 * np.abs(spectrum) ** 2
        mel.append(decibel(np.maximum(power @ weights, FLOOR_POWER)))
        floored = power[:, audible] + FLOOR_POWER
        flatness.append(decibel(floored).mean(axis=1) - decibel(floored.mean(axis=1)))
    return np.concatenate(mel), np.concatenate(flatness)
