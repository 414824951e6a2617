"""The command line: ``rnnaudio --help``."""

from rnnaudio.cli.app import main

__all__ = ["main"]
