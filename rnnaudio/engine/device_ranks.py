"""Ranks in mode ``jax`` (see :class:`rnnaudio.parallel.Ranks`): one step is compiled for the devices of all processes.

Each rank passes the whole batch to the compiled step, which uses only the parts for the rank's own devices. The
results are complete on every rank. Ranks exchange all other values through JAX's coordination service.
"""

import os
import pickle
import traceback
from types import TracebackType
from typing import NoReturn, TypeVar

import numpy as np

from rnnaudio import interrupt
from rnnaudio.engine.environment import MODE, jax_mode
from rnnaudio.errors import RnnaudioError
from rnnaudio.parallel import Meeting, Share
from rnnaudio.parallel.ranks import Failure, OfAllRanks, first_of
from rnnaudio.process import host

T = TypeVar("T")

SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS")  # number of processes that a launcher started


class DeviceRanks:
    """The :class:`rnnaudio.parallel.Ranks` of a training in mode ``jax``; usually one process with several devices.

    It is a context manager, like :class:`rnnaudio.parallel.mpi.MpiRanks`. RnnaudioError in another mode, or if a
    launcher has started several processes that cannot connect to each other.
    """

    share = Share(0, 1)  # JAX divides the batches

    def __init__(self) -> None:
        if MODE != "jax":
            raise RnnaudioError(f"--data-parallel jax needs mode jax, got {MODE}: set RNNAUDIO_MODE=jax")
        if n_started(dict(os.environ)) > 1:
            jax_mode.start_processes()
        self.parts = jax_mode.share_batches()
        self._rank, self.size = jax_mode.processes()
        self.is_first, self._n_exchanges = self._rank == 0, 0

    def __enter__(self) -> "DeviceRanks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        jax_mode.share_no_more()  # what follows is the first rank's alone
        if self.size == 1:
            return
        if error is None:
            self.meet()  # another rank may have failed
        elif isinstance(error, RnnaudioError) and not isinstance(error, OfAllRanks):
            self._exchange(None, Failure(str(error), error.status))
        elif not isinstance(error, RnnaudioError):
            self._end(error)

    def meet(self, seconds: float = 0.0, signal: int = 0) -> Meeting:
        if self.size == 1:
            return Meeting(seconds, signal)
        found = self.gather((seconds, signal))
        return Meeting(found[0][0], max(number for _, number in found))

    def gather(self, value: T) -> list[T]:
        return self._exchange(value, None) if self.size > 1 else [value]

    def from_first(self, value: T) -> T:
        return self.gather(value)[0]

    def add(self, values: np.ndarray) -> None:
        """Replace the array, in place, by its sum over all ranks, added in the order of the ranks."""
        values[...] = np.sum(self.gather(values), axis=0)

    def _exchange(self, value: T, failure: Failure | None) -> list[T]:
        """Exchange a value, or the failure of this rank, and return the values of all ranks in their order.

        If ranks have failed, raises the error of the first of them.
        """
        self._n_exchanges += 1
        mine = pickle.dumps((value, (failure, host())))
        found = [pickle.loads(other) for other in jax_mode.exchanged(self._n_exchanges, mine)]
        if any(of for _, (of, _) in found):
            raise first_of([about for _, about in found])
        return [one for one, _ in found]

    def _end(self, error: BaseException) -> NoReturn:
        """Print the error, or that this rank was interrupted, and end the process; the other ranks then end too."""
        status, words = 1, "".join(traceback.format_exception(error))
        if isinstance(error, KeyboardInterrupt):
            status, words = interrupt.status(), "interrupted"
        elif jax_mode.is_broken_connection(error):
            why = str(error).partition("\n")[0]
            status, words = 2, f"another process has ended, or the network failed ({why}): `rnnaudio resume` goes on"
        os.write(2, f"rnnaudio, rank {self._rank} of {self.size}, on {host()}: {words}\n".encode(errors="replace"))
        os._exit(status)


def n_started(variables: dict[str, str]) -> int:
    """Return the number of processes that a launcher has started, from its environment variables; 1 without one."""
    started = next((variables[name] for name in SIZE_VARIABLES if name in variables), "1")
    return int(started) if started.isdecimal() else 1
