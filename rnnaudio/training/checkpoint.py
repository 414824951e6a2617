"""Checkpoints: arrays and one JSON record in a single safetensors file, written atomically.

A checkpoint is one file, because a crash could leave two files that do not belong together, and in the format
safetensors, because loading it cannot execute code. Only the history, which grows without limit, is in a file of its
own beside the checkpoint; see :mod:`rnnaudio.training.history`. A run keeps its last two checkpoints: if the newest is
damaged or missing, the run is loaded or resumed from the one before.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from rnnaudio.atomic import replacing, write_atomically
from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import check_owned
from rnnaudio.records import Json, Record, parsed
from rnnaudio.training import history

NAME, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"
VALIDATED = "checkpoint.validated.safetensors"  # that of the last validation, of runs that may back off
CURRENT_NAMES = {"hear": "input", "tell": "output"}
EARLIER_NAMES = re.compile(r"(?<=\.)(hear|tell)(?=\.)")
FORMAT = "rnnaudio-checkpoint-1"
OF_SOME_VERSION = re.compile("rnnaudio-checkpoint-[0-9]+")
# Keys of the metadata. The checksum of earlier versions did not include types and shapes; early versions had none.
KEYS = ({"format", "record", "checksum"}, {"format", "record", "crc32"}, {"format", "record"})

MARKED_BYTES = 2**20  # of a checkpoint, by which it is told from others: its header, as a rule

_own: dict[str, str] = {}  # marks of checkpoints, by path, as this process left them


class Damaged(RnnaudioError):
    """Error for a checkpoint that is damaged, or whose history is; the run's previous checkpoint may be usable."""


class Checkpoint(NamedTuple):
    """Contents of a checkpoint: arrays, by names of the form ``group/name``, and a JSON-serialisable record.

    extent: how much of the history file belongs to the checkpoint; 0 rows if there is no history, or if it is part of
    the record, as in earlier versions. is_previous: True for the previous checkpoint of a run, if it was read because
    the newest is damaged or missing.
    """

    arrays: dict[str, Array]
    record: Record
    extent: history.Extent = history.Extent()
    is_previous: bool = False

    def group(self, name: str) -> dict[str, Array]:
        """Return the arrays of the group ``name``, by their names without the prefix ``name/``; {} if it has none."""
        return {key.removeprefix(f"{name}/"): a for key, a in self.arrays.items() if key.startswith(f"{name}/")}


def path_in(run_dir: Path) -> Path:
    """Path of the newest checkpoint in a run's folder, existing or not; RnnaudioError if ``run_dir`` is a file."""
    if Path(run_dir).is_file():
        what = "a pack, to play (rnnaudio generate) and to start from (train --from)" if _is_zip(run_dir) else "a file"
        raise RnnaudioError(f"{run_dir} is {what}; expected the folder of a run, which holds its checkpoint")
    return Path(run_dir) / NAME


def _is_zip(path: Path) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"
    return False


def exists(run_dir: Path) -> bool:
    """Whether a run's folder holds a checkpoint, newest or previous; RnnaudioError if ``run_dir`` is a file."""
    path = path_in(run_dir)
    return path.exists() or path.with_name(PREVIOUS).exists()


def remove(run_dir: Path) -> None:
    """Remove all checkpoints of a run, if they exist, so that the run can start again."""
    forget_own(Path(run_dir) / NAME)
    for name in (NAME, PREVIOUS, VALIDATED):
        (Path(run_dir) / name).unlink(missing_ok=True)


def path_to_write(run_dir: Path, resume: bool) -> Path:
    """Return the path of the checkpoint of a run that is about to start or, with ``resume``, to continue.

    Call it before training: it raises RnnaudioError if the run would replace an existing checkpoint without
    ``resume``, or if ``run_dir`` is a file or not writable.
    """
    path = path_in(run_dir)
    if exists(run_dir) and not resume:
        there = path if path.exists() else path.with_name(PREVIOUS)
        raise RnnaudioError(f"{there} exists: continue it (--resume), or name another run directory")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        reason = "is not writable" if parent.is_dir() else "is a file, not a folder"
        raise RnnaudioError(f"cannot write {path}: {parent} {reason}; name another run directory")
    return path


