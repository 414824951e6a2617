"""Runs that break down: what is not finite is named, when it appears, and the run says so ever after."""

from types import SimpleNamespace

import numpy as np
import pytest

from rnnaudio.data import ArrayPiece, RandomWindows, Split, fixed_windows
from rnnaudio.nn import LSTM, Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.runs.record import trouble
from rnnaudio.training import EarlyStopping, Limits, breakdown, checkpoint, train
from rnnaudio.training.step import StepResult

SIZES = {"frame_size": 4, "n_steps": 5, "batch_size": 3}
BAD_SAMPLE = 700


class Titled(ArrayPiece):
    title = "Étude\x1b[2J"


def sine(bad=None):
    audio = np.sin(np.arange(1000, dtype=np.float32) / 5)
    if bad is not None:
        audio[BAD_SAMPLE] = bad
    return audio


def trained(folder, *, train_audio, valid_audio, n_updates=40, spoil="", every=2, rate=0.01, resume=False):
    rng = np.random.default_rng(0)
    model = Sequential([LSTM(4, 3, rng=rng), Dense(3, 4, rng=rng)])
    if spoil:
        values = model.get_values()
        values[spoil][..., -1] = np.nan
        model.set_values(values)
    splits = [Split(name, (Titled(audio),), 16000) for name, audio in (("train", train_audio), ("valid", valid_audio))]
    return train(
        model, predict_next, RandomWindows(splits[0], seed=1, **SIZES), fixed_windows(splits[1], **SIZES),
        optimizer=SGD(rate), stopping=EarlyStopping(99), run_dir=folder, resume=resume, on_validation=lambda row: None,
        limits=Limits(n_updates, validate_every=every),
    )  # fmt: skip


@pytest.mark.parametrize("bad", [pytest.param(np.nan, marks=pytest.mark.modes), np.inf])
def test_a_bad_sample_is_named_by_piece_and_place_at_the_first_update_that_reads_it(tmp_path, bad):
    batches = RandomWindows(Split("train", (ArrayPiece(sine(bad)),), 16000), seed=1, **SIZES)
    first = next(k for k in range(99) if not np.isfinite(batches.batch(k).frames).all())
    run = trained(tmp_path, train_audio=sine(bad), valid_audio=sine(), every=1)
    assert first > 0, "the seed must leave a checkpoint before"
    assert f"is not finite at update {first + 1}" in run.broke_down and run.reason == run.broke_down
    assert f"its batch has {bad:g} in frames[" in run.broke_down
    assert f"; sample {BAD_SAMPLE} of the piece 'Étude\\x1b[2J' is not finite: repair it" in run.broke_down
    assert not run.is_complete and run.n_updates == first
    saved = checkpoint.newest(tmp_path)
    assert saved.record["broke_down"] == run.broke_down and saved.record["n_updates"] == first
    assert len(saved.record["history"]) == first
    again = trained(tmp_path, train_audio=sine(bad), valid_audio=sine(), every=1, resume=True)
    assert again.broke_down == run.broke_down


@pytest.mark.parametrize("spoil", [pytest.param("lstm.w_hidden", marks=pytest.mark.modes), "dense.bias"])
def test_a_bad_parameter_ends_the_run_at_the_first_update(tmp_path, spoil):
    run = trained(tmp_path, train_audio=sine(), valid_audio=sine(), spoil=spoil)
    assert run.broke_down == "the loss (nan) or its gradient is not finite at update 1"
    assert not checkpoint.exists(tmp_path)


@pytest.mark.modes
def test_bad_validation_music_is_named_at_the_first_validation(tmp_path):
    run = trained(tmp_path, train_audio=sine(), valid_audio=sine(np.nan))
    assert run.broke_down.startswith("the validation loss is not finite at update 2: batch ")
    assert "of validation has nan in frames[" in run.broke_down


def test_a_gradient_alone_is_named_by_its_parameter():
    result = StepResult(0.5, {}, {"a.weight": 1.0, "a.bias": np.inf, "b.weight": np.nan}, {}, [])
    words = breakdown.of_update(result, (), SimpleNamespace(), SimpleNamespace(), 3)
    assert words == "the loss (0.5) or its gradient is not finite at update 3, first that of a.bias (inf)"
    finite = result._replace(gradient_norms={"a.weight": 1.0})
    assert not breakdown.of_update(finite, (), SimpleNamespace(), SimpleNamespace(), 3)


@pytest.mark.parametrize(
    ("valid", "blank", "broke_down", "expected"),
    [
        (9.9, 1.0, "", ""),
        (10.1, 1.0, "", "the training diverged: at update 8 the validation loss was 10.1, that of a model that has"),
        (10.1, 2.0, "", ""),
        (10.1, None, "", ""),  # of an earlier version
        (0.5, 1.0, "the loss is nan\x07", r"the training broke down: the loss is nan\x07; what it plays is as of"),
    ],
)
def test_divergence_is_ten_times_what_learning_nothing_gives(valid, blank, broke_down, expected):
    record = {"n_updates": 9, "history": [{"valid": 0.1, "updates": 4}, {"valid": valid, "updates": 8}]}
    record["config"] = {} if blank is None else {"blank_loss": blank}
    record |= {"broke_down": broke_down} if broke_down else {}
    said = trouble(record)
    assert said.startswith(expected) and bool(said) == bool(expected)
