"""Training on several processes: the time of an update, a model of it, and the scaling that the model predicts.

    rnnaudio experiment run data-parallel [--smoke]

With B rows in a batch, P bytes of gradients and n processes, an update takes, by the model,

    t(n) = g(B / n) + 2 (n - 1) / n P / bandwidth + N_MEETINGS log2(n) latency + u

g is the time of the gradients of B / n rows, u that of the update of the parameters. Both are measured in a process
with one thread, as each of the n processes has. When the model is compared with measured updates, the times of a sum
and of a meeting of n processes on this machine, which are measured as well, replace those of the second and third
term; with more processes than cores, g and u are multiplied by n / cores. For networks between machines, which are not
measured, the model predicts up to how many nodes the efficiency stays at EFFICIENCY or above: with a batch of constant
size (strong scaling), or with one that grows with the number of nodes (weak scaling).

Nothing is sent before the backward pass has ended. By the model, sending during the backward pass would save at most
the smaller of two times: that of sending, and that of the backward pass, taken as BACKWARD_SHARE of g.
"""

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.shared.options import Figures, command
from experiments.shared.records import record
from rnnaudio.data import Batch
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Layer
from rnnaudio.objectives import predict_next
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.frames.build import build_model, build_optimizer
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.training.gradients import Update, WholeGradients
from rnnaudio.training.shared import SharedTrainStep

ROOT = Path(__file__).parents[2]  # where processes find this module

POINTS = {
    "LSTM, 200 units": FramesConfig(model=ModelConfig(n_units=200)),
    "LSTM, 3 x 300 units": FramesConfig(n_steps=80, model=ModelConfig(n_layers=3, n_units=300)),
    "LSTM, 1000 units": FramesConfig(frame_size=1000, model=ModelConfig(n_units=1000)),
}
TINY = {"LSTM, 8 units": FramesConfig(frame_size=20, n_steps=5, batch_size=8, model=ModelConfig(n_units=8))}
PROCESSES = (1, 2, 4)
N_MEETINGS = 4  # small exchanges of an update: three meetings, and the sum of weight, loss and reported values
EFFICIENCY, MOST_NODES = 0.8, 4096
LATENCY_SECONDS = 50e-6  # of a message by TCP between two machines, an assumption
GBITS = (1, 10, 100)
BACKWARD_SHARE = 2 / 3  # of forward and backward pass together: two products for each one of the forward pass


class Costs(NamedTuple):
    """Costs of an update of one process.

    gradients: function from a number of rows to the seconds of forward and backward pass. update: seconds of the
    update of the parameters. n_bytes: size of all gradients.
    """

    gradients: Callable[[float], float]
    update: float
    n_bytes: int


def seconds(costs: Costs, rows: float, n: int, bandwidth: float, latency: float) -> float:
    """Seconds of an update by the model: n processes with ``rows`` each; bandwidth in bytes a second, latency in s."""
    sent = 2 * (n - 1) / n * costs.n_bytes / bandwidth
    return costs.gradients(rows) + sent + N_MEETINGS * math.log2(n) * latency + costs.update


def most_nodes(costs: Costs, batch_size: int, bandwidth: float, latency: float, *, weak: bool) -> int:
    """The largest number of nodes, a power of two, with an efficiency of EFFICIENCY or above, by the model.

    The efficiency is the number of rows per second and node, relative to one node. weak: whether the batch grows with
    the nodes, so that each has ``batch_size`` rows, for up to MOST_NODES nodes; if False, the nodes share a batch of
    ``batch_size`` rows, and have at least one row each.
    """
    alone, n = seconds(costs, batch_size, 1, bandwidth, latency), 1
    while 2 * n <= (MOST_NODES if weak else batch_size):
        rows = batch_size if weak else batch_size / (2 * n)
        efficiency = alone / (seconds(costs, rows, 2 * n, bandwidth, latency) * (1 if weak else 2 * n))
        if efficiency < EFFICIENCY:
            break
        n *= 2
    return n


def overlap_saves(costs: Costs, batch_size: int, n: int, bandwidth: float, latency: float) -> float:
    """The largest share of an update that sending gradients during the backward pass could save, by the model.

    n processes share the batch.
    """
    rows = batch_size / n
    sending = 2 * (n - 1) / n * costs.n_bytes / bandwidth
    hidden = min(sending, BACKWARD_SHARE * costs.gradients(rows))
    return hidden / seconds(costs, rows, n, bandwidth, latency)


# ---------------------------------------------------------------- in the processes


def batch_of(config: FramesConfig, n_rows: int) -> Batch:
    """A batch of Gaussian noise: frames (time + 1, n_rows, frame_size), float32."""
    shape = (config.n_steps + 1, n_rows, config.frame_size)
    return Batch(np.random.default_rng(0).standard_normal(shape, np.float32), np.ones(n_rows, bool))


