"""Hints on options that a command lacks, because they belong to another recipe or cell."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from rnnaudio.runs.frames.cells import CELLS
from rnnaudio.runs.recipes import RECIPES, config_class

UNKNOWN = re.compile(r"Unrecognized options: ([^;]*)")


def with_owners(message: str) -> str:
    """Return an error message with the recipes and cells that have the unknown options it names appended."""

    def added(unknown: re.Match[str]) -> str:
        owners = {option: " or ".join(owners_of(option)) for option in unknown[1].split(", ")}
        hints = [f"{option} is an option of {those}" for option, those in owners.items() if those]
        return "; ".join([unknown[0], *hints])

    return UNKNOWN.sub(added, message)


def owners_of(option: str) -> Iterator[str]:
    """Yield the recipes and cells that have ``option``, in the form ``--recipe codes`` or ``--cell lstm``.

    option: as it was typed, with its hyphens.
    """
    name = option.removeprefix("--").removeprefix("no-").replace("-", "_")
    for recipe in RECIPES:
        if name in _settings(config_class(recipe)):
            yield f"--recipe {recipe}"
    for cell, kind in CELLS.items():
        if name in _settings(kind.Options):
            yield f"--cell {cell}"


def _settings(kind: type[Any]) -> set[str]:
    """Return the names of a dataclass's fields, with those of nested dataclasses in place of the nested field."""
    names = set()
    for field in fields(kind):
        inner = field.type
        names |= _settings(inner) if isinstance(inner, type) and is_dataclass(inner) else {field.name}
    return names
