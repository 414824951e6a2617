"""All commands, made known to the front door."""

import argparse
import importlib.util
import sys
import zlib
from pathlib import Path

from rnnaudio.cli import corpus, experiments, machine, runs  # noqa: F401  (each registers its commands)
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.settings import Chosen, chosen

WITH_SETTINGS = ("train", "preflight", "music")


def register(arguments: list[str]) -> None:
    """Register the commands whose options depend on the recipe, the preset, the file and the cell that are named."""
    runs.register(settings_in(arguments))


def settings_in(arguments: list[str]) -> Chosen:
    """The settings that the options of a command line start from."""
    if not arguments or arguments[0] not in WITH_SETTINGS:
        return chosen()
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for option in ("--recipe", "--preset", "--config", "--cell"):
        reader.add_argument(option)
    reader.add_argument("--import", dest="imports", action="append", default=[])
    try:
        known, _ = reader.parse_known_args(arguments[1:])
    except argparse.ArgumentError:  # an option without its value: tyro says so
        return chosen()
    for file in known.imports:
        import_file(Path(file))
    recipe = "codes" if arguments[0] == "music" else known.recipe
    return chosen(recipe, known.preset, known.config and Path(known.config), known.cell)


def import_file(path: Path) -> None:
    """Run a Python file of the user's, which registers cells or recipes; RnnaudioError if it cannot be."""
    name = f"rnnaudio_user_{path.stem}_{zlib.crc32(str(path.resolve()).encode()):x}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise RnnaudioError(f"--import {path}: expected a Python file that registers a cell or a recipe")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except RnnaudioError:
        raise
    except Exception as error:
        del sys.modules[name]
        raise RnnaudioError(f"--import {path}: {type(error).__name__}: {error}; mend the file") from error
