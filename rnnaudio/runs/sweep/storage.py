"""Storage of a study: Optuna's journal, a file in the sweep's folder, or a database."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from rnnaudio.atomic import break_links
from rnnaudio.errors import RnnaudioError
from rnnaudio.interrupt import Interrupt
from rnnaudio.records import parsed
from rnnaudio.text import visible

JOURNAL = "study.journal"
BUSY_SECONDS = 60.0  # that SQLite waits for another process
# What replaying a journal of wrong, but well-formed, lines may raise in Optuna.
UNUSABLE = (AssertionError, AttributeError, LookupError, TypeError, ValueError)

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=ExperimentalWarning)


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Context manager that converts errors of a storage, called ``where`` in the message, to RnnaudioError."""
    try:
        yield
    except (OptunaError, SQLAlchemyError, OSError) as error:
        why = visible(str(error).partition("\n")[0]) or type(error).__name__
        raise RnnaudioError(
            f"the study in {where} cannot be read or written: {why}; mend this, then the same command goes on"
        ) from error


@contextlib.contextmanager
def undisturbed(where: str) -> Iterator[None]:
    """Context manager that does as :func:`explained`, and delays KeyboardInterrupt to the end of its block.

    If Optuna were interrupted while it waits for the lock of a journal, it would free the lock of another process.
    """
    with Interrupt("ending when the study is written") as asked, explained(where):
        yield
    if asked.reason:
        raise KeyboardInterrupt


def name_of(out: Path, url: str) -> str:
    """Return the name of a storage for messages: the path of its file, or its URL without the password."""
    if not url:
        return str(out / JOURNAL)
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "the database"


def open_storage(out: Path, url: str) -> BaseStorage:
    """Open the storage at the URL of a database or, if ``url`` is empty, the journal in the folder ``out``.

    A journal that does not exist is made. RnnaudioError if the database cannot be opened, or if the journal is
    damaged.
    """
    return _database(url, name_of(out, url)) if url else _journal(out / JOURNAL)


def _database(url: str, name: str) -> RDBStorage:
    if "://" not in url:
        raise RnnaudioError(f"--storage is {url!r}; expected the URL of a database, such as sqlite:////data/sweeps.db")
    waiting: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if url.startswith("sqlite") else {}
    try:
        with explained(name):
            return RDBStorage(url, engine_kwargs=waiting)
    except (ImportError, ValueError) as error:  # a database without its driver, or none that is known
        why = visible(str(error).partition("\n")[0])
        raise RnnaudioError(f"--storage {name} cannot be used: {why}; install its driver, or name another") from error


# ---------------------------------------------------------------- the journal


def _journal(path: Path) -> JournalStorage:
    where = str(
        path.absolute()
    )  # absolute, as the lock is a link to it: a dangling one, left by a killed process, would be waited for forever
    if path.exists():
        _mend(path, JournalFileSymlinkLock(where))
    try:
        with explained(where):
            return JournalStorage(JournalFileBackend(where))
    except UNUSABLE as error:
        raise RnnaudioError(
            f"{path} is damaged: {type(error).__name__} {error}, as Optuna reads it; {_what_to_do(path)}"
        ) from error


def _mend(path: Path, lock: JournalFileSymlinkLock) -> None:
    """Cut off an unfinished last line, left by a full disk or a loss of power; RnnaudioError for other damage.

    A journal with several hard links, as in a linked copy of the sweep, is first replaced by a copy.
    """
    with explained(str(path)):
        lock.acquire()
        try:
            break_links(path)
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            _check_lines(path, content[:whole])
            if whole < len(content):
                with open(path, "r+b") as file:
                    file.truncate(whole)
                left = f"the unfinished last line of {len(content) - whole} bytes is cut"
                print(f"note: {visible(path)}: {left}", file=sys.stderr)
        finally:
            lock.release()


def _check_lines(path: Path, content: bytes) -> None:
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            entry = parsed(line.decode())
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or "op_code" not in entry:
            raise RnnaudioError(f"{path} is damaged: line {number} is no entry of a journal; {_what_to_do(path)}")


def _what_to_do(path: Path) -> str:
    return f"put back a copy of that file, or begin anew in another folder ({path.parent} keeps its runs)"
