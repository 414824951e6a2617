"""Loudness of sounds, and scaling to equal loudness. (A separate module, because its imports take half a second.)"""

import warnings

import numpy as np
import pyloudnorm

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.levels import limited

MOST_GAIN_DB = 12.0  # by which sounds are made equally loud: what is nearly silent stays so


def loudness_lufs(audio: Audio, sample_rate_hz: int) -> float:
    """Integrated loudness of (n,) samples in LUFS, as in ITU-R BS.1770-4: frequency-weighted, without silent parts.

    Minus infinity for silence, and for sound shorter than .4 s, the length of a measurement block.
    """
    meter = pyloudnorm.Meter(sample_rate_hz)
    if len(audio) < meter.block_size * sample_rate_hz:
        return -np.inf
    with warnings.catch_warnings():  # of no block above the threshold, which is what -infinity says
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(meter.integrated_loudness(np.asarray(audio, np.float64)))


def gain_to(target_lufs: float, audio: Audio, sample_rate_hz: int) -> float:
    """Return the gain in dB, from -12 to 12, that brings (n,) samples to a loudness of ``target_lufs``.

    0 dB for silence, for sound too short to measure, and for a target that is not finite.
    """
    difference = target_lufs - loudness_lufs(audio, sample_rate_hz)
    return float(np.clip(difference, -MOST_GAIN_DB, MOST_GAIN_DB)) if np.isfinite(difference) else 0.0


def at_loudness(audio: Audio, sample_rate_hz: int, target_lufs: float) -> tuple[Audio, float]:
    """Scale (n,) samples to a loudness by the gain of :func:`gain_to`; returns (audio (n,) float32, gain in dB).

    target_lufs: the loudness in LUFS. NaN samples become 0, infinite samples full scale. Peaks beyond full scale are
    then limited (:func:`rnnaudio.audio.levels.limited`); the gain returned does not include this.
    """
    audio = np.nan_to_num(audio, posinf=1.0, neginf=-1.0)
    gain_db = gain_to(target_lufs, audio, sample_rate_hz)
    within, _ = limited((10.0 ** (gain_db / 20.0) * audio).astype(np.float32), sample_rate_hz)
    return within, gain_db
