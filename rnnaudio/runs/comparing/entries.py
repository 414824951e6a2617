"""The runs of a comparison: they are found in folders, loaded, and given different names."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnaudio import models
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.listing import Row, mark_differing, row_of, run_folders
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.recipe import Recipe
from rnnaudio.text import visible
from rnnaudio.training import checkpoint

RECORDING = "the recording"
RESERVED = {RECORDING, "setting"}  # names of a sound and of a column that are no runs


@dataclasses.dataclass(frozen=True)
class Entry:
    """A run of a comparison; name: its name on the page; row: its row in a list of runs."""

    name: str
    run_dir: Path
    recipe: Recipe[Any]
    run: LoadedRun
    row: Row


def entries_in(places: Sequence[Path]) -> tuple[list[Entry], list[str]]:
    """Load the runs in the given folders; return (entries in order, reasons for those left out)."""
    left_out: list[str] = []
    folders: dict[Path, Path] = {}
    for place in map(Path, places):
        try:
            found = [place] if place.is_dir() and checkpoint.exists(place) else _below(place, left_out)
            for folder in found:
                folders.setdefault(folder.resolve(), folder)
        except OSError as error:  # a name that is too long, a folder that may not be looked into
            left_out.append(f"{place}: {error.strerror}")
    names = _names(list(folders.values()))
    entries = [entry for pair in zip(folders.values(), names, strict=True) for entry in _loaded(*pair, left_out)]
    for recipe in {entry.recipe.name for entry in entries}:
        mark_differing([entry.row for entry in entries if entry.recipe.name == recipe])
    return entries, left_out


def _below(place: Path, left_out: list[str]) -> list[Path]:
    if not place.is_dir():
        left_out.append(models.refusal(place) or f"{place}: expected a folder, of a run or with runs")
        return []
    found = list(run_folders(place, lambda error: left_out.append(f"{error.filename}: {error.strerror}")))
    if not found:
        left_out.append(f"{place}: it holds no run")
    return found


def _names(folders: Sequence[Path]) -> list[str]:
    """Return names for runs: their paths below their common folder, with numbers where names are equal."""
    whole = [os.path.abspath(folder) for folder in folders]
    common = os.path.commonpath(whole) if len(whole) > 1 else ""
    names: list[str] = []
    for path in whole:
        name = first = visible(os.path.relpath(path, common) if common else Path(path).name)
        k = 1
        while name in {*names, *RESERVED}:
            k += 1
            name = f"{first} ({k})"
        names.append(name)
    return names


def _loaded(run_dir: Path, name: str, left_out: list[str]) -> list[Entry]:
    try:
        return [Entry(name, run_dir, saved_recipe(run_dir)[0], load(run_dir), row_of(run_dir, name))]
    except (RnnaudioError, OSError) as error:
        left_out.append(f"{run_dir}: {error}")
        return []
