"""Time of training steps: rnnaudio compared with PyTorch, JAX and the engine's own scan, as ratios.

    rnnaudio bench [--quick] [--cells lstm gru memory-lstm] [--peers torch torch-compiled jax scan theano]
    rnnaudio bench --phases | --memory | --start

The first form also compares whole models with PyTorch's (:mod:`~experiments.benchmarks.bench_models`). The others
measure the phases of a step (:mod:`~experiments.benchmarks.phases`), resident memory
(:mod:`~experiments.benchmarks.bench_memory`), and the time to the first update (:mod:`~experiments.benchmarks.start`).

Every peer runs in a separate process, and its model is built once. The peers take turns of some steps each, so that
other load on the machine affects all of them. A time is the median over the turns of the median within a turn. A ratio
is the median of the peer's time over ours in the same turn: rnnaudio is faster where it is above 1. "of sgemm" is the
time that the step's matrix products alone would take at the machine's measured sgemm rate, over our time.
"""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import bench_memory, bench_models, phases, start
from experiments.benchmarks.bench_peers import Point
from experiments.benchmarks.peers import THEANO_PYTHON, Process, in_turns
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
    """Number of multiplications and additions in all matrix products of a training step, in units of 1e9.

    The gradient with respect to the input is not computed, so it is not counted.
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


class Peer(Process):
    """A process that trains layers of a cell with the sizes of a point of the grid."""

    def __init__(self, name: str, cell: str, point: Point):
        super().__init__(name, "bench_peers", [cell, *map(str, point)])


def compare(
    point: Point, cell: str, names: list[str], turns: int, turn_seconds: float, make_peer: Callable[..., Any] = Peer
) -> dict[str, Any]:
    """Measure rnnaudio and its peers at one point of the grid; returns a row of the table."""
    makers = [partial(make_peer, name, cell, point) for name in ("rnnaudio", *names)]
    row: dict[str, Any] = {"cell": cell, "point": point._asdict(), "gflop": gflop(point, cell)}
    return row | in_turns(makers, turns, turn_seconds, None)


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
    cells: tuple[str, ...] = (),
    peers: tuple[str, ...] = ("torch", "torch-compiled", "jax", "scan"),
    models: tuple[str, ...] = tuple(bench_models.NAMES),
    quick: bool = False,
    name: str = "bench",
    phases: bool = False,
    threads: tuple[int, ...] = (1, 2),
    memory: bool = False,
    start: bool = False,
    before: Path | None = None,
) -> None:
    """Measure; print the table and, unless quick, record it with a picture.

    Args:
        cells: lstm, gru, memory-lstm; by default all of them.
        peers: torch, torch-compiled, jax, scan, theano.
        models: codes, draw, draw-attention, mnist, mnist-better, samples, samples-lstm, all against torch.
        quick: a few points of the grid, few turns; less than a minute with one peer and no models.
        name: the name of the record.
        phases: instead, measure the time of a step by phase.
        threads: numbers of threads for the phases.
        memory: instead, measure the resident memory of training.
        start: instead, measure the time to the first update by phase.
        before: a record of --start to compare with.
    """
    wanted = [flag for flag, is_set in (("phases", phases), ("memory", memory), ("start", start)) if is_set]
    if len(wanted) > 1:
        raise RnnaudioError(f"got --{' and --'.join(wanted)}; expected one of them")
    if before and not start:
        raise RnnaudioError("--before is a record of --start: give that, too")
    if wanted:
        OTHERS[wanted[0]](cells, threads, quick, before)
        return
    _compare_all(cells or tuple(GRIDS), peers, models, quick, name)


OTHERS: dict[str, Callable[[tuple[str, ...], tuple[int, ...], bool, Path | None], None]] = {
    "phases": lambda cells, threads, quick, before: phases.measure_phases(cells or ("lstm", "gru"), threads, quick),
    "memory": lambda cells, threads, quick, before: bench_memory.measure_all(quick),
    "start": lambda cells, threads, quick, before: start.measure_all(quick, before),
}


def _compare_all(
    cells: tuple[str, ...], peers: tuple[str, ...], models: tuple[str, ...], quick: bool, name: str
) -> None:
    """Compare cells and models with their peers, and record both."""
    check_peers(peers)
    bench_models.check(models)
    rate = max(measure_gflops(dot) for dot in (ops.dot, engine.tt.dot))
    print(f"sgemm: {rate:.0f} GFLOP/s; ms, and the ratio of each peer's time to ours")
    rows, summaries = [], []
    for cell in cells:
        names = peers_of(cell, peers)
        print(f"{cell:11} {'I H T B layers':>22} {'ms':>8} {'of sgemm':>9}  " + "  ".join(f"{p:>14}" for p in names))
        of_cell = []
        for point in (QUICK_GRIDS if quick else GRIDS)[cell]:
            row = compare(point, cell, names, *turns_of(quick))
            row["share_of_sgemm"] = row["gflop"] / rate / row["rnnaudio"]["seconds"]
            of_cell.append(row)
            print(line(row, names), flush=True)
        for peer, figures in summary(cell, of_cell, names).items():
            print(f"{cell}: {peer} / rnnaudio, geometric mean {figures['mean']:.2f}, least {figures['least']:.2f}")
            summaries.append(figures | {"peer": peer})
        rows += of_cell
    of_models = bench_models.compare_all(models, *turns_of(quick)) if "torch" in peers else []
    if not quick:
        record(name, {"sgemm_gflops": rate, "summary": summaries, "rows": rows, "models": of_models})
        if rows:
            print(f"plotted {speed_ratios(rows, PICTURES / f'{name}.png')}")


def turns_of(quick: bool) -> tuple[int, float]:
    """The number of turns, and the seconds of a turn of one peer."""
    return (3, 0.2) if quick else (7, 0.5)


main = command(measure_all)
