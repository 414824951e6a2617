"""The lowest tier of a model of samples, sample after sample, and how each is drawn.

The equations are those of :class:`rnnaudio.nn.SampleTier` and of the read-outs' ``sample``. All streams make a step
together, so that the weights are read once for all of them; each draws with numbers of its own.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.kernels.activations import linear_row, relu_row
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.few_rows import multiply_few
from rnnaudio.kernels.logistic import softplus
from rnnaudio.kernels.product import address, at, pack, padded

#: the kinds of read-outs that can be drawn from here, and how many numbers U(0, 1) a draw takes
DRAWS = {"categorical": 1, "logistic": 2}
NO_DRAW, CATEGORICAL = -1, 0


class Weights(NamedTuple):
    """Packed matrices and biases; ``taps`` of the linear path, the constant last, empty for none."""

    w_input: np.ndarray
    w_hidden: np.ndarray
    b_hidden: np.ndarray
    w_output: np.ndarray
    b_output: np.ndarray
    taps: np.ndarray


class Scales(NamedTuple):
    """n_window, n_levels, deviation of the values, and of a logistic read-out: the unit, and the least scale in it."""

    n_window: int
    n_levels: int
    deviation: float
    unit: float
    least_scale: float


class Room(NamedTuple):
    """Memory for a step of all streams."""

    window: np.ndarray
    sums: np.ndarray
    first: np.ndarray
    second: np.ndarray


def packed(arrays: list[np.ndarray]) -> Weights:
    """Plain arrays, in the order of :class:`Weights`, as the loop reads them."""
    w_input, w_hidden, b_hidden, w_output, b_output, taps = arrays
    return Weights(pack(w_input), pack(w_hidden), b_hidden, pack(w_output), b_output, taps)


def room(n_streams: int, n_window: int, n_units: int, n_said: int, dtype: Any) -> Room:
    """For so many streams."""
    widths = n_window, padded(max(n_units, n_said), np.dtype(dtype).itemsize), n_units, n_units
    return Room(*(np.zeros((n_streams, width), dtype) for width in widths))


@njit()
def _component(said: Any, n: int, temperature: float, uniform: float) -> int:
    """One of the first n, by inversion of the cumulative sums of softmax(said / temperature)."""
    most = np.float64(said[0])
    for k in range(1, n):
        most = max(most, np.float64(said[k]))
    total = 0.0
    for k in range(n):
        total += math.exp((said[k] - most) / temperature)
    left = uniform * total
    for k in range(n):
        left -= math.exp((said[k] - most) / temperature)
        if left < 0.0:
            return k
    return n - 1


@njit()
def _logistic_level(said: Any, scales: Any, temperature: float, uniform: Any) -> int:
    n = said.size // 3
    k = _component(said, n, temperature, uniform[0])
    s = temperature * (softplus(np.float64(said[2 * n + k])) + scales.least_scale)
    u = max(uniform[1], 1e-300)
    value = scales.unit * (said[n + k] + s * (math.log(u) - math.log1p(-u)))
    value = min(max(value, -1.0), 1.0)
    return math.floor((value + 1.0) / 2.0 * (scales.n_levels - 1) + 0.5)


@njit()
def _centre(past: Any, taps: Any, deviation: float) -> float:
    """a_0 v_{t-1} + .. + a_p; past ends with u_{t-1} = v_{t-1} / deviation."""
    n = taps.size - 1
    total = 0.0
    for lag in range(n):
        total += np.float64(taps[lag]) * past[past.size - 1 - lag]
    return total * deviation + taps[n]


@njit()
def play(
    u: Any, told: Any, uniform: Any, said: Any, levels: Any, weights: Any, scales: Any, room: Any,
    kind: int, temperature: float, first: int, last: int,
) -> None:  # fmt: skip
    """Samples first..last of a frame of all streams: said of each, and its level, drawn.

    u (streams, n_context + n): values over their deviation; what is drawn is written behind what was heard. told
    (streams, n n_units): what the tier above says of each of the n samples. uniform (streams, n, k), said (n, streams,
    n_said), levels (streams, n). kind: which of DRAWS, or NO_DRAW: leave u and levels to the caller.
    """
    n_streams, n_units, n_said, like = u.shape[0], weights.b_hidden.size, weights.b_output.size, weights.b_hidden[0]
    begin = u.shape[1] - levels.shape[1]
    for j in range(first, last):
        now = begin + j
        for b in range(n_streams):
            for lag in range(scales.n_window):
                room.window[b, lag] = u[b, now - 1 - lag]
        multiply_few(
            at(room.window), n_streams, scales.n_window, address(weights.w_input), n_units, at(room.sums), like
        )
        for b in range(n_streams):
            relu_row(room.sums[b], told[b, j * n_units : (j + 1) * n_units], room.first[b])
        multiply_few(at(room.first), n_streams, n_units, address(weights.w_hidden), n_units, at(room.sums), like)
        for b in range(n_streams):
            relu_row(room.sums[b], weights.b_hidden, room.second[b])
        multiply_few(at(room.second), n_streams, n_units, address(weights.w_output), n_said, at(room.sums), like)
        for b in range(n_streams):
            linear_row(room.sums[b], weights.b_output, said[j, b])
            if weights.taps.size:
                centre = _centre(u[b, :now], weights.taps, scales.deviation) / scales.unit
                for k in range(n_said // 3, 2 * (n_said // 3)):
                    said[j, b, k] += centre
            if kind == NO_DRAW:
                continue
            if kind == CATEGORICAL:
                level = _component(said[j, b], n_said, temperature, uniform[b, j, 0])
            else:
                level = _logistic_level(said[j, b], scales, temperature, uniform[b, j])
            levels[b, j] = level
            u[b, now] = (2.0 * level / (scales.n_levels - 1) - 1.0) / scales.deviation
