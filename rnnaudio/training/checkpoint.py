"""Checkpoints: arrays and one JSON record in a single safetensors file, written atomically.

One file, because a crash could leave two files that do not belong together; safetensors, because loading it cannot
execute code. The history alone, which grows without limit, lies beside it; see :mod:`rnnaudio.training.history`.
"""

import json
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from rnnaudio.atomic import write_atomically
from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.records import Json, Record
from rnnaudio.training import history

CURRENT_NAMES = {"hear": "input", "tell": "output"}
EARLIER_NAMES = re.compile(r"(?<=\.)(hear|tell)(?=\.)")
FORMAT = "rnnaudio-checkpoint-1"


class Checkpoint(NamedTuple):
    """Contents of a checkpoint: arrays, by names of the form ``group/name``, and a JSON-serialisable record.

    extent: how much of the file beside it is its history; 0 rows if there is none, or if it lies in the record.
    """

    arrays: dict[str, Array]
    record: Record
    extent: history.Extent = history.Extent()

    def group(self, name: str) -> dict[str, Array]:
        """The arrays of the group ``name``, by their names without the prefix ``name/``."""
        return {key.removeprefix(f"{name}/"): a for key, a in self.arrays.items() if key.startswith(f"{name}/")}


def path_in(run_dir: Path) -> Path:
    """Path of the checkpoint in a run's folder; RnnaudioError if ``run_dir`` is a file."""
    if Path(run_dir).is_file():
        raise RnnaudioError(f"{run_dir} is a file; expected the folder of a run, which holds its checkpoint")
    return Path(run_dir) / "checkpoint.safetensors"


def path_to_write(run_dir: Path, resume: bool) -> Path:
    """Return the path of the checkpoint of a run that is about to start or, with ``resume``, to continue.

    Call it before training: it raises RnnaudioError if the run would replace an existing checkpoint without
    ``resume``, or if ``run_dir`` is a file or not writable.
    """
    path = path_in(run_dir)
    if path.exists() and not resume:
        raise RnnaudioError(f"{path} exists: continue it (--resume), or name another run directory")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        reason = "is not writable" if parent.is_dir() else "is a file, not a folder"
        raise RnnaudioError(f"cannot write {path}: {parent} {reason}; name another run directory")
    return path


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to ``path``, replacing an earlier one only when complete.

    RnnaudioError (no space, no permission) leaves an earlier file unchanged.
    """
    arrays = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in checkpoint.arrays.items()}
    record = json.dumps(checkpoint.record)
    metadata = {"format": FORMAT, "record": record, "crc32": checksum(record, arrays)}
    write_atomically(path, safetensors.numpy.save(arrays, metadata))


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; RnnaudioError if it is missing, damaged, or of another format.

    ``history`` of its record is the list of rows, whether they lie beside the checkpoint or, as in runs of earlier
    versions, in it.
    """
    path = Path(path)
    if not path.is_file():
        raise RnnaudioError(f"no checkpoint at {path}; train a model there first, or name another run")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise RnnaudioError(f"{path} is damaged or no checkpoint ({error}); use another or train again") from error
    if metadata.get("format") != FORMAT:
        raise RnnaudioError(
            f"{path} has format {metadata.get('format')!r}, expected {FORMAT!r}; "
            "use the version of rnnaudio that wrote it or train again"
        )
    record = metadata.get("record", "{}")
    if metadata.get("crc32", "") not in ("", checksum(record, arrays)):  # early checkpoints have no checksum
        raise RnnaudioError(f"{path} is damaged: its checksum does not match its content; use another or train again")
    try:
        values = json.loads(record, object_pairs_hook=_with_current_names)
    except (ValueError, RecursionError) as error:
        raise RnnaudioError(f"{path} is damaged: its record is no JSON ({error}); use another") from error
    extent = history.Extent()
    if isinstance(values, dict) and isinstance(values.get("history"), dict):
        try:
            extent = history.Extent(**values["history"])
        except TypeError as error:
            raise RnnaudioError(f"{path} is damaged: its record has no usable history; use another") from error
        values["history"] = history.read(path, extent, _with_current_names)
    return Checkpoint({_current_name(name): array for name, array in arrays.items()}, values, extent)


def _current_name(name: str) -> str:
    """The name of an array in this version: checkpoints of earlier ones have some children under other names."""
    return EARLIER_NAMES.sub(lambda found: CURRENT_NAMES[found.group()], name)


def _with_current_names(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    return {_current_name(key): value for key, value in pairs}


def checksum(record: str, arrays: Mapping[str, Array]) -> str:
    """CRC-32 of the record, as JSON, and of all names and arrays in order of the names, in hexadecimal."""
    value = zlib.crc32(record.encode())
    for name in sorted(arrays):
        value = zlib.crc32(arrays[name].reshape(-1).view(np.uint8).data, zlib.crc32(name.encode(), value))
    return f"{value:08x}"
