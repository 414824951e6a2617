"""Fresh interpreters."""

import os
import subprocess
import sys
from pathlib import Path

from rnnaudio import engine

THEANOS_OWN = "WARNING (theano."  # on its choice of BLAS, by its own logger
ROOT = Path(__file__).resolve().parents[2]


def run_python(code, **environment):
    """(exit status, output) of a fresh interpreter in which rnnaudio finds these variables."""
    return interpreter("-c", code, **environment)


def interpreter(*arguments, **environment):
    keep = {name: value for name, value in os.environ.items() if not name.startswith("RNNAUDIO_")}
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False, "cwd": ROOT}
    done = subprocess.run([sys.executable, *arguments], env=keep | environment, **options)
    lines = (done.stdout + done.stderr).splitlines(keepends=True)
    return done.returncode, "".join(line for line in lines if not line.startswith(THEANOS_OWN))


IMPORT = """
from rnnaudio.errors import RnnaudioError
try:
    from rnnaudio import engine
except RnnaudioError as error:
    print("error:", error)
else:
    print("runs:", engine.NAME, engine.MODE, engine.HAS_COMPILER)
"""
HERE = {"RNNAUDIO_ENGINE": engine.NAME}
