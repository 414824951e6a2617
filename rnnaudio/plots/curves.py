"""Learning curves: losses against epochs and time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from rnnaudio import metrics
from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import (
    BLUE,
    COLOURS,
    DASHES,
    GREY,
    SKY,
    VERMILION,
    Floats,
    Row,
    Style,
    cycle,
    foreign,
    label_at_right,
    markers,
    new_figure,
    number,
    padded,
    save,
    spans_decades,
)

LEGEND_COLUMNS = 3  # of a legend with names of runs


def learning_curve(
    history: Sequence[Row],
    path: str | Path,
    *,
    quantity: str,
    baselines: Mapping[str, float] | None = None,
    decibel: bool = False,
    title: str = "",
    changes: Mapping[str, float] | None = None,
    kept: tuple[float, float] | None = None,
) -> Path:
    """Write a PNG of training and validation loss against epochs and time; returns its path.

    See :func:`learning_curve_figure`.
    """
    figure = learning_curve_figure(
        history, quantity=quantity, baselines=baselines, decibel=decibel, title=title, changes=changes,
        kept=kept,
    )  # fmt: skip
    return save(figure, path)


def learning_curve_figure(
    history: Sequence[Row],
    *,
    quantity: str,
    baselines: Mapping[str, float] | None = None,
    decibel: bool = False,
    title: str = "",
    changes: Mapping[str, float] | None = None,
    kept: tuple[float, float] | None = None,
    narrow: bool = False,
) -> Figure:
    """Plot training and validation loss with the best epoch marked, baselines as lines, and time on the top axis.

    history: rows in order, each with ``epoch`` (may be fractional), ``updates`` (count), ``seconds``, ``train``,
        ``valid``, ``is_best``. If a resumed run goes back to an earlier update, the rows that it replaces are dropped;
        if its clock restarts at zero, the times are accumulated.
    quantity: label of the y axis: the name of the loss with its unit, if any; with ``decibel`` the name alone, to
        which `` (dB)`` is added.
    baselines: name -> loss, in the unit of the history.
    decibel: True if the values are mean squared errors over the power of the signal: they are plotted as
        10 log10(value) in dB, where 0 dB is the error of predicting 0. With False the y axis has the unit of the
        values, and is logarithmic if all are positive and span more than a factor of 30.
    changes: name -> epoch of a change of the training data, marked by a dashed line.
    kept: (epoch, validation loss) of the run's last parameters, for a run that generates with these and not with the
        best ones: this point is marked instead of the best epoch. None: the last row with ``is_best`` set is marked.
    narrow: True for a phone: the names of the baselines are below the curve, not beside it.

    Raises RnnaudioError for an empty history.
    """
    records = _drop_superseded(history)
    if not records:
        raise RnnaudioError("learning curve: got an empty history, expected a row; train until a validation first")
    epochs = _column(records, "epoch")
    curves = {name: _finite_or_gap(_column(records, name), decibel) for name in ("train", "valid")}
    levels = {name: float(_finite_or_gap([value], decibel)[0]) for name, value in (baselines or {}).items()}

    figure = new_figure(8.0, 4.2 + 0.2 * len(levels) if narrow else 4.8, narrow)
    axes = figure.add_subplot()
    for name, label, colour in (("train", "training", SKY), ("valid", "validation", BLUE)):
        axes.plot(epochs, curves[name], color=colour, label=label, **markers(len(epochs)))
    best = [record for record in records if record["is_best"]]
    if kept is not None:
        _mark(axes, "last", kept[0], _finite_or_gap([kept[1]], decibel)[0], "dB" if decibel else "")
    elif best:
        _mark(
            axes, "best", best[-1]["epoch"], _finite_or_gap([best[-1]["valid"]], decibel)[0], "dB" if decibel else ""
        )
    _mark_gaps(axes, epochs[~np.isfinite(curves["train"]) | ~np.isfinite(curves["valid"])])

    everything = np.concatenate([*curves.values(), list(levels.values())])
    is_log = not decibel and spans_decades(everything)
    axes.set(xlabel="Epoch", ylabel=f"{quantity} (dB)" if decibel else quantity, yscale="log" if is_log else "linear")
    axes.set_xlim(*padded(epochs))
    _mark_changes(axes, changes or {})
    if np.all(epochs == np.round(epochs)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _plot_baselines(axes, levels, "dB" if decibel else "", narrow)
    _add_time_axis(axes, epochs, _elapsed_seconds(_column(records, "seconds")))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=1 if narrow else 4, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def compared_curves_figure(
    histories: Mapping[str, Sequence[Row]],
    *,
    quantity: str,
    decibel: bool = False,
    title: str = "",
    narrow: bool = False,
) -> Figure:
    """Plot validation losses of several runs against the number of updates and against training time, side by side.

    histories: name of the run -> its history; a history, ``quantity`` and ``decibel`` are as in
        :func:`learning_curve_figure`.
    narrow: True for a phone: the second panel is below the first.

    Both panels have the same axis of loss. It is logarithmic if all losses are positive, span more than a factor of 30
    and are not in decibels. Losses that are not finite are gaps. RnnaudioError if no run has a row.
    """
    records = {name: _drop_superseded(history) for name, history in histories.items()}
    if not any(records.values()):
        raise RnnaudioError("learning curves: no run has a validation; train until there is one first")
    columns = 1 if narrow else LEGEND_COLUMNS
    height_in = (6.0 if narrow else 3.8) + 0.22 * math.ceil(len(records) / columns)
    figure = new_figure(9.0, height_in, narrow)
    by_updates, by_time = figure.subplots(*((2, 1) if narrow else (1, 2)), sharey=True)
    losses = {name: _finite_or_gap(_column(rows, "valid"), decibel) for name, rows in records.items()}
    minutes = {name: _elapsed_seconds(_column(rows, "seconds")) / 60.0 for name, rows in records.items()}
    dashes = np.repeat(DASHES, len(COLOURS))
    for k, (name, rows) in enumerate(records.items()):
        style = {"color": COLOURS[k % len(COLOURS)], "linestyle": dashes[k % len(dashes)]} | markers(len(rows))
        by_updates.plot(_column(rows, "updates"), losses[name], label=foreign(name), **style)
        by_time.plot(minutes[name], losses[name], **style)
    is_log = not decibel and spans_decades(np.concatenate(list(losses.values())))
    unit = " (dB)" if decibel else ""
    by_updates.set(xlabel="Updates", ylabel=f"Validation: {quantity}{unit}", yscale="log" if is_log else "linear")
    by_time.set(xlabel="Training time (min)", ylabel=by_updates.get_ylabel() if narrow else "")
    for axes in (by_updates, by_time):
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def _mark_changes(axes: Axes, changes: Mapping[str, float]) -> None:
    for name, epoch in changes.items():
        axes.axvline(epoch, color=GREY, linestyle="--", linewidth=1)
        right: Style = {"xytext": (4, 0), "textcoords": "offset points", "fontsize": 9, "color": GREY}
        axes.annotate(name, (epoch, 0.02), xycoords=("data", "axes fraction"), **right)


def _drop_superseded(history: Sequence[Row]) -> list[Row]:
    kept: list[Row] = []
    for record in history:
        while kept and kept[-1]["updates"] >= record["updates"]:
            kept.pop()
        kept.append(record)
    return kept


def _column(records: Sequence[Row], key: str) -> Floats:
    return np.array([record[key] for record in records], dtype=float)


def _finite_or_gap(values: ArrayLike, decibel: bool) -> Floats:
    """Return the values, or 10 log10 of them if ``decibel``, with NaN in place of values that are not finite."""
    shown = metrics.decibel(values) if decibel else np.asarray(values, float)
    return np.where(np.isfinite(shown), shown, np.nan)


def _elapsed_seconds(seconds: Floats) -> Floats:
    steps = np.diff(seconds, prepend=0.0)
    return np.cumsum(np.where(steps < 0, seconds, steps))


def _mark(axes: Axes, name: str, epoch: float, value: float, unit: str) -> None:
    """Draw a ring around a point of the curve; the legend shows it with ``name``, epoch and value."""
    if np.isfinite(value):
        label = f"{name}: epoch {epoch:.4g}, {number(value, unit)}"
        axes.plot(epoch, value, "o", markersize=11, markerfacecolor="none", color=VERMILION, mew=1.8, label=label)


def _mark_gaps(axes: Axes, positions: Floats) -> None:
    if len(positions):
        height = np.full(len(positions), 0.02)
        transform = axes.get_xaxis_transform()
        axes.plot(positions, height, "x", color=VERMILION, transform=transform, label="not a finite number")


def _plot_baselines(axes: Axes, levels: Mapping[str, float], unit: str, narrow: bool) -> None:
    """Plot a line for each baseline, with its name at the right or, if ``narrow``, in the legend."""
    labels = [(f"{name}, {number(level, unit)}", level, GREY) for name, level in levels.items()]
    for dashes, (label, level, colour) in zip(cycle(DASHES[1:], len(labels)), labels, strict=True):
        if np.isfinite(level):
            axes.axhline(level, color=colour, linewidth=1.1, linestyle=dashes, label=label if narrow else None)
    if not narrow:
        label_at_right(axes, labels)


def _add_time_axis(axes: Axes, epochs: Floats, seconds: Floats) -> None:
    """Add an axis of elapsed time along the top, with ticks at round values, unless the times do not increase."""
    if len(epochs) < 2 or not np.all(np.diff(seconds) > 0) or not np.isfinite(seconds).all():
        return
    unit, length = ("h", 3600) if seconds[-1] >= 7200 else ("min", 60) if seconds[-1] >= 120 else ("s", 1)
    times = np.asarray(MaxNLocator(6).tick_values(0.0, seconds[-1] / length))
    times = times[(times * length >= seconds[0]) & (times * length <= seconds[-1])]
    upper = axes.twiny()
    upper.set_xlim(axes.get_xlim())
    upper.set_xticks(np.interp(times * length, seconds, epochs), [f"{time:g}" for time in times])
    upper.set_xlabel(f"Training time ({unit})")
