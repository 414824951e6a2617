"""Free run of the lowest tier of a sample model, which predicts and samples one audio sample after another.

The equations are those of :class:`rnnaudio.nn.SampleTier` and of the read-outs' method ``sample``. Each step is
computed for all streams (independent sequences) together, so that the weights are read only once per step. Each stream
has its own random numbers.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from rnnaudio.kernels.activations import linear_row, relu_row
from rnnaudio.kernels.arrays import Frames, Levels, Matrix, Vector
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.few_rows import multiply_few
from rnnaudio.kernels.logistic import softplus
from rnnaudio.kernels.product import address, at, pack, padded

#: read-outs that this module can sample from, and how many numbers U(0, 1) it takes to sample a level
SAMPLERS = {"categorical": 1, "logistic": 2}
NO_SAMPLER, CATEGORICAL = -1, 0


class Weights(NamedTuple):
    """The weights of a :class:`rnnaudio.nn.SampleTier`, with packed matrices (see :func:`packed`), and ``taps``.

    taps (p + 1,) are the coefficients of a linear prediction from p samples, then its constant; an empty array stands
    for no linear prediction.
    """

    w_input: np.ndarray
    w_hidden: np.ndarray
    b_hidden: np.ndarray
    w_output: np.ndarray
    b_output: np.ndarray
    taps: np.ndarray


class Scales(NamedTuple):
    """Sizes of a sample tier, and scales of sample values v, which lie between -1 and 1.

    n_window
        number of previous samples that are the tier's input.
    n_levels
        number of levels of a sample.
    deviation
        the standard deviation by which values are divided at the input, u = v / deviation.
    unit
        for a logistic read-out, the unit of the locations m and scales s, on the scale of v; otherwise 1.
    least_scale
        for a logistic read-out, the minimum of s, in this unit; otherwise 0.
    """

    n_window: int
    n_levels: int
    deviation: float
    unit: float
    least_scale: float


class Room(NamedTuple):
    """Arrays (n_streams, width) for intermediate results of one step of all streams.

    ``window`` holds the previous samples, ``sums`` the result of the last matrix product, and ``first`` and ``second``
    the two hidden layers.
    """

    window: np.ndarray
    sums: np.ndarray
    first: np.ndarray
    second: np.ndarray


def packed(arrays: list[np.ndarray]) -> Weights:
    """Make :class:`Weights` from six arrays, in the order of its fields; matrices are packed."""
    w_input, w_hidden, b_hidden, w_output, b_output, taps = arrays
    return Weights(pack(w_input), pack(w_hidden), b_hidden, pack(w_output), b_output, taps)


def room(n_streams: int, n_window: int, n_units: int, n_outputs: int, dtype: DTypeLike) -> Room:
    """Allocate the arrays of :class:`Room`, each (n_streams, width).

    ``n_window`` is the number of previous samples that are the tier's input, ``n_units`` the width of its hidden
    layers, and ``n_outputs`` the number of parameters that the tier predicts for a sample.
    """
    widths = n_window, padded(max(n_units, n_outputs), np.dtype(dtype).itemsize), n_units, n_units
    return Room(*(np.zeros((n_streams, width), dtype) for width in widths))


@njit()
def _component(prediction: Vector, n: int, temperature: float, uniform: float) -> int:
    """Sample an index from softmax(prediction[:n] / temperature), by inversion of its CDF at ``uniform``."""
    most = np.float64(prediction[0])
    for k in range(1, n):
        most = max(most, np.float64(prediction[k]))
    total = 0.0
    for k in range(n):
        total += math.exp((prediction[k] - most) / temperature)
    left = uniform * total
    for k in range(n):
        left -= math.exp((prediction[k] - most) / temperature)
        if left < 0.0:
            return k
    return n - 1


@njit()
def _logistic_level(prediction: Vector, scales: Scales, temperature: float, uniform: Vector) -> int:
    n = prediction.size // 3
    k = _component(prediction, n, temperature, uniform[0])
    s = temperature * (softplus(np.float64(prediction[2 * n + k])) + scales.least_scale)
    u = max(uniform[1], 1e-300)
    value = scales.unit * (prediction[n + k] + s * (math.log(u) - math.log1p(-u)))
    value = min(max(value, -1.0), 1.0)
    return math.floor((value + 1.0) / 2.0 * (scales.n_levels - 1) + 0.5)


@njit()
def _centre(past: Vector, taps: Vector, deviation: float) -> float:
    """Return a_0 v_{t-1} + ... + a_{p-1} v_{t-p} + a_p, where ``past`` ends with u_{t-1} = v_{t-1} / deviation."""
    n = taps.size - 1
    total = 0.0
    for lag in range(n):
        total += np.float64(taps[lag]) * past[past.size - 1 - lag]
    return total * deviation + taps[n]


@njit()
def play(
    u: Matrix, above: Matrix, uniform: Frames, prediction: Frames, levels: Levels,
    weights: Weights, scales: Scales, room: Room, kind: int, temperature: float, first: int, last: int,
) -> None:  # fmt: skip
    """Predict the samples first to last - 1 of a frame of n samples, and sample their levels, for all streams.

    The results are written to u, prediction and levels. n_units is the width of the hidden layers, and n_outputs the
    number of parameters of the distribution of a sample.

    u (streams, n_context + n)
        values of samples divided by ``deviation``: the context, then the frame, which is filled sample by sample.
    above (streams, n n_units)
        the output of the tier above for each of the n samples.
    uniform (streams, n, k)
        random numbers U(0, 1), k for each sample, where k is the value of the read-out in SAMPLERS.
    prediction (n, streams, n_outputs), levels (streams, n)
        the parameters of each sample's distribution, and the sampled levels.
    weights, scales, room
        see :class:`Weights`, :class:`Scales` and :class:`Room`; the arrays of ``room`` are overwritten.
    kind
        the index of the read-out in SAMPLERS; or NO_SAMPLER, to predict without sampling: the caller then sets u and
        levels.
    temperature
        the logits are divided by it; the scale s of a logistic read-out is multiplied by it.
    """
    n_streams, n_units, n_outputs, like = u.shape[0], weights.b_hidden.size, weights.b_output.size, weights.b_hidden[0]
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
            relu_row(room.sums[b], above[b, j * n_units : (j + 1) * n_units], room.first[b])
        multiply_few(at(room.first), n_streams, n_units, address(weights.w_hidden), n_units, at(room.sums), like)
        for b in range(n_streams):
            relu_row(room.sums[b], weights.b_hidden, room.second[b])
        multiply_few(at(room.second), n_streams, n_units, address(weights.w_output), n_outputs, at(room.sums), like)
        for b in range(n_streams):
            linear_row(room.sums[b], weights.b_output, prediction[j, b])
            if weights.taps.size:
                centre = _centre(u[b, :now], weights.taps, scales.deviation) / scales.unit
                for k in range(n_outputs // 3, 2 * (n_outputs // 3)):
                    prediction[j, b, k] += centre
            if kind == NO_SAMPLER:
                continue
            if kind == CATEGORICAL:
                level = _component(prediction[j, b], n_outputs, temperature, uniform[b, j, 0])
            else:
                level = _logistic_level(prediction[j, b], scales, temperature, uniform[b, j])
            levels[b, j] = level
            u[b, now] = (2.0 * level / (scales.n_levels - 1) - 1.0) / scales.deviation
