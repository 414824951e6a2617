"""A test of the C++ compiler, before the engine relies on it."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

from rnnaudio.atomic import temporary_folder
from rnnaudio.caches import Variables, cache_folder, flag, with_flag
from rnnaudio.notes import note

LINKING = ("-dynamiclib", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared", "-fPIC")
TIME_LIMIT_S = 60.0


def leave_out_useless_compiler(variables: Variables, engine: str) -> None:
    """Set the flags of ``engine`` to no C++ compiler if its compiler cannot build Python extensions.

    The compiler is the one that the flags name; by default it is g++, on macOS clang++. The flags are set in the same
    way if they name a compiler that is missing.

    variables
        the environment variables, such as ``os.environ``; ``cxx=`` (no compiler) is added to the engine's flags, such
        as PYTENSOR_FLAGS, and a note is shown to the user.
    engine
        ``pytensor`` or ``theano``.

    The engines only check that the compiler exists. Without a linker or the headers of Python, the compilation of
    every graph would fail with pages of messages. Nothing is changed if the flags contain ``cxx=`` already, or if they
    name no compiler and the default one is missing. A compiler that has passed the test is not tested again until the
    compiler, Python or the headers change.
    """
    name = f"{engine.upper()}_FLAGS"
    flags = variables.get(name, "")
    chosen = flag(flags, "cxx")
    if chosen == "":
        return
    compiler = shutil.which(chosen or ("clang++" if sys.platform == "darwin" else "g++"))
    if not compiler:
        if chosen:
            _leave_out(variables, name, f"{name} has cxx={chosen}, and there is no such program")
        return
    mark = cache_folder(variables) / "rnnaudio" / f"compiler-{_key(compiler)}"
    if mark.exists():
        return
    reason = why_useless(compiler)
    if reason:
        _leave_out(variables, name, f"{compiler} cannot build what Python loads ({reason}); is python3-dev missing?")
        return
    with suppress(OSError):  # then it is tested again the next time
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _leave_out(variables: Variables, name: str, why: str) -> None:
    note(f"going on as without a C++ compiler: {why}")
    variables[name] = with_flag(variables.get(name, ""), "cxx", "")


def why_useless(compiler: str) -> str:
    """Try to build a shared object that includes Python.h; return the error in one line, or "" on success.

    A compiler that takes more than 60 s counts as an error.
    """
    with temporary_folder() as folder:
        command = [compiler, *LINKING, f"-I{_headers()}", "-x", "c++", "-", "-o", str(folder / "test.so")]
        try:
            done = subprocess.run(
                command, input="#include <Python.h>\n", capture_output=True, text=True, errors="replace",
                timeout=TIME_LIMIT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        if done.returncode == 0 and (folder / "test.so").exists():
            return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[-1] if lines else f"exit status {done.returncode}")


def _headers() -> str:
    return sysconfig.get_path("include")


def _key(compiler: str) -> str:
    """Return a hash of the compiler's file, the version of Python and its headers, on which the result depends."""
    about = os.stat(compiler)
    headers = Path(_headers()) / "Python.h"
    parts = (os.path.realpath(compiler), about.st_mtime_ns, about.st_size, sys.version, str(headers), headers.exists())
    return hashlib.sha256(repr(parts).encode(errors="surrogateescape")).hexdigest()[:16]
