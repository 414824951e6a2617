"""Audio file input and output: decoding in a child process, 16-bit WAV, trimming of silence.

Unless a docstring states otherwise, audio in this package is float32, mono, of shape (n_samples,), and full scale is
-1 to 1.
"""

import json
import os
import subprocess
import sys
import threading
import wave
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from rnnaudio.atomic import replacing
from rnnaudio.audio.arrays import Audio
from rnnaudio.errors import RnnaudioError

Request: TypeAlias = dict[str, str | int | bool | list[float] | None]
Header: TypeAlias = dict  # of a reply, see `rnnaudio.decoder.__main__`

INT16_SCALE = 32_768
LOUDEST_UNNOTED = 10.0 ** (1.0 / 20.0)  # 1 dB over full scale, by which lossy formats and resampling overshoot
LEAST_OFFSET = 10.0 ** (-50.0 / 20.0)
DECODER = (sys.executable, "-P", "-m", "rnnaudio.decoder")  # -P: files in the current folder shadow no module
PACKAGE_FOLDER = Path(__file__).parents[2]
TIME_LIMIT_S = 60.0
BYTES_PER_EXTRA_SECOND = 250_000  # the time limit grows by a second for each of these blocks of the file


class Decoded(NamedTuple):
    """Audio decoded from a file, with notes on what was corrected and what is missing.

    audio
        (n_samples,) float32, mono, in [-1, 1].
    sample_rate_hz
        sample rate of ``audio`` in Hz.
    notes
        one text for each fault or correction, such as a wrong length in the header, channels in opposite phase,
        damaged packets that were left out, or samples beyond -1 to 1.
    truncated
        text that says how much of a truncated file is present; empty if nothing is known to be missing.
    is_part
        True if only the requested part of the file was read.
    """

    audio: Audio
    sample_rate_hz: int
    notes: tuple[str, ...]
    truncated: str
    is_part: bool = False


