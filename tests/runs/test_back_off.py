"""Backing off: a run that breaks down goes on from its last validation with half the rate, interrupted or not."""

import numpy as np
import pytest

from rnnaudio.data import ArrayPiece, RandomWindows, Split, fixed_windows
from rnnaudio.nn import Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.runs import back_off
from rnnaudio.training import EarlyStopping, Limits, Run, checkpoint, train

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


def attempts_on(model, runs):
    """An attempt that ends as the next of ``runs``, leaves the model exploded, and notes how it found it."""
    found, coming = [], iter(runs)

    def attempt(halvings, resume, on_update):
        found.append((halvings, resume, float(next(iter(model.get_values().values())).ravel()[0])))
        model.set_values({name: np.full_like(values, 1e30) for name, values in model.get_values().items()})
        return next(coming)

    return attempt, found


def ended(valid=None, broke_down=""):
    run = Run(EarlyStopping(1).initial(), history=[] if valid is None else [{"valid": valid}])
    run.broke_down = broke_down
    return run


def test_a_first_validation_that_is_not_finite_starts_again(tmp_path):
    model = Sequential([Dense(1, 1, rng=np.random.default_rng(0))])
    initial = float(next(iter(model.get_values().values())).ravel()[0])
    attempt, found = attempts_on(model, [ended(np.nan, "broke"), ended(1.0)])
    back_off.trained(attempt, model, tmp_path, most=3, halvings=0, validate_every=2, resume=False, on_update=None)
    assert found == [(0, False, initial), (1, False, initial)]


def test_after_a_signal_it_does_not_back_off(tmp_path):
    model = Sequential([Dense(1, 1, rng=np.random.default_rng(0))])
    run = ended(1.0, "broke")
    run.is_interrupted = True
    attempt, found = attempts_on(model, [run])
    assert back_off.trained(
        attempt, model, tmp_path, most=3, halvings=0, validate_every=2, resume=False, on_update=None
    ) is run  # fmt: skip
    assert len(found) == 1


@pytest.mark.parametrize(("most", "resume", "stays"), [(0, True, False), (2, False, False), (2, True, True)])
def test_a_mark_that_nobody_keeps_is_removed(tmp_path, most, resume, stays):
    """Otherwise a later break-down would bring back an old state, or that of another run."""
    mark = tmp_path / checkpoint.VALIDATED
    mark.write_bytes(b"of before")
    model = Sequential([Dense(1, 1, rng=np.random.default_rng(0))])
    attempt, _ = attempts_on(model, [ended(1.0)])
    back_off.trained(attempt, model, tmp_path, most=most, halvings=0, validate_every=2, resume=resume, on_update=None)
    assert mark.exists() == stays
