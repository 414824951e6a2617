"""Plots of the internals of a model: saturation of activations, gradients, relative sizes of updates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import (
    BLUE,
    COLOURS,
    DASHES,
    GREY,
    VERMILION,
    label_at_right,
    log_limits,
    markers,
    new_figure,
    padded,
    positive_or_gap,
    save,
)


def saturation(histograms: Mapping[str, tuple[ArrayLike, ArrayLike, float]], path: str | Path) -> Path:
    """Write a PNG with a histogram of activations for each gate or layer; returns its path.

    See :func:`saturation_figure`.
    """
    return save(saturation_figure(histograms), path)


def saturation_figure(histograms: Mapping[str, tuple[ArrayLike, ArrayLike, float]], *, narrow: bool = False) -> Figure:
    """Plot one panel per gate or layer: the share of values in each bin of a histogram, and the percentage saturated.

    histograms: name -> (edges (bins + 1,), counts (bins,), saturated fraction 0..1). narrow: True for a phone.
    Raises RnnaudioError if there is no histogram.
    """
    if not histograms:
        raise RnnaudioError("saturation: got no histogram, expected one per gate or layer; record activations first")
    n_columns = min(2 if narrow else 4, len(histograms))
    n_rows = math.ceil(len(histograms) / n_columns)
    figure = new_figure(max(4.0, 2.5 * n_columns), 0.8 + (1.7 if narrow else 2.1) * n_rows, narrow)
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(histograms) :]:
        axes.set_axis_off()
    for axes, (name, (edges, counts, fraction)) in zip(grid.flat, histograms.items(), strict=False):
        total = float(np.sum(counts))
        share = 100 * np.asarray(counts, float) / max(total, 1.0)
        axes.stairs(share, edges, fill=True, color=BLUE)
        axes.set_title(f"{name}\n{100 * fraction:.1f} % saturated" if total else f"{name}\nno values", fontsize=9)
        axes.tick_params(labelsize=8)
    figure.supxlabel("Activation (no unit)", fontsize=10)
    figure.supylabel("Share of values per bin (%)", fontsize=10)
    return figure


def gradient_norms(
    per_parameter: Mapping[str, float],
    through_time: ArrayLike,
    path: str | Path,
    *,
    seconds_per_step: float | None = None,
) -> Path:
    """Write a PNG of gradient norms per parameter and through time; returns its path.

    See :func:`gradient_norms_figure`.
    """
    return save(gradient_norms_figure(per_parameter, through_time, seconds_per_step=seconds_per_step), path)


def gradient_norms_figure(
    per_parameter: Mapping[str, float],
    through_time: ArrayLike,
    *,
    seconds_per_step: float | None = None,
    narrow: bool = False,
) -> Figure:
    """Plot gradient norms per parameter (left), and norms of d loss_T / d x_t against the lag T - t (right).

    loss_T is the loss of the last step, x_t the input of step t. Norms are on log scales.

    per_parameter: name -> norm, in the order given, first on top.
    through_time: (lags,), the norm at lag 0, 1, 2, ... steps.
    seconds_per_step: duration of a step, for a second axis of the lag in seconds along the top; None: no such axis.
    narrow: True for a phone: the right panel is below the left one.

    Norms that a log scale cannot show (zero, not finite) are written as numbers on the left, and are gaps on the
    right, counted in the title of the right panel. Raises RnnaudioError if per_parameter or through_time is empty.
    """
    norms = positive_or_gap(through_time)
    if not per_parameter or not len(norms):
        got = f"{len(per_parameter)} parameters and {len(norms)} lags"
        raise RnnaudioError(f"gradient norms: got {got}, expected at least one of each; measure a longer sequence")
    bars_in = 1.4 + 0.24 * len(per_parameter)
    figure = new_figure(10.0, bars_in + 3.5 if narrow else max(4.0, bars_in), narrow)
    ratios = {"height_ratios": (bars_in, 3.5)} if narrow else {}
    left, right = figure.subplots(*((2, 1) if narrow else (1, 2)), gridspec_kw=ratios)
    joint = "\n" if narrow else " "
    _plot_norm_bars(left, per_parameter, joint)
    lags = np.arange(float(len(norms)))
    right.set_yscale("log")
    right.plot(lags, norms, color=BLUE, **markers(len(lags)))
    right.set(xlabel="Lag T − t (steps)", ylabel=f"Norm of ∂loss$_T$/∂x$_t${joint}(loss unit per input unit)")
    right.set(xlim=padded(lags), ylim=log_limits(norms))
    right.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    right.grid(color="#E5E5E5", linewidth=0.8)
    n_gaps = int(np.isnan(norms).sum())
    if n_gaps:
        right.set_title(f"{n_gaps} of {len(norms)} lags are zero or not finite", fontsize=9, color=VERMILION)
    if seconds_per_step:
        seconds = (lambda lag: lag * seconds_per_step, lambda lag_s: lag_s / seconds_per_step)
        upper = right.secondary_xaxis("top", functions=seconds)
        upper.set_xlabel("Lag (s)")
        upper.xaxis.set_major_locator(MaxNLocator(3 if narrow else "auto"))
    return figure


def _plot_norm_bars(axes: Axes, per_parameter: Mapping[str, float], joint: str) -> None:
    norms = positive_or_gap(list(per_parameter.values()))
    rows = np.arange(len(norms))
    shown = norms[np.isfinite(norms)]
    left = 10 ** math.floor(math.log10(shown.min()) - 0.3) if len(shown) else 0.1
    right = 10 ** math.ceil(math.log10(shown.max()) + 0.1) if len(shown) else 1.0
    axes.set_xscale("log")
    axes.barh(rows, np.where(np.isfinite(norms), norms - left, 0.0), left=left, height=0.65, color=BLUE)
    for row, value in enumerate(per_parameter.values()):
        if not np.isfinite(norms[row]):
            axes.text(left, row, f" {value:g}", va="center", color=VERMILION, fontsize=9)
    axes.set(xlim=(left, right), xlabel=f"Gradient norm{joint}(loss unit per parameter unit)")
    axes.xaxis.set_minor_formatter(NullFormatter())  # the ends are powers of ten
    axes.set_yticks(rows, list(per_parameter), fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)


def update_ratios(history: Mapping[str, Sequence[tuple[float, float]]], path: str | Path) -> Path:
    """Write a PNG of the size of the updates relative to the parameters; returns its path.

    See :func:`update_ratios_figure`.
    """
    return save(update_ratios_figure(history), path)


def update_ratios_figure(history: Mapping[str, Sequence[tuple[float, float]]], *, narrow: bool = False) -> Figure:
    """Plot the ratio |update| / |parameter| of L2 norms, on a log axis, against the number of updates.

    history: parameter name -> [(update index, ratio), ...]. Each layer has a panel: ``lstm.w_hidden`` is a line in the
    panel ``lstm``. A dashed line is at 1e-3. A ratio of about 1e-3 is a rule of thumb (A. Karpathy, CS231n notes,
    "Ratio of weights:updates"): far above it training tends to be unstable, far below it too slow. Ratios that are
    zero or not finite are gaps. narrow: True for a phone. Raises RnnaudioError if there is no parameter.
    """
    if not history:
        raise RnnaudioError("update ratios: got no parameter, expected at least one; train for one update first")
    layers: dict[str, dict[str, Sequence[tuple[float, float]]]] = {}
    for path, points in history.items():
        layer, _, name = path.rpartition(".")
        layers.setdefault(layer, {})[name] = points
    n_columns = min(1 if narrow else 2, len(layers))
    n_rows = math.ceil(len(layers) / n_columns)
    figure = new_figure(2.0 + 4.5 * n_columns, 1.0 + (2.3 if narrow else 2.8) * n_rows, narrow)
    scale = {"yscale": "log"}  # set before plotting, as the axes are shared
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False, subplot_kw=scale)
    for axes in grid.flat[len(layers) :]:
        axes.set_axis_off()
    grid[0, 0].set_ylim(log_limits(np.array([1e-3, *(ratio for points in history.values() for _, ratio in points)])))
    panels = list(zip(grid.flat, layers.items(), strict=False))
    labels = [_plot_ratios(axes, layer, parameters) for axes, (layer, parameters) in panels]
    for (axes, _), panel_labels in zip(panels, labels, strict=True):  # after all plots, when the limits are final
        label_at_right(axes, panel_labels)
    for axes, _ in panels[-n_columns:]:  # the lowest panel of each column, even if above an empty cell
        axes.tick_params(labelbottom=True)
    figure.supxlabel("Update (count)", fontsize=10)
    figure.supylabel("|update| / |parameter| (ratio, no unit)", fontsize=10)
    return figure


def _plot_ratios(
    axes: Axes, layer: str, parameters: Mapping[str, Sequence[tuple[float, float]]]
) -> list[tuple[str, float, str]]:
    """Plot the parameters of one layer; returns a label for each line: text, height, colour."""
    axes.axhline(1e-3, color=GREY, linestyle="--", linewidth=1.2)
    labels = [("rule of thumb", 1e-3, GREY)]
    for index, (name, points) in enumerate(parameters.items()):
        updates, ratios = np.array(points, dtype=float).reshape(-1, 2).T
        shown = positive_or_gap(ratios)
        colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]
        axes.plot(updates, shown, color=colour, linestyle=dashes, **markers(len(updates)))
        finite = shown[np.isfinite(shown)]
        labels.append((name, finite[-1], colour) if len(finite) else (f"{name}: never above 0", math.nan, colour))
    axes.set_title(layer, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    return labels
