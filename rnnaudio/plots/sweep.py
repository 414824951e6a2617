"""Plots of a sweep: its objective by trial, the importance of settings, and each trial as a line through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, LogLocator, MaxNLocator

from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import BLUE, GREY, VERMILION, Floats, Row, new_figure, save, spans_decades

MOST_LETTERS = 14  # of a choice beside its axis
MOST_TICKS = 5  # of an axis of numbers, between its ends
NEAR_AN_END = 0.06  # of the axis: a tick so near to one of its ends is left out
COLOURS_OF_VALUES = "viridis_r"


class Coordinate(NamedTuple):
    """An axis of a plot of parallel coordinates: ``choices`` if there are any, else numbers from ``low`` to ``high``.

    is_log: True for a logarithmic axis of numbers. marks: numbers that have ticks; (): both ends and round numbers
    between them.
    """

    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    marks: tuple[float, ...] = ()
    choices: tuple[object, ...] = ()

    def place(self, value: Any) -> float:
        """Return the height of a value on the axis, 0 to 1."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        low, high, at = (float(np.log(v)) if self.is_log else float(v) for v in (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Return the ticks as (height, label): every choice, or the marks, or both ends and round numbers between."""
        if self.choices:
            return [(self.place(choice), _shortened(str(choice))) for choice in self.choices]
        locator: Locator = LogLocator() if self.is_log else MaxNLocator(MOST_TICKS)
        between = [v for v in locator.tick_values(self.low, self.high) if self._is_inside(float(v))]
        values = list(self.marks) or sorted({self.low, *map(float, between), self.high})
        return [(self.place(value), label) for value, label in zip(values, _labels(values), strict=True)]

    def _is_inside(self, value: float) -> bool:
        return self.low < value < self.high and NEAR_AN_END < self.place(value) < 1.0 - NEAR_AN_END


def _labels(values: Sequence[float]) -> list[str]:
    """Format values with the fewest significant digits, three or more, for which all texts differ."""
    digits = 3
    while len({f"{value:.{digits}g}" for value in values}) < len(values) and digits < 17:
        digits += 1
    return [f"{value:.{digits}g}" for value in values]


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


# ---------------------------------------------------------------- the objective, trial by trial


def objective_history(trials: Sequence[Row], path: str | Path, *, quantity: str, lowest_is_best: bool) -> Path:
    """Write a PNG of the objective trial by trial; returns its path. See :func:`objective_history_figure`."""
    return save(objective_history_figure(trials, quantity=quantity, lowest_is_best=lowest_is_best), path)


def objective_history_figure(
    trials: Sequence[Row], *, quantity: str, lowest_is_best: bool, narrow: bool = False
) -> Figure:
    """Plot the objective against the number of the trial, with the best value so far as a line.

    trials: rows in order, each with ``number``, ``state`` (``complete``, ``pruned`` or ``failed``; trials with other
        states are left out), and ``value``, which may be None unless the trial is complete. The value of a pruned
        trial is its last validation loss.
    quantity: label of the y axis: the objective with its unit, if any.
    narrow: True for a phone.

    The y axis is logarithmic if all values are positive and span more than a factor of 30. RnnaudioError if no trial
    is complete.
    """
    complete = [row for row in trials if row["state"] == "complete"]
    if not complete:
        raise RnnaudioError("sweep: got no complete trial, expected one or more; wait until one has ended")
    numbers, values = _columns(complete)
    best = (np.minimum if lowest_is_best else np.maximum).accumulate(values)
    pruned = _columns([row for row in trials if row["state"] == "pruned" and row["value"] is not None])
    figure = new_figure(8.0, 4.2, narrow)
    axes = figure.add_subplot()
    axes.step(numbers, best, where="post", color=VERMILION, linewidth=1.5, label="best so far")
    axes.plot(numbers, values, "o", color=BLUE, markersize=5, label="complete")
    if len(pruned[0]):
        axes.plot(*pruned, "x", color=GREY, markersize=5, label="pruned, last validation")
    _mark_failed(axes, [row["number"] for row in trials if row["state"] == "failed"])
    is_log = spans_decades(np.concatenate([values, pruned[1]]))
    axes.set(xlabel="trial", ylabel=quantity, yscale="log" if is_log else "linear")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2 if narrow else 4, frameon=False, fontsize=9)
    return figure


def _columns(rows: Sequence[Row]) -> tuple[Floats, Floats]:
    return np.array([row["number"] for row in rows], float), np.array([row["value"] for row in rows], float)


def _mark_failed(axes: Axes, numbers: Sequence[int]) -> None:
    if numbers:
        at_the_foot = axes.get_xaxis_transform()
        axes.plot(numbers, [0.02] * len(numbers), "v", color=GREY, markersize=6, transform=at_the_foot, label="failed")


# ---------------------------------------------------------------- importances


def importances(shares: Mapping[str, float], path: str | Path, *, quantity: str) -> Path:
    """Write a PNG of the importance of settings; returns its path. See :func:`importances_figure`."""
    return save(importances_figure(shares, quantity=quantity), path)


