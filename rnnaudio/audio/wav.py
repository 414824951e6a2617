"""Writing of 16-bit mono PCM WAV files part by part, while their audio is being generated."""

import io
import wave
from typing import BinaryIO

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.files import to_int16

HEADER_BYTES = 44
MOST_WAV_SAMPLES = (2**32 - 1 - HEADER_BYTES) // 2  # a WAV states its size in 32 bits


def wav_header(n_samples: int, sample_rate_hz: int) -> bytes:
    """Return the header, 44 bytes, of a WAV file with ``n_samples`` samples of 16-bit mono PCM."""
    header = io.BytesIO()
    with wave.open(header, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.setnframes(n_samples)
        file.writeframesraw(b"")
        return header.getvalue()


def as_pcm(audio: Audio) -> bytes:
    """Convert (n,) samples, full scale -1 to 1, to 16-bit little-endian PCM; larger samples are clipped."""
    return to_int16(audio).astype("<i2").tobytes()


class WavWriter:
    """Writer of a WAV file, part by part; the length in its header is right only after :meth:`end`.

    file: an empty, seekable binary file. The attribute ``n_samples`` counts the samples written.
    """

    def __init__(self, file: BinaryIO, sample_rate_hz: int):
        self._file, self._rate, self.n_samples = file, sample_rate_hz, 0
        file.write(wav_header(0, sample_rate_hz))

    def write(self, audio: Audio) -> None:
        """Append (n,) samples, full scale -1 to 1; larger samples are clipped."""
        self._file.write(as_pcm(audio))
        self.n_samples += len(audio)

    def end(self) -> None:
        """Complete the header; the file stays open."""
        self._file.seek(0)
        self._file.write(wav_header(self.n_samples, self._rate))
