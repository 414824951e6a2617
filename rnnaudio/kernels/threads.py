"""Work shared out between threads: compiled functions that release Python's lock, one share each."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

from rnnaudio.errors import RnnaudioError


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chosen() -> int:
    text = os.environ.get("RNNAUDIO_THREADS", "").strip()
    if not text:
        return _usable_cores()
    if not text.isdecimal() or int(text) < 1:
        raise RnnaudioError(f"RNNAUDIO_THREADS is {text!r}; expected a number of threads, at least 1")
    return int(text)


class _Pool:
    def __init__(self, n: int):
        self.n = n
        self._executor = ThreadPoolExecutor(n - 1, "rnnaudio-kernel") if n > 1 else None

    def run(self, work: Callable[..., Any], shares: list[tuple[Any, ...]]) -> None:
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
            waiting = [future for future in waiting if not future.cancel()]  # who has not begun finds nothing left
            _wait_for(waiting)  # whatever happened: they write to memory that belongs to the caller
        for future in waiting:
            future.result()


def _wait_for(futures: list[Future[Any]]) -> None:
    """Return when all are done; Ctrl-C is raised only then."""
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
    """How many threads kernels use: ``RNNAUDIO_THREADS``, else the cores that this process may use."""
    return _pool.n


def set_n_threads(n: int) -> None:
    """Use ``n`` threads from now on. Results do not depend on it."""
    global _pool
    _pool = _Pool(n)


os.register_at_fork(after_in_child=lambda: set_n_threads(n_threads()))  # a child has the pool but not its threads


def run(work: Callable[..., Any], shares: list[tuple[Any, ...]]) -> None:
    """work(*share) for each share, side by side; returns when all are done. The first error is raised."""
    _pool.run(work, shares)


# What a thread must have to do, or handing it over costs more than it saves: multiplications, or numbers to read.
LEAST_WORK = 2_000_000


def split(n: int, multiple: int = 1, work: int | None = None) -> list[tuple[int, int]]:
    """Ranges that share ``n`` items out evenly, in multiples where there are enough; at most one per thread.

    ``work``: of all items together, None for much; little work is not shared.
    """
    units = -(-n // multiple)
    most = n_threads() if work is None else min(n_threads(), work // LEAST_WORK)
    parts = max(1, min(most, units))
    bounds = [min(n, units * part // parts * multiple) for part in range(parts + 1)]
    return list(pairwise(bounds))
