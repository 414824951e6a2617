"""List of the runs in a folder: recipe, state and results of each, and the settings in which they differ."""

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from rnnaudio import models
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owner_of
from rnnaudio.records import Record, parsed, read_text
from rnnaudio.runs.config import flat, shown, to_dict
from rnnaudio.runs.load import saved_config
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import DIGEST, SavedRun, trouble
from rnnaudio.schema import Finite, NotNegative, checked
from rnnaudio.text import visible
from rnnaudio.training import checkpoint

NO_RECIPE = "trained by a program, without a recipe: only that program can play it"


@dataclasses.dataclass
class Row:
    """A run in the list. Values that are unknown, or do not exist yet, are None or empty.

    name
        path of the run below the folder that is listed; ``.`` for that folder itself.
    recipe
        name of the recipe.
    state
        ``complete``, ``broke down``, ``not complete``, ``running``, ``no recipe`` or ``unreadable``.
    note
        the process that writes to the run, or the reason why the run broke down, ended early or cannot be read.
    updates, minutes
        number of updates and minutes of training up to the last checkpoint.
    validation_loss, validation
        validation loss of the parameters with which the run plays, as a number and in the words of the recipe; the
        lowest loss if the run has no report that is up to date.
    alive_seconds, of_seconds, death
        results in a report that is up to date: how long the generated sound stayed alive, its length in seconds, and
        the cause of death.
    saved
        local time of the last checkpoint, YYYY-MM-DD HH:MM:SS.
    corpus, digest
        path of the corpus, and the digest of its content (:meth:`rnnaudio.data.AudioCorpus.digest`). Runs of
        earlier versions have no digest.
    settings
        all settings by their names in ``config.toml``.
    differing
        the settings that are not the same in all listed runs of the recipe; with them the corpus, if its content
        differs.
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
    corpus: str = ""
    digest: str = ""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    differing: dict[str, Any] = dataclasses.field(default_factory=dict)


class SummaryEntry(TypedDict):
    """The entries of a run's ``summary.json`` that the list uses."""

    alive_seconds: NotNegative
    of_seconds: NotNegative
    death: NotRequired[str]
    validation_loss: NotRequired[Finite | None]


# The key by which rows are sorted; losses are in different units by recipe, and what is not known comes last.
ORDERS: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: row.name,
    "validation": lambda row: (not row.recipe, row.recipe, row.validation_loss is None, row.validation_loss, row.name),
    "alive": lambda row: (row.alive_seconds is None, -(row.alive_seconds or 0.0), row.name),
    "updates": lambda row: (row.updates is None, -(row.updates or 0), row.name),
    "saved": lambda row: (not row.saved, _reversed(row.saved), row.name),
}


def _reversed(text: str) -> list[int]:
    return [-ord(character) for character in text]


