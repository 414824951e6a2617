"""The child process of `audio.Decoder`: run as a script, it decodes one file for each line it reads.

It stands alone because libsndfile parses whatever it is given: files of a few hundred bytes have hung or crashed it,
and only a process can be killed. A request is a line of JSON, {"path": ..., "sample_rate_hz": int or null}. The reply
is a line of JSON, {"error": text} or {"sample_rate_hz": int, "n_samples": int}, followed by the float32 samples.
"""

import json
import math
import os
import signal
import struct
import sys
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

MAX_HOURS = 12.0
BLOCK_SAMPLES = 2**18
OGG_PAGE_BYTES = 65_307  # the longest page there can be
MP3_FRAME_SAMPLES = 1152
MAX_MP3_TAIL_BYTES = 2**15  # tags behind the sound
SPHERE_HEADER_BYTES = 1024


class Unusable(Exception):
    """The file cannot be used; the message says why and what to do."""


def decode(path: str, sample_rate_hz: int | None) -> tuple[list[np.ndarray], int]:
    """Return (blocks of float32 samples, the mean of the channels; rate in Hz), resampled while it streams in."""
    with open(path, "rb") as file:
        refuse_cut_off(file)
        file.seek(0)
        with soundfile.SoundFile(file) as sound:
            blocks, n_read, rate_hz = _resampled(sound, sample_rate_hz)
            refuse_incomplete(file, sound, n_read)
    return blocks, rate_hz


