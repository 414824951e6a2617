"""Notes to the user about problems of the environment, which are stored, and printed once the engine is imported."""

import sys

_notes: list[str] = []


def note(text: str) -> None:
    """Store a note of one line for :func:`print_notes`."""
    _notes.append(text)


def print_notes() -> None:
    """Print the stored notes to stderr, one per line (``note: ...``), and delete them."""
    while _notes:
        print(f"note: {_notes.pop(0)}", file=sys.stderr)
