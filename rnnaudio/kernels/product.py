"""Matrix products with a right-hand matrix that is packed into panels.

A panel consists of a few adjacent columns, stored row by row. The panels are stored one after the other, and the last
panel is padded with columns of zeros (:func:`pack`). Sums run over k in the same order for blocks of any size, so the
results are the same, bit for bit, for any division of rows or panels among threads.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnaudio.kernels import threads
from rnnaudio.kernels.arrays import Frames, Matrix, Number, Panels, Share, Vector
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.micro import (
    BLOCK_ROWS,
    VECTORS,
    copy_block_column,
    copy_panel_row,
    load_number,
    multiply_block,
    panel_width,
    size_of,
    store_number,
)

PANEL_4, PANEL_8 = panel_width(np.float32), panel_width(np.float64)
# `product` keeps GROUP panels of DEPTH rows (200 KB of float32) in the second-level cache for all rows of a.
GROUP, DEPTH = 4, 384


class At(NamedTuple):
    """A matrix in memory: the address of its first number, and its strides in bytes.

    ``row`` is the stride from one row to the next, ``column`` the stride from one column to the next. numba compiles a
    function anew for every combination of array layouts, but only once for arguments of this type.
    """

    address: int
    row: int
    column: int


@njit(inline="always")
def address(a: NDArray[np.floating]) -> int:
    """Return the address of the first number of ``a`` as a signed integer, numba's type for Python integers."""
    return np.intp(a.ctypes.data)  # type: ignore[return-value]


@njit(inline="always")
def at(a: Matrix) -> At:
    """Return the address and strides of the matrix ``a``."""
    return At(address(a), a.strides[0], a.strides[1])


@njit(inline="always")
def width_of(itemsize: int) -> int:
    """Return the number of columns of a panel of numbers of ``itemsize`` bytes, 4 or 8."""
    return PANEL_4 if itemsize == 4 else PANEL_8


@njit()
def padded(n: int, itemsize: int) -> int:
    """Return ``n``, a number of columns, rounded up to whole panels of numbers of ``itemsize`` bytes."""
    width = width_of(itemsize)
    return (n + width - 1) // width * width


@njit()
def _pack(b: At, k: int, n: int, panels: int, like: Number) -> None:
    """Write b (k, n) as panels to the address ``panels``; ``like`` is any finite number of the dtype of b."""
    size = size_of(like)
    width = width_of(size)
    panel_row = width * size
    for first in range(0, n, width):
        valid = min(width, n - first)
        source, panel = b.address + first * b.column, panels + first * k * size
        if valid == width and b.column == size:
            for i in range(k):
                copy_panel_row(source + i * b.row, panel + i * panel_row, like)
            continue
        for top in range(0, k, 64):  # so few rows that they stay in the first-level cache, as b may be a transpose
            rows = range(top, min(top + 64, k))
            for j in range(width):
                for i in rows:
                    value = load_number(source + i * b.row + j * b.column, like) if j < valid else like - like
                    store_number(panel + i * panel_row + j * size, value)


def pack(b: Matrix) -> Panels:
    """Return a copy of the matrix b (k, n), with any strides, as panels for :func:`multiply`: (k * padded(n),)."""
    k, n = b.shape
    panels = np.empty(padded(n, b.itemsize) * k, b.dtype)
    _pack(_at(b), k, n, panels.ctypes.data, b.dtype.type(0))
    return panels


ADD, BACKWARDS = 1, 2  # flags of `multiply`


@njit(inline="always")
def _rows_of_next_block(left: int) -> int:
    """Return the number of rows of the next block if ``left`` rows remain.

    8 rows are divided into 4 + 4 rather than 6 + 2, because a block of two rows has too few independent sums.
    """
    if left >= BLOCK_ROWS and not (BLOCK_ROWS == 6 and left == 8):
        return BLOCK_ROWS
    return 4 if left >= 4 else 2 if left >= 2 else 1


