"""Counterfeits of stretches of music for the study of musical time: clicks on noise, and one bar repeated."""

import numpy as np

from experiments.studies.counterfeit_sounds import levelled
from rnnaudio.metrics.prediction import FloatArray

FADE_SECONDS = 0.02
CLICK_SECONDS, CLICK_HZ, CLICK_DECAY_S = 0.03, 1000.0, 0.005
CLICKS_PER_MINUTE = (60.0, 180.0)
NOISE_DB = -20.0  # of the noise, relative to the peak of a click


def clicks(audio: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
    """Clicks at a constant random tempo, 60 to 180 a minute, on white noise: (n,) float64 with the rms of ``audio``.

    The rms of the noise is 20 dB below the amplitude of a click. audio: (n,) samples. rate: in Hz.
    """
    sound = 10.0 ** (NOISE_DB / 20.0) * rng.standard_normal(len(audio))
    t = np.arange(round(CLICK_SECONDS * rate)) / rate
    click = np.sin(2.0 * np.pi * CLICK_HZ * t) * np.exp(-t / CLICK_DECAY_S)
    every = 60.0 * rate / rng.uniform(*CLICKS_PER_MINUTE)
    for start in np.arange(0.0, len(audio) - len(click), every).round().astype(int):
        sound[start : start + len(click)] += click
    return levelled(sound, audio)


def looped_bar(audio: FloatArray, bar_seconds: float, rate: int, rng: np.random.Generator) -> FloatArray:
    """One bar from a random place of the audio, (n,), repeated to its length with cross-fades of 20 ms.

    The audio must be longer than a bar and a cross-fade: ValueError if it is not. rate: in Hz.
    """
    n_bar, n_fade = round(bar_seconds * rate), round(FADE_SECONDS * rate)
    start = int(rng.integers(0, len(audio) - n_bar - n_fade))
    bar, after = audio[start : start + n_bar].copy(), audio[start + n_bar : start + n_bar + n_fade]
    ramp = np.linspace(0.0, 1.0, n_fade)
    bar[:n_fade] = ramp * bar[:n_fade] + ramp[::-1] * after
    return np.resize(bar, len(audio))
