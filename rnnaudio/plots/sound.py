"""Plots of spectrograms of recorded and generated audio."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
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

WINDOW_S = 0.064  # 1024 samples at 16 kHz: bins of 16 Hz, enough to resolve the low notes of a piano
MOST_COLUMNS = 1500  # frames of a spectrogram: more than the picture has pixels across
DYNAMIC_RANGE_DB = 80.0
SILENCE_DBFS = -100.0  # below the rounding noise of 16 bits


def spectrogram(
    prime: ArrayLike,
    generated: ArrayLike,
    original: ArrayLike,
    sample_rate_hz: float,
    path: str | Path,
    *,
    title: str = "",
) -> Path:
    """Write a PNG of prime + true continuation above prime + generated audio; returns its path.

    See :func:`spectrogram_figure`.
    """
    return save(spectrogram_figure(prime, generated, original, sample_rate_hz, title=title), path)


def spectrogram_figure(
    prime: ArrayLike, generated: ArrayLike, original: ArrayLike, sample_rate_hz: float, *, title: str = ""
) -> Figure:
    """Plot spectrograms of recording and free run, one above the other on equal scales, and their levels below.

    A line marks the end of the prime.

    prime, generated, original: (samples,) each; float with full scale 1.0, or int16 or int32. ``original`` is the
        continuation of the recording *after* the prime. Lengths may differ: missing samples are grey, as are samples
        that are not finite.
    sample_rate_hz: sample rate of all three.

    In both panels, colours span the 80 dB below the loudest point of the recording or, if the recording is silent, of
    the free run.
    Raises RnnaudioError for arrays of another dtype or not one-dimensional, and if there are no samples.
    """
    prime_audio = as_audio(prime)
    recording = np.concatenate([prime_audio, as_audio(original)])
    continuation = as_audio(generated)
    produced = np.concatenate([prime_audio, continuation])
    n_samples = max(len(recording), len(produced))
    if n_samples == 0:
        raise RnnaudioError("spectrogram: got no samples, expected audio; check the length of the prime")
    hop = _hop(n_samples, sample_rate_hz)
    sounds = {"Recording": recording, "Prime + generated" + _remark(continuation): produced}
    levels = [spectrogram_dbfs(sound, sample_rate_hz, hop) for sound in sounds.values()]
    top_db = next(iter(_peaks(levels)), 0.0)

    figure = new_figure(9.0, 7.2)
    grid = figure.add_gridspec(3, 1, height_ratios=[3, 3, 1.3])
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper, sharey=upper)
    strip = figure.add_subplot(grid[2], sharex=upper)
    for axes, name, level in zip((upper, lower), sounds, levels, strict=True):
        image = _plot_spectrogram(axes, level, hop, sample_rate_hz, top_db)
        _mark_prime_end(axes, len(prime_audio) / sample_rate_hz, n_samples / sample_rate_hz, name)
    bar = figure.colorbar(image, ax=[upper, lower], extend="both", pad=0.02)
    bar.set_label("Level (dBFS)")
    _plot_levels(strip, recording, produced, hop, sample_rate_hz)
    strip.axvline(len(prime_audio) / sample_rate_hz, color=BLACK, linestyle="--", linewidth=1)
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
    prime_seconds: float | None = None,
) -> Path:
    """Write a PNG of spectrograms of several sounds in stacked panels; returns its path.

    See :func:`spectrogram_sheet_figure`.
    """
    figure = spectrogram_sheet_figure(
        sounds, sample_rate_hz, title=title, highest_hz=highest_hz, prime_seconds=prime_seconds
    )
    return save(figure, path)


def spectrogram_sheet_figure(
    sounds: Mapping[str, ArrayLike],
    sample_rate_hz: float,
    *,
    title: str = "",
    highest_hz: float | None = None,
    prime_seconds: float | None = None,
) -> Figure:
    """Plot one spectrogram per sound on common scales of time, frequency and level.

    sounds: by name, (samples,) each, of the dtypes of :func:`spectrogram_figure`.
    highest_hz: upper limit of the frequency axis; None: half the sample rate.
    prime_seconds: length of the prime that each sound begins with, marked by a line; None: no line.

    The scale of level reaches from the loudest point of all sounds to 80 dB below it. Raises the errors of
    :func:`spectrogram_figure`, and RnnaudioError if there is no sound.
    """
    audio = {name: as_audio(sound) for name, sound in sounds.items()}
    n_samples = max((len(sound) for sound in audio.values()), default=0)
    if n_samples == 0:
        raise RnnaudioError("spectrogram: got no samples, expected audio")
    hop = _hop(n_samples, sample_rate_hz)
    levels = {name: spectrogram_dbfs(sound, sample_rate_hz, hop) for name, sound in audio.items()}
    top_db = max(_peaks(levels.values()), default=0.0)
    figure = new_figure(9.0, 1.0 + 1.3 * len(levels))
    panels = np.atleast_1d(figure.subplots(len(levels), 1, sharex=True, sharey=True))
    for axes, (name, level) in zip(panels, levels.items(), strict=True):
        image = _plot_spectrogram(axes, level, hop, sample_rate_hz, top_db)
        axes.set_title(name + _remark(audio[name]), loc="left", fontsize=9)
        if prime_seconds is not None:
            _line_at_prime_end(axes, prime_seconds)
        axes.set_ylabel("Hz")
    axes.tick_params(labelbottom=True)
    highest = min(highest_hz or sample_rate_hz / 2, sample_rate_hz / 2)
    axes.set(xlim=(0, n_samples / sample_rate_hz), ylim=(0, highest), xlabel="Time (s)")
    bar = figure.colorbar(image, ax=list(panels), extend="both", pad=0.02, fraction=0.04, aspect=10 * len(levels))
    bar.set_label("Level (dBFS)")
    figure.suptitle(title, fontsize=11)
    return figure


def spectrogram_dbfs(audio: Floats, sample_rate_hz: float, hop: int) -> Floats:
    """Short-time spectrum in dBFS: 20 log10(sqrt(2) |X| / sum(w)), X the transform of a 64 ms Hann-windowed frame.

    audio: (samples,), full scale 1.0. hop: samples from frame to frame; frame k is centred on sample k * hop. A steady
    sine peaks at its RMS level (full scale: -3.01 dBFS), as in :func:`level_dbfs`. Returns (n_frequencies, n_frames),
    from 0 Hz to half the sample rate; frames that hold a NaN are NaN.
    """
    n_window = window_length(sample_rate_hz)
    window = np.hanning(n_window + 1)[:-1]  # periodic
    magnitude = np.abs(np.fft.rfft(_frames(audio, n_window, hop) * window)) * math.sqrt(2) / window.sum()
    return 20 * np.log10(np.maximum(magnitude, 1e-10)).T


def level_dbfs(audio: Floats, sample_rate_hz: float, hop: int) -> Floats:
    """RMS level in dBFS of the frames of :func:`spectrogram_dbfs`, without its window: 20 log10(rms), at least -100.

    audio: (samples,), full scale 1.0. hop: samples from frame to frame. Returns (n_frames,).
    """
    rms = np.sqrt(np.mean(np.square(_frames(audio, window_length(sample_rate_hz), hop)), axis=1))
    return np.maximum(20 * np.log10(np.maximum(rms, 1e-10)), SILENCE_DBFS)


def as_audio(samples: ArrayLike) -> Floats:
    """Convert (samples,) of float, int16 or int32 to floats with full scale 1.0; infinite values become NaN.

    RnnaudioError for another dtype or shape.
    """
    array = np.asarray(samples)
    if array.ndim != 1:
        raise RnnaudioError(f"spectrogram: got samples of shape {array.shape}, expected (samples,); mix down to mono")
    if array.dtype.kind != "f" and array.dtype not in (np.int16, np.int32):
        raise RnnaudioError(f"spectrogram: got {array.dtype} samples, expected float, int16 or int32; convert them")
    audio = array.astype(float) / (1.0 if array.dtype.kind == "f" else np.iinfo(array.dtype).max + 1.0)
    return np.where(np.isfinite(audio), audio, np.nan)


def window_length(sample_rate_hz: float) -> int:
    """Return the number of samples, an even number, in the 64 ms window of a spectrogram."""
    return 2 * max(1, round(WINDOW_S * sample_rate_hz / 2))


def _hop(n_samples: int, sample_rate_hz: float) -> int:
    return max(1, window_length(sample_rate_hz) // 8, math.ceil(n_samples / MOST_COLUMNS))


def _frames(audio: Floats, n_window: int, hop: int) -> Floats:
    """Cut audio into overlapping frames (n_frames, n_window), one every ``hop`` samples.

    The audio is extended by reflection at both ends, because an abrupt edge would look like a click.
    """
    if len(audio) == 0:
        return np.empty((0, n_window))
    return sliding_window_view(np.pad(audio, n_window // 2, mode="reflect"), n_window)[::hop]


def _remark(continuation: Floats) -> str:
    n_bad = int(np.isnan(continuation).sum())
    if n_bad:
        return f" ({n_bad} samples not finite)"
    return " (silent)" if len(continuation) and np.max(np.abs(continuation)) < 10 ** (SILENCE_DBFS / 20) else ""


def _peaks(levels: Iterable[Floats]) -> list[float]:
    """Highest level of each sound that is not silent, rounded up to whole dB."""
    peaks = (float(np.max(level, initial=-np.inf, where=np.isfinite(level))) for level in levels)
    return [math.ceil(peak) for peak in peaks if peak > SILENCE_DBFS]


def _plot_spectrogram(axes: Axes, level: Floats, hop: int, sample_rate_hz: float, top_db: float) -> AxesImage:
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


def _mark_prime_end(axes: Axes, prime_end_s: float, duration_s: float, name: str) -> None:
    """Mark and label the end of the prime, and put the panel's title ``name`` on the side away from that label."""
    _line_at_prime_end(axes, prime_end_s)
    fraction = prime_end_s / duration_s
    side = "left" if fraction < 0.1 else "right" if fraction > 0.9 else "center"
    label = f"prime ends, {prime_end_s:.3g} s"
    axes.text(fraction, 1.02, label, transform=axes.transAxes, ha=side, va="bottom", fontsize=9)
    axes.set_title(name, loc="right" if fraction < 0.5 else "left", fontsize=10)


def _line_at_prime_end(axes: Axes, prime_end_s: float) -> None:
    axes.axvline(prime_end_s, color=BLACK, linewidth=3)  # a dark rim, visible on loud noise too
    axes.axvline(prime_end_s, color="white", linestyle="--", linewidth=1.4)


def _plot_levels(axes: Axes, recording: Floats, produced: Floats, hop: int, sample_rate_hz: float) -> None:
    highest = 0.0
    for sound, label, colour, width in ((recording, "recording", SKY, 3.0), (produced, "generated", VERMILION, 1.2)):
        level = level_dbfs(sound, sample_rate_hz, hop)
        axes.plot(np.arange(len(level)) * hop / sample_rate_hz, level, color=colour, linewidth=width, label=label)
        highest = max(highest, float(np.max(level, initial=0.0, where=np.isfinite(level))))
    axes.set(xlabel="Time (s)", ylabel="RMS level\n(dBFS)", ylim=(SILENCE_DBFS - 3, highest + 3))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=9, borderaxespad=0)
