"""The MD5 sum that a FLAC file states of its samples (RFC 9639, section 8.2).

libFLAC replaces a frame whose own checksum differs by silence, and goes on; libsndfile passes that on.
"""

import hashlib
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

MARKER = b"fLaC"
HEAD_BYTES = 42  # marker, head of the block, STREAMINFO


class Differs(Exception):
    """Error for samples whose sum is another than stated: they are damaged, or the encoder has stated a wrong one."""


class Stated(NamedTuple):
    """Bits and number of samples (per channel), and their MD5 sum, as a header states them."""

    n_bits: int
    n_samples: int
    md5: bytes


def stated_by(file: BinaryIO) -> Stated | None:
    """Read the header of a file, and go back to its start; None if it is not FLAC, or states no sum."""
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
    """MD5 sum of decoded samples, to be compared with the stated one."""

    def __init__(self, stated: Stated) -> None:
        self._stated, self._n_samples = stated, 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, block: NDArray[np.int32]) -> None:
        """Add (n_samples, n_channels) samples whose highest bit is that of an int32."""
        n_bits = self._stated.n_bits
        samples = (block >> (32 - n_bits)).astype("<i4").view(np.uint8)
        self._md5.update(samples.reshape(-1, 4)[:, : (n_bits + 7) // 8].tobytes())
        self._n_samples += len(block)

    def differs(self) -> bool:
        """Tell whether all samples have been added, and their sum is another than stated."""
        return self._n_samples == self._stated.n_samples and self._md5.digest() != self._stated.md5
