"""Attention of a recurrent stack over its own earlier states and the inputs that followed them."""

from typing import Generic, NamedTuple, cast, final

import numpy as np

from rnnaudio import ops
from rnnaudio.engine import Symbolic, tt
from rnnaudio.kernels.past_step import PastStep
from rnnaudio.kernels.step import Chain, Step
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.initializers import Initializer, glorot_uniform
from rnnaudio.nn.layer import Context, Layer, current
from rnnaudio.nn.model import Composite, Run
from rnnaudio.nn.recurrent import Cell
from rnnaudio.nn.state import Leaf, State, parts_of

RECENCY = 2.0  # without it the latest of 250 entries, which matters most, begins with a weight of .004


class PastState(NamedTuple, Generic[Leaf]):
    latest: Leaf  # h_t, whose following input is not yet known
    past: Leaf  # the last n_past entries, the oldest first, side by side
    filled: Leaf  # number of states so far, the latest too, n_past + 1 at most: a column

    @property
    def is_stored(self) -> bool:
        """Always True: the arrays are copies of past inputs and states (:func:`rnnaudio.nn.state.stored_leaves`)."""
        return True


@final  # `unroll` computes what `recur` and `output` define
class Recall(Cell[Symbolic, PastState[Symbolic]]):
    """Attention of h_t over the entries [x_{s+1}, h_s] of earlier steps s; the input is [x_t, h_t].

    The equations are those of :class:`PastAttention`; x_t has ``n_x`` numbers and h_t has ``n_units``. The state of a
    sequence holds h_t, the last n_past entries, and the number of states so far, which begins at 0 and is not counted
    beyond n_past + 1.
    :meth:`unroll` computes all steps at once; with a mask, or with a gradient truncated in time, it loops over
    ``recur``.
    """

    def __init__(
        self, n_x: int, n_units: int, n_past: int, *, n_keys: int, rng: np.random.Generator, weights: Initializer
    ):
        super().__init__()
        if n_past < 1 or n_keys < 1:
            raise ValueError(f"got n_past = {n_past} and n_keys = {n_keys}; expected 1 or more of each")
        self.n_in, self.n_out, self.n_past, self._n_x = n_x + n_units, n_units, n_past, n_x
        self.state_sizes = PastState(n_units, n_past * self.n_in, 1)
        self.w_query = self._parameter("w_query", weights(rng, (n_units, n_keys)))
        self.w_key = self._parameter("w_key", weights(rng, (n_units, n_keys)))
        self.w_value = self._parameter("w_value", np.zeros((self.n_in, n_units)))
        self.bias = self._parameter("bias", -RECENCY * np.log(np.arange(n_past, 0, -1)))
        self._scale = 1.0 / np.sqrt(n_keys)

    def sequences(self, x: Symbolic, context: Context) -> Symbolic:
        return x

    def recur(self, inputs: Symbolic, state: PastState[Symbolic]) -> PastState[Symbolic]:
        latest, past, filled = state
        entry = [inputs[:, : self._n_x], latest]
        shifted = tt.concatenate([past[:, self.n_in :], *entry], axis=1)
        return PastState(inputs[:, self._n_x :], shifted, self._counted(filled, 1))

    def output(self, states: PastState[Symbolic]) -> Symbolic:
        h, past, filled = states
        leading = [h.shape[axis] for axis in range(h.ndim - 1)]
        entries = past.reshape([*leading, self.n_past, self.n_in])
        scores = tt.sum(self._queries(h)[..., None, :] * entries[..., self._n_x :], axis=-1) + self.bias
        places = np.arange(self.n_past, dtype=h.dtype)
        weights = ops.masked_softmax(scores, places + filled[..., 0][..., None] > self.n_past + 0.5)
        return self._joined(h, tt.sum(weights[..., None] * entries, axis=-2))

    def _queries(self, h: Symbolic) -> Symbolic:
        """Compute h W_q W_k^T / sqrt(n_keys): (..., n) -> (..., n). Its product with h_s is the score without bias."""
        return ops.dot(ops.dot(h, self.w_query), self.w_key.T) * np.asarray(self._scale, h.dtype)

    def _joined(self, h: Symbolic, mean: Symbolic) -> Symbolic:
        return h + ops.dot(mean, self.w_value)

    def _counted(self, filled: Symbolic, n: int | Symbolic) -> Symbolic:
        return tt.minimum(filled + n, np.asarray(self.n_past + 1, filled.dtype))

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        if mask is not None or context.truncate_gradient >= 0:
            return super().unroll(x, state, context, mask)
        latest, past, filled = cast("PastState[Symbolic]", state)
        h = x[..., self._n_x :]
        before = tt.concatenate([latest[None, :, :], h[:-1]], axis=0)
        new = tt.concatenate([x[..., : self._n_x], before], axis=2)
        mean = ops.past_attention(self._queries(h), past, new, self.bias, filled)
        counted = self._counted(filled, tt.cast(x.shape[0], filled.dtype))
        return self._joined(h, mean), PastState(ops.last(h), ops.last_entries(past, new, self.n_past), counted)

    def activations(self, scanned: bool = False) -> Activations:
        if scanned:
            return super().activations(scanned)
        n, m, keys = self.n_out, self.n_in, self.w_key.get_value(borrow=True).shape[1]
        # Kept: states before, new entries and their mean; keys and queries, twice; weights; what is added; the output.
        return Activations(widths(n, m, m, keys, n, n, self.n_past, n, n), widths(n, m, m, keys, n, self.n_past))

    def compiled_step(self, n_streams: int) -> Step:
        w_query, w_key, w_value, bias = current(self.w_query, self.w_key, self.w_value, self.bias)
        return PastStep(w_query * w_query.dtype.type(self._scale), w_key, w_value, bias, n_streams)


