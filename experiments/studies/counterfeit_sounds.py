"""Sounds that are no real continuation of the music: noise, tones, loops, fades, silence, and other music."""

from itertools import pairwise

import numpy as np
import scipy.signal
import soxr

from rnnaudio.audio.arrays import Audio
from rnnaudio.metrics.prediction import FloatArray

RATE_HZ = 16_000
COUNTERFEIT_SECONDS = 8.0
# The faults that are the right reason for each counterfeit; none where no detector claims to find it.
FAULTS = {
    "white noise": ("noise",), "pink noise": ("noise",), "coloured noise": ("noise",),
    "buzz with tremolo": ("standstill",), "held chord": ("standstill",), "loop of .65 s": ("loop",),
    "loop of 2 s": ("loop",), "fade": ("silence",), "silence": ("silence",), "room": ("silence",),
    "clipped": ("clipping", "loudness"), "a fifth lower": (), "shuffled half seconds": (), "another corpus": (),
    "wavering noise": ("noise",), "drone with beats": ("monotony", "standstill"),
}  # fmt: skip


def counterfeits(real: FloatArray, other: FloatArray, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Make the counterfeits of a real continuation: (n,) samples of 8 s at 16 kHz each, by name.

    Most have the rms of ``real``. The exceptions are loops and shuffled half seconds, which are made of its samples
    at their own level; the fade, by 15 dB a second; silence; room noise, 45 dB softer; and clipping, which is louder.

    real: (n,) samples. other: music of another corpus, (m,) samples. rng: source of all random numbers.
    """
    n = round(COUNTERFEIT_SECONDS * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    white, frequencies = np.fft.rfft(rng.standard_normal(n)), np.fft.rfftfreq(n, 1.0 / RATE_HZ)
    of_real, power = scipy.signal.welch(real, RATE_HZ, nperseg=min(512, len(real)))
    colour = np.sqrt(np.interp(frequencies, of_real, power))
    harmonics = np.arange(1, 80)[:, None]
    buzz = np.sum(np.cos(2 * np.pi * 80 * harmonics * t) / np.sqrt(harmonics), axis=0)
    root = 220.0 * 2.0 ** (rng.integers(12) / 12.0)
    partials = [(root * ratio * k, 1.0 / k) for ratio in (1.0, 1.26, 1.5) for k in range(1, 6)]
    chord = np.sum([a * np.sin(2 * np.pi * f * t + rng.uniform(0, 2 * np.pi)) for f, a in partials], axis=0)
    music, half = np.resize(real, n), RATE_HZ // 2
    shuffled = rng.permutation(music[: n // half * half].reshape(-1, half)).ravel()
    return {
        "white noise": levelled(rng.standard_normal(n), real),
        "pink noise": levelled(np.fft.irfft(white / np.sqrt(np.maximum(frequencies, 20.0)), n), real),
        "coloured noise": levelled(np.fft.irfft(white * colour, n), real),
        "buzz with tremolo": levelled(buzz * (1.0 + 0.5 * np.sin(2 * np.pi * t / 0.65)), real),
        "held chord": levelled(chord, real),
        "loop of .65 s": looped(real, 0.65, n),
        "loop of 2 s": looped(real, 2.0, n),
        "fade": music * 10 ** (-15.0 * t / 20.0),
        "silence": np.zeros(n),
        "room": levelled(np.fft.irfft(white / np.maximum(frequencies, 50.0), n), real) * 10 ** (-45.0 / 20.0),
        "clipped": np.clip(30.0 * music, -0.9, 0.9),
        "a fifth lower": np.resize(levelled(soxr.resample(music, 1.0, 2 ** (7 / 12)), real), n),
        "shuffled half seconds": np.resize(shuffled, n),
        "another corpus": levelled(np.resize(other, n), real),
        "wavering noise": levelled(wavering_noise(n, rng), real),
        "drone with beats": levelled(drone_with_beats(t, rng), real),
    }


def wavering_noise(n: int, rng: np.random.Generator) -> FloatArray:
    """White noise, (n,), in eight bands of equal width, whose levels vary slowly.

    The variation has a standard deviation of 1.5 dB and frequencies below 8 Hz.
    """
    spectrum, edges = np.fft.rfft(rng.standard_normal(n)), np.linspace(0, n // 2 + 1, 9).astype(int)
    slow = scipy.signal.butter(2, 8.0, fs=RATE_HZ, output="sos")
    total = np.zeros(n)
    for first, last in pairwise(edges):
        band = np.zeros_like(spectrum)
        band[first:last] = spectrum[first:last]
        level = scipy.signal.sosfilt(slow, rng.standard_normal(n))
        total += np.fft.irfft(band, n) * 10 ** (1.5 * level / np.std(level) / 20.0)
    return total


def drone_with_beats(t: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Sixty partials of a tone of 60 to 120 Hz at times ``t``, (n,) in seconds; each beats at its own .7 to 5 Hz."""
    root, rates = 60.0 * 2.0 ** rng.random(), rng.uniform(0.7, 5.0, 60)
    partials = ((root * k, rate, rng.random()) for k, rate in enumerate(rates, 1))
    beating = (np.cos(2 * np.pi * f * t) * np.cos(np.pi * (rate * t + p)) ** 2 / np.sqrt(f) for f, rate, p in partials)
    return np.sum([*beating], axis=0)


def levelled(sound: Audio | FloatArray, real: FloatArray) -> FloatArray:
    """Subtract the mean of a sound, (n,), and scale it to the rms of ``real``; returns float64."""
    sound = np.asarray(sound, np.float64) - np.mean(sound)
    return sound * np.sqrt(np.mean(real**2) / max(float(np.mean(sound**2)), 1e-20))


def looped(real: FloatArray, seconds: float, n: int) -> FloatArray:
    """Repeat the first ``seconds`` of a sound to ``n`` samples, with cross-fades of 20 ms."""
    n_fade, n_part = round(0.02 * RATE_HZ), round(seconds * RATE_HZ)
    part = real[: n_part + n_fade].copy()
    ramp = np.linspace(0.0, 1.0, n_fade)
    part[:n_fade] *= ramp
    part[-n_fade:] *= ramp[::-1]
    sound = np.zeros(n + 2 * n_part)
    for start in range(0, n, len(part) - n_fade):
        sound[start : start + len(part)] += part
    return sound[:n]
