"""What follows the products in one step of an LSTM, forward and backward, for cells whose loop is scan's.

The equations are :class:`rnnaudio.nn.recurrent.LSTM`'s. Shapes: gates (B, 4 n) in the order i, f, g, o; c, h (B, n);
peepholes (3, n), empty for none.
"""

from typing import Any

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.buffers import empty
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.lstm import gates_back, gates_of
from rnnaudio.kernels.product import copy_row, require_shapes


@njit()
def _forward(
    x: Any, z: Any, zero: Any, peepholes: Any, c_before: Any, gates: Any, c: Any, h: Any, first: int, last: int
) -> None:
    for b in range(first, last):
        copy_row(x[b], gates[b])
        gates_of(z[b], zero, peepholes, c_before[b], gates[b], c[b], h[b])


@njit()
def _backward(
    gates: Any, peepholes: Any, c_before: Any, c: Any, dh: Any, dc: Any, dz: Any, first: int, last: int
) -> None:
    row = np.empty(c.shape[1], c.dtype)
    for b in range(first, last):
        gates_back(gates[b], peepholes, c_before[b], c[b], dh[b], dc[b], dz[b], row)


def forward(x: np.ndarray, z: np.ndarray, peepholes: np.ndarray, c_before: np.ndarray) -> list[np.ndarray]:
    """Pre-activations in two parts, x and z (B, 4 n) -> hidden, cell, gates."""
    batch, n = c_before.shape
    require_shapes(x=(x, (batch, 4 * n)), z=(z, (batch, 4 * n)))
    h, c, gates = (empty((batch, width), x.dtype) for width in (n, n, 4 * n))
    zero = np.zeros(4 * n, x.dtype)
    shares = threads.split(batch, work=4 * x.size)
    threads.run(_forward, [(x, z, zero, peepholes, c_before, gates, c, h, *share) for share in shares])
    return [h, c, gates]


def backward(
    gates: np.ndarray, peepholes: np.ndarray, c_before: np.ndarray, c: np.ndarray, dh: np.ndarray, dc: np.ndarray
) -> list[np.ndarray]:
    """Gradients at the pre-activations, the cell before, and the peepholes, given those of hidden and cell."""
    batch, n = c.shape
    require_shapes(dh=(dh, c.shape), dc=(dc, c.shape))
    dz, dc_before = empty(gates.shape, gates.dtype), dc.copy()
    shares = threads.split(batch, work=4 * gates.size)
    threads.run(_backward, [(gates, peepholes, c_before, c, dh, dc_before, dz, *share) for share in shares])
    d_peepholes = np.empty_like(peepholes)
    if peepholes.size:
        d_i, d_f, _, d_o = (dz[:, block * n : (block + 1) * n] for block in range(4))
        for row, (cell, d) in enumerate(((c_before, d_i), (c_before, d_f), (c, d_o))):
            d_peepholes[row] = np.einsum("bn,bn->n", cell, d)
    return [dz, dc_before, d_peepholes]
