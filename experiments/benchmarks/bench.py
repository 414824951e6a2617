"""Time of training steps: rnnaudio compared with PyTorch, JAX and the engine's own scan, as ratios.

    rnnaudio bench [--quick] [--cells lstm gru memory-lstm] [--peers torch torch-compiled jax scan theano]

Every peer runs in a separate process, and its model is built once. The peers take turns of a few steps each, so that
other load on the machine affects all of them. A figure is the median over the turns of the median within a turn; a
ratio is the peer's time over ours in the same turn, so rnnaudio is faster where the ratio is above 1. The floor is the
time that the step's matrix products alone would take at the measured sgemm rate of the machine.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.bench_peers import Point
from experiments.shared.options import command
from experiments.shared.records import FOLDER, record
from rnnaudio import engine, ops
from rnnaudio.cli.engine_report import measure_gflops
from rnnaudio.errors import RnnaudioError
from rnnaudio.plots import speed_ratios

GRID = [
    Point(200, 100, 160, 64, 1),
    Point(200, 200, 32, 64, 1),
    Point(200, 200, 60, 64, 3),
    Point(250, 250, 32, 64, 2),
    Point(1000, 500, 32, 64, 1),
    Point(1000, 1000, 32, 64, 1),
    Point(200, 2000, 6, 64, 1),
    Point(200, 300, 80, 16, 3),
    Point(200, 300, 80, 128, 3),
]
THEANO_PYTHON = ".venv-theano/bin/python"  # of `make theano`
PICTURES = FOLDER / "pictures"
QUICK = [GRID[1], GRID[4], GRID[7]]
MEMORY_GRID = [
    Point(250, 250, 32, 64, 2),  # the blog's of 21 March
    Point(64, 64, 32, 64, 2),
    Point(250, 250, 32, 16, 2),
    Point(500, 500, 32, 64, 2),
    Point(250, 250, 60, 64, 1),
]
GRIDS = {"lstm": GRID, "gru": GRID, "memory-lstm": MEMORY_GRID}
QUICK_GRIDS = {"lstm": QUICK, "gru": QUICK, "memory-lstm": MEMORY_GRID[1:2]}
N_BLOCKS = {"lstm": 4, "gru": 3}
#: the extra that installs a peer's library
EXTRAS = {"torch": "bench", "torch-compiled": "bench", "jax": "jax", "scan": None, "theano": None}


def gflop(point: Point, cell: str) -> float:
    """Number of multiplications and additions, in 1e9, in all products of a training step.

    The gradient with respect to the input is not computed, nor counted.
    """
    rows, n = point.n_steps * point.n_batch, point.n_units
    if cell == "memory-lstm":
        depth = point.n_layers
        recurrence = 3 * (12 + 6) * n * n * depth - 6 * n * n  # hidden layers and gates, but the gradient of x
        readout = 3 * (depth * n * 2 * n + 2 * n * n)
        return 2 * rows * (recurrence + readout) / 1e9
    blocks = N_BLOCKS[cell]
    first = 2 * point.n_in + 3 * n  # forward and weight gradient of the input; all three of the recurrence
    others = (point.n_layers - 1) * 6 * n
    return 2 * rows * (blocks * n * (first + others) + 3 * n * point.n_in) / 1e9


CHOICES = ("RNNAUDIO_KERNEL", "RNNAUDIO_MODE")  # a peer has those of OURS, else the defaults
#: peers that are rnnaudio itself, by their environment
OURS = {
    "rnnaudio": {},
    "scan": {"RNNAUDIO_KERNEL": "scan", "RNNAUDIO_MODE": "c"},
    "theano": {"RNNAUDIO_KERNEL": "scan", "RNNAUDIO_MODE": "c", "RNNAUDIO_ENGINE": "theano"},
}


class Peer:
    """A process that runs training steps on demand."""

    def __init__(self, name: str, cell: str, point: Point):
        python = THEANO_PYTHON if name == "theano" else sys.executable
        command = [python, "-m", "experiments.benchmarks.bench_peers", "rnnaudio" if name in OURS else name, cell]
        inherited = {key: value for key, value in os.environ.items() if key not in CHOICES}
        environment = inherited | OURS.get(name, {})
        self._process = subprocess.Popen(
            [*command, *map(str, point)], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.name = name
        if self._read() != "ready\n":
            raise RnnaudioError(f"the peer {name} did not start; its errors are printed above")

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def seconds(self, n_steps: int) -> float:
        """The median duration of a step, in seconds, over ``n_steps`` steps."""
        assert self._process.stdin
        self._process.stdin.write(f"{n_steps}\n")
        self._process.stdin.flush()
        return float(np.median(json.loads(self._read())))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def compare(
    point: Point, cell: str, names: list[str], turns: int, turn_seconds: float, make_peer: Callable[..., Any] = Peer
) -> dict[str, Any]:
    """Measure rnnaudio and its peers at one point of the grid; returns a row of the table."""
    with ExitStack() as stack:
        peers = []
        for name in ["rnnaudio", *names]:
            peers.append(make_peer(name, cell, point))
            stack.callback(peers[-1].close)
        steps = {peer.name: max(2, round(turn_seconds / peer.seconds(3))) for peer in peers}
        rounds = [{peer.name: peer.seconds(steps[peer.name]) for peer in peers} for _ in range(turns)]
    row: dict[str, Any] = {"cell": cell, "point": point._asdict(), "gflop": gflop(point, cell)}
    for name in ["rnnaudio", *names]:
        times = [times[name] for times in rounds]
        row[name] = {"seconds": float(np.median(times)), "lowest": min(times), "highest": max(times)}
        row[name]["ratio"] = float(np.median([times[name] / times["rnnaudio"] for times in rounds]))
    return row


def peers_of(cell: str, peers: tuple[str, ...]) -> list[str]:
    """Select the peers that apply to a cell.

    torch.compile does not speed up PyTorch's own layers, and the JAX benchmark has LSTM and GRU only.
    """
    other = "jax" if cell == "memory-lstm" else "torch-compiled"
    return [peer for peer in peers if peer != other]


def check_peers(peers: tuple[str, ...]) -> None:
    """Raise RnnaudioError for an unknown peer, or one that is not installed."""
    for peer in peers:
        if peer not in EXTRAS:
            raise RnnaudioError(f"the peer is {peer!r}; expected some of {', '.join(EXTRAS)}")
        if EXTRAS[peer] and not importlib.util.find_spec(peer.partition("-")[0]):
            raise RnnaudioError(f"the peer {peer} is not installed: pip install 'rnnaudio[{EXTRAS[peer]}]'")
    if "theano" in peers and not Path(THEANO_PYTHON).exists():
        raise RnnaudioError(f"the peer theano needs {THEANO_PYTHON}: `make theano` sets it up (Python 3.11)")


def line(row: dict[str, Any], names: list[str]) -> str:
    """Format a row of the table."""
    ratios = [f"{1e3 * row[name]['seconds']:7.1f} x{row[name]['ratio']:5.2f}" for name in names]
    size, ours = ",".join(map(str, row["point"].values())), 1e3 * row["rnnaudio"]["seconds"]
    return f"{row['cell']:11} {size:>22} {ours:8.1f} {row['share_of_sgemm']:9.0%}  " + "  ".join(ratios)


def summary(cell: str, rows: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """The geometric mean and the smallest of the ratios of a cell, by peer."""
    ratios = {name: [row[name]["ratio"] for row in rows] for name in names}
    return {
        name: {"cell": cell, "mean": float(np.exp(np.mean(np.log(values)))), "least": min(values)}
        for name, values in ratios.items()
    }


def measure_all(
    cells: tuple[str, ...] = ("lstm", "gru", "memory-lstm"),
    peers: tuple[str, ...] = ("torch", "torch-compiled", "jax", "scan"),
    quick: bool = False,
    name: str = "bench",
) -> None:
    """Measure; print the table and, unless quick, record it with a picture.

    Args:
        cells: lstm, gru, memory-lstm.
        peers: torch, torch-compiled, jax, scan, theano.
        quick: a few points of the grid, few turns; less than a minute with one peer.
        name: the name of the record.
    """
    check_peers(peers)
    rate = max(measure_gflops(dot) for dot in (ops.dot, engine.tt.dot))
    print(f"sgemm: {rate:.0f} GFLOP/s; ms, and the ratio of each peer's time to ours")
    rows, summaries = [], []
    for cell in cells:
        names = peers_of(cell, peers)
        print(f"{cell:11} {'I H T B layers':>22} {'ms':>8} {'of sgemm':>9}  " + "  ".join(f"{p:>14}" for p in names))
        of_cell = []
        for point in (QUICK_GRIDS if quick else GRIDS)[cell]:
            row = compare(point, cell, names, 3 if quick else 7, 0.2 if quick else 0.5)
            row["share_of_sgemm"] = row["gflop"] / rate / row["rnnaudio"]["seconds"]
            of_cell.append(row)
            print(line(row, names), flush=True)
        for peer, figures in summary(cell, of_cell, names).items():
            print(f"{cell}: {peer} / rnnaudio, geometric mean {figures['mean']:.2f}, least {figures['least']:.2f}")
            summaries.append(figures | {"peer": peer})
        rows += of_cell
    if not quick:
        record(name, {"sgemm_gflops": rate, "summary": summaries, "rows": rows})
        print(f"plotted {speed_ratios(rows, PICTURES / f'{name}.png')}")


main = command(measure_all)
