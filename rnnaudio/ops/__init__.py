"""Graph operations that the compiled kernels of :mod:`rnnaudio.kernels` compute, and their gradients.

If :func:`rnnaudio.engine.kernel` is ``scan``, most functions use the engine's own operations instead. Those for
recurrent cells and DRAW do not: the layers then unroll their equations by scan and do not call them.
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