def importances_figure(shares: Mapping[str, float], *, quantity: str, narrow: bool = False) -> Figure:
    """Plot a bar for each setting: its share in what distinguishes the best trials from the others; first on top.

    shares: name of the setting -> share, from 0 to 1. quantity: name of the objective by which trials are compared.
    narrow: True for a phone. RnnaudioError if there is no setting.
    """
    if not shares:
        raise RnnaudioError("sweep: got no settings, expected one or more; wait until more trials have ended")
    figure = new_figure(8.0, 1.0 + 0.32 * len(shares), narrow)
    axes = figure.add_subplot()
    places = np.arange(len(shares))[::-1]
    axes.barh(places, list(shares.values()), color=BLUE, height=0.65)
    for place, share in zip(places, shares.values(), strict=True):
        axes.annotate(
            f"{share:.2f}", (share, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(places, list(shares), fontsize=9)
    axes.set_xlim(0.0, 1.1 * max(*shares.values(), 0.1))
    joint = "\n" if narrow else " "
    axes.set_xlabel(f"share in what tells good trials from bad{joint}({quantity})")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


# ---------------------------------------------------------------- parallel coordinates


def parallel_coordinates(
    trials: Sequence[Row],
    path: str | Path,
    *,
    coordinates: Mapping[str, Coordinate],
    quantity: str,
    lowest_is_best: bool,
) -> Path:
    """Write a PNG of each trial as a line through its settings; returns its path.

    See :func:`parallel_coordinates_figure`.
    """
    figure = parallel_coordinates_figure(
        trials, coordinates=coordinates, quantity=quantity, lowest_is_best=lowest_is_best
    )
    return save(figure, path)


def parallel_coordinates_figure(
    trials: Sequence[Row], *, coordinates: Mapping[str, Coordinate], quantity: str, lowest_is_best: bool
) -> Figure:
    """Plot each trial as a line through its settings, an axis each, to its objective at the right; the best is thick.

    trials: rows, each with ``value`` and ``settings``, a mapping of all names of ``coordinates`` to values. Better
        values have darker lines.
    coordinates: the axes, by the name of the setting.
    quantity: label of the axis at the right: the objective with its unit, if any.

    RnnaudioError if there is no trial.
    """
    if not trials:
        raise RnnaudioError("sweep: got no complete trial, expected one or more; wait until one has ended")
    values = np.array([row["value"] for row in trials], float)
    is_log = spans_decades(values)
    every = {**coordinates, quantity: Coordinate(values.min(), values.max(), is_log)}
    colour = _colours(values, is_log, lowest_is_best)
    figure = new_figure(max(6.0, 1.7 * len(every) + 1.0), 4.4)
    axes = figure.add_subplot()
    order = np.argsort(-values if lowest_is_best else values, kind="stable")  # the best on top
    for k in order:
        row = trials[int(k)]
        heights = [one.place(row["settings"][name]) for name, one in coordinates.items()]
        heights.append(every[quantity].place(row["value"]))
        width = 3.0 if k == order[-1] else 1.2
        axes.plot(
            range(len(heights)), heights, color=colour.to_rgba(values[k]), linewidth=width, solid_capstyle="round"
        )
    _plot_axes(axes, every)
    return figure


def _colours(values: Floats, is_log: bool, lowest_is_best: bool) -> ScalarMappable:
    low, high = float(values.min()), float(values.max())
    norm = LogNorm(low, high) if is_log else Normalize(low, high if high > low else low + 1.0)
    return ScalarMappable(norm, COLOURS_OF_VALUES.removesuffix("_r") if lowest_is_best else COLOURS_OF_VALUES)


def _plot_axes(axes: Axes, coordinates: Mapping[str, Coordinate]) -> None:
    """Plot the axes as vertical lines with ticks, and their names below."""
    white = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    for k, one in enumerate(coordinates.values()):
        axes.axvline(k, color=GREY, linewidth=1, zorder=0)
        for height, label in one.ticks():
            axes.plot([k - 0.02, k + 0.02], [height, height], color=GREY, linewidth=1)
            axes.annotate(
                label, (k, height), xytext=(-5, 0), textcoords="offset points", ha="right", va="center", fontsize=8,
                bbox=white,
            )  # fmt: skip
    axes.set_xticks(range(len(coordinates)), [_in_lines(name) for name in coordinates], fontsize=9)
    axes.set_yticks([])
    axes.set_xlim(-0.5, len(coordinates) - 0.6)
    axes.set_ylim(-0.04, 1.04)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _in_lines(name: str, most: int = 18) -> str:
    """Break a name at spaces and after dots into lines of at most ``most`` letters, where possible."""
    lines = [""]
    for word in name.replace(".", ". ").split():
        joint = "" if not lines[-1] or lines[-1].endswith(".") else " "
        if len(lines[-1] + joint + word) > most:
            lines.append(word)
        else:
            lines[-1] += joint + word
    return "\n".join(filter(None, lines))
