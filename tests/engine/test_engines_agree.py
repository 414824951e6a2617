"""Fifty updates of each model on this engine against the parameters the other engine arrived at."""

import numpy as np
import pytest

from tests.support.golden.make_engine_runs import RUNS, largest_difference, read_golden, replay

TOLERANCE = 1e-8
GOLDEN = read_golden()


def in_every_mode(name):
    return pytest.param(name, marks=pytest.mark.modes) if name == "skip stack" else name


@pytest.mark.parametrize("name", [in_every_mode(name) for name in RUNS])
def test_parameters_after_fifty_updates_equal_the_other_engines(name):
    run, golden = replay(name), GOLDEN["runs"][name]
    assert set(run["end"]) == set(golden["end"])
    assert largest_difference(run, golden) <= TOLERANCE
    moved = {key: np.abs(run["end"][key] - value).max() for key, value in run["start"].items()}
    still = {key for key, distance in moved.items() if distance < 1e-3}
    # noise levels are not trained; batch norm takes away the bias before it
    untrained = {key for key in moved if key.endswith("std")}
    assert still - untrained <= ({"dense.bias", "dense_2.bias"} if name == "mlp" else set())
    assert np.mean(run["losses"][-10:]) < 0.9 * np.mean(run["losses"][:10])


def test_the_comparison_notices_a_small_difference():
    name = "gru"
    golden = GOLDEN["runs"][name]
    end = {key: np.asarray(value) for key, value in golden["end"].items()}
    other = {"losses": golden["losses"], "end": end | {"dense.bias": end["dense.bias"] + 2e-8}}
    assert largest_difference({"losses": golden["losses"], "end": end}, golden) == 0.0
    assert largest_difference(other, golden) > TOLERANCE
