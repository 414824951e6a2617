"""Plots of speed, relative to other frameworks and against model size, and of a process's resources over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import BLUE, COLOURS, GREY, Row, new_figure, save

RATIO_TICKS = (0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 20, 50)


def speed_ratios(rows: Sequence[Row], path: str | Path) -> Path:
    """Write a PNG of the step times of other frameworks relative to rnnaudio's; returns its path.

    See :func:`speed_ratios_figure`.
    """
    return save(speed_ratios_figure(rows), path)


def speed_ratios_figure(rows: Sequence[Row]) -> Figure:
    """Plot times of a training step relative to rnnaudio's, on a log axis: a panel per cell, a row per model size.

    A row of a panel has a dot for each peer, that is, another framework.

    rows: one per cell and model size, each with ``cell``, its name; ``point``, a mapping with the numbers of inputs,
        units, steps, batch and layers, in this order; and, under the name of each peer, a mapping with ``ratio``, its
        time over rnnaudio's.
    Raises RnnaudioError if there is no row.
    """
    if not rows:
        raise RnnaudioError("speed: got no rows, expected at least one measurement; run the benchmark first")
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    by_cell = [[row for row in rows if row["cell"] == cell] for cell in cells]
    peers = list(dict.fromkeys(name for row in rows for name in row if name != "rnnaudio" and _is_peer(row[name])))
    figure = new_figure(8.0, 1.6 + 0.3 * len(rows))
    panels = figure.subplots(
        len(cells), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": [len(group) + 1 for group in by_cell]}
    )[:, 0]
    for axes, cell, group in zip(panels, cells, by_cell, strict=True):
        places = np.arange(len(group))[::-1]
        for peer, colour in zip(peers, COLOURS, strict=False):
            shown = [(row[peer]["ratio"], place) for row, place in zip(group, places, strict=True) if peer in row]
            if shown:
                axes.scatter(*zip(*shown, strict=True), color=colour, s=28, label=peer, zorder=3)
        axes.axvline(1.0, color=GREY, linewidth=1)
        axes.set_yticks(places, [", ".join(map(str, row["point"].values())) for row in group], fontsize=8)
        axes.set_ylim(-0.7, len(group) - 0.3)
        axes.grid(axis="x", color="#E5E5E5")
        axes.set_xscale("log")
        axes.set_title(f"{cell}: input, units, steps, batch, layers", loc="left", fontsize=9)
    panels[-1].xaxis.set_major_locator(FixedLocator(RATIO_TICKS))
    panels[-1].xaxis.set_major_formatter(ScalarFormatter())
    panels[-1].xaxis.set_minor_formatter(NullFormatter())
    panels[-1].set_xlabel("time of the peer / time of rnnaudio, one training step (above 1: rnnaudio is faster)")
    handles = {text: h for axes in panels for h, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper right", ncols=len(handles), frameon=False)
    return figure


def _is_peer(entry: object) -> bool:
    return isinstance(entry, Mapping) and "ratio" in entry


def growth(series: Mapping[str, Row], path: str | Path) -> Path:
    """Write a PNG of the time of a training step against sizes of the model; returns its path.

    See :func:`growth_figure`.
    """
    return save(growth_figure(series), path)


def growth_figure(series: Mapping[str, Row]) -> Figure:
    """Plot milliseconds per training step against one size of the model, and the fitted power law, for each series.

    Each series has a panel, whose axes are logarithmic.

    series: label of the x axis -> a mapping with ``values`` (sizes), ``seconds`` (per training step), ``exponent`` (of
        the fitted power law), and ``predicted`` (exponent of the number of multiplications).
    Raises RnnaudioError if there is no series.
    """
    if not series:
        raise RnnaudioError("growth: got no series, expected at least one; measure first")
    figure = new_figure(2.6 * len(series), 3.2)
    panels = figure.subplots(1, len(series), squeeze=False)[0]
    for axes, (label, one) in zip(panels, series.items(), strict=True):
        sizes, milliseconds = np.asarray(one["values"], float), 1e3 * np.asarray(one["seconds"])
        level = np.exp(np.mean(np.log(milliseconds) - one["exponent"] * np.log(sizes)))
        axes.loglog(sizes, level * sizes ** one["exponent"], color=GREY, linewidth=1)
        axes.loglog(sizes, milliseconds, "o", color=BLUE, markersize=4)
        axes.set_title(f"exponent {one['exponent']:.2f}\n(multiplications: {one['predicted']:.2f})", fontsize=9)
        axes.set_xlabel(label)
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes], fontsize=8)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(color="#E5E5E5")
    panels[0].set_ylabel("training step, ms")
    return figure


def soak(table: ArrayLike, path: str | Path) -> Path:
    """Write a PNG of the memory, descriptors and threads of a process over time; returns its path.

    See :func:`soak_figure`.
    """
    return save(soak_figure(table), path)


def soak_figure(table: ArrayLike) -> Figure:
    """Plot the resources of a process against time, a panel each: resident memory, open descriptors, threads.

    table: (n, 4), with columns time in s, memory in MB, number of descriptors, number of threads.
    Raises RnnaudioError if it has another shape, or no row.
    """
    rows = np.asarray(table, float)
    if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows):
        raise RnnaudioError(f"soak: got a table of shape {rows.shape}, expected one or more rows of four columns")
    figure = new_figure(7.0, 5.0)
    panels = figure.subplots(3, 1, sharex=True)
    for axes, column, name in zip(panels, rows[:, 1:].T, ("memory (MB)", "open descriptors", "threads"), strict=True):
        axes.plot(rows[:, 0] / 60.0, column, color=BLUE, linewidth=1)
        axes.set_ylim(0.0, 1.15 * max(column.max(), 1.0))
        axes.set_ylabel(name)
        axes.grid(color="#E5E5E5")
    panels[-1].set_xlabel("time (minutes)")
    return figure