def check_own(path: Path) -> None:
    """Check that the newest checkpoint of a run, at ``path``, is as this process left it, before anything is changed.

    RnnaudioError if another process has taken over the run's folder, or has changed, moved or removed the checkpoint:
    it may have done so while this machine was suspended or cut off from the disk, and be done already.
    """
    check_owned(Path(path).parent)
    known = _own.get(os.path.realpath(path))
    if known is not None and known != _mark(path):
        raise RnnaudioError(
            f"{path} is not as this process left it: it was changed, moved or removed meanwhile; nothing was "
            "overwritten: go on where the run is now (rnnaudio resume), or train in another folder"
        )


def remember_own(path: Path) -> None:
    """Remember the checkpoint at ``path``, which this process has just written or read, for :func:`check_own`."""
    _own[os.path.realpath(path)] = _mark(path)


def forget_own(path: Path) -> None:
    """Forget the checkpoint at ``path``: a new run begins there."""
    _own.pop(os.path.realpath(path), None)


def _mark(path: Path) -> str:
    """Identify a checkpoint by its length and a checksum of its beginning; empty if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return f"{os.fstat(file.fileno()).st_size} {hashlib.sha256(file.read(MARKED_BYTES)).hexdigest()}"
    except OSError:
        return ""


def save(path: Path, checkpoint: Checkpoint, *, keep_previous: bool = False) -> None:
    """Write a checkpoint to ``path``, replacing an earlier one only when complete.

    keep_previous: True to keep an earlier checkpoint at ``path`` as the previous one, beside the new one.

    RnnaudioError (no space, no permission, values that are not finite, a folder that another process has taken over);
    an earlier file is then unchanged.
    """
    check_owned(Path(path).parent)
    arrays = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in checkpoint.arrays.items()}
    spoilt = first_not_finite(arrays)
    if spoilt:
        raise RnnaudioError(f"{path} is not written: {spoilt}, so that nothing could go on from it")
    record = json.dumps(checkpoint.record)
    metadata = {"format": FORMAT, "record": record, "checksum": checksum(record, arrays)}
    content = safetensors.numpy.save(arrays, metadata)
    if not (keep_previous and Path(path).exists()):
        write_atomically(path, content)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        link(Path(path), Path(path).with_name(PREVIOUS))


def first_not_finite(arrays: Mapping[str, Array]) -> str:
    """Describe the first NaN or infinity in the arrays, ``NAME[INDICES] is nan``; empty if there is none."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            place = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
            return f"{name}{list(place) if place else ''} is {array[place]:g}"
    return ""


def restore_previous(path: Path) -> None:
    """Replace the newest checkpoint, at ``path``, by the previous one beside it; RnnaudioError if that fails."""
    try:
        link(Path(path).with_name(PREVIOUS), Path(path))
    except OSError as error:
        raise RnnaudioError(f"cannot write {path}: {error.strerror}; fix this and start again") from error


def link(source: Path, target: Path) -> None:
    """Make ``target`` a hard link to the file ``source``, atomically; an earlier ``target`` is replaced.

    On disks without hard links, ``target`` becomes a copy of ``source``. OSError if that fails, too. Symbolic links
    are followed: :func:`rnnaudio.atomic.replacing` writes through them, so that a link to one would keep nothing.
    """
    source, target = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    temporary = target.with_name(f".{target.name}.link")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()  # of a process that was killed
    try:
        os.link(source, temporary)
    except OSError:  # a disk without links
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
    temporary.unlink(missing_ok=True)  # renaming leaves it if both were the same file already


def newest(run_dir: Path) -> Checkpoint:
    """Read the newest checkpoint of a run or, if that is damaged or missing, the previous one.

    The previous one has ``is_previous`` set, and a note on standard error says why it was taken. RnnaudioError if
    there is no checkpoint, or none that can be used.
    """
    path = path_in(run_dir)
    previous = path.with_name(PREVIOUS)
    try:
        return load(path)
    except RnnaudioError as error:
        if not previous.is_file() or (path.is_file() and not isinstance(error, Damaged)):
            raise
        why = str(error) if path.is_file() else f"{path} is gone"
        try:
            saved = load(previous)
        except RnnaudioError:
            raise error from None
    _note(f"{why}; taken instead: {previous.name}, which is the one before")
    return saved._replace(is_previous=True)


