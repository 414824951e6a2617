"""The child process of `audio.Decoder`: run as a script, it decodes one file for each line it reads.

Decoding runs in a separate process because libsndfile has hung or crashed on damaged files of a few hundred bytes,
and a process, unlike a thread, can be killed. A request is a line of JSON, {"path": ..., "sample_rate_hz": int or
null}. The reply is a line of JSON, either {"error": text}, or {"sample_rate_hz": int, "n_samples": int} followed by
the samples as raw float32.
"""

import json
import math
import os
import signal
import struct
import sys
from typing import BinaryIO, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Block: TypeAlias = NDArray[np.float32]  # (n_samples,); defined here, as this script imports nothing from the package
Message: TypeAlias = dict[str, str | int | None]  # a request, or the header of a reply

MAX_HOURS = 12.0
BLOCK_SAMPLES = 2**18
OGG_PAGE_BYTES = 65_307  # the longest possible page
MP3_FRAME_SAMPLES = 1152
MAX_MP3_TAIL_BYTES = 2**15  # tags after the audio
SPHERE_HEADER_BYTES = 1024


class Unusable(Exception):
    """Error for a file that cannot be used; the message gives the reason and the remedy."""


def decode(path: str, sample_rate_hz: int | None) -> tuple[list[Block], int]:
    """Decode a file to mono and resample it block by block.

    Returns (blocks of float32 samples, sample rate in Hz); channels are averaged, and sample_rate_hz None keeps the
    rate of the file. Raises Unusable if the file is truncated, empty or longer than 12 hours.
    """
    with open(path, "rb") as file:
        refuse_cut_off(file)
        file.seek(0)
        with soundfile.SoundFile(file) as sound:
            blocks, n_read, rate_hz = _resampled(sound, sample_rate_hz)
            refuse_incomplete(file, sound, n_read)
    return blocks, rate_hz


def _resampled(sound: soundfile.SoundFile, sample_rate_hz: int | None) -> tuple[list[Block], int, int]:
    """Read and resample; returns (blocks of mono audio, number of samples before resampling, sample rate in Hz)."""
    rate_hz = sample_rate_hz or sound.samplerate
    resampler = soxr.ResampleStream(sound.samplerate, rate_hz, 1, dtype="float32")
    block = np.empty((max(1, BLOCK_SAMPLES // sound.channels), sound.channels), np.float32)
    blocks, n_read = [], 0
    # Not `read`, which stops at the stated length: for an MP3 file without a length tag that is a guess.
    while n_new := sound.buffer_read_into(block, "float32"):
        n_read += n_new
        if n_read > MAX_HOURS * 3600 * sound.samplerate:
            raise Unusable(f"longer than {MAX_HOURS:g} hours: cut it into several files")
        blocks.append(resampler.resample_chunk(block[:n_new].mean(axis=1)))
    blocks.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    return blocks, n_read, rate_hz


def refuse_cut_off(file: BinaryIO) -> None:
    """Raise Unusable if a WAV, Ogg or SPHERE file ends early; libsndfile decodes what is left without a warning."""
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        _refuse_short_wav(file)
    elif head[:4] == b"OggS":
        _refuse_unfinished_ogg(file)
    elif head[:7] == b"NIST_1A":
        _refuse_odd_sphere(file)


def _refuse_short_wav(file: BinaryIO) -> None:
    """Raise Unusable if the data chunk states more bytes than follow it (in RF64 files chunk ds64 has the length)."""
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
                return  # ffmpeg or SoX wrote to a pipe and could not state the length
            if n_stated > n_file_bytes - position:
                raise Unusable(
                    f"truncated: its header states {n_stated} bytes of samples, {n_file_bytes - position} "
                    "are present; copy or download it again"
                )
            return
        file.seek(position + n_bytes + n_bytes % 2)


def _refuse_unfinished_ogg(file: BinaryIO) -> None:
    """Raise Unusable unless the last page is complete and has the 'end of stream' flag (RFC 3533, section 6).

    An Ogg stream does not state its length.
    """
    n_file_bytes = os.fstat(file.fileno()).st_size
    file.seek(max(0, n_file_bytes - OGG_PAGE_BYTES))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    is_whole = len(page) >= 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
    if not (page.startswith(b"OggS") and is_whole and page[5] & 4):
        raise Unusable("truncated: its last Ogg page is not the end of the stream; copy or download it again")


def _refuse_odd_sphere(file: BinaryIO) -> None:
    """Raise Unusable if the length in a NIST SPHERE header, which libsndfile ignores, differs from the file's.

    Also refuses a damaged header, and files compressed with shorten. The header is text: ``NIST_1A``, its own length,
    lines ``name -type value``, ``end_head``, and padding.
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
    n_stated, n_found = math.prod(sizes), max(0, os.fstat(file.fileno()).st_size - SPHERE_HEADER_BYTES)
    if n_stated != n_found:
        fault = "truncated" if n_stated > n_found else "its header is wrong"
        raise Unusable(f"{fault}: it states {n_stated} bytes of samples, {n_found} are present; copy it again")


def refuse_incomplete(file: BinaryIO, sound: soundfile.SoundFile, n_read: int) -> None:
    """Raise Unusable if decoding ended before the stated length or before the end of the file."""
    if n_read == 0:
        raise Unusable("the file holds no samples: remove it")
    n_bytes_read = file.tell()
    if sound.format == "MP3" and not _mp3_states_length(file):
        # In this case libsndfile guesses the length from the bit rate of the first frame and stops there.
        if os.fstat(file.fileno()).st_size - n_bytes_read > MAX_MP3_TAIL_BYTES:
            raise Unusable("this MP3 file does not state its length and decoding stopped early: convert it to FLAC")
    elif n_read < sound.frames - (2 * MP3_FRAME_SAMPLES if sound.format == "MP3" else 0):
        raise Unusable(f"truncated: {n_read} of {sound.frames} samples are present; copy or download it again")


def _mp3_states_length(file: BinaryIO) -> bool:
    """True if the first MPEG frame (after any ID3v2 tag) holds a Xing or Info tag, which states the frame count."""
    file.seek(0)
    head = file.read(10)
    if head[:3] == b"ID3":
        n_tag_bytes = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False))
        file.seek(10 + n_tag_bytes)
        head = b""
    first_frame = head + file.read(200)
    return b"Xing" in first_frame or b"Info" in first_frame


def _reply(path: str, sample_rate_hz: int | None) -> tuple[Message, list[Block]]:
    try:
        blocks, rate_hz = decode(path, sample_rate_hz)
    except Unusable as error:
        return {"error": str(error)}, []
    except Exception as error:  # the libraries raise errors of many types; all of them are reported to the parent
        reason = " ".join(getattr(error, "error_string", str(error)).split())
        return {"error": f"not readable as audio ({reason}); expected an undamaged wav, flac, ogg or mp3 file"}, []
    return {"sample_rate_hz": rate_hz, "n_samples": sum(block.size for block in blocks)}, blocks


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    for line in sys.stdin.buffer:
        header, blocks = _reply(**json.loads(line))
        sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
        for block in blocks:
            sys.stdout.buffer.write(block.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
