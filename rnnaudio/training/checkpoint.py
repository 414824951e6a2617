"""Checkpoints: arrays and one JSON record in a single safetensors file, written atomically.

A checkpoint is one file because a crash could leave two files that do not belong together. Its format is safetensors
because loading such a file cannot execute code. Only the history, which grows without limit, has its own file beside
the checkpoint; see :mod:`rnnaudio.training.history`. A run keeps its last two checkpoints. If the newest one is
damaged or missing, the run is loaded or resumed from the previous one.
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

from rnnaudio import models
from rnnaudio.atomic import replacing, write_atomically
from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import check_owned
from rnnaudio.records import Json, Record, parsed
from rnnaudio.text import visible
from rnnaudio.training import history

NAME, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"
VALIDATED = "checkpoint.validated.safetensors"  # of the last validation, kept by runs that may back off
CURRENT_NAMES = {"hear": "input", "tell": "output"}
EARLIER_NAMES = re.compile(r"(?<=\.)(hear|tell)(?=\.)")
FORMAT = "rnnaudio-checkpoint-1"
OF_SOME_VERSION = re.compile("rnnaudio-checkpoint-[0-9]+")
# Keys of the metadata. The checksum of earlier versions did not include types and shapes; early versions had none.
KEYS = ({"format", "record", "checksum"}, {"format", "record", "crc32"}, {"format", "record"})

MARKED_BYTES = 2**20  # at the beginning of a checkpoint, usually its header, which identify it

_own: dict[str, str] = {}  # marks of checkpoints, by path, as this process left them


class Damaged(RnnaudioError):
    """Error for a damaged checkpoint or history; the previous checkpoint of the run may still be usable."""


class Checkpoint(NamedTuple):
    """Contents of a checkpoint.

    arrays
        by names of the form ``group/name``.
    record
        JSON-serialisable settings and progress of the run.
    extent
        the part of the history file that belongs to the checkpoint: 0 rows if there is no history, or if the record
        contains it, as in earlier versions.
    is_previous
        True if this is the previous checkpoint of a run, read because the newest is damaged or missing.
    """

    arrays: dict[str, Array]
    record: Record
    extent: history.Extent = history.Extent()
    is_previous: bool = False

    def group(self, name: str) -> dict[str, Array]:
        """Return the arrays whose names begin with ``name/``, by the rest of their names; {} if there are none."""
        return {key.removeprefix(f"{name}/"): a for key, a in self.arrays.items() if key.startswith(f"{name}/")}


def path_in(run_dir: Path) -> Path:
    """Return the path of the newest checkpoint in a run's folder, which need not exist.

    RnnaudioError if ``run_dir`` is a file.
    """
    if Path(run_dir).is_file():
        is_for = "to play (rnnaudio generate, play), to export, and to start from (train --from)"
        what = f"a pack, {is_for}" if _is_zip(run_dir) else "a file"
        raise RnnaudioError(f"{run_dir} is {what}; expected the folder of a run, which holds its checkpoint")
    return Path(run_dir) / NAME


def _is_zip(path: Path) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"
    return False


def exists(run_dir: Path) -> bool:
    """Return True if a run's folder contains a checkpoint, newest or previous.

    RnnaudioError if ``run_dir`` is a file.
    """
    path = path_in(run_dir)
    return path.exists() or path.with_name(PREVIOUS).exists()


def remove(run_dir: Path) -> None:
    """Remove all checkpoints of a run, if they exist, so that the run can start again."""
    forget_own(Path(run_dir) / NAME)
    for name in (NAME, PREVIOUS, VALIDATED):
        (Path(run_dir) / name).unlink(missing_ok=True)


def path_to_write(run_dir: Path, resume: bool) -> Path:
    """Return the path of the checkpoint of a run that is about to start or, with ``resume``, to continue.

    Call this before training. RnnaudioError if a checkpoint exists and ``resume`` is False, or if ``run_dir`` is a
    file or not writable.
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
    """Check, before writing, that the newest checkpoint of a run, at ``path``, is still the one this process left.

    RnnaudioError if another process has taken over the run's folder, or if the checkpoint was changed, moved or
    removed. This can happen while this machine is suspended or has no connection to the disk.
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
    """Undo :func:`remember_own` for ``path``, because a new run begins there."""
    _own.pop(os.path.realpath(path), None)


def _mark(path: Path) -> str:
    """Return the length of a file and a checksum of its beginning, as a string; "" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return f"{os.fstat(file.fileno()).st_size} {hashlib.sha256(file.read(MARKED_BYTES)).hexdigest()}"
    except OSError:
        return ""


