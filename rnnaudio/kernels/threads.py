"""Division of work among threads, which run in parallel because compiled functions release the GIL."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise

from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels.arrays import Compiled, Share


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chosen() -> int:
    text = os.environ.get("RNNAUDIO_THREADS", "").strip()
    if not text:
        return _usable_cores()
    if not text.isdecimal() or int(text) < 1:
        raise RnnaudioError(f"RNNAUDIO_THREADS is {text!r}; expected a number of threads, 1 or more")
    return int(text)


class _Pool:
    def __init__(self, n: int):
        self.n = n
        self._executor = ThreadPoolExecutor(n - 1, "rnnaudio-kernel") if n > 1 else None

    def run(self, work: Compiled, shares: Sequence[Share]) -> None:
        if self._executor is None or len(shares) == 1:
            for share in shares:
                work(*share)
            return
        left = deque(shares)

        def work_off() -> None:
            while True:
                try:
                    share = left.popleft()
                except IndexError:
                    return
                work(*share)

        waiting = [self._executor.submit(work_off) for _ in range(min(self.n, len(shares)) - 1)]
        try:
            work_off()  # the caller's thread works as well
        finally:
            left.clear()
            waiting = [future for future in waiting if not future.cancel()]  # a cancelled one had not begun
            _wait_for(waiting)  # even after an error, because they write to the caller's arrays
        for future in waiting:
            future.result()


def _wait_for(futures: list[Future[None]]) -> None:
    """Wait until all futures are done. A KeyboardInterrupt during the wait is raised afterwards."""
    interrupted = None
    while not all(future.done() for future in futures):
        try:
            wait(futures)
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted:
        raise interrupted


_pool = _Pool(_chosen())


def n_threads() -> int:
    """Return the number of threads that kernels use: ``RNNAUDIO_THREADS``, by default the number of usable cores."""
    return _pool.n


def set_n_threads(n: int) -> None:
    """Set the number of threads, 1 or more, that kernels use from now on; results do not depend on it."""
    global _pool
    _pool = _Pool(n)


os.register_at_fork(after_in_child=lambda: set_n_threads(n_threads()))  # a forked child lacks the pool's threads


def run(work: Compiled, shares: Sequence[Share]) -> None:
    """Call work(*share) for each share, in parallel, and return when all calls have ended.

    If calls raise errors, one of these errors is raised after all running calls have ended.
    """
    _pool.run(work, shares)


# Multiplications, or numbers read, per thread: for less work, starting a thread would cost more than it saves.
LEAST_WORK = 2_000_000


def split(n: int, multiple: int = 1, work: int | None = None) -> list[tuple[int, int]]:
    """Divide ``n`` items evenly into at most one range per thread; return a list of ranges (first, last).

    A range consists of the items first to last - 1. All bounds except n are multiples of ``multiple``, so there may be
    fewer ranges than threads. ``work`` is the number of multiplications, or of numbers read, for all items together:
    there are at most work / LEAST_WORK ranges, but at least one. None: no such limit.
    """
    units = -(-n // multiple)
    most = n_threads() if work is None else min(n_threads(), work // LEAST_WORK)
    parts = max(1, min(most, units))
    bounds = [min(n, units * part // parts * multiple) for part in range(parts + 1)]
    return list(pairwise(bounds))