class PastAttention(Composite):
    """A recurrent stack with attention over its last ``n_past`` steps.

    With h_t (batch, n) the output of ``body`` for its input x_t, step t attends to the earlier steps s = t - d at
    distances d = 1..n_past, as far as they exist:

        score_s = (h_t W_q) . (h_s W_k) / sqrt(n_keys) + b_d
        a = softmax(score)
        y_t = h_t + sum_s a_s [x_{s+1}, h_s] W_v

    An entry [x_{s+1}, h_s] is an earlier state and the input that followed it. As s + 1 <= t, y_t depends on x_1..x_t
    only. Without any entry the sum is 0. The parameters are ``w_query`` and ``w_key`` (n, n_keys), ``w_value``
    (n_in + n, n) and ``bias`` (n_past,), b_d in order of decreasing distance d. ``weights`` is the initializer of
    ``w_query`` and ``w_key``; it samples with ``rng``. W_v starts at 0, so that y_t = h_t before training. b_d starts
    at -2 log d, so that for equal products of query and key the initial a_s are proportional to 1 / d^2.

    The entries are part of the state. If the state is carried from batch to batch, they are like the memory of
    Transformer-XL (Dai et al. 2019): no gradient flows into past batches. Inputs and states are stored rather than
    keys and values, so that the keys and values of past batches are computed with the current parameters.

    The full paths of the parameters of ``body`` are the same as without attention. ValueError if n_past or n_keys is
    below 1.
    """

    def __init__(
        self,
        body: Layer,
        n_past: int,
        *,
        rng: np.random.Generator,
        n_keys: int = 64,
        weights: Initializer = glorot_uniform,
    ):
        super().__init__()
        self.n_in, self.n_out = body.n_in, body.n_out
        self._child("", body)
        self.recall = self._child(
            "recall", Recall(body.n_in, body.n_out, n_past, n_keys=n_keys, rng=rng, weights=weights)
        )

    def activations(self) -> Activations:
        both = widths(self.n_in + self.n_out)  # input and output of the body, joined
        return super().activations().beside(Activations(both, both | widths(self.n_in)))

    def _wire(self, x: Symbolic, state: State, run: Run) -> tuple[Symbolic, State]:
        (body, recall), (of_body, of_recall) = self._children.values(), parts_of(state)
        h, after = run(body, x, of_body)
        y, recalled = run(recall, tt.concatenate([x, h], axis=x.ndim - 1), of_recall)
        return y, (after, recalled)

    def compiled_step(self, n_streams: int) -> Step | None:
        steps = self._compiled_steps(n_streams)
        return Chain(steps, lambda k, x, outputs: [x, *outputs]) if steps else None
