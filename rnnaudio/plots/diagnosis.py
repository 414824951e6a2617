"""Plots of a diagnosis on one page: its causes in words, and its measurements."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from rnnaudio import metrics
from rnnaudio.diagnostics.subject import Diagnosis, Measurements
from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import (
    BLUE,
    GREEN,
    GREY,
    NARROW_IN,
    ORANGE,
    VERMILION,
    Floats,
    Row,
    log_limits,
    markers,
    new_figure,
    number,
    padded,
    positive_or_gap,
    save,
)

LINE_IN = 0.19  # height of a line of text in inches
CHARACTERS, NARROW_CHARACTERS = 130, 36  # in a line of text, and of a title
NARROW_PANEL_IN = 2.6
MOST_BARS = 16
GRID = "#E5E5E5"
Panel: TypeAlias = Callable[[Axes, Measurements], None]
Line: TypeAlias = tuple[str, bool, float]  # text, heading or not, severity


def diagnosis(found: Diagnosis, path: str | Path) -> Path:
    """Write a PNG of a diagnosis to ``path`` and return the path; see :func:`diagnosis_figure`."""
    return save(diagnosis_figure(found), path)


def diagnosis_figure(found: Diagnosis, *, narrow: bool = False) -> Figure:
    """Plot a diagnosis: its causes in words, most severe first; below them, one panel for each measurement.

    narrow: True for a phone: the panels are below each other, and the words, which the page has anyway, are left out.
    Missing measurements have no panel. Values that are not finite, or that a log scale cannot show, are gaps.
    """
    panels = [panel for is_measured, panel in _panels(found.measured) if is_measured]
    if narrow:
        return _narrow(panels, found.measured)
    lines = _in_lines(found)
    n_rows = math.ceil(len(panels) / 2)
    words_in, panel_in = 0.3 + LINE_IN * len(lines), 2.5
    figure = new_figure(11.0, words_in + panel_in * n_rows)
    heights = [words_in] + [panel_in] * n_rows
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    _write(figure.add_subplot(grid[0, :]), lines, words_in)
    for k, panel in enumerate(panels):
        panel(figure.add_subplot(grid[1 + k // 2, k % 2]), found.measured)
    return figure


def _narrow(panels: Sequence[Panel], measured: Measurements) -> Figure:
    """Plot the panels below each other, for a phone, with their titles broken into lines."""
    figure = new_figure(NARROW_IN, NARROW_PANEL_IN * max(1, len(panels)), narrow=True)
    for part, panel in zip(figure.subfigures(max(1, len(panels)), 1, squeeze=False).flat, panels, strict=False):
        axes = part.add_subplot()
        panel(axes, measured)
        axes.set_title("\n".join(wrap(axes.get_title("left"), NARROW_CHARACTERS)), fontsize=9, loc="left")
        handles, labels = axes.get_legend_handles_labels()
        if labels:
            axes.legend(handles, labels, fontsize=8, loc="best")
    return figure


def _in_lines(found: Diagnosis) -> list[Line]:
    """Return the causes as lines of text: for each a heading, its evidence and its advice."""
    if not found.causes:
        return [("Nothing was found wrong", True, 0.0)]
    lines = []
    for k, cause in enumerate(found.causes, 1):
        lines.append((f"{k}. {cause.name.replace('-', ' ')}   (severity {cause.severity:.2f})", True, cause.severity))
        for text in (cause.evidence, f"What to do: {cause.advice}"):
            lines += [(line, False, cause.severity) for line in wrap(text, CHARACTERS)]
    return lines


def _write(axes: Axes, lines: list[Line], height_in: float) -> None:
    """Write lines of text from the top of the axes, with a bar at the left whose opacity is the severity."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(height_in, 0))
    for k, (text, is_heading, severity) in enumerate(lines):
        y = 0.1 + LINE_IN * k
        axes.fill_between([0, 0.006], y, y + LINE_IN, color=VERMILION, alpha=min(max(severity, 0.0), 1.0), linewidth=0)
        weight = "bold" if is_heading else "normal"
        axes.text(0.014, y + LINE_IN / 2, _literal(text), fontsize=9, fontweight=weight, va="center")


def _literal(text: str) -> str:
    """Escape a text, so that matplotlib does not interpret it as a formula."""
    return text.replace("$", r"\$")


def _panels(m: Measurements) -> list[tuple[bool, Panel]]:
    """Return all panels in reading order, each as (True if its measurement exists, function that plots it)."""
    return [
        (bool(np.isfinite(m.level_db).any()), _plot_levels),
        (any(value > 0 for value in m.errors.values()), _plot_errors),
        (_shows(m.gradient_by_lag), _plot_gradient),
        (_shows(m.coverage), _plot_coverage),
        (_shows(m.growth_with_input) or _shows(m.growth_without), _plot_growth),
        (_shows(m.echo), _plot_echo),
        (_shows([factor for _, factor in m.step_sizes.values()]), _plot_step_sizes),
        (bool(m.saturation), _plot_saturation),
    ]


