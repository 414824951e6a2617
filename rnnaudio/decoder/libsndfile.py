"""Blocks of a file as libsndfile decodes them: uncompressed formats, FLAC, NIST SPHERE."""

from collections.abc import Iterator

import numpy as np
import soundfile
from soundfile import LibsndfileError

from rnnaudio.decoder.mixing import Block

__all__ = ["LibsndfileError", "Source"]

BLOCK_SAMPLES = 2**18


class Source:
    """A file opened with libsndfile; use it as a context manager. LibsndfileError if the format is not supported.

    ``stated_seconds`` is the length that its header states.
    """

    def __init__(self, path: str) -> None:
        # Opened by Python, for libsndfile refuses names that are not valid UTF-8.
        self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
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

    def blocks(self) -> Iterator[Block]:
        """Iterate over the decoded blocks of the file; LibsndfileError where it is damaged."""
        n_samples = max(1, BLOCK_SAMPLES // self._sound.channels)
        while True:
            block = np.empty((n_samples, self._sound.channels), np.float32)
            n_new = self._sound.buffer_read_into(block, "float32")
            if not n_new:
                return
            yield Block(block[:n_new], self._sound.samplerate)
