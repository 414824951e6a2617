"""Decoding of files with libsndfile, block by block: uncompressed formats, FLAC, NIST SPHERE."""

import math
from collections.abc import Iterator

import numpy as np
import soundfile
from soundfile import LibsndfileError

from rnnaudio.decoder import flac
from rnnaudio.decoder.mixing import Block

__all__ = ["LibsndfileError", "Source"]

BLOCK_SAMPLES = 2**18


class Source:
    """A file opened with libsndfile; use it as a context manager. LibsndfileError if the format is not supported.

    ``stated_seconds`` is the length, in seconds, that the header states.
    """

    def __init__(self, path: str) -> None:
        # Opened by Python, for libsndfile refuses names that are not valid UTF-8.
        self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        self._stated = flac.stated_by(self._file)
        try:
            self._sound = soundfile.SoundFile(self._file)
        except BaseException:
            self._file.close()
            raise
        self.stated_seconds = self._sound.frames / self._sound.samplerate

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._sound.close()
        self._file.close()

    @property
    def can_seek(self) -> bool:
        return bool(self._sound.seekable())

    def blocks(self, start: float = 0.0, stop: float = math.inf) -> Iterator[Block]:
        """Iterate over the decoded blocks from ``start`` to ``stop``, in seconds.

        Raises LibsndfileError where the file is damaged; flac.Differs, after the last block, if a whole FLAC file was
        read and its samples differ from the stated MD5 sum.
        """
        if self._stated and start == 0.0 and math.isinf(stop):
            yield from self._compared(flac.Sum(self._stated))
            return
        rate = self._sound.samplerate
        if start > 0.0:
            self._sound.seek(round(start * rate))
        n_left = math.inf if math.isinf(stop) else round(stop * rate) - round(start * rate)
        n_samples = max(1, BLOCK_SAMPLES // self._sound.channels)
        while n_left > 0:
            block = np.empty((int(min(n_samples, n_left)), self._sound.channels), np.float32)
            n_new = self._sound.buffer_read_into(block, "float32")
            if not n_new:
                return
            n_left -= n_new
            yield Block(block[:n_new], rate)

    def _compared(self, md5: flac.Sum) -> Iterator[Block]:
        """Iterate over all blocks, read as integers to update ``md5``; raises flac.Differs at the end if it differs.

        The conversion to float32 is exact for up to 24 bits.
        """
        whole = np.empty((max(1, BLOCK_SAMPLES // self._sound.channels), self._sound.channels), np.int32)
        while n_new := self._sound.buffer_read_into(whole, "int32"):
            md5.add(whole[:n_new])
            yield Block(np.multiply(whole[:n_new], np.float32(2.0**-31), dtype=np.float32), self._sound.samplerate)
        if md5.differs():
            raise flac.Differs
