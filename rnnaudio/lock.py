"""Locks with which one process at a time writes a run or a corpus; a lock is freed when its owner ends.

The lock is a hidden file with a record of its owner, the process that writes. The owner also holds a lock of the
kernel (``flock``) on this file. In nearly all cases the kernel's lock decides whether the file is in use. The record
decides

* where the file system has no locks of the kernel;
* between machines, because on some network disks each machine's kernel has its own locks. The owner renews the
  modification time of the file every minute. While the record names a process on another machine, no other process
  gets the lock until that time is a quarter of an hour old, by the clock of the disk, or somebody deletes the file.

If a machine was suspended for more than a quarter of an hour, another process may have taken the lock when the machine
wakes. :func:`check_owned` detects this before anything is overwritten.

A record holds the inode of its file. A record of this machine with another inode than that of its file was copied with
its folder, and is ignored. Between machines inodes are not compared, as some network disks number their files
differently for each machine. Processes that only read need no lock.
"""

import contextlib
import errno
import fcntl
import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rnnaudio.errors import RnnaudioError
from rnnaudio.process import Process, boot, host, machine, this_process, uptime

OF_A_FOLDER = ".rnnaudio.lock"
MOST_BYTES = 4096  # of a record
SETTLING_SECONDS = 0.2  # in which an owner writes its record
RENEWAL_SECONDS = 60.0  # between two signs of life of an owner
SILENT_SECONDS = 900.0  # without a sign of life, after which an owner on another machine has ended
HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}  # of flock; other errors: there are no such locks here
# Nothing can be written there anyway, and what tries to says so.
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}

_held: set[tuple[str, int, int]] = set()  # locks by path, process and thread


class InUse(RnnaudioError):
    """Error for a run or corpus that another process, or another thread, is writing."""


@contextlib.contextmanager
def owned_folder(folder: Path, *, make: bool = False) -> Iterator[None]:
    """Context manager that keeps other processes from writing to the run in ``folder`` while the block runs.

    make: True to make the folder if it does not exist, and to remove it after the block if it is then empty; False: a
    folder that does not exist is neither made nor locked. Raises the errors of :func:`owned_file`.
    """
    made = _made(Path(folder)) if make else []
    try:
        with _owned(Path(folder), Path(folder) / OF_A_FOLDER, make):
            yield
    finally:
        for one in made:
            with contextlib.suppress(OSError):
                one.rmdir()


@contextlib.contextmanager
def owned_file(path: Path) -> Iterator[None]:
    """Context manager that keeps other processes from writing ``path`` while the block runs.

    The lock is a hidden file beside ``path``. The thread that holds it may enter another such block for the same path.
    InUse if another process or thread holds the lock; the message names the process, its machine and the time.
    In a folder that is missing or not writable, the block runs without a lock; RnnaudioError if the lock file cannot
    be written for another reason. Symbolic links are followed, so that a file has one lock, whatever path leads to it.
    """
    real = Path(os.path.realpath(path))
    with _owned(Path(path), real.with_name(f".{real.name}.lock")):
        yield


def check_owned(folder: Path) -> None:
    """Raise RnnaudioError if this process had the lock of ``folder`` and another process has it now.

    That happens after this machine was suspended, or cut off from a network disk, for a quarter of an hour, or after
    somebody deleted the lock file. As long as no other process has taken the lock, it still belongs to this process.
    """
    path = os.path.join(os.path.realpath(folder), OF_A_FOLDER)
    if not any((lock, pid) == (path, os.getpid()) for lock, pid, _ in list(_held)):
        return
    owner = _named_by(Path(path))
    if owner is not None and owner.process != this_process():
        raise RnnaudioError(
            f"{folder} was taken over by {owner} while this machine was suspended or cut off: nothing was "
            "overwritten; go on there, or train in another folder"
        )


def owner_of(folder: Path) -> "Owner | None":
    """Return the process that writes to the run in ``folder``, as its lock names it; None if none does.

    A process on another machine counts as ended if the lock file was not renewed for a quarter of an hour. The lock is
    only read, not taken, so that no other process is refused meanwhile.
    """
    path = Path(folder) / OF_A_FOLDER
    owner = _named_by(path)
    try:
        age = time.time() - os.stat(path, follow_symlinks=False).st_mtime
    except OSError:  # freed just now
        return None
    return owner if owner is not None and owner.may_be_running(age) else None


