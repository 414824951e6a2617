"""Spectrograms without axes: pictures for pages that lay out time and frequency themselves."""

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
MOST_COLUMNS = 1500  # of a strip: some 50 a second of 30 s
NO_SOUND = 255  # index of the colour for what is not there; the levels have the others


class Strip(NamedTuple):
    """A spectrogram from 0 s and 0 Hz on, without axes.

    png: contents of a PNG file, 192 pixels high. seconds: the duration it spans.
    """

    png: bytes
    seconds: float


def spectrogram_strips(
    sounds: Sequence[ArrayLike], rates_hz: Sequence[int], *, highest_hz: float | None = None
) -> list[Strip]:
    """Make a strip of each sound, on common scales of frequency and level.

    sounds: (samples,) each, as in :func:`rnnaudio.plots.spectrogram_figure`. rates_hz: their sample rates. highest_hz:
    the upper edge of all strips; None: half the highest sample rate.

    Colours span 80 dB below the loudest point of all; what lies above half the sample rate of a sound, and samples
    that are not finite, are grey. RnnaudioError for a sound that is not one-dimensional or of another dtype.
    """
    highest = highest_hz or max(rates_hz, default=2) / 2
    audio = [as_audio(sound) for sound in sounds]
    levels = [_dbfs(each, rate) for each, rate in zip(audio, rates_hz, strict=True)]
    peaks = [float(np.nanmax(level, initial=SILENCE_DBFS)) for level in levels]
    top_db = math.ceil(max(peaks, default=0.0)) if max(peaks, default=SILENCE_DBFS) > SILENCE_DBFS else 0.0
    return [
        Strip(_as_png(_rows(level, rate, highest), top_db), len(each) / rate)
        for level, each, rate in zip(levels, audio, rates_hz, strict=True)
    ]


def _dbfs(audio: Floats, rate: int) -> Floats:
    hop = max(1, window_length(rate) // 8, math.ceil(len(audio) / MOST_COLUMNS))
    return spectrogram_dbfs(audio, rate, hop) if len(audio) else np.full((2, 1), np.nan)


def _rows(level: Floats, rate: int, highest_hz: float) -> Floats:
    """The loudest bin in each row of pixels, from the top down; NaN above half the sample rate."""
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
    """The colours of the other spectrograms, (256, 3)."""
    colours = np.rint(255 * colormaps["magma"](np.linspace(0.0, 1.0, NO_SOUND))[:, :3]).astype(np.uint8)
    grey = np.frombuffer(bytes.fromhex(NO_SOUND_COLOUR.removeprefix("#")), np.uint8)
    return np.vstack([colours, grey])
