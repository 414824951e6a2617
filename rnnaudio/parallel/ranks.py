"""Interface of the processes that train one run together, and a process that trains alone.

Each process is a *rank*, numbered from 0. All ranks execute the same program. A method of :class:`Ranks` that
exchanges something must be called by all ranks, in the same order; it returns once all have called it. If one rank
fails in the meantime, the others raise its error at their next call of `meet`, `gather` or `from_first`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from rnnaudio.errors import RnnaudioError

T = TypeVar("T")


class Meeting(NamedTuple):
    """Result of :meth:`Ranks.meet`, the same on all ranks.

    seconds: the argument ``seconds`` of rank 0. signal: number of the signal that has asked a rank to end, 0 for none.
    """

    seconds: float
    signal: int


@dataclass(frozen=True)
class Share:
    """The rows of a batch that belong to a rank: part number ``rank``, from 0, of ``size`` equal parts."""

    rank: int
    size: int

    def rows(self, batch_size: int) -> slice:
        """Return the rows of this share as a slice of a batch of ``batch_size`` rows, a multiple of ``size``."""
        n = batch_size // self.size
        return slice(self.rank * n, (self.rank + 1) * n)


class Ranks(Protocol):
    """Interface of a rank, one of the processes that train one run together.

    It gives the rank its share of each batch, and exchanges values among the ranks.
    """

    @property
    def size(self) -> int:
        """Number of ranks."""
        ...

    @property
    def share(self) -> Share:
        """Share of this rank in each batch; the whole batch where the engine itself divides batches among ranks."""
        ...

    @property
    def parts(self) -> int:
        """Number of equal parts into which each batch is cut, one for each rank, or for each device of the engine."""
        ...

    @property
    def is_first(self) -> bool:
        """True for rank 0, the only one that writes files and prints messages."""
        ...

    def meet(self, seconds: float = 0.0, signal: int = 0) -> Meeting:
        """Wait until all ranks have called this; returns values that are then the same on all ranks.

        seconds: a time; all ranks get that of rank 0. signal: number of the signal that has asked this rank to end, 0
        for none; all ranks get the highest number.
        """
        ...

    def gather(self, value: T) -> list[T]:
        """Return the values that all ranks have passed, as a list in the order of the ranks."""
        ...

    def from_first(self, value: T) -> T:
        """Return the value that rank 0 has passed, on all ranks; the values of other ranks are ignored."""
        ...

    def add(self, values: np.ndarray) -> None:
        """Replace the contiguous array ``values``, of one shape and dtype on all ranks, by its sum over the ranks.

        The sum has the same bits on all ranks.
        """
        ...


class Alone:
    """A process that trains alone, the only rank: each exchange returns the value passed. See :class:`Ranks`."""

    share = Share(0, 1)
    size = parts = 1
    is_first = True

    def meet(self, seconds: float = 0.0, signal: int = 0) -> Meeting:
        return Meeting(seconds, signal)

    def gather(self, value: T) -> list[T]:
        return [value]

    def from_first(self, value: T) -> T:
        return value

    def add(self, values: np.ndarray) -> None:
        pass


ALONE = Alone()


class Failure(NamedTuple):
    """Description of the error of one rank, sent to the others: its message, and the exit status of the command."""

    message: str
    status: int


class OfAllRanks(RnnaudioError):
    """An error that all ranks raise at the same time; ``status``: exit status of the command."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def first_of(failures: Sequence[tuple[Failure | None, str]]) -> OfAllRanks:
    """Make the error of the lowest rank that has failed; its message names rank and machine unless the rank is 0.

    failures: for each rank, its failure or None, and the name of its machine. At least one rank must have failed.
    """
    rank = next(number for number, (failure, _) in enumerate(failures) if failure)
    failure, where = failures[rank]
    assert failure is not None
    of = f" (rank {rank} of {len(failures)}, on {where})" if rank else ""
    return OfAllRanks(f"{failure.message}{of}", failure.status)


class Cores(NamedTuple):
    """The processor cores that a rank may use: ``numbers`` of cores on the machine named ``machine``."""

    machine: str
    numbers: frozenset[int]


def share_of_cores(ranks: Sequence[Cores], rank: int) -> int:
    """Return the number of cores for one rank, at least 1: each core is shared evenly by all ranks that may use it.

    ranks: the cores that each rank may use. rank: number of the rank. Where a launcher has bound each rank to cores of
    its own, these count in full.
    """
    machine, mine = ranks[rank]
    users = {core: sum(other.machine == machine and core in other.numbers for other in ranks) for core in mine}
    return max(1, int(sum(1.0 / n for n in users.values()) + 1e-9))
