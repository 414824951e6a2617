"""The exception for errors that the user can fix, and how a command reports it."""

import os
import sys
from collections.abc import Callable


class RnnaudioError(Exception):
    """An error that the user can fix: bad input, a missing extra, a full disk.

    The message states in one line what was received, what was expected and what to do. Callers may catch it.
    """


def run_command(main: Callable[[], object], name: str) -> None:
    """Call ``main``; on RnnaudioError print one line to stderr and exit with status 2, on Ctrl-C with status 130.

    If the reader of standard output has gone (``rnnaudio defects | head``), exit without a message with status 141, as
    after SIGPIPE. ``name`` is the prefix of the messages.
    """
    try:
        main()
        sys.stdout.flush()
    except RnnaudioError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        forget_output()
        sys.exit(141)
    except KeyboardInterrupt as interrupt:
        left = f"; {interrupt}" if str(interrupt) else ""  # what is left to go on from
        print(f"\n{name}: interrupted{left}", file=sys.stderr)
        sys.exit(130)


def forget_output() -> None:
    """Redirect standard output to the null device, so that the final flush cannot fail on a pipe that was closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
