"""A list of the runs in a folder: what each is, how far it came, and the settings in which they differ."""

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owner_of
from rnnaudio.records import Record, parsed, read_text
from rnnaudio.runs.config import flat, to_dict
from rnnaudio.runs.load import saved_config
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import SavedRun, trouble
from rnnaudio.schema import NotNegative, checked
from rnnaudio.text import visible
from rnnaudio.training import checkpoint


@dataclasses.dataclass
class Row:
    """A run in the list. What is not known, or does not exist yet, is None or empty.

    name
        path of the run below the folder that is listed; ``.`` for that folder itself.
    recipe
        name of the recipe.
    state
        ``complete``, ``broke down``, ``not complete``, ``running`` or ``unreadable``.
    note
        the process that writes to the run; why it broke down, ended early or cannot be read.
    updates, minutes
        number of updates and time of training up to the last checkpoint.
    validation_loss, validation
        lowest validation loss, as a number and in the recipe's words with its unit.
    alive_seconds, of_seconds, death
        from the report of this checkpoint: how long the generated sound stayed alive, its length, and the cause of
        death.
    saved
        local time of the last checkpoint, YYYY-MM-DD HH:MM:SS.
    settings
        all settings by their names in ``config.toml``; ``differing``: those of which some runs of the recipe have
        another value.
    """

    name: str
    recipe: str = ""
    state: str = ""
    note: str = ""
    updates: int | None = None
    minutes: float | None = None
    validation_loss: float | None = None
    validation: str = ""
    alive_seconds: float | None = None
    of_seconds: float | None = None
    death: str = ""
    saved: str = ""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    differing: dict[str, Any] = dataclasses.field(default_factory=dict)


class SummaryEntry(TypedDict):
    """Entries of ``summary.json`` that the list uses."""

    alive_seconds: NotNegative
    of_seconds: NotNegative
    death: NotRequired[str]


# The key by which rows are sorted; losses are in different units by recipe, and what is not known comes last.
ORDERS: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: row.name,
    "validation": lambda row: (row.recipe, row.validation_loss is None, row.validation_loss, row.name),
    "alive": lambda row: (row.alive_seconds is None, -(row.alive_seconds or 0.0), row.name),
    "updates": lambda row: (row.updates is None, -(row.updates or 0), row.name),
    "saved": lambda row: (not row.saved, _reversed(row.saved), row.name),
}


def _reversed(text: str) -> list[int]:
    return [-ord(character) for character in text]


def rows_in(folder: Path, sort: str = "name") -> list[Row]:
    """List the runs in a folder and below it, in the order ``sort``, a key of ORDERS.

    Runs, and folders below, that cannot be read are listed with the reason. RnnaudioError if there is no such folder,
    or no run in it.
    """
    folder = Path(folder)
    if folder.is_file():
        checkpoint.path_in(folder)  # raises
    if not folder.is_dir():
        raise RnnaudioError(f"{folder}: no such folder; expected one with runs, as made by `rnnaudio train`")
    unreadable: list[OSError] = []
    found = list(run_folders(folder, unreadable.append))
    rows = [row_of(run_dir, run_dir.relative_to(folder).as_posix()) for run_dir in found]
    for error in unreadable:
        name = Path(error.filename).relative_to(folder).as_posix()
        rows.append(Row(name, state="unreadable", note=f"{error.strerror}: what is in this folder is not listed"))
    if not rows:
        raise RnnaudioError(f"{folder} holds no run: expected folders with a {checkpoint.NAME} in it or below it")
    for recipe in {row.recipe for row in rows}:
        mark_differing([row for row in rows if row.recipe == recipe and row.settings])
    return sorted(rows, key=ORDERS[sort])


