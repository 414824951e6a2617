"""Backing off: a run that breaks down goes on from its last validation with half the rate, interrupted or not."""

import numpy as np
import pytest

from rnnaudio.data import ArrayPiece, RandomWindows, Split, fixed_windows
from rnnaudio.nn import Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.runs import back_off
from rnnaudio.training import EarlyStopping, Limits, checkpoint, train

SIZES = {"frame_size": 4, "n_steps": 5, "batch_size": 3}
RATE, EVERY = 20.0, 3  # a rate at which a linear model explodes within some thirty updates


def trained(run_dir, n_updates, *, most, stop_before=()):
    """Train a linear model; ``stop_before``: updates before which a session ends as by Ctrl-C, saved, and resumed."""
    t = np.arange(1000, dtype=np.float32)
    split = Split("train", (ArrayPiece(np.sin(t / 5)),), 16000)
    run, breaks = None, [*stop_before, n_updates]
    for k, limit in enumerate(breaks):
        model = Sequential([Dense(4, 4, rng=np.random.default_rng(0))])

        def attempt(halvings, resume, on_update, limit=limit, model=model):
            return train(
                model, predict_next, RandomWindows(split, seed=1, **SIZES), fixed_windows(split, **SIZES)[:2],
                optimizer=SGD(RATE), stopping=EarlyStopping(10**6), run_dir=run_dir, resume=resume,
                limits=Limits(limit, validate_every=EVERY), schedule=lambda update: 0.5**halvings * RATE,
                config={"halvings": halvings}, on_update=on_update, on_validation=lambda row: None,
            )  # fmt: skip

        there = checkpoint.exists(run_dir)
        done = checkpoint.newest(run_dir).record["config"]["halvings"] if there else 0
        run = back_off.trained(
            attempt, model, run_dir, most=most, halvings=done, validate_every=EVERY, resume=k > 0, on_update=None
        )
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return trained(folder, 120, most=9), checkpoint.newest(folder)


def test_it_goes_on_where_it_would_have_ended(whole, tmp_path):
    plain = trained(tmp_path, 120, most=0)
    assert plain.broke_down and plain.n_updates < 120
    run, saved = whole
    assert not run.broke_down and run.n_updates == 120 and run.is_complete
    assert 1 <= saved.record["config"]["halvings"] <= 9 and "broke_down" not in saved.record
    rates = [row["learning_rate"] for row in run.history]
    assert rates[0] == RATE and rates[-1] == 0.5 ** saved.record["config"]["halvings"] * RATE
    assert [row["updates"] for row in run.history] == list(range(EVERY, 121, EVERY))


@pytest.mark.slow
@pytest.mark.parametrize("stop_before", [(5,), (7, 14, 22, 37), (31, 32, 33, 34, 35, 36)])
def test_interruptions_change_nothing(whole, tmp_path, stop_before):
    trained(tmp_path, 120, most=9, stop_before=stop_before)
    saved, expected = checkpoint.newest(tmp_path), whole[1]
    assert saved.record["config"] == expected.record["config"]
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(saved.arrays[name], array)
    timeless = [[{**row, "seconds": 0} for row in one.record["history"]] for one in (saved, expected)]
    assert timeless[0] == timeless[1]


@pytest.mark.slow
def test_it_backs_off_no_more_often_than_it_may(tmp_path):
    run = trained(tmp_path, 120, most=1)
    assert run.broke_down and checkpoint.newest(tmp_path).record["broke_down"] == run.broke_down
