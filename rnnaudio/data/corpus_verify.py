"""Comparison of samples with their SHA-256 sums before they are used.

HDF5 checks a Fletcher-32 checksum of each chunk whenever it reads the chunk. These checksums cannot reveal that chunks
were swapped, or that a wrong address leads to another chunk.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py

from rnnaudio import interrupt
from rnnaudio.corpus_file.samples import fault_of
from rnnaudio.data.corpus_format import start_child
from rnnaudio.errors import RnnaudioError

LOOK_SECONDS = 0.05
_compared: set[tuple[int, ...]] = set()  # pieces that this process has compared, by the state of their file


class Verification:
    """Comparison of the pieces of an open corpus with their SHA-256 sums, once per piece and process.

    ``require`` is called before samples of a piece are read, and compares the piece if that has not been done yet.
    Within :meth:`in_background`, a child process compares all pieces, and ``require`` only raises an error if the
    child has found a fault. A thread in place of the child would hold up the threads that read batches, because h5py
    lets only one thread read at a time.

    path, file: path of the corpus, and the open file.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._path = path
        about = os.fstat(file.id.get_vfd_handle())
        # The time of the last change of the inode cannot be set, unlike that of the contents.
        self._state = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._pieces: Sequence[h5py.Dataset] = ()  # that the child compares
        self._fault = ""  # found by the child

    def require(self, piece: h5py.Dataset) -> None:
        """Compare a piece, unless this process has compared it or a child process is comparing it.

        RnnaudioError, naming the piece, if its samples differ from the sum or one of them is not finite; also if the
        child has found a fault.
        """
        if self._key(piece) in _compared:
            return
        self.raise_fault()
        with self._lock:  # two threads that read one piece compare it once
            if self._child is None and self._key(piece) not in _compared:
                self.compare(piece)
                _compared.add(self._key(piece))

    def compare(self, piece: h5py.Dataset) -> None:
        """Compare the samples of a piece with their SHA-256 sum, even if this process has done so before.

        RnnaudioError, naming the piece, if they differ from the sum or one of them is not finite.
        """
        self._raise(fault_of(piece))

    def raise_fault(self) -> None:
        """Raise RnnaudioError if a child process (:meth:`in_background`) has ended and found a fault."""
        with self._lock:
            if self._child is not None and self._child.poll() is not None:
                self._take_result(self._child)
        self._raise(self._fault)

    def wait(self) -> None:
        """Wait until the child process, if there is one, has compared all pieces; RnnaudioError if it found a fault.

        A signal that asks this process to end also ends the waiting.
        """
        child = self._child
        while child is not None and child.poll() is None and not interrupt.received():
            time.sleep(LOOK_SECONDS)
        self.raise_fault()

    @contextmanager
    def in_background(self, pieces: Sequence[h5py.Dataset]) -> Iterator[None]:
        """Context manager in which a child process compares the pieces; the child is ended when the block ends."""
        self._pieces = pieces
        with start_child("samples", self._path) as self._child:
            child = self._child
            try:
                yield
            finally:
                self._child = None
                child.kill()

    def _take_result(self, child: subprocess.Popen[bytes]) -> None:
        """Read the result of a child that has ended.

        If it was killed or has failed, there is no result, and each piece is compared when it is first read.
        """
        self._child = None
        output, _ = child.communicate()
        if child.returncode == 0:
            self._fault = json.loads(output)["fault"]
            if not self._fault:
                _compared.update(map(self._key, self._pieces))

    def _raise(self, fault: str) -> None:
        if fault:
            raise RnnaudioError(f"{self._path}: {fault}; copy the corpus again, or build it again")

    def _key(self, piece: h5py.Dataset) -> tuple[int, ...]:
        return (*self._state, h5py.h5o.get_info(piece.id).addr)
