"""The command line, ``rnnaudio``."""

import sys

from rnnaudio import interrupt
from rnnaudio.errors import run_command

PROGRAM = "rnnaudio"


def main() -> None:
    """Run the command line of this process.

    Modules are imported once signals are taken care of, as importing them takes a second.
    """
    run_command(_run, PROGRAM)


def _run() -> None:
    with interrupt.at_once(PROGRAM):
        from rnnaudio.cli.entry import run
    run(sys.argv[1:])


__all__ = ["main"]
