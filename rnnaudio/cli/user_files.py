"""Import of the user's Python files, which register cells or recipes."""

import importlib.util
import sys
import zlib
from pathlib import Path

from rnnaudio.errors import RnnaudioError


def import_file(path: Path) -> None:
    """Run a user's Python file, once, to register its cells or recipes; RnnaudioError if it is missing or fails."""
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
    except BaseException as error:
        del sys.modules[name]  # only partly run, it must not count as imported
        if isinstance(error, RnnaudioError) or not isinstance(error, Exception):
            raise
        raise RnnaudioError(f"--import {path}: {type(error).__name__}: {error}; mend the file") from error
