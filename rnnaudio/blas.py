"""Environment variables for NumPy's BLAS and for threads, which must be set before NumPy is loaded.

OpenBLAS mistakes some processors with AVX-512 for a Haswell and then multiplies at half their speed (measured on
virtual machines, November 2026). The layers' fused kernels do not use BLAS; the kernel ``scan`` and NumPy's matrix
products do.

``RNNAUDIO_THREADS`` also limits the threads of BLAS, which spin while they wait: on a shared machine the singular
value decomposition of a 400 x 200 matrix, which takes milliseconds, took 2.3 s with two threads.

In OpenMP ``OMP_NUM_THREADS`` may be a list, with a number for each level of nesting. PyTensor raises TypeError for a
list, and for anything else that is not a number; numba raises ValueError for ``NUMBA_NUM_THREADS=0``. A list is
therefore cut to its first number, and an invalid value is deleted.
"""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from rnnaudio.notes import note

VARIABLE = "OPENBLAS_CORETYPE"
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS")  # OpenBLAS reads them in this order
READ_BY_OTHERS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
NEEDED = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}  # by OpenBLAS's SkylakeX kernels


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Read the first processor's feature flags, as Linux names them, from ``path``.

    The set is empty if the file cannot be read (on other systems) or lists no flags.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def prefer_avx512(environment: MutableMapping[str, str], flags: set[str], numpy_is_loaded: bool) -> bool:
    """Select OpenBLAS's AVX-512 kernels if ``flags`` show that the processor supports them; return True if selected.

    Sets ``OPENBLAS_CORETYPE`` in ``environment``. Does nothing if the user has set this variable already, or if NumPy
    is loaded, because the variable would then have no effect. flags: the result of :func:`processor_flags`.
    """
    if VARIABLE in environment or numpy_is_loaded or not flags >= NEEDED:
        return False
    environment[VARIABLE] = "SkylakeX"
    return True


def mend_threads(environment: MutableMapping[str, str]) -> None:
    """Make each variable of READ_BY_OTHERS in ``environment`` a single positive integer.

    A list (``4,2``) is cut to its first number. If the first entry is not a positive integer, the variable is deleted,
    with a note to the user unless the value is blank.
    """
    for variable in READ_BY_OTHERS:
        text = environment.get(variable)
        if text is None:
            continue
        first = text.partition(",")[0].strip()
        if first.isdecimal() and first.isascii() and int(first) > 0:
            environment[variable] = first
            continue
        del environment[variable]
        if text.strip():
            note(f"{variable} is {text!r} and ignored; expected a number of threads, 1 or more")


def follow_threads(environment: MutableMapping[str, str]) -> None:
    """Set OPENBLAS_NUM_THREADS in ``environment`` to the value of RNNAUDIO_THREADS, if the latter is a whole number.

    Does nothing if any variable of THREAD_VARIABLES is already set.
    """
    n_threads = environment.get("RNNAUDIO_THREADS", "").strip()
    if n_threads.isdecimal() and not any(variable in environment for variable in THREAD_VARIABLES):
        environment[THREAD_VARIABLES[0]] = n_threads


mend_threads(os.environ)
follow_threads(os.environ)  # if NumPy is loaded already, this affects child processes only
IS_CHOSEN_HERE = prefer_avx512(os.environ, processor_flags(), "numpy" in sys.modules)
