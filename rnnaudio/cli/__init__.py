"""The command line: ``rnnaudio --help``."""

from rnnaudio.cli.main import main

__all__ = ["main"]
