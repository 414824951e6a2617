"""Checkpoints: every damage is noticed, the one before is kept and taken, what is not finite is refused."""

import dataclasses
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.training import checkpoint
from rnnaudio.training.checkpoint import PREVIOUS, Checkpoint
from tests.support.tiny_runs import TINY, tiny_run

ARRAYS = {
    "model/weight": np.arange(6, dtype="float32").reshape(2, 3),
    "model/other": np.ones((3, 2), "float32"),
    "memory/n_updates": np.asarray(7, "int64"),
}
RECORD = {"n_updates": 7, "history": [], "config": {"title": "a \u00e9 b"}}


def written(folder, record=RECORD, arrays=ARRAYS, **options):
    path = checkpoint.path_in(folder)
    checkpoint.save(path, Checkpoint(arrays, record), **options)
    return path


def with_metadata(path, arrays=ARRAYS, **metadata):
    path.write_bytes(safetensors.numpy.save(arrays, metadata))
    return path


@pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_noticed(tmp_path, every):
    """Bits of a small checkpoint, one at a time: each is refused."""
    path = written(tmp_path)
    content, unnoticed = path.read_bytes(), []
    for place in range(0, 8 * len(content), every):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            checkpoint.load(path)
        except RnnaudioError:
            continue
        unnoticed.append(content[max(0, place // 8 - 8) : place // 8 + 8])
    assert not unnoticed


@pytest.mark.parametrize("change", ["types", "shapes", "names", "no checksum"])
def test_the_checksum_covers_types_shapes_and_names(tmp_path, change):
    path = written(tmp_path)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    weight, other, n_updates = ARRAYS.values()
    arrays = {
        "types": {**ARRAYS, "model/weight": weight.view("int32")},
        "shapes": {**ARRAYS, "model/weight": weight.reshape(3, 2), "model/other": other.reshape(2, 3)},
        "names": {"model/weight": other.reshape(2, 3), "model/other": weight.reshape(3, 2)}
        | {"memory/n_updates": n_updates},
        "no checksum": ARRAYS,
    }[change]
    if change == "no checksum":
        metadata["checksun"] = metadata.pop("checksum")
    with pytest.raises(checkpoint.Damaged, match="is damaged"):
        checkpoint.load(with_metadata(path, arrays, **metadata))


def test_checkpoints_of_earlier_versions_are_read(tmp_path):
    text = json.dumps(RECORD)
    sums = {"crc32": checkpoint.earlier_checksum(text, ARRAYS)}
    for found in ({}, sums):
        path = with_metadata(tmp_path / "old.safetensors", format=checkpoint.FORMAT, record=text, **found)
        assert checkpoint.load(path).record == RECORD
    with pytest.raises(checkpoint.Damaged, match="its checksum does not match"):
        checkpoint.load(with_metadata(path, format=checkpoint.FORMAT, record=text, crc32="00000000"))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("[" * 200_000 + "]" * 200_000, "tables and lists within each other, more than 40"),
        ('{"n_updates": ' + "9" * 100_000 + "}", "a whole number of 100000 digits"),
        ("[1, 2]", "its record is no table"),
        ('{"a": "' + '\\"' * 100_000, "its record is no JSON"),
        ('{"history": {"rows": 1.5}}', r"history.rows is 1.5; expected a whole number"),
        ('{"history": {"rows": 3, "bytes": 1e18, "crc32": 0}}', r"history.bytes is 1e\+18; expected a whole number"),
        ('{"history": {"rows": 3, "bytes": 1000000000000000000, "crc32": 0}}', "history.jsonl is missing"),
    ],
)
def test_records_that_are_no_records_are_refused(tmp_path, record, message):
    sums = {"checksum": checkpoint.checksum(record, ARRAYS)}
    path = with_metadata(tmp_path / "x.safetensors", format=checkpoint.FORMAT, record=record, **sums)
    with pytest.raises(RnnaudioError, match=message) as error:
        checkpoint.load(path)
    assert str(path) in str(error.value) and len(str(error.value)) < 500


def test_another_format_is_no_damage(tmp_path):
    """A later version wrote it: the one before is not taken silently in its place."""
    path = written(tmp_path)
    written(tmp_path, keep_previous=True)
    with_metadata(path, format="rnnaudio-checkpoint-2", record="{}", checksum="")
    with pytest.raises(RnnaudioError, match="use the version of rnnaudio that wrote it"):
        checkpoint.newest(tmp_path)


# ---------------------------------------------------------------- the one before


def test_the_one_before_is_kept_without_a_copy_and_taken_if_the_newest_is_damaged_or_gone(tmp_path, capsys):
    path = written(tmp_path, RECORD | {"n_updates": 1}, keep_previous=True)
    assert not (tmp_path / PREVIOUS).exists()
    before = path.stat().st_ino
    for n in (2, 3):
        written(tmp_path, RECORD | {"n_updates": n}, keep_previous=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.previous.safetensors", "checkpoint.safetensors"]
    assert (tmp_path / PREVIOUS).stat().st_ino != before and checkpoint.newest(tmp_path).record["n_updates"] == 3
    path.write_bytes(path.read_bytes()[:-1])
    for _ in range(2):
        saved = checkpoint.newest(tmp_path)
        assert saved.record["n_updates"] == 2 and saved.is_previous
    assert capsys.readouterr().err.count("taken instead: checkpoint.previous.safetensors") == 1
    checkpoint.restore_previous(path)
    assert checkpoint.newest(tmp_path).record["n_updates"] == 2 and not checkpoint.newest(tmp_path).is_previous
    path.unlink()
    assert checkpoint.exists(tmp_path) and checkpoint.newest(tmp_path).is_previous
    assert f"{path} is gone" in capsys.readouterr().err
    with pytest.raises(RnnaudioError, match=r"checkpoint\.previous\.safetensors exists: continue it"):
        checkpoint.path_to_write(tmp_path, resume=False)
    (tmp_path / PREVIOUS).write_bytes(b"")
    with pytest.raises(RnnaudioError, match="no checkpoint at"):
        checkpoint.newest(tmp_path)


def test_the_previous_checkpoint_is_kept_behind_a_symbolic_link_too(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "run").mkdir()
    path = checkpoint.path_in(tmp_path / "run")
    path.symlink_to(tmp_path / "store/object")
    for n in (1, 2, 3):
        written(tmp_path / "run", RECORD | {"n_updates": n}, keep_previous=True)
    assert path.is_symlink() and checkpoint.load(path).record["n_updates"] == 3
    previous = path.with_name(PREVIOUS)
    assert not previous.is_symlink() and checkpoint.load(previous).record["n_updates"] == 2
    checkpoint.restore_previous(path)
    assert path.is_symlink() and checkpoint.load(path).record["n_updates"] == 2


def test_disks_without_hard_links_keep_it_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    for n in (1, 2, 3):
        written(tmp_path, RECORD | {"n_updates": n}, keep_previous=True)
    assert checkpoint.load(tmp_path / PREVIOUS).record["n_updates"] == 2
    assert checkpoint.newest(tmp_path).record["n_updates"] == 3


# ---------------------------------------------------------------- not finite


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_neither_saved_nor_loaded(tmp_path, value):
    spoilt = {**ARRAYS, "best/weight": np.array([[0.0, 1.0], [value, 2.0]], "float32")}
    with pytest.raises(RnnaudioError, match=rf"is not written: best/weight\[1, 0\] is {value:g}"):
        written(tmp_path, arrays=spoilt)
    assert not checkpoint.exists(tmp_path)
    record = json.dumps(RECORD)
    sums = {"checksum": checkpoint.checksum(record, spoilt)}
    with_metadata(checkpoint.path_in(tmp_path), spoilt, format=checkpoint.FORMAT, record=record, **sums)
    with pytest.raises(RnnaudioError, match=rf"is damaged: best/weight\[1, 0\] is {value:g}"):
        checkpoint.newest(tmp_path)


@given(content=st.binary(max_size=300), is_header=st.booleans())
def test_bytes_that_are_no_checkpoint_are_refused(tmp_path_factory, content, is_header):
    path = Path(tmp_path_factory.getbasetemp()) / "bytes.safetensors"
    path.write_bytes((struct.pack("<Q", len(content)) if is_header else b"") + content)
    with pytest.raises(RnnaudioError, match="is damaged or no checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize("has_links", [True, False])
def test_a_second_name_leaves_the_first_and_nothing_else(tmp_path, monkeypatch, has_links):
    def fails(source, target):
        raise OSError(1, "no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", fails)
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"content")
    for _ in range(2):  # the second time both are one file already
        checkpoint.link(source, target)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"content", "b": b"content"}


def test_a_run_that_another_process_has_changed_is_left_as_it_is(tmp_path, monkeypatch):
    """This process was suspended; another one took the run over, went on, and is done: its lock is gone again."""
    run_dir = tiny_run(tmp_path, "run", dataclasses.replace(TINY, max_updates=4))
    other = tiny_run(tmp_path, "other", dataclasses.replace(TINY, max_updates=8))
    names = ("checkpoint.safetensors", "history.jsonl")
    theirs = {name: (other / name).read_bytes() for name in names}

    def meanwhile(row):
        if row["updates"] == 6:
            for name, content in theirs.items():
                (run_dir / name).write_bytes(content)

    longer = dataclasses.replace(TINY, max_updates=10)
    with pytest.raises(RnnaudioError, match="is not as this process left it: .* nothing was overwritten"):
        fit(FRAMES, longer, tmp_path / "corpus.h5", run_dir, resume=True, observers=[meanwhile])
    assert {name: (run_dir / name).read_bytes() for name in names} == theirs


def test_a_run_that_was_moved_is_not_begun_again_where_it_was(tmp_path):
    run_dir = tiny_run(tmp_path, "run", dataclasses.replace(TINY, max_updates=4))

    def moved(row):
        if run_dir.exists():
            run_dir.rename(tmp_path / "moved")

    with pytest.raises(RnnaudioError, match="is not as this process left it"):
        longer = dataclasses.replace(TINY, max_updates=10)
        fit(FRAMES, longer, tmp_path / "corpus.h5", run_dir, resume=True, observers=[moved])
    assert not run_dir.exists()
