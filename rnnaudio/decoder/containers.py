"""Comparison of the length that the container of a file states with the bytes that are present.

Decoders read a file that ends early without an error, and stop at a stated length that is too small. A stated length
that is impossible or a placeholder is ignored, with a note. A file that ends well before its stated length counts as
truncated.
"""

import math
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from rnnaudio.decoder import ogg
from rnnaudio.decoder.mixing import Unusable

TOLERANCE_BYTES = 65_536  # .37 s of CD audio: players and editors append or cut blocks of this order
TOLERANCE_SHARE = 0.01
# Lengths stated by programs that write to a pipe and do not know the length yet.
PLACEHOLDERS = ((0x7FFFF000, 0x80000000), (0xFFFFF000, 0xFFFFFFFF), (2**63, 2**63))
SPHERE_HEADER_BYTES = 1024
MP3_FRAME_SAMPLES = 1152


class Stated(NamedTuple):
    """Statements of a container about its contents, compared with the file, and the decoder that may read it.

    notes
        messages for the user, for example that the header states no length.
    truncated
        message that says how much of the file is present; empty if nothing is known to be missing.
    seconds
        lower limit, in seconds, of the stated length; None if no length is stated or a decoder reports it itself.
    is_empty
        True if the container states that it holds no samples, and none follow.
    parts
        byte ranges (start, stop) of the streams that are chained in the file; empty if there is only one stream.
    only_ffmpeg, only_libsndfile
        True if the other decoder does not read this file correctly.
    """

    notes: tuple[str, ...] = ()
    truncated: str = ""
    seconds: float | None = None
    is_empty: bool = False
    parts: tuple[tuple[int, int], ...] = ()
    only_ffmpeg: bool = False
    only_libsndfile: bool = False


