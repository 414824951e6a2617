"""Array files of a pack: storage in half precision, and a fixed order, so that equal content gives equal bytes."""

import json
from pathlib import Path

import numpy as np

from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.packs import layout
from rnnaudio.training import checkpoint

LENGTH_BYTES, ALIGNED = 8, 8  # bytes that hold a header's length; the length is a multiple of ALIGNED
METADATA = "__metadata__"


def halve(folder: Path) -> None:
    """Store the matrices of the checkpoints in a folder as float16; vectors and the prime are unchanged.

    Loading converts them to float32. RnnaudioError for a number above 65504, the largest of float16.
    """
    for path in sorted(folder.glob("*.safetensors")):
        if path.name != layout.PRIME:
            saved = checkpoint.load(path)
            halved = {name: _half(name, array) for name, array in saved.arrays.items()}
            checkpoint.save(path, checkpoint.Checkpoint(halved, saved.record))


def _half(name: str, array: Array) -> Array:
    if array.ndim < 2 or array.dtype.kind != "f":
        return array
    most = float(np.abs(array).max(initial=0.0))
    if most > float(np.finfo(np.float16).max):
        raise RnnaudioError(f"{name} has a number of {most:.3g}, too large for float16: pack without --float16")
    return array.astype(np.float16)


def in_order(content: bytes, name: str) -> bytes:
    """Return the content of a file called ``name``; in a safetensors file, the entries of the metadata are sorted.

    The safetensors library writes them in an order that changes from one run of a program to the next.
    """
    if not name.endswith(".safetensors"):
        return content
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    header = json.loads(content[LENGTH_BYTES:end])
    header = {METADATA: dict(sorted(header.pop(METADATA).items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + content[end:]
