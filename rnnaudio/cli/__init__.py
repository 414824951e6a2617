"""The command line, ``rnnaudio``."""

import sys

from rnnaudio import interrupt

PROGRAM = "rnnaudio"


def main() -> None:
    """Run the command line in ``sys.argv``; an error exits with its status, see :func:`rnnaudio.errors.run_command`.

    Signal handlers are installed before most modules are imported, because the import takes a second.
    """
    with interrupt.at_once(PROGRAM):
        from rnnaudio.cli.entry import run
        from rnnaudio.errors import run_command

        run_command(lambda: run(sys.argv[1:]), PROGRAM)


__all__ = ["main"]
