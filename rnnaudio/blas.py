"""Two settings of NumPy's BLAS that must be made before NumPy is loaded.

OpenBLAS mistakes some processors with AVX-512 for a Haswell and then multiplies at half their speed (measured on
virtual machines, November 2026). Layers have kernels of their own; this matters to scan and to NumPy's products.

``RNNAUDIO_THREADS`` holds for BLAS too: its threads wait by spinning, and on a shared machine a singular value
decomposition of 400 x 200 took 2.3 s with two of them.
"""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS")  # OpenBLAS reads them in this order
NEEDED = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}  # used by OpenBLAS's kernels for SkylakeX


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Read the feature flags of the first processor, by Linux's names; empty on other systems."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def prefer_avx512(environment: MutableMapping[str, str], flags: set[str], numpy_is_loaded: bool) -> bool:
    """Choose OpenBLAS's kernels for AVX-512 where the processor has it; return whether this was done.

    The user's own choice is never changed. Once NumPy is loaded it would have no effect, and is not done.
    """
    if VARIABLE in environment or numpy_is_loaded or not flags >= NEEDED:
        return False
    environment[VARIABLE] = "SkylakeX"
    return True


def follow_threads(environment: MutableMapping[str, str]) -> None:
    """Set the number of BLAS's threads to ``RNNAUDIO_THREADS``, unless the user has set it."""
    n_threads = environment.get("RNNAUDIO_THREADS", "").strip()
    if n_threads.isdecimal() and not any(variable in environment for variable in THREAD_VARIABLES):
        environment[THREAD_VARIABLES[0]] = n_threads


follow_threads(os.environ)  # once NumPy is loaded it has no effect on this process, only on those that it starts
IS_CHOSEN_HERE = prefer_avx512(os.environ, processor_flags(), "numpy" in sys.modules)
