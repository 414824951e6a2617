"""Files are written whole or not at all, and what killed processes leave is removed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rnnaudio import atomic
from rnnaudio.atomic import break_links, replacing, temporary_folder, write_atomically
from rnnaudio.errors import RnnaudioError
from tests.support.processes import ROOT

DYING = """
import os, signal, sys
from pathlib import Path
from rnnaudio.atomic import replacing, temporary_folder
with replacing(Path(sys.argv[1])) as temporary, temporary_folder() as folder:
    temporary.write_text("half")
    (folder / "x").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A folder, for files and for temporary ones."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def killed(path):
    environment = os.environ | {"TMPDIR": str(path.parent)}
    done = subprocess.run([sys.executable, "-c", DYING, str(path)], cwd=ROOT, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_process_left_is_removed_by_the_next_one(fresh):
    (fresh / "a.txt").write_text("whole")
    killed(fresh / "a.txt")
    assert len(os.listdir(fresh)) == 3 and (fresh / "a.txt").read_text() == "whole"
    write_atomically(fresh / "b.txt", b"b")
    assert sorted(os.listdir(fresh)) == ["a.txt", "b.txt"]


def test_what_running_processes_write_is_left_alone(fresh):
    with replacing(fresh / "a.txt") as temporary, temporary_folder() as folder:
        temporary.write_text("half")
        write_atomically(fresh / "b.txt", b"b")
        assert temporary.exists() and folder.exists()
    assert sorted(os.listdir(fresh)) == ["a.txt", "b.txt"]


@pytest.mark.parametrize(("days", "stays"), [(6, True), (8, False)])
def test_what_another_machine_writes_stays_for_a_week(fresh, days, stays):
    foreign = fresh / ".a.h5.00000000-1-1-abcd.part"
    foreign.write_text("half")
    os.utime(foreign, (time.time() - days * 86_400,) * 2)
    write_atomically(fresh / "b.txt", b"b")
    assert foreign.exists() is stays


def test_other_files_of_the_user_stay(fresh):
    dead = f"{atomic.this_process().machine}-{2**22 + 1}-1-abcd"
    names = [f"a.{dead}", f".{dead}.part", "x.part", ".a.h5.12345678.part", "a.h5.pieces.part", "rnnaudio-x"]
    for name in names:
        (fresh / name).write_text("mine")
    write_atomically(fresh / "b.txt", b"b")
    assert sorted(os.listdir(fresh)) == sorted([*names, "b.txt"])


def test_a_link_is_removed_and_not_what_it_points_to(fresh):
    (fresh / "kept").mkdir()
    (fresh / "kept" / "x").write_text("mine")
    dead = f"{atomic.this_process().machine}-{2**22 + 1}-1-abcd"
    (fresh / f"rnnaudio-y-{dead}").symlink_to(fresh / "kept")
    write_atomically(fresh / "b.txt", b"b")
    assert sorted(os.listdir(fresh)) == ["b.txt", "kept"] and (fresh / "kept" / "x").exists()


@pytest.mark.parametrize("error", [OSError("unable to open file: name = '{}'"), RnnaudioError("cannot write {}: no")])
def test_errors_name_the_file_of_the_user(fresh, error):
    with pytest.raises(RnnaudioError) as raised, replacing(fresh / "a.txt") as temporary:
        raise type(error)(str(error).format(temporary))
    assert str(fresh / "a.txt") in str(raised.value) and ".part" not in str(raised.value)
    assert os.listdir(fresh) == []


def test_a_name_may_be_as_long_as_the_system_allows(fresh):
    for name in ("a" * 255, "é" * 127):
        write_atomically(fresh / name, b"x")
    assert len(os.listdir(fresh)) == 2


def test_no_place_for_a_temporary_folder(fresh, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(fresh / "missing"))
    words = "cannot make a temporary folder: No such file.*TMPDIR"
    with pytest.raises(RnnaudioError, match=words), temporary_folder():
        pass


def test_the_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    real, link, dangling = tmp_path / "elsewhere/a", tmp_path / "link", tmp_path / "dangling"
    real.write_bytes(b"old")
    link.symlink_to(real)
    dangling.symlink_to(tmp_path / "elsewhere/b")
    for path in (link, dangling):
        assert write_atomically(path, b"new") == path and path.is_symlink() and path.read_bytes() == b"new"
    assert real.read_bytes() == b"new" and {path.name for path in (tmp_path / "elsewhere").iterdir()} == {"a", "b"}
    assert len(list(tmp_path.iterdir())) == 3  # nothing temporary


def test_an_error_names_the_link_and_where_it_leads(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "none/file")
    words = f"cannot write {tmp_path}/link, which leads to {tmp_path}/none/file: No such file or directory; nothing"
    with pytest.raises(RnnaudioError, match=words):
        write_atomically(tmp_path / "link", b"x")
    (tmp_path / "none").mkdir()
    with pytest.raises(RnnaudioError, match=f"^{tmp_path}/link is bad$"), replacing(tmp_path / "link") as temporary:
        raise RnnaudioError(f"{temporary} is bad")


def test_what_is_there_but_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    kinds = {tmp_path: "a folder", tmp_path / "pipe": "a pipe", Path("/dev/null"): "a device", tmp_path / "a": "a li"}
    for path, kind in kinds.items():
        with pytest.raises(RnnaudioError, match=f"cannot write {path}: it is {kind}"):
            write_atomically(path, b"x")
    assert Path("/dev/null").is_char_device() and (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("named_by", ["name", "symbolic link"])
def test_a_file_with_other_names_gets_a_content_of_its_own(tmp_path, named_by):
    mine, other = tmp_path / "mine", tmp_path / "other"
    other.write_text("row\n")
    other.chmod(0o640)
    os.link(other, mine)
    path = mine
    if named_by == "symbolic link":
        path = tmp_path / "link"
        path.symlink_to(mine)
    break_links(path)
    with mine.open("a") as file:
        file.write("more\n")
    assert (mine.read_text(), other.read_text()) == ("row\nmore\n", "row\n")
    assert mine.stat().st_mode == other.stat().st_mode and path.is_symlink() == (path != mine)


def test_a_file_with_one_name_stays_the_file_it_is(tmp_path):
    (tmp_path / "a").write_text("a")
    before = (tmp_path / "a").stat()
    break_links(tmp_path / "a")
    break_links(tmp_path / "missing")
    break_links(tmp_path)  # a folder has more than one name
    assert (tmp_path / "a").stat() == before and os.listdir(tmp_path) == ["a"]


def test_names_are_parted_wholly_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("a")
    os.link(tmp_path / "a", tmp_path / "b")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.shutil, "copyfile", full)
    with pytest.raises(RnnaudioError, match="cannot write .*b: No space left on device; nothing was changed"):
        break_links(tmp_path / "b")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"] and (tmp_path / "a").samefile(tmp_path / "b")
