"""Comparison of the samples of pieces with the SHA-256 sums stored in their attributes."""

import hashlib

import h5py
import numpy as np

from rnnaudio.corpus_file.layout import blocks, little_endian, text_of

CHUNKS_AT_ONCE = 8  # little memory, and few calls


def fault_of(piece: h5py.Dataset) -> str:
    """Check the samples of a piece; returns a text that describes its fault, with the title, or an empty text.

    A piece has a fault if its samples do not match their SHA-256 sum, or if a sample is not finite.
    """
    title, digest, n_done = text_of(piece, "title"), hashlib.sha256(), 0
    changed = f"the samples of {title!r} have changed since the corpus was built"
    try:
        for block in blocks(piece, CHUNKS_AT_ONCE):
            digest.update(little_endian(block))
            if block.dtype.kind == "f" and not np.isfinite(block).all():
                place = int(np.flatnonzero(~np.isfinite(block))[0])
                return f"sample {n_done + place} of {title!r} is {block[place]}, expected finite numbers"
            n_done += len(block)
    except OSError:  # the checksum of a chunk does not match
        return changed
    return "" if digest.hexdigest() == text_of(piece, "sha256") else changed


def fault_in(file: h5py.File) -> str:
    """Describe the first fault that :func:`fault_of` finds in the pieces of a corpus; empty if there is none."""
    return next(filter(None, map(fault_of, file["pieces"].values())), "")
