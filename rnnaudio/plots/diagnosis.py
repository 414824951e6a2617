"""A diagnosis on one page: its causes in words, and what was measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

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
    ORANGE,
    VERMILION,
    Floats,
    log_limits,
    markers,
    new_figure,
    number,
    padded,
    positive_or_gap,
    save,
)

LINE_IN = 0.19  # height of a line of text
CHARACTERS = 130  # in such a line
MOST_BARS = 16
GRID = "#E5E5E5"
Draw = Callable[[Axes, Measurements], None]


def diagnosis(found: Diagnosis, path: str | Path) -> Path:
    """Draw a diagnosis; see ``diagnosis_figure``."""
    return save(diagnosis_figure(found), path)


def diagnosis_figure(found: Diagnosis) -> Figure:
    """On top the causes in words, the first one most severe; below a panel for each thing measured.

    What was not measured has no panel. Values that are not finite, or that a log scale cannot show, are gaps.
    """
    lines = _in_lines(found)
    panels = [draw for is_there, draw in _panels(found.measured) if is_there]
    n_rows = math.ceil(len(panels) / 2)
    words_in, panel_in = 0.3 + LINE_IN * len(lines), 2.5
    figure = new_figure(11.0, words_in + panel_in * n_rows)
    heights = [words_in] + [panel_in] * n_rows
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    _write(figure.add_subplot(grid[0, :]), lines, words_in)
    for k, draw in enumerate(panels):
        draw(figure.add_subplot(grid[1 + k // 2, k % 2]), found.measured)
    return figure


def _in_lines(found: Diagnosis) -> list[tuple[str, bool, float]]:
    """(text, heading or not, severity) of each line."""
    if not found.causes:
        return [("Nothing was found wrong", True, 0.0)]
    lines = []
    for k, cause in enumerate(found.causes, 1):
        lines.append((f"{k}. {cause.name.replace('-', ' ')}   (severity {cause.severity:.2f})", True, cause.severity))
        for text in (cause.evidence, f"What to do: {cause.advice}"):
            lines += [(line, False, cause.severity) for line in wrap(text, CHARACTERS)]
    return lines


def _write(axes: Axes, lines: list[tuple[str, bool, float]], height_in: float) -> None:
    """Lines of text from the top of the axes; a bar at the left as strong as the cause is severe."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(height_in, 0))
    for k, (text, is_heading, severity) in enumerate(lines):
        y = 0.1 + LINE_IN * k
        axes.fill_between([0, 0.006], y, y + LINE_IN, color=VERMILION, alpha=min(max(severity, 0.0), 1.0), linewidth=0)
        weight = "bold" if is_heading else "normal"
        axes.text(0.014, y + LINE_IN / 2, _literal(text), fontsize=9, fontweight=weight, va="center")


