"""Notes on the surroundings that are found while the package is imported, printed when the engine is."""

import sys

_notes: list[str] = []


def note(text: str) -> None:
    """Keep a sentence for :func:`print_notes`."""
    _notes.append(text)


def print_notes() -> None:
    """Print what was noted to stderr, a line each, and forget it."""
    while _notes:
        print(f"note: {_notes.pop(0)}", file=sys.stderr)
