"""Predicted and measured memory of a training step; and of a long sequence in segments.

    rnnaudio experiment run memory [--kernels fused scan] [--long]

Each point runs in a new process: a model is built and compiled, then three updates are run, with batches that are
prepared in advance. The measured memory is the growth of resident memory from before the updates to its peak, plus the
parameters and the optimizer's state, which were allocated earlier. Linux only, because other systems do not report the
peak since a given time.
"""

import ctypes
import dataclasses
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.shared.options import command
from experiments.shared.records import record
from rnnaudio.data import Batch
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import buffers
from rnnaudio.objectives import STRATEGIES
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.frames.build import build_model, build_optimizer
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.training import SegmentedTrainStep, TrainStep, training_step
from rnnaudio.training.memory import in_bytes, step_memory
from rnnaudio.training.prefetch import prefetched

POINTS = {
    "LSTM": FramesConfig(n_steps=80, batch_size=64),
    "LSTM, large batch": FramesConfig(n_steps=80, batch_size=256),
    "LSTM, wide": FramesConfig(n_steps=32, batch_size=64, model=ModelConfig(n_units=1000)),
    "LSTM x 3": FramesConfig(n_steps=160, batch_size=64, model=ModelConfig(n_layers=3)),
    "GRU x 3, Adam": FramesConfig(n_steps=160, batch_size=64, model=ModelConfig("gru", n_layers=3), optimizer="adam"),
    "noisy, learnt start": FramesConfig(
        n_steps=80, batch_size=64, model=ModelConfig(n_layers=2, input_noise=0.1, learn_initial_state=True)
    ),
    "noisy state": FramesConfig(n_steps=40, batch_size=64, model=ModelConfig(state_noise=0.1)),
    "skip connections": FramesConfig(n_steps=80, batch_size=64, model=ModelConfig(n_layers=3, skip_connections=True)),
    "linear skip, MLP": FramesConfig(n_steps=80, batch_size=64, model=ModelConfig(linear_skip=2, readout_units=400)),
    "LSTM x 3 in segments": FramesConfig(
        n_steps=1280, batch_size=64, segment_steps=160, model=ModelConfig(n_layers=3)
    ),
    "LSTM in uneven segments": FramesConfig(n_steps=1000, batch_size=64, segment_steps=150),
}
N_UPDATES = 3
LONG = FramesConfig(n_steps=32_000, batch_size=4, segment_steps=180, model=ModelConfig(n_layers=3))


def predicted(config: FramesConfig) -> int:
    """The number of bytes predicted for a training step."""
    model, objective, optimizer = build_model(config), STRATEGIES[config.strategy], build_optimizer(config)
    sizes = {"n_steps": config.n_steps, "batch_size": config.batch_size, "segment_steps": config.segment_steps}
    return step_memory(model, objective, optimizer, **sizes).total


def step_of(config: FramesConfig) -> TrainStep | SegmentedTrainStep:
    """The compiled training step of a config."""
    about = build_model(config), STRATEGIES[config.strategy], build_optimizer(config)
    return training_step(*about, seed=0, segment_steps=config.segment_steps)


def measure_here(settings: str) -> None:
    """Print the peak memory of a training step and of this process, in bytes, and the seconds of the last update."""
    config = from_dict(FramesConfig, json.loads(settings))
    step = step_of(config)
    rng = np.random.default_rng(0)

    def batch(n_steps: int, batch_size: int) -> Batch:
        frames = rng.standard_normal((n_steps + 1, batch_size, config.frame_size), np.float32)
        return Batch(frames, np.ones(batch_size, bool))

    for update in range(2):  # kernels are compiled at the first call
        step(batch(2, 2), None, learning_rate=1e-3, update=update)
    before = _settled_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    with prefetched(lambda index: batch(config.n_steps, config.batch_size), range(N_UPDATES)) as coming:
        for update in range(N_UPDATES):
            began = time.perf_counter()
            step(next(coming), None, learning_rate=1e-3, update=update)
            seconds = time.perf_counter() - began
    held = [*step.parameters.values(), *step.optimizer_state.arrays.values()]
    there = sum(variable.get_value(borrow=True).nbytes for variable in held)
    print(_status("VmHWM") - before + there, _status("VmHWM"), seconds)


def _settled_bytes() -> int:
    buffers.clear()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


def measure(config: FramesConfig, kernel: str = "fused") -> dict[str, Any]:
    """Measure the peak memory of a step and of the whole process, in bytes, and the seconds of an update.

    The measurement runs in a new process; RnnaudioError if that fails. kernel: ``fused`` or ``scan``.
    """
    settings = json.dumps(dataclasses.asdict(config))
    code = f"from experiments.benchmarks.memory import measure_here; measure_here({settings!r})"
    environment = os.environ | {"RNNAUDIO_KERNEL": kernel}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RnnaudioError("the process failed; its errors are printed above")
    peak, process, seconds = done.stdout.split()[-3:]
    return {"measured": int(peak), "process": int(process), "seconds": float(seconds)}


def measure_all(kernels: tuple[str, ...] = ("fused",), long: bool = False) -> None:
    """Measure, print and record.

    Args:
        kernels: which of fused, scan.
        long: instead, three updates over 32,000 steps in segments of 180; two minutes.
    """
    from rnnaudio import engine

    rows = []
    for kernel in kernels:
        for name, config in ({"32,000 steps": LONG} if long else POINTS).items():
            with engine.using_kernel(kernel):
                expected = predicted(config)
            got = measure(config, kernel)
            about = {"name": name, "kernel": kernel, "config": dataclasses.asdict(config)}
            rows.append(about | {"predicted": expected} | got)
            figures = f"predicted {in_bytes(expected):>8}, measured {in_bytes(got['measured']):>8}"
            ratio = f"ratio {expected / got['measured']:.2f}"
            print(f"{kernel:5} {name:24} {figures}, {ratio}, {got['seconds']:7.2f} s per update", flush=True)
    record("memory-long" if long else "memory", {"rows": rows})


main = command(measure_all)
