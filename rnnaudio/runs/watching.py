"""A run seen from another process: its losses as a curve in characters, its last validations, who trains it."""

import errno
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rnnaudio.audio.arrays import Floats
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owner_of
from rnnaudio.records import parsed, read_text
from rnnaudio.runs.fit import describe_row
from rnnaudio.runs.listing import row_of
from rnnaudio.runs.recipe import Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.schema import checked
from rnnaudio.text import visible
from rnnaudio.training import checkpoint
from rnnaudio.training.history import NAME, Row
from rnnaudio.training.progress import duration
from rnnaudio.training.saved import RowEntry

LAST_ROWS = 5
LEAST_COLUMNS, LEAST_LINES, MOST_LINES = 20, 5, 20
LABEL = 12  # columns left of a curve
AROUND = 12  # lines above and below a curve
VALIDATION, TRAINING = "*", "."
CLEAR = "\x1b[2J\x1b[H"  # a terminal's screen


class Follower:
    """The history of a run as it grows. rows: all rows that were read so far."""

    def __init__(self, run_dir: Path) -> None:
        self._path = Path(run_dir) / NAME
        self.rows: list[Row] = []
        self._n_bytes = 0

    def read(self) -> list[Row]:
        """Read what was added since the last call; returns the new rows.

        If the file is shorter than before, because the run was resumed from an earlier checkpoint, all of it is read
        anew. A line that is still being written is left for the next call. RnnaudioError if the file cannot be read,
        or holds a line that is no row of a history.
        """
        try:
            with open(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise OSError(errno.EINVAL, "it is no regular file")
                if os.fstat(file.fileno()).st_size < self._n_bytes:
                    self.rows, self._n_bytes = [], 0
                file.seek(self._n_bytes)
                content = file.read()
        except FileNotFoundError:  # before the first validation
            return []
        except OSError as error:
            raise RnnaudioError(
                f"cannot read {self._path}: {error.strerror}; it holds the history of the run"
            ) from error
        whole = content[: content.rfind(b"\n") + 1]
        new = [self._row(line) for line in whole.splitlines()]
        self._n_bytes += len(whole)
        self.rows += new
        return new

    def _row(self, line: bytes) -> Row:
        try:
            row: Row = checked(parsed(line.decode()), RowEntry, "row")
        except (ValueError, RnnaudioError) as error:
            raise RnnaudioError(f"{self._path} holds a line that is no row of a history ({error})") from error
        return row


def watch(
    run_dir: Path, every_seconds: float, *, on_terminal: bool, wait: Callable[[float], None] = time.sleep
) -> None:
    """Print the state of a run every few seconds until no process writes to it any more.

    on_terminal: True to draw on the whole screen; False to print a line for each new validation. wait: function that
    waits for a number of seconds. RnnaudioError if there is no run in the folder, or its files cannot be read.
    """
    recipe, follower = _recipe(run_dir), Follower(run_dir)
    while True:
        owner = owner_of(run_dir)  # before the rows: what is written until it ends is shown
        new = follower.read()
        if on_terminal:
            getattr(sys.stdout, "plain", sys.stdout).write(CLEAR)  # which is no foreign text
            print(as_text(run_dir, recipe, follower.rows, *shutil.get_terminal_size()), flush=True)
        elif new:
            print("\n".join(describe_row(recipe, row) for row in new), flush=True)
        if owner is None:
            print(f"{visible(run_dir)}: {visible(_ended(run_dir))}", flush=True)
            return
        wait(every_seconds)


def _recipe(run_dir: Path) -> Recipe:
    """The recipe of a run, by the settings that are written before its training."""
    path = checkpoint.path_in(run_dir).with_name("config.json")
    try:
        record = parsed(read_text(path))
    except (OSError, ValueError) as error:
        raise RnnaudioError(f"{run_dir} holds no run: there is no {path.name} that can be read ({error})") from error
    if not isinstance(record, dict):
        raise RnnaudioError(f"{run_dir} holds no run: {path.name} is no table; name another folder")
    return recipe_in(record, path)


def _ended(run_dir: Path) -> str:
    row = row_of(run_dir, "")
    return "; ".join(filter(None, (row.state or "no checkpoint was saved", row.note)))


def as_text(run_dir: Path, recipe: Recipe, rows: Sequence[Row], columns: int, lines: int) -> str:
    """Format the state of a run for a terminal of the given size: who trains it, the curve, the last validations."""
    owner = owner_of(run_dir)
    head = f"{visible(run_dir)}: {f'trained by {owner}' if owner else 'no process writes to it'}"
    if not rows:
        return f"{head}\nno validation yet"
    best = min((row for row in rows if np.isfinite(row["valid"])), key=lambda row: row["valid"], default=None)
    last = rows[-1]
    seen = f"update {last['updates']} after {duration(last['seconds'])}, {len(rows)} validations"
    lowest = f"; lowest: {recipe.in_words(best['valid'])} at update {best['updates']}" if best else ""
    n_lines = min(max(lines - AROUND, LEAST_LINES), MOST_LINES)
    drawn = curve(rows, max(columns - LABEL - 1, LEAST_COLUMNS), n_lines)
    return "\n".join([head, seen + lowest, "", *drawn, "", *(describe_row(recipe, row) for row in rows[-LAST_ROWS:])])


def curve(rows: Sequence[Row], columns: int, lines: int) -> list[str]:
    """Draw the validation loss (``*``) and training loss (``.``) over the updates in ``lines`` lines, with axes.

    The range is that of the validation losses; training losses outside it are at the edge. Of several validations in
    one column the last is drawn. Losses that are not finite are left out.
    """
    updates = np.array([row["updates"] for row in rows], float)
    losses = {TRAINING: _losses(rows, "train"), VALIDATION: _losses(rows, "valid")}
    finite = losses[VALIDATION][np.isfinite(losses[VALIDATION])]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    at = np.rint((columns - 1) * updates / updates.max()).astype(int)
    grid = np.full((lines, columns), " ")
    for mark, values in losses.items():  # the validation last, on top
        for column, value in zip(at, values, strict=True):
            if np.isfinite(value):
                share = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5  # no overflow
                grid[lines - 1 - round((lines - 1) * min(max(share, 0.0), 1.0)), column] = mark
    labels = {0: f"{high:.4g}", lines - 1: f"{low:.4g}"}
    drawn = [f"{labels.get(k, ''):>{LABEL - 2}} |{''.join(line).rstrip()}" for k, line in enumerate(grid)]
    end = f"{updates.max():.0f} updates"
    return [*drawn, f"{'':>{LABEL - 2}} +{'-' * columns}", f"{'':>{LABEL}}0{end:>{columns - 1}}"]


def _losses(rows: Sequence[Row], name: str) -> Floats:
    return np.array([row[name] for row in rows], float)
