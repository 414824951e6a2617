"""What the engine runs on, how fast it multiplies, and what would make it faster."""

import os
import platform
import time
from typing import NamedTuple

import numpy as np
import threadpoolctl

from rnnaudio import engine


class Blas(NamedTuple):
    library: str
    version: str
    threads: int
    architecture: str


class EngineReport(NamedTuple):
    """gflops: single-precision matrix product through the engine in its mode, median of several, 2 n^3 / time."""

    name: str
    version: str
    mode: str
    has_compiler: bool
    blas: list[Blas]
    gflops: float
    advice: list[str]

    def __str__(self) -> str:
        lines = [
            f"engine     {self.name} {self.version} on Python {platform.python_version()}, NumPy {np.__version__}",
            f"mode       {self.mode} (C++ compiler {'found' if self.has_compiler else 'not found'})",
        ]
        lines += [
            f"BLAS       {b.library} {b.version}, {b.threads} threads, kernels for {b.architecture}" for b in self.blas
        ]
        lines.append(f"sgemm      {self.gflops:.0f} GFLOP/s (2048 x 2048, through the engine)")
        return "\n".join(lines + [f"faster:    {a}" for a in self.advice])


def report() -> EngineReport:
    """Measure; takes a few seconds."""
    blas = [
        Blas(p["internal_api"], p.get("version") or "?", p["num_threads"], p.get("architecture") or "?")
        for p in threadpoolctl.threadpool_info()
        if p["user_api"] == "blas"
    ]
    gflops = measure_gflops()
    return EngineReport(engine.NAME, engine.VERSION, engine.MODE, engine.HAS_COMPILER, blas, gflops, _advice(blas))


def measure_gflops(n: int = 2048, repeats: int = 7) -> float:
    """GFLOP/s of C = A B in float32 with n x n matrices, through a compiled function of the engine."""
    a, b = engine.tensor("a", 2, "float32"), engine.tensor("b", 2, "float32")
    multiply = engine.function([a, b], engine.tt.dot(a, b))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, n, n), dtype=np.float32)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        multiply(x, y)
        times.append(time.perf_counter() - started)
    return float(2 * n**3 / np.median(times[1:]) / 1e9)


def _advice(blas: list[Blas]) -> list[str]:
    advice = []
    if not engine.HAS_COMPILER:
        advice.append(f"install a C++ compiler (g++ or clang): mode {engine.MODE!r} starts more slowly than 'c'")
    elif engine.MODE != "c":
        advice.append("unset RNNAUDIO_MODE: mode 'c' is the quickest for training")
    cores = os.cpu_count() or 1
    if blas and max(b.threads for b in blas) < cores:
        advice.append(f"BLAS uses fewer threads than the {cores} cores: unset OPENBLAS_NUM_THREADS or raise it")
    if any(b.architecture == "Haswell" for b in blas) and _has_avx512() and "OPENBLAS_CORETYPE" not in os.environ:
        advice.append("this processor has AVX-512, but OpenBLAS took it for a Haswell: set OPENBLAS_CORETYPE=SkylakeX")
    if engine.MODE == "c" and not engine.links_blas():
        advice.append("link a BLAS into the compiled code (Debian: libopenblas-dev); now it goes through NumPy's")
    return advice


def _has_avx512() -> bool:
    try:
        with open("/proc/cpuinfo") as file:
            return "avx512f" in file.read()
    except OSError:
        return False
