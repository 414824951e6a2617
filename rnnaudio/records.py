"""Names for what is written to and read from JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

# An object that was read, or is about to be written: string keys, values of Json. Readers know the type of each key,
# the checker does not.
Record: TypeAlias = dict[str, Any]
