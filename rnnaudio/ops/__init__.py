"""Operations of a graph that the compiled kernels of :mod:`rnnaudio.kernels` compute, and their gradients.

Each is computed by the engine instead where the kernel is ``scan``.
"""

from rnnaudio.ops.dense import ACTIVATIONS, activated, affine, dot
from rnnaudio.ops.losses import bernoulli_nats, gaussian_nats, pixel_nats, squared_errors
from rnnaudio.ops.recurrent import gru, last, lstm, memory_lstm
from rnnaudio.ops.update import Update, sum_of_squares

__all__ = [
    "ACTIVATIONS",
    "Update",
    "activated",
    "affine",
    "bernoulli_nats",
    "dot",
    "gaussian_nats",
    "gru",
    "last",
    "lstm",
    "memory_lstm",
    "pixel_nats",
    "squared_errors",
    "sum_of_squares",
]