def _named_by(lock: Path) -> "Owner | None":
    """Return the owner that a lock file names; None if it names none, or if there is no such file."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _owner(descriptor)
    except OSError:  # what is there is no file
        return None
    finally:
        os.close(descriptor)


def _made(folder: Path) -> list[Path]:
    """Make a folder and its missing parents; return the new folders, deepest first, or [] if they cannot be made."""
    missing = [one for one in (folder, *folder.parents) if not os.path.exists(one)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # what writes there says so
        return []
    return missing


@contextlib.contextmanager
def _owned(thing: Path, lock: Path, make: bool = False) -> Iterator[None]:
    key = (os.path.realpath(lock), os.getpid(), threading.get_ident())
    descriptor = None if key in _held else _taken(thing, lock, make)
    if descriptor is None:
        yield
        return
    _held.add(key)
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(descriptor, ended), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        ended.set()
        renewal.join()
        _held.discard(key)
        _free(descriptor, lock)


def _renew(descriptor: int, ended: threading.Event) -> None:
    """Renew the modification time of a lock file every minute until ``ended`` is set."""
    while not ended.wait(RENEWAL_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(descriptor)


def _taken(thing: Path, lock: Path, make: bool) -> int | None:
    """Take a lock; return the descriptor of its file, or None if its folder is missing or not writable.

    make: whether to make the folder of the file, if it is missing. InUse if another process holds the lock;
    RnnaudioError if the file cannot be locked or written.
    """
    while True:
        try:
            descriptor, is_new = _opened(lock)
        except OSError as error:
            if error.errno == errno.ENOENT and make:  # whoever made the folder has removed it: once more
                _made(lock.parent)
                if lock.parent.is_dir():
                    continue
            if error.errno in UNWRITABLE and not os.path.lexists(lock):
                return None
            raise RnnaudioError(
                f"cannot lock {thing}: {lock}: {error.strerror}; move or delete that file if no process writes there"
            ) from error
        try:
            if _is_mine(descriptor, is_new, thing, lock):
                return descriptor
            os.close(descriptor)
        except OSError as error:
            _free(descriptor, lock)
            raise RnnaudioError(f"cannot write {lock}: {error.strerror}; nothing was changed") from error
        except BaseException:
            os.close(descriptor)
            raise


def _opened(lock: Path) -> tuple[int, bool]:
    """Open a lock file, or create it; return its descriptor, and whether it is new. OSError if it is no lock file."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        with contextlib.suppress(FileExistsError):
            return os.open(lock, flags | os.O_CREAT | os.O_EXCL, 0o666), True
        with contextlib.suppress(FileNotFoundError):  # its owner has freed it meanwhile: once more
            descriptor = os.open(lock, flags)
            break
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        wrong = "no regular file"
    elif about.st_nlink > 1:
        wrong = "a file that has another name, too"
    else:
        wrong = "" if os.pread(descriptor, 1, 0) in (b"", b"{") else "a file that is no lock"
    if wrong:
        os.close(descriptor)
        raise OSError(errno.EINVAL, wrong)
    return descriptor, False


