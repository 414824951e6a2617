"""The history of a run, in a file beside its checkpoint: long, after a crash, of earlier versions, damaged."""

import json
import os
import shutil
import struct

import numpy as np
import pytest

from rnnaudio.data import ArrayPiece, RandomWindows, Split, fixed_windows
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.training import EarlyStopping, Judging, Limits, checkpoint, history, train

SIZES = {"frame_size": 4, "n_steps": 5, "batch_size": 3}


KEEP_ALL = Judging()


def trained(folder, n_updates, *, resume=False, judging=KEEP_ALL):
    """Train a dense layer, validated at every update."""
    t = np.arange(1000, dtype=np.float32)
    split = Split("train", (ArrayPiece(np.sin(t / 5)),), 16000)
    return train(
        Sequential([Dense(4, 4, rng=np.random.default_rng(0))]), predict_next, RandomWindows(split, seed=1, **SIZES),
        fixed_windows(split, **SIZES)[:2], optimizer=SGD(0.01), stopping=EarlyStopping(10**6), run_dir=folder,
        limits=Limits(n_updates, validate_every=1), judging=judging, resume=resume, on_validation=lambda row: None,
    )  # fmt: skip


def lines(folder):
    return (folder / "history.jsonl").read_bytes().splitlines()


def saved_rows(folder):
    return checkpoint.load(checkpoint.path_in(folder)).record["history"]


def inline(folder, rows):
    """Save the run as earlier versions did: the rows in the checkpoint, no file beside it."""
    saved = checkpoint.load(checkpoint.path_in(folder))
    checkpoint.save(checkpoint.path_in(folder), saved._replace(record=saved.record | {"history": rows}))
    (folder / "history.jsonl").unlink()


@pytest.fixture
def run_of_three(tmp_path):
    trained(tmp_path, 3)
    return tmp_path


def test_each_validation_is_a_line_and_all_of_them_are_loaded(run_of_three):
    done = trained(run_of_three, 5, resume=True)
    assert [json.loads(line)["updates"] for line in lines(run_of_three)] == [1, 2, 3, 4, 5]
    assert saved_rows(run_of_three) == done.history


def test_a_copy_of_hard_links_goes_on_without_the_other(run_of_three, tmp_path_factory):
    """As ``cp -al`` makes it: both folders have the same files."""
    copy = tmp_path_factory.mktemp("copies") / "run"
    shutil.copytree(run_of_three, copy, copy_function=os.link)
    before = {file.name: file.read_bytes() for file in run_of_three.iterdir()}
    trained(copy, 5, resume=True)
    assert len(lines(copy)) == 5
    assert {file.name: file.read_bytes() for file in run_of_three.iterdir()} == before
    trained(run_of_three, 4, resume=True)
    assert (len(saved_rows(run_of_three)), len(saved_rows(copy))) == (4, 5)


@pytest.mark.parametrize("n_rows", [1000, pytest.param(150_000, marks=[pytest.mark.slow, pytest.mark.long])])
def test_a_run_with_a_long_history_goes_on_and_writes_only_its_new_rows(run_of_three, monkeypatch, n_rows):
    """With 150,000 rows in it, 100 MB as text, the header of the checkpoint was beyond what safetensors reads."""
    saved = checkpoint.load(checkpoint.path_in(run_of_three))
    (row, *_) = saved.record["history"]
    file = history.HistoryFile(checkpoint.path_in(run_of_three))
    extent = file.append([row | {"updates": k + 1, "note": "x" * 400} for k in range(n_rows)])
    longer = saved._replace(record=saved.record | {"history": extent._asdict()})
    checkpoint.save(checkpoint.path_in(run_of_three), longer)
    assert extent.rows == n_rows and extent.bytes == file.path.stat().st_size > 700 * n_rows
    before, written, dumps = file.path.read_bytes(), [], json.dumps
    monkeypatch.setattr(history.json, "dumps", lambda value, **more: written.append(value) or dumps(value, **more))
    done = trained(run_of_three, 5, resume=True)
    assert len(done.history) == n_rows + 2
    assert [value for value in written if isinstance(value, dict) and "is_best" in value] == done.history[-2:]
    assert file.path.read_bytes()[: len(before)] == before
    (n_header,) = struct.unpack("<Q", checkpoint.path_in(run_of_three).read_bytes()[:8])
    assert n_header < 10_000
    assert saved_rows(run_of_three) == done.history


@pytest.mark.parametrize(
    "leaving", [b'{"updates": 4, "is_best": true}\n{"updates": 5, "is_bes', b"\xff\n", b"{}\n" * 99]
)
def test_what_a_crash_left_beyond_the_checkpoint_is_dropped(run_of_three, leaving):
    before = saved_rows(run_of_three)
    with open(run_of_three / "history.jsonl", "ab") as file:
        file.write(leaving)
    assert saved_rows(run_of_three) == before
    done = trained(run_of_three, 5, resume=True)
    assert [json.loads(line)["updates"] for line in lines(run_of_three)] == [1, 2, 3, 4, 5]
    assert saved_rows(run_of_three) == done.history


