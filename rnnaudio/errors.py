"""The exception for errors that the user can fix, and how a command reports it."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

from rnnaudio.text import VisibleStream, visible


class RnnaudioError(Exception):
    """An error that the user can fix: bad input, a missing extra, a full disk.

    The message states in one line what was received, what was expected and what to do; control characters in it, as of
    a file's name, are made visible. Callers may catch it. ``status``: of the command that it ends.
    """

    status = 2

    def __init__(self, message: object):
        super().__init__(visible(message))


class BrokeDown(RnnaudioError):
    """Training broke down or diverged."""

    status = 3


class MissingCorpus(RnnaudioError):
    """There is no corpus file at ``path``."""

    def __init__(self, path: Path):
        super().__init__(f"{path}: no such corpus file; build one with 'rnnaudio corpus build'")
        self.path = path


def run_command(main: Callable[[], object], name: str) -> None:
    """Call ``main``; on RnnaudioError print one line to stderr and exit with its status, on Ctrl-C with status 130.

    If the reader of standard output has gone (``rnnaudio defects | head``), exit without a message with status 141, as
    after SIGPIPE; if standard output cannot be written, for example because the disk is full, exit like after an
    RnnaudioError. Characters that the terminal cannot show, and those that it would obey, are printed as escapes.
    ``name`` is the prefix of the messages.
    """
    _make_output_printable()
    try:
        main()
        sys.stdout.flush()
    except RnnaudioError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(error.status)
    except BrokenPipeError:
        forget_output()
        sys.exit(141)
    except OSError as error:
        if not _output_fails():
            raise
        forget_output()
        print(f"{name}: cannot write to standard output: {error.strerror}; send it elsewhere", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        left = f"; {interrupt}" if str(interrupt) else ""  # what is left to go on from
        print(f"\n{name}: interrupted{left}", file=sys.stderr)
        sys.exit(130)


def _make_output_printable() -> None:
    r"""Let any text be printed: as ``\u3042`` what the encoding lacks or a file name has that is no text.

    By default Python raises UnicodeEncodeError, which could end a command after hours of work; another way chosen in
    PYTHONIOENCODING is respected. Streams that the shell has closed (``>&-``), which are None, become the null device.
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
    """Tell whether standard output is what cannot be written: another line fails, too."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def forget_output() -> None:
    """Redirect standard output to the null device, so that the final flush cannot fail on a pipe that was closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
