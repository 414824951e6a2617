"""The one exception a user is meant to see, and how a command shows it."""

import os
import sys
from collections.abc import Callable
from typing import Any


class RnnaudioError(Exception):
    """Something the user can mend: bad input, a missing extra, a full disk.

    The message says in one line what was got, what was expected and what to do. Library users may catch it.
    """


def run_command(main: Callable[[], Any], name: str) -> None:
    """Call a command. An error of the user's is one line on stderr and exit status 2; Ctrl-C exits with 130.

    A reader that has seen enough (``rnnaudio defects | head``) ends it quietly, with the status of SIGPIPE.
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
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted", file=sys.stderr)
        sys.exit(130)


def forget_output() -> None:
    """What Python still holds for standard output, which can take no more, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