def stated_by(file: BinaryIO) -> Stated:
    """Return what the container of a file, open in binary mode at its start, states about the length of its contents.

    For formats that are not recognised the result is empty, ``Stated()``. Raises Unusable for NIST SPHERE files that
    are damaged, state too small a length, or are compressed with shorten.
    """
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        return _of_wav(file)
    if head[:4] == b"FORM":
        return _of_chunks(file, _aiff_chunks(file), b"SSND")
    if head[:4] == b"caff":
        return _of_chunks(file, _caf_chunks(file), b"data")
    if head[:4] == b".snd" and len(head) == 12:
        start, n_stated = struct.unpack(">II", head[4:])
        return _compared(n_stated, max(0, _n_bytes(file) - start))
    if head[:4] == b"OggS":
        return _of_ogg(file)
    if head[:7] == b"NIST_1A":
        return _of_sphere(file)
    if head[:3] == b"ID3" or (head[0:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0):
        return _of_mpeg(file)
    return Stated()


def _n_bytes(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


# ---------------------------------------------------------------- WAV, AIFF, CAF and AU: samples of a stated size


class Chunk(NamedTuple):
    """A chunk of a container: name, stated size of the contents in bytes, and offset of their first byte."""

    name: bytes
    n_stated: int
    start: int


def _of_wav(file: BinaryIO) -> Stated:
    """Compare the stated size of the data chunk with the bytes that follow it (RF64: the size is in ds64)."""
    n_long_bytes = None
    for chunk in _chunks(file, "<4sI"):
        if chunk.name == b"ds64":
            n_long_bytes = int.from_bytes(file.read(16)[8:], "little")
        if chunk.name == b"data":
            if chunk.n_stated == 0 and _is_chunk(file, chunk.start):
                return Stated(is_empty=True)
            n_stated = n_long_bytes if n_long_bytes and chunk.n_stated == 0xFFFFFFFF else chunk.n_stated
            return _compared(n_stated, _n_bytes(file) - chunk.start)
    return Stated()


def _is_chunk(file: BinaryIO, start: int) -> bool:
    """True if another chunk, or the end of the file, follows at byte ``start``; False if samples follow."""
    file.seek(start)
    head = file.read(8)
    if len(head) < 8:
        return True
    name, n_stated = struct.unpack("<4sI", head)
    return all(32 <= byte < 127 for byte in name) and start + 8 + n_stated <= _n_bytes(file)


def _of_chunks(file: BinaryIO, chunks: Iterator[Chunk], name: bytes) -> Stated:
    for chunk in chunks:
        if chunk.name == name:
            return _compared(chunk.n_stated, _n_bytes(file) - chunk.start)
    return Stated()


def _compared(n_stated: int, n_found: int) -> Stated:
    """Compare the stated number of bytes of samples, ``n_stated``, with the number found, ``n_found``.

    A stated size counts as a placeholder for an unknown one if it is 0 although samples follow, or if fewer bytes
    follow and it is close to 2^31 or 2^32, or equal to 2^63.
    """
    is_placeholder = n_stated > n_found and any(low <= n_stated <= high for low, high in PLACEHOLDERS)
    if is_placeholder or n_stated == 0 < n_found:
        note = f"its header states no length; all {n_found} bytes of samples are read"
        return Stated(notes=(note,), only_ffmpeg=n_stated == 0)
    n_missing = n_stated - n_found
    if n_missing <= 0:
        return Stated(is_empty=n_stated == 0)
    bytes_of = f"{n_found} of {n_stated} stated bytes of samples are present"
    if n_missing <= min(TOLERANCE_BYTES, TOLERANCE_SHARE * n_stated):
        return Stated(notes=(bytes_of,))
    return Stated(truncated=bytes_of)


def _chunks(file: BinaryIO, layout: str, start: int = 12) -> Iterator[Chunk]:
    n_head = struct.calcsize(layout)
    file.seek(start)
    while len(head := file.read(n_head)) == n_head:
        name, n_stated = struct.unpack(layout, head)
        position = file.tell()
        yield Chunk(name, n_stated, position)
        file.seek(position + n_stated + n_stated % 2)


def _aiff_chunks(file: BinaryIO) -> Iterator[Chunk]:
    return _chunks(file, ">4sI")


def _caf_chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Iterate over the chunks of a CAF file, whose sizes are signed 64-bit numbers, without padding.

    A negative size means that the writer did not know it; it is replaced by the placeholder 2^63.
    """
    file.seek(8)
    while len(head := file.read(12)) == 12:
        name, n_stated = struct.unpack(">4sq", head)
        position = file.tell()
        yield Chunk(name, n_stated if n_stated >= 0 else 2**63, position)
        if n_stated < 0:
            return
        file.seek(position + n_stated)


# ---------------------------------------------------------------- Ogg, MPEG audio, NIST SPHERE


def _of_ogg(file: BinaryIO) -> Stated:
    """Check that the last page is whole and marked as the end of the stream (RFC 3533, section 6).

    Chained streams are listed. Ogg states no length.
    """
    with ogg.mapped(file) as content:
        pages, end = ogg.pages_of(content)
        truncated = ""
        if not pages or content[end : end + len(ogg.CAPTURE)] == ogg.CAPTURE:
            truncated = "it ends within an Ogg page"
        elif not pages[-1].flags & ogg.ENDS:
            truncated = "its last Ogg page is not the end of the stream"
        parts = ogg.streams(pages, len(content))
    if len(parts) == 1:
        return Stated(truncated=truncated)
    return Stated((f"{len(parts)} chained streams are joined",), truncated, parts=tuple(parts), only_ffmpeg=True)


def _of_mpeg(file: BinaryIO) -> Stated:
    """Read the number of frames from the Xing or Info tag in the first frame, if it has one (MPEG audio only)."""
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3":
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False))
    file.seek(start)
    frame = file.read(256)
    place = max(frame.find(b"Xing"), frame.find(b"Info"))
    if place < 0 or len(frame) < place + 12 or not frame[place + 7] & 1:
        return Stated(only_ffmpeg=True)
    version, rate_index = (frame[1] >> 3) & 3, (frame[2] >> 2) & 3
    if frame[0] != 0xFF or version == 1 or rate_index == 3:
        return Stated(only_ffmpeg=True)
    rate_hz = (44_100, 48_000, 32_000)[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    n_samples = int.from_bytes(frame[place + 8 : place + 12], "big") * MP3_FRAME_SAMPLES // (1 if version == 3 else 2)
    # Encoders add up to three frames in all, before and after, which gapless decoding removes.
    return Stated(only_ffmpeg=True, seconds=max(0, n_samples - 3 * MP3_FRAME_SAMPLES) / rate_hz)


def _of_sphere(file: BinaryIO) -> Stated:
    """Compare the length stated by a NIST SPHERE header with the bytes after it; libsndfile ignores that length.

    The header is text: ``NIST_1A``, its own length, lines ``name -type value``, ``end_head``, and padding.
    """
    file.seek(0)
    lines = [line.split() for line in file.read(SPHERE_HEADER_BYTES).decode("latin-1").split("\n")]
    if lines[1:2] != [[str(SPHERE_HEADER_BYTES)]] or ["end_head"] not in lines:
        raise Unusable(f"damaged: expected a SPHERE header of {SPHERE_HEADER_BYTES} bytes; copy it again")
    header = {line[0]: line[2] for line in lines[2 : lines.index(["end_head"])] if len(line) == 3}
    if "shorten" in header.get("sample_coding", ""):
        raise Unusable(
            "SPHERE files compressed with shorten are not supported: convert it with NIST's own program, "
            "'w_decode -o pcm IN OUT'"
        )
    try:
        sizes = [int(header[name]) for name in ("sample_count", "channel_count", "sample_n_bytes")]
    except (KeyError, ValueError) as error:
        raise Unusable(f"damaged: its SPHERE header lacks a required number ({error}); copy it again") from None
    n_stated, n_found = math.prod(sizes), max(0, _n_bytes(file) - SPHERE_HEADER_BYTES)
    if n_stated < n_found:
        raise Unusable(f"its header is wrong: it states {n_stated} bytes of samples, {n_found} are present")
    truncated = f"{n_found} of {n_stated} stated bytes of samples are present" if n_stated > n_found else ""
    return Stated(truncated=truncated, only_libsndfile=True)