def _is_mine(descriptor: int, is_new: bool, thing: Path, lock: Path) -> bool:
    """Take the lock and return True, or return False if its file was removed, so that the caller must try again.

    InUse if another process or thread has the lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        by_kernel = True
    except OSError as error:
        if error.errno in HELD:
            raise _in_use(thing, lock, _settled(descriptor)) from error
        by_kernel = False
    if not _is_at(descriptor, lock):
        return False
    owner = _owner(descriptor) if is_new or by_kernel else _settled(descriptor)
    if owner is not None and owner.keeps_out(by_kernel, _age(descriptor, lock)):
        raise _in_use(thing, lock, owner)
    if not is_new and not by_kernel:  # of two processes that find a dead owner, one will create the new file
        lock.unlink(missing_ok=True)
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(_myself(descriptor)._asdict()).encode(), 0)
    if not by_kernel:
        time.sleep(SETTLING_SECONDS)  # another process may have removed this file as that of the dead owner
        return _is_at(descriptor, lock)
    return True


def _age(descriptor: int, lock: Path) -> float:
    """Return the seconds since a lock file was last renewed, by the clock of its disk."""
    with tempfile.TemporaryFile(dir=lock.parent) as now:
        return os.fstat(now.fileno()).st_mtime - os.fstat(descriptor).st_mtime


def _free(descriptor: int, lock: Path) -> None:
    with contextlib.suppress(OSError):
        owner = _owner(descriptor)  # none yet, if writing it has failed
        if _is_at(descriptor, lock) and (owner is None or owner.process == this_process()):
            lock.unlink()
    os.close(descriptor)


def _is_at(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(lock, follow_symlinks=False))
    except OSError:  # removed, or out of reach
        return False


# ---------------------------------------------------------------- the record of an owner


class Owner(NamedTuple):
    """Record of the process that holds a lock.

    pid, started, machine
        identity of the process, as in :class:`rnnaudio.process.Process`.
    host, boot
        host name of its machine, and identifier of the machine's boot; see :mod:`rnnaudio.process`.
    since
        local time at which the process took the lock, YYYY-MM-DD HH:MM:SS.
    inode
        inode of the lock file; it differs in a copy of the file.
    """

    pid: int
    started: int
    machine: str
    host: str
    boot: str
    since: str
    inode: int

    def keeps_out(self, by_kernel: bool, age_seconds: float) -> bool:
        """Return whether this owner may still be running, so that no other process may take its lock.

        by_kernel: whether this process has obtained the kernel's lock on the file; an owner on this machine has then
        ended. age_seconds: time since the owner last renewed the lock file.
        """
        if by_kernel and self.boot and self.boot == boot():
            return False  # that kernel has freed the lock
        return self.may_be_running(age_seconds)

    def may_be_running(self, age_seconds: float) -> bool:
        """Return whether the process is running or, on another machine, has renewed its lock within 15 minutes.

        age_seconds: time since the owner last renewed the lock file. An owner that has the host name of this machine,
        and last renewed its lock before this machine was booted, has ended: a running process on another machine of
        the same name would have renewed it since.
        """
        is_running = self.process.is_running()
        if is_running is None and self.host == host() and age_seconds > uptime():
            return False
        return age_seconds < SILENT_SECONDS if is_running is None else is_running

    @property
    def process(self) -> Process:
        return Process(self.pid, self.started, self.machine)

    def __str__(self) -> str:
        return f"process {self.pid} on {ascii(self.host)[1:-1]}, since {ascii(self.since)[1:-1]}"


def _myself(descriptor: int) -> Owner:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return Owner(*this_process(), host(), boot(), now, os.fstat(descriptor).st_ino)


def _owner(descriptor: int) -> Owner | None:
    """Return the owner that a lock file names; None if it names none, or was copied on this machine."""
    try:
        values = json.loads(os.pread(descriptor, MOST_BYTES, 0))
        owner = Owner(**values)
    except (ValueError, TypeError, RecursionError):
        return None
    kinds = zip(owner, Owner.__annotations__.values(), strict=True)
    if not all(type(value) is kind for value, kind in kinds) or owner.pid <= 0:
        return None
    is_copy = owner.machine == machine() and owner.inode != os.fstat(descriptor).st_ino
    return None if is_copy else owner


def _settled(descriptor: int) -> Owner | None:
    """Return the owner that a lock file names, waiting .2 s at most until the record is written; None if it is not."""
    end = time.monotonic() + SETTLING_SECONDS
    while (owner := _owner(descriptor)) is None and time.monotonic() < end:
        time.sleep(SETTLING_SECONDS / 20)
    return owner


def _in_use(thing: Path, lock: Path, owner: Owner | None) -> InUse:
    who = f"{owner}" if owner else "another process"
    elsewhere = owner is not None and owner.host != host()
    wait = f"its lock is free {SILENT_SECONDS / 60.0:.0f} minutes after its last sign of life"
    gone = f" (if that machine is gone: {wait}, or delete {lock})" if elsewhere else ""
    return InUse(f"{thing} is being written by {who}: wait until it has ended, or choose another place{gone}")
