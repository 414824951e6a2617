"""Storage of decoded pieces beside a corpus while it is built, so that an interrupted build can be continued.

While pieces are decoded, the file ``OUT.h5.pieces.part`` is only appended to, so that a killed process leaves at most
the last piece incomplete. Its contents:

    a line of JSON                 the settings of the pieces
    for each piece: a line of JSON path, size and modification time of its file, its notes, lengths, sha256
                    bytes          samples, then print (see `likeness.print_of`, float32), little-endian
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from rnnaudio.atomic import break_links
from rnnaudio.audio.arrays import Array
from rnnaudio.data.landmarks import Print
from rnnaudio.data.likeness import EDGES_HZ
from rnnaudio.errors import RnnaudioError
from rnnaudio.text import visible

FORMAT, VERSION = "rnnaudio-partial", 1
SUFFIX = ".pieces.part"
LONGEST_LINE = 1 << 20
N_BANDS = len(EDGES_HZ) - 1
Setting = str | int | float | bool | None
State = tuple[str, int, int]  # absolute path, size in bytes, modification time in ns


class Kept(NamedTuple):
    """A decoded and cleaned piece.

    samples
        (n_samples,) in the dtype of the corpus.
    print
        fingerprint of the sound, see :func:`rnnaudio.data.likeness.print_of`.
    notes
        texts on its decoding and cleaning.
    """

    samples: Array
    print: Print
    notes: list[str]


class _Place(NamedTuple):
    """Place of a piece in the file: byte offset of its samples, and the decoded line of JSON before them."""

    offset: int
    line: dict[str, Any]


class PartialFile:
    """The file of decoded pieces beside the corpus ``out``.

    settings: everything that the samples of a piece depend on, except the audio file itself; one entry is ``dtype``.
    Pieces decoded with other settings are discarded. Once the file is open, the attribute ``notes`` lists what was
    discarded, and why.
    """

    def __init__(self, out: Path, settings: Mapping[str, Setting]) -> None:
        real = Path(os.path.realpath(out))  # on the disk where the corpus will be
        self.path = real.with_name(real.name + SUFFIX)
        self.notes: list[str] = []
        self.n_taken = 0
        self._settings = {"format": FORMAT, "version": VERSION, **settings}
        self._dtype = np.dtype(str(settings["dtype"])).newbyteorder("<")
        self._places: dict[State, _Place] = {}
        self._file: IO[bytes]

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Context manager that opens the file for a build, and removes it after a block that raises no exception.

        After an exception the file is removed only if it holds no piece. The process must own the corpus
        (:mod:`rnnaudio.lock`). OSError if the file cannot be written.
        """
        break_links(self.path)
        with self.path.open("a+b") as self._file:
            try:
                self._read()
                yield
            except BaseException:
                if not self._places:
                    self.path.unlink(missing_ok=True)
                raise
            self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Context manager that adds the path of this file to the message of an exception raised in the block.

        It does so for RnnaudioError and KeyboardInterrupt, if the file exists and holds a piece.
        """
        try:
            yield
        except (RnnaudioError, KeyboardInterrupt) as error:
            if not self._places or not self.path.exists():
                raise
            left = (
                f"{visible(self.path)} keeps the {len(self._places)} pieces decoded so far: the same command goes "
                "on from there (delete it if you do not want to)"
            )
            raise type(error)(f"{error}; {left}" if str(error) else left) from error

    def holds(self, path: Path) -> bool:
        """Return True if the partial file holds the piece of the file ``path`` in its present state.

        The state consists of absolute path, size and modification time.
        """
        return _state(path) in self._places

    def piece(self, path: Path, decode: Callable[[], Kept]) -> Kept:
        """Return the piece of the file ``path``: the kept one, or else the result of ``decode``, which is then kept.

        A kept piece whose SHA-256 sum differs is decoded again. OSError if the partial file cannot be written.
        """
        state = _state(path)  # before it is read: a file that changes meanwhile is decoded again
        kept = self._kept(state) if state in self._places else None
        if kept is not None:
            self.n_taken += 1
            return kept
        decoded = decode()
        if state is not None:
            self._append(state, decoded)
        return decoded

    def seconds(self, sample_rate_hz: int) -> float:
        """Return the total length, in seconds, of the pieces in the file."""
        return sum(place.line["n_samples"] for place in self._places.values()) / sample_rate_hz

    def all_notes(self) -> list[str]:
        """Return ``notes`` and, if pieces were taken from an earlier build, a note with their number."""
        taken = f"{self.n_taken} pieces were decoded by an earlier build, which was broken off"
        return [*self.notes, taken] if self.n_taken else self.notes

    def _read(self) -> None:
        """Find the pieces in the file; if it is damaged, or was written with other settings, empty it."""
        self._file.seek(0)
        head = self._line()
        if head is None or not isinstance(head, dict) or head.get("format") != FORMAT:
            if os.fstat(self._file.fileno()).st_size:
                self.notes.append(f"{visible(self.path)} was damaged: it is discarded, and all files are decoded")
            self._begin()
            return
        changed = [name for name, value in self._settings.items() if head.get(name) != value]
        if changed:
            name = changed[0]
            self.notes.append(
                f"{visible(self.path)} is of a build with other settings ({name} was {head.get(name)}, now it is "
                f"{self._settings[name]}): it is discarded, and all files are decoded"
            )
            self._begin()
            return
        end = self._read_places()
        self._file.truncate(end)  # the piece that was being written

    def _read_places(self) -> int:
        """Find the complete pieces; returns the byte offset at which the last of them ends."""
        n_bytes = os.fstat(self._file.fileno()).st_size
        while True:
            end = self._file.tell()
            line = self._line()
            if not _describes_a_piece(line):
                return end
            offset = self._file.tell()
            stop = offset + self._n_bytes(line)
            if stop > n_bytes:
                return end
            self._places[line["path"], line["size"], line["mtime_ns"]] = _Place(offset, line)
            self._file.seek(stop)

    def _n_bytes(self, line: Mapping[str, Any]) -> int:
        return int(line["n_samples"] * self._dtype.itemsize + line["n_hops"] * N_BANDS * 4)

    def _line(self) -> Any:
        """Read the next line and decode it; returns None if it is not a complete line of JSON."""
        line = self._file.readline(LONGEST_LINE)
        try:
            return json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            return None

    def _begin(self) -> None:
        self._file.truncate(0)
        self._file.write(_as_line(self._settings))
        self._file.flush()

    def _kept(self, state: State | None) -> Kept | None:
        """Read the piece of a file in this state; None, with a note, if its SHA-256 sum differs."""
        assert state is not None
        offset, line = self._places[state]
        self._file.seek(offset)
        content = self._file.read(self._n_bytes(line))
        if hashlib.sha256(content).hexdigest() != line["sha256"]:
            del self._places[state]
            self.notes.append(f"{visible(state[0])} was damaged in {visible(self.path)}: it is decoded again")
            return None
        n = line["n_samples"] * self._dtype.itemsize
        samples = np.frombuffer(content[:n], self._dtype).astype(self._dtype.newbyteorder("="))
        prints = np.frombuffer(content[n:], "<f4").astype(np.float32).reshape(-1, N_BANDS)
        return Kept(samples, prints, list(line["notes"]))

    def _append(self, state: State, piece: Kept) -> None:
        content = piece.samples.astype(self._dtype).tobytes() + piece.print.astype("<f4").tobytes()
        line = {
            "path": state[0], "size": state[1], "mtime_ns": state[2], "notes": piece.notes,
            "n_samples": len(piece.samples), "n_hops": len(piece.print), "sha256": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
        start = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(_as_line(line))
            offset = self._file.tell()
            self._file.write(content)
            self._file.flush()
        except OSError:  # a full disk: what is written of this piece is of no use
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), start)
            raise
        self._places[state] = _Place(offset, line)


def _state(path: Path) -> State | None:
    """Return absolute path, size in bytes and modification time in ns of a file; None if it cannot be examined."""
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def _describes_a_piece(line: object) -> bool:
    if not isinstance(line, dict):
        return False
    numbers = [line.get(name) for name in ("size", "mtime_ns", "n_samples", "n_hops")]
    texts = [line.get("path"), line.get("sha256")]
    notes = line.get("notes")
    return (
        all(isinstance(number, int) and number >= 0 for number in numbers)
        and all(isinstance(text, str) for text in texts)
        and isinstance(notes, list)
        and all(isinstance(note, str) for note in notes)
    )


def _as_line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"
