"""Recording what was measured: small JSON files under experiments/results, with what is needed to do it again."""

import json
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from rnnaudio import __version__, engine
from rnnaudio.atomic import write_atomically
from rnnaudio.kernels import micro, threads

FOLDER = Path(__file__).parents[1] / "results"


def versions() -> dict[str, str]:
    """Of all that computes."""
    return {
        "rnnaudio": __version__,
        "engine": f"{engine.NAME} {engine.VERSION}, mode {engine.MODE}, kernel {engine.kernel()}",
        "threads": f"{threads.n_threads()} with vectors of {8 * micro.VECTOR_BYTES} bits",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def record(name: str, figures: dict[str, Any]) -> Path:
    """Write ``results/<name>.json``: the figures, the command, versions and date."""
    arguments = [argument for argument in sys.argv[1:]]
    content = {
        "command": shlex.join(["python", "-m", f"experiments.{Path(sys.argv[0]).stem}", *arguments]),
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        **figures,
    }
    path = write_atomically(FOLDER / f"{name}.json", json.dumps(content, indent=2).encode() + b"\n")
    print(f"recorded in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path
