"""One step of attention over the last P entries, for generation.

The equations are those of :class:`rnnaudio.nn.PastAttention`. An entry [x, h] has m numbers; the last n of them are a
state h.
"""

import numpy as np

from rnnaudio.kernels.arrays import Matrix, Number, Panels, Vector
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.few_rows import multiply_few
from rnnaudio.kernels.past import softmax_from
from rnnaudio.kernels.product import address, at, copy_row, pack, padded
from rnnaudio.kernels.step import Step


@njit(fastmath={"contract", "reassoc"})  # if its terms may be added in any order, a sum takes an eighth of the time
def _dot(a: Vector, b: Vector) -> Number:
    total = a.dtype.type(0)
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@njit()
def _append(x: Vector, latest: Vector, entries: Vector, place: Vector) -> int:
    """Append the entry [x, latest state]; return the index in ``entries`` (2 P m,) where the last P entries begin."""
    m, n_x, begin = x.size, x.size - latest.size, int(place[0])
    length = entries.size // 2 // m
    if begin == length:
        copy_row(entries[length * m :], entries[: length * m])
        begin = 0
    end = (begin + length) * m
    copy_row(x[:n_x], entries[end : end + n_x])
    copy_row(latest, entries[end + n_x : end + m])
    place[0] = begin + 1
    return (begin + 1) * m


@njit()
def _mean(query: Vector, entries: Vector, bias: Vector, filled: Number, scores: Vector, mean: Vector) -> None:
    """Set mean (m,) to the mean of the existing entries (P m,), weighted by the softmax of their scores.

    ``filled`` is the number of states so far, including the current one, P + 1 at most. ``scores`` (P,) is set to the
    weights.
    """
    n, m, length = query.size, mean.size, scores.size
    exists = max(0, int(np.ceil(length + 0.5 - filled)))
    for i in range(exists, length):
        scores[i] = _dot(query, entries[(i + 1) * m - n : (i + 1) * m])
    softmax_from(scores, bias, exists)
    mean[:] = 0
    for i in range(exists, length):
        weight, entry = scores[i], entries[i * m : (i + 1) * m]
        for j in range(m):
            mean[j] += weight * entry[j]


@njit()
def _step(
    x: Matrix, latest: Matrix, entries: Matrix, filled: Matrix, place: Matrix, keys: Matrix, queries: Matrix,
    scores: Matrix, means: Matrix, added: Matrix, y: Matrix, w_query: Panels, w_key: Panels, w_value: Panels,
    bias: Vector,
) -> None:  # fmt: skip
    rows, m = x.shape
    n, length, like = latest.shape[1], bias.size, bias[0]
    begins = np.empty(rows, np.int64)
    for b in range(rows):
        begins[b] = _append(x[b], latest[b], entries[b], place[b])
        copy_row(x[b, m - n :], latest[b])
        filled[b, 0] = min(filled[b, 0] + 1, length + 1)
    multiply_few(at(latest), rows, n, address(w_query), w_query.size // n, at(keys), like)
    multiply_few(at(keys), rows, w_key.size // padded(n, bias.itemsize), address(w_key), n, at(queries), like)
    for b in range(rows):
        now = entries[b, begins[b] : begins[b] + length * m]
        _mean(queries[b, :n], now, bias, filled[b, 0], scores[b], means[b])
    multiply_few(at(means), rows, m, address(w_value), n, at(added), like)
    for b in range(rows):
        for j in range(n):
            y[b, j] = latest[b, j] + added[b, j]


class PastStep(Step):
    """One step of attention over the past: [x, h] (n_streams, m) -> y (n_streams, n).

    w_query
        (n, n_keys), divided by sqrt(n_keys).
    w_key
        (n, n_keys).
    w_value
        (m, n).
    bias
        (P,), the biases of the scores, from the oldest entry to the latest.

    The state is [latest, past, filled], arrays (n_streams, width). The entries of a stream are in a buffer for 2 P
    entries. Each step appends an entry. When the buffer is full, the last P entries are moved to its beginning; this
    also happens when :attr:`state` is read.
    """

    def __init__(self, w_query: Matrix, w_key: Matrix, w_value: Matrix, bias: Vector, n_streams: int):
        (n, n_keys), m, size = w_query.shape, len(w_value), bias.itemsize
        room = [n, 2 * bias.size * m, 1, 1, padded(n_keys, size), padded(n, size), bias.size, m, padded(n, size), n]
        super().__init__(n_streams, m, bias.dtype, room=room)
        self.initial = [np.zeros(width, bias.dtype) for width in (n, bias.size * m, 1)]
        self._weights = pack(w_query), pack(w_key.T), pack(w_value), bias

    @property
    def state(self) -> list[np.ndarray]:
        latest, entries, filled, place = self.rows[:4]
        n_past = entries.shape[1] // 2
        for b in np.flatnonzero(place):
            begin = int(place[b, 0]) * self.n_in
            entries[b, :n_past] = entries[b, begin : begin + n_past]
        place[:] = 0
        return [latest, entries[:, :n_past], filled]

    def advance(self, x: Matrix) -> Matrix:
        _step(x, *self.rows, *self._weights)
        return self.rows[-1]
