"""Measurements of a free run: loss of energy, fixed points and cycles of its frames, and how long it lives.

How long it lives and what it dies of is measured by :mod:`rnnaudio.metrics.alive`, as everywhere. A fixed point or a
cycle is something else: frames that are equal to a thousandth are a property of the recursion, even in a run that is
too short to count as a loop. What a free run does is put into words here.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Floats, Frames
from rnnaudio.diagnostics.excerpt import rms
from rnnaudio.metrics import Alive

FLOOR_DB = -120.0
MOST_PERIOD = 64  # frames
STEADY_BLOCK = 16  # frames
FADED_DB, RISEN_DB = 15.0, 40.0  # change of the level at the end
DRONE_DB = 0.3  # unrest of the level below which the sound is a steady tone
FAULTS_IN_WORDS = {
    "silence": "it falls silent",
    "standstill": "it freezes",
    "noise": "it turns to noise",
    "clipping": "it goes on, but clips",
    "loudness": "it goes on, but too loud",
    "loop": "it loops",
}
STILL = 1e-3  # change, relative to the rms, below which frames count as equal


class Health(NamedTuple):
    """Measurements of a free run; times are in frames, and infinite for what never happens.

    half_life
        time in which the energy falls by half.
    repeats_from, period
        first frame of the cycle in which the sound ends, and its period: 1 for a fixed point, 0 for no cycle.
    noise_from
        frame from which on the sound is noise, if that is what it dies of; NaN if that was not measured.
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


def health(frames: Frames, life: Alive | None, sample_rate_hz: int) -> Health:
    """Measurements of the frames (time, n) that a free run has generated; life: how long it lived, None if unknown."""
    period, since = repetition(frames)
    noise_from = float("nan") if life is None else float("inf")
    if life is not None and life.fault == "noise":
        noise_from = life.seconds * sample_rate_hz / frames.shape[1]
    return Health(half_life(levels_db(frames)), since, period, noise_from, unrest_db(frames))


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


def course(figures: Mapping[str, float], life: Alive | None = None) -> str:
    """Describe a free run in a sentence: it fades, freezes, loops, turns to noise, or goes on.

    figures: those of :func:`rnnaudio.diagnostics.diagnose.look_at_free_run`. life: how long it lived, None if that was
    not judged; a free run that neither fades nor repeats its frames does what it died of. Empty if it was not played.
    """
    fall = figures.get("level_fall_db", float("nan"))
    if not np.isfinite(fall):
        return "it ends in numbers that are not finite" if figures.get("n_played", 0.0) > 0 else ""
    if fall < -RISEN_DB:
        return f"it grows without bound: it ends {-fall:.0f} dB above the recording"
    if fall > FADED_DB:
        return f"it fades: it ends {fall:.0f} dB below the recording"
    period, since, unrest = figures["period"], figures["repeats_from"], figures["unrest_db"]
    if period > 1 and not unrest < DRONE_DB:  # NaN: too few frames to tell
        return f"it loops: from frame {since:.0f} on it repeats itself every {period:.0f} frames"
    if period > 0 or unrest < DRONE_DB:
        varies = f", whose level varies by {unrest:.2f} dB" if np.isfinite(unrest) else ""
        return f"it freezes: it ends in a steady tone{varies}"
    if life is not None and life.fault:
        return FAULTS_IN_WORDS[life.fault]
    return f"it goes on: its level ends {-fall:+.0f} dB from that of the recording, and it does not repeat itself"
