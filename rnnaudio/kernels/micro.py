"""The innermost loop of every matrix product: it computes a block of C = A B, or C += A B, in vector registers.

A recurrence multiplies few rows (a thread's share of the batch) by the same matrix at every time step. A BLAS library
packs this matrix again in each call, which halves the speed for 32 rows. Here the matrix is packed once for all steps
(:mod:`rnnaudio.kernels.product`), so that the loop is as fast as in a large product.

numba has no vector type, so the loop is written as LLVM instructions, which LLVM translates to AVX-512, AVX2 or NEON.
"""

import platform
from collections.abc import Callable, Sequence
from typing import TypeAlias

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.base import BaseContext
from numba.core.typing.context import BaseContext as TypingContext
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numpy.typing import DTypeLike

from rnnaudio.kernels.arrays import Compiled

# An intrinsic returns its signature, and a function (context, builder, signature, arguments) that emits its code.
Intrinsic: TypeAlias = tuple[Signature, Callable[..., ir.Value]]

_FEATURES = llvm.get_host_cpu_features()
_IS_ARM = platform.machine().lower() in ("arm64", "aarch64")
#: bytes of a vector register, and rows of C in one block: rows x 2 accumulators must leave registers for A and B
VECTOR_BYTES, BLOCK_ROWS = (
    (64, 8) if _FEATURES.get("avx512f") else (32, 6) if _FEATURES.get("avx2") else (16, 8) if _IS_ARM else (16, 4)
)
# On a processor without fused multiply-add, llvm.fma would call a function of the C library for every number.
MULTIPLY_ADD = "llvm.fma" if _IS_ARM or _FEATURES.get("fma") else "llvm.fmuladd"
VECTORS = 2
#: each thread's share of a batch, except the last, is a multiple of this many rows: so no slow blocks of 1 or 2 rows
SHARE_ROWS = 8 if BLOCK_ROWS == 8 else 4


def panel_width(dtype: DTypeLike) -> int:
    """Return the number of columns of a panel, the number of values of ``dtype`` in two vector registers."""
    return VECTORS * VECTOR_BYTES // np.dtype(dtype).itemsize


