"""Spectrograms without axes, as PNG images, for pages that have their own axes of time and frequency."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from rnnaudio.plots.canvas import NO_SOUND_COLOUR, Floats
from rnnaudio.plots.sound import DYNAMIC_RANGE_DB, SILENCE_DBFS, as_audio, spectrogram_dbfs, window_length

HEIGHT = 192  # pixels
MOST_COLUMNS = 1500  # of a strip: 50 per second for 30 s of sound
NO_SOUND = 255  # index of the colour of missing sound; the lower indices are colours of levels


class Strip(NamedTuple):
    """A spectrogram without axes; its lower left corner is at 0 s and 0 Hz.

    png: contents of a PNG file, 192 pixels high. seconds: duration of the sound, the width of the picture.
    """

    png: bytes
    seconds: float


class Levels(NamedTuple):
    """Levels of a sound, from which its strip is drawn.

    They take little memory: for ten minutes of sound, a 25th of the memory of its samples.

    dbfs
        (bins, frames) in dBFS, from 0 Hz to half the sample rate, in half precision (rounding error .06 dB at most);
        NaN where there is no sound.
    sample_rate_hz, seconds
        sample rate and length of the sound.
    """

    dbfs: NDArray[np.float16]
    sample_rate_hz: int
    seconds: float


def levels_of(sound: ArrayLike, sample_rate_hz: int) -> Levels:
    """Measure the levels of a sound, (samples,): float with full scale 1.0, or int16 or int32.

    RnnaudioError for another dtype, or for a sound that is not one-dimensional.
    """
    audio = as_audio(sound)
    return Levels(_dbfs(audio, sample_rate_hz), sample_rate_hz, len(audio) / sample_rate_hz)


def spectrogram_strips(measured: Sequence[Levels], *, highest_hz: float | None = None) -> list[Strip]:
    """Make a strip of each sound, on common scales of frequency and level.

    highest_hz: the upper edge of all strips; None: half the highest sample rate.

    Colours span the 80 dB below the loudest point of all sounds. Frequencies above half the sample rate of a sound,
    and times at which samples are not finite, are grey.
    """
    highest = highest_hz or max((one.sample_rate_hz for one in measured), default=2) / 2
    peaks = [float(np.nanmax(one.dbfs, initial=SILENCE_DBFS)) for one in measured]
    top_db = math.ceil(max(peaks, default=0.0)) if max(peaks, default=SILENCE_DBFS) > SILENCE_DBFS else 0.0
    return [Strip(_as_png(_rows(one.dbfs, one.sample_rate_hz, highest), top_db), one.seconds) for one in measured]


def _dbfs(audio: Floats, rate: int) -> NDArray[np.float16]:
    hop = max(1, window_length(rate) // 8, math.ceil(len(audio) / MOST_COLUMNS))
    return (spectrogram_dbfs(audio, rate, hop) if len(audio) else np.full((2, 1), np.nan)).astype(np.float16)


def _rows(level: NDArray[np.float16], rate: int, highest_hz: float) -> Floats:
    """Reduce levels (bins, frames) to rows of pixels, (192, frames) from the top down, by the maximum over bins.

    Rows above half the sample rate are NaN.
    """
    edges = np.linspace(0.0, highest_hz / (rate / 2) * (len(level) - 1), HEIGHT + 1)
    first, last = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    rows = np.full((HEIGHT, level.shape[1]), np.nan)
    for row, (low, high) in enumerate(zip(first, last, strict=True)):
        if low < len(level) - 1:
            rows[HEIGHT - 1 - row] = level[low : max(high, low + 1)].max(axis=0)
    return rows


def _as_png(level: Floats, top_db: float) -> bytes:
    share = np.clip((level - (top_db - DYNAMIC_RANGE_DB)) / DYNAMIC_RANGE_DB, 0.0, 1.0)
    indices = np.where(np.isfinite(level), np.rint(share * (NO_SOUND - 1)), NO_SOUND).astype(np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette(_palette().tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _palette() -> NDArray[np.uint8]:
    """Return the colours of the plotted spectrograms as RGB, (256, 3); the last one is the grey of missing sound."""
    colours = np.rint(255 * colormaps["magma"](np.linspace(0.0, 1.0, NO_SOUND))[:, :3]).astype(np.uint8)
    grey = np.frombuffer(bytes.fromhex(NO_SOUND_COLOUR.removeprefix("#")), np.uint8)
    return np.vstack([colours, grey])