def run_folders(folder: Path, on_error: Callable[[OSError], object]) -> Iterator[Path]:
    """Yield the folders of runs in ``folder`` and below it; each once, however many links lead to it.

    Hidden folders are not searched. on_error: called with the error for each folder that cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    for root, below, files in os.walk(folder, onerror=on_error, followlinks=True):
        about = os.stat(root)
        is_new = (about.st_dev, about.st_ino) not in seen
        seen.add((about.st_dev, about.st_ino))
        below[:] = sorted(name for name in below if not name.startswith(".")) if is_new else []
        begun = "config.toml" in files and owner_of(Path(root)) is not None
        if is_new and (begun or {checkpoint.NAME, checkpoint.PREVIOUS} & set(files)):
            yield Path(root)


def row_of(run_dir: Path, name: str) -> Row:
    """The run in a folder, as a row with this name; ``differing`` is empty."""
    row, owner = Row(name), owner_of(run_dir)
    try:
        if checkpoint.exists(run_dir):
            _fill(row, SavedRun.read(run_dir))
        if owner is not None:
            row.state, row.note = "running", str(owner)
    except (RnnaudioError, OSError) as error:  # OSError: removed just now
        row.state, row.note = "unreadable", str(error)
    return row


def _fill(row: Row, saved: SavedRun) -> None:
    """Add what the checkpoint and the report of a run hold."""
    recipe, record = recipe_in(saved.settings, saved.path), saved.record
    config, stopping = saved_config(recipe, saved), record["stopping"]
    row.recipe, row.updates, row.minutes = recipe.name, record["n_updates"], round(record["seconds"] / 60.0, 2)
    row.settings = flat(to_dict(config))
    row.note = trouble(record)
    is_over = 0 < config.max_updates <= record["n_updates"] or record["seconds"] >= 60.0 * config.minutes
    row.state = "broke down" if row.note else "complete" if is_over or stopping["should_stop"] else "not complete"
    row.note = row.note or stopping["reason"]
    if stopping["best_loss"] is not None:
        row.validation_loss, row.validation = stopping["best_loss"], recipe.in_words(stopping["best_loss"])
    path = saved.path if saved.path.exists() else saved.path.with_name(checkpoint.PREVIOUS)
    row.saved = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(path.stat().st_mtime))
    summary = _summary(saved.run_dir, path)
    row.alive_seconds, row.of_seconds = summary.get("alive_seconds"), summary.get("of_seconds")
    row.death = summary.get("death") or ""


def _summary(run_dir: Path, of_checkpoint: Path) -> Record:
    """The summary of a run's report, if it is no older than the checkpoint; else {}."""
    path = run_dir / "summary.json"
    try:
        if path.stat().st_mtime < of_checkpoint.stat().st_mtime:
            return {}
        summary = parsed(read_text(path))
        known = {name: summary[name] for name in SummaryEntry.__annotations__ if name in summary}
        return dict(checked(known, SummaryEntry, "summary"))
    except (OSError, ValueError, TypeError, RnnaudioError):
        return {}


def mark_differing(rows: Sequence[Row]) -> None:
    """Set ``differing`` of the rows of runs of one recipe."""
    names = dict.fromkeys(name for row in rows for name in row.settings)
    values = {name: {json.dumps(row.settings.get(name)) for row in rows} for name in names}
    for row in rows:
        row.differing = {name: value for name, value in row.settings.items() if len(values[name]) > 1}


# ---------------------------------------------------------------- as text


MOST_CHARACTERS = 1000  # of a line below a run
COLUMNS = ("run", "recipe", "state", "updates", "validation", "alive", "saved")


def as_table(rows: Sequence[Row]) -> str:
    """Format rows as a table; below each run, its differing settings, its note and the death of its sound."""
    cells = [COLUMNS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    text = [lines[0]]
    for row, line in zip(rows, lines[1:], strict=True):
        settings = "  ".join(f"{name}={_shown(value)}" for name, value in row.differing.items())
        death = f"the sound {row.death}" if row.death else ""
        text += [line, *(f"    {visible(below)[:MOST_CHARACTERS]}" for below in (settings, row.note, death) if below)]
    return "\n".join(text)


def _cells(row: Row) -> tuple[str, ...]:
    """The cells of a row, with control characters as escapes: a line break would begin another row."""
    alive = "" if row.alive_seconds is None else f"{row.alive_seconds:.1f} of {row.of_seconds:g} s"
    updates = "" if row.updates is None else str(row.updates)
    cells = (row.name, row.recipe, row.state, updates, row.validation, alive, row.saved[:16])
    return tuple(map(visible, cells))


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_json(rows: Sequence[Row]) -> str:
    """Format rows as a JSON array of objects, one for each run, with the entries of :class:`Row`.

    Numbers that are not finite, such as a limit of time that is infinite, are null: JSON has none.
    """
    return json.dumps([_finite(dataclasses.asdict(row)) for row in rows], indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