@njit()
def multiply(a: At, m: int, k: int, panels: int, n: int, c: At, flags: int, like: Number) -> None:
    """Set c[:, :n] to the product a B, for a (m, k) and B (k, n) in panels.

    c must have contiguous rows and at least padded(n) columns; those from n on may be overwritten. ``panels`` is the
    address of the panels of B (:func:`pack`), and ``like`` any number of the same dtype as the matrices.

    ``flags`` is 0, ADD (add the product to c instead of overwriting c), BACKWARDS (go from the last panel to the
    first), or the sum of both. A recurrence changes the direction at every step, because only the last panels of a
    large matrix are still in the cache. The flags are one integer because numba would compile the function again for
    each combination of constants.
    """
    size = size_of(like)
    width = width_of(size)
    add = flags % 2
    n_panels = (n + width - 1) // width
    for panel in range(n_panels):
        first = (n_panels - 1 - panel if flags >= BACKWARDS else panel) * width
        b, c_first = panels + first * k * size, c.address + first * size
        vectors = VECTORS // 2 if n - first <= width // 2 else VECTORS  # the rest of the panel is padding
        r = 0
        while r < m:
            rows = _rows_of_next_block(m - r)
            a_now, c_now = a.address + r * a.row, c_first + r * c.row
            multiply_block(rows, vectors, a_now, a.row, a.column, b, c_now, c.row, k, add, like)
            r += rows


@njit()
def _copy_row_blocks(a: At, m: int, k: int, to: int, like: Number) -> None:
    """Copy a (m, k) to the address ``to``, in blocks of BLOCK_ROWS rows, each stored column by column."""
    size = size_of(like)
    for block in range(0, m, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, m - block)
        if rows == BLOCK_ROWS and a.row == size:  # a transpose
            source, target = a.address + block * size, to + block * k * size
            for i in range(k):
                copy_block_column(source + i * a.column, target + i * BLOCK_ROWS * size, like)
            continue
        for i in range(k):
            source, target = a.address + block * a.row + i * a.column, to + (block * k + i * BLOCK_ROWS) * size
            for j in range(rows):
                store_number(target + j * size, load_number(source + j * a.row, like))


@njit()
def product_at(a: At, b: At, c: At, m: int, k: int, n: int, add: bool, like: Number) -> None:
    """Set c (m, n) to the product a (m, k) b (k, n), or add the product to c if ``add``.

    b is processed in parts that fit into the cache. a and b may have any strides; c must have contiguous rows.
    ``like`` is any finite number of their dtype.
    """
    size = size_of(like)
    width = width_of(size)
    columns, depth = GROUP * width, min(k, DEPTH)
    panels = np.full(columns * depth, like)
    edge = np.full((BLOCK_ROWS, columns), like)
    is_transposed = a.column != size
    room = (m + BLOCK_ROWS - 1) // BLOCK_ROWS * BLOCK_ROWS if is_transposed else 0
    copied = np.full(room * depth, like)
    for k_first in range(0, max(k, 1), DEPTH):
        deep = min(DEPTH, k - k_first)
        adding = 1 if add or k_first > 0 else 0
        if is_transposed:
            _copy_row_blocks(At(a.address + k_first * a.column, a.row, a.column), m, deep, address(copied), like)
        for start in range(0, n, columns):
            wide = min(columns, n - start)
            _pack(
                At(b.address + k_first * b.row + start * b.column, b.row, b.column),
                deep, wide, address(panels), like,
            )  # fmt: skip
            for r in range(0, m, BLOCK_ROWS):
                rows = min(BLOCK_ROWS, m - r)
                if is_transposed:
                    a_block = At(address(copied) + r * deep * size, size, BLOCK_ROWS * size)
                else:
                    a_block = At(a.address + r * a.row + k_first * a.column, a.row, a.column)
                here = At(c.address + r * c.row + start * size, c.row, size)
                if wide % width == 0:
                    multiply(a_block, rows, deep, address(panels), wide, here, adding, like)
                    continue
                for i in range(rows):  # the last panel is wider than c
                    for j in range(wide):
                        edge[i, j] = load_number(here.address + i * here.row + j * size, like)
                multiply(a_block, rows, deep, address(panels), wide, at(edge), adding, like)
                for i in range(rows):
                    for j in range(wide):
                        store_number(here.address + i * here.row + j * size, edge[i, j])