def _shows(values: ArrayLike) -> bool:
    """True if any of the values is finite and positive, so that a log scale can show it."""
    return bool(np.isfinite(positive_or_gap(values)).any())


# ---------------------------------------------------------------- panels


def _plot_levels(axes: Axes, m: Measurements) -> None:
    frames = np.arange(len(m.level_db))
    levels = np.where(np.isfinite(m.level_db), m.level_db, np.nan)
    n_prime = m.n_prime_frames
    axes.plot(frames[:n_prime], levels[:n_prime], color=GREY, linewidth=1.2, label="prime")
    axes.plot(frames[n_prime:], levels[n_prime:], color=BLUE, linewidth=1.2, label="free run")
    if 0 < n_prime < len(levels):
        axes.axvline(n_prime - 0.5, color=VERMILION, linestyle="--", linewidth=1.2, label="end of the prime")
    size = f" of {m.frame_size} samples" if m.frame_size else ""
    _label(axes, "Level of prime and free run", f"Frame{size}", "Level (dB)")
    axes.set_ymargin(0.25)  # room for the legend
    axes.legend(fontsize=8, loc="upper right", ncols=3)


def _plot_errors(axes: Axes, m: Measurements) -> None:
    decibels = {name: float(metrics.decibel(value)) for name, value in m.errors.items() if value > 0}
    finite = {name: value for name, value in decibels.items() if math.isfinite(value)}
    colours = [VERMILION if "model" in name else BLUE for name in finite]
    axes.barh(range(len(finite)), list(finite.values()), height=0.6, color=colours)
    for row, value in enumerate(finite.values()):
        axes.annotate(
            number(value, "dB"), (max(value, 0.0), row), (3, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(finite)), list(finite), fontsize=8)
    axes.set_ylim(max(len(finite), 3) - 0.4, -0.6)
    axes.axvline(0.0, color=GREY, linewidth=1.0)
    axes.margins(x=0.2)
    _label(axes, "Error on validation windows (lower is better)", "Normalised MSE (dB; 0: predict silence)", "")


def _plot_gradient(axes: Axes, m: Measurements) -> None:
    gaps = _plot_curves(axes, {"": m.gradient_by_lag}, first=0)
    _label(axes, f"How far back the gradient reaches{gaps}", "Lag (steps)", "|∂loss$_T$/∂x$_{T-lag}$|")


def _plot_coverage(axes: Axes, m: Measurements) -> None:
    values = positive_or_gap(m.coverage)
    axes.bar(np.arange(1, len(values) + 1), np.nan_to_num(values), color=BLUE)
    axes.set_xlim(0.0, len(values) + 1.0)
    n_without = int(np.isnan(values).sum())
    heading = f"\nNone at {n_without} of {len(m.coverage)} steps" if n_without else ""
    _label(axes, f"Steps that contribute to the cost{heading}", "Step", "|∂loss/∂output$_t$|")


def _plot_growth(axes: Axes, m: Measurements) -> None:
    curves = {"with the true input": m.growth_with_input, "with zeros as input": m.growth_without}
    gaps = _plot_curves(axes, curves, first=1)
    _label(axes, f"Size of the state{gaps}", "Step", "Root mean square (no unit)")
    axes.legend(fontsize=8)


def _plot_echo(axes: Axes, m: Measurements) -> None:
    gaps = _plot_curves(axes, {"": m.echo}, first=1)
    flip = f"\nNegating a frame moves the next state by {100 * m.flip:.3g} %" if math.isfinite(m.flip) else ""
    _label(axes, f"Influence of the initial state{gaps}{flip}", "Step", "Relative distance (no unit)")


def _plot_step_sizes(axes: Axes, m: Measurements) -> None:
    factors = {name: factor for name, (_, factor) in m.step_sizes.items()}
    _plot_log_bars(axes, factors, reference=1.0)
    _label(axes, "Size of an update relative to that expected of the rule", "Ratio (no unit; dashed: as expected)", "")


