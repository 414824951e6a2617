"""Sound files of kinds that people have, made by PyAV and libsndfile: what each holds, and how it is read."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile
import soxr

RATE_HZ = 22_050
SECONDS = 6.0


def tune(seconds: float = SECONDS, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """A rising sine in a little noise, (n_samples,), peak about .5."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(seed).standard_normal(t.size)
    return (0.4 * np.sin(2 * np.pi * (200 + 20 * t) * t) + 0.02 * noise).astype(np.float32)


def music(seed: int, seconds: float = 6.0, rate_hz: int = 8000) -> np.ndarray:
    """Notes of random pitch and length, mixed with a little noise."""
    rng = np.random.default_rng(seed)
    audio = 0.003 * np.random.default_rng(1).standard_normal(round(seconds * rate_hz))
    start = 0.0
    while start < seconds - 0.3:
        begin = round(start * rate_hz)
        n = min(round(rng.uniform(0.1, 0.4) * rate_hz), audio.size - begin)
        t = np.arange(n) / rate_hz
        audio[begin : begin + n] += 0.3 * np.exp(-6 * t) * np.sin(2 * np.pi * rng.uniform(100, 2000) * t)
        start += rng.uniform(0.05, 0.3)
    return audio.astype(np.float32)


def encode(
    file: Any, audio: np.ndarray, codec: str, container: str, *, rate_hz: int = RATE_HZ, **options: Any
) -> None:
    """Write mono audio by FFmpeg's encoder. ``bit_rate`` is of the stream; other options are the container's."""
    bit_rate = options.pop("bit_rate", None)
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono")
        if bit_rate:
            stream.bit_rate = bit_rate
        samples = soxr.resample(audio, RATE_HZ, rate_hz).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.rate, frame.pts = rate_hz, 0
        for packets in (stream.encode(frame), stream.encode(None)):
            for packet in packets:
                output.mux(packet)


def by_ffmpeg(codec: str, container: str, **options: Any) -> Callable[[Path], None]:
    return lambda path: encode(str(path), tune(), codec, container, **options)


def by_libsndfile(**options: Any) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, tune(), RATE_HZ, **options)


class _Pipe:
    """A file that cannot be rewound, as standard output of FFmpeg."""

    def __init__(self, file: io.BufferedWriter):
        self.write = file.write


def streamed_flac(path: Path) -> None:
    with path.open("wb") as file:
        encode(_Pipe(file), tune(), "flac", "flac")


def chained(codec: str, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        encode(str(path), tune(), codec, "ogg", **options)
        path.write_bytes(2 * path.read_bytes())

    return write


def chained_vorbis(path: Path) -> None:
    soundfile.write(path, tune(), RATE_HZ, format="OGG", subtype="VORBIS")
    path.write_bytes(2 * path.read_bytes())


def wav_stating(n_bytes: Callable[[int], int]) -> Callable[[Path], None]:
    """A WAV whose header states another size of its samples."""

    def write(path: Path) -> None:
        soundfile.write(path, tune(), RATE_HZ, format="WAV", subtype="PCM_16")
        content = bytearray(path.read_bytes())
        place = content.index(b"data") + 4
        (n_true,) = struct.unpack("<I", content[place : place + 4])
        content[place : place + 4] = struct.pack("<I", n_bytes(n_true))
        path.write_bytes(content)

    return write


def stereo(left: float, right: float) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, np.outer(tune(), [left, right]), RATE_HZ, subtype="PCM_24")


class Kind(NamedTuple):
    """A file: how it is written, the length it holds, how exactly, and a word of the note about it, if any."""

    write: Callable[[Path], None]
    seconds: float = SECONDS
    tolerance: float = 0.0  # s: lossy codecs append up to a frame or two
    note: str = ""


FRAME = 0.08  # s, two frames of MP3 or AAC at 22.05 kHz
KINDS = {
    "a.aif": Kind(by_libsndfile(format="AIFF")),
    "a.aiff": Kind(by_ffmpeg("pcm_s16be", "aiff")),
    "a.au": Kind(by_libsndfile(format="AU", subtype="PCM_16")),
    "a.caf": Kind(by_libsndfile(format="CAF", subtype="PCM_16")),
    "a.w64": Kind(by_libsndfile(format="W64", subtype="PCM_16")),
    "a.wave": Kind(by_libsndfile(format="WAV", subtype="FLOAT")),
    "a.flac": Kind(by_libsndfile(format="FLAC")),
    "a.ogg": Kind(by_libsndfile(format="OGG", subtype="VORBIS")),
    "a.oga": Kind(by_ffmpeg("flac", "ogg")),
    "a.opus": Kind(by_ffmpeg("libopus", "ogg", rate_hz=48_000)),
    "a.m4a": Kind(by_ffmpeg("aac", "ipod"), tolerance=FRAME),
    "a.aac": Kind(by_ffmpeg("aac", "adts"), tolerance=2 * FRAME),
    "a.wma": Kind(by_ffmpeg("wmav2", "asf", bit_rate=64_000), tolerance=FRAME),
    "a.wv": Kind(by_ffmpeg("wavpack", "wv")),
    "a.mp3": Kind(by_ffmpeg("libmp3lame", "mp3")),
    "sound.mp4": Kind(by_ffmpeg("aac", "mp4"), tolerance=FRAME),
    "sound.mkv": Kind(by_ffmpeg("aac", "matroska"), tolerance=FRAME),
    "no-xing.mp3": Kind(by_ffmpeg("libmp3lame", "mp3", write_xing="0"), tolerance=FRAME),
    "mp3-inside.wav": Kind(by_ffmpeg("libmp3lame", "wav"), tolerance=FRAME),
    "streamed.flac": Kind(streamed_flac, note="a wrong MD5 sum"),
    "chained.ogg": Kind(chained_vorbis, 2 * SECONDS, note="2 chained streams"),
    "chained.opus": Kind(chained("libopus", rate_hz=48_000), 2 * SECONDS, note="2 chained streams"),
    "chained-flac.ogg": Kind(chained("flac"), 2 * SECONDS, note="2 chained streams"),
    "wrong-name.wav": Kind(by_ffmpeg("libmp3lame", "mp3")),
    "no name": Kind(by_libsndfile(format="FLAC")),
    "states-0.wav": Kind(wav_stating(lambda n: 0), note="states no length"),
    "states-2-31.wav": Kind(wav_stating(lambda n: 0x80000000), note="states no length"),
    "states-2-32.wav": Kind(wav_stating(lambda n: 0xFFFFFFFE), note="states no length"),
    "states-16-more.wav": Kind(wav_stating(lambda n: n + 16), note="stated bytes"),
    "opposite.wav": Kind(stereo(0.8, -0.8), note="channels cancel"),
    "nearly-opposite.wav": Kind(stereo(0.8 * 1.02, -0.8), note="channels cancel"),
}


def write(path: Path, audio: np.ndarray, rate_hz: int = 8000, **options: Any) -> Path:
    """Write a sound file, and the folders it is in; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate_hz, **options)
    return path
