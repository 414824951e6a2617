"""Comparison of the decoded samples of a FLAC file with the MD5 sum in its header (RFC 9639, section 8.2).

The comparison is needed because libFLAC, and so libsndfile, replaces a frame whose own checksum differs by silence,
without an error.
"""

import hashlib
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

MARKER = b"fLaC"
HEAD_BYTES = 42  # marker, head of the block, STREAMINFO


class Differs(Exception):
    """Error for samples whose MD5 sum differs from the stated one: either the samples or the stated sum is wrong."""


class Stated(NamedTuple):
    """Statements of the header of a FLAC file about its samples.

    n_bits
        bits per sample.
    n_samples
        number of samples per channel.
    md5
        MD5 digest, 16 bytes, of the decoded samples of all channels, interleaved.
    """

    n_bits: int
    n_samples: int
    md5: bytes


def stated_by(file: BinaryIO) -> Stated | None:
    """Read the header of a file, open in binary mode, and go back to its start.

    None if the file is not FLAC, or its header states no MD5 sum or no number of samples.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if len(head) < HEAD_BYTES or not head.startswith(MARKER) or head[4] & 0x7F != 0:
        return None
    # Sample rate, 20 bits; channels less one, 3; bits less one, 5; number of samples, 36.
    fields, md5 = int.from_bytes(head[18:26], "big"), head[26:]
    n_bits, n_samples = (fields >> 36 & 31) + 1, fields & (1 << 36) - 1
    return Stated(n_bits, n_samples, md5) if any(md5) and n_samples else None


class Sum:
    """MD5 sum of decoded samples, for comparison with the stated one; the samples are added block by block."""

    def __init__(self, stated: Stated) -> None:
        self._stated, self._n_samples = stated, 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, block: NDArray[np.int32]) -> None:
        """Add (n_samples, n_channels) samples, scaled to the full range of int32 (left-aligned)."""
        n_bits = self._stated.n_bits
        samples = (block >> (32 - n_bits)).astype("<i4").view(np.uint8)
        self._md5.update(samples.reshape(-1, 4)[:, : (n_bits + 7) // 8].tobytes())
        self._n_samples += len(block)

    def differs(self) -> bool:
        """Return True if as many samples as stated have been added and their MD5 sum differs from the stated one."""
        return self._n_samples == self._stated.n_samples and self._md5.digest() != self._stated.md5
