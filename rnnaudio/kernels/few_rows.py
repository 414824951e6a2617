"""The product of a generating model: a few rows, one a stream, by a matrix that is read anew at every step.

With one or two rows the time is that of reading the matrix from the third-level cache; with more, that of the
multiplications. Each sum runs over k in order, as in :func:`rnnaudio.kernels.product.multiply`, so a stream gets the
same bits whatever others are computed beside it.
"""

from typing import Any

from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.micro import (
    BLOCK_ROWS,
    block_of_1,
    block_of_2,
    block_of_3,
    block_of_4,
    double_block_of_1,
    double_block_of_2,
    full_block,
    size_of,
)
from rnnaudio.kernels.product import At, width_of


@njit()
def multiply_few(a: At, m: int, k: int, panels: int, n: int, c: At, like: Any) -> None:
    """c[:, :padded(n)] = a (m, k) times packed panels (k, n); c has that room. Arguments as for ``multiply``."""
    panel_bytes = width_of(size_of(like)) * size_of(like)
    n_panels = (n * size_of(like) + panel_bytes - 1) // panel_bytes
    panel = 0
    if m <= 2:
        while panel + 2 <= n_panels:
            b, c_now = panels + panel * k * panel_bytes, c.address + panel * panel_bytes
            if m == 2:
                double_block_of_2(a.address, a.row, a.column, b, c_now, c.row, k, 0, like)
            else:
                double_block_of_1(a.address, a.row, a.column, b, c_now, c.row, k, 0, like)
            panel += 2
    while panel < n_panels:
        _one_panel(a, m, k, panels + panel * k * panel_bytes, c.address + panel * panel_bytes, c.row, like)
        panel += 1


@njit()
def _one_panel(a: At, m: int, k: int, b: int, c: int, c_row: int, like: Any) -> None:
    """All rows by one panel. Blocks of one or two rows wait for their sums: 8 = 4 + 4 is faster than 6 + 2."""
    r = 0
    while r < m:
        left = m - r
        a_now, c_now = a.address + r * a.row, c + r * c_row
        if left == BLOCK_ROWS or left >= BLOCK_ROWS + 3:
            full_block(a_now, a.row, a.column, b, c_now, c_row, k, 0, like)
            r += BLOCK_ROWS
        elif left >= 4:
            block_of_4(a_now, a.row, a.column, b, c_now, c_row, k, 0, like)
            r += 4
        elif left == 3:
            block_of_3(a_now, a.row, a.column, b, c_now, c_row, k, 0, like)
            r += 3
        elif left == 2:
            block_of_2(a_now, a.row, a.column, b, c_now, c_row, k, 0, like)
            r += 2
        else:
            block_of_1(a_now, a.row, a.column, b, c_now, c_row, k, 0, like)
            r += 1
