"""The command line, ``rnnaudio``."""

from rnnaudio.cli.entry import main

__all__ = ["main"]
