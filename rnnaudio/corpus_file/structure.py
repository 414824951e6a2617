"""Check of everything in a corpus file except the samples: links, types, sizes, chunks, attributes.

The HDF5 library trusts the contents of a file: it follows links to other files, loads plug-in filters, and would
allocate terabytes for a file of a kilobyte. The check therefore inspects types and sizes, through the low-level
interface of h5py, before it reads values.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from h5py import h5a, h5d, h5o, h5s, h5t, h5z

from rnnaudio.corpus_file import extents, layout
from rnnaudio.corpus_file.extents import Extent
from rnnaudio.corpus_file.layout import FORMAT, LEAST_STD, RATES_HZ, SAMPLE_SCALE, SPLITS, VERSIONS_READ, Object

MOST_PIECES = 100_000
MOST_NAME_DIGITS = 12
CHECKSUM_BYTES = 4
WHOLE = [h5t.STD_I8LE, h5t.STD_I16LE, h5t.STD_I32LE, h5t.STD_I64LE, h5t.STD_U8LE, h5t.STD_U16LE, h5t.STD_U32LE]
REAL = [h5t.IEEE_F32LE, h5t.IEEE_F64LE]
BIG_ENDIAN = [h5t.STD_I32BE, h5t.STD_I64BE]


class Unusable(Exception):
    """Error for a file that is not a usable corpus; the message gives the reason."""


def check(path: str | Path) -> list[Extent]:
    """Check everything in a file except its samples; returns the extents of the samples, sorted and joined.

    Unusable if the file is not HDF5, not a corpus, of an unknown version or damaged, or if it has links, types, sizes
    or filters that a corpus never has. See :mod:`rnnaudio.corpus_file.extents` for extents.
    """
    try:
        file = opened(path)
    except OSError as error:
        raise Unusable(_why_not_opened(error)) from error
    try:
        with file:
            return _checked(file, Path(path).stat().st_size)
    except Unusable:
        raise
    except MemoryError as error:
        raise Unusable("it takes too much memory to open") from error
    except Exception as error:  # h5py raises many types
        raise Unusable(f"damaged ({' '.join(str(error).split()) or type(error).__name__})") from error


def opened(path: str | Path) -> h5py.File:
    """Open an HDF5 file read-only, without any check. OSError if it cannot be read or is not HDF5.

    The file is not locked, because a corpus is replaced, never modified, and locking fails on NFS. There is no chunk
    cache, because HDF5 would keep a megabyte or more per piece, so that memory could grow to the size of the corpus.
    """
    return h5py.File(path, "r", locking=False, rdcc_nbytes=0)


def _why_not_opened(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return "truncated" if "truncated" in str(error) else "not an HDF5 file, or damaged"


def _checked(file: h5py.File, n_bytes: int) -> list[Extent]:
    if file.userblock_size:
        raise Unusable(f"it begins with {file.userblock_size} foreign bytes")
    if not h5a.exists(file.id, b"format") or _text(file, "format") != FORMAT:
        raise Unusable(f"an HDF5 file, but not marked {FORMAT!r}")
    version = _whole(file, "version") if h5a.exists(file.id, b"version") else None
    if version not in VERSIONS_READ:
        raise Unusable(f"version {version}, expected version {' or '.join(map(str, VERSIONS_READ))}")
    dtype = _checked_numbers(file)
    for name in layout.ROOT_TEXTS:
        if h5a.exists(file.id, name.encode()):
            _text(file, name, layout.MOST_TEXT_BYTES)
    samples = _checked_pieces(file, dtype, n_bytes)
    if version > 1 and _text(file, "contents_sha256") != layout.contents_sha256(file):
        raise Unusable("damaged: what it states about its pieces has changed since it was built")
    return samples


# ---------------------------------------------------------------- attributes


def _attribute(owner: Object, name: str) -> h5a.AttrID:
    """Open a scalar attribute without reading its value; Unusable if it is missing or an array."""
    if not h5a.exists(owner.id, name.encode()):
        raise Unusable(f"{_named(owner, name)} is missing")
    attribute = h5a.open(owner.id, name.encode())
    if attribute.get_space().get_simple_extent_type() != h5s.SCALAR:
        raise Unusable(f"{_named(owner, name)} is an array, expected one value")
    return attribute


def _named(owner: Object, name: str) -> str:
    return f"attribute {name!r}" if owner.name == "/" else f"attribute {name!r} of {owner.name}"


def _text(owner: Object, name: str, most_bytes: int = 64) -> str:
    """Read a text attribute; Unusable if it is longer than ``most_bytes`` or not a text.

    The size of a text of fixed length is checked before it is read. A text of variable length states no size; only the
    limit on the memory of this process bounds its reading.
    """
    kind = _attribute(owner, name).get_type()
    if not isinstance(kind, h5t.TypeStringID):
        raise Unusable(f"{_named(owner, name)} is no text")
    n_bytes = 0 if kind.is_variable_str() else kind.get_size()
    text = layout.text_of(owner, name) if n_bytes <= most_bytes else ""
    n_bytes = max(n_bytes, len(text.encode()))
    if n_bytes > most_bytes:
        raise Unusable(f"{_named(owner, name)} has {n_bytes} bytes, expected at most {most_bytes}")
    return text


def _whole(owner: Object, name: str) -> int:
    kind = _attribute(owner, name).get_type()
    if not any(kind.equal(known) for known in [*WHOLE, *BIG_ENDIAN]):
        raise Unusable(f"{_named(owner, name)} is no whole number")
    return int(owner.attrs[name])


def _real(owner: Object, name: str) -> float:
    kind = _attribute(owner, name).get_type()
    if not any(kind.equal(known) for known in [*REAL, *WHOLE]):
        raise Unusable(f"{_named(owner, name)} is no number")
    return float(owner.attrs[name])


def _checked_numbers(file: h5py.File) -> str:
    """Check the attributes sample_rate_hz, mean, std and dtype; returns dtype. Unusable if one is invalid."""
    mean, std, rate_hz = _real(file, "mean"), _real(file, "std"), _whole(file, "sample_rate_hz")
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise Unusable(f"sample_rate_hz is {rate_hz}, expected {RATES_HZ[0]} to {RATES_HZ[1]}")
    if not abs(mean) <= 1.0:
        raise Unusable(f"mean is {mean}, expected -1 to 1")
    if not LEAST_STD < std <= 1.0:
        raise Unusable(f"std is {std}, expected more than {LEAST_STD} and at most 1")
    dtype = _text(file, "dtype")
    if dtype not in SAMPLE_SCALE:
        raise Unusable(f"dtype {dtype!r}, expected int16 or float32")
    return dtype


# ---------------------------------------------------------------- pieces


def _checked_pieces(file: h5py.File, dtype: str, n_bytes: int) -> list[Extent]:
    _require_own(file, "pieces")
    group = file["pieces"]
    if not isinstance(group, h5py.Group):
        raise Unusable("'pieces' is not a group")
    if len(group) > MOST_PIECES:
        raise Unusable(f"it has {len(group)} pieces, expected at most {MOST_PIECES}")
    splits, places, n_text_bytes = set(), [], 0
    for name in group:
        if len(name) > MOST_NAME_DIGITS or not name.isdigit():
            raise Unusable(f"a piece is stored as {name[:40]!r}, expected a number")
        _require_own(group, name)
        places += list(_checked_samples(group[name], dtype, n_bytes))
        texts = _checked_texts(group[name])
        n_text_bytes += sum(map(len, texts.values()))
        splits.add(texts["split"])
        if n_text_bytes > n_bytes:
            raise Unusable("its texts add up to more than its size: they are stored once and used many times")
    missing = set(SPLITS) - splits
    if missing:
        raise Unusable(f"no piece in the split {' and '.join(sorted(missing))}")
    return extents.joined(places)


def _require_own(group: h5py.Group, name: str) -> None:
    """Raise Unusable unless ``name`` is an object stored in this file, under this name alone, and not a link."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise Unusable(f"{name!r} is missing or a link to elsewhere, which is not followed")
    if h5o.get_info(group.id, name.encode()).rc != 1:
        raise Unusable(f"{name!r} is stored under two names")


