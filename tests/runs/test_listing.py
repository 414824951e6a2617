"""The list of runs: what each is, how they differ, and that none is lost or stops the others."""

import dataclasses
import json
import math
import os
import shutil

import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owned_folder
from rnnaudio.runs.frames.config import ModelConfig
from rnnaudio.runs.listing import as_json, as_table, rows_in, run_folders
from rnnaudio.runs.record import SavedRun
from rnnaudio.training import checkpoint
from tests.support.tiny_runs import TINY, tiny_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs that differ in two settings: one ended by its limit of updates, one by its limit of time."""
    folder = tmp_path_factory.mktemp("listing")
    tiny_run(folder, "runs/small")
    tiny_run(folder, "runs/below/large", dataclasses.replace(TINY, model=ModelConfig(n_units=8), learning_rate=0.01))
    return folder / "runs"


@pytest.fixture
def runs(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "runs")


def with_summary(run_dir, **entries):
    (run_dir / "summary.json").write_text(json.dumps(entries))


def test_each_run_has_its_figures_and_the_settings_that_differ(runs):
    with_summary(runs / "small", alive_seconds=1.25, of_seconds=10.0, death="fell silent")
    large, small = rows_in(runs)
    assert (large.name, small.name) == ("below/large", "small")
    for row in (large, small):
        record = SavedRun.read(runs / row.name).record
        assert row.validation_loss == record["stopping"]["best_loss"] and row.validation.endswith(" dB")
        assert (row.recipe, row.state, row.updates, row.note) == ("frames", "complete", 2, "")
    assert small.differing == {"model.n_units": 6, "learning_rate": TINY.learning_rate}
    assert large.differing == {"model.n_units": 8, "learning_rate": 0.01} and large.settings["batch_size"] == 4
    assert (small.alive_seconds, small.of_seconds, small.death) == (1.25, 10.0, "fell silent")
    assert (large.alive_seconds, large.death) == (None, "")


def test_the_loss_is_that_of_the_parameters_that_play(runs):
    """In the report of this checkpoint, if there is one; else the lowest."""
    with_summary(runs / "small", alive_seconds=1.25, of_seconds=10.0, validation_loss=0.5)
    large, small = rows_in(runs)
    assert (small.validation_loss, small.validation) == (0.5, "-3.01 dB")
    assert large.validation_loss == SavedRun.read(runs / "below/large").record["stopping"]["best_loss"]


def test_other_music_is_a_difference(runs):
    saved = SavedRun.read(runs / "small").checkpoint
    saved.record["config"]["corpus"] |= {"path": "/home/other.h5", "digest": "another"}
    checkpoint.save(runs / "small" / checkpoint.NAME, saved)
    large, small = rows_in(runs)
    assert small.differing["corpus"] == "/home/other.h5" and large.differing["corpus"] == large.corpus
    assert "\n    corpus=/home/other.h5  " in as_table([large, small])


def test_a_report_of_an_earlier_checkpoint_says_nothing_of_this_one(runs):
    with_summary(runs / "small", alive_seconds=1.0, of_seconds=10.0, death="")
    os.utime(runs / "small/summary.json", (1, 1))
    (runs / "below/large/summary.json").write_text('{"alive_seconds": "x", "of_seconds": 10}')
    assert [row.alive_seconds for row in rows_in(runs)] == [None, None]


@pytest.mark.parametrize(
    "summary", ['{"alive_seconds": true, "of_seconds": 1}', '{"alive_seconds": NaN, "of_seconds": 1}', "[]", "{",
                '{"alive_seconds": 1, "of_seconds": 1, "death": ["x"]}', " " * 20_000_000]
)  # fmt: skip
def test_a_summary_with_wrong_entries_is_none(runs, summary):
    (runs / "small/summary.json").write_text(summary)
    assert [row.alive_seconds for row in rows_in(runs)] == [None, None]


def test_foreign_text_makes_no_line_of_its_own(runs):
    with_summary(runs / "small", alive_seconds=1.0, of_seconds=10.0, death="x\n\x1b[Afake  complete")
    (runs / "small").rename(runs / "b\nc complete")
    text = as_table(rows_in(runs))
    assert r"b\nc complete" in text and r"x\n\x1b[Afake" in text and "\x1b" not in text


def test_states(runs):
    for name in ("longer", "broken", "damaged", "begun"):
        shutil.copytree(runs / "small", runs / name)
    for name, entries in (("longer", {"n_updates": 1}), ("broken", {"broke_down": "the loss is not finite"})):
        saved = SavedRun.read(runs / name).checkpoint
        checkpoint.save(runs / name / "checkpoint.safetensors", saved._replace(record=saved.record | entries))
    content = bytearray((runs / "damaged/checkpoint.safetensors").read_bytes())
    content[-3] ^= 1
    (runs / "damaged/checkpoint.safetensors").write_bytes(content)
    for path in (runs / "begun").glob("checkpoint*"):  # killed before its first checkpoint: no run is left of it
        path.unlink()
    with owned_folder(runs / "small"):
        rows = {row.name: row for row in rows_in(runs)}
    assert set(rows) == {"below/large", "small", "longer", "broken", "damaged"}
    assert rows["small"].state == "running" and f"process {os.getpid()} on " in rows["small"].note
    assert rows["longer"].state == "not complete" and rows["below/large"].state == "complete"
    assert rows["broken"].state == "broke down" and "the loss is not finite" in rows["broken"].note
    assert rows["damaged"].state == "unreadable" and "is damaged" in rows["damaged"].note
    with owned_folder(runs / "begun"):
        assert {row.name: row.state for row in rows_in(runs)}["begun"] == "running"
    assert all(row.state != "running" for row in rows_in(runs))


def test_of_many_settings_that_differ_the_table_has_the_first(runs):
    large, small = rows_in(runs)
    small.differing = {f"setting_{k}": k for k in range(20)}
    text = as_table([large, small])
    assert "setting_11=11  and 8 more (--json has all)" in text and "setting_12" not in text


def test_a_model_without_a_recipe_comes_last_and_is_no_damage(runs):
    shutil.copytree(runs / "small", runs / "library")
    saved = SavedRun.read(runs / "library").checkpoint
    checkpoint.save(runs / "library" / checkpoint.NAME, saved._replace(record={**saved.record, "config": None}))
    rows = rows_in(runs, "validation")
    assert [row.name for row in rows][-1] == "library"
    assert (rows[-1].state, rows[-1].updates) == ("no recipe", 2) and "without a recipe" in rows[-1].note


def test_orders(runs):
    with_summary(runs / "below/large", alive_seconds=3.0, of_seconds=10.0, death="")
    shutil.copytree(runs / "small", runs / "zero")
    (runs / "zero/checkpoint.safetensors").write_bytes(b"")
    os.utime(runs / "small/checkpoint.safetensors", (1e9, 1e9))
    by = {order: [row.name for row in rows_in(runs, order)] for order in ("name", "alive", "updates", "saved")}
    assert by == {
        "name": ["below/large", "small", "zero"],
        "alive": ["below/large", "small", "zero"],
        "updates": ["below/large", "small", "zero"],
        "saved": ["below/large", "small", "zero"],
    }
    losses = [row.validation_loss for row in rows_in(runs, "validation") if row.validation_loss is not None]
    assert losses == sorted(losses) and len(losses) == 2


def test_each_folder_once_however_it_is_reached(runs):
    (runs / "link").symlink_to(runs / "small")
    (runs / "loop").symlink_to(runs)
    (runs / ".hidden").mkdir()
    shutil.copytree(runs / "small", runs / ".hidden/run")
    assert len(list(run_folders(runs, pytest.fail))) == 2
    assert [row.name for row in rows_in(runs / "small")] == ["."]


def test_a_folder_that_cannot_be_read_is_named_and_stops_nothing(runs, monkeypatch):
    """As root, who runs tests, may read all folders, the error is planted."""
    (runs / "closed").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    rows = {row.name: row for row in rows_in(runs)}
    assert set(rows) == {"below/large", "closed", "small"}
    assert rows["closed"].state == "unreadable" and rows["closed"].note.startswith("Permission denied: what is in")


def test_table_and_json(runs):
    with_summary(runs / "small", alive_seconds=1.25, of_seconds=10.0, death="fell silent")
    rows = rows_in(runs)
    lines = as_table(rows).splitlines()
    assert lines[0].split() == ["run", "recipe", "state", "updates", "validation", "alive", "saved"]
    assert lines[2].split("  ")[2:] == ["model.n_units=8", "learning_rate=0.01"]
    assert "1.2 of 10 s" in lines[3] and lines[5] == "    the sound fell silent"
    rows[0].settings["minutes"] = math.inf
    first, second = json.loads(as_json(rows), parse_constant=pytest.fail)
    assert first["settings"].pop("minutes") is None and rows[0].settings.pop("minutes") == math.inf
    assert [first, second] == json.loads(json.dumps([dataclasses.asdict(row) for row in rows]))


def test_the_command(runs, command):
    status, out, _ = command("runs", runs, "--sort", "updates")
    assert status == 0 and out == as_table(rows_in(runs, "updates")) + "\n"
    status, out, _ = command("runs", runs, "--json")
    assert status == 0 and len(json.loads(out)) == 2


def test_what_holds_no_run_is_refused(tmp_path, command):
    for folder, words in ((tmp_path, "holds no run"), (tmp_path / "none", "no such folder")):
        with pytest.raises(RnnaudioError, match=words):
            rows_in(folder)
    status, out, err = command("runs", tmp_path / "none")
    assert (status, out) == (2, "") and len(err.splitlines()) == 1
    status, _, err = command("runs", tmp_path, "--sort", "beauty")
    assert status == 2 and "beauty" in err
