"""Matrix products from packed panels.

The right-hand matrix is cut into panels of a few columns, stored one after the other (:func:`pack`), each row by row
and padded with zeros. Sums run over k in order whatever the block, so a result does not depend on how rows or panels
are shared out between threads, to the last bit.
"""

from typing import Any

import numpy as np
from numba import njit

from rnnaudio.kernels import threads
from rnnaudio.kernels.micro import BLOCK_ROWS, block_of_1, block_of_2, block_of_4, full_block, panel_width

PANEL_4, PANEL_8 = panel_width(np.float32), panel_width(np.float64)
# `product` keeps GROUP panels of DEPTH rows (200 KB of float32) in the second-level cache while all rows of a pass.
GROUP, DEPTH = 4, 384


@njit(nogil=True, cache=True, inline="always")
def width_of(itemsize: int) -> int:
    """Columns of a panel."""
    return PANEL_4 if itemsize == 4 else PANEL_8


@njit(nogil=True, cache=True)
def padded(n: int, itemsize: int) -> int:
    """``n`` columns rounded up to whole panels."""
    width = width_of(itemsize)
    return (n + width - 1) // width * width


@njit(nogil=True, cache=True)
def pack_into(b: Any, panels: Any) -> None:
    """Columns of b (k, n) -> panels, flat (padded(n) * k,)."""
    k, n = b.shape
    width = width_of(b.itemsize)
    for first in range(0, n, width):
        valid = min(width, n - first)
        start = first * k
        for i in range(k):
            row = start + i * width
            for j in range(valid):
                panels[row + j] = b[i, first + j]
            for j in range(valid, width):
                panels[row + j] = 0


@njit(nogil=True, cache=True)
def pack(b: Any) -> Any:
    """The panels of b (k, n), as :func:`multiply` wants them."""
    panels = np.empty(padded(b.shape[1], b.itemsize) * b.shape[0], b.dtype)
    pack_into(b, panels)
    return panels


@njit(nogil=True, cache=True)
def multiply(a: Any, panels: Any, n: int, c: Any, add: bool) -> None:
    """c[:, :padded(n)] = a (m, k) times the packed matrix (k, n), added to c if ``add``; c must have that room."""
    m, k = a.shape
    size = a.itemsize
    like = panels[0]
    a_row, a_k, c_row = a.strides[0], a.strides[1], c.strides[0]
    a_at, b_at, c_at = a.ctypes.data, panels.ctypes.data, c.ctypes.data
    adding = 1 if add else 0
    for first in range(0, n, width_of(size)):
        b_now, place = b_at + first * k * size, c_at + first * size
        r = 0
        while r + BLOCK_ROWS <= m:
            full_block(a_at + r * a_row, a_row, a_k, b_now, place + r * c_row, c_row, k, adding, like)
            r += BLOCK_ROWS
        while r + 4 <= m:
            block_of_4(a_at + r * a_row, a_row, a_k, b_now, place + r * c_row, c_row, k, adding, like)
            r += 4
        if r + 2 <= m:
            block_of_2(a_at + r * a_row, a_row, a_k, b_now, place + r * c_row, c_row, k, adding, like)
            r += 2
        if r < m:
            block_of_1(a_at + r * a_row, a_row, a_k, b_now, place + r * c_row, c_row, k, adding, like)


@njit(nogil=True, cache=True)
def _product_part(a: Any, b: Any, c: Any, first: int, last: int, add: bool) -> None:
    """Columns first..last of c (m, n) = a (m, k) b (k, n), a block of b at a time that stays in the cache."""
    m, k = a.shape
    width = width_of(a.itemsize)
    columns = GROUP * width
    panels = np.empty(columns * min(k, DEPTH), c.dtype)
    edge = np.empty((BLOCK_ROWS, columns), c.dtype)
    for k_first in range(0, max(k, 1), DEPTH):
        k_last = min(k_first + DEPTH, k)
        adding = add or k_first > 0
        for start in range(first, last, columns):
            end = min(start + columns, last)
            pack_into(b[k_first:k_last, start:end], panels)
            is_whole = (end - start) % width == 0  # else the last panel is wider than c
            for r in range(0, m, BLOCK_ROWS):
                rows = min(BLOCK_ROWS, m - r)
                a_block = a[r : r + rows, k_first:k_last]
                if is_whole:
                    multiply(a_block, panels, end - start, c[r : r + rows, start:end], adding)
                else:
                    multiply(a_block, panels, end - start, edge, False)
                    for i in range(rows):
                        for j in range(end - start):
                            value = edge[i, j]
                            c[r + i, start + j] = c[r + i, start + j] + value if adding else value


def product(a: Any, b: Any, c: Any, *, add: bool = False) -> None:
    """c (m, n) = a (m, k) b (k, n), or c += a b; a and b may have any strides (transposes), c contiguous rows."""
    shares = threads.split(c.shape[1], panel_width(c.dtype))
    threads.run(_product_part, [(a, b, c, first, last, add) for first, last in shares])


@njit(nogil=True, cache=True)
def _column_sums_part(a: Any, sums: Any, first: int, last: int) -> None:
    sums[first:last] = 0
    for i in range(a.shape[0]):
        for j in range(first, last):
            sums[j] += a[i, j]


def column_sums(a: Any) -> Any:
    """a (m, n) -> (n,)."""
    sums = np.empty(a.shape[1], a.dtype)
    threads.run(_column_sums_part, [(a, sums, *share) for share in threads.split(a.shape[1], panel_width(a.dtype))])
    return sums