class Decoder:
    """Audio file reader that runs the decoders in a child process, one child for many files.

    A damaged file can hang or crash a decoder; the child is then killed, `read` and `decode` raise RnnaudioError, and
    the next call starts a new child. Use the Decoder as a context manager:

        with Decoder() as decoder:
            audio, rate_hz = decoder.read(path, sample_rate_hz=16000)

    time_limit_s: seconds allowed for each file, in addition to one second per 250 kB of its size.
    """

    def __init__(self, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._time_limit_s = time_limit_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process; the decoder may be used again afterwards."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def read(self, path: Path, sample_rate_hz: int | None = None) -> tuple[Audio, int]:
        """Read one file; arguments, results and errors are those of `read_audio`."""
        decoded = self.decode(path, sample_rate_hz)
        if decoded.truncated:
            raise RnnaudioError(f"{path}: truncated: {decoded.truncated}; copy or download it again")
        return decoded.audio, decoded.sample_rate_hz

    def decode(
        self, path: Path, sample_rate_hz: int | None = None, part: tuple[float, float] | None = None
    ) -> Decoded:
        """Decode one file; of a truncated file, decode as much as there is. Returns :class:`Decoded`.

        part: (start, stop) in seconds; None: the whole file. If the format allows no seeking, RnnaudioError is raised
        for a file longer than an hour, and any other file is read as a whole (``is_part`` is then False). If only the
        part is read, the faults noted and the corrections made are those of the part.

        Other arguments and errors are those of `read_audio`, except that a truncated file raises no error unless none
        of it can be decoded.
        """
        path = Path(path).absolute()
        _check_rate(sample_rate_hz)
        time_limit_s = self._time_limit_s + _n_bytes(path) / BYTES_PER_EXTRA_SECOND
        try:
            header, audio = self._ask(
                {"path": str(path), "sample_rate_hz": sample_rate_hz, "part": list(part) if part else None},
                time_limit_s,
            )
        except (OSError, ValueError, EOFError) as error:  # broken pipe, incomplete header, too few samples
            self.close()
            raise RnnaudioError(
                f"{path}: the audio decoder crashed or took longer than {time_limit_s:.0f} s; the file "
                "is probably damaged: remove it or convert it to FLAC"
            ) from error
        except BaseException:  # after Ctrl-C, the unread rest of this reply would be taken for the next reply
            self.close()
            raise
        if "error" in header:
            raise RnnaudioError(f"{path}: {header['error']}")
        audio, note = on_scale(check_audio(audio, str(path)))
        notes = (*header["notes"], *filter(None, [note]))
        return Decoded(audio, header["sample_rate_hz"], notes, header["truncated"], header["is_part"])

    def stated_seconds(self, path: Path) -> float | None:
        """Return the length of a file in seconds, as the file states it or as FFmpeg estimates it from the bit rate.

        None if the length is neither stated nor estimated, or if the file cannot be read.
        """
        path = Path(path).absolute()
        try:
            header, _ = self._ask({"path": str(path), "only_length": True}, self._time_limit_s)
        except (OSError, ValueError, EOFError):
            self.close()
            return None
        except BaseException:  # as in decode
            self.close()
            raise
        return header.get("seconds")

    def _ask(self, request: Request, time_limit_s: float) -> tuple[Header, Audio]:
        if self._process is None:
            self._process = subprocess.Popen(
                DECODER,
                env=child_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        assert self._process.stdin and self._process.stdout
        timer = threading.Timer(time_limit_s, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            header = json.loads(self._process.stdout.readline())
            return header, _read_samples(self._process.stdout, header.get("n_samples", 0))
        finally:
            timer.cancel()


def child_environment() -> dict[str, str]:
    """Return a copy of this process's environment with the folder that contains the package first in PYTHONPATH.

    A child process can then run modules of the package even if the package is not on its module search path.
    """
    paths = [str(PACKAGE_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def read_audio(path: Path, sample_rate_hz: int | None = None) -> tuple[Audio, int]:
    """Read an audio file, or the sound of a video, of any format that libsndfile or FFmpeg decodes, as mono.

    Returns ((n_samples,) float32 in [-1, 1], sample rate in Hz). Channels are averaged; if they would cancel because
    their phases are opposite, the loudest channel is taken instead. Audio that exceeds full scale, as lossy formats,
    resampling and float files may, is divided by its peak. The audio is resampled to `sample_rate_hz` (soxr, high
    quality); None: it keeps the rate of the file. To read many files, use one `Decoder`, which decodes all of them in
    one child process.

    Raises RnnaudioError, naming the file, if it is missing, a folder, empty, without samples, not audio, truncated,
    damaged, longer than 12 hours or not readable, if it has NaN or infinite samples, or if decoding exceeds the time
    limit (60 s and a second per 250 kB); also if `sample_rate_hz` is not a positive whole number. Truncation goes
    undetected in files that do not state their length (MP3 without a Xing or Info tag, WAV written to a pipe).
    """
    with Decoder() as decoder:
        return decoder.read(path, sample_rate_hz)


def write_wav(path: Path, audio: Audio, sample_rate_hz: int) -> int:
    """Write (n_samples,) audio on the scale -1 to 1 as 16-bit PCM; returns the number of samples beyond full scale.

    Samples beyond full scale are clipped. Raises RnnaudioError if the sample rate is not a positive whole number, if
    the audio is not one-dimensional, is empty or has NaN or infinite samples, or if the file cannot be written; an
    existing file at `path` is then left unchanged.
    """
    _check_rate(sample_rate_hz)
    audio = check_audio(audio, f"audio for {path}")
    with replacing(path) as temporary, temporary.open("wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(sample_rate_hz)
        sound.writeframes(to_int16(audio).astype("<i2").tobytes())
    return int(np.count_nonzero(np.abs(audio) > 1.0))


def trim_silence(audio: Audio, sample_rate_hz: int, threshold_db: float = -60.0) -> Audio:
    """Cut leading and trailing silence from (n_samples,) audio; returns a view, empty if all samples are zero.

    A frame of 20 ms is silent if the level of its peak relative to the peak of the whole audio is below
    `threshold_db` (negative, in dB).
    """
    peak = np.abs(audio).max(initial=0.0)
    if peak == 0.0:
        return audio[:0]
    n_frame = max(1, sample_rate_hz // 50)
    frame_starts = np.arange(0, audio.size, n_frame)
    frame_peaks = np.maximum.reduceat(np.abs(audio), frame_starts)
    loud = np.flatnonzero(frame_peaks >= peak * 10.0 ** (threshold_db / 20.0))
    return audio[loud[0] * n_frame : (loud[-1] + 1) * n_frame]


def resample(audio: Audio, from_rate_hz: int, to_rate_hz: int) -> Audio:
    """Resample (n_samples,) audio with soxr (high quality); returns float32.

    RnnaudioError for a sample rate that is not a positive whole number of Hz.
    """
    _check_rate(from_rate_hz)
    _check_rate(to_rate_hz)
    return np.asarray(soxr.resample(audio, from_rate_hz, to_rate_hz), np.float32)


def to_int16(audio: Audio) -> NDArray[np.int16]:
    """Multiply audio on the scale -1 to 1 by 32768 and round it to int16; values out of range are clipped."""
    return np.clip(np.rint(audio * np.float32(INT16_SCALE)), -INT16_SCALE, INT16_SCALE - 1).astype(np.int16)


def check_audio(audio: Audio, name: str) -> Audio:
    """Return `audio` as float32; RnnaudioError if it is not one-dimensional, is empty, or has NaN or infinite samples.

    name: description of the audio for the error message.
    """
    audio = np.asarray(audio, np.float32)
    if audio.ndim != 1 or audio.size == 0:
        raise RnnaudioError(f"{name}: got an array of shape {audio.shape}, expected mono samples, shape (n_samples,)")
    n_bad = audio.size - np.count_nonzero(np.isfinite(audio))
    if n_bad:
        raise RnnaudioError(f"{name}: {n_bad} of {audio.size} samples are NaN or infinite; repair or remove it")
    return audio


def on_scale(audio: Audio) -> tuple[Audio, str]:
    """Divide audio that exceeds full scale by its peak, and leave other audio unchanged; returns (audio, note).

    The note names the peak if it is more than 1 dB above full scale; otherwise it is "".
    """
    peak = float(np.abs(audio).max(initial=0.0))
    if peak <= 1.0:
        return audio, ""
    note = f"samples reach {peak:.6g}, expected -1 to 1: divided by that" if peak > LOUDEST_UNNOTED else ""
    return audio / np.float32(peak), note


def without_offset(audio: Audio) -> tuple[Audio, str]:
    """Subtract the mean of (n_samples,) audio if its magnitude exceeds -50 dBFS (.0032); returns (audio, note).

    The note is a sentence with the mean that was subtracted, or "" if the audio is unchanged.
    """
    offset = float(audio.mean(dtype=np.float64)) if audio.size else 0.0
    if abs(offset) <= LEAST_OFFSET:
        return audio, ""
    return audio - np.float32(offset), f"a constant offset (DC) of {offset:.3f} was subtracted"


def _check_rate(sample_rate_hz: int | None) -> None:
    if sample_rate_hz is not None and not (isinstance(sample_rate_hz, int | np.integer) and sample_rate_hz > 0):
        raise RnnaudioError(f"sample rate: got {sample_rate_hz!r}, expected a whole number of Hz such as 16000")


def _n_bytes(path: Path) -> int:
    """Size in bytes of a readable, non-empty regular file; RnnaudioError for anything else."""
    if not path.exists():
        raise RnnaudioError(f"{path}: no such file; check the name")
    if not path.is_file():  # opening a named pipe would block for ever
        raise RnnaudioError(f"{path}: a folder or device, expected an audio file")
    try:
        with path.open("rb") as file:
            n_bytes = file.seek(0, 2)
    except OSError as error:
        raise RnnaudioError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    if n_bytes == 0:
        raise RnnaudioError(f"{path}: the file is empty; remove it or copy it again")
    return n_bytes


def _read_samples(stream: IO[bytes], n_samples: int) -> Audio:
    audio = bytearray(4 * n_samples)
    if stream.readinto(audio) != len(audio):  # type: ignore[attr-defined]
        raise EOFError
    return np.frombuffer(audio, np.float32)
