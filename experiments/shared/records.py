"""Records of measurements: small JSON files in experiments/results, with all that is needed to repeat them."""

import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.catalogue import RESULTS as FOLDER
from experiments.runner import typed_command
from rnnaudio import __version__, engine
from rnnaudio.atomic import write_atomically
from rnnaudio.kernels import micro, threads

__all__ = ["FOLDER", "record", "versions"]


def versions() -> dict[str, str]:
    """The versions of package, engine, Python and NumPy, and the kernels' number of threads and vector width."""
    return {
        "rnnaudio": __version__,
        "engine": f"{engine.NAME} {engine.VERSION}, mode {engine.MODE}, kernel {engine.kernel()}",
        "threads": f"{threads.n_threads()} with vectors of {8 * micro.VECTOR_BYTES} bits",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def record(name: str, figures: dict[str, Any]) -> Path:
    """Write figures, command, versions and date to ``experiments/results/<name>.json``; returns the file's path."""
    content = {
        "command": typed_command(),
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        **figures,
    }
    path = write_atomically(FOLDER / f"{name}.json", json.dumps(content, indent=2).encode() + b"\n")
    print(f"recorded in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path
