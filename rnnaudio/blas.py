"""The two settings of NumPy's BLAS that have to be made before NumPy is loaded.

OpenBLAS takes some processors with AVX-512 for a Haswell and then multiplies at half their speed (measured on virtual
machines, November 2026). Layers multiply by kernels of their own; this matters to raw scan and to what NumPy computes.

``RNNAUDIO_THREADS`` holds for BLAS too: its threads wait by spinning, and on a machine that others use as well a
singular value decomposition of 400 x 200 took 2.3 s with two of them.
"""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS")  # OpenBLAS reads them in this order
NEEDED = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}  # what OpenBLAS' kernels for SkylakeX use


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """What the first processor can do, as Linux calls it; empty elsewhere."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def prefer_avx512(environment: MutableMapping[str, str], flags: set[str], numpy_is_loaded: bool) -> bool:
    """Name the kernels for AVX-512 where the processor has it; whether it was done.

    Never where the user has chosen, and not once NumPy is loaded, for then it would do nothing.
    """
    if VARIABLE in environment or numpy_is_loaded or not flags >= NEEDED:
        return False
    environment[VARIABLE] = "SkylakeX"
    return True


def follow_threads(environment: MutableMapping[str, str]) -> None:
    """Let BLAS have as many threads as rnnaudio was told to use; not where the user has said how many BLAS has."""
    asked = environment.get("RNNAUDIO_THREADS", "").strip()
    if asked.isdecimal() and not any(variable in environment for variable in THREAD_VARIABLES):
        environment[THREAD_VARIABLES[0]] = asked


follow_threads(os.environ)  # with NumPy loaded it does nothing to this process, but holds for those that it starts
IS_CHOSEN_HERE = prefer_avx512(os.environ, processor_flags(), "numpy" in sys.modules)
