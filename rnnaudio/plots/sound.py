"""Recording and generated sound, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import (
    BLACK,
    NO_SOUND_COLOUR,
    SKY,
    VERMILION,
    Floats,
    new_figure,
    save,
)

WINDOW_S = 0.064  # 1024 samples at 16 kHz: 16 Hz between lines, enough to part the low notes of a piano
MOST_COLUMNS = 1500  # of a spectrogram: more than the picture has pixels
DYNAMIC_RANGE_DB = 80.0
SILENCE_DBFS = -100.0  # below the rounding noise of 16 bits


def spectrogram(
    seed: ArrayLike,
    generated: ArrayLike,
    original: ArrayLike,
    sample_rate_hz: float,
    path: str | Path,
    *,
    title: str = "",
) -> Path:
    """Draw seed + true continuation above seed + generated sound; see ``spectrogram_figure``."""
    return save(spectrogram_figure(seed, generated, original, sample_rate_hz, title=title), path)


def spectrogram_figure(
    seed: ArrayLike, generated: ArrayLike, original: ArrayLike, sample_rate_hz: float, *, title: str = ""
) -> Figure:
    """Two spectrograms on the same axes and the same scale, the end of the seed marked, the level over time below.

    seed, generated, original: (samples,) each; float with full scale 1.0, or int16 or int32. ``original`` is how the
        recording goes on *after* the seed. Lengths may differ: what is missing of the shorter one is grey, as are
        samples that are not finite.
    sample_rate_hz: of all three.

    Colours span the 80 dB below the loudest point of the recording, in both panels.
    Raises RnnaudioError for arrays of another dtype or not one-dimensional, and where there is no sample at all.
    """
    seed_audio = _as_audio(seed)
    recording = np.concatenate([seed_audio, _as_audio(original)])
    continuation = _as_audio(generated)
    produced = np.concatenate([seed_audio, continuation])
    n_samples = max(len(recording), len(produced))
    if n_samples == 0:
        raise RnnaudioError("spectrogram: got no samples, expected a seed or some sound; check the seed's length")
    hop = _hop(n_samples, sample_rate_hz)
    sounds = {"Recording": recording, "Seed + generated" + _remark(continuation): produced}
    levels = [spectrogram_dbfs(sound, sample_rate_hz, hop) for sound in sounds.values()]
    top_db = _loudest(levels)

    figure = new_figure(9.0, 7.2)
    grid = figure.add_gridspec(3, 1, height_ratios=[3, 3, 1.3])
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper, sharey=upper)
    strip = figure.add_subplot(grid[2], sharex=upper)
    for axes, name, level in zip((upper, lower), sounds, levels, strict=True):
        image = _draw_spectrogram(axes, level, hop, sample_rate_hz, top_db)
        _mark_seed_end(axes, len(seed_audio) / sample_rate_hz, n_samples / sample_rate_hz, name)
    bar = figure.colorbar(image, ax=[upper, lower], extend="both", pad=0.02)
    bar.set_label("Level (dBFS)")
    _draw_levels(strip, recording, produced, hop, sample_rate_hz)
    strip.axvline(len(seed_audio) / sample_rate_hz, color=BLACK, linestyle="--", linewidth=1)
    upper.set(xlim=(0, n_samples / sample_rate_hz), ylim=(0, sample_rate_hz / 2))
    figure.suptitle(title, fontsize=11)
    return figure


def spectrogram_sheet(
    sounds: Mapping[str, ArrayLike],
    sample_rate_hz: float,
    path: str | Path,
    *,
    title: str = "",
    highest_hz: float | None = None,
    seed_seconds: float | None = None,
) -> Path:
    """Draw many sounds below each other; see ``spectrogram_sheet_figure``."""
    figure = spectrogram_sheet_figure(
        sounds, sample_rate_hz, title=title, highest_hz=highest_hz, seed_seconds=seed_seconds
    )
    return save(figure, path)


def spectrogram_sheet_figure(
    sounds: Mapping[str, ArrayLike],
    sample_rate_hz: float,
    *,
    title: str = "",
    highest_hz: float | None = None,
    seed_seconds: float | None = None,
) -> Figure:
    """A spectrogram a sound, by name, on one scale of time, frequency and level: the 80 dB below the loudest of all.

    sounds: (samples,) each, as :func:`spectrogram_figure` takes them; shown up to ``highest_hz``, if given; a line
        where the seed that they begin with ends, if ``seed_seconds`` are given.
    RnnaudioError as there, and for no sound.
    """
    audio = {name: _as_audio(sound) for name, sound in sounds.items()}
    n_samples = max((len(sound) for sound in audio.values()), default=0)
    if n_samples == 0:
        raise RnnaudioError("spectrogram: got no samples, expected some sound")
    hop = _hop(n_samples, sample_rate_hz)
    levels = {name: spectrogram_dbfs(sound, sample_rate_hz, hop) for name, sound in audio.items()}
    top_db = max(_loudest([level]) for level in levels.values())
    figure = new_figure(9.0, 1.0 + 1.3 * len(levels))
    panels = np.atleast_1d(figure.subplots(len(levels), 1, sharex=True, sharey=True))
    for axes, (name, level) in zip(panels, levels.items(), strict=True):
        image = _draw_spectrogram(axes, level, hop, sample_rate_hz, top_db)
        axes.set_title(name + _remark(audio[name]), loc="left", fontsize=9)
        if seed_seconds is not None:
            _line_at_seed_end(axes, seed_seconds)
        axes.set_ylabel("Hz")
    axes.tick_params(labelbottom=True)
    highest = min(highest_hz or sample_rate_hz / 2, sample_rate_hz / 2)
    axes.set(xlim=(0, n_samples / sample_rate_hz), ylim=(0, highest), xlabel="Time (s)")
    bar = figure.colorbar(image, ax=list(panels), extend="both", pad=0.02, fraction=0.04, aspect=10 * len(levels))
    bar.set_label("Level (dBFS)")
    figure.suptitle(title, fontsize=11)
    return figure


def spectrogram_dbfs(audio: Floats, sample_rate_hz: float, hop: int) -> Floats:
    """Short-time spectrum in dB: 20 log10(sqrt(2) |X| / sum(w)), X the transform of a 64 ms Hann-windowed frame.

    A steady sine reads its own rms level (full scale: -3.01 dBFS), so that colours and the level curve agree.
    Returns (frequency, frame); frame k is centred on sample k * hop; NaN where a frame holds a NaN.
    """
    n_window = _window_length(sample_rate_hz)
    window = np.hanning(n_window + 1)[:-1]  # periodic
    magnitude = np.abs(np.fft.rfft(_frames(audio, n_window, hop) * window)) * math.sqrt(2) / window.sum()
    return 20 * np.log10(np.maximum(magnitude, 1e-10)).T


def level_dbfs(audio: Floats, sample_rate_hz: float, hop: int) -> Floats:
    """Root mean square of the same 64 ms frames, 20 log10(rms), never below -100 dBFS; (frame,)."""
    rms = np.sqrt(np.mean(np.square(_frames(audio, _window_length(sample_rate_hz), hop)), axis=1))
    return np.maximum(20 * np.log10(np.maximum(rms, 1e-10)), SILENCE_DBFS)


def _as_audio(samples: ArrayLike) -> Floats:
    array = np.asarray(samples)
    if array.ndim != 1:
        raise RnnaudioError(f"spectrogram: got samples of shape {array.shape}, expected (samples,); mix down to mono")
    if array.dtype.kind != "f" and array.dtype not in (np.int16, np.int32):
        raise RnnaudioError(f"spectrogram: got {array.dtype} samples, expected float, int16 or int32; convert them")
    audio = array.astype(float) / (1.0 if array.dtype.kind == "f" else np.iinfo(array.dtype).max + 1.0)
    return np.where(np.isfinite(audio), audio, np.nan)


def _window_length(sample_rate_hz: float) -> int:
    return 2 * max(1, round(WINDOW_S * sample_rate_hz / 2))


def _hop(n_samples: int, sample_rate_hz: float) -> int:
    return max(1, _window_length(sample_rate_hz) // 8, math.ceil(n_samples / MOST_COLUMNS))


def _frames(audio: Floats, n_window: int, hop: int) -> Floats:
    """(frame, n_window): reflected at both ends, for a hard edge would show as a click that nobody hears."""
    if len(audio) == 0:
        return np.empty((0, n_window))
    return sliding_window_view(np.pad(audio, n_window // 2, mode="reflect"), n_window)[::hop]


def _remark(continuation: Floats) -> str:
    n_bad = int(np.isnan(continuation).sum())
    if n_bad:
        return f" ({n_bad} samples not finite)"
    return " (silent)" if len(continuation) and np.max(np.abs(continuation)) < 10 ** (SILENCE_DBFS / 20) else ""


def _loudest(levels: Sequence[Floats]) -> float:
    """The recording's highest level; the other's where the recording is silence."""
    peaks = (float(np.max(level, initial=-np.inf, where=np.isfinite(level))) for level in levels)
    return next((math.ceil(peak) for peak in peaks if peak > SILENCE_DBFS), 0.0)


def _draw_spectrogram(axes: Axes, level: Floats, hop: int, sample_rate_hz: float, top_db: float) -> Any:
    n_bins, n_frames = level.shape
    half_bin, half_hop = sample_rate_hz / 2 / (n_bins - 1) / 2, hop / sample_rate_hz / 2
    axes.set_facecolor(NO_SOUND_COLOUR)
    extent = (-half_hop, (2 * n_frames - 1) * half_hop, -half_bin, sample_rate_hz / 2 + half_bin)
    image = axes.imshow(
        np.ma.masked_invalid(level) if n_frames else np.ma.masked_all((n_bins, 1)),
        extent=extent if n_frames else (0.0, half_hop, *extent[2:]),
        origin="lower", aspect="auto", interpolation="nearest",
        cmap="magma", vmin=top_db - DYNAMIC_RANGE_DB, vmax=top_db,
    )  # fmt: skip
    axes.set_ylabel("Frequency (Hz)")
    axes.tick_params(labelbottom=False)
    return image


def _mark_seed_end(axes: Axes, seed_end_s: float, duration_s: float, name: str) -> None:
    """Name the panel on the side where the label of the seed's end leaves room."""
    _line_at_seed_end(axes, seed_end_s)
    fraction = seed_end_s / duration_s
    side = "left" if fraction < 0.1 else "right" if fraction > 0.9 else "center"
    label = f"seed ends, {seed_end_s:.3g} s"
    axes.text(fraction, 1.02, label, transform=axes.transAxes, ha=side, va="bottom", fontsize=9)
    axes.set_title(name, loc="right" if fraction < 0.5 else "left", fontsize=10)


def _line_at_seed_end(axes: Axes, seed_end_s: float) -> None:
    axes.axvline(seed_end_s, color=BLACK, linewidth=3)  # a dark rim, to be seen on loud noise too
    axes.axvline(seed_end_s, color="white", linestyle="--", linewidth=1.4)


def _draw_levels(axes: Axes, recording: Floats, produced: Floats, hop: int, sample_rate_hz: float) -> None:
    highest = 0.0
    for sound, label, colour, width in ((recording, "recording", SKY, 3.0), (produced, "generated", VERMILION, 1.2)):
        level = level_dbfs(sound, sample_rate_hz, hop)
        axes.plot(np.arange(len(level)) * hop / sample_rate_hz, level, color=colour, linewidth=width, label=label)
        highest = max(highest, float(np.max(level, initial=0.0, where=np.isfinite(level))))
    axes.set(xlabel="Time (s)", ylabel="RMS level\n(dBFS)", ylim=(SILENCE_DBFS - 3, highest + 3))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=9, borderaxespad=0)