def rows_in(folder: Path, sort: str = "name") -> list[Row]:
    """List the runs in a folder and in the folders below it, sorted by ``sort``, a key of :data:`ORDERS`.

    A run or a folder that cannot be read has a row with the reason. RnnaudioError if there is no such folder, or no
    run in it.
    """
    folder = Path(folder)
    if folder.is_file():
        checkpoint.path_in(folder)  # raises
    if not folder.is_dir():
        missing = f"{folder}: no such folder; expected one with runs, as made by `rnnaudio train`"
        raise RnnaudioError(models.refusal(folder) or missing)
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
    """Make the row of the run in a folder; ``differing`` is left empty. name: the row's name.

    A run that cannot be read has the state ``unreadable``, with the reason as the note.
    """
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
    """Set the fields of a row from the checkpoint and the report of its run."""
    if not saved.settings:
        row.state, row.updates, row.note = "no recipe", saved.record["n_updates"], NO_RECIPE
        return
    recipe, record = recipe_in(saved.settings, saved.path), saved.record
    config, stopping = saved_config(recipe, saved), record["stopping"]
    row.recipe, row.updates, row.minutes = recipe.name, record["n_updates"], round(record["seconds"] / 60.0, 2)
    row.settings = flat(to_dict(config))
    row.corpus, row.digest = saved.settings["corpus"]["path"], saved.settings["corpus"].get(DIGEST, "")
    row.note = trouble(record)
    is_over = 0 < config.max_updates <= record["n_updates"] or record["seconds"] >= 60.0 * config.minutes
    row.state = "broke down" if row.note else "complete" if is_over or stopping["should_stop"] else "not complete"
    row.note = row.note or stopping["reason"]
    path = saved.path if saved.path.exists() else saved.path.with_name(checkpoint.PREVIOUS)
    row.saved = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(path.stat().st_mtime))
    summary = report_figures(saved.run_dir, path)
    row.alive_seconds, row.of_seconds = summary.get("alive_seconds"), summary.get("of_seconds")
    row.death = summary.get("death") or ""
    row.validation_loss = summary.get("validation_loss", stopping["best_loss"])
    if row.validation_loss is not None:
        row.validation = recipe.in_words(row.validation_loss)


def report_figures(run_dir: Path, of_checkpoint: Path) -> Record:
    """Read the entries of a run's ``summary.json`` that :class:`SummaryEntry` names.

    The result is {} if there is no such file, or it is older than the checkpoint at ``of_checkpoint`` or damaged.
    """
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
    """Set ``differing`` of each row, see :class:`Row`; rows: the runs of one recipe."""
    names = dict.fromkeys(name for row in rows for name in row.settings)
    values = {name: {json.dumps(row.settings.get(name)) for row in rows} for name in names}
    other_music = len({row.digest or row.corpus for row in rows}) > 1
    for row in rows:
        row.differing = {"corpus": row.corpus} if other_music else {}
        row.differing |= {name: value for name, value in row.settings.items() if len(values[name]) > 1}


# ---------------------------------------------------------------- as text


MOST_CHARACTERS = 1000  # of a line below a run
MOST_SETTINGS = 12  # of a run, in the table
COLUMNS = ("run", "recipe", "state", "updates", "validation", "alive", "saved")


def as_table(rows: Sequence[Row]) -> str:
    """Format rows as a text table; lines below a run give its differing settings, note and cause of death."""
    cells = [COLUMNS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    text = [lines[0]]
    for row, line in zip(rows, lines[1:], strict=True):
        settings = "  ".join(f"{name}={shown(value)}" for name, value in list(row.differing.items())[:MOST_SETTINGS])
        if (others := len(row.differing) - MOST_SETTINGS) > 0:
            settings += f"  and {others} more (--json has all)"
        death = f"the sound {row.death}" if row.death else ""
        text += [line, *(f"    {visible(below)[:MOST_CHARACTERS]}" for below in (settings, row.note, death) if below)]
    return "\n".join(text)


def alive_in_words(seconds: float | None, of_seconds: float | None) -> str:
    """Format how long a sound stayed alive, and its length, as in ``7.3 of 10 s``; empty for None."""
    return "" if seconds is None else f"{seconds:.1f} of {of_seconds:g} s"


def _cells(row: Row) -> tuple[str, ...]:
    """Format the cells of a row. Control characters are escaped, since a line break would begin another row."""
    alive = alive_in_words(row.alive_seconds, row.of_seconds)
    updates = "" if row.updates is None else str(row.updates)
    cells = (row.name, row.recipe, row.state, updates, row.validation, alive, row.saved[:16])
    return tuple(map(visible, cells))


def as_json(rows: Sequence[Row]) -> str:
    """Format rows as a JSON array of objects, one for each run, with the fields of :class:`Row`.

    Numbers that are not finite, such as an infinite limit on time, become null, since JSON has no such numbers.
    """
    return json.dumps([_finite(dataclasses.asdict(row)) for row in rows], indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
