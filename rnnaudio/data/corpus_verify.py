"""Comparison of samples with their SHA-256 sums before they are used.

The Fletcher-32 sums that HDF5 checks whenever it reads belong to single chunks: they cannot notice that chunks are
swapped, or that the address of one is wrong and leads to another.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from rnnaudio.corpus_file.layout import as_bytes, blocks, text_of
from rnnaudio.errors import RnnaudioError

AT_ONCE_BYTES = 1 << 29  # half a second to two

_verified: set[tuple[int, ...]] = set()  # pieces compared by this process, by the state of their file


class Verification:
    """Comparison of the pieces of an open corpus with their sums, each once in this process.

    ``require`` compares a piece that has not been compared yet, and is called before its samples are read. Within
    :meth:`in_background`, a thread compares all pieces, and ``require`` only raises what it found.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._path = path
        about = os.fstat(file.id.get_vfd_handle())
        # The time of the last change of the inode cannot be set, unlike that of the contents.
        self._state = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: RnnaudioError | None = None

    def require(self, piece: h5py.Dataset) -> None:
        """RnnaudioError, which names the piece and, if there is one, the sample that is not finite."""
        key = self._key(piece)
        if key in _verified:
            return
        if self._thread is not None:
            self.raise_error()
            return
        with self._lock:  # two threads that read one piece compare it once
            if key not in _verified:
                compare(self._path, piece)
                _verified.add(key)

    def raise_error(self) -> None:
        """Raise the error that the thread has found, if any."""
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Wait until the thread has compared all pieces, and raise the error that it found."""
        if self._thread is not None:
            self._thread.join()
        self.raise_error()

    @contextmanager
    def in_background(self, pieces: Sequence[h5py.Dataset]) -> Iterator[None]:
        """Compare the pieces in a thread, as long as the block runs."""
        stop = threading.Event()

        def run() -> None:
            try:
                for piece in pieces:
                    compare(self._path, piece, stop.is_set)
                    if stop.is_set():
                        return
                    _verified.add(self._key(piece))
            except RnnaudioError as error:
                self._error = error

        self._thread = threading.Thread(target=run, name="rnnaudio-verify")
        self._thread.start()
        try:
            yield
        finally:
            stop.set()
            self._thread.join()
            self._thread = None

    def _key(self, piece: h5py.Dataset) -> tuple[int, ...]:
        return (*self._state, h5py.h5o.get_info(piece.id).addr)


def compare(path: Path, piece: h5py.Dataset, is_stopped: Callable[[], bool] = bool) -> None:
    """Compare the samples of a piece with its sum. RnnaudioError if they differ, or if one is not finite.

    is_stopped: asked before each minute of sound whether to leave off.
    """
    title, digest, n_done = text_of(piece, "title"), hashlib.sha256(), 0
    try:
        for block in blocks(piece):
            if is_stopped():
                return
            digest.update(as_bytes(block))
            if block.dtype.kind == "f" and not np.isfinite(block).all():
                place = int(np.flatnonzero(~np.isfinite(block))[0])
                raise RnnaudioError(
                    f"{path}: sample {n_done + place} of {title!r} is {block[place]}, expected finite numbers; "
                    "repair the recording, and build the corpus again"
                )
            n_done += len(block)
        is_same = digest.hexdigest() == text_of(piece, "sha256")
    except OSError:  # the checksum of a chunk does not match
        is_same = False
    if not is_same:
        raise RnnaudioError(
            f"{path}: the samples of {title!r} have changed since the corpus was built; build or copy it again"
        )
