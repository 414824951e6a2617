"""The interface of the processes that train one run together, and a process that trains alone.

Each process is a *rank*, numbered from 0. All ranks execute the same program. A method of :class:`Ranks` that
exchanges something must be called by all of them, in the same order; it returns once all have called it. If one rank
fails meanwhile, all raise its error at their next exchange.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from rnnaudio.errors import RnnaudioError

T = TypeVar("T")


class Meeting(NamedTuple):
    """Agreement of the ranks: ``seconds`` of the first rank's clock, and the number of a ``signal``, 0 for none."""

    seconds: float
    signal: int


@dataclass(frozen=True)
class Share:
    """The rows of a batch that belong to one of ``size`` ranks: part number ``rank`` of as many equal parts."""

    rank: int
    size: int

    def rows(self, batch_size: int) -> slice:
        """Return the rows of a batch of ``batch_size``, which is a multiple of ``size``."""
        n = batch_size // self.size
        return slice(self.rank * n, (self.rank + 1) * n)


class Ranks(Protocol):
    """The ranks of a run, as seen by one of them."""

    @property
    def size(self) -> int:
        """Number of ranks."""
        ...

    @property
    def share(self) -> Share:
        """The share of this rank in each batch; all of it where the engine itself divides batches among the ranks."""
        ...

    @property
    def parts(self) -> int:
        """Number of equal parts into which each batch is cut, by ranks or by the engine."""
        ...

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which alone writes files and speaks to the user."""
        ...

    def meet(self, seconds: float = 0.0, signal: int = 0) -> Meeting:
        """Wait for all ranks; returns what they agree on.

        seconds: a time, of which that of the first rank holds. signal: number of the signal that has asked this rank
        to end, 0 for none; if there are several, the highest holds.
        """
        ...

    def gather(self, value: T) -> list[T]:
        """Return the values that all ranks have passed, in the order of the ranks."""
        ...

    def from_first(self, value: T) -> T:
        """Return the value that the first rank has passed; those of the others are ignored."""
        ...

    def add(self, values: np.ndarray) -> None:
        """Replace the contiguous array ``values``, of one shape and dtype on all ranks, by its sum over the ranks.

        All ranks get the same bits.
        """
        ...


class Alone:
    """The only rank: whatever it exchanges, it gets back."""

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
    """An error of one rank, for the others: its message, and the exit status of the command."""

    message: str
    status: int


class OfAllRanks(RnnaudioError):
    """An error that all ranks raise at the same time; ``status``: exit status of the command."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def first_of(failures: Sequence[tuple[Failure | None, str]]) -> OfAllRanks:
    """Make the error of the first rank that has failed; which that is, is said unless it is rank 0.

    failures: of each rank its failure, if any, and the name of its machine.
    """
    rank = next(number for number, (failure, _) in enumerate(failures) if failure)
    failure, where = failures[rank]
    assert failure is not None
    of = f" (rank {rank} of {len(failures)}, on {where})" if rank else ""
    return OfAllRanks(f"{failure.message}{of}", failure.status)


class Cores(NamedTuple):
    """The cores that a rank may use: ``numbers`` of cores of the machine ``machine``."""

    machine: str
    numbers: frozenset[int]


def share_of_cores(ranks: Sequence[Cores], rank: int) -> int:
    """Return the number of cores for one of the ranks, at least 1: each core is shared evenly by all that may use it.

    A launcher may have bound each rank to cores of its own, which then count in full.
    """
    machine, mine = ranks[rank]
    users = {core: sum(other.machine == machine and core in other.numbers for other in ranks) for core in mine}
    return max(1, int(sum(1.0 / n for n in users.values()) + 1e-9))
