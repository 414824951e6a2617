"""Functions shared by all plots: figures, colours, saving, labels that do not overlap."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import ArrayLike, NDArray

from rnnaudio.atomic import write_atomically
from rnnaudio.text import visible

Floats = NDArray[np.float64]
Row: TypeAlias = Mapping[str, Any]  # a row of a history or of a table of results; each plot documents its keys
Style: TypeAlias = dict[str, Any]  # keyword arguments of a matplotlib method

DOTS_PER_INCH = 120
NARROW_IN, NARROW_DOTS_PER_INCH = 4.0, 200  # for phones: 9-point text is 11 pixels high on a 360-pixel screen
MOST_CHARACTERS = 40  # of a name in a legend
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("-", "--", ":", "-.")
GREY = "#666666"
NO_SOUND_COLOUR = "#D9D9D9"


def new_figure(width_in: float, height_in: float, narrow: bool = False) -> Figure:
    """Make an empty figure of the given size in inches, with 120 pixels per inch.

    narrow: for a phone: 4 inches wide whatever ``width_in`` is, with 200 pixels per inch.
    """
    width_in, dots = (NARROW_IN, NARROW_DOTS_PER_INCH) if narrow else (width_in, DOTS_PER_INCH)
    size = (round(width_in, 6), round(height_in, 6))  # .8 + 2.3 < 3.1 in floats, and older Matplotlibs lose a pixel
    figure = Figure(figsize=size, dpi=dots, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path) -> Path:
    """Write the figure as a PNG, atomically; returns the path. RnnaudioError if the file cannot be written.

    Control characters in the texts of the figure are made visible first, because names may come from elsewhere.
    """
    return write_atomically(path, rendered(figure))


def rendered(figure: Figure) -> bytes:
    """Make control characters in the texts of a figure visible and draw it; returns the contents of a PNG file."""
    _make_visible(figure)
    return as_png(figure)


def as_png(figure: Figure) -> bytes:
    """Draw the figure; returns the contents of a PNG file."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # not savefig, which applies the user's savefig.* settings
    return buffer.getvalue()


def foreign(name: str) -> str:
    """Prepare any name for a legend: escape ``$``, make a leading ``_`` harmless, shorten to 40 characters."""
    short = name if len(name) <= MOST_CHARACTERS else f"{name[: MOST_CHARACTERS - 16]}...{name[-13:]}"
    return ("\u200a" if short.startswith("_") else "") + short.replace("$", r"\$")


def _make_visible(artist: Artist) -> None:
    """Make control characters visible in all texts of an artist and of its children.

    Tick labels are made anew at every draw; therefore the formatters that make them are wrapped.
    """
    if isinstance(artist, Text):
        artist.set_text(visible(artist.get_text(), keep="\n"))
    if isinstance(artist, Axis):
        for formatter in (artist.get_major_formatter(), artist.get_minor_formatter()):
            plain = formatter.format_ticks
            formatter.format_ticks = partial(_visible_ticks, plain)  # type: ignore[method-assign]
        children: Iterable[Artist] = (artist.label, artist.offsetText)
    else:
        children = artist.get_children()
    for child in children:
        _make_visible(child)


def _visible_ticks(labels_of: Callable[[Any], list[str]], values: Any) -> list[str]:
    return [visible(label, keep="\n") for label in labels_of(values)]


def label_at_right(axes: Axes, labels: Sequence[tuple[str, float, str]]) -> None:
    """Write labels (text, y in data units, colour) right of the axes without overlap, each joined to its y by a line.

    A label whose y is NaN is placed at the bottom, without a line.
    """
    if not labels:
        return
    x_left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    to_fraction = axes.transScale + axes.transLimits
    heights = [bottom if math.isnan(y) else y for _, y, _ in labels]
    anchors = np.array([to_fraction.transform((x_left, y))[1] for y in heights])
    height_pt = 0.85 * axes.bbox.height / axes.figure.dpi * 72  # as the layout will use some for legends
    line_height = 12 / height_pt  # of 9-point text, as a fraction of the axes
    style = {"arrowstyle": "-", "linewidth": 1, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}
    for (text, y, colour), anchor, place in zip(labels, anchors, _moved_apart(anchors, line_height), strict=True):
        axes.annotate(
            text, xy=(1.0, anchor), xytext=(1.03, place), xycoords="axes fraction", textcoords="axes fraction",
            va="center", fontsize=9, arrowprops=None if math.isnan(y) else {**style, "color": colour},
        )  # fmt: skip


def _moved_apart(positions: Floats, gap: float) -> Floats:
    """Move positions, (n,), as little as possible (least squares), so that neighbours are at least ``gap`` apart.

    The order stays the same, and the new positions are between 0 and 1; if not all fit, the lowest are below 0. With
    y_i the new positions and u_i = y_i - i gap, the constraint is that u does not decrease: this is isotonic
    regression, computed by pooling blocks.
    """
    order = np.argsort(positions, kind="stable")
    blocks: list[list[float]] = []
    for i, position in enumerate(positions[order]):
        blocks.append([position - i * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    pooled = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    highest = 1.0 - (len(positions) - 1) * gap
    places = np.clip(pooled, min(0.0, highest), highest) + gap * np.arange(len(positions))
    return places[np.argsort(order)]


def positive_or_gap(values: ArrayLike) -> Floats:
    """Return the values with NaN in place of values that a log scale cannot show: zero, negative or not finite."""
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array) & (array > 0), array, np.nan)


def log_limits(values: Floats) -> tuple[float, float]:
    """Return limits of a log axis: half the smallest and twice the largest positive value; else (0.1, 10).

    Matplotlib's own limits would coincide if all values are equal.
    """
    shown = positive_or_gap(values)
    shown = shown[np.isfinite(shown)]
    return (shown.min() / 2, shown.max() * 2) if len(shown) else (0.1, 10.0)


def spans_decades(values: Floats) -> bool:
    """True if all finite values are positive and span more than a factor of 30; False if none is finite."""
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 30 * finite.min())


def padded(positions: Floats) -> tuple[float, float]:
    """Return axis limits for increasing positions: a margin of 3 % of their range, or of .5 if they are equal."""
    margin = 0.03 * (positions[-1] - positions[0]) or 0.5
    return positions[0] - margin, positions[-1] + margin


def markers(n_points: int) -> Style:
    """Return the style of a curve of ``n_points`` points, whose markers also show points between gaps.

    The markers are larger for up to 30 points.
    """
    return {"marker": "o", "markersize": 3.5 if n_points <= 30 else 1.0, "linewidth": 1.5}


def cycle(items: Sequence[str], n: int) -> list[str]:
    """Return the first n items of an endless repetition of ``items``."""
    return [items[i % len(items)] for i in range(n)]


def number(value: float, unit: str) -> str:
    """Format a value with two decimals and its unit, or, if ``unit`` is empty, with four significant digits.

    ``not finite`` for NaN and infinities.
    """
    if not np.isfinite(value):
        return "not finite"
    return (f"{round(value, 2) + 0.0:.2f} {unit}" if unit else f"{value:.4g}").replace("-", "−")  # no −0.00
