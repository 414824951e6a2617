"""Matrix products from packed panels.

The right-hand matrix is cut into panels of a few columns, stored one after the other (:func:`pack`), each row by row
and padded with zeros. Sums run over k in order whatever the block, so a result does not depend on how rows or panels
are shared out between threads, to the last bit.
"""

from typing import Any

import numpy as np
from numba import njit

from rnnaudio.kernels import threads
from rnnaudio.kernels.micro import (
    BLOCK_ROWS,
    block_of_1,
    block_of_2,
    block_of_4,
    copy_panel_row,
    full_block,
    narrow_block,
    narrow_block_of_1,
    narrow_block_of_2,
    narrow_block_of_4,
    panel_width,
)

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
    is_contiguous = b.strides[1] == b.itemsize
    for first in range(0, n, width):
        valid = min(width, n - first)
        panel = panels[first * k : (first + width) * k].reshape(k, width)
        if valid == width and is_contiguous:
            for i in range(k):
                source = b.ctypes.data + i * b.strides[0] + first * b.itemsize
                copy_panel_row(source, panel.ctypes.data + i * width * b.itemsize, panels[0])
            continue
        columns = b[:, first : first + valid]
        for top in range(0, k, 64):  # a part that stays in the first-level cache, for b may be a transpose
            here, there = columns[top : top + 64], panel[top : top + 64]
            for j in range(valid):
                for i in range(here.shape[0]):
                    there[i, j] = here[i, j]
            for j in range(valid, width):
                for i in range(here.shape[0]):
                    there[i, j] = 0


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
    width = width_of(size)
    a_row, a_k, c_row = a.strides[0], a.strides[1], c.strides[0]
    a_at, b_at, c_at = a.ctypes.data, panels.ctypes.data, c.ctypes.data
    adding = 1 if add else 0
    for first in range(0, n, width):
        b_now, place = b_at + first * k * size, c_at + first * size
        is_narrow = n - first <= width // 2  # the rest of the panel is padding
        r = 0
        while r < m:
            left = m - r
            a_now, c_now = a_at + r * a_row, place + r * c_row
            if left >= BLOCK_ROWS:
                if is_narrow:
                    narrow_block(a_now, a_row, a_k, b_now, c_now, c_row, k, adding, like)
                else:
                    full_block(a_now, a_row, a_k, b_now, c_now, c_row, k, adding, like)
                r += BLOCK_ROWS
            elif left >= 4:
                if is_narrow:
                    narrow_block_of_4(a_now, a_row, a_k, b_now, c_now, c_row, k, adding, like)
                else:
                    block_of_4(a_now, a_row, a_k, b_now, c_now, c_row, k, adding, like)
                r += 4
            elif left >= 2:
                if is_narrow:
                    narrow_block_of_2(a_now, a_row, a_k, b_now, c_now, c_row, k, adding, like)
                else:
                    block_of_2(a_now, a_row, a_k, b_now, c_now, c_row, k, adding, like)
                r += 2
            else:
                if is_narrow:
                    narrow_block_of_1(a_now, a_row, a_k, b_now, c_now, c_row, k, adding, like)
                else:
                    block_of_1(a_now, a_row, a_k, b_now, c_now, c_row, k, adding, like)
                r += 1


@njit(nogil=True, cache=True)
def _product_part(a: Any, b: Any, c: Any, first: int, last: int, add: bool) -> None:
    """Columns first..last of c (m, n) = a (m, k) b (k, n), a block of b at a time that stays in the cache."""
    m, k = a.shape
    width = width_of(a.itemsize)
    columns = GROUP * width
    panels = np.empty(columns * min(k, DEPTH), c.dtype)
    edge = np.empty((BLOCK_ROWS, columns), c.dtype)
    is_transposed = a.strides[1] != a.itemsize
    n_blocks = (m + BLOCK_ROWS - 1) // BLOCK_ROWS if is_transposed else 0
    copied = np.empty((n_blocks, min(k, DEPTH), BLOCK_ROWS), c.dtype)  # a's rows of a block beside each other
    for k_first in range(0, max(k, 1), DEPTH):
        k_last = min(k_first + DEPTH, k)
        adding = add or k_first > 0
        for block in range(n_blocks):
            r = block * BLOCK_ROWS
            here, there = a[r : r + BLOCK_ROWS, k_first:k_last].T, copied[block]
            for i in range(here.shape[0]):
                for j in range(here.shape[1]):
                    there[i, j] = here[i, j]
        for start in range(first, last, columns):
            end = min(start + columns, last)
            pack_into(b[k_first:k_last, start:end], panels)
            is_whole = (end - start) % width == 0  # else the last panel is wider than c
            for r in range(0, m, BLOCK_ROWS):
                rows = min(BLOCK_ROWS, m - r)
                a_block = (
                    copied[r // BLOCK_ROWS].T[:rows, : k_last - k_first]
                    if is_transposed
                    else a[r : r + rows, k_first:k_last]
                )
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
    m, n = c.shape
    if m > n:  # by rows: each thread packs all of b, but neither has a panel more than the other
        threads.run(_product_part, [(a[i:j], b, c[i:j], 0, n, add) for i, j in threads.split(m, BLOCK_ROWS)])
    else:
        threads.run(_product_part, [(a, b, c, i, j, add) for i, j in threads.split(n, panel_width(c.dtype))])


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