@functools.cache
def _note(text: str) -> None:
    """Print a note, once however often the checkpoint is read."""
    print(f"note: {text}", file=sys.stderr)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, with its history.

    The entry ``history`` of the record is the list of rows, whether these are stored in the file beside the checkpoint
    or, as in earlier versions, in the checkpoint itself. Damaged if checkpoint or history are damaged, or if an array
    holds NaN or infinity; RnnaudioError if there is no file at ``path``, or if it has the format of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise RnnaudioError(f"no checkpoint at {path}; train a model there first, or name another run")
    arrays, values = _read(path)
    spoilt = first_not_finite(arrays)
    if spoilt:
        raise Damaged(f"{path} is damaged: {spoilt}; use another or train again")
    extent = history.Extent()
    if isinstance(values.get("history"), dict):
        try:
            extent = history.Extent.of(values["history"])
            values["history"] = history.read(path, extent, _with_current_names)
        except RnnaudioError as error:
            raise Damaged(f"{path} cannot be used: {error}") from error
    return Checkpoint({_current_name(name): array for name, array in arrays.items()}, values, extent)


def annotate(path: Path, entries: Record) -> None:
    """Add entries to the record of the checkpoint at ``path``, or replace them; everything else stays the same.

    RnnaudioError if the checkpoint cannot be read or written.
    """
    arrays, record = _read(Path(path))
    save(path, Checkpoint(arrays, record | entries))


def _read(path: Path) -> tuple[dict[str, Array], Record]:
    """Arrays and record, as they lie in the file; RnnaudioError if it is damaged or of another format."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} is damaged or no checkpoint ({error}); use another or train again") from error
    _check_format(path, metadata)
    record = metadata["record"]
    sums = {"checksum": checksum, "crc32": earlier_checksum}
    if any(metadata[name] != of(record, arrays) for name, of in sums.items() if name in metadata):
        raise Damaged(f"{path} is damaged: its checksum does not match its content; use another or train again")
    try:
        values = parsed(record, _with_current_names)
    except ValueError as error:
        raise Damaged(f"{path} is damaged: its record is no JSON of ours ({error}); use another") from error
    if not isinstance(values, dict):
        raise Damaged(f"{path} is damaged: its record is no table; use another")
    return arrays, values


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    found = metadata.get("format", "")
    if found != FORMAT and OF_SOME_VERSION.fullmatch(found):
        raise RnnaudioError(
            f"{path} has format {found!r}, expected {FORMAT!r}; use the version of rnnaudio that wrote it or train "
            "again"
        )
    if found != FORMAT or set(metadata) not in KEYS:
        raise Damaged(f"{path} is damaged or no checkpoint (its format is {found[:40]!r}, expected {FORMAT!r})")


def _current_name(name: str) -> str:
    """The name of an array in this version: checkpoints of earlier ones have some children under other names."""
    return EARLIER_NAMES.sub(lambda found: CURRENT_NAMES[found.group()], name)


def _with_current_names(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    return {_current_name(key): value for key, value in pairs}


def checksum(record: str, arrays: Mapping[str, Array]) -> str:
    """CRC-32, in hexadecimal, of the record (as JSON) and of names, dtypes, shapes and values of all arrays."""
    value = zlib.crc32(record.encode())
    for name in sorted(arrays):
        array = arrays[name]
        value = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), value)
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"


def earlier_checksum(record: str, arrays: Mapping[str, Array]) -> str:
    """CRC-32, in hexadecimal, that earlier versions stored: of the record, and of names and values of the arrays."""
    value = zlib.crc32(record.encode())
    for name in sorted(arrays):
        value = zlib.crc32(arrays[name].reshape(-1).view(np.uint8).data, zlib.crc32(name.encode(), value))
    return f"{value:08x}"
