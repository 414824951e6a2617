"""Graph operations that are computed by the compiled kernels of :mod:`rnnaudio.kernels`, and their gradients.

If :func:`rnnaudio.engine.kernel` returns ``scan``, most functions use the engine's own operations instead. The
functions for recurrent cells and DRAW always use kernels; with ``scan``, layers do not call them, but unroll their own
equations.
"""

from rnnaudio.ops.dense import ACTIVATIONS, activated, affine, dot
from rnnaudio.ops.losses import bernoulli_nats, gaussian_nats, pixel_nats, squared_errors
from rnnaudio.ops.past import last_entries, masked_softmax, past_attention
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
    "last_entries",
    "lstm",
    "masked_softmax",
    "memory_lstm",
    "past_attention",
    "pixel_nats",
    "squared_errors",
    "sum_of_squares",
]