def timed(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of ``repeats`` calls of ``work``, after one call that is not counted."""
    work()
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return float(np.median(found))


def measure_alone(settings: str, repeats: int) -> None:
    """Print as JSON the seconds of the gradients by number of rows and of the update, and the gradients' bytes."""
    config = from_dict(FramesConfig, json.loads(settings))
    model = build_model(config)
    gradients = WholeGradients(model, predict_next, seed=0)
    numbers = [config.batch_size >> halvings for halvings in range(config.batch_size.bit_length())]
    batches = {n_rows: batch_of(config, n_rows) for n_rows in reversed(numbers)}
    by_rows = {n: timed(partial(gradients, batch, None, update=0), repeats) for n, batch in batches.items()}
    update = _update_seconds(config, model, repeats)
    print(json.dumps({"gradients": by_rows, "update": update, "bytes": _bytes(model)}))


def _update_seconds(config: FramesConfig, model: Layer, repeats: int) -> float:
    update = Update(build_optimizer(config), model.parameters(), "python")
    zeros = {name: np.zeros_like(p.get_value(borrow=True)) for name, p in model.parameters().items()}
    return timed(lambda: update(zeros, 1e-6), repeats)


def _bytes(model: Layer) -> int:
    return sum(p.get_value(borrow=True).nbytes for p in model.parameters().values())


def measure_together(settings: str, repeats: int) -> None:
    """Print as JSON, in the first process, the seconds of a sum of all gradients, of a meeting, and of an update."""
    from rnnaudio.parallel.mpi import MpiRanks

    config = from_dict(FramesConfig, json.loads(settings))
    with MpiRanks() as ranks:
        model, size = build_model(config), ranks.share.size
        step = SharedTrainStep(model, predict_next, build_optimizer(config), seed=0, segment_steps=0, ranks=ranks)
        batch = batch_of(config, config.batch_size // size)
        buffer = np.zeros(_bytes(model) // 4, np.float32)
        figures = {
            "sum": timed(lambda: ranks.add(buffer), repeats),
            "meeting": timed(ranks.meet, repeats),
            "whole": timed(lambda: step(batch, None, learning_rate=1e-6, update=0), repeats),
        }
    if ranks.is_first:
        print(json.dumps(figures))


# ---------------------------------------------------------------- the measurement


def _run(function: str, config: FramesConfig, repeats: int, launcher: tuple[str, ...] = ()) -> Figures:
    """Call a function of this module in a new process, or in several by a launcher; returns the figures it prints."""
    settings = json.dumps(dataclasses.asdict(config))
    code = f"from experiments.benchmarks.data_parallel import {function}; {function}({settings!r}, {repeats})"
    done = subprocess.run(
        [*launcher, sys.executable, "-c", code], env=os.environ | {"RNNAUDIO_THREADS": "1"}, stdout=subprocess.PIPE,
        text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        raise RnnaudioError("the processes failed; their errors are printed above")
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def _launcher() -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which("mpiexec", path=path)
    if not found:
        raise RnnaudioError("there is no mpiexec: pip install 'rnnaudio[mpi]'")
    return found


def measured(config: FramesConfig, processes: tuple[int, ...], n_cores: int, repeats: int) -> Figures:
    """Measure a network on each number of processes; returns the figures and the predictions of the model.

    RnnaudioError if there is no ``mpiexec``, or if the processes fail.
    """
    alone = _run("measure_alone", config, repeats)
    by_rows = {int(rows): value for rows, value in alone["gradients"].items()}
    costs = Costs(lambda rows: float(np.interp(rows, list(by_rows), list(by_rows.values()))), alone["update"], 0)
    rows = []
    for n in processes:
        got = _run("measure_together", config, repeats, (_launcher(), "-n", str(n)))
        computed = (costs.gradients(config.batch_size / n) + costs.update) * max(1.0, n / n_cores)
        modelled = computed + got["sum"] + N_MEETINGS * got["meeting"]
        rows.append({"processes": n, "model": modelled, **got})
    costs = costs._replace(n_bytes=alone["bytes"])
    scales = [
        {
            "gbits": gbits,
            "strong": most_nodes(costs, config.batch_size, gbits * 1e9 / 8, LATENCY_SECONDS, weak=False),
            "weak": most_nodes(costs, config.batch_size, gbits * 1e9 / 8, LATENCY_SECONDS, weak=True),
            "overlap": overlap_saves(costs, config.batch_size, 2, gbits * 1e9 / 8, LATENCY_SECONDS),
        }
        for gbits in GBITS
    ]
    return {"alone": alone, "rows": rows, "scales": scales}


def measure_all(smoke: bool = False, repeats: int = 20) -> None:
    """Measure, print and, unless smoke, record; nothing else should run on the machine.

    Args:
        smoke: a tiny network on one and two processes, not recorded.
        repeats: the number of repetitions of each measurement; the result is their median.
    """
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = (1, 2) if smoke else PROCESSES
    found: dict[str, Any] = {}
    for name, config in (TINY if smoke else POINTS).items():
        found[name] = measured(config, processes, n_cores, 2 if smoke else repeats)
        _show(name, found[name])
    if not smoke:
        record("data-parallel", {"cores": n_cores, "latency_seconds": LATENCY_SECONDS, "networks": found})


def _show(name: str, figures: Figures) -> None:
    print(f"{name}: {figures['alone']['bytes'] / 1e6:.2f} MB an update")
    for row in figures["rows"]:
        times = {key: f"{1e3 * row[key]:.2f} ms" for key in ("whole", "model", "sum", "meeting")}
        print(f"  {row['processes']} processes: update {times['whole']}, by the model {times['model']}, "
              f"sum {times['sum']}, meeting {times['meeting']}", flush=True)  # fmt: skip
    for row in figures["scales"]:
        print(f"  {row['gbits']} Gbit/s, by the model: {row['strong']} nodes strong, {row['weak']} weak; "
              f"on two nodes, overlap would save {row['overlap']:.0%} at most")  # fmt: skip


main = command(measure_all)
