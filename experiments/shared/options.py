"""What experiments are told, and the name of a run: no run of other settings takes a record's place."""

import dataclasses
import re
from pathlib import Path
from typing import Any, ClassVar

from rnnaudio.errors import RnnaudioError

Figures = dict[str, Any]
NO_SETTINGS = ("run_dir", "resume", "smoke")  # they decide nothing of what is found


class Named:
    """For frozen dataclasses of options, ``run_dir`` among them: None for runs/ and the name."""

    stem: ClassVar[str]  # the name of the experiment as it is, without options
    told_always: ClassVar[tuple[str, ...]] = ()  # of the settings, those that every name tells
    run_dir: Path | None
    resume: bool = False  # of experiments that have no such option

    @property
    def name(self) -> str:
        """Of the record and the run: the experiment's, and each setting that is not the experiment's own."""
        usual = _as_json({field.name: field.default for field in dataclasses.fields(self)})  # type: ignore[arg-type]
        parts = [self.stem, *(str(self.settings[name]) for name in self.told_always)]
        for name, value in self.settings.items():
            if value != usual[name] and name not in self.told_always:
                told = f"{value:g}" if isinstance(value, float) else str(value)
                parts.append(name if value is True else f"{name}-{told}")
        return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts))

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.run_dir or Path("runs") / self.name

    def check_resumed(self, folder: Path) -> None:
        """RnnaudioError if a run is to be gone on with, and there is none in that folder."""
        if self.resume and not folder.exists():
            raise RnnaudioError(f"no run to go on with at {folder}: name its folder, --run-dir, or leave out --resume")

    @property
    def settings(self) -> Figures:
        """What decides the run, as JSON has it."""
        return _as_json({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})  # type: ignore[arg-type]


def _as_json(options: Figures) -> Figures:
    return {k: str(v) if isinstance(v, Path) else v for k, v in options.items() if k not in NO_SETTINGS}
