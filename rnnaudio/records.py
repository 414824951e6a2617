"""Type aliases for JSON values, and reading of JSON files from unknown sources."""

import json
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

# A JSON object: string keys, values of type Json. Any, because the type of a value depends on its key, which the type
# checker cannot know.
Record: TypeAlias = dict[str, Any]

MOST_BYTES = 16_000_000  # of a file that is read whole
MOST_NESTED = 40  # tables and lists within each other
MOST_DIGITS = 40  # of a whole number
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def parsed(text: str, object_pairs_hook: Callable[[list[tuple[str, Json]]], Any] | None = None) -> Any:
    """Parse JSON text, with limits on its nesting and on the digits of whole numbers; return its value.

    object_pairs_hook: as in :func:`json.loads`. ValueError for invalid JSON, for tables and lists nested more than
    MOST_NESTED deep, and for whole numbers of more than MOST_DIGITS digits.
    """
    if text.count("[") + text.count("{") > MOST_NESTED and _depth(text) > MOST_NESTED:
        raise ValueError(f"tables and lists within each other, more than {MOST_NESTED}")
    try:
        return json.loads(text, object_pairs_hook=object_pairs_hook, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON from line {error.lineno}, column {error.colno}") from error


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Read a text file in UTF-8, of ``most_bytes`` bytes at most; return the text.

    OSError if it cannot be read. ValueError if it is not a regular file, is larger, or is not UTF-8. Pipes and devices
    are not read, as reading them might block or never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{path} is no regular file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{path} has more than {most_bytes} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"no text in UTF-8: byte {error.start} is {content[error.start]:#04x}") from error


def reason_of(error: OSError | ValueError) -> str:
    """Return why a file could not be read or parsed, without its name and the number of the error."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _depth(text: str) -> int:
    """Return the greatest nesting depth of tables and lists; counting ends beyond MOST_NESTED."""
    depth = deepest = 0
    for token in TOKENS.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MOST_NESTED:
                break
        elif token[0] in "]}":
            depth -= 1
    return deepest


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)
