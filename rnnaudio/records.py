"""Type aliases for values that are written to and read from JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

# A JSON object: string keys, values of type Json. Any, because the type of a value depends on its key, which the type
# checker cannot know.
Record: TypeAlias = dict[str, Any]
