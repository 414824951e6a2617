"""Prefetching: a thread reads the next batch while a training step runs."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

B = TypeVar("B")


@contextmanager
def prefetched(batch: Callable[[int], B], indices: range) -> Iterator[Iterator[B]]:
    """Return a context manager whose value is an iterator over ``batch(index)`` for each of ``indices``, in order.

        with prefetched(batches.batch, range(first, n_updates)) as coming:
            for batch in coming: ...

    Another thread computes each batch while the preceding one is in use, so ``batch`` must be a pure function of its
    index. If it raises an exception, the iterator raises this exception when the batch is requested. The thread has
    ended when the ``with`` block is left, so the source of the batches may then be closed.

    Both threads may read a corpus at the same time, because h5py serialises calls to HDF5.
    """
    executor = ThreadPoolExecutor(1, "rnnaudio-batches")
    try:
        yield _in_order(executor, batch, indices)
    finally:
        executor.shutdown(cancel_futures=True)


def _in_order(executor: ThreadPoolExecutor, batch: Callable[[int], B], indices: range) -> Iterator[B]:
    coming: list[Future[B]] = []
    for index in indices:
        coming.append(executor.submit(batch, index))
        if len(coming) == 2:
            yield coming.pop(0).result()
    for last in coming:
        yield last.result()
