"""Long-term prediction: gated inputs from the frames one or more periods of the beat before the predicted frame."""

import math

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Symbolic, tt
from rnnaudio.kernels.long_term import LongTermStep
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.feedforward import Dropout, FeedForward
from rnnaudio.nn.layer import Context, current

NUMBERS = 3  # for each candidate: confidence, and its products with the cosine and the sine of the phase
OPENING, CLOSED = 4.0, -2.0  # initial weight of the confidence, and bias: a gate is half open at a confidence of .5


class LongTermPrediction(FeedForward):
    """Gates that pass frames of the past, one or more periods of the beat before the frame to be predicted.

    There are J candidates for the beat and M distances, such as 1, 2 and 4 periods. Candidate j has the confidence c_j
    and the phase p_j, as numbers b_j = (c_j, c_j cos(2 pi p_j), c_j sin(2 pi p_j))
    (:meth:`rnnaudio.audio.beat.Pulse.numbers`), and v_jm are the features of the frame that lies distance m, in
    periods of candidate j, before the frame to be predicted:

        g_jm = sigmoid(b_j . w_m + a_m)
        s_j  = [c_j > 0] exp(b_j . q + d_j) / sum_i [c_i > 0] exp(b_i . q + d_i),   0 if there is no candidate
        x_m  = sum_j s_j g_jm v_jm
        y    = [x_1, ..., x_M, b_1, ..., b_J]

    The input is [v_11, ..., v_1M, v_21, ..., v_JM, b_1, ..., b_J], (..., J M n + 3 J) for ``n`` features, the output
    (..., M n + 3 J). J = ``n_candidates``, M = ``n_back``. Parameters: w (M, 3), a (M,), q (3,), d (J,). Before
    training w_m = q = (4, 0, 0), a = -2 and d = 0: the gates open with the confidence, and candidates with a higher
    confidence have a larger share s_j. In training, dropout (Srivastava et al. 2014) sets each frame v_jm to 0 with
    probability ``dropout`` at each step, and divides the others by 1 - dropout. ValueError unless 0 <= dropout < 1.

    Speech coders predict in the same way from the samples one period of the pitch earlier: Atal and Schroeder (1970),
    "Adaptive predictive coding of speech signals".
    """

    def __init__(self, n: int, *, n_candidates: int = 3, n_back: int = 3, dropout: float = 0.0):
        super().__init__()
        self.n_features, self.n_candidates, self.n_back = n, n_candidates, n_back
        self.n_in = n_candidates * (n_back * n + NUMBERS)
        self.n_out = n_back * n + n_candidates * NUMBERS
        opening = np.array([OPENING, 0.0, 0.0])
        self.w_gate = self._parameter("w_gate", np.tile(opening, (n_back, 1)))
        self.b_gate = self._parameter("b_gate", np.full(n_back, CLOSED))
        self.w_candidate = self._parameter("w_candidate", opening)
        self.b_candidate = self._parameter("b_candidate", np.zeros(n_candidates))
        self.dropout = self._child("dropout", Dropout(n_candidates * n_back, dropout))

    def activations(self) -> Activations:
        return Activations(widths(self.n_in, self.n_out), widths(self.n_in, self.n_out))  # weighted frames, output

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        leading = [x.shape[axis] for axis in range(x.ndim - 1)]
        sizes = self.n_candidates, self.n_back, self.n_features
        numbers = x[..., math.prod(sizes) :].reshape((-1, self.n_candidates * NUMBERS))
        beat = numbers.reshape((-1, self.n_candidates, NUMBERS))
        kept = self.dropout.apply(tt.ones_like(x[..., : self.dropout.n_in]), context).reshape((-1, *sizes[:2]))
        weights = self._shares(beat)[:, :, None] * self._gates(beat) * kept
        passed = tt.sum(weights[..., None] * x[..., : math.prod(sizes)].reshape((-1, *sizes)), axis=1)
        y = tt.concatenate([passed.reshape((-1, self.n_back * self.n_features)), numbers], axis=1)
        return y.reshape((*leading, self.n_out))

    def _gates(self, beat: Symbolic) -> Symbolic:
        """Compute the gates g from the numbers b: (rows, J, 3) -> (rows, J, M)."""
        return engine.sigmoid(tt.sum(beat[:, :, None, :] * self.w_gate, axis=3) + self.b_gate)

    def _shares(self, beat: Symbolic) -> Symbolic:
        """Compute the candidates' shares s from the numbers b: (rows, J, 3) -> (rows, J)."""
        z = tt.sum(beat * self.w_candidate, axis=2) + self.b_candidate
        is_there = beat[:, :, 0] > 0.0
        # Absent candidates are also left out of the exponents: one too large for exp would make the gradient NaN.
        z = tt.switch(is_there, z, tt.min(z, axis=1, keepdims=True))
        # The largest exponent is a constant to the gradient: the shares do not depend on what is subtracted.
        powers = tt.exp(z - engine.constant_to_gradient(tt.max(z, axis=1, keepdims=True)))
        powers = tt.switch(is_there, powers, tt.zeros_like(powers))
        total = tt.sum(powers, axis=1, keepdims=True)
        return powers / tt.switch(total > 0.0, total, tt.ones_like(total))

    def compiled_step(self, n_streams: int) -> LongTermStep:
        weights = current(self.w_gate, self.b_gate, self.w_candidate, self.b_candidate)
        return LongTermStep(self.n_features, n_streams, *weights)
