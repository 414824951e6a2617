"""Exceptions for errors that the user can fix, and the reporting of such errors by a command."""

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from rnnaudio import interrupt
from rnnaudio.text import VisibleStream, visible

# What is wrong with a path that a user has named, wherever it is looked at.
OF_A_PATH = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EIO, errno.ESTALE}


class RnnaudioError(Exception):
    """An error that the user can fix: bad input, a missing extra, a full disk.

    The message states in one line what was received, what was expected and what to do; control characters in it, such
    as those of a file name, are replaced by escapes. Callers may catch the exception. ``status``: exit status of a
    command that ends with this exception.
    """

    status = 2

    def __init__(self, message: object):
        super().__init__(visible(message))


class BrokeDown(RnnaudioError):
    """Error for training that broke down (a loss or gradient was not finite) or diverged; exit status 3."""

    status = 3


class Unsuitable(RnnaudioError):
    """Error for settings with which a run cannot be trained on its corpus, or on this machine."""


class MissingCorpus(RnnaudioError):
    """Error for a missing corpus file; ``path``: where it was expected."""

    def __init__(self, path: Path):
        super().__init__(f"{path}: no such corpus file; build one with 'rnnaudio corpus build'")
        self.path = path


def run_command(main: Callable[[], object], name: str) -> None:
    """Call ``main``; on RnnaudioError print one line to standard error and exit with the status of the error.

    name: prefix of the messages.

    A signal raises KeyboardInterrupt in ``main`` (:mod:`rnnaudio.interrupt`); the exit status is then 128 + number of
    the signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP. The status is the same if the KeyboardInterrupt is
    lost and ``main`` returns, or if ``main`` raises another exception in its place, except RnnaudioError and
    BrokenPipeError.

    A path that cannot be accessed (no permission, a name that is too long) and a lack of memory end the command with
    one line and status 2. If the reader of standard output has gone (``rnnaudio defects | head``), the command exits
    without a message, with status 141, as after SIGPIPE. If standard output cannot be written for another reason, such
    as a full disk, the command prints one line and exits with status 2. Text that cannot be written to standard error
    is lost. Control characters, and characters that the terminal's encoding lacks, are printed as escapes.
    """
    _make_output_printable()
    with redirect_stderr(cast(TextIO, _Forgiving(sys.stderr))), interrupt.raised(), interrupt.kept():
        try:
            main()
            sys.stdout.flush()
            if interrupt.was_raised():  # but was lost: Python ignores exceptions in some places
                _exit_interrupted(name)
        except RnnaudioError as error:
            print(f"{name}: {error}\n", end="", file=sys.stderr)  # at once, for several processes may say so
            sys.exit(error.status)
        except BrokenPipeError:
            forget_output()
            sys.exit(141)
        except KeyboardInterrupt as end:
            _exit_interrupted(name, str(end))
        except MemoryError as error:
            said = f" ({' '.join(str(error).split())})" if str(error) else ""
            print(f"{name}: out of memory{said}: lower its sizes, or free memory", file=sys.stderr)
            sys.exit(2)
        except Exception as error:
            if interrupt.was_raised():  # in the middle of an import it may have become another error
                _exit_interrupted(name)
            if isinstance(error, OSError) and error.filename is not None and error.errno in OF_A_PATH:
                path = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
                print(f"{name}: {visible(path)}: {error.strerror}; name another path", file=sys.stderr)
                sys.exit(2)
            if not isinstance(error, OSError) or not _output_fails():
                raise
            forget_output()
            print(f"{name}: cannot write to standard output: {error.strerror}; send it elsewhere", file=sys.stderr)
            sys.exit(2)


def _exit_interrupted(name: str, left: str = "") -> NoReturn:
    """Print that the command was interrupted, and exit with the status of the signal; left: text on how to go on."""
    try:
        sys.stdout.flush()
    except OSError:
        forget_output()
    print(f"\n{name}: interrupted{left and f'; {left}'}", file=sys.stderr)
    # A KeyboardInterrupt that has left an exec() of text, as dataclasses do, stays marked as unhandled in CPython, and
    # `python -m` then ends by SIGINT whatever the status is. The next evaluation of text takes the mark off.
    eval("None")
    sys.exit(interrupt.status())


class _Forgiving:
    """Wrapper of standard error, ``stream``, whose methods never fail: text that cannot be written is lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """Redirect the stream, with the text in its buffer, to the null device."""
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _make_output_printable() -> None:
    r"""Make standard output and error print any text, with escapes such as ``\u3042`` for unprintable characters.

    Unprintable are characters that the encoding of the stream lacks, and bytes of a file name that are not text. By
    default Python raises UnicodeEncodeError for them, which could end a command after hours of work; another error
    handler, chosen in PYTHONIOENCODING, is respected. Streams that the shell has closed (``>&-``), which are None,
    become the null device. Both streams are wrapped in :class:`rnnaudio.text.VisibleStream`.
    """
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")
    if not isinstance(sys.stdout, VisibleStream):
        sys.stdout, sys.stderr = (cast(TextIO, VisibleStream(stream)) for stream in (sys.stdout, sys.stderr))


def _output_fails() -> bool:
    """Return whether standard output cannot be written, by printing an empty line to it."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def forget_output() -> None:
    """Redirect standard output to the null device, so that the flush at exit cannot fail on a closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
