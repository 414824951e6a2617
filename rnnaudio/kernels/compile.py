"""numba's ``njit`` as the kernels use it: without Python's lock, and cached where it can be.

numba's own cache looks only at the file of a function, not at functions that it calls from other files: after a change
of activations.py an unchanged lstm.py would keep using the old one. So the folder's name holds a hash of all kernels.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numba

from rnnaudio.kernels.arrays import Compiled


def _cache_folder() -> Path | None:
    """Make the folder for compiled kernels, below ``NUMBA_CACHE_DIR`` or the user's cache; None if not writable."""
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    sources = sorted(Path(__file__).parent.glob("*.py"))
    content = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = Path(base) / "rnnaudio" / f"kernels-{content}"
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
    """Decorate: compile at the first call of each signature, and keep the result for later processes.

    ``options`` are numba's, over the defaults of this package.
    """

    def decorate(function: Callable[..., object]) -> Compiled:
        # Division as NumPy's: the check for zero that Python's needs would keep a loop from being vectorised.
        # "contract": a product and a sum may be one instruction with one rounding, which halves the work of a tanh.
        settings = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}} | options
        if CACHE_FOLDER is None:
            return numba.njit(**settings)(function)
        with _cached_in(CACHE_FOLDER):  # numba reads it when it decorates
            return numba.njit(cache=True, **settings)(function)

    return decorate
