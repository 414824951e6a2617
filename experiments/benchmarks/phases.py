"""Time of the phases of a training step: its products, gates, update and all else, for LSTM and GRU.

    rnnaudio bench --phases [--quick] [--cells lstm gru] [--threads 1 2]

A step is run in turns as it is, and with clocks around the products, the gates and the operations of the graph. With
several threads, the time of products and gates is the mean over the threads, and the rest of the threads' time,
waiting for each other, is a separate phase. The phases add up to the step with clocks. They can be relied on as far as
that sum agrees with the time of the step without clocks, which is printed as well.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from experiments.benchmarks.bench_peers import Point, Step, rnnaudio_step
from experiments.benchmarks.timed_kernels import TimedKernel
from experiments.shared.records import record
from rnnaudio import engine, ops
from rnnaudio.cli.engine_report import measure_gflops
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import gru, lstm, threads
from rnnaudio.laps import Laps

INPUT, RECURRENT, GATES = "input product", "recurrent product", "gates"
BACK, BACK_GATES, TO_INPUT = "recurrent product, backwards", "gates, backwards", "product to the input, backwards"
WEIGHTS, READ_OUT, UPDATE = "weight gradients", "read-out and loss", "clipping and update"
PACKING, WAITING, REST = "packing weights, bias gradients", "waiting for threads", "everything else"
PHASES = (INPUT, RECURRENT, GATES, BACK_GATES, BACK, TO_INPUT, WEIGHTS, READ_OUT, UPDATE, PACKING, WAITING, REST)
MODULES: dict[str, ModuleType] = {"lstm": lstm, "gru": gru}
N_BLOCKS = {"lstm": 4, "gru": 3}
GRID = [Point(200, n, 32, 64, 2) for n in (100, 200, 300, 500, 1000)]
TOLERANCE = 0.1  # of the step without clocks: the sum of the phases may differ by so much
TURNS, QUICK_TURNS = 25, 5
UPDATES = {"Update", "_SumOfSquares"}


class Phase(NamedTuple):
    """The time of a phase in seconds, its share of the step, and its rate as a share of sgemm's, for products only."""

    name: str
    seconds: float
    share: float
    of_sgemm: float | None


def flop(point: Point, cell: str) -> dict[str, float]:
    """Number of multiplications and additions of a step, by phase; their sum is 1e9 times ``bench.gflop``."""
    rows, n, k = point.n_steps * point.n_batch, point.n_units, N_BLOCKS[cell]
    widths = [point.n_in, *[n] * (point.n_layers - 1)]
    recurrent = 2.0 * rows * n * k * n * point.n_layers
    by_input = 2.0 * rows * sum(widths) * k * n
    return {
        INPUT: by_input,
        RECURRENT: recurrent,
        BACK: recurrent,
        TO_INPUT: by_input - 2.0 * rows * point.n_in * k * n,  # the data need no gradient
        WEIGHTS: by_input + recurrent,
        READ_OUT: 3 * 2.0 * rows * n * point.n_in,
    }


def phase_of(node: Any) -> str:
    """The phase of an operation of the compiled graph; REST for a recurrence, whose parts are timed separately."""
    kind = type(node.op).__name__
    if kind in UPDATES:
        return UPDATE
    if kind.endswith(("Sequence", "SequenceGradient")):
        return REST
    if kind in ("Product", "WeightGradient"):
        source = node.inputs[0 if kind == "Product" else 1].owner
        if source is not None and type(source.op).__name__.endswith("SequenceGradient"):
            return TO_INPUT if kind == "Product" else WEIGHTS
    return READ_OUT


