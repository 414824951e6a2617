"""Plots of spectra (amplitude and phase over time and frequency), and of errors of models and methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import BLUE, COLOURS, DASHES, GREY, Floats, Style, cycle, label_at_right, new_figure, save

DYNAMIC_RANGE_DB = 80.0


class Angles(NamedTuple):
    """Angles (n_frames, n_bins) in radians; plotted from -pi to pi on a cyclic colour map."""

    values: ArrayLike


def spectral_panels(
    panels: Mapping[str, ArrayLike | Angles], times_s: ArrayLike, frequencies_hz: ArrayLike, path: str | Path
) -> Path:
    """Write a PNG of amplitudes and angles in stacked panels; returns its path. See :func:`spectral_panels_figure`."""
    return save(spectral_panels_figure(panels, times_s, frequencies_hz), path)


def spectral_panels_figure(
    panels: Mapping[str, ArrayLike | Angles], times_s: ArrayLike, frequencies_hz: ArrayLike
) -> Figure:
    """Plot amplitudes and angles in stacked panels over the same times and frequencies.

    The blog of 2016 has such plots of amplitude and phase.

    panels
        by title, (n_frames, n_bins) each: amplitudes, plotted in dB over the 80 dB below their maximum, or ``Angles``.
    times_s, frequencies_hz
        (n_frames,) and (n_bins,), evenly spaced centres of frames and bins, in seconds and Hz.

    Raises RnnaudioError for a panel of another shape.
    """
    times, frequencies = np.asarray(times_s, float), np.asarray(frequencies_hz, float)
    figure = new_figure(9.0, 0.8 + 2.3 * len(panels))
    all_axes = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (name, panel) in zip(all_axes, panels.items(), strict=True):
        values = np.asarray(panel.values if isinstance(panel, Angles) else panel, float)
        if values.shape != (len(times), len(frequencies)):
            raise RnnaudioError(
                f"{name}: got an array of shape {values.shape}, expected {(len(times), len(frequencies))}: as many "
                "frames as times, as many bins as frequencies"
            )
        _plot_panel(figure, axes, values, isinstance(panel, Angles), _edges(times) + _edges(frequencies))
        axes.set_title(name, fontsize=10, loc="left")
        axes.set_ylabel("Frequency (Hz)")
    all_axes[-1].set_xlabel("Time (s)")
    return figure


def _plot_panel(
    figure: Figure, axes: Axes, values: Floats, is_angle: bool, extent: tuple[float, float, float, float]
) -> None:
    style: Style = {"extent": extent, "origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    if is_angle:
        turned = np.mod(values + np.pi, 2 * np.pi) - np.pi
        image = axes.imshow(turned.T, cmap="twilight", vmin=-np.pi, vmax=np.pi, **style)
        bar = figure.colorbar(image, ax=axes, pad=0.02, ticks=[-np.pi, 0.0, np.pi])
        bar.ax.set_yticklabels(["−π", "0", "π"])
        bar.set_label("Angle (radian)")
        return
    loudest = np.max(values, initial=0.0, where=np.isfinite(values)) or 1.0
    level = 20 * np.log10(np.maximum(values / loudest, 1e-10))
    image = axes.imshow(level.T, cmap="magma", vmin=-DYNAMIC_RANGE_DB, vmax=0.0, **style)
    figure.colorbar(image, ax=axes, pad=0.02, extend="min").set_label("Level (dB of\nthe loudest)")


def _edges(centres: Floats) -> tuple[float, float]:
    half = (centres[1] - centres[0]) / 2 if len(centres) > 1 else 0.5
    return float(centres[0] - half), float(centres[-1] + half)


def methods(
    values: Mapping[str, Sequence[float]], path: str | Path, *, quantity: str, title: str = "", better: str = "left"
) -> Path:
    """Write a PNG that compares the values of several methods; returns its path. See :func:`methods_figure`."""
    return save(methods_figure(values, quantity=quantity, title=title, better=better), path)


def methods_figure(
    values: Mapping[str, Sequence[float]], *, quantity: str, title: str = "", better: str = "left"
) -> Figure:
    """Plot one row per method in the order given: a dot for each value, and their mean as a bar and as a number.

    values: method -> values, one for each position in the audio that was measured.
    quantity: name and unit of the values, the label of the axis.
    better: ``left`` or ``right``, the side of the better values, stated below the axis.
    Raises RnnaudioError if a method has no value, or there is no method.
    """
    empty = [name for name, row in values.items() if not len(row)]
    if empty or not values:
        raise RnnaudioError(f"methods without a value: {', '.join(empty) or 'no methods at all'}; measure them first")
    figure = new_figure(8.0, 1.3 + 0.34 * len(values))
    axes = figure.subplots()
    for place, row in enumerate(values.values()):
        mean = float(np.mean(row))
        axes.plot(row, np.full(len(row), place), "o", color=BLUE, markersize=4, alpha=0.45, markeredgewidth=0)
        axes.plot([mean, mean], [place - 0.32, place + 0.32], color=BLUE, linewidth=2.5)
        axes.annotate(
            f"{mean:.1f}".replace("-", "−"), xy=(1.0, place), xycoords=("axes fraction", "data"), xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=9, color=GREY,
        )  # fmt: skip
    axes.set_yticks(range(len(values)), list(values), fontsize=9)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    axes.set_xlabel(f"{quantity}; dots: places, bar and number: their mean; better: {better}", fontsize=9)
    axes.set_title(title, fontsize=10, loc="left")
    return figure


def error_by_horizon(
    errors: Mapping[str, ArrayLike], seconds: ArrayLike, path: str | Path, *, quantity: str, title: str = ""
) -> Path:
    """Write a PNG of errors against the prediction horizon; returns its path. See :func:`error_by_horizon_figure`."""
    return save(error_by_horizon_figure(errors, seconds, quantity=quantity, title=title), path)


def error_by_horizon_figure(
    errors: Mapping[str, ArrayLike], seconds: ArrayLike, *, quantity: str, title: str = ""
) -> Figure:
    """Plot errors against the prediction horizon: one curve per predictor, labelled at its end, axes from zero.

    errors: name of the predictor -> (n,), one error for each horizon.
    seconds: (n,), the horizons in seconds, increasing.
    quantity: name and unit of the errors, the label of the y axis.
    Raises RnnaudioError if the lengths differ.
    """
    ahead = np.asarray(seconds, float)
    figure = new_figure(8.5, 4.8)
    axes = figure.subplots()
    labels = []
    styles = zip(cycle(COLOURS, len(errors)), cycle(DASHES, len(errors)), strict=True)
    for (name, values), (colour, dash) in zip(errors.items(), styles, strict=True):
        row = np.asarray(values, float)
        if row.shape != ahead.shape:
            raise RnnaudioError(f"{name}: got errors of shape {row.shape}, expected {ahead.shape}: one per horizon")
        axes.plot(ahead, row, dash, color=colour, linewidth=1.8, marker="o", markersize=3)
        labels.append((name, float(row[-1]), colour))
    axes.set(xlabel="Time ahead (s)", ylabel=quantity, xlim=(0, ahead[-1]))
    axes.set_ylim(bottom=0)
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.set_title(title, fontsize=10, loc="left")
    label_at_right(axes, labels)
    return figure
