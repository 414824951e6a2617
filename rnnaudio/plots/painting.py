"""Images, and how they were painted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import BLUE, VERMILION, new_figure, save

TILE_IN = 0.62  # inches a side


def filling(
    images: ArrayLike,
    canvases: ArrayLike,
    path: str | Path,
    *,
    reads: ArrayLike | None = None,
    writes: ArrayLike | None = None,
    title: str = "",
) -> Path:
    """Draw images and the canvases on the way to them; see ``filling_figure``."""
    return save(filling_figure(images, canvases, reads=reads, writes=writes, title=title), path)


def filling_figure(
    images: ArrayLike,
    canvases: ArrayLike,
    *,
    reads: ArrayLike | None = None,
    writes: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """A row for each image: the image, then its canvas after each step.

    images: (n, height, width), or empty for what was painted from nothing. canvases: (n_steps, n, height, width);
        both within 0 and 1.
    reads, writes: (n_steps, n, 3), where the grids lay: column and row of the centre, counted from 1, and the side,
        all in pixels. What was read is drawn one column to the left: it is the canvas that was looked at.
    Raises RnnaudioError if the sizes do not fit each other.
    """
    shown, strokes = np.asarray(images, float), np.asarray(canvases, float)
    if strokes.ndim != 4 or (shown.size and shown.shape != strokes.shape[1:]):
        raise RnnaudioError(f"canvases are {strokes.shape} and images {shown.shape}; expected (steps, *images)")
    n_steps, n = strokes.shape[:2]
    first = 1 if shown.size else 0
    axes = _grid(n, n_steps + first, title, 0.3 if reads is not None or writes is not None else 0.0)
    for row in range(n):
        if first:
            _image(axes[row][0], shown[row])
        for step in range(n_steps):
            _image(axes[row][step + first], strokes[step, row])
            if writes is not None:
                _box(axes[row][step + first], np.asarray(writes)[step, row], VERMILION)
            if reads is not None and step + first > 0:
                _box(axes[row][step + first - 1], np.asarray(reads)[step, row], BLUE)
    heads = ["image"] * first + [f"{step + 1}" for step in range(n_steps)]
    for place, head in zip(axes[0], heads, strict=True):
        place.set_title(head, fontsize=8)
    figure = axes[0][0].get_figure()
    assert isinstance(figure, Figure)
    if writes is not None or reads is not None:
        handles = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=c) for c in (VERMILION, BLUE)]
        labels = ["written here in this step", "read here for the next step"]
        n_labels = 2 if reads is not None else 1
        figure.legend(handles[:n_labels], labels[:n_labels], loc="outside lower center", ncols=2, frameon=False)
    return figure


def beside_nearest(samples: ArrayLike, nearest: ArrayLike, path: str | Path, *, title: str = "") -> Path:
    """Draw samples beside their neighbours; see ``beside_nearest_figure``."""
    return save(beside_nearest_figure(samples, nearest, title=title), path)


def beside_nearest_figure(samples: ArrayLike, nearest: ArrayLike, *, title: str = "") -> Figure:
    """Pairs side by side: what was generated, framed, and the nearest image of the training set right of it.

    samples, nearest: (n, height, width), within 0 and 1.
    """
    one, other = np.asarray(samples, float), np.asarray(nearest, float)
    if one.shape != other.shape or one.ndim != 3:
        raise RnnaudioError(f"samples are {one.shape} and neighbours {other.shape}; expected equal (n, height, width)")
    n_across = min(8, len(one))
    n_rows = -(-len(one) // n_across)
    axes = _grid(n_rows, 2 * n_across, title)
    for place in (place for row in axes for place in row):
        place.set_axis_off()
    for k in range(len(one)):
        row, column = divmod(k, n_across)
        left, right = axes[row][2 * column], axes[row][2 * column + 1]
        for place, image in ((left, one[k]), (right, other[k])):
            place.set_axis_on()
            _image(place, image)
        for spine in left.spines.values():
            spine.set(edgecolor=VERMILION, linewidth=1.5)
    figure = axes[0][0].get_figure()
    assert isinstance(figure, Figure)
    figure.supxlabel("framed: generated; right of each: its nearest neighbour in the training set", fontsize=9)
    return figure


def _grid(n_rows: int, n_columns: int, title: str, extra_in: float = 0.0) -> Sequence[Sequence[Axes]]:
    figure = new_figure(max(4.0, TILE_IN * n_columns), TILE_IN * n_rows + 0.7 + extra_in)
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    return [[grid[row, column] for column in range(n_columns)] for row in range(n_rows)]


def _image(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _box(axes: Axes, box: np.ndarray, colour: str) -> None:
    """x, y (from 1) and side -> a frame; imshow's first pixel has its middle at 0."""
    x, y, side = (float(value) for value in box)
    corner = (x - 1 - side / 2, y - 1 - side / 2)
    axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=1.0, clip_on=True))
