"""The history of a run: a row of JSON per validation, appended to a file beside the checkpoint.

The history has its own file because the header of a safetensors file is limited to 100 MB, and because appending a row
takes the same time after 150,000 validations as after one. The checkpoint contains an :class:`Extent` with the number
of rows that belong to it. Further rows, written before a crash, are ignored when the file is read and removed when the
run is resumed.
"""

import json
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from rnnaudio.atomic import break_links
from rnnaudio.errors import RnnaudioError
from rnnaudio.records import Json, Record, parsed
from rnnaudio.schema import Count, checked

NAME = "history.jsonl"

# A row of the history of a run, for one validation; see ``Run``. Not a TypedDict, because the keys ``valid_<name>``
# depend on the objective.
Row: TypeAlias = Record


class Extent(NamedTuple):
    """The part of the history file that belongs to a checkpoint: number of rows, their bytes, and their CRC-32."""

    rows: int = 0
    bytes: int = 0
    crc32: int = 0

    @classmethod
    def of(cls, entry: Record) -> "Extent":
        """Make an extent from an entry of a record, with the keys ``rows``, ``bytes`` and ``crc32``.

        RnnaudioError unless each value is an integer, 0 or more.
        """
        return cls(*(checked(entry.get(name), Count, f"history.{name}") for name in cls._fields))


NO_ROWS = Extent()


class HistoryFile:
    """The history file in the folder of the checkpoint ``path``.

    ``extent`` is the part of the file that belongs to the run so far.
    """

    def __init__(self, path: Path, extent: Extent = NO_ROWS):
        self._checkpoint, self.path = Path(path), Path(path).with_name(NAME)
        self.extent = extent

    def append(self, rows: Sequence[Row]) -> Extent:
        """Append the rows that are not in the file yet, and return the extent of all rows.

        ``rows`` are all rows of the run so far, including those in the file. Contents of the file beyond ``extent``
        are removed first. If the file has several hard links, as in a copy of the run made with ``cp -l``, it is first
        replaced by a copy, so that the other links keep the old contents. The rows have been written to the disk when
        the method returns, so that a checkpoint saved afterwards never refers to missing rows. RnnaudioError if they
        cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            break_links(self.path)
            with open(self.path, "ab") as file:
                known = self.extent if file.tell() >= self.extent.bytes else NO_ROWS  # if it was removed, write all
                file.truncate(known.bytes)
                new = b"".join(json.dumps(row).encode() + b"\n" for row in rows[known.rows :])
                file.write(new)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            what_to_do = (
                "the run is saved up to its last checkpoint: fix this and resume it"
                if self._checkpoint.exists()
                else "nothing of the run is saved yet: fix this and train again"
            )
            raise RnnaudioError(f"cannot write {self.path}: {error.strerror}; {what_to_do}") from error
        self.extent = Extent(len(rows), known.bytes + len(new), zlib.crc32(new, known.crc32))
        return self.extent


def read(path: Path, extent: Extent, object_pairs_hook: Callable[[list[tuple[str, Json]]], Any]) -> list[Row]:
    """Read the rows of the history that belong to the checkpoint at ``path``.

    ``extent`` is the part of the history file to read; the result is [] for 0 rows. ``object_pairs_hook`` is that of
    :func:`json.loads`. RnnaudioError if the file is missing or cannot be read, or if its rows have changed since the
    checkpoint was saved.
    """
    path = Path(path).with_name(NAME)
    if not extent.rows:
        return []
    if not path.is_file():  # reading a pipe would block
        state = "is no regular file" if path.exists() else "is missing"
        raise RnnaudioError(
            f"{path} {state}: it holds the {extent.rows} validations of the run; copy both files of the run, which "
            "belong together"
        )
    try:
        with open(path, "rb") as file:
            content = file.read(min(extent.bytes, os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise RnnaudioError(f"cannot read {path}: {error.strerror}; it holds the history of the run") from error
    if len(content) < extent.bytes or zlib.crc32(content) != extent.crc32:
        state = "has changed" if len(content) == extent.bytes else f"has {len(content)} bytes of it"
        raise RnnaudioError(
            f"{path} {state}, but the checkpoint belongs to a history of {extent.rows} validations, {extent.bytes} "
            "bytes: copy both files of the run, which belong together"
        )
    try:
        rows = [parsed(line.decode(), object_pairs_hook) for line in content.splitlines()]
    except ValueError as error:
        raise RnnaudioError(f"{path} holds a line that is no JSON of ours ({error}); use another run") from error
    if len(rows) != extent.rows:
        raise RnnaudioError(f"{path} holds {len(rows)} validations, not {extent.rows}; use another run")
    return rows
