"""View of a run from another process: who trains it, its losses as a curve in characters, its last validations."""

import errno
import math
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio import models
from rnnaudio.audio.arrays import Floats
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owner_of
from rnnaudio.metrics import decibel
from rnnaudio.records import parsed, read_text, reason_of
from rnnaudio.runs.fit import describe_row
from rnnaudio.runs.listing import alive_in_words, row_of
from rnnaudio.runs.recipe import Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.schema import checked
from rnnaudio.text import visible
from rnnaudio.training import checkpoint
from rnnaudio.training.history import NAME, Row
from rnnaudio.training.progress import duration
from rnnaudio.training.run import planned_updates
from rnnaudio.training.saved import RowEntry

LAST_ROWS = 5
LEAST_COLUMNS, LEAST_LINES, MOST_LINES = 20, 5, 20
LABEL = 12  # columns left of a curve
AROUND = 12  # lines above and below a curve
VALIDATION, TRAINING = "*", "."
CLEAR = "\x1b[2J\x1b[H"  # a terminal's screen


class Follower:
    """Reader of a run's history while it grows. ``rows``: all rows read so far."""

    def __init__(self, run_dir: Path) -> None:
        self._path = Path(run_dir) / NAME
        self.rows: list[Row] = []
        self._n_bytes = 0

    def read(self) -> list[Row]:
        """Read the rows added to the history file since the last call; returns these rows.

        If the file is shorter than before, because the run was resumed from an earlier checkpoint, all of it is read
        again. A line that is still being written is left for the next call. RnnaudioError if the file cannot be read,
        or has a line that is not a row of a history.
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
    """Print the state of a run every ``every_seconds`` seconds until no process writes to it any more.

    on_terminal: True to use the whole screen; False to print a line for each new validation. wait: function that waits
    for a number of seconds. RnnaudioError if there is no run in the folder, or if its files cannot be read.
    """
    recipe, limits = _recipe(run_dir)
    follower = Follower(run_dir)
    while True:
        owner = owner_of(run_dir)  # before the rows: what is written until it ends is shown
        new = follower.read()
        if on_terminal:
            getattr(sys.stdout, "plain", sys.stdout).write(CLEAR)  # which is no foreign text
            print(as_text(run_dir, recipe, follower.rows, *shutil.get_terminal_size(), limits), flush=True)
        elif new:
            print("\n".join(describe_row(recipe, row) for row in new), flush=True)
        if owner is None:
            print(f"{visible(run_dir)}: {visible(_ended(run_dir))}", flush=True)
            return
        wait(every_seconds)


class Limits(NamedTuple):
    """The limits of a training. planned: number of updates (0: no plan). minutes: training time in minutes."""

    planned: int
    minutes: float


def _recipe(run_dir: Path) -> tuple[Recipe, Limits]:
    """Read the recipe of a run and its limits from ``config.json``, which is written before its training.

    RnnaudioError if the file cannot be read or does not describe a run.
    """
    path = checkpoint.path_in(run_dir).with_name("config.json")
    try:
        record = parsed(read_text(path))
    except (OSError, ValueError) as error:
        missing = f"{run_dir} holds no run: there is no {path.name} that can be read ({reason_of(error)})"
        raise RnnaudioError(models.refusal(run_dir) or missing) from error
    if not isinstance(record, dict):
        raise RnnaudioError(f"{run_dir} holds no run: {path.name} is no table; name another folder")
    recipe = recipe_in(record, path)
    settings = record[recipe.key]
    updates, minutes = (settings.get(n) if isinstance(settings, dict) else None for n in ("max_updates", "minutes"))
    planned = planned_updates(updates) if isinstance(updates, int) else 0
    return recipe, Limits(planned, float(minutes) if isinstance(minutes, int | float) else math.inf)


def _ended(run_dir: Path) -> str:
    row = row_of(run_dir, "")
    validation = f"validation {row.validation}" if row.validation else ""
    alive = alive_in_words(row.alive_seconds, row.of_seconds)
    sound = f"its sound stays alive for {alive}{f', then it {row.death}' if row.death else ''}" if alive else ""
    return "; ".join(filter(None, (row.state or "no checkpoint was saved", row.note, validation, sound)))


def as_text(run_dir: Path, recipe: Recipe, rows: Sequence[Row], columns: int, lines: int, limits: Limits) -> str:
    """Format the state of a run for a terminal: who trains it, its curve of losses, its last validations.

    rows: the history so far. columns, lines: the size of the terminal in characters.
    """
    owner = owner_of(run_dir)
    head = f"{visible(run_dir)}: {f'trained by {owner}' if owner else 'no process writes to it'}"
    if owner and (untried := _untried(run_dir)):
        head += f"\nchoosing how to play: {untried} settings are left to try"
    if not rows:
        return f"{head}\nno validation yet"
    best = min((row for row in rows if np.isfinite(row["valid"])), key=lambda row: row["valid"], default=None)
    last = rows[-1]
    of = f" of {limits.planned}" if last["updates"] <= limits.planned else ""
    time_left = f" of {duration(60.0 * limits.minutes)}" if limits.minutes < math.inf else ""
    seen = f"update {last['updates']}{of} after {duration(last['seconds'])}{time_left}, {len(rows)} validations"
    lowest = f"; lowest: {recipe.in_words(best['valid'])} at update {best['updates']}" if best else ""
    n_lines = min(max(lines - AROUND, LEAST_LINES), MOST_LINES)
    drawn = curve(rows, max(columns - LABEL - 1, LEAST_COLUMNS), n_lines, in_decibel=recipe.decibel)
    return "\n".join([head, seen + lowest, "", *drawn, "", *(describe_row(recipe, row) for row in rows[-LAST_ROWS:])])


def _untried(run_dir: Path) -> int:
    """Return how many settings are still to be tried in the choice of how the run plays; 0 without such a choice."""
    try:
        left = parsed(read_text(Path(run_dir) / "playing.json")).get("untried", 0)
    except (OSError, ValueError, AttributeError):
        return 0
    return left if isinstance(left, int) else 0


def curve(rows: Sequence[Row], columns: int, lines: int, *, in_decibel: bool = False) -> list[str]:
    """Plot the validation loss (``*``) and the training loss (``.``) over the updates as lines of text with axes.

    columns, lines: size of the plot without axes and labels, in characters. in_decibel: True to plot 10 log10 of the
    losses, with labels in dB. The vertical range is that of the
    validation losses, without the first tenth of them, which would flatten the rest; losses outside it are put at
    the edge. If several validations fall into one column, the last is shown. Losses that are not finite are left out.
    """
    updates = np.array([row["updates"] for row in rows], float)
    losses = {mark: _losses(rows, name) for mark, name in ((TRAINING, "train"), (VALIDATION, "valid"))}
    if in_decibel:
        losses = {mark: decibel(values) for mark, values in losses.items()}
    later = losses[VALIDATION][len(rows) // 10 :]
    finite = later[np.isfinite(later)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    at = np.rint((columns - 1) * updates / updates.max()).astype(int)
    grid = np.full((lines, columns), " ")
    for mark, values in losses.items():  # the validation last, on top
        for column, value in zip(at, values, strict=True):
            if np.isfinite(value):
                share = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5  # no overflow
                grid[lines - 1 - round((lines - 1) * min(max(share, 0.0), 1.0)), column] = mark
    unit = " dB" if in_decibel else ""
    labels = {0: f"{high:.4g}{unit}", lines - 1: f"{low:.4g}{unit}"}
    drawn = [f"{labels.get(k, ''):>{LABEL - 2}} |{''.join(line).rstrip()}" for k, line in enumerate(grid)]
    end = f"{updates.max():.0f} updates"
    return [*drawn, f"{'':>{LABEL - 2}} +{'-' * columns}", f"{'':>{LABEL}}0{end:>{columns - 1}}"]


def _losses(rows: Sequence[Row], name: str) -> Floats:
    return np.array([row[name] for row in rows], float)