def save(path: Path, checkpoint: Checkpoint, *, keep_previous: bool = False) -> None:
    """Write a checkpoint to ``path``. An earlier checkpoint there is replaced once the new one is complete.

    With ``keep_previous`` the earlier checkpoint remains in the folder as the previous one.

    RnnaudioError if the file cannot be written, if an array has values that are not finite, or if another process has
    taken over the folder. An earlier file is then unchanged.
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
    """Describe the first NaN or infinity in the arrays, as ``NAME[INDICES] is nan``; "" if there is none."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            place = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
            return f"{name}{list(place) if place else ''} is {array[place]:g}"
    return ""


def restore_previous(path: Path) -> None:
    """Replace the newest checkpoint, at ``path``, by the previous one in its folder; RnnaudioError if this fails."""
    try:
        link(Path(path).with_name(PREVIOUS), Path(path))
    except OSError as error:
        raise RnnaudioError(f"cannot write {path}: {error.strerror}; fix this and start again") from error


def link(source: Path, target: Path) -> None:
    """Make ``target`` a hard link to the file ``source``, atomically; an existing ``target`` is replaced.

    On disks without hard links, ``target`` becomes a copy of ``source``. OSError if this fails, too. Symbolic links
    are followed, because :func:`rnnaudio.atomic.replacing` overwrites the file to which a symbolic link points.
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
    """Read the newest checkpoint of a run or, if it is damaged or missing, the previous one.

    In the second case ``is_previous`` is True, and a note with the reason is printed to standard error. RnnaudioError
    if there is no usable checkpoint.
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
    """Print a note to standard error; the same note is printed only once."""
    print(f"note: {visible(text)}", file=sys.stderr)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, with its history; arrays stored in half precision are returned as float32.

    The entry ``history`` of the returned record is the list of rows, whether they are stored in the history file or,
    as in earlier versions, in the checkpoint. Raises Damaged if the checkpoint or the history is damaged, or if an
    array contains NaN or infinity; RnnaudioError if there is no file at ``path``, or if it has the format of another
    version.
    """
    path = Path(path)
    if not path.is_file():
        missing = f"no checkpoint at {path}; train a model there first, or name another run"
        raise RnnaudioError(models.refusal(path.parent) or missing)
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
    return Checkpoint({_current_name(name): _single(array) for name, array in arrays.items()}, values, extent)


def _single(array: Array) -> Array:
    """Return a float16 array, as packs may contain, as float32, and any other array unchanged."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


def annotate(path: Path, entries: Record) -> None:
    """Add ``entries`` to the record of the checkpoint at ``path``; they replace entries of the same names.

    Nothing else changes. RnnaudioError if the checkpoint cannot be read or written.
    """
    arrays, record = _read(Path(path))
    save(path, Checkpoint(arrays, record | entries))


def _read(path: Path) -> tuple[dict[str, Array], Record]:
    """Return the arrays and the record as stored in the file.

    Raises Damaged if the file is damaged or no checkpoint, RnnaudioError if it has the format of another version.
    """
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
    """Return the present name of an array; some child layers have other names in checkpoints of earlier versions."""
    return EARLIER_NAMES.sub(lambda found: CURRENT_NAMES[found.group()], name)


def _with_current_names(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    return {_current_name(key): value for key, value in pairs}


def checksum(record: str, arrays: Mapping[str, Array]) -> str:
    """Return the CRC-32, in hexadecimal, of the record (JSON) and of name, dtype, shape and values of each array."""
    value = zlib.crc32(record.encode())
    for name in sorted(arrays):
        array = arrays[name]
        value = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), value)
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"


def earlier_checksum(record: str, arrays: Mapping[str, Array]) -> str:
    """Return the CRC-32 of earlier versions, in hexadecimal, of the record and of name and values of each array."""
    value = zlib.crc32(record.encode())
    for name in sorted(arrays):
        value = zlib.crc32(arrays[name].reshape(-1).view(np.uint8).data, zlib.crc32(name.encode(), value))
    return f"{value:08x}"
