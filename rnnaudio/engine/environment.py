"""The engine, mode and kernel, as selected by environment variables, and the dtype and kernel of new graphs."""

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnaudio.engine.compiler import leave_out_useless_compiler
from rnnaudio.errors import RnnaudioError
from rnnaudio.notes import print_notes

ENGINES = ("pytensor", "theano")
MODES = {"pytensor": ("auto", "c", "python", "numba", "jax"), "theano": ("auto", "c", "python")}
KERNELS = ("fused", "scan")
TRACE_LIMIT = {"pytensor": "traceback__limit", "theano": "limit"}


def _choose(variable: str, allowed: Sequence[str], default: str) -> str:
    value = os.environ.get(variable, "").strip().lower() or default
    if value not in allowed:
        raise RnnaudioError(f"{variable} is {value!r}; expected one of {', '.join(allowed)}")
    return value


def _import_pytensor() -> tuple[Any, Any, Any]:
    # `rnnaudio info` reports the missing BLAS once, with its cost and the remedy.
    warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS", category=UserWarning)
    import pytensor
    import pytensor.tensor as tensor
    from pytensor.tensor import random  # noqa: F401  (the import registers rewrites of scan)

    return pytensor, tensor, pytensor.scan


def _import_theano() -> tuple[Any, Any, Any]:
    if sys.version_info >= (3, 12):
        raise RnnaudioError(
            f"RNNAUDIO_ENGINE=theano needs Python 3.11, got {sys.version.split()[0]}: Theano 1.0.5 imports distutils, "
            "which Python 3.12 removed. Use Python 3.11 or the default engine, PyTensor"
        )
    if np.lib.NumpyVersion(np.__version__) >= "1.24.0":
        raise RnnaudioError(
            f"RNNAUDIO_ENGINE=theano needs NumPy below 1.24, got {np.__version__}; `make test-theano` and "
            "`make theano` set up an environment with it"
        )
    # Theano's default asks NumPy for a BLAS description that NumPy dropped in 1.22; an explicit value avoids the call.
    flags = os.environ.get("THEANO_FLAGS", "")
    if "blas.ldflags" not in flags:
        os.environ["THEANO_FLAGS"] = ",".join(filter(None, [flags, "blas.ldflags="]))
    # scan's C extension includes longintrepr.h, which moved in Python 3.11; None makes Theano use its Python loop.
    sys.modules["theano.scan_module.scan_perform_ext"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import theano
            import theano.tensor as tensor
    except ImportError as error:
        raise RnnaudioError(
            f"RNNAUDIO_ENGINE=theano, but Theano cannot be imported ({error}); `make theano` sets it up"
        ) from error
    return theano, tensor, theano.scan


NAME = _choose("RNNAUDIO_ENGINE", ENGINES, "pytensor")
leave_out_useless_compiler(os.environ, NAME)
print_notes()
backend, tt, raw_scan = _import_theano() if NAME == "theano" else _import_pytensor()
VERSION: str = backend.__version__
HAS_COMPILER = bool(backend.config.cxx)
MODE = _choose("RNNAUDIO_MODE", MODES[NAME], "auto" if HAS_COMPILER else "python")
if MODE in ("auto", "c") and not HAS_COMPILER:
    raise RnnaudioError(
        f"RNNAUDIO_MODE={MODE} needs a C++ compiler and none was found; install g++ or clang, or unset it"
    )
jax_mode: Any = importlib.import_module("rnnaudio.engine.jax_mode") if MODE == "jax" else None


def _checked_kernel(name: str) -> str:
    if name == "fused" and MODE == "jax":
        raise RnnaudioError(
            "the kernel is 'fused' and the mode 'jax', which cannot go together: JAX compiles the loop over time "
            "itself and cannot call compiled kernels; set RNNAUDIO_KERNEL=scan, or another RNNAUDIO_MODE"
        )
    return name


_kernel = _checked_kernel(_choose("RNNAUDIO_KERNEL", KERNELS, "scan" if MODE == "jax" else "fused"))
if MODE == "python":
    backend.config.cxx = ""  # otherwise both engines still use C++ to fold constants and for the step inside scan
if "traceback" not in os.environ.get(f"{NAME.upper()}_FLAGS", ""):
    # Recording the line of code that made each variable, which few error messages show, takes a sixth of the time in
    # which a graph is built.
    setattr(backend.config if NAME == "pytensor" else backend.config.traceback, TRACE_LIMIT[NAME], 0)
backend.config.floatX = "float32"
# Each compilation would warn again that NumPy's BLAS is used; `rnnaudio info` reports it once, with its cost.
logging.getLogger(f"{NAME}.tensor.blas").setLevel(logging.ERROR)
logging.getLogger(f"{NAME}.tensor.blas_headers").setLevel(logging.ERROR)


def devices() -> list[str]:
    """Return the names of the devices that JAX finds, the one in use first; an empty list in all other modes."""
    return jax_mode.devices() if MODE == "jax" else []


def links_blas() -> bool:
    """Return True if compiled code calls a BLAS library directly rather than through NumPy."""
    config = backend.config
    return bool(config.blas.ldflags if NAME == "theano" else config.blas__ldflags)


def float_type() -> str:
    """Return the dtype of new parameters and graphs: ``float32`` unless inside :func:`precision`."""
    return str(backend.config.floatX)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Return a context manager that sets the dtype of new graphs and parameters: ``with precision("float64"): ...``.

    ValueError for a dtype other than ``float32`` and ``float64``.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"precision is {dtype!r}; expected 'float32' or 'float64'")
    before = float_type()
    backend.config.floatX = dtype
    try:
        yield
    finally:
        backend.config.floatX = before


def kernel() -> str:
    """Return ``fused`` if new graphs compute products and recurrences by kernels, else ``scan``."""
    return _kernel


@contextlib.contextmanager
def using_kernel(name: str) -> Iterator[None]:
    """Return a context manager that sets the result of :func:`kernel`, and thus the operations of new graphs.

    A graph built within ``with using_kernel("scan"): ...`` contains every operation of the equations. ValueError for
    an unknown name, RnnaudioError for ``fused`` in mode ``jax``.
    """
    global _kernel
    if name not in KERNELS:
        raise ValueError(f"kernel is {name!r}; expected one of {', '.join(KERNELS)}")
    before, _kernel = _kernel, _checked_kernel(name)
    try:
        yield
    finally:
        _kernel = before