def _emit_block(
    builder: ir.IRBuilder, n_rows: int, n_vectors: int, itemsize: int, arguments: Sequence[ir.Value]
) -> None:
    """Emit LLVM code for a block of n_rows x n_vectors: sum over k in registers, then store the sums or add them to C.

    ``itemsize`` is the size of a number in bytes, 4 or 8. ``arguments`` are the arguments of the intrinsic made by
    :func:`_blocks`, without rows and vectors.
    """
    number = {4: ir.FloatType(), 8: ir.DoubleType()}[itemsize]
    lanes = VECTOR_BYTES // itemsize
    vector = ir.VectorType(number, lanes)
    int64, int32 = ir.IntType(64), ir.IntType(32)
    cells = [(r, v) for r in range(n_rows) for v in range(n_vectors)]
    a, a_row, a_k, b, c, c_row, k, add, _ = arguments
    multiply_add = builder.module.declare_intrinsic(
        f"{MULTIPLY_ADD}.v{lanes}f{8 * itemsize}", (), ir.FunctionType(vector, [vector] * 3)
    )

    def at(address: ir.Value, offset: ir.Value, kind: ir.Type) -> ir.Value:
        return builder.inttoptr(builder.add(address, offset), kind.as_pointer())

    def spread(x: ir.Value) -> ir.Value:
        undefined = ir.Constant(vector, ir.Undefined)
        lane_zero = builder.insert_element(undefined, x, int32(0))
        return builder.shuffle_vector(lane_zero, undefined, ir.Constant(ir.VectorType(int32, lanes), [0] * lanes))

    zero = ir.Constant(vector, [0.0] * lanes)
    before = builder.block
    loop, after = builder.append_basic_block("k"), builder.append_basic_block("after")
    rows_of_a = [builder.mul(a_row, int64(r)) for r in range(n_rows)]
    panel = builder.mul(k, int64(VECTORS * VECTOR_BYTES))
    vectors_of_b = [
        builder.add(builder.mul(panel, int64(v // VECTORS)), int64(v % VECTORS * VECTOR_BYTES))
        for v in range(n_vectors)
    ]
    builder.cbranch(builder.icmp_signed(">", k, int64(0)), loop, after)

    builder.position_at_end(loop)
    i, a_now, b_now = builder.phi(int64), builder.phi(int64), builder.phi(int64)
    sums = {cell: builder.phi(vector) for cell in cells}
    row_of_b = [builder.load(at(b_now, offset, vector), align=itemsize) for offset in vectors_of_b]
    column_of_a = [spread(builder.load(at(a_now, row, number), align=itemsize)) for row in rows_of_a]
    added = {(r, v): builder.call(multiply_add, [column_of_a[r], row_of_b[v], sums[r, v]]) for r, v in cells}
    stepped = [
        builder.add(i, int64(1)),
        builder.add(a_now, a_k),
        builder.add(b_now, int64(VECTORS * VECTOR_BYTES)),
    ]
    for phi, first, following in zip([i, a_now, b_now], [int64(0), a, b], stepped, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(following, loop)
    for cell in cells:
        sums[cell].add_incoming(zero, before)
        sums[cell].add_incoming(added[cell], loop)
    builder.cbranch(builder.icmp_signed("<", stepped[0], k), loop, after)

    builder.position_at_end(after)
    totals = {cell: builder.phi(vector) for cell in cells}
    for cell in cells:
        totals[cell].add_incoming(zero, before)
        totals[cell].add_incoming(added[cell], loop)
    places = {
        (r, v): at(c, builder.add(builder.mul(c_row, int64(r)), int64(v * VECTOR_BYTES)), vector) for r, v in cells
    }
    with builder.if_else(builder.icmp_signed("!=", add, int64(0))) as (adding, replacing):
        with adding:
            for cell in cells:
                old = builder.load(places[cell], align=itemsize)
                builder.store(builder.fadd(old, totals[cell]), places[cell], align=itemsize)
        with replacing:
            for cell in cells:
                builder.store(totals[cell], places[cell], align=itemsize)


def _blocks(kinds: Sequence[tuple[int, int]]) -> Compiled:
    """Make an intrinsic that multiplies one block, for the block sizes (rows, vectors) listed in ``kinds``.

    block(rows, vectors, a, a_row, a_k, b, c, c_row, k, add, like) computes C (rows, vectors) = A (rows, k) B (k,
    vectors), or C += A B if ``add`` is not 0. a, b and c are addresses; a_row, a_k and c_row are strides in bytes. B
    is a packed panel: k consecutive rows of VECTORS vectors. If a block has more than VECTORS vectors, the
    others are those of the next panel. ``like`` is any number of the same dtype as the matrices.
    """

    @intrinsic
    def block(
        typing: TypingContext, rows: types.Type, vectors: types.Type,
        a: types.Type, a_row: types.Type, a_k: types.Type, b: types.Type, c: types.Type, c_row: types.Type,
        k: types.Type, add: types.Type, like: types.Type,
    ) -> Intrinsic:  # fmt: skip
        def generate(
            context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
        ) -> ir.Value:
            asked_rows, asked_vectors, *rest = arguments
            for n_rows, n_vectors in kinds:
                same_rows = builder.icmp_signed("==", asked_rows, ir.Constant(asked_rows.type, n_rows))
                same_width = builder.icmp_signed("==", asked_vectors, ir.Constant(asked_vectors.type, n_vectors))
                with builder.if_then(builder.and_(same_rows, same_width)):
                    _emit_block(builder, n_rows, n_vectors, like.bitwidth // 8, rest)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, *[types.intp] * 8, like), generate

    return block


#: for whole sequences; half panels serve a last panel whose second half is padding
multiply_block = _blocks(
    [(rows, vectors) for rows in sorted({BLOCK_ROWS, 4, 2, 1}) for vectors in (VECTORS // 2, VECTORS)]
)
#: for one step of few rows; blocks of one or two rows take two panels at once: with one panel there would be so few
#: independent sums that each multiplication would wait for the one before
multiply_few_block = _blocks(
    [*((rows, VECTORS) for rows in sorted({BLOCK_ROWS, 4, 3, 2, 1})), (2, 2 * VECTORS), (1, 2 * VECTORS)]
)


@intrinsic
def copy_panel_row(typing: TypingContext, source: types.Type, target: types.Type, like: types.Type) -> Intrinsic:
    """Copy one row of a panel from address ``source`` to ``target``; ``like`` is any number of the panel's dtype."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
    ) -> ir.Value:
        vector = ir.VectorType(ir.IntType(8), VECTOR_BYTES)
        for v in range(VECTORS):
            offset = ir.Constant(ir.IntType(64), v * VECTOR_BYTES)
            there, here = (
                builder.inttoptr(builder.add(address, offset), vector.as_pointer()) for address in arguments[:2]
            )
            builder.store(builder.load(there, align=1), here, align=1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like), generate


@intrinsic
def copy_block_column(typing: TypingContext, source: types.Type, target: types.Type, like: types.Type) -> Intrinsic:
    """Copy BLOCK_ROWS adjacent numbers from address ``source`` to ``target``; ``like`` is a number of their dtype."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
    ) -> ir.Value:
        column = ir.VectorType(context.get_value_type(like), BLOCK_ROWS)
        there, here = (builder.inttoptr(address, column.as_pointer()) for address in arguments[:2])
        builder.store(builder.load(there, align=like.bitwidth // 8), here, align=like.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like), generate


@intrinsic
def load_number(typing: TypingContext, address: types.Type, like: types.Type) -> Intrinsic:
    """Return the number stored at ``address``; ``like`` is any number of its dtype."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
    ) -> ir.Value:
        kind = context.get_value_type(like)
        return builder.load(builder.inttoptr(arguments[0], kind.as_pointer()))

    return like(types.intp, like), generate


@intrinsic
def store_number(typing: TypingContext, address: types.Type, value: types.Type) -> Intrinsic:
    """Write the number ``value`` to ``address``."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
    ) -> ir.Value:
        builder.store(arguments[1], builder.inttoptr(arguments[0], context.get_value_type(value).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, value), generate


@intrinsic
def size_of(typing: TypingContext, like: types.Type) -> Intrinsic:
    """Return the size in bytes of one number of the dtype of ``like``."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
    ) -> ir.Value:
        return ir.Constant(ir.IntType(64), like.bitwidth // 8)

    return types.intp(like), generate
