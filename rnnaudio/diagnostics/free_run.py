"""Measurements of a free run: loss of energy, fixed points, cycles, noise (NumPy only)."""

from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Audio, Floats, Frames
from rnnaudio.diagnostics.excerpt import rms

FLOOR_DB = -120.0
BLOCK = 512  # samples per spectrum
NOISY = 0.4  # spectral flatness above which a block is noise; white noise has 0.56, a note less than 0.01
MOST_PERIOD = 64  # frames
STEADY_BLOCK = 16  # frames
STILL = 1e-3  # change, relative to the rms, below which frames count as equal


class Health(NamedTuple):
    """Measurements of a free run; times are in frames, and infinite for what never happens.

    half_life
        time in which the energy falls by half.
    repeats_from, period
        first frame of the cycle in which the sound ends, and its period: 1 for a fixed point, 0 for no cycle.
    noise_from
        frame from which on the sound is noise.
    unrest_db
        standard deviation, in dB, of the level of blocks of 16 frames in the second half; NaN for fewer than two.
    """

    half_life: float
    repeats_from: float
    period: int
    noise_from: float
    unrest_db: float


def levels_db(frames: Frames) -> Floats:
    """Level of each of the frames (time, n) in dB, (time,): 10 log10 of the mean square, floored at -120 dB."""
    power = np.mean(np.square(np.asarray(frames, np.float64)), axis=1)
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10.0)))


def health(frames: Frames) -> Health:
    """Measurements of the frames (time, n) that a free run has generated."""
    period, since = repetition(frames)
    return Health(half_life(levels_db(frames)), since, period, noise_onset(frames), unrest_db(frames))


def half_life(level_db: Floats) -> float:
    """Half-life of the energy in frames: ln 2 / a, where exp(-a t) is fitted to the energies above the floor.

    level_db: (time,), see :func:`levels_db`. Infinite if the energy does not fall; 0 if fewer than two frames are
    above the floor.
    """
    t = np.flatnonzero(level_db > FLOOR_DB + 1.0)
    if len(t) < 2:
        return 0.0
    slope = np.polyfit(t, level_db[t] * np.log(10.0) / 10.0, 1)[0]
    return float(np.log(2.0) / -slope) if slope < 0 else float("inf")


def unrest_db(frames: Frames) -> float:
    """Standard deviation of the level of blocks of 16 frames, in dB, over the second half of the frames (time, n).

    Almost 0 for a steady tone of any period, several dB for music; NaN for fewer than two blocks.
    """
    late = np.asarray(frames, np.float64)[len(frames) // 2 :]
    n = len(late) // STEADY_BLOCK
    blocks = late[: n * STEADY_BLOCK].reshape(n, -1)
    return float(np.std(levels_db(blocks))) if n > 1 else float("nan")


def repetition(frames: Frames) -> tuple[int, float]:
    """Period in frames, and first frame, of the cycle in which the frames (time, n) end; (0, inf) if there is none.

    The period is the shortest possible one, and at most 64 frames. Frames count as equal if the rms of their
    difference is at most 1e-3 of the rms of the last quarter.
    """
    frames = np.asarray(frames, np.float64)
    limit = STILL * max(rms(frames[-max(2, len(frames) // 4) :]), 1e-6)
    for period in range(1, min(MOST_PERIOD, len(frames) // 3) + 1):
        change = np.sqrt(np.mean(np.square(frames[period:] - frames[:-period]), axis=1))
        moving = np.flatnonzero(change > limit)
        since = int(moving[-1]) + 1 if len(moving) else 0
        if len(frames) - period - since >= max(2 * period, len(frames) // 8):
            return period, float(since)
    return 0, float("inf")


def noise_onset(frames: Frames) -> float:
    """Frame from which on every block of 512 samples is noise (spectral flatness of 0.4 or more).

    Infinite if there is no such frame.
    """
    audio = np.asarray(frames, np.float64).ravel()
    blocks = audio[: len(audio) // BLOCK * BLOCK].reshape(-1, BLOCK)
    quiet = np.flatnonzero([flatness(block) < NOISY for block in blocks])
    first = int(quiet[-1]) + 1 if len(quiet) else 0
    return float(first * BLOCK / frames.shape[1]) if first < len(blocks) else float("inf")


def flatness(block: Audio) -> float:
    """Spectral flatness of samples (n,), geometric over arithmetic mean of the power: 0.56 for noise, 0 for a tone."""
    power = np.abs(np.fft.rfft(block * np.hanning(len(block))))[1:-1] ** 2
    mean = power.mean()
    return float(np.exp(np.mean(np.log(power + 1e-12 * mean + 1e-300))) / mean) if mean > 0 else 0.0
