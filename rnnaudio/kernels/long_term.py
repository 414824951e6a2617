"""One step of :class:`rnnaudio.nn.LongTermPrediction` as in evaluation (without dropout), on NumPy arrays."""

import numpy as np

from rnnaudio.kernels.arrays import Matrix, Vector
from rnnaudio.kernels.step import CompositeStep, Step


class LongTermStep(Step):
    """One step of long-term prediction, with the equations of :class:`rnnaudio.nn.LongTermPrediction`.

    n_features
        number of features of a frame.
    n_streams
        number of sequences computed at once.
    w_gate, b_gate, w_candidate, b_candidate
        the parameters w (M, 3), a (M,), q (3,) and d (J,).

    All sums add their J or 3 terms in order, so that the results of a stream are the same, bit for bit, for any number
    of streams.
    """

    def __init__(
        self, n_features: int, n_streams: int, w_gate: Matrix, b_gate: Vector, w_candidate: Vector, b_candidate: Vector
    ):
        self._sizes = len(b_candidate), len(b_gate), n_features
        n_frames, n_numbers = len(b_gate) * n_features, len(b_candidate) * w_gate.shape[1]
        super().__init__(n_streams, len(b_candidate) * n_frames + n_numbers, b_gate.dtype, room=[n_frames + n_numbers])
        self._weights = w_gate, b_gate, w_candidate, b_candidate

    def advance(self, x: Matrix) -> Matrix:
        w_gate, b_gate, w_candidate, b_candidate = self._weights
        n_candidates, n_back, n_features = self._sizes
        first_number, n_passed = n_candidates * n_back * n_features, n_back * n_features
        frames = x[:, :first_number].reshape(-1, n_candidates, n_back, n_features)
        beat = x[:, first_number:].reshape(-1, n_candidates, w_gate.shape[1])
        gates = 1.0 / (1.0 + np.exp(-(_dot(beat[:, :, None, :], w_gate) + b_gate)))
        weights = _shares(_dot(beat, w_candidate) + b_candidate, beat[:, :, 0] > 0.0)[:, :, None] * gates
        passed = weights[:, 0, :, None] * frames[:, 0]
        for k in range(1, n_candidates):
            passed += weights[:, k, :, None] * frames[:, k]
        (y,) = self.rows
        y[:, :n_passed] = passed.reshape(-1, n_passed)
        y[:, n_passed:] = x[:, first_number:]
        return y


def _dot(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Compute the sum of x w over the last axis, adding the terms in order."""
    total = x[..., 0] * w[..., 0]
    for k in range(1, w.shape[-1]):
        total = total + x[..., k] * w[..., k]
    return total


def _shares(z: Matrix, is_there: np.ndarray) -> Matrix:
    """Compute the softmax of z (n_streams, J) over the candidates for which ``is_there`` is True; 0 for the others."""
    z = np.where(is_there, z, z.min(axis=1, keepdims=True))
    powers = np.where(is_there, np.exp(z - z.max(axis=1, keepdims=True)), np.zeros((), z.dtype))
    total = powers[:, :1].copy()
    for k in range(1, z.shape[1]):
        total += powers[:, k : k + 1]
    return powers / np.where(total > 0.0, total, np.ones((), z.dtype))


class PastStep(CompositeStep):
    """One step of a body combined with long-term prediction: x = [v, past] -> [h, y] or h.

    y = long_term(past); h = body([v, y]) if ``feeds_body``, otherwise h = body(v). The output is [h, y] if
    ``feeds_head``, otherwise h. ``n_features`` is the width of v.
    """

    def __init__(self, long_term: Step, body: Step, n_features: int, *, feeds_body: bool, feeds_head: bool):
        super().__init__([long_term, body], [])
        self.n_in = n_features + long_term.n_in
        self._n, self._feeds_body, self._feeds_head = n_features, feeds_body, feeds_head

    def advance(self, x: Matrix) -> Matrix:
        long_term, body = self.steps
        y = long_term.advance(np.ascontiguousarray(x[:, self._n :]))
        v = x[:, : self._n]
        h = body.advance(np.concatenate([v, y], axis=1) if self._feeds_body else np.ascontiguousarray(v))
        return np.concatenate([h, y], axis=1) if self._feeds_head else h
