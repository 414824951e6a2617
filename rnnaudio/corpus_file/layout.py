"""Layout of corpus files, version 2; reading and writing of their texts, reading of their samples.

    attributes    format, version, sample_rate_hz, dtype, mean, std (of the training pieces, on the scale -1 to 1),
                  left_out, notes (JSON), contents_sha256 (see `contents_sha256`)
    pieces/000000 (n_samples,) int16 or float32, in chunks of up to one second, each with a Fletcher-32 checksum
                  attributes: title, source, licence, split, sha256 (of the little-endian samples)
    pieces/000001 ...

Texts have a fixed length. Texts of variable length would lie in a heap, where one wrong bit misleads HDF5, and where
many pieces can share one text of any size. Version 1, which is still read, had texts of variable length and no
``contents_sha256``.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

FORMAT = "rnnaudio-corpus"
VERSION = 2
VERSIONS_READ = (1, 2)
SPLITS = ("train", "valid", "test")
SAMPLE_SCALE = {"int16": 1.0 / 32_768, "float32": 1.0}  # factor from stored samples to the scale -1 to 1
PIECE_TEXTS = ("title", "source", "licence", "split", "sha256")
ROOT_TEXTS = ("left_out", "notes")
# From telegraphy to ultrasound; beyond, durations in samples lose their meaning or overflow.
RATES_HZ = (100, 1_000_000)
LEAST_STD = 1e-6  # -120 dBFS; below, samples divided by it overflow what networks can take
MOST_TITLE_BYTES = 4096  # file names have up to 255
MOST_TEXT_BYTES = 64_000  # HDF5 keeps attributes up to 64 KiB
BLOCK_CHUNKS = 60

Object: TypeAlias = h5py.Group | h5py.Dataset  # what has attributes


def text_of(owner: Object, name: str) -> str:
    """Read a text attribute, of fixed or variable length; bytes that are not UTF-8 become escapes such as ``\\xff``.

    KeyError if the attribute is missing, TypeError if it is no text.
    """
    value = owner.attrs[name]
    if isinstance(value, str):  # of variable length; h5py marks bytes that are no UTF-8 by surrogates
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        raise TypeError(f"attribute {name!r} is no text")
    return value.decode("utf-8", "backslashreplace")


def texts_of(piece: h5py.Dataset) -> dict[str, str]:
    """Read title, source, licence, split and sha256 of a piece, by these names; raises the errors of `text_of`."""
    return {name: text_of(piece, name) for name in PIECE_TEXTS}


def set_texts(owner: Object, texts: Mapping[str, str]) -> None:
    """Write text attributes of ``owner``, of fixed length, in UTF-8. texts: name of the attribute -> text.

    A text named "title" is cut to 4096 bytes, all others to 64,000 bytes.
    """
    for name, text in texts.items():
        content = text.encode("utf-8", "backslashreplace")
        most = MOST_TITLE_BYTES if name == "title" else MOST_TEXT_BYTES
        if len(content) > most:
            content = content[:most].decode("utf-8", "ignore").encode()
        dtype = h5py.string_dtype("utf-8", max(1, len(content)))  # HDF5 has no texts of length 0; they end at a zero
        owner.attrs.create(name, np.array(content, dtype), dtype=dtype)


def blocks(piece: h5py.Dataset, n_chunks: int = BLOCK_CHUNKS) -> Iterator[NDArray[Any]]:
    """Iterate over the stored samples of a piece in blocks of ``n_chunks`` chunks, a minute by default.

    The samples of a block, (n_samples,), have the dtype of the piece. OSError if a chunk's checksum does not match.
    """
    step = n_chunks * piece.chunks[0]
    for start in range(0, len(piece), step):
        yield piece[start : start + step]


def little_endian(block: NDArray[Any]) -> memoryview:
    """Return a memory view of stored samples in little-endian byte order, for computing checksums."""
    return block.astype(block.dtype.newbyteorder("<"), copy=False).data


def sha256_of(piece: h5py.Dataset) -> str:
    """Compute the SHA-256 of the stored samples as little-endian bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for block in blocks(piece):
        digest.update(little_endian(block))
    return digest.hexdigest()


def contents_sha256(file: h5py.File) -> str:
    """Compute the SHA-256, in hexadecimal, of the attributes of a corpus and of its pieces.

    Names, order and lengths of the pieces are included, the samples are not. But the attributes of a piece include the
    SHA-256 of its samples, so that the result identifies the whole contents.
    """
    numbers = {name: float(file.attrs[name]) for name in ("version", "sample_rate_hz", "mean", "std")}
    texts = {name: text_of(file, name) for name in ("format", "dtype", *ROOT_TEXTS)}
    digest = hashlib.sha256(json.dumps([numbers, texts]).encode())
    for name, piece in file["pieces"].items():
        digest.update(json.dumps([name, len(piece), texts_of(piece)]).encode())
    return digest.hexdigest()
