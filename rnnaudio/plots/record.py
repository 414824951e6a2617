"""Plots of learning curves next to the values recorded in 2016."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import SKY, VERMILION, markers, new_figure, positive_or_gap, save


def against_record(
    curves: Sequence[Mapping[int, float]],
    recorded: Mapping[int, float],
    path: str | Path,
    *,
    quantity: str,
    title: str = "",
) -> Path:
    """Write a PNG of learning curves next to recorded values; returns its path. See :func:`against_record_figure`."""
    return save(against_record_figure(curves, recorded, quantity=quantity, title=title), path)


def against_record_figure(
    curves: Sequence[Mapping[int, float]], recorded: Mapping[int, float], *, quantity: str, title: str = ""
) -> Figure:
    """Plot a learning curve for each run and a point for each value recorded in 2016, on logarithmic axes.

    curves: epoch (from 1) -> value (positive), for each run. recorded: epoch -> value; may be empty.
    quantity: name and unit of the values, the label of the y axis.
    Raises RnnaudioError if there is no run, or a run without an epoch.
    """
    if not curves or not all(curves):
        raise RnnaudioError("learning curves: got none, or one without an epoch; train until a validation first")
    figure = new_figure(8.0, 4.8)
    axes = figure.add_subplot()
    for k, curve in enumerate(curves):
        label = f"rnnaudio, {len(curves)} seed{'s' * (len(curves) > 1)}" if k == 0 else None
        axes.plot(list(curve), positive_or_gap(list(curve.values())), color=SKY, label=label, **markers(len(curve)))
    if recorded:
        axes.plot(list(recorded), list(recorded.values()), "D", color=VERMILION, label="2016, as recorded")
    axes.set(xlabel="Epoch", ylabel=quantity, xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "235" else ""))
    axes.grid(axis="y", which="both", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure
