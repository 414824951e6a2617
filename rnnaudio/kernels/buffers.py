"""Memory for large arrays, reused as soon as nothing refers to the array in it any more.

Every training step allocates arrays of the same sizes. The operating system maps new memory page by page, which takes
a fifth of the time of a typical step. Reused memory is already mapped.
"""

import os
import sys
import threading

import numpy as np
from numpy.typing import DTypeLike

LEAST_BYTES = 256 * 1024  # smaller arrays come from the heap, at next to no cost
MOST_UNUSED_BYTES = 1 << 30  # beyond this, all unused buffers are freed before another size is allocated

_lock = threading.Lock()
_buffers: list[np.ndarray] = []


def _references(k: int) -> int:
    return sys.getrefcount(_buffers[k])


# The reference count of a buffer that nothing else refers to, measured because it differs between Python versions.
_buffers.append(np.empty(0, np.uint8))
_UNUSED = _references(0)
_buffers.clear()


def _is_unused(k: int) -> bool:
    return _references(k) == _UNUSED


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)  # another thread of the parent may have held the lock


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return an array with arbitrary content, like numpy.empty, in the memory of an unused array of the same size.

    New memory is allocated if there is no unused array with the same number of bytes, or for fewer than LEAST_BYTES
    bytes.
    """
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    if n_bytes < LEAST_BYTES:
        return np.empty(shape, dtype)
    with _lock:
        for k in range(len(_buffers)):
            if _buffers[k].size == n_bytes and _is_unused(k):
                return _buffers[k].view(dtype).reshape(shape)
        if n_bytes + sum(_buffers[k].size for k in range(len(_buffers)) if _is_unused(k)) > MOST_UNUSED_BYTES:
            _forget_unused()
        _buffers.append(np.empty(n_bytes, np.uint8))
        return _buffers[-1].view(dtype).reshape(shape)


def clear() -> None:
    """Free the memory that is kept for reuse, that is, the memory of all arrays without references."""
    with _lock:
        _forget_unused()


def _forget_unused() -> None:
    for k in reversed(range(len(_buffers))):
        if _is_unused(k):
            del _buffers[k]
