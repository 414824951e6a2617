"""Ranks that are threads of one process, for tests of what they compute together."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rnnaudio.parallel import Meeting, Share


class _Table:
    """Where the ranks put what they exchange."""

    def __init__(self, size):
        self.barrier = threading.Barrier(size, timeout=20.0)
        self.places = [None] * size


class ThreadRanks:
    def __init__(self, share, table):
        self.share, self.is_first, self._table = share, share.rank == 0, table
        self.size = self.parts = share.size

    def gather(self, value):
        self._table.places[self.share.rank] = copy.deepcopy(value)  # between processes, nothing is shared
        self._table.barrier.wait()
        found = list(self._table.places)
        self._table.barrier.wait()
        return found

    def from_first(self, value):
        return copy.deepcopy(self.gather(value)[0])

    def meet(self, seconds=0.0, signal=0):
        found = self.gather((seconds, signal))
        return Meeting(found[0][0], max(number for _, number in found))

    def add(self, values):
        values[...] = np.sum(self.gather(values.copy()), axis=0)


def thread_ranks(size):
    """All ranks of a run."""
    table = _Table(size)
    return [ThreadRanks(Share(rank, size), table) for rank in range(size)]


def together(size, work):
    """The results of work(rank), one thread per rank; an error of one ends the waiting of the others."""
    ranks = thread_ranks(size)

    def one(rank):
        try:
            return work(rank)
        except BaseException:
            rank._table.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(one, rank) for rank in ranks]
    errors = [future.exception() for future in futures]
    real = [error for error in errors if error and not isinstance(error, threading.BrokenBarrierError)]
    if real:
        raise real[0]
    return [future.result() for future in futures]