def _plot_saturation(axes: Axes, m: Measurements) -> None:
    shares = dict(sorted(m.saturation.items(), key=lambda item: -item[1])[:MOST_BARS])
    axes.barh(range(len(shares)), [100 * share for share in shares.values()], height=0.65, color=ORANGE)
    axes.set_yticks(range(len(shares)), list(shares), fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    more = f" (the {MOST_BARS} highest of {len(m.saturation)})" if len(m.saturation) > MOST_BARS else ""
    _label(axes, f"Saturated or dead, on loud training music{more}", "Share of values or units (%)", "")


# ---------------------------------------------------------------- parts of panels


def _plot_curves(axes: Axes, curves: Mapping[str, ArrayLike], *, first: int) -> str:
    """Plot curves over steps on a log scale, the first value at step ``first``; returns a remark for the title.

    The remark, which begins with a line break, states the number of gaps; it is empty if there are none.
    """
    axes.set_yscale("log")
    shown = {label: positive_or_gap(values) for label, values in curves.items() if np.size(values)}
    for (label, values), colour in zip(shown.items(), (BLUE, ORANGE), strict=False):
        axes.plot(first + np.arange(len(values)), values, color=colour, label=label, **markers(len(values)))
    everything = np.concatenate(list(shown.values()))
    axes.set_ylim(_whole_decades(everything))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(padded(first + np.arange(float(max(map(len, shown.values()))))))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    n_gaps = int(np.isnan(everything).sum())
    return f"\n{n_gaps} of {len(everything)} values are zero or not finite" if n_gaps else ""


def _plot_log_bars(axes: Axes, values: Mapping[str, float], *, reference: float) -> None:
    """Plot bars from ``reference`` to the values on a log scale, at most MOST_BARS: the values furthest from it."""
    shown = positive_or_gap(list(values.values()))
    far_first = np.argsort(-np.nan_to_num(np.abs(np.log(shown / reference)), nan=np.inf), kind="stable")
    rows = [(list(values)[k], shown[k]) for k in sorted(far_first[:MOST_BARS])]
    axes.set_xscale("log")
    low, high = _whole_decades(np.append([value for _, value in rows], reference))
    for row, (name, value) in enumerate(rows):
        if math.isnan(value):
            axes.text(low, row, f" {values[name]:g}", va="center", color=VERMILION, fontsize=8)
        else:
            axes.plot([reference, value], [row, row], color=GREEN, linewidth=4, solid_capstyle="butt")
            axes.plot([value], [row], color=GREEN, marker="o", markersize=5)
    axes.axvline(reference, color=GREY, linestyle="--", linewidth=1.2)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.4, -0.6))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _whole_decades(values: Floats) -> tuple[float, float]:
    """Return axis limits at powers of ten, a factor of two or more below and above all positive values."""
    low, high = np.log10(log_limits(values))
    return 10.0 ** math.floor(low), 10.0 ** math.ceil(high)


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(color=GRID, linewidth=0.8, axis="both" if y else "x")
    axes.set_axisbelow(True)


# ---------------------------------------------------------------- many diagnoses


NO_CAUSE = "(nothing)"


def confusion(rows: Sequence[Row], path: str | Path) -> Path:
    """Write a PNG of the confusion matrix of planted faults and first-ranked causes; returns its path.

    See :func:`confusion_figure`.
    """
    return save(confusion_figure(rows), path)


def confusion_figure(rows: Sequence[Row]) -> Figure:
    """Plot a matrix of planted faults (rows) and causes ranked first (columns), with the number of runs in each cell.

    rows: one per run, as recorded by experiments.proofs.blind_test (``rows`` and ``healthy``): ``planted``, the name
        of the fault; ``cause``, its true cause, empty for a healthy run; ``ranked``, the causes that the diagnosis
        found, most severe first.

    The colour of a cell is its share of the runs with that fault; the true cause of each fault is framed. Raises
    RnnaudioError if ``rows`` is empty.
    """
    if not rows:
        raise RnnaudioError("confusion: got no run, expected at least one; run the blind test first")
    true = {row["planted"]: row["cause"] or NO_CAUSE for row in rows}
    first = Counter((row["planted"], (row["ranked"] or [NO_CAUSE])[0]) for row in rows)
    causes = list(dict.fromkeys([*true.values(), *sorted(cause for _, cause in first)]))
    counts = np.array([[first[planted, cause] for cause in causes] for planted in true], float)
    figure = new_figure(3.0 + 0.36 * len(causes), 2.6 + 0.27 * len(true))
    axes = figure.subplots()
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), count in np.ndenumerate(counts):
        if count:
            colour = "white" if 2 * count > counts[i].sum() else "black"
            axes.text(j, i, f"{count:.0f}", ha="center", va="center", fontsize=8, color=colour)
    for i, cause in enumerate(true.values()):
        corner = (causes.index(cause) - 0.5, i - 0.5)
        axes.add_patch(Rectangle(corner, 1.0, 1.0, fill=False, edgecolor=VERMILION, linewidth=1.5))
    axes.set_yticks(range(len(true)), list(true), fontsize=8)
    axes.set_xticks(range(len(causes)), causes, fontsize=8, rotation=90)
    axes.set_xlabel("Cause ranked first (framed: the true cause)", fontsize=9)
    axes.set_ylabel("Planted fault", fontsize=9)
    axes.set_title("Number of runs; colour: share of the row", fontsize=9, loc="left")
    return figure
