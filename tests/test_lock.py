"""One owner of a folder or file at a time, whatever becomes of it; who only reads is never asked."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from rnnaudio import lock
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import OF_A_FOLDER, owned_file, owned_folder
from rnnaudio.process import host, this_process
from rnnaudio.training import checkpoint
from tests.support.processes import ROOT

OWNER = """
import sys, time
from pathlib import Path
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owned_folder
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
try:
    with owned_folder(Path(sys.argv[1]), make=True):
        print("mine", flush=True)
        time.sleep(float(sys.argv[3]))
except RnnaudioError as error:
    print(error)
"""


def started(folder, at=0.0, seconds=60.0):
    """A process that wants to own the folder from a time on, for so long."""
    command = [sys.executable, "-c", OWNER, str(folder), str(at), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@contextmanager
def owning(folder):
    child = started(folder)
    try:
        assert child.stdout.readline() == "mine\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_a_second_process_is_told_who_has_it_and_gets_it_when_that_is_killed(tmp_path):
    with owning(tmp_path / "run") as owner:
        who = rf"run is being written by process {owner.pid} on {host()}, since 20\d\d-.*: wait until it has ended"
        with pytest.raises(RnnaudioError, match=who), owned_folder(tmp_path / "run", make=True):
            pass
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        assert (tmp_path / "copy" / OF_A_FOLDER).stat().st_size < 300
        with owned_folder(tmp_path / "copy"):  # what was copied is nobody's
            pass
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    assert os.listdir(tmp_path / "run") == [OF_A_FOLDER]
    with owned_folder(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / OF_A_FOLDER).read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path / "run") == os.listdir(tmp_path / "copy") == []


def test_of_many_that_start_at_the_same_moment_one_wins(tmp_path):
    at = time.time() + 0.5
    children = [started(tmp_path / "new" / "run", at, 0.6) for _ in range(4)]
    said = [child.communicate()[0] for child in children]
    assert said.count("mine\n") == 1 and sum("is being written by process" in text for text in said) == 3
    assert not (tmp_path / "new").exists()  # made by one of them, and empty


def test_a_thread_enters_twice_and_another_does_not(tmp_path):
    errors = []

    def enter():
        try:
            with owned_file(tmp_path / "a.h5"):
                pass
        except RnnaudioError as error:
            errors.append(str(error))

    with owned_file(tmp_path / "a.h5"):
        enter()
        assert errors == [] and os.listdir(tmp_path) == [".a.h5.lock"]
        other = threading.Thread(target=enter)
        other.start()
        other.join()
        assert f"a.h5 is being written by process {os.getpid()} on" in errors[0]
    assert os.listdir(tmp_path) == []


def test_a_file_has_one_lock_whatever_leads_to_it(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.h5").symlink_to(tmp_path / "far/real.h5")
    with owned_file(tmp_path / "link.h5"), ThreadPoolExecutor(1) as other:
        assert os.listdir(tmp_path / "far") == [".real.h5.lock"]

        def enter(path):
            with owned_file(path):
                pass

        for path in (tmp_path / "far/real.h5", tmp_path / "far/../link.h5"):
            with pytest.raises(RnnaudioError, match="is being written by process"):
                other.submit(enter, path).result()


def test_folders_that_stay_empty_are_removed_and_others_are_not(tmp_path):
    with pytest.raises(RnnaudioError, match="no"), owned_folder(tmp_path / "a" / "b", make=True):
        raise RnnaudioError("no")
    assert os.listdir(tmp_path) == []
    with owned_folder(tmp_path / "a" / "b", make=True):
        (tmp_path / "a" / "b" / "x").touch()
    assert os.listdir(tmp_path / "a" / "b") == ["x"]
    with owned_folder(tmp_path / "missing"):
        assert os.listdir(tmp_path) == ["a"]


# ---------------------------------------------------------------- records of owners that may be gone


def left_behind(path, **changed):
    """A lock that its owner did not remove."""
    path.touch()
    known = {"host": host(), "boot": lock.boot(), "since": "2026-01-01 00:00:00", "inode": path.stat().st_ino}
    path.write_text(json.dumps(this_process()._asdict() | known | changed))
    return path


DEAD, FOREIGN = {"started": 1}, {"host": "node-7", "boot": "b", "machine": "0" * 8}


@pytest.fixture
def without_kernel_locks(monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    monkeypatch.setattr(lock, "SETTLING_SECONDS", 0.02)


def test_what_the_kernel_has_freed_is_free_whatever_the_record_says(tmp_path):
    for changed in (DEAD, {}, FOREIGN | {"boot": lock.boot()}):
        left_behind(tmp_path / OF_A_FOLDER, **changed)
        with owned_folder(tmp_path):
            pass
        assert os.listdir(tmp_path) == []


def test_what_was_left_before_a_restart_is_free_and_a_machine_of_the_same_name_is_not_this_one(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "uptime", lambda: 200.0)
    path = left_behind(tmp_path / OF_A_FOLDER, **FOREIGN | {"host": host()})
    age(path, 100.0)
    assert lock.owner_of(tmp_path) is not None
    keeps_out(tmp_path, f"on {host()}")
    age(path, 300.0)
    assert lock.owner_of(tmp_path) is None
    with owned_folder(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def keeps_out(folder, words):
    with pytest.raises(RnnaudioError, match=words), owned_folder(folder):
        pass
    assert (folder / OF_A_FOLDER).exists()


def test_another_machine_keeps_its_lock_until_somebody_deletes_it(tmp_path):
    path = left_behind(tmp_path / OF_A_FOLDER, **FOREIGN)
    gone = rf"\(if that machine is gone: .* 15 minutes .*, or delete {path}\)"
    who = rf"by process {os.getpid()} on node-7, since .*{gone}"
    keeps_out(tmp_path, who)
    assert lock.owner_of(tmp_path).host == "node-7"


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize("by_kernel", [True, False])
def test_another_machine_that_gives_no_sign_of_life_has_ended(tmp_path, request, by_kernel):
    if not by_kernel:
        request.getfixturevalue("without_kernel_locks")
    path = left_behind(tmp_path / OF_A_FOLDER, **FOREIGN)
    age(path, lock.SILENT_SECONDS - 60.0)
    keeps_out(tmp_path, "on node-7")
    age(path, lock.SILENT_SECONDS + 60.0)
    assert lock.owner_of(tmp_path) is None
    with owned_folder(tmp_path):
        assert lock.owner_of(tmp_path).pid == os.getpid() and lock.owner_of(tmp_path).host == host()
        lock.check_owned(tmp_path)
    assert os.listdir(tmp_path) == []


def test_an_owner_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "RENEWAL_SECONDS", 0.02)
    with owned_folder(tmp_path):
        path = tmp_path / OF_A_FOLDER
        age(path, 1000.0)
        end = time.monotonic() + 10.0
        while time.time() - path.stat().st_mtime > 500.0:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert not [one for one in threading.enumerate() if one.name.startswith("Thread") and "_renew" in one.name]


@pytest.mark.parametrize("in_place", [True, False], ids=["same file", "new file"])
def test_whoever_was_suspended_too_long_overwrites_nothing(tmp_path, in_place):
    """Another machine has taken the lock: by the record in the same file, or by a new file."""
    checkpoint.save(tmp_path / checkpoint.NAME, checkpoint.Checkpoint({}, {"of": "both"}))
    before = (tmp_path / checkpoint.NAME).read_bytes()
    with owned_folder(tmp_path):
        path = tmp_path / OF_A_FOLDER
        if not in_place:
            path.unlink()
        left_behind(path, **FOREIGN)
        taken_over = r"was taken over by process \d+ on node-7, .* nothing was overwritten"
        with pytest.raises(RnnaudioError, match=taken_over):
            checkpoint.save(tmp_path / checkpoint.NAME, checkpoint.Checkpoint({}, {"of": "one"}))
    assert (tmp_path / checkpoint.NAME).read_bytes() == before
    keeps_out(tmp_path, "on node-7")  # and its lock is left to it


def test_who_has_no_lock_is_not_asked(tmp_path):
    lock.check_owned(tmp_path)
    left_behind(tmp_path / OF_A_FOLDER, **FOREIGN)
    lock.check_owned(tmp_path)


@pytest.mark.usefixtures("without_kernel_locks")
def test_without_locks_of_the_kernel_the_record_decides(tmp_path):
    with owned_folder(tmp_path):
        lock._held.clear()  # as another process sees it
        keeps_out(tmp_path, f"by process {os.getpid()} on {host()}")
    assert os.listdir(tmp_path) == []
    left_behind(tmp_path / OF_A_FOLDER, **FOREIGN)
    keeps_out(tmp_path, "if that machine is gone")
    left_behind(tmp_path / OF_A_FOLDER, **DEAD)
    with owned_folder(tmp_path):
        lock._held.clear()
        keeps_out(tmp_path, f"by process {os.getpid()} on {host()}")


@pytest.mark.usefixtures("without_kernel_locks")
def test_without_locks_of_the_kernel_one_of_two_takes_what_is_left_behind(tmp_path, monkeypatch):
    """The second has read the record of the dead owner before the first replaced it, and removes the new one."""
    path = left_behind(tmp_path / OF_A_FOLDER, **DEAD)

    def meanwhile(seconds):
        assert json.loads(path.read_text())["pid"] == os.getpid()
        path.unlink()
        left_behind(path, **FOREIGN)

    monkeypatch.setattr(lock.time, "sleep", meanwhile)
    keeps_out(tmp_path, "on node-7")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"{\xff", b'{"pid": "x"}', b"{" * 4000, b'{"pid": ' + b"9" * 4080, b"{" + b"x" * 10**6,
        json.dumps({**this_process()._asdict(), "host": 1, "boot": "", "since": "", "inode": 1}).encode(),
        json.dumps({**FOREIGN, "pid": -1, "started": 1, "since": "", "inode": 1}).encode(),
        json.dumps({**this_process()._asdict(), "host": "", "boot": "", "since": "", "inode": 1}).encode(),  # a copy
    ],
)  # fmt: skip
def test_what_is_no_record_keeps_nobody_out(tmp_path, content):
    (tmp_path / OF_A_FOLDER).write_bytes(content)
    with owned_folder(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"my notes", b"[]", b"\xff"])
def test_what_is_no_lock_of_ours_is_left_alone(tmp_path, content):
    (tmp_path / OF_A_FOLDER).write_bytes(content)
    keeps_out(tmp_path, "a file that is no lock; move or delete that file")
    assert (tmp_path / OF_A_FOLDER).read_bytes() == content


def test_a_file_with_another_name_is_left_alone(tmp_path):
    (tmp_path / "precious").write_bytes(b"")
    os.link(tmp_path / "precious", tmp_path / OF_A_FOLDER)
    keeps_out(tmp_path, "a file that has another name, too; move or delete that file")
    assert (tmp_path / "precious").read_bytes() == b""


def test_text_of_a_record_is_shown_not_obeyed(tmp_path):
    left_behind(tmp_path / OF_A_FOLDER, **FOREIGN | {"host": "\x1b[2Jnode\nrnnaudio: fake"})
    keeps_out(tmp_path, r"on \\x1b\[2Jnode\\nrnnaudio: fake, since")


@pytest.mark.parametrize("make", [lambda p, other: p.symlink_to(other), lambda p, other: os.mkfifo(p)])
def test_what_is_no_regular_file_is_refused_and_left_alone(tmp_path, make):
    other = tmp_path / "other"
    other.write_text("mine")
    make(tmp_path / OF_A_FOLDER, other)
    keeps_out(tmp_path, "cannot lock .*; move or delete that file if no process writes there")
    assert other.read_text() == "mine"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_where_nothing_can_be_written_there_is_no_lock(tmp_path, monkeypatch, number):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.os, "open", refused)
    with owned_folder(tmp_path):
        assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lock.os, "pwrite", full)
    with pytest.raises(RnnaudioError, match=r"cannot write .*\.rnnaudio\.lock: No space left"), owned_folder(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("folder_is_gone", [False, True])
def test_a_lock_that_is_freed_while_it_is_looked_at_is_taken(tmp_path, monkeypatch, folder_is_gone):
    """Between two ways to open its file; or with the folder, which its maker removes when it ends."""
    folder, real, calls = tmp_path / "run", os.open, []

    def opened(path, flags, *mode):
        calls.append(path)
        if len(calls) == 1:
            if folder_is_gone:
                folder.rmdir()
                raise FileNotFoundError(errno.ENOENT, "gone")
            raise FileExistsError(errno.EEXIST, "there")  # and the second call finds none
        return real(path, flags, *mode)

    monkeypatch.setattr(lock.os, "open", opened)
    with owned_folder(folder, make=True):
        assert (folder / OF_A_FOLDER).exists() and len(calls) >= 2
    assert not folder.exists()
