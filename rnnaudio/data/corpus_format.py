"""Format of corpus files, and the checks that a file must pass before its samples are read.

Layout of the HDF5 file, version 1:

    attributes    format, version, sample_rate_hz, dtype, mean, std (of the training pieces, on the scale -1 to 1)
    pieces/000000 (n_samples,) int16 or float32, in chunks of up to one second, each with a Fletcher-32 checksum
                  attributes: title, source, licence, split, sha256 (of the little-endian samples)
    pieces/000001 ...
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from rnnaudio.audio.arrays import Array
from rnnaudio.audio.files import INT16_SCALE
from rnnaudio.errors import MissingCorpus, RnnaudioError

FORMAT = "rnnaudio-corpus"
VERSION = 1
SPLITS = ("train", "valid", "test")
SAMPLE_SCALE = {"int16": 1.0 / INT16_SCALE, "float32": 1.0}  # factor from stored samples to the scale -1 to 1
PIECE_TEXTS = ("title", "source", "licence", "split", "sha256")
BLOCK_CHUNKS = 60


def blocks(dataset: h5py.Dataset) -> Iterator[Array]:
    """Iterate over the stored samples of a piece in blocks of about a minute."""
    step = BLOCK_CHUNKS * dataset.chunks[0]
    for start in range(0, len(dataset), step):
        yield dataset[start : start + step]


def sha256_of(dataset: h5py.Dataset) -> str:
    """SHA-256 of the stored samples as little-endian bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for block in blocks(dataset):
        digest.update(block.astype(block.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def open_checked(path: Path) -> h5py.File:
    """Open a corpus read-only and check everything except the samples; returns the open file.

    The HDF5 library trusts the contents of a file: it follows links to other files, loads plug-in filters and would
    allocate terabytes for a file of a kilobyte. So before any sample is read, this function checks that each piece is
    a chunked dataset inside this file, with no filter except the checksum, and that all its chunks are present.

    Raises RnnaudioError if the file is missing, truncated, not HDF5, not a corpus, of another version, lacks an
    attribute or a split, or fails one of these checks.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingCorpus(path)
    try:
        # No lock: a corpus is replaced, never modified, and locking fails on NFS. No chunk cache: HDF5 would keep a
        # megabyte or more per piece, so that memory could grow to the size of the corpus.
        file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
    except OSError as error:
        raise _refusal(path, _why_not_opened(error)) from error
    try:
        _check_file(file, path)
    except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:
        file.close()
        raise _refusal(path, f"damaged ({' '.join(str(error).split())})") from error
    except RnnaudioError:
        file.close()
        raise
    return file


def _refusal(path: Path, reason: str) -> RnnaudioError:
    return RnnaudioError(f"{path} is not a usable corpus: {reason}; build it again with 'rnnaudio corpus build'")


def _why_not_opened(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return "truncated" if "truncated" in str(error) else "not an HDF5 file, or damaged"


def _check_file(file: h5py.File, path: Path) -> None:
    attributes = file.attrs
    if attributes.get("format") != FORMAT:
        raise _refusal(path, f"an HDF5 file, but not marked {FORMAT!r}")
    if attributes.get("version") != VERSION:
        raise _refusal(path, f"version {attributes.get('version')}, expected version {VERSION}")
    for name in ("sample_rate_hz", "dtype", "mean", "std"):
        if name not in attributes:
            raise _refusal(path, f"attribute {name!r} is missing")
    mean, std, rate_hz = float(attributes["mean"]), float(attributes["std"]), int(attributes["sample_rate_hz"])
    if not (math.isfinite(mean) and math.isfinite(std) and std > 0.0 and rate_hz > 0):
        raise _refusal(path, f"invalid attributes: mean {mean}, std {std}, sample_rate_hz {rate_hz}")
    if attributes["dtype"] not in SAMPLE_SCALE:
        raise _refusal(path, f"dtype {attributes['dtype']!r}, expected int16 or float32")
    _check_pieces(file, path, str(attributes["dtype"]))


def _check_pieces(file: h5py.File, path: Path, dtype: str) -> None:
    _require_own(file, "pieces", path)
    group = file["pieces"]
    if not isinstance(group, h5py.Group):
        raise _refusal(path, "'pieces' is not a group")
    n_bytes = 0
    for name in group:
        _require_own(group, name, path)
        n_bytes += _checked_piece_bytes(group[name], path, dtype)
    if n_bytes > path.stat().st_size:
        raise _refusal(path, f"it declares {n_bytes} bytes of samples, more than its size")
    missing = set(SPLITS) - {group[name].attrs["split"] for name in group}
    if missing:
        raise _refusal(path, f"no piece in the split {' and '.join(sorted(missing))}")


def _require_own(group: h5py.Group, name: str, path: Path) -> None:
    """Raise RnnaudioError unless ``name`` is an object stored in this file; examining a link does not follow it."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise _refusal(path, f"{name!r} is missing or a link to elsewhere, which is not followed")


def _checked_piece_bytes(dataset: h5py.Dataset, path: Path, dtype: str) -> int:
    """Check one piece; returns its size in the file in bytes."""
    if not isinstance(dataset, h5py.Dataset):
        raise _refusal(path, f"{dataset.name} is not a dataset")
    properties = dataset.id.get_create_plist()
    # External and virtual datasets have other layouts, so this test refuses them, too.
    if properties.get_layout() != h5py.h5d.CHUNKED:
        raise _refusal(path, f"{dataset.name} is external, virtual or not chunked")
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if filters != [h5py.h5z.FILTER_FLETCHER32]:
        raise _refusal(path, f"{dataset.name} has filters {filters}, expected the Fletcher-32 checksum only")
    if dataset.dtype != np.dtype(dtype) or dataset.ndim != 1 or len(dataset) == 0:
        raise _refusal(path, f"{dataset.name} is {dataset.dtype} {dataset.shape}, expected {dtype} (n_samples,)")
    n_stored = dataset.id.get_storage_size()
    n_declared = max(len(dataset), dataset.chunks[0]) * dataset.dtype.itemsize
    if n_declared > n_stored:
        raise _refusal(path, f"{dataset.name} declares {n_declared} bytes, the file holds {n_stored}")
    for text in PIECE_TEXTS:
        if not isinstance(dataset.attrs.get(text), str):
            raise _refusal(path, f"{dataset.name} has no attribute {text!r}")
    if dataset.attrs["split"] not in SPLITS:
        raise _refusal(path, f"{dataset.name} is in the split {dataset.attrs['split']!r}, expected one of {SPLITS}")
    return n_stored
