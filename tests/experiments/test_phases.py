"""Phases of a training step: clocks change no bit of what is computed, and what they show adds up."""

import time

import numpy as np
import pytest

from experiments.benchmarks import phases, timed_kernels
from experiments.benchmarks.bench import gflop
from experiments.benchmarks.bench_peers import Point
from experiments.benchmarks.phases import (
    BACK,
    BACK_GATES,
    GATES,
    INPUT,
    PHASES,
    RECURRENT,
    REST,
    TO_INPUT,
    WEIGHTS,
    Clocks,
    as_table,
    difference,
    flop,
    in_turns,
    measure,
    measure_phases,
    rows_of,
)
from experiments.benchmarks.timed_kernels import mean_seconds, source_of
from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import gru, lstm, threads
from rnnaudio.kernels.activations import linear_row
from rnnaudio.laps import Laps

pytestmark = pytest.mark.skipif(engine.kernel() != "fused", reason="these are the phases of the kernels")
POINT = Point(n_in=5, n_units=7, n_steps=3, n_batch=9, n_layers=2)


def arrays(n_blocks):
    """Input, weights, bias and initial state of a layer with a mask, float32."""
    rng = np.random.default_rng(0)
    t, b, i, n = 5, 9, 4, 6
    shapes = {"x": (t, b, i), "w": (i, n_blocks * n), "r": (n, n_blocks * n), "bias": (n_blocks * n,), "h": (b, n)}
    made = {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}
    return made | {"mask": (rng.random((t, b)) > 0.2).astype("i1"), "d": rng.standard_normal((t, b, n)).astype("f4")}


def passes(cell):
    """All results of the forward and the backward pass of a layer."""
    a = arrays({"lstm": 4, "gru": 3}[cell])
    if cell == "gru":
        states = gru.forward(a["x"], a["w"], a["r"], a["bias"], a["h"], a["mask"])
        return [*states, *gru.backward(a["r"], a["h"], a["mask"], states, a["d"])]
    none, no_frames = np.empty((0, 0), "f4"), np.empty((0, 0, 0), "f4")
    states = lstm.forward(a["x"], a["w"], a["r"], a["bias"], none, a["h"], a["h"], a["mask"])
    return [*states, *lstm.backward(a["r"], none, a["h"], a["h"], a["mask"], states, a["d"], no_frames)]


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_clocks_change_no_bit_and_leave_nothing_behind(cell, n_threads):
    module, before = phases.MODULES[cell], dict(vars(phases.MODULES[cell]))
    perform, n_before = engine.Kernel.perform, threads.n_threads()
    expected, laps = passes(cell), Laps()
    threads.set_n_threads(n_threads)
    try:
        with Clocks(cell, laps).running(), laps.phase(REST):
            found = passes(cell)
    finally:
        threads.set_n_threads(n_before)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert vars(module) == before and engine.Kernel.perform is perform
    assert all(laps.seconds[name] > 0.0 for name in (INPUT, RECURRENT, GATES, BACK, BACK_GATES, WEIGHTS))


def test_clocks_stand_around_the_products_alone():
    for cell, n_products in (("lstm", 1), ("gru", 2)):
        for name in ("_forward", "_backward"):
            source, n = source_of(getattr(phases.MODULES[cell], name))
            assert n == n_products
            lines = [line.strip() for line in source.splitlines()]
            at = [k for k, line in enumerate(lines) if line.startswith("multiply(")]
            assert len(at) == n
            for k in at:
                assert lines[k - 1] == "_before = _now(_times)"
                assert lines[k + 1] == "_times[2] += _now(_times) - _before"


def test_a_kernel_of_another_kind_gets_no_clocks():
    with pytest.raises(RnnaudioError, match="linear_row has no product, or returns early"):
        source_of(linear_row)


def test_the_clock_is_that_of_the_system():
    before = time.monotonic_ns()
    between = timed_kernels.now(np.zeros(4, np.int64))
    assert before <= between <= time.monotonic_ns()


def test_threads_count_by_their_mean():
    times = [np.array([0, 0, 2_000_000, 5_000_000]), np.array([0, 0, 4_000_000, 7_000_000])]
    assert mean_seconds(times) == pytest.approx((0.003, 0.003))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_multiplications_of_all_phases_are_those_of_the_step(cell, n_layers):
    point = POINT._replace(n_layers=n_layers)
    of_phases = flop(point, cell)
    assert sum(of_phases.values()) == pytest.approx(1e9 * gflop(point, cell))
    assert (of_phases[TO_INPUT] == 0.0) == (n_layers == 1)


def test_on_a_clock_that_only_the_work_moves_the_sum_is_the_step():
    """Phases of 1 to 12 ms, and clocks that take 3 ms of 78: the sum is 4 % longer, and the table says so."""
    clock = [0.0]
    laps = Laps(lambda: clock[0])
    compiling = [5.0, 5.0]  # the first turn

    def plain():
        clock[0] += 0.078 + (compiling.pop() if compiling else 0.0)
        return 0.0

    def timed():
        with laps.phase(REST):
            for k, name in enumerate(PHASES[:-1], 1):
                with laps.phase(name):
                    clock[0] += 0.001 * k + (1.0 if compiling else 0.0)
            clock[0] += 0.012 + 0.003
        compiling.clear()
        return 0.0

    whole, seconds = in_turns(plain, timed, laps, 4, clock=lambda: clock[0])
    rows = rows_of(seconds, {INPUT: 1e6, TO_INPUT: 0.0}, gflops=2.0)
    assert whole == pytest.approx(0.078) and list(seconds) == list(PHASES)
    assert seconds[INPUT] == pytest.approx(0.001) and seconds[REST] == pytest.approx(0.015)
    assert rows[0].of_sgemm == pytest.approx(0.5) and rows[0].share == pytest.approx(1 / 81)
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert difference(rows, whole) == pytest.approx(3 / 78)
    table = as_table(rows, whole)
    assert "the sum is +3.8% longer; 10% either way are allowed: they agree" in table
    assert "they do NOT agree, so measure again without other load" in as_table(rows, 0.060)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_real_step_has_all_phases(cell):
    row = measure(cell, POINT, n_threads=1, turns=2)
    found = {phase["name"]: phase["seconds"] for phase in row["phases"]}
    assert all(seconds > 0.0 for seconds in found.values()), found
    assert row["threads"] == 1 and row["step_seconds"] > 0.0
    assert set(found) == set(PHASES)


@pytest.mark.parametrize(
    ("cells", "n_threads", "message"),
    [
        (("memory-lstm",), (1,), "the phases of 'memory-lstm' are not known; expected --cells lstm, gru, or both"),
        (("gru",), (0,), "threads: got 0; expected 1 or more"),
    ],
)
def test_what_has_no_phases_is_refused(cells, n_threads, message):
    with pytest.raises(RnnaudioError, match=message):
        measure_phases(cells, n_threads, quick=True)


def test_scan_has_no_phases(monkeypatch):
    monkeypatch.setattr(phases.engine, "kernel", lambda: "scan")
    with pytest.raises(RnnaudioError, match="the kernel is 'scan', which has no phases: unset RNNAUDIO_KERNEL"):
        measure_phases(("gru",), (1,), quick=True)