def _at(a: Matrix) -> At:
    return At(a.ctypes.data, *a.strides)


def product(a: Matrix, b: Matrix, c: Matrix, *, add: bool = False) -> None:
    """Write the product a (m, k) b (k, n) to c (m, n), or add it to c if ``add``.

    a and b may have any strides; c must have contiguous rows. ValueError if shapes or dtypes do not match.
    """
    if (a.shape[0], *b.shape) != (c.shape[0], a.shape[1], c.shape[1]) or not a.dtype == b.dtype == c.dtype:
        shapes = ", ".join(f"{x.dtype} {x.shape}" for x in (a, b, c))
        raise ValueError(f"got {shapes}; expected a (m, k), b (k, n) and c (m, n) of one type")
    (m, n), k, like = c.shape, a.shape[1], c.dtype.type(0)
    a_at, b_at, c_at = _at(a), _at(b), _at(c)
    shares: list[Share] = []
    if m > n:  # split by rows: each thread packs all of b, but none gets a whole panel more than another
        for i, j in threads.split(m, BLOCK_ROWS, m * n * k):
            rows_of_a, rows_of_c = (x._replace(address=x.address + i * x.row) for x in (a_at, c_at))
            shares.append((rows_of_a, b_at, rows_of_c, j - i, k, n, add, like))
    else:
        for i, j in threads.split(n, panel_width(c.dtype), m * n * k):
            columns_of_b, columns_of_c = (x._replace(address=x.address + i * x.column) for x in (b_at, c_at))
            shares.append((a_at, columns_of_b, columns_of_c, m, k, j - i, add, like))
    threads.run(product_at, shares)


def recurrent_gradient(h0: Matrix, hidden: Frames, dz: Frames, out: Matrix) -> None:
    """Write the loss gradient with respect to recurrent weights R to out (n, m).

    It is the sum of h_{t-1}^T dz_t over the steps t = 1..T. h0 (B, n) is h_0 of B sequences; hidden (T, B, n) holds
    h_1, ..., h_T; dz (T, B, m) holds dz_1, ..., dz_T, the loss gradients with respect to the products h_{t-1} R.
    """
    product(h0.T, dz[0], out)
    product(hidden[:-1].reshape(-1, hidden.shape[2]).T, dz[1:].reshape(-1, dz.shape[2]), out, add=True)


@njit()
def copy_row(source: Vector, target: Vector) -> None:
    """Set target[:] = source, in a loop, which numba compiles ten times faster than the assignment."""
    for j in range(target.size):
        target[j] = source[j]


@njit()
def add_row(source: Vector, target: Vector) -> None:
    """Add source to target[: source.size]; target may be longer than source."""
    for j in range(source.size):
        target[j] += source[j]


@njit()
def clear_row(target: Vector) -> None:
    """Set target[:] = 0."""
    for j in range(target.size):
        target[j] = 0


@njit()
def _column_sums_part(a: Matrix, sums: Vector, first: int, last: int) -> None:
    # Slices, because possibly negative indices would prevent vector instructions.
    part, total = a[:, first:last], sums[first:last]
    clear_row(total)
    for i in range(part.shape[0]):
        row = part[i]
        for j in range(total.size):
            total[j] += row[j]


def column_sums(a: Matrix) -> Vector:
    """Return the sum over the rows of a: (m, n) -> (n,)."""
    sums = np.empty(a.shape[1], a.dtype)
    shares = threads.split(a.shape[1], panel_width(a.dtype), 2 * a.size)
    threads.run(_column_sums_part, [(a, sums, *share) for share in shares])
    return sums


def require_shapes(**arrays: tuple[np.ndarray, tuple[int, ...]]) -> None:
    """Check the shapes of arrays, given as name=(array, expected shape). Compiled code does not check its indices.

    ValueError, with the name of the first array that has another shape.
    """
    for name, (array, expected) in arrays.items():
        if array.shape != expected:
            raise ValueError(f"{name} is {array.shape}; expected {expected}")