def _literal(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def _panels(m: Measurements) -> list[tuple[bool, Draw]]:
    """(whether it was measured, how it is drawn) of every panel, in reading order."""
    return [
        (bool(np.isfinite(m.level_db).any()), _draw_levels),
        (any(value > 0 for value in m.errors.values()), _draw_errors),
        (_shows(m.gradient_by_lag), _draw_gradient),
        (_shows(m.coverage), _draw_coverage),
        (_shows(m.growth_with_input) or _shows(m.growth_without), _draw_growth),
        (_shows(m.echo), _draw_echo),
        (_shows([factor for _, factor in m.step_sizes.values()]), _draw_step_sizes),
        (bool(m.saturation), _draw_saturation),
    ]


def _shows(values: ArrayLike) -> bool:
    """Whether anything is left on a log scale."""
    return bool(np.isfinite(positive_or_gap(values)).any())


# ---------------------------------------------------------------- panels


def _draw_levels(axes: Axes, m: Measurements) -> None:
    frames = np.arange(len(m.level_db))
    levels = np.where(np.isfinite(m.level_db), m.level_db, np.nan)
    axes.plot(frames[: m.n_seed_frames], levels[: m.n_seed_frames], color=GREY, linewidth=1.2, label="seed")
    axes.plot(frames[m.n_seed_frames :], levels[m.n_seed_frames :], color=BLUE, linewidth=1.2, label="free run")
    if 0 < m.n_seed_frames < len(levels):
        axes.axvline(m.n_seed_frames - 0.5, color=VERMILION, linestyle="--", linewidth=1.2, label="end of the seed")
    size = f" of {m.frame_size} samples" if m.frame_size else ""
    _label(axes, "Level of seed and free run", f"Frame{size}", "Level (dB)")
    axes.set_ymargin(0.25)  # room for the legend
    axes.legend(fontsize=8, loc="upper right", ncols=3)


def _draw_errors(axes: Axes, m: Measurements) -> None:
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


def _draw_gradient(axes: Axes, m: Measurements) -> None:
    _draw_curves(axes, {"": m.gradient_by_lag}, first=0)
    _label(axes, "How far back the gradient reaches", "Lag (steps)", "|∂loss$_T$/∂x$_{T-lag}$|")


def _draw_coverage(axes: Axes, m: Measurements) -> None:
    values = positive_or_gap(m.coverage)
    axes.bar(np.arange(1, len(values) + 1), np.nan_to_num(values), color=BLUE)
    axes.set_xlim(0.0, len(values) + 1.0)
    n_without = int(np.isnan(values).sum())
    heading = f": none at {n_without} of {len(m.coverage)} steps" if n_without else ""
    _label(axes, f"Which steps the cost counts{heading}", "Step", "|∂loss/∂output$_t$|")


def _draw_growth(axes: Axes, m: Measurements) -> None:
    _draw_curves(axes, {"with the true input": m.growth_with_input, "with zeros as input": m.growth_without}, first=1)
    _label(axes, "Size of the state", "Step", "Root mean square (no unit)")
    axes.legend(fontsize=8)


def _draw_echo(axes: Axes, m: Measurements) -> None:
    _draw_curves(axes, {"": m.echo}, first=1)
    flip = f"\nNegating a frame moves the next state by {100 * m.flip:.3g} %" if math.isfinite(m.flip) else ""
    _label(axes, f"How long the initial state echoes{flip}", "Step", "Relative distance (no unit)")


def _draw_step_sizes(axes: Axes, m: Measurements) -> None:
    factors = {name: factor for name, (_, factor) in m.step_sizes.items()}
    _draw_log_bars(axes, factors, reference=1.0)
    _label(axes, "Size of an update over what the rule promises", "Ratio (no unit; dashed: as promised)", "")


def _draw_saturation(axes: Axes, m: Measurements) -> None:
    shares = dict(sorted(m.saturation.items(), key=lambda item: -item[1])[:MOST_BARS])
    axes.barh(range(len(shares)), [100 * share for share in shares.values()], height=0.65, color=ORANGE)
    axes.set_yticks(range(len(shares)), list(shares), fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    more = f" (the {MOST_BARS} highest of {len(m.saturation)})" if len(m.saturation) > MOST_BARS else ""
    _label(axes, f"Saturated or dead{more}", "Share of values or units (%)", "")


# ---------------------------------------------------------------- their parts


def _draw_curves(axes: Axes, curves: Mapping[str, ArrayLike], *, first: int) -> None:
    """Curves over steps on a log scale, the first value at step ``first``."""
    axes.set_yscale("log")
    drawn = {label: positive_or_gap(values) for label, values in curves.items() if np.size(values)}
    for (label, values), colour in zip(drawn.items(), (BLUE, ORANGE), strict=False):
        axes.plot(first + np.arange(len(values)), values, color=colour, label=label, **markers(len(values)))
    everything = np.concatenate(list(drawn.values()))
    axes.set_ylim(_whole_decades(everything))
    axes.yaxis.set_minor_formatter(NullFormatter())
    n_gaps = int(np.isnan(everything).sum())
    if n_gaps:
        words = f"{n_gaps} of {len(everything)} values are zero or not finite"
        axes.text(0.98, 0.03, words, transform=axes.transAxes, ha="right", fontsize=8, color=VERMILION)
    axes.set_xlim(padded(first + np.arange(float(max(map(len, drawn.values()))))))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_log_bars(axes: Axes, values: Mapping[str, float], *, reference: float) -> None:
    """Bars from a reference to each value; where there are many, those furthest from it."""
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
    """Powers of ten around the positive values, at least two."""
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


def confusion(rows: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """Draw which cause was ranked first for which planted fault; see ``confusion_figure``."""
    return save(confusion_figure(rows), path)


def confusion_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Planted faults downwards, causes ranked first to the right: how many runs, coloured by the share of the row.

    rows: a run each, as experiments.proofs.blind_test records them (``rows`` and ``healthy``): ``planted``, the name
    of the
        fault; ``cause``, its true cause, empty for a healthy run; ``ranked``, the causes named, first one first.

    The true cause of each row is in a frame. Raises RnnaudioError where there is no row.
    """
    if not rows:
        raise RnnaudioError("confusion: got no run, expected one at least; run the blind test first")
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
    axes.set_xlabel("Cause ranked first (in a frame: the true one)", fontsize=9)
    axes.set_ylabel("Planted fault", fontsize=9)
    axes.set_title("Number of runs; colour: share of the row", fontsize=9, loc="left")
    return figure
