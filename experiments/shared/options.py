"""Experiment options, and names of runs made from them, so that a run with other settings never replaces a record."""

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import tyro

from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.errors import RnnaudioError

Figures = dict[str, Any]
NO_SETTINGS = ("run_dir", "resume", "smoke")  # they decide nothing about the result


def command(function: Callable[..., Any]) -> Callable[[], Any]:
    """Make the ``main`` of an experiment: it calls the function with arguments read from the command line."""

    @functools.wraps(function)
    def read(*arguments: Any, **options: Any) -> Callable[[], Any]:
        return functools.partial(function, *arguments, **options)

    def main() -> Any:
        return parsed(lambda: tyro.cli(read, registry=REGISTRY))()

    return main


def require_one_or_more(**counts: int) -> None:
    """Raise RnnaudioError for the first of the options ``counts`` that is below 1."""
    for name, count in counts.items():
        if count < 1:
            raise RnnaudioError(f"{name} is {count}; expected 1 or more")


class Named:
    """Base class for dataclasses of options that have a field ``run_dir``; None means runs/NAME."""

    stem: ClassVar[str]  # the name of the experiment with its default options
    always_named: ClassVar[tuple[str, ...]] = ()  # the settings that every name contains
    run_dir: Path | None
    resume: bool = False  # for experiments without this option

    @property
    def name(self) -> str:
        """The name of record and run: the parts below, joined by hyphens.

        They are the stem, the values of the settings in ``always_named``, and ``NAME-VALUE`` for each other setting
        that differs from its default (only ``NAME`` if the value is True).
        """
        usual = _as_json({field.name: field.default for field in dataclasses.fields(self)})  # type: ignore[arg-type]
        parts = [self.stem, *(str(self.settings[name]) for name in self.always_named)]
        for name, value in self.settings.items():
            if value != usual[name] and name not in self.always_named:
                shown = f"{value:g}" if isinstance(value, float) else str(value)
                parts.append(name if value is True else f"{name}-{shown}")
        return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts))

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.run_dir or Path("runs") / self.name

    def check_resumed(self, folder: Path) -> None:
        """Raise RnnaudioError if a run is to be resumed but the folder holds none."""
        if self.resume and not folder.exists():
            raise RnnaudioError(f"no run to go on with at {folder}: name its folder, --run-dir, or leave out --resume")

    @property
    def settings(self) -> Figures:
        """The options that determine the result, as JSON values."""
        return _as_json({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})  # type: ignore[arg-type]


def _as_json(options: Figures) -> Figures:
    return {k: str(v) if isinstance(v, Path) else v for k, v in options.items() if k not in NO_SETTINGS}
