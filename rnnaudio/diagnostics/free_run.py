"""How a free run goes: does it lose energy, stand still, go round in circles, turn to noise (NumPy)."""

from typing import NamedTuple

import numpy as np

from rnnaudio.diagnostics.excerpt import rms

FLOOR_DB = -120.0
BLOCK = 512  # samples of one spectrum
NOISY = 0.4  # spectral flatness; white noise has 0.56, a note less than 0.01
MOST_PERIOD = 64
STEADY_BLOCK = 16  # frames
STILL = 1e-3  # relative


class Health(NamedTuple):
    """Frames until: half the energy is gone, it repeats itself, it is noise; infinite for never. period: of what it
    repeats, in frames: 1 a fixed point, 0 none. unrest_db: standard deviation of the level of blocks of 16 frames in
    the last half."""

    half_life: float
    repeats_from: float
    period: int
    noise_from: float
    unrest_db: float


def levels_db(frames: np.ndarray) -> np.ndarray:
    """10 log10 of the mean square of each frame (time, n), at least -120."""
    power = np.mean(np.square(np.asarray(frames, np.float64)), axis=1)
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10.0)))


def health(frames: np.ndarray) -> Health:
    """Of generated frames (time, n)."""
    period, since = repetition(frames)
    return Health(half_life(levels_db(frames)), since, period, noise_onset(frames), unrest_db(frames))


def half_life(level_db: np.ndarray) -> float:
    """ln 2 / a of the exp(-a t) that fits the energy best, by least squares on its logarithm above the floor."""
    t = np.flatnonzero(level_db > FLOOR_DB + 1.0)
    if len(t) < 2:
        return 0.0
    slope = np.polyfit(t, level_db[t] * np.log(10.0) / 10.0, 1)[0]
    return float(np.log(2.0) / -slope) if slope < 0 else float("inf")


def unrest_db(frames: np.ndarray) -> float:
    """A steady tone, whatever its period, has next to none; music has several decibels."""
    late = np.asarray(frames, np.float64)[len(frames) // 2 :]
    n = len(late) // STEADY_BLOCK
    blocks = late[: n * STEADY_BLOCK].reshape(n, -1)
    return float(np.std(levels_db(blocks))) if n > 1 else float("nan")


def repetition(frames: np.ndarray) -> tuple[int, float]:
    """(period, first frame) of the shortest cycle in which the frames (time, n) end, to 1e-3 of the rms of their last
    quarter; (0, inf) if there is none."""
    frames = np.asarray(frames, np.float64)
    limit = STILL * max(rms(frames[-max(2, len(frames) // 4) :]), 1e-6)
    for period in range(1, min(MOST_PERIOD, len(frames) // 3) + 1):
        change = np.sqrt(np.mean(np.square(frames[period:] - frames[:-period]), axis=1))
        moving = np.flatnonzero(change > limit)
        since = int(moving[-1]) + 1 if len(moving) else 0
        if len(frames) - period - since >= max(2 * period, len(frames) // 8):
            return period, float(since)
    return 0, float("inf")


def noise_onset(frames: np.ndarray) -> float:
    """The first frame from which on every block of about 512 samples has a spectral flatness above 0.4."""
    audio = np.asarray(frames, np.float64).ravel()
    blocks = audio[: len(audio) // BLOCK * BLOCK].reshape(-1, BLOCK)
    quiet = np.flatnonzero([flatness(block) < NOISY for block in blocks])
    first = int(quiet[-1]) + 1 if len(quiet) else 0
    return float(first * BLOCK / frames.shape[1]) if first < len(blocks) else float("inf")


def flatness(block: np.ndarray) -> float:
    """Geometric over arithmetic mean of the power spectrum (Hann window): 0.56 for white noise, 0 for a tone."""
    power = np.abs(np.fft.rfft(block * np.hanning(len(block))))[1:-1] ** 2
    mean = power.mean()
    return float(np.exp(np.mean(np.log(power + 1e-12 * mean + 1e-300))) / mean) if mean > 0 else 0.0