def _checked_texts(piece: h5py.Dataset) -> dict[str, str]:
    most = {"title": layout.MOST_TITLE_BYTES, "split": 64, "sha256": 64}
    texts = {name: _text(piece, name, most.get(name, layout.MOST_TEXT_BYTES)) for name in layout.PIECE_TEXTS}
    if texts["split"] not in SPLITS:
        raise Unusable(f"{piece.name} is in the split {texts['split']!r}, expected one of {SPLITS}")
    return texts


def _checked_samples(piece: h5py.Dataset, dtype: str, n_file_bytes: int) -> Iterator[Extent]:
    """Check type, layout, filters and size of a piece; returns an iterator over the extents of its chunks.

    The iterator checks each chunk. Unusable if a check fails. n_file_bytes: size of the file.
    """
    if not isinstance(piece, h5py.Dataset):
        raise Unusable(f"{piece.name} is not a dataset")
    properties = piece.id.get_create_plist()
    # External and virtual datasets have other layouts, so this test refuses them, too.
    if properties.get_layout() != h5d.CHUNKED:
        raise Unusable(f"{piece.name} is external, virtual or not chunked")
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if filters != [h5z.FILTER_FLETCHER32]:
        raise Unusable(f"{piece.name} has filters {filters}, expected the Fletcher-32 checksum only")
    kind = piece.id.get_type()
    if not kind.equal(h5t.py_create(np.dtype(dtype))) or piece.ndim != 1 or len(piece) == 0:
        raise Unusable(f"{piece.name} is {piece.dtype} {piece.shape}, expected {dtype} (n_samples,)")
    n_chunk_bytes = piece.chunks[0] * kind.get_size()
    n_declared = max(len(piece) * kind.get_size(), n_chunk_bytes)
    n_stored = min(piece.id.get_storage_size(), n_file_bytes)
    if n_declared > n_stored:
        raise Unusable(f"{piece.name} declares {n_declared} bytes, the file holds {n_stored}")
    return _checked_chunks(piece, n_chunk_bytes + CHECKSUM_BYTES, n_file_bytes)


def _checked_chunks(piece: h5py.Dataset, n_bytes: int, n_file_bytes: int) -> Iterator[Extent]:
    chunks = extents.chunks_of(piece)
    n_expected = math.ceil(len(piece) / piece.chunks[0])
    if sorted(chunk.chunk_offset[0] for chunk in chunks) != [k * piece.chunks[0] for k in range(n_expected)]:
        raise Unusable(f"{piece.name} has {len(chunks)} chunks, not all in their places, expected {n_expected}")
    for chunk in chunks:
        if chunk.filter_mask:
            raise Unusable(f"a chunk of {piece.name} skips the checksum (filter mask {chunk.filter_mask})")
        if chunk.size != n_bytes:
            raise Unusable(f"a chunk of {piece.name} has {chunk.size} bytes, expected {n_bytes}")
        if chunk.byte_offset is None or chunk.byte_offset + chunk.size > n_file_bytes:
            raise Unusable(f"a chunk of {piece.name} lies outside the file")
        yield chunk.byte_offset, chunk.byte_offset + chunk.size
