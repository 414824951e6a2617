"""Ranks that exchange data by MPI, through mpi4py; importing this module starts MPI."""

import atexit
import contextlib
import os
import sys
import time
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import NoReturn, TypeVar

import numpy as np

from rnnaudio import interrupt
from rnnaudio.errors import RnnaudioError
from rnnaudio.parallel.ranks import Cores, Failure, Meeting, OfAllRanks, Share, first_of, share_of_cores
from rnnaudio.process import host, machine

try:
    from mpi4py import MPI
except (ImportError, RuntimeError) as error:  # RuntimeError: no MPI library is found
    raise RnnaudioError(
        f"--data-parallel mpi needs MPI, which cannot be imported ({error}); pip install 'rnnaudio[mpi]', or mpi4py "
        "for the MPI of your cluster"
    ) from error

T = TypeVar("T")

SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS")  # number of processes that a launcher started
SPINNING_SECONDS, LONGEST_SLEEP_SECONDS = 1e-3, 0.05
GRACE_SECONDS = 5.0  # in which the first rank, interrupted as well, cleans up and says so
OUTPUT_SECONDS = 0.5  # in which the launcher passes on what was written last; then it is lost


class MpiRanks:
    """Ranks that exchange data by MPI: all processes that one ``mpiexec`` has started.

    It is a context manager with the interface :class:`rnnaudio.parallel.Ranks`, used as in

        with MpiRanks() as ranks:
            train(..., ranks=ranks)

    An RnnaudioError that leaves the block on one rank is raised on all of them. Any other exception ends all
    processes. After the block nothing can be exchanged, and no rank waits for another.

    RnnaudioError if a launcher has started several processes, but MPI has found only this one.
    """

    def __init__(self) -> None:
        refuse_foreign_launcher(os.environ, MPI.COMM_WORLD.size, MPI.Get_library_version())
        self._comm = MPI.COMM_WORLD.Dup()
        self.share = Share(self._comm.rank, self._comm.size)
        self.size = self.parts = self._comm.size
        self.is_first = self._comm.rank == 0

    def __enter__(self) -> "MpiRanks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.meet()  # another rank may have failed
            elif isinstance(error, RnnaudioError) and not isinstance(error, OfAllRanks):
                self._fail(error)
            elif not isinstance(error, RnnaudioError):
                self._end_all(error)
        finally:
            if not MPI.Is_finalized() and (error is None or isinstance(error, RnnaudioError)):
                MPI.Finalize()

    def meet(self, seconds: float = 0.0, signal: int = 0) -> Meeting:
        failed, seconds, number = self._highest(0.0, seconds if self.is_first else 0.0, signal)
        if failed:
            self._raise_first(None)
        return Meeting(seconds, int(number))

    def gather(self, value: T) -> list[T]:
        self.meet()
        return list(self._comm.allgather(value))

    def from_first(self, value: T) -> T:
        self.meet()
        received: T = self._comm.bcast(value if self.is_first else None, root=0)
        return received

    def add(self, values: np.ndarray) -> None:
        self._comm.Allreduce(MPI.IN_PLACE, values, MPI.SUM)

    def n_cores(self) -> int:
        """Return the number of cores for this rank: its share of those that it may use, see :func:`share_of_cores`."""
        usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        return share_of_cores(self.gather(Cores(machine(), frozenset(usable))), self.share.rank)

    def _highest(self, *numbers: float) -> list[float]:
        """Return the maximum of each number over all ranks, which must pass equally many.

        A rank that waits for others sleeps for up to .05 s at a time, so that they can use its core.
        """
        results = np.empty(len(numbers))
        request = self._comm.Iallreduce(np.array(numbers, np.float64), results, MPI.MAX)
        started = time.monotonic()
        while not request.Test():
            waited = time.monotonic() - started
            if waited > SPINNING_SECONDS:
                time.sleep(min(waited / 20, LONGEST_SLEEP_SECONDS))
        return [float(number) for number in results]

    def _fail(self, error: RnnaudioError) -> NoReturn:
        """Raise the error of this rank on all ranks.

        The others raise it in their next call of :meth:`meet`, :meth:`gather` or :meth:`from_first`, all of which
        begin with :meth:`_highest`.
        """
        self._highest(1.0, 0.0, 0.0)
        self._raise_first(Failure(str(error), error.status))

    def _raise_first(self, mine: Failure | None) -> NoReturn:
        raise first_of(self._comm.allgather((mine, host())))

    def _end_all(self, error: BaseException) -> None:
        """End all processes after an exception other than RnnaudioError.

        They are ended at once, with a traceback, unless the exception is KeyboardInterrupt; then they are ended when
        the first rank exits, or 5 s after the interruption of another rank.
        """
        if not isinstance(error, KeyboardInterrupt):
            text = "".join(traceback.format_exception(error))
            os.write(2, f"rank {self.share.rank} of {self.size}, on {host()}:\n{text}".encode(errors="replace"))
            self._abort(1)
        if self.is_first:
            atexit.register(self._abort, interrupt.status())
        else:
            time.sleep(GRACE_SECONDS)
            os.write(2, f"rnnaudio: interrupted (rank {self.share.rank} of {self.size}, on {host()})\n".encode())
            self._abort(interrupt.status())

    def _abort(self, status: int) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        time.sleep(OUTPUT_SECONDS)
        MPI.COMM_WORLD.Abort(status)


def refuse_foreign_launcher(variables: Mapping[str, str], size: int, library: str) -> None:
    """Raise RnnaudioError if a launcher has started several processes, but MPI has found only one.

    variables: the environment. size: number of processes that MPI has found. library: name and version of the MPI that
    is loaded. The error usually means that the launcher belongs to another MPI.
    """
    name = next((name for name in SIZE_VARIABLES if name in variables), "")
    started = variables.get(name, "")
    if size == 1 and started.isdecimal() and int(started) > 1:
        loaded = " ".join(library.splitlines()[0].partition(",")[0].split())
        raise RnnaudioError(
            f"{name} is {started}, but {loaded} knows of one process only: start with the mpiexec of the MPI that "
            "mpi4py loads, or install mpi4py for the MPI of this launcher"
        )