def _resampled(sound: soundfile.SoundFile, sample_rate_hz: int | None) -> tuple[list[np.ndarray], int, int]:
    """(blocks of resampled mono audio, number of samples read, rate in Hz)."""
    rate_hz = sample_rate_hz or sound.samplerate
    resampler = soxr.ResampleStream(sound.samplerate, rate_hz, 1, dtype="float32")
    block = np.empty((max(1, BLOCK_SAMPLES // sound.channels), sound.channels), np.float32)
    blocks, n_read = [], 0
    # buffer_read_into, as `read` stops at the stated length, which is a guess in an MP3 file without a tag
    while n_new := sound.buffer_read_into(block, "float32"):
        n_read += n_new
        if n_read > MAX_HOURS * 3600 * sound.samplerate:
            raise Unusable(f"longer than {MAX_HOURS:g} hours: cut it into several files")
        blocks.append(resampler.resample_chunk(block[:n_new].mean(axis=1)))
    blocks.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    return blocks, n_read, rate_hz


def refuse_cut_off(file: BinaryIO) -> None:
    """Raise Unusable if a WAV, Ogg or SPHERE file ends too early: libsndfile reads what is left and says nothing."""
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        _refuse_short_wav(file)
    elif head[:4] == b"OggS":
        _refuse_unfinished_ogg(file)
    elif head[:7] == b"NIST_1A":
        _refuse_odd_sphere(file)


def _refuse_short_wav(file: BinaryIO) -> None:
    """Compare the length stated by the data chunk with the bytes that follow it (RF64: the length is in ds64)."""
    n_file_bytes = os.fstat(file.fileno()).st_size
    n_long_bytes = None
    while len(chunk := file.read(8)) == 8:
        name, n_bytes = struct.unpack("<4sI", chunk)
        position = file.tell()
        if name == b"ds64":
            n_long_bytes = int.from_bytes(file.read(16)[8:], "little")
        if name == b"data":
            n_stated = n_long_bytes if n_bytes == 0xFFFFFFFF else n_bytes
            if n_stated is None or 0x7FFFF000 <= n_stated <= 0x7FFFFFFF:
                return  # written to a pipe (ffmpeg, SoX): the length was not known
            if n_stated > n_file_bytes - position:
                raise Unusable(
                    f"truncated: its header states {n_stated} bytes of samples, {n_file_bytes - position} "
                    "are there; copy or download it again"
                )
            return
        file.seek(position + n_bytes + n_bytes % 2)


def _refuse_unfinished_ogg(file: BinaryIO) -> None:
    """An Ogg stream states no length, but its last page carries the mark 'end of stream' (RFC 3533, section 6)."""
    n_file_bytes = os.fstat(file.fileno()).st_size
    file.seek(max(0, n_file_bytes - OGG_PAGE_BYTES))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    is_whole = len(page) >= 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
    if not (page.startswith(b"OggS") and is_whole and page[5] & 4):
        raise Unusable("truncated: its last Ogg page is not the end of the stream; copy or download it again")


def _refuse_odd_sphere(file: BinaryIO) -> None:
    """Compare what a NIST SPHERE header states with the bytes behind it; libsndfile ignores the stated length.

    The header is text: ``NIST_1A``, its own length, lines ``name -type value``, ``end_head``, and padding.
    """
    file.seek(0)
    lines = [line.split() for line in file.read(SPHERE_HEADER_BYTES).decode("latin-1").split("\n")]
    if lines[1:2] != [[str(SPHERE_HEADER_BYTES)]] or ["end_head"] not in lines:
        raise Unusable(f"its SPHERE header is not one of {SPHERE_HEADER_BYTES} bytes: damaged; copy it again")
    header = {line[0]: line[2] for line in lines[2 : lines.index(["end_head"])] if len(line) == 3}
    if "shorten" in header.get("sample_coding", ""):
        raise Unusable(
            "a SPHERE file compressed with shorten, which is not read here: convert it with NIST's own program, "
            "'w_decode -o pcm IN OUT'"
        )
    try:
        sizes = [int(header[name]) for name in ("sample_count", "channel_count", "sample_n_bytes")]
    except (KeyError, ValueError) as error:
        raise Unusable(f"its SPHERE header lacks a number it must have ({error}): damaged; copy it again") from None
    n_stated, n_there = math.prod(sizes), max(0, os.fstat(file.fileno()).st_size - SPHERE_HEADER_BYTES)
    if n_stated != n_there:
        what = "truncated" if n_stated > n_there else "its header is wrong"
        raise Unusable(f"{what}: it states {n_stated} bytes of samples, {n_there} are there; copy it again")


def refuse_incomplete(file: BinaryIO, sound: soundfile.SoundFile, n_read: int) -> None:
    """Raise Unusable if decoding ended before the stated length or before the end of the file."""
    if n_read == 0:
        raise Unusable("it holds no samples: remove it")
    n_bytes_read = file.tell()
    if sound.format == "MP3" and not _mp3_states_length(file):
        # libsndfile then guesses the length from the first frame's bit rate, and stops there
        if os.fstat(file.fileno()).st_size - n_bytes_read > MAX_MP3_TAIL_BYTES:
            raise Unusable("this MP3 file does not state its length, and decoding stops early: convert it to FLAC")
    elif n_read < sound.frames - (2 * MP3_FRAME_SAMPLES if sound.format == "MP3" else 0):
        raise Unusable(f"truncated: {n_read} of {sound.frames} samples are there; copy or download it again")


def _mp3_states_length(file: BinaryIO) -> bool:
    """Whether the first MPEG frame, after the ID3v2 tag, is a Xing or Info tag, which states the number of frames."""
    file.seek(0)
    head = file.read(10)
    if head[:3] == b"ID3":
        n_tag_bytes = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False))
        file.seek(10 + n_tag_bytes)
        head = b""
    first_frame = head + file.read(200)
    return b"Xing" in first_frame or b"Info" in first_frame


def _reply(request: dict) -> tuple[dict, list[np.ndarray]]:
    try:
        blocks, rate_hz = decode(request["path"], request["sample_rate_hz"])
    except Unusable as error:
        return {"error": str(error)}, []
    except Exception as error:  # whatever the libraries raise, the parent has to hear of it
        reason = " ".join(getattr(error, "error_string", str(error)).split())
        return {"error": f"not readable as audio ({reason}); expected an undamaged wav, flac, ogg or mp3 file"}, []
    return {"sample_rate_hz": rate_hz, "n_samples": sum(block.size for block in blocks)}, blocks


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for line in sys.stdin.buffer:
        header, blocks = _reply(json.loads(line))
        sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
        for block in blocks:
            sys.stdout.buffer.write(block.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
