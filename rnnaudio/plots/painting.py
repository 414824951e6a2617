"""Plots of generated images, and of the canvas after each step of painting them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import BLUE, VERMILION, Floats, new_figure, save

TILE_IN = 0.62  # width of a tile in inches
GAP = 0.08  # between tiles, as a share of a tile
Size: TypeAlias = tuple[int, int]  # height and width of an image in pixels


class Rulers(NamedTuple):
    """Labels of the horizontal axis (``across``) and the vertical axis (``up``) of an image, and their ticks.

    ``across_at``, ``up_at``: tick labels by distance in pixels from the lower left corner. ``pixel_aspect``: height
    over width of a pixel in the plot.
    """

    across: str
    across_at: Mapping[float, str]
    up: str
    up_at: Mapping[float, str]
    pixel_aspect: float = 1.0


def canvas_steps(
    images: ArrayLike,
    canvases: ArrayLike,
    path: str | Path,
    *,
    reads: ArrayLike | None = None,
    writes: ArrayLike | None = None,
    rulers: Rulers | None = None,
    title: str = "",
) -> Path:
    """Write a PNG of images and their canvases after each step; returns its path. See :func:`canvas_steps_figure`."""
    return save(canvas_steps_figure(images, canvases, reads=reads, writes=writes, rulers=rulers, title=title), path)


def canvas_steps_figure(
    images: ArrayLike,
    canvases: ArrayLike,
    *,
    reads: ArrayLike | None = None,
    writes: ArrayLike | None = None,
    rulers: Rulers | None = None,
    title: str = "",
) -> Figure:
    """Plot one row per image: the image, then its canvas after each step.

    images: (n, height, width), or empty for samples from the prior. canvases: (n_steps, n, height, width); values of
        both from 0 to 1.
    reads, writes: (n_steps, n, 4), position of the attention grids: column and row of the centre, counted from 1,
        width and height, all in pixels; None: not shown. A read grid is shown one column to the left, on the canvas
        from which it was read.
    rulers: axes for the images in the first column and the last row; None: no axes.
    Raises RnnaudioError if the sizes do not match.
    """
    shown, strokes = np.asarray(images, float), np.asarray(canvases, float)
    if strokes.ndim != 4 or (shown.size and shown.shape != strokes.shape[1:]):
        raise RnnaudioError(
            f"canvases have shape {strokes.shape}, images {shown.shape}; expected canvases (steps, *images)"
        )
    n_steps, n, height, width = strokes.shape
    first = 1 if shown.size else 0
    figure, axes = _wall(n, n_steps + first, (height, width), title, rulers)
    corners = _corners(n, n_steps + first, (height, width))
    for row in range(n):
        for column in range(n_steps + first):
            _place(axes, shown[row] if column < first else strokes[column - first, row], corners[row, column])
        for step in range(n_steps):
            if writes is not None:
                _box(axes, np.asarray(writes)[step, row], corners[row, step + first], (height, width), VERMILION)
            if reads is not None and step + first > 0:
                _box(axes, np.asarray(reads)[step, row], corners[row, step + first - 1], (height, width), BLUE)
    heads = ["image"] * first + [f"{step + 1}" for step in range(n_steps)]
    axes.set_xticks([corners[0, column][0] + width / 2 for column in range(len(heads))], heads, fontsize=8)
    handles = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=colour) for colour in (VERMILION, BLUE)]
    labels = ["written here in this step", "read here for the next step"]
    n_labels = 0 if writes is None and reads is None else 1 if reads is None else 2
    if n_labels:
        figure.legend(handles[:n_labels], labels[:n_labels], loc="outside lower center", ncols=2, frameon=False)
    return figure


def beside_nearest(
    samples: ArrayLike, nearest: ArrayLike, path: str | Path, *, rulers: Rulers | None = None, title: str = ""
) -> Path:
    """Write a PNG of samples next to their nearest neighbours; returns its path. See :func:`beside_nearest_figure`."""
    return save(beside_nearest_figure(samples, nearest, rulers=rulers, title=title), path)


def beside_nearest_figure(
    samples: ArrayLike, nearest: ArrayLike, *, rulers: Rulers | None = None, title: str = ""
) -> Figure:
    """Plot pairs of images: a generated one, framed, and to its right its nearest neighbour in the training set.

    samples, nearest: (n, height, width), values from 0 to 1. rulers: axes for the first column and the last row; None:
    no axes. Raises RnnaudioError if the shapes of samples and nearest differ or n is 0.
    """
    one, other = np.asarray(samples, float), np.asarray(nearest, float)
    if one.shape != other.shape or one.ndim != 3 or not len(one):
        raise RnnaudioError(
            f"samples have shape {one.shape}, neighbours {other.shape}; expected equal shapes (n, height, width)"
        )
    size = one.shape[1], one.shape[2]
    n_across = min(8, len(one))
    n_rows = -(-len(one) // n_across)
    figure, axes = _wall(n_rows, 2 * n_across, size, title, rulers)
    corners = _corners(n_rows, 2 * n_across, size)
    for k in range(len(one)):
        row, column = divmod(k, n_across)
        for image, place in ((one[k], corners[row, 2 * column]), (other[k], corners[row, 2 * column + 1])):
            _place(axes, image, place)
        axes.add_patch(Rectangle(corners[row, 2 * column], size[1], size[0], fill=False, edgecolor=VERMILION))
    figure.supxlabel("framed: generated; right of each: its nearest neighbour in the training set", fontsize=9)
    return figure


def _wall(n_rows: int, n_columns: int, size: Size, title: str, rulers: Rulers | None) -> tuple[Figure, Axes]:
    """Make a figure with one Axes for all tiles, in units of image pixels; returns both.

    A separate Axes for each of hundreds of tiles would take half a minute.
    """
    aspect = rulers.pixel_aspect if rulers else 1.0
    tall = TILE_IN * aspect * size[0] / size[1]
    beside, below = (0.7, 0.3) if rulers else (0.0, 0.0)
    figure = new_figure(max(4.0, TILE_IN * n_columns * (1 + GAP)) + beside, tall * n_rows * (1 + GAP) + 1.0 + below)
    figure.suptitle(title, fontsize=10)
    axes = figure.add_subplot()
    right, bottom = n_columns * size[1] * (1 + GAP), n_rows * size[0] * (1 + GAP)
    axes.set(xlim=(-1, right), ylim=(bottom, -1), xticks=[], yticks=[], aspect=aspect)
    axes.set_autoscale_on(False)  # or imshow would change the limits
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if rulers:
        _measure(axes, rulers, _corners(n_rows, n_columns, size), size)
    return figure, axes


def _measure(axes: Axes, rulers: Rulers, corners: Floats, size: Size) -> None:
    """Add the ticks and labels of ``rulers`` left of the first column and below the last row."""
    up = [(corner[1] + size[0] - place, name) for corner in corners[:, 0] for place, name in rulers.up_at.items()]
    axes.set_yticks([place for place, _ in up], [name for _, name in up], fontsize=7)
    axes.set_ylabel(rulers.up, fontsize=9)
    across = [(corner[0] + place, name) for corner in corners[-1] for place, name in rulers.across_at.items()]
    below = axes.secondary_xaxis("bottom")
    below.set_xticks([place for place, _ in across], [name for _, name in across], fontsize=7)
    below.set_xlabel(rulers.across, fontsize=9)
    below.spines["bottom"].set_visible(False)
    for side in (axes.yaxis, below.xaxis):
        side.set_tick_params(length=2.5)


def _corners(n_rows: int, n_columns: int, size: Size) -> Floats:
    """Coordinates x and y of the upper left corner of each tile, (rows, columns, 2)."""
    x, y = np.meshgrid(np.arange(n_columns) * size[1] * (1 + GAP), np.arange(n_rows) * size[0] * (1 + GAP))
    return np.stack([x, y], axis=2)


def _place(axes: Axes, image: Floats, corner: Floats) -> None:
    """Show ``image`` with its upper left corner at ``corner``."""
    x, y = corner
    extent = (x, x + image.shape[1], y + image.shape[0], y)
    aspect = axes.get_aspect()  # which imshow would change
    axes.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest", extent=extent, aspect=aspect)


def _box(axes: Axes, box: Floats, corner: Floats, size: Size, colour: str) -> None:
    """Outline a box, clipped to its tile; box: centre x and y, counted from 1, width and height, all in pixels."""
    x, y, width, height = (float(value) for value in box)
    left, right = np.clip([x - 0.5 - width / 2, x - 0.5 + width / 2], 0, size[1])
    top, bottom = np.clip([y - 0.5 - height / 2, y - 0.5 + height / 2], 0, size[0])
    at = (corner[0] + left, corner[1] + top)
    axes.add_patch(Rectangle(at, right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.0))
