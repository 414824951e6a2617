"""Positions of the samples in a corpus file, and the checksum of everything else in it.

Only the bytes outside the chunks of samples can crash or mislead HDF5, and they are about a thousandth of the file.
Their checksum identifies a file that has been checked, whatever its name, time or inode. An extent is a pair (start,
stop) of byte offsets: bytes start to stop - 1 of the file.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import h5py

Extent: TypeAlias = tuple[int, int]  # bytes start to stop - 1 of the file

BLOCK_BYTES = 1 << 20


def chunks_of(piece: h5py.Dataset) -> list[h5py.h5d.StoreInfo]:
    """List the stored chunks of a dataset: offset in samples, filter mask, byte offset and size in bytes of each."""
    found: list[h5py.h5d.StoreInfo] = []
    if hasattr(piece.id, "chunk_iter"):
        piece.id.chunk_iter(found.append)
        return found
    # HDF5 before 1.12.3; each call walks the index from its start
    return [piece.id.get_chunk_info(number) for number in range(piece.id.get_num_chunks())]


def joined(extents: Iterable[Extent]) -> list[Extent]:
    """Sort extents and join those that adjoin; returns the joined extents. ValueError if two overlap."""
    result: list[Extent] = []
    for start, stop in sorted(extents):
        if result and start < result[-1][1]:
            raise ValueError(f"two chunks share byte {start}")
        if result and start == result[-1][1]:
            result[-1] = (result[-1][0], stop)
        else:
            result.append((start, stop))
    return result


def of_samples(file: h5py.File) -> list[Extent]:
    """List the extents of the samples of an open corpus, sorted and joined. ValueError if two chunks overlap."""
    chunks = [chunk for piece in file["pieces"].values() for chunk in chunks_of(piece)]
    return joined((chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in chunks)


def sha256_outside(path: str | Path, extents: Iterable[Extent]) -> str:
    """Compute the SHA-256, in hexadecimal, of all bytes of a file outside ``extents``, which must be sorted.

    OSError if the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        n_bytes, position = os.fstat(file.fileno()).st_size, 0
        for start, stop in [*extents, (n_bytes, n_bytes)]:
            file.seek(position)
            n_left = start - position
            while n_left > 0 and (block := file.read(min(BLOCK_BYTES, n_left))):
                digest.update(block)
                n_left -= len(block)
            position = stop
    return digest.hexdigest()
