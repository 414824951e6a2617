"""Pictures for pages, each drawn in two widths: wide, and narrow for phones, with the panels below each other."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from matplotlib.figure import Figure

from rnnaudio.atomic import write_atomically
from rnnaudio.plots.canvas import rendered

NARROW = "-narrow"  # in the name of a file


class Draw(Protocol):
    """Type of functions that make a figure; if ``narrow`` is true, a figure for phones."""

    def __call__(self, *, narrow: bool) -> Figure: ...


class Drawn(NamedTuple):
    """A picture in two widths, each the contents of a PNG file; ``narrow`` is empty if there is no narrow form."""

    wide: bytes
    narrow: bytes = b""


def drawn(draw: Draw) -> Drawn:
    """Make and draw a figure in both widths."""
    return Drawn(rendered(draw(narrow=False)), rendered(draw(narrow=True)))


def for_page(draw: Draw, path: Path) -> Path:
    """Write a figure as PNG files: wide to ``path``, narrow to :func:`narrow_path` of it; returns ``path``.

    RnnaudioError if a file cannot be written.
    """
    for file, content in zip((narrow_path(path), path), reversed(drawn(draw)), strict=True):
        write_atomically(file, content)
    return path


def narrow_path(path: Path) -> Path:
    """Return the path of the narrow form of the picture ``path``: ``curve-narrow.png`` for ``curve.png``."""
    return path.with_stem(path.stem + NARROW)
