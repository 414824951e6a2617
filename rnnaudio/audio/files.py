"""Audio file input and output: decoding in a child process, 16-bit WAV, trimming of silence.

Unless a docstring states otherwise, audio in this package is float32, mono, of shape (n_samples,), and full scale is
-1 to 1.
"""

import json
import subprocess
import sys
import threading
import wave
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from rnnaudio.atomic import replacing
from rnnaudio.audio.arrays import Audio
from rnnaudio.errors import RnnaudioError

Request: TypeAlias = dict[str, str | int | None]
Header: TypeAlias = dict  # first line of a reply: {"error": text}, or {"sample_rate_hz": int, "n_samples": int}

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
INT16_SCALE = 32_768
MAX_PEAK = 4.0  # 12 dB over full scale; a float file with a higher peak was not scaled to -1 .. 1
DECODER_SCRIPT = Path(__file__).with_name("decoder_process.py")
TIME_LIMIT_S = 60.0
BYTES_PER_EXTRA_SECOND = 250_000  # the time limit grows by a second for each of these blocks of the file


class Decoder:
    """Audio file reader that runs libsndfile in a child process, which is reused from file to file.

    A damaged file can hang or crash libsndfile; the child is then killed, `read` raises RnnaudioError, and the next
    call starts a new child. Use it as a context manager:

        with Decoder() as decoder:
            audio, rate_hz = decoder.read(path, sample_rate_hz=16000)
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
        path = Path(path).absolute()
        _check_rate(sample_rate_hz)
        time_limit_s = self._time_limit_s + _n_bytes(path) / BYTES_PER_EXTRA_SECOND
        try:
            header, audio = self._ask({"path": str(path), "sample_rate_hz": sample_rate_hz}, time_limit_s)
        except (OSError, ValueError, EOFError) as error:  # broken pipe, incomplete header, too few samples
            self.close()
            raise RnnaudioError(
                f"{path}: the audio decoder crashed or took longer than {time_limit_s:.0f} s; the file "
                "is probably damaged: remove it or convert it to FLAC"
            ) from error
        except BaseException:  # after Ctrl-C, the unread rest of this reply would be taken for that of the next file
            self.close()
            raise
        if "error" in header:
            raise RnnaudioError(f"{path}: {header['error']}")
        return _on_scale(audio, path), header["sample_rate_hz"]

    def _ask(self, request: Request, time_limit_s: float) -> tuple[Header, Audio]:
        if self._process is None:
            # -P: modules in the folder of the script must not shadow the standard library
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(DECODER_SCRIPT)],
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


def read_audio(path: Path, sample_rate_hz: int | None = None) -> tuple[Audio, int]:
    """Read an audio file (wav, flac, ogg, mp3 and other formats of libsndfile) as mono.

    Returns ((n_samples,) float32 in [-1, 1], sample rate in Hz); channels are averaged. If `sample_rate_hz` is given,
    the audio is resampled to that rate (soxr, high quality). Samples beyond full scale, which lossy formats and
    resampling can produce, are clipped. To read many files use one `Decoder`, which reuses its child process.

    Raises RnnaudioError, naming the file, if it is missing, a folder, empty, without samples, not audio, truncated or
    not readable, if it has samples that are NaN, infinite or beyond +-4, or if decoding exceeds the time limit (60 s
    and a second per 250 kB). Truncation goes undetected in files that do not state their length (MP3 without a Xing or
    Info tag, WAV written to a pipe).
    """
    with Decoder() as decoder:
        return decoder.read(path, sample_rate_hz)


def write_wav(path: Path, audio: Audio, sample_rate_hz: int) -> int:
    """Write (n_samples,) audio on the scale -1 to 1 as 16-bit PCM; returns the number of samples beyond full scale.

    Those samples are clipped. Raises RnnaudioError if the audio is not one-dimensional, is empty or has NaN or
    infinite samples, or if the file cannot be written; an existing file at `path` is then left unchanged.
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
    """Resample (n_samples,) audio with soxr (high quality); returns float32."""
    _check_rate(from_rate_hz)
    _check_rate(to_rate_hz)
    return np.asarray(soxr.resample(audio, from_rate_hz, to_rate_hz), np.float32)


def to_int16(audio: Audio) -> NDArray[np.int16]:
    """Round audio on the scale -1 to 1, times 32768, to int16; values out of range are clipped, not wrapped."""
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


def _on_scale(audio: Audio, path: Path) -> Audio:
    audio = check_audio(audio, str(path))
    peak = np.abs(audio).max()
    if peak > MAX_PEAK:
        raise RnnaudioError(f"{path}: samples reach {peak:g}, expected -1 to 1: scale the audio to that range")
    return np.clip(audio, -1.0, 1.0, out=audio)


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
