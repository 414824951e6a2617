"""Pages of Ogg files (RFC 3533): chained streams, a missing end, and the checksum of each page.

If the checksum of a page does not match, libogg skips the page and FFmpeg decodes it, both without an error.
"""

import mmap
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

CAPTURE = b"OggS"
HEAD_BYTES = 27
BEGINS, ENDS = 2, 4  # flags of the header
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page: bytes start to stop - 1 of the file, and the flags of its header.

    ``stop`` is beyond the end of the file if the page is incomplete.
    """

    start: int
    stop: int
    flags: int


class Pages(NamedTuple):
    """The complete pages at the beginning of a file, in order, and the offset of the first byte after them."""

    pages: list[Page]
    end: int


def pages_of(content: mmap.mmap) -> Pages:
    """Find the adjoining pages from the beginning of a file on; an incomplete last page is left out."""
    pages, position = [], 0
    for page in _pages(content):
        if page.stop > len(content):
            break
        pages.append(page)
        position = page.stop
    return Pages(pages, position)


def _pages(content: mmap.mmap) -> Iterator[Page]:
    position = 0
    while content[position : position + len(CAPTURE)] == CAPTURE:
        head = content[position : position + HEAD_BYTES]
        if len(head) < HEAD_BYTES:
            return
        n_segments = head[26]
        segments = content[position + HEAD_BYTES : position + HEAD_BYTES + n_segments]
        stop = position + HEAD_BYTES + n_segments + sum(segments)
        yield Page(position, stop, head[5])
        position = stop


def mapped(file: BinaryIO) -> mmap.mmap:
    """Map a file into memory, read-only; ValueError if it is empty."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def streams(pages: list[Page], n_bytes: int) -> list[tuple[int, int]]:
    """List the byte ranges (start, stop) of the chained streams.

    A range begins where a stream begins after pages of another one, and ends where the next range begins; the last
    range ends at ``n_bytes``, the size of the file. Streams that begin together are multiplexed, and stay in
    one range.
    """
    starts, was_beginning = [0], True
    for page in pages:
        is_beginning = bool(page.flags & BEGINS)
        if is_beginning and not was_beginning:
            starts.append(page.start)
        was_beginning = is_beginning
    return list(zip(starts, [*starts[1:], n_bytes], strict=True))


def damage(content: mmap.mmap) -> str:
    """Describe the first page whose checksum differs, or else bytes between pages; empty if there is no such damage.

    Bytes after the last page, such as a tag, and an incomplete last page do not count as damage.
    """
    pages, end = pages_of(content)
    for number, page in enumerate(pages):
        head = content[page.start : page.start + HEAD_BYTES]
        if crc(head[:22] + bytes(4) + head[26:] + content[page.start + HEAD_BYTES : page.stop]) != head[22:26]:
            return f"the checksum of Ogg page {number + 1} of {len(pages)} (at byte {page.start}) does not match"
    if content.find(CAPTURE, end + 1) >= 0:
        return f"the bytes from {end} on are no whole Ogg page, but others follow"
    return ""


def crc(page: bytes) -> bytes:
    """Compute the checksum of a page: 4 bytes, as stored in the header. In ``page``, these bytes must be 0.

    The CRC-32 of Ogg has the same polynomial as zlib's, 0x04C11DB7, but takes the bits of each byte from the highest
    to the lowest, begins with 0 and inverts nothing. So zlib's CRC is computed over bytes with reversed bits, its two
    inversions are undone, and the bits of the result are reversed.
    """
    value = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return value.to_bytes(4, "little").translate(REVERSED)[::-1]
