"""Sounds whose measures are known by construction."""

from functools import cache

import numpy as np

RATE_HZ = 16000


def seconds(duration):
    return np.arange(round(duration * RATE_HZ)) / RATE_HZ


def sine(frequency_hz, duration, amplitude=0.1):
    return amplitude * np.sin(2 * np.pi * frequency_hz * seconds(duration))


def noise(duration, deviation, seed=1):
    return np.random.default_rng(seed).normal(0.0, deviation, round(duration * RATE_HZ))


@cache
def music(duration, seed):
    """Struck notes of eight decaying partials over the hiss of a recording; speed and loudness differ by seed."""
    rng = np.random.default_rng(seed)
    audio = noise(duration, 1e-4, seed)
    n_notes, loudness = round(rng.uniform(2.0, 6.0) * duration), rng.uniform(0.05, 0.15)
    for onset in (np.arange(n_notes) + rng.uniform(0.0, 0.9, n_notes)) / n_notes * duration:
        t = seconds(min(2.0, duration - onset))
        pitch_hz = 440.0 * 2.0 ** (rng.integers(-24, 13) / 12)
        decay_s = rng.uniform(0.2, 0.8)
        partials = [k for k in range(1, 9) if k * pitch_hz < RATE_HZ / 2]
        note = sum(np.sin(2 * np.pi * k * pitch_hz * t) * np.exp(-t * k / decay_s) / k**1.5 for k in partials)
        start = round(onset * RATE_HZ)
        audio[start : start + len(t)] += loudness * rng.uniform(0.3, 1.0) * note
    audio[-800:] *= np.linspace(1.0, 0.0, 800)  # 50 ms: a cut note would end in a click
    audio.setflags(write=False)
    return audio


def spoilt(shape, value=np.nan):
    """The same number everywhere, but for one in the middle: a check has to look at all of them."""
    array = np.full(shape, 0.1)
    array.flat[array.size // 2] = value
    return array
