"""A recurrent model of codes, from the features of frames to probabilities of the next frame's codes."""

from collections.abc import Sequence

import numpy as np

from rnnaudio import engine, losses
from rnnaudio.engine import Size, Symbolic, tt
from rnnaudio.nn.layer import Context, Layer
from rnnaudio.nn.state import State, StateSizes


class CodeModel(Layer):
    """P(c_1, ..., c_K | frames so far) = prod_k P(c_k | h, c_1, ..., c_{k-1}), h the body's output.

    A frame has K codes c_k, one per stage. The body's input is the features v(c_1, ..., c_K) of the last frame,
    v = (e_1[c_1] + ... + e_K[c_K]) / deviation, with e_k the centres of stage k of a :class:`rnnaudio.data.Codec`; the
    centres are saved with the model but not trained. Each stage has a head of its own:

        logits_k = head_k([h, v(c_1, ..., c_{k-1})]),  logits_1 = head_1(h)

    body
        any layer n_features -> n_hidden.
    heads
        one per stage: a layer n_hidden -> n_codes for the first, n_hidden + n_features -> n_codes for each other;
        layers without a state.
    centres, deviations
        the codec's, (K, n_codes, n_features) and (n_features,); a deviation counts as at least 1e-6 of the largest.

    ``step`` and ``unroll`` compute the body alone: features (..., batch, n_features) -> h; :meth:`nats` and
    :meth:`sample` compute the heads. ValueError if the number of heads, or a width of body or heads, does not fit the
    centres.
    """

    def __init__(self, body: Layer, heads: Sequence[Layer], *, centres: np.ndarray, deviations: np.ndarray):
        super().__init__()
        n_stages, n_codes, n_features = centres.shape
        expected = [(body.n_out + (n_features if k else 0), n_codes) for k in range(n_stages)]
        widths = [(head.n_in, head.n_out) for head in heads]
        if body.n_in != n_features or widths != expected:
            raise ValueError(
                f"the body takes {body.n_in} inputs and the heads are {widths}; expected {n_features} and {expected} "
                f"for centres {centres.shape}"
            )
        self.n_in, self.n_out = body.n_in, body.n_out
        self.body = self._child("body", body)
        self.heads = [self._child(f"head_{k + 1}", head) for k, head in enumerate(heads)]
        scaled = centres / np.maximum(deviations, 1e-6 * float(np.max(deviations)))
        self.centres = [self._statistic(f"centres_{k + 1}", e) for k, e in enumerate(scaled)]

    @property
    def n_stages(self) -> int:
        return len(self.heads)

    @property
    def state_sizes(self) -> StateSizes:
        return self.body.state_sizes

    def initial_state(self, batch_size: Size) -> State:
        return self.body.initial_state(batch_size)

    def step(self, x: Symbolic, state: State, context: Context) -> tuple[Symbolic, State]:
        return self.body.step(x, state, context)

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        return self.body.unroll(x, state, context, mask)

    def features(self, codes: Symbolic, n_stages: int | None = None) -> Symbolic:
        """Compute the features v of integer codes: (..., K) -> (..., n_features).

        Only the codes of the first ``n_stages`` stages are added up; None: the codes of all stages.
        """
        leading = [codes.shape[axis] for axis in range(codes.ndim - 1)]
        parts = [
            centres[codes[..., k].flatten()].reshape([*leading, self.n_in])
            for k, centres in enumerate(self.centres[:n_stages])
        ]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def nats(self, hidden: Symbolic, codes: Symbolic, context: Context) -> list[Symbolic]:
        """Compute -log P(c_k | h, c_1, ..., c_{k-1}) in nats: a list with a scalar per stage k.

        Each scalar is a mean over time and batch. hidden (time, batch, n_hidden) is h, the body's output; codes
        (time, batch, K) are the codes of the frame that h predicts.
        """
        return [
            losses.cross_entropy(self._logits(k, hidden, codes, context), codes[..., k]) for k in range(self.n_stages)
        ]

    def sample(self, hidden: Symbolic, uniform: Symbolic) -> Symbolic:
        """Sample codes (time, batch, K) by inversion of the cumulative probabilities.

        hidden (time, batch, n_hidden) is the body's output; uniform (time, batch, K) holds random numbers U(0, 1). No
        gradient flows through the codes. The heads are computed as in evaluation, without dropout.
        """
        codes: list[Symbolic] = []
        for k in range(self.n_stages):
            before = tt.stack(codes, axis=2) if codes else None
            log_p = engine.log_softmax(self._logits(k, hidden, before, Context.evaluation()))
            sums = tt.cumsum(tt.exp(log_p), axis=2)
            below = sums < (uniform[:, :, k] * sums[:, :, -1]).dimshuffle(0, 1, "x")
            codes.append(tt.cast(below.sum(axis=2), "int64"))
        return tt.stack(codes, axis=2)

    def _logits(self, k: int, hidden: Symbolic, codes: Symbolic | None, context: Context) -> Symbolic:
        """Compute the logits of stage k, (time, batch, n_codes), given the codes of the stages before it."""
        head, x = self.heads[k], hidden
        if k and codes is not None:
            x = tt.concatenate([hidden, self.features(codes, k)], axis=hidden.ndim - 1)
        return head.unroll(x, head.initial_state(hidden.shape[1]), context)[0]
