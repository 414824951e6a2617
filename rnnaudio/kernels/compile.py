"""numba's ``njit`` with the settings of the kernels: the GIL is released, and compiled code is cached on disk.

To validate a cached function, numba checks only the file that defines it, not the files of the functions that it
calls: after a change of activations.py, an unchanged lstm.py would still use the old code. The name of the cache
folder therefore contains a hash of all files of this package.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numba

from rnnaudio.caches import cache_folder
from rnnaudio.kernels.arrays import Compiled


def _cache_folder() -> Path | None:
    """Make and return the folder for compiled kernels, in the cache folder of rnnaudio; None if it is not writable."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    content = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = cache_folder() / "rnnaudio" / f"kernels-{content}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


CACHE_FOLDER = _cache_folder()


@contextlib.contextmanager
def _cached_in(folder: Path) -> Iterator[None]:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def njit(**options: object) -> Callable[[Callable[..., object]], Compiled]:
    """Return a decorator that compiles a function at its first call with arguments of each combination of types.

    The compiled code is cached in CACHE_FOLDER unless this is None. ``options`` are options of ``numba.njit``; they
    override the defaults of this package.
    """

    def decorate(function: Callable[..., object]) -> Compiled:
        # "numpy": division by zero gives inf or NaN; checking for zero, as Python does, would prevent vectorisation.
        # "contract": a product and a sum may be one instruction with one rounding, which halves the work of a tanh.
        settings = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}} | options
        if CACHE_FOLDER is None:
            return numba.njit(**settings)(function)
        with _cached_in(CACHE_FOLDER):  # numba reads the folder when it decorates
            return numba.njit(cache=True, **settings)(function)

    return decorate
