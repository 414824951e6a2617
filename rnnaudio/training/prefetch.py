"""Batches prepared ahead: while a step runs, a thread of its own reads the next batch."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


@contextmanager
def prefetched(batch: Callable[[int], Any], indices: range) -> Iterator[Iterator[Any]]:
    """Iterate over ``batch(index)`` in order, each prepared while the one before it is in use.

        with prefetched(batches.batch, range(first, n_updates)) as coming:
            for batch in coming: ...

    ``batch`` must depend on its index alone, for it is called one index further than was asked for (never beyond
    ``indices``), from another thread. An error in it is raised where its batch is asked for. However the block ends,
    the thread has ended then and reads no more, so whatever it reads from may be closed.

    A corpus may be read by both threads at once: h5py lets one call into HDF5 at a time.
    """
    executor = ThreadPoolExecutor(1, "rnnaudio-batches")
    try:
        yield _in_order(executor, batch, indices)
    finally:
        executor.shutdown(cancel_futures=True)


def _in_order(executor: ThreadPoolExecutor, batch: Callable[[int], Any], indices: range) -> Iterator[Any]:
    coming: list[Future[Any]] = []
    for index in indices:
        coming.append(executor.submit(batch, index))
        if len(coming) == 2:
            yield coming.pop(0).result()
    for last in coming:
        yield last.result()
