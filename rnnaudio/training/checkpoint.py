"""Checkpoints: arrays and one JSON record in a single safetensors file, written whole or not at all.

One file, because two could be torn apart by a crash; safetensors, because loading one can run no code.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from rnnaudio.atomic import write_atomically
from rnnaudio.errors import RnnaudioError

FORMAT = "rnnaudio-checkpoint-1"


class Checkpoint(NamedTuple):
    """arrays: by name, ``group/name``; record: what JSON can hold."""

    arrays: dict[str, np.ndarray]
    record: dict[str, Any]

    def group(self, name: str) -> dict[str, np.ndarray]:
        """The arrays below ``name/``, without that prefix."""
        return {key.removeprefix(f"{name}/"): a for key, a in self.arrays.items() if key.startswith(f"{name}/")}


def path_in(run_dir: Path) -> Path:
    """Where a run's checkpoint is; RnnaudioError if a file is given in place of the run's folder."""
    if Path(run_dir).is_file():
        raise RnnaudioError(f"{run_dir} is a file; expected the folder of a run, which holds its checkpoint")
    return Path(run_dir) / "checkpoint.safetensors"


def path_to_write(run_dir: Path, resume: bool) -> Path:
    """The same, for a run that begins or, with ``resume``, goes on; RnnaudioError if it would replace another, or if
    nothing can be written there, which is to show before an hour's work."""
    path = path_in(run_dir)
    if path.exists() and not resume:
        raise RnnaudioError(f"{path} exists: go on with it (--resume), or name another run directory")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        what = "may not be written to" if there.is_dir() else "is a file, not a folder"
        raise RnnaudioError(f"cannot write {path}: {there} {what}; name another run directory")
    return path


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Replace ``path``; RnnaudioError (no space, no permission) leaves the earlier file as it was."""
    arrays = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in checkpoint.arrays.items()}
    record = json.dumps(checkpoint.record)
    metadata = {"format": FORMAT, "record": record, "crc32": checksum(record, arrays)}
    write_atomically(path, safetensors.numpy.save(arrays, metadata))


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; RnnaudioError if it is missing, damaged, or of another version."""
    path = Path(path)
    if not path.is_file():
        raise RnnaudioError(f"no checkpoint at {path}; train a model there first, or name another run")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise RnnaudioError(f"{path} is damaged or no checkpoint ({error}); take another or train again") from error
    if metadata.get("format") != FORMAT:
        raise RnnaudioError(
            f"{path} has format {metadata.get('format')!r}, this version reads {FORMAT!r}; "
            "use the rnnaudio that wrote it or train again"
        )
    record = metadata.get("record", "{}")
    if metadata.get("crc32", "") not in ("", checksum(record, arrays)):  # early ones have none
        raise RnnaudioError(f"{path} is damaged: its checksum is not that of its content; take another or train again")
    return Checkpoint(arrays, json.loads(record))


def checksum(record: str, arrays: Mapping[str, np.ndarray]) -> str:
    """CRC-32 of the record and of all arrays by name, in hexadecimal."""
    value = zlib.crc32(record.encode())
    for name in sorted(arrays):
        value = zlib.crc32(arrays[name].reshape(-1).view(np.uint8).data, zlib.crc32(name.encode(), value))
    return f"{value:08x}"
