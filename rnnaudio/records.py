"""Type aliases for values that are written to and read from JSON, and the parsing of JSON from elsewhere."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

# A JSON object: string keys, values of type Json. Any, because the type of a value depends on its key, which the type
# checker cannot know.
Record: TypeAlias = dict[str, Any]

MOST_NESTED = 40  # tables and lists within each other
MOST_DIGITS = 40  # of a whole number
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def parsed(text: str, object_pairs_hook: Callable[[list[tuple[str, Json]]], Any] | None = None) -> Any:
    """Parse JSON. ValueError for what is no JSON, is nested deeply, or has whole numbers of many digits.

    object_pairs_hook: as of :func:`json.loads`.
    """
    if text.count("[") + text.count("{") > MOST_NESTED and _depth(text) > MOST_NESTED:
        raise ValueError(f"tables and lists within each other, more than {MOST_NESTED}")
    return json.loads(text, object_pairs_hook=object_pairs_hook, parse_int=_whole_number)


def _depth(text: str) -> int:
    """Return the greatest depth of tables and lists within each other; counting ends beyond MOST_NESTED."""
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
