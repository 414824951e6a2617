"""What each compile mode costs: seconds to the first training step, with empty caches and with full ones, and
milliseconds per step after that.

    python -m experiments.compile_times [--modes c numba python]

The step is that of `make predict`: LSTM 200 -> 300 + Dense, 32 steps, 64 sequences, RMSprop with clipping, float32.
Each figure comes from a process of its own; "cold" has an empty compile directory. Theano: run it with the Python of
.venv-theano and RNNAUDIO_ENGINE=theano.
"""

import os
import subprocess
import sys
import time
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import tyro

from experiments.results import record
from rnnaudio.errors import run_command

N_STEPS = 15


def measure_here() -> None:
    """Print seconds to the first finished step and the median of the following steps in milliseconds."""
    started = time.perf_counter()
    from rnnaudio.data import Batch
    from rnnaudio.nn import LSTM, Dense, Sequential
    from rnnaudio.objectives import predict_next
    from rnnaudio.optimizers import RMSprop
    from rnnaudio.training import TrainStep

    rng = np.random.default_rng(0)
    model = Sequential([LSTM(200, 300, rng=rng), Dense(300, 200, rng=rng)])
    step = TrainStep(model, predict_next, RMSprop(max_gradient_norm=1.0), seed=0)
    batch = Batch(rng.standard_normal((33, 64, 200)).astype("float32"), np.ones(64, bool))
    times = []
    for update in range(N_STEPS):
        before = time.perf_counter()
        step(batch, None, learning_rate=1e-3, update=update)
        times.append(time.perf_counter() - before)
        if update == 0:
            first = time.perf_counter() - started
    print(first, 1e3 * float(np.median(times[1:])))


def measure(mode: str, folder: str) -> tuple[float, float]:
    """(seconds to the first step, milliseconds per step) of a fresh process in this compile directory."""
    caches = {name: f"base_compiledir={folder}" for name in ("PYTENSOR_FLAGS", "THEANO_FLAGS")}
    environment = os.environ | caches | {"RNNAUDIO_MODE": mode, "NUMBA_CACHE_DIR": f"{folder}/numba"}
    command = [sys.executable, "-c", "from experiments.compile_times import measure_here; measure_here()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, per_step = done.stdout.split()[-2:]
    return float(first), float(per_step)


def main(modes: Annotated[tuple[str, ...], tyro.conf.arg(help="which of c, numba, python")] = ("c", "python")) -> None:
    """Measure and record."""
    from rnnaudio import engine

    rows = []
    for mode in modes:
        with TemporaryDirectory() as folder:
            cold, _ = measure(mode, folder)
            warm, per_step = measure(mode, folder)
        rows.append({"mode": mode, "cold_seconds": cold, "warm_seconds": warm, "milliseconds_per_step": per_step})
        print(f"{engine.NAME} {mode:7s} cold {cold:6.1f} s   warm {warm:6.1f} s   {per_step:7.1f} ms per step")
    record(f"compile-times-{engine.NAME}", {"rows": rows})


if __name__ == "__main__":
    run_command(lambda: tyro.cli(main), "compile_times")
