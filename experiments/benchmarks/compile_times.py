"""Time of each compile mode: seconds to the first training step, with empty and full caches, and ms per later step.

    rnnaudio experiment run compile-times [--modes auto c numba python] [--kernels fused scan]

The training step: LSTM 200 -> 300 -> 300 -> 300 + Dense, 80 timesteps, 16 sequences, RMSprop with clipping, float32.
Each figure is measured in a new process. "cold" means empty caches, "warm" those that the cold run has filled. For
Theano:

    RNNAUDIO_ENGINE=theano .venv-theano/bin/rnnaudio experiment run compile-times
"""

import os
import subprocess
import sys
import time
from tempfile import TemporaryDirectory

import numpy as np

from experiments.shared.options import command
from experiments.shared.records import record
from rnnaudio.errors import RnnaudioError

N_STEPS = 15


def measure_here() -> None:
    """Print the seconds from here to the end of the first step, imports included, and the median ms of later steps."""
    started = time.perf_counter()
    from rnnaudio.data import Batch
    from rnnaudio.nn import LSTM, Dense, Sequential
    from rnnaudio.objectives import predict_next
    from rnnaudio.optimizers import RMSprop
    from rnnaudio.training import TrainStep

    rng = np.random.default_rng(0)
    layers = [LSTM(n_in, 300, rng=rng) for n_in in (200, 300, 300)]
    model = Sequential([*layers, Dense(300, 200, rng=rng)])
    step = TrainStep(model, predict_next, RMSprop(max_gradient_norm=1.0), seed=0)
    batch = Batch(rng.standard_normal((81, 16, 200)).astype("float32"), np.ones(16, bool))
    times = []
    for update in range(N_STEPS):
        before = time.perf_counter()
        step(batch, None, learning_rate=1e-3, update=update)
        times.append(time.perf_counter() - before)
        if update == 0:
            first = time.perf_counter() - started
    print(first, 1e3 * float(np.median(times[1:])))


def measure(mode: str, kernel: str, folder: str) -> tuple[float, float]:
    """Measure in a new process with the caches in ``folder``: (seconds to the first step, milliseconds per step).

    RnnaudioError if the process fails.
    """
    caches = {name: f"base_compiledir={folder}" for name in ("PYTENSOR_FLAGS", "THEANO_FLAGS")}
    environment = (
        os.environ
        | caches
        | {
            "RNNAUDIO_MODE": mode,
            "RNNAUDIO_KERNEL": kernel,
            "NUMBA_CACHE_DIR": f"{folder}/numba",
        }
    )
    command = [sys.executable, "-c", "from experiments.benchmarks.compile_times import measure_here; measure_here()"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RnnaudioError(f"mode {mode}, kernel {kernel} failed; its errors are printed above")
    first, per_step = done.stdout.split()[-2:]
    return float(first), float(per_step)


def measure_all(modes: tuple[str, ...] = ("auto", "c"), kernels: tuple[str, ...] = ("fused", "scan")) -> None:
    """Measure and record.

    Args:
        modes: which of auto, c, numba, python.
        kernels: which of fused, scan; scan is left out in modes auto, which is c there, and python, where a step takes
            minutes.
    """
    from rnnaudio import engine

    rows = []
    for kernel in kernels:
        for mode in modes:
            if kernel == "scan" and mode in ("auto", "python"):
                continue  # auto is c there
            with TemporaryDirectory() as folder:
                cold, _ = measure(mode, kernel, folder)
                warm, per_step = measure(mode, kernel, folder)
            row = {"kernel": kernel, "mode": mode, "cold_seconds": cold, "warm_seconds": warm}
            rows.append(row | {"milliseconds_per_step": per_step})
            times = f"cold {cold:6.1f} s   warm {warm:6.1f} s   {per_step:7.1f} ms per step"
            print(f"{engine.NAME} {kernel:5} {mode:7} {times}", flush=True)
    record(f"compile-times-{engine.NAME}", {"rows": rows})


main = command(measure_all)
