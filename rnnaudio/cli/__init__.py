"""The command line: ``rnnaudio --help``."""

from rnnaudio.cli.entry import main

__all__ = ["main"]