class Clocks:
    """Clocks in the kernels of a cell, and in the operations of graphs that are compiled within :meth:`running`."""

    def __init__(self, cell: str, laps: Laps):
        self._module, self._laps, self._goes_back = MODULES[cell], laps, False
        self._kernels = {name: TimedKernel(getattr(self._module, name)) for name in ("_forward", "_backward")}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Context manager in which the kernels of the cell have clocks, and also the operations compiled meanwhile."""
        module, around = self._module, self._laps.around
        patches = {
            "_forward": self._kernels["_forward"],
            "_backward": self._kernels["_backward"],
            "threads": SimpleNamespace(split=threads.split, run=self._run),
            "pack": around(PACKING, module.pack),
            "column_sums": around(PACKING, module.column_sums),
            "recurrent_gradient": around(WEIGHTS, module.recurrent_gradient),
            "product": self._product(module.product),
            "backward": self._back(module.backward),
        }
        before, perform = {name: getattr(module, name) for name in patches}, engine.Kernel.perform
        try:
            for name, value in patches.items():
                setattr(module, name, value)
            engine.Kernel.perform = self._performing(perform)  # type: ignore[method-assign]
            yield
        finally:
            engine.Kernel.perform = perform  # type: ignore[method-assign]
            for name, value in before.items():
                setattr(module, name, value)

    def _performing(self, perform: Callable[..., None]) -> Callable[..., None]:
        def performed(op: Any, node: Any, *storage: Any) -> None:
            with self._laps.phase(phase_of(node)):
                perform(op, node, *storage)

        return performed

    def _run(self, work: TimedKernel, shares: Any) -> None:
        with self._laps.phase(WAITING):
            threads.run(work, shares)
        products, gates = work.spent()
        is_forward = work is self._kernels["_forward"]
        self._laps.move(WAITING, RECURRENT if is_forward else BACK, products)
        self._laps.move(WAITING, GATES if is_forward else BACK_GATES, gates)

    def _product(self, product: Callable[..., None]) -> Callable[..., None]:
        """The product function of the module, with a clock.

        In the forward pass it is the product with x, in a GRU's backward pass the gradient of the candidate's weights.
        """
        forwards, backwards = self._laps.around(INPUT, product), self._laps.around(WEIGHTS, product)
        return lambda *arrays, **options: (backwards if self._goes_back else forwards)(*arrays, **options)

    def _back(self, backward: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            self._goes_back = True
            try:
                return backward(*arguments)
            finally:
                self._goes_back = False

        return called


def step_with_clocks(point: Point, cell: str, laps: Laps) -> Step:
    """A training step of the benchmark that adds the seconds of its phases to ``laps``."""
    clocks = Clocks(cell, laps)
    with clocks.running():
        step = rnnaudio_step(point, cell)

    def timed() -> float:
        with clocks.running(), laps.phase(REST):
            return step()

    return timed


def in_turns(
    plain: Step, timed: Step, laps: Laps, turns: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, dict[str, float]]:
    """Run both steps in turns; returns the median seconds of the plain one, and of each phase of the timed one.

    The first turn, in which kernels are compiled, does not count.
    """
    whole: list[float] = []
    phases: list[dict[str, float]] = []
    for _ in range(turns + 1):
        began = clock()
        plain()
        whole.append(clock() - began)
        laps.seconds.clear()
        timed()
        phases.append(dict(laps.seconds))
    medians = {name: float(np.median([turn.get(name, 0.0) for turn in phases[1:]])) for name in PHASES}
    return float(np.median(whole[1:])), medians


def rows_of(seconds: dict[str, float], flops: dict[str, float], gflops: float) -> list[Phase]:
    """The phases as rows of the table, from their seconds; gflops: the rate of sgemm."""
    whole = sum(seconds.values())
    return [
        Phase(name, spent, spent / whole, flops[name] / 1e9 / spent / gflops if name in flops and spent else None)
        for name, spent in seconds.items()
    ]


def as_table(rows: list[Phase], step_seconds: float) -> str:
    """Format the phases of a step, and how far their sum is from the time of the step without clocks."""
    lines = [f"{'phase':34} {'ms':>8} {'of the step':>12} {'of sgemm':>9}"]
    for row in rows:
        of_sgemm = "" if row.of_sgemm is None else f"{row.of_sgemm:9.0%}"
        lines.append(f"{row.name:34} {1e3 * row.seconds:8.2f} {row.share:12.1%} {of_sgemm}".rstrip())
    total, apart = sum(row.seconds for row in rows), difference(rows, step_seconds)
    verdict = "they agree" if abs(apart) <= TOLERANCE else "they do NOT agree, so measure again without other load"
    lines.append(f"{'sum':34} {1e3 * total:8.2f}")
    lines.append(f"{'the step without clocks':34} {1e3 * step_seconds:8.2f}")
    return "\n".join([*lines, f"the sum is {apart:+.1%} longer; {TOLERANCE:.0%} either way are allowed: {verdict}"])


def difference(rows: list[Phase], step_seconds: float) -> float:
    """Excess of the time of all phases together over that of the step without clocks, as a share of the latter."""
    return sum(row.seconds for row in rows) / step_seconds - 1.0


def measure(cell: str, point: Point, n_threads: int, turns: int) -> dict[str, Any]:
    """Measure a point of the grid on ``n_threads`` threads, print its table, and return its row of the record."""
    before = threads.n_threads()
    threads.set_n_threads(n_threads)
    try:
        with threadpool_limits(n_threads):
            rate = max(measure_gflops(dot, n=1024) for dot in (ops.dot, engine.tt.dot))
            laps = Laps()
            step = in_turns(rnnaudio_step(point, cell), step_with_clocks(point, cell, laps), laps, turns)
    finally:
        threads.set_n_threads(before)
    rows = rows_of(step[1], flop(point, cell), rate)
    sizes = ", ".join(map(str, point))
    print(f"\n{cell} {sizes} (I, H, T, B, layers), {n_threads} thread(s), sgemm {rate:.0f} GFLOP/s")
    print(as_table(rows, step[0]), flush=True)
    about = {"cell": cell, "point": point._asdict(), "threads": n_threads, "sgemm_gflops": rate}
    apart = difference(rows, step[0])
    return about | {"step_seconds": step[0], "sum_apart": apart, "phases": [row._asdict() for row in rows]}


def measure_phases(cells: tuple[str, ...], n_threads: tuple[int, ...], quick: bool) -> None:
    """Measure each cell on each number of threads, print the tables and, unless quick, record them.

    quick: one point of the grid and five turns. RnnaudioError for a cell other than lstm and gru, for a number of
    threads below 1, and for a kernel other than fused.
    """
    for cell in cells:
        if cell not in MODULES:
            raise RnnaudioError(f"the phases of {cell!r} are not known; expected --cells lstm, gru, or both")
    for n in n_threads:
        if n < 1:
            raise RnnaudioError(f"threads: got {n}; expected 1 or more")
    if engine.kernel() != "fused":
        raise RnnaudioError(f"the kernel is {engine.kernel()!r}, which has no phases: unset RNNAUDIO_KERNEL")
    print("clock: CLOCK_MONOTONIC, the system's, the same for all cores")
    points, turns = (GRID[1:2], QUICK_TURNS) if quick else (GRID, TURNS)
    rows = [measure(cell, point, n, turns) for cell in cells for n in n_threads for point in points]
    if not quick:
        record("bench-phases", {"tolerance": TOLERANCE, "rows": rows})
