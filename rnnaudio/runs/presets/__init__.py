"""Presets: named settings included in the package, one TOML file each."""

from pathlib import Path

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import nearest

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def path_of(name: str) -> Path:
    """Return the path of a preset's file; RnnaudioError, with the nearest known name, if there is no such preset."""
    if name not in names():
        raise RnnaudioError(f"unknown preset {name!r}; {nearest(name, names())}")
    return FOLDER / f"{name}.toml"
