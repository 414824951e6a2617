"""Atomic writing, breaking of hard links, temporary files, and removal of those that killed processes have left."""

import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rnnaudio.errors import RnnaudioError
from rnnaudio.process import Process, this_process

LONGEST_NAME = 100  # bytes of a file's name that its temporary file's name repeats; file systems allow 255 in total
# Name of a temporary file or folder: its owner by machine, process id and start, then a random part.
OWNED = re.compile(r"\.?.+[.-](?P<machine>[0-9a-f]{8})-(?P<pid>\d{1,10})-(?P<started>\d{1,20})-[0-9a-f]{4}")
SUFFIX, FOLDERS = ".part", "rnnaudio-"
UNTOUCHED_SECONDS = 7 * 86_400.0  # after which the process on another machine that wrote a file counts as ended


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the same folder, which is renamed to ``path`` if the block succeeds.

    On any exception, KeyboardInterrupt included, the temporary file is removed and an existing ``path`` is unchanged.
    The order is write, fsync, rename, fsync of the folder, so that ``path`` is complete even after a system crash. If
    ``path`` is a symbolic link, its target is replaced, and the link stays. Temporary files of processes that were
    killed are removed from the folder.

    Raises RnnaudioError in place of any OSError in the block (no space, no permission, no such folder), and if
    ``path`` exists but is not a file: a folder, a device, a pipe. Messages name ``path``, never the temporary file.
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink() or (path.exists() and not path.is_file()):
        raise RnnaudioError(f"cannot write {path}: it is {_kind(path)}; give the name of a file")
    where = f"{path}, which leads to {target}" if path.is_symlink() else f"{path}"
    _remove_leftovers(target.parent)
    temporary = target.with_name(f".{_shortened(target.name)}.{_owner()}{SUFFIX}")
    try:
        temporary.touch()  # fails now, not after an hour's work, if the folder or the permission is missing
        yield temporary
        _fsync(temporary)
        os.replace(temporary, target)
        _fsync(target.parent)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else _renamed(str(error), temporary, path)
        raise RnnaudioError(
            f"cannot write {where}: {reason}; nothing was changed: fix this or choose another place and start again"
        ) from error
    except RnnaudioError as error:
        if temporary.name not in str(error):
            raise
        raise RnnaudioError(_renamed(str(error), temporary, path)) from error
    finally:
        with contextlib.suppress(OSError):  # an error here must not hide the exception raised above
            temporary.unlink(missing_ok=True)


def _renamed(message: str, temporary: Path, path: Path) -> str:
    return message.replace(str(temporary), str(path)).replace(temporary.name, path.name)


def _kind(path: Path) -> str:
    if not path.exists():
        return "a link that leads to itself"
    return "a folder" if path.is_dir() else "a pipe" if path.is_fifo() else "a device or socket"


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: str | Path, content: bytes | Iterable[bytes]) -> Path:
    """Write ``content`` to ``path``, all or nothing (:func:`replacing`), creating missing folders; return the path.

    content: the bytes of the file, or an iterable of parts, which are written in order. If the iterable raises an
    exception, ``path`` is unchanged. Raises RnnaudioError in place of any OSError.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RnnaudioError(f"cannot make the folder {path.parent}: {error.strerror}; choose another place") from error
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)
    return path


def break_links(path: Path) -> None:
    """Replace ``path``, if it is one of several hard links to a file, by a copy that can be changed in place.

    Hard links, such as those made by ``cp -al`` or by backup programs, share one content: data appended under one name
    would appear under all names. ``path`` becomes a copy with the same permissions; the other names keep the old file,
    and so do processes that have it open. A file that is missing, has only one name, or is not a regular file is left
    alone. Raises RnnaudioError if the copy cannot be written.
    """
    try:
        about = os.stat(path)
    except OSError:  # whoever opens the file reports it
        return
    if not stat.S_ISREG(about.st_mode) or about.st_nlink == 1:
        return
    with replacing(path) as temporary:
        shutil.copyfile(path, temporary)
        shutil.copymode(path, temporary)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Context manager that makes a temporary folder, yields its path, and removes the folder at the end.

    Temporary folders left by killed processes are removed, too. RnnaudioError if no temporary folder can be made.
    """
    try:
        _remove_leftovers(Path(tempfile.gettempdir()))
        made = tempfile.TemporaryDirectory(prefix=FOLDERS, suffix=f"-{_owner()}")
    except OSError as error:
        raise RnnaudioError(f"cannot make a temporary folder: {error.strerror}; name another with TMPDIR") from error
    with made as folder:
        yield Path(folder)


# ---------------------------------------------------------------- what killed processes leave


def _owner() -> str:
    """Make the part of a temporary file's name that identifies this process, with a random end; see OWNED."""
    process = this_process()
    return f"{process.machine}-{process.pid}-{process.started}-{secrets.token_hex(2)}"


def _shortened(name: str) -> str:
    return os.fsencode(name)[:LONGEST_NAME].decode(errors="ignore")


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders of ended processes from ``folder``; errors are ignored."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # removed by another process meanwhile, or not permitted
                if _is_leftover(entry):
                    _remove(entry)


def _is_leftover(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a temporary file or folder of this user whose process is no longer running."""
    is_ours = entry.name.endswith(SUFFIX) or entry.name.startswith(FOLDERS)
    owner = OWNED.fullmatch(entry.name.removesuffix(SUFFIX)) if is_ours else None
    if not owner:
        return False
    running = Process(int(owner["pid"]), int(owner["started"]), owner["machine"]).is_running()
    about = entry.stat(follow_symlinks=False)
    if running is None:
        running = time.time() - about.st_mtime < UNTOUCHED_SECONDS
    return not running and about.st_uid == os.geteuid()


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        os.unlink(entry.path)
