"""The matrix product for generation: few rows, one for each stream, times a large matrix.

With one or two rows, most of the time is spent on reading the matrix from the third-level cache; with more rows, on
the multiplications. Each sum runs over k in order, as in :func:`rnnaudio.kernels.product.multiply`, so the results of
a stream are the same, bit for bit, for any number of other streams computed with it.
"""

from rnnaudio.kernels.arrays import Number
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.micro import BLOCK_ROWS, VECTORS, multiply_few_block, size_of
from rnnaudio.kernels.product import At, width_of


@njit()
def multiply_few(a: At, m: int, k: int, panels: int, n: int, c: At, like: Number) -> None:
    """Set c[:, :padded(n)] to the product a B, for a (m, k) with few rows and B (k, n) in panels.

    c must have at least padded(n) columns. The arguments are those of :func:`rnnaudio.kernels.product.multiply`,
    without ``flags``.
    """
    panel_bytes = width_of(size_of(like)) * size_of(like)
    n_panels = (n * size_of(like) + panel_bytes - 1) // panel_bytes
    panel = 0
    while m <= 2 and panel + 2 <= n_panels:
        b, c_now = panels + panel * k * panel_bytes, c.address + panel * panel_bytes
        multiply_few_block(m, 2 * VECTORS, a.address, a.row, a.column, b, c_now, c.row, k, 0, like)
        panel += 2
    while panel < n_panels:
        b, c_now = panels + panel * k * panel_bytes, c.address + panel * panel_bytes
        r = 0
        while r < m:
            rows = _rows_of_next_block(m - r)
            a_now = a.address + r * a.row
            multiply_few_block(rows, VECTORS, a_now, a.row, a.column, b, c_now + r * c.row, c.row, k, 0, like)
            r += rows
        panel += 1


@njit(inline="always")
def _rows_of_next_block(left: int) -> int:
    """Return the number of rows of the next block if ``left`` rows remain.

    For example, with BLOCK_ROWS = 6, 7 rows are divided into 4 + 3 and 8 rows into 4 + 4, rather than 6 + 1 and 6 + 2,
    because blocks of one or two rows have too few independent sums.
    """
    if left == BLOCK_ROWS or left >= BLOCK_ROWS + 3:
        return BLOCK_ROWS
    return 4 if left >= 4 else left