def test_a_crash_between_the_row_and_the_checkpoint_ends_as_without_it(tmp_path, monkeypatch):
    """The row is on the disk, the checkpoint is not: the run goes on from the checkpoint before."""
    whole = trained(tmp_path / "whole", 5)
    trained(tmp_path / "crashed", 2)

    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", crash)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "crashed", 5, resume=True)
    assert len(lines(tmp_path / "crashed")) == 3 and len(saved_rows(tmp_path / "crashed")) == 2
    trained(tmp_path / "crashed", 5, resume=True)
    losses = [[row["valid"] for row in saved_rows(tmp_path / name)] for name in ("whole", "crashed")]
    assert losses[0] == losses[1] == [row["valid"] for row in whole.history]


def test_runs_of_earlier_versions_are_read_and_go_on(run_of_three):
    rows = saved_rows(run_of_three)
    inline(run_of_three, rows)
    assert saved_rows(run_of_three) == rows
    trained(run_of_three, 5, resume=True)
    assert [json.loads(line)["updates"] for line in lines(run_of_three)] == [1, 2, 3, 4, 5]
    assert saved_rows(run_of_three)[:3] == rows


def test_a_history_cut_at_the_best_row_keeps_the_rows_of_an_earlier_version(tmp_path):
    until_best = Judging(keep_all=False)
    trained(tmp_path, 3, judging=until_best)
    rows = [row | {"valid": 0.0} for row in saved_rows(tmp_path)]
    inline(tmp_path, rows)
    saved = checkpoint.load(checkpoint.path_in(tmp_path))
    saved.record["stopping"]["best_loss"] = 0.0  # no later row is the best
    checkpoint.save(checkpoint.path_in(tmp_path), saved)
    trained(tmp_path, 5, resume=True, judging=until_best)
    assert saved_rows(tmp_path) == rows


def test_a_new_run_does_not_take_over_a_history_without_its_checkpoint(run_of_three):
    for file in run_of_three.glob("checkpoint*"):
        file.unlink()
    trained(run_of_three, 2)
    assert len(lines(run_of_three)) == len(saved_rows(run_of_three)) == 2


@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_history_that_does_not_belong_to_the_checkpoint_is_refused(run_of_three, damage):
    path = run_of_three / "history.jsonl"
    (run_of_three / checkpoint.PREVIOUS).unlink()
    content = path.read_bytes()
    path.write_bytes(content[:-9] if damage == "cut" else content.replace(b'"updates": 2', b'"updates": 9'))
    if damage == "gone":
        path.unlink()
    expected = "is missing: it holds the 3 validations" if damage == "gone" else ".* history of 3 validations"
    with pytest.raises(RnnaudioError, match=rf"history\.jsonl {expected}.*copy both files"):
        trained(run_of_three, 5, resume=True)


def test_a_history_that_lacks_its_end_is_that_of_the_checkpoint_before(run_of_three, capsys):
    content = (run_of_three / "history.jsonl").read_bytes()
    (run_of_three / "history.jsonl").write_bytes(content[:-9])
    done = trained(run_of_three, 5, resume=True)
    assert [row["updates"] for row in done.history] == [1, 2, 3, 4, 5] and len(lines(run_of_three)) == 5
    assert "taken instead: checkpoint.previous.safetensors" in capsys.readouterr().err


def test_a_pipe_in_place_of_the_history_is_not_waited_for(run_of_three):
    (run_of_three / "history.jsonl").unlink()
    os.mkfifo(run_of_three / "history.jsonl")
    with pytest.raises(RnnaudioError, match=r"history\.jsonl is no regular file"):
        trained(run_of_three, 5, resume=True)


def test_a_file_that_is_removed_during_training_is_written_anew(run_of_three):
    saved = checkpoint.load(checkpoint.path_in(run_of_three))
    file = history.HistoryFile(checkpoint.path_in(run_of_three), saved.extent)
    rows = saved.record["history"]
    (run_of_three / "history.jsonl").unlink()
    extent = file.append([*rows, rows[0]])
    assert history.read(file.path, extent, dict) == [*rows, rows[0]]
    (run_of_three / "history.jsonl").unlink()
    (run_of_three / "history.jsonl").mkdir()
    with pytest.raises(RnnaudioError, match=r"cannot write .*history\.jsonl: Is a directory; the run is saved up to"):
        file.append(rows)


def test_at_the_first_validation_nothing_is_saved_yet(tmp_path):
    (tmp_path / "history.jsonl").mkdir()
    with pytest.raises(RnnaudioError, match="nothing of the run is saved yet: fix this and train again"):
        trained(tmp_path, 3)
