"""The option ``--data-parallel``, with which several processes train one run together."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rnnaudio.parallel import Ranks

DataParallel = Literal["none", "mpi", "jax"]
OPTION = "--data-parallel"
RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")  # in which launchers state the rank


def silence_others(arguments: list[str], variables: Mapping[str, str]) -> None:
    """Discard all further output of this process if it is a data-parallel rank other than the first.

    arguments: the words of the command; nothing is done without the option ``--data-parallel``. variables: the
    environment, in which a launcher such as mpiexec states the rank. Tracebacks of exceptions that end the program are
    still printed.
    """
    rank = next((variables[name] for name in RANK_VARIABLES if name in variables), "0")
    if rank == "0" or not any(argument.partition("=")[0] == OPTION for argument in arguments):
        return
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for the rest of the process)
    sys.stderr = sys.stdout


@contextlib.contextmanager
def ranks_of(kind: DataParallel) -> "Iterator[Ranks]":
    """Context manager that yields the ranks (processes that train together) for a value of ``--data-parallel``.

    With ``mpi``, each rank uses its share of the cores of its machine, unless ``RNNAUDIO_THREADS`` is set. Errors are
    those of :class:`rnnaudio.parallel.mpi.MpiRanks` and :class:`rnnaudio.engine.device_ranks.DeviceRanks`.
    """
    from rnnaudio.parallel import ALONE

    if kind == "none":
        yield ALONE
        return
    if kind == "jax":
        from rnnaudio.engine.device_ranks import DeviceRanks

        with DeviceRanks() as processes:
            yield processes
        return
    from rnnaudio.parallel.mpi import MpiRanks

    with MpiRanks() as ranks:
        n_cores = ranks.n_cores()
        if not os.environ.get("RNNAUDIO_THREADS", "").strip():
            _use_threads(n_cores)
        yield ranks


def _use_threads(n: int) -> None:
    """Limit the threads of the kernels and of BLAS to ``n``."""
    from threadpoolctl import threadpool_limits

    from rnnaudio.kernels.threads import set_n_threads

    set_n_threads(n)
    threadpool_limits(n)
