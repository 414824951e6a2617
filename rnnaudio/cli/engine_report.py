"""Report on the engine: its configuration, the speed of its matrix products, and advice to make it faster."""

import os
import platform
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import threadpoolctl

from rnnaudio import engine, ops
from rnnaudio.blas import IS_CHOSEN_HERE, NEEDED, VARIABLE, processor_flags
from rnnaudio.engine import Symbolic
from rnnaudio.kernels import micro, threads

SHORT = 4  # repeats of a product that are enough for a report


class Blas(NamedTuple):
    """A loaded BLAS library; ``architecture``: the kind of processor that its kernels are made for."""

    library: str
    version: str
    threads: int
    architecture: str


class EngineReport(NamedTuple):
    """The engine's configuration and speed.

    name, version
        name and version of the engine's package, pytensor or theano.
    mode, has_compiler
        the engine's mode (``RNNAUDIO_MODE``), and whether it has found a C++ compiler.
    kernel
        ``fused`` or ``scan``, from :func:`rnnaudio.engine.kernel`.
    gflops, blas_gflops
        speed of the layers' matrix product and of BLAS (in mode ``jax``: of XLA), from :func:`measure_gflops`.
    devices
        devices found by JAX, of which the first is used; empty unless the mode is ``jax``.
    advice
        suggestions of changes that would make the engine faster, in words.
    """

    name: str
    version: str
    mode: str
    has_compiler: bool
    kernel: str
    blas: list[Blas]
    gflops: float
    blas_gflops: float
    devices: list[str]
    advice: list[str]

    def __str__(self) -> str:
        lines = [
            f"engine     {self.name} {self.version} on Python {platform.python_version()}, NumPy {np.__version__}",
            f"mode       {self.mode} (C++ compiler {'found' if self.has_compiler else 'not found'})",
        ]
        if self.devices:
            lines.append(f"devices    {', '.join(self.devices)}, found by JAX; the first is used")
        lanes = {64: "AVX-512", 32: "AVX2", 16: "128-bit vectors"}[micro.VECTOR_BYTES]
        lines.append(f"kernels    {self.kernel}; {threads.n_threads()} threads, {lanes}")
        lines += [
            f"BLAS       {b.library} {b.version}, {b.threads} threads, kernels for {b.architecture}{_why()}"
            for b in self.blas
        ]
        other = "XLA" if self.mode == "jax" else "BLAS"
        rates = f"{self.gflops:.0f} GFLOP/s by the layers' product, {self.blas_gflops:.0f} by {other}"
        lines.append(f"sgemm      {rates} (2048 x 2048)")
        return "\n".join(lines + [f"faster:    {a}" for a in self.advice])


def _why() -> str:
    """Return a remark if the user or rnnaudio chose OpenBLAS's kernels; empty if OpenBLAS chose them itself."""
    if VARIABLE not in os.environ:
        return ""
    return f" ({VARIABLE}: set by {'rnnaudio, for this processor has AVX-512' if IS_CHOSEN_HERE else 'you'})"


def report() -> EngineReport:
    """Return a report on the engine's configuration, and on its speed, which is measured in a few seconds."""
    blas = [
        Blas(p["internal_api"], p.get("version") or "?", p["num_threads"], p.get("architecture") or "?")
        for p in threadpoolctl.threadpool_info()
        if p["user_api"] == "blas"
    ]
    gflops, blas_gflops = (measure_gflops(dot, repeats=SHORT) for dot in (ops.dot, engine.tt.dot))
    advice = _advice(blas)
    return EngineReport(
        engine.NAME,
        engine.VERSION,
        engine.MODE,
        engine.HAS_COMPILER,
        engine.kernel(),
        blas,
        gflops,
        blas_gflops,
        engine.devices(),
        advice,
    )


def measure_gflops(dot: Callable[[Symbolic, Symbolic], Symbolic], n: int = 2048, repeats: int = 7) -> float:
    """Measure the speed of ``dot``, a product of symbolic matrices, in GFLOP/s for n x n float32.

    The speed is 2 n^3 / median time / 1e9. The product is timed ``repeats`` times, and the first time is left out.
    """
    a, b = engine.tensor("a", 2, "float32"), engine.tensor("b", 2, "float32")
    multiply = engine.function([a, b], dot(a, b))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, n, n), dtype=np.float32)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        multiply(x, y)
        times.append(time.perf_counter() - started)
    return float(2 * n**3 / np.median(times[1:]) / 1e9)


def _advice(blas: list[Blas]) -> list[str]:
    if engine.MODE == "jax":
        return _advice_on_devices(engine.devices())
    advice = []
    if not engine.HAS_COMPILER:
        advice.append("install a C++ compiler (g++ or clang): perceptrons train by a third faster in mode 'c'")
    elif engine.MODE != "auto":
        advice.append("unset RNNAUDIO_MODE: by itself each model gets the mode that suits it")
    cores = os.cpu_count() or 1
    if threads.n_threads() < cores:
        advice.append(f"kernels use fewer threads than the {cores} cores: unset RNNAUDIO_THREADS or raise it")
    if engine.kernel() == "fused":
        return advice  # the rest is about BLAS, which the layers' kernels do not use
    advice.append("unset RNNAUDIO_KERNEL: fused kernels are several times faster than scan")
    if blas and max(b.threads for b in blas) < cores:
        advice.append(f"BLAS uses fewer threads than the {cores} cores: unset OPENBLAS_NUM_THREADS or raise it")
    too_low = any(b.architecture == "Haswell" for b in blas) and processor_flags() >= NEEDED
    if too_low and VARIABLE not in os.environ:  # because NumPy was loaded before rnnaudio
        advice.append("this processor has AVX-512, but OpenBLAS took it for a Haswell: set OPENBLAS_CORETYPE=SkylakeX")
    if engine.MODE in ("auto", "c") and not engine.links_blas():
        advice.append("link a BLAS into the compiled code (Debian: libopenblas-dev); now it goes through NumPy's")
    return advice


def _advice_on_devices(devices: list[str]) -> list[str]:
    if devices != ["cpu"]:
        return []
    return [
        "JAX finds no GPU: for one of NVIDIA's, pip install 'jax[cuda13]'; without one, unset RNNAUDIO_MODE, for the "
        "fused kernels are made for processors"
    ]
