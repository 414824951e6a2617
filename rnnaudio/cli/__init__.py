"""The command line, ``rnnaudio``."""

import sys

from rnnaudio import interrupt

PROGRAM = "rnnaudio"


def main() -> None:
    """Run the command line of this process.

    Modules are imported once signals are taken care of, as importing them takes a second.
    """
    with interrupt.at_once(PROGRAM):
        from rnnaudio.cli.entry import run
        from rnnaudio.errors import run_command

        run_command(lambda: run(sys.argv[1:]), PROGRAM)


__all__ = ["main"]
