"""The benchmark counts what a step computes, and its peers answer."""

import pytest

from experiments.bench import compare, gflop
from experiments.bench_peers import Point


@pytest.mark.parametrize(("cell", "n_blocks"), [("lstm", 4), ("gru", 3)])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_products_are_counted(cell, n_blocks, n_layers):
    point = Point(n_in=5, n_units=7, n_steps=3, n_batch=2, n_layers=n_layers)
    rows, n = 3 * 2, 7
    total = 0
    for layer in range(n_layers):
        width = 5 if layer == 0 else n
        by_input, by_state = 2 * rows * width * n_blocks * n, 2 * rows * n * n_blocks * n
        total += by_input + by_state  # forward
        total += by_input + by_state  # weight gradients
        total += by_state + (by_input if layer else 0)  # gradients of the state and, but for the data, of the input
    total += 3 * 2 * rows * n * 5  # the read-out: forward, weight, input
    assert gflop(point, cell) == pytest.approx(total / 1e9)


def test_peers_take_turns_and_the_ratio_is_theirs_over_ours():
    row = compare(Point(4, 3, 2, 2, 1), "gru", ["scan"], turns=3, turn_seconds=0.01)
    assert row["rnnaudio"]["ratio"] == 1.0
    for peer in ("rnnaudio", "scan"):
        assert 0 < row[peer]["lowest"] <= row[peer]["seconds"] <= row[peer]["highest"]
    assert row["scan"]["ratio"] > 0
