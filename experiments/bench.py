"""Training steps of rnnaudio against PyTorch's and the engine's own scan, as ratios in one run.

    python -m experiments.bench [--quick] [--cells lstm gru] [--peers torch scan jax]

Every peer is a process of its own, built once; they take turns, a few steps each, so that what else the machine does
meets all of them. A figure is the median over the turns of the median within a turn; the ratio is the peer's time
over ours of the same turn, so above 1 means that rnnaudio is faster. The floor is the time that the step's products
alone would take at the machine's measured sgemm rate.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import tyro

from experiments.bench_peers import Point
from experiments.results import record
from rnnaudio import engine, fused
from rnnaudio.app.engine_report import measure_gflops
from rnnaudio.errors import RnnaudioError, run_command

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
QUICK = [GRID[1], GRID[4], GRID[7]]
N_BLOCKS = {"lstm": 4, "gru": 3}
EXTRAS = {"torch": "bench", "scan": None, "jax": "jax"}  # the extra that installs a peer's library


def gflop(point: Point, cell: str) -> float:
    """Multiplications and additions of all products of a step, in 1e9; the input's gradient is not needed."""
    rows, n, blocks = point.n_steps * point.n_batch, point.n_units, N_BLOCKS[cell]
    first = 2 * point.n_in + 3 * n  # forward and weight gradient of the input; all three of the recurrence
    others = (point.n_layers - 1) * 6 * n
    return 2 * rows * (blocks * n * (first + others) + 3 * n * point.n_in) / 1e9


class Peer:
    """A process that does training steps on demand."""

    def __init__(self, name: str, cell: str, point: Point):
        command = [sys.executable, "-m", "experiments.bench_peers", "rnnaudio" if name == "scan" else name, cell]
        environment = os.environ | {"RNNAUDIO_KERNEL": "scan" if name == "scan" or engine.MODE == "jax" else "fused"}
        self._process = subprocess.Popen(
            [*command, *map(str, point)], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.name = name
        if self._read() != "ready\n":
            raise RnnaudioError(f"the peer {name} did not start; what it says stands above")

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def seconds(self, n_steps: int) -> float:
        """Median seconds of so many steps."""
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
    """Times of rnnaudio and its peers at one point of the grid."""
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


def check_peers(names: tuple[str, ...]) -> None:
    """RnnaudioError for a peer that there is not, or whose library is not installed."""
    for name in names:
        if name not in EXTRAS:
            raise RnnaudioError(f"the peer is {name!r}; expected some of {', '.join(EXTRAS)}")
        if EXTRAS[name] and not importlib.util.find_spec(name):
            raise RnnaudioError(f"the peer {name} is not installed: pip install 'rnnaudio[{EXTRAS[name]}]'")


def main(
    cells: tuple[str, ...] = ("lstm", "gru"), peers: tuple[str, ...] = ("torch", "scan"), quick: bool = False
) -> None:
    """Measure; print the table and, unless quick, record it.

    Args:
        cells: lstm, gru.
        peers: torch, scan, jax.
        quick: three points of the grid, few turns; less than a minute.
    """
    check_peers(peers)
    rate = max(measure_gflops(dot) for dot in (fused.dot, engine.tt.dot))
    print(f"sgemm: {rate:.0f} GFLOP/s")
    rows = []
    for cell in cells:
        print(f"{cell:4} {'I H T B layers':>22} {'ms':>8} {'of sgemm':>9}  " + "  ".join(f"{p:>14}" for p in peers))
        for point in QUICK if quick else GRID:
            row = compare(point, cell, list(peers), 3 if quick else 7, 0.2 if quick else 0.5)
            ours = row["rnnaudio"]["seconds"]
            row["share_of_sgemm"] = row["gflop"] / rate / ours
            rows.append(row)
            ratios = [f"{1e3 * row[p]['seconds']:7.1f} x{row[p]['ratio']:5.2f}" for p in peers]
            size = ",".join(map(str, point))
            print(
                f"{cell:4} {size:>22} {1e3 * ours:8.1f} {row['share_of_sgemm']:9.0%}  " + "  ".join(ratios), flush=True
            )
        for peer in peers:
            ratios = [row[peer]["ratio"] for row in rows if row["cell"] == cell]
            mean = np.exp(np.mean(np.log(ratios)))
            print(f"{cell}: {peer} / rnnaudio, geometric mean {mean:.2f}, least {min(ratios):.2f}")
    if not quick:
        record("bench", {"sgemm_gflops": rate, "rows": rows})


if __name__ == "__main__":
    run_command(lambda: tyro.cli(main), "bench")
