"""A recurrent model of codes: hears frames as their features, says the probabilities of the next frame's codes."""

from typing import Any

import numpy as np

from rnnaudio import engine, losses
from rnnaudio.engine import tt
from rnnaudio.nn.layer import Context, Layer


class CodeModel(Layer):
    """P(c_1, .., c_K | frames so far) = prod_k P(c_k | h, c_1, .., c_{k-1}), h what the body says of the frames.

    A frame of K stages of codes is heard as v(c) = (e_1[c_1] + .. + e_K[c_K]) / deviation, e the centres of a
    :class:`rnnaudio.data.Codec`; the centres are kept with the model and not trained. Stage k has a head of its own:

        logits_k = head_k([h, v(c_1, .., c_{k-1})]),  head_1(h)

    body
        any layer n_features -> n_hidden.
    heads
        one per stage: layers without memory, n_hidden (+ n_features from the second on) -> n_codes.

    ``step`` and ``unroll`` are the body's: features (.., batch, n_features) -> h.
    """

    def __init__(self, body: Layer, heads: list[Layer], *, centres: np.ndarray, deviations: np.ndarray):
        super().__init__()
        n_stages, n_codes, n_features = centres.shape
        wanted = [(body.n_out + (n_features if k else 0), n_codes) for k in range(n_stages)]
        if body.n_in != n_features or [(head.n_in, head.n_out) for head in heads] != wanted:
            raise ValueError(f"for centres {centres.shape} the body hears {n_features}, and heads are {wanted}")
        self.n_in, self.n_out = body.n_in, body.n_out
        self.body = self._child("body", body)
        self.heads = [self._child(f"head_{k + 1}", head) for k, head in enumerate(heads)]
        scaled = centres / np.maximum(deviations, 1e-6 * float(np.max(deviations)))
        self.centres = [self._statistic(f"centres_{k + 1}", e) for k, e in enumerate(scaled)]

    @property
    def n_stages(self) -> int:
        return len(self.heads)

    @property
    def state_sizes(self) -> Any:
        return self.body.state_sizes

    def initial_state(self, batch_size: Any) -> Any:
        return self.body.initial_state(batch_size)

    def step(self, x: Any, state: Any, context: Context) -> tuple[Any, Any]:
        return self.body.step(x, state, context)

    def unroll(self, x: Any, state: Any, context: Context, mask: Any = None) -> tuple[Any, Any]:
        return self.body.unroll(x, state, context, mask)

    def heard(self, codes: Any, n_stages: int | None = None) -> Any:
        """v: (.., K) codes -> (.., n_features), of the first ``n_stages`` stages."""
        leading = [codes.shape[axis] for axis in range(codes.ndim - 1)]
        parts = [
            centres[codes[..., k].flatten()].reshape([*leading, self.n_in])
            for k, centres in enumerate(self.centres[:n_stages])
        ]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def nats(self, hidden: Any, codes: Any, context: Context) -> list[Any]:
        """-log P(c_k | h, c_1, .., c_{k-1}) of each stage, mean over frames: hidden (time, batch, n_hidden), codes."""
        return [
            losses.cross_entropy(self._logits(k, hidden, codes, context), codes[..., k]) for k in range(self.n_stages)
        ]

    def drawn(self, hidden: Any, uniform: Any) -> Any:
        """Codes (time, batch, K) drawn from the probabilities, by inversion: uniform (time, batch, K) U(0, 1).

        No gradient flows through them. The heads are in evaluation: nothing is dropped.
        """
        codes: list[Any] = []
        for k in range(self.n_stages):
            before = tt.stack(codes, axis=2) if codes else None
            said = engine.log_softmax(self._logits(k, hidden, before, Context.evaluation()))
            sums = tt.cumsum(tt.exp(said), axis=2)
            below = sums < (uniform[:, :, k] * sums[:, :, -1]).dimshuffle(0, 1, "x")
            codes.append(tt.cast(below.sum(axis=2), "int64"))
        return tt.stack(codes, axis=2)

    def _logits(self, k: int, hidden: Any, codes: Any, context: Context) -> Any:
        """Of stage k, (time, batch, n_codes), given the codes of the stages before it."""
        head = self.heads[k]
        x = tt.concatenate([hidden, self.heard(codes, k)], axis=hidden.ndim - 1) if k else hidden
        return head.unroll(x, head.initial_state(hidden.shape[1]), context)[0]
