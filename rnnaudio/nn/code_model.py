"""A recurrent model of codes: from the features of frames it computes probabilities of the next frame's codes."""

import functools
import operator
from collections.abc import Sequence

import numpy as np

from rnnaudio import engine, losses
from rnnaudio.engine import Size, Symbolic, tt
from rnnaudio.kernels.long_term import PastStep
from rnnaudio.kernels.step import Step
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.layer import Context, Layer, hide_masked
from rnnaudio.nn.long_term import LongTermPrediction
from rnnaudio.nn.state import State, StateSizes

PLACES = "body", "head"


def fed_by(long_term: LongTermPrediction | None, n_features: int, lags_to: str) -> int:
    """Return the width by which the output of ``long_term`` widens an input; 0 if ``long_term`` is None.

    ValueError if ``long_term`` is not for frames of ``n_features`` features, or if ``lags_to`` is not body, head or
    both.
    """
    if lags_to not in (*PLACES, "both"):
        raise ValueError(f"lags_to is {lags_to!r}; expected body, head or both")
    if long_term is None:
        return 0
    if long_term.n_features != n_features:
        raise ValueError(f"long_term has {long_term.n_features} features a frame; expected {n_features}, the centres'")
    return long_term.n_out


class CodeModel(Layer):
    """A model of the next frame's codes: P(c_1, ..., c_K | frames so far) = prod_k P(c_k | h, c_1, ..., c_{k-1}).

    A frame has K codes c_k, one per stage, and h is the output of ``body``. The input of the body is the features of
    the last frame, v(c_1, ..., c_K) = (e_1[c_1] + ... + e_K[c_K]) / deviation, with e_k the centres of stage k of a
    :class:`rnnaudio.data.Codec`. The centres are saved with the model but not trained. Each stage has its own head:

        logits_k = head_k([h, v(c_1, ..., c_{k-1})]),  logits_1 = head_1(h)

    body
        any layer n_features -> n_hidden.
    heads
        one layer without a state per stage: n_hidden -> n_codes for the first stage, n_hidden + n_features -> n_codes
        for each further stage.
    centres, deviations
        arrays (K, n_codes, n_features) and (n_features,) of the codec; each deviation is raised to at least 1e-6
        times the largest one.
    long_term
        a layer :class:`LongTermPrediction` with output y, or None. Its input follows v in the input of the model, see
        :meth:`past_features`. With None, frames before the last one have an effect only through the state.
    lags_to
        ``body``: the input of the body is [v, y]; ``head``: the input of the first head is [h, y]; ``both``: both. The
        ``n_in`` of these layers is then greater by the width of y.

    ``step`` and ``unroll`` compute the body without the heads: features (..., batch, n_in) -> h, or [h, y] if y is an
    input of the first head. :meth:`nats` and :meth:`sample` compute the heads. ValueError if the number of heads, or a
    width of body, heads or ``long_term``, does not fit the centres, or for any other ``lags_to``.
    """

    def __init__(
        self,
        body: Layer,
        heads: Sequence[Layer],
        *,
        centres: np.ndarray,
        deviations: np.ndarray,
        long_term: LongTermPrediction | None = None,
        lags_to: str = "body",
    ):
        super().__init__()
        n_stages, n_codes, self.n_features = centres.shape
        self._feeds_body, self._feeds_head = (long_term is not None and lags_to in (p, "both") for p in PLACES)
        n_lagged = fed_by(long_term, self.n_features, lags_to)
        self.n_in = self.n_features + (long_term.n_in if long_term else 0)
        self.n_out = body.n_out + n_lagged * self._feeds_head
        n_body = self.n_features + n_lagged * self._feeds_body
        expected = [(body.n_out + self.n_features if k else self.n_out, n_codes) for k in range(n_stages)]
        widths = [(head.n_in, head.n_out) for head in heads]
        if body.n_in != n_body or widths != expected:
            raise ValueError(
                f"the body takes {body.n_in} inputs and the heads are {widths}; expected {n_body} and {expected} "
                f"for centres {centres.shape}"
            )
        self.long_term = None if long_term is None else self._child("long_term", long_term)
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

    def activations(self) -> Activations:
        """Count arrays as :meth:`Layer.activations` does, for :meth:`unroll` and for the logits of all stages."""
        features = widths(*[self.n_features] * self.n_stages)
        joined = widths(*(head.n_in for head in self.heads[1:]))  # the inputs of the later heads
        parts = [self.body, *self.heads, *([self.long_term] if self.long_term else [])]
        own = Activations(features + joined, features | joined)
        return functools.reduce(Activations.beside, (part.activations() for part in parts), own)

    def step(self, x: Symbolic, state: State, context: Context) -> tuple[Symbolic, State]:
        v, y = self._parted(x, context)
        h, state = self.body.step(v, state, context)
        return self._with_lags(h, y), state

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        v, y = self._parted(hide_masked(x, mask), context)
        h, state = self.body.unroll(v, state, context, mask)
        return self._with_lags(h, y), state

    def _parted(self, x: Symbolic, context: Context) -> tuple[Symbolic, Symbolic | None]:
        """Compute, from the model's input (..., n_in), the input of the body and y (None without ``long_term``)."""
        if self.long_term is None:
            return x, None
        v, y = x[..., : self.n_features], self.long_term.apply(x[..., self.n_features :], context)
        return (tt.concatenate([v, y], axis=x.ndim - 1) if self._feeds_body else v), y

    def _with_lags(self, h: Symbolic, y: Symbolic | None) -> Symbolic:
        return tt.concatenate([h, y], axis=h.ndim - 1) if self._feeds_head else h

    def compiled_step(self, n_streams: int) -> Step | None:
        body = self.body.compiled_step(n_streams)
        if self.long_term is None or body is None:
            return body
        feeds = {"feeds_body": self._feeds_body, "feeds_head": self._feeds_head}
        return PastStep(self.long_term.compiled_step(n_streams), body, self.n_features, **feeds)

    def past_features(self, past: Symbolic, beat: Symbolic) -> Symbolic:
        """Compute the input (time, batch, long_term.n_in) of ``long_term`` from codes of earlier frames and the beat.

        past
            integer codes (time, batch, n_lags K) of n_lags earlier frames, one frame after the other; the features of
            a frame with negative codes are set to 0.
        beat
            (time, batch, 3 J): three numbers for each of J candidates for the beat, from their confidence and phase,
            see :class:`rnnaudio.data.code_past.Past`.
        """
        leading = [past.shape[0], past.shape[1]]
        codes = past.reshape([*leading, past.shape[2] // self.n_stages, self.n_stages])
        is_there = tt.ge(codes[..., 0], 0)[..., None]  # the new axis is one that Theano broadcasts
        features = self.features(tt.switch(is_there, codes, tt.zeros_like(codes)))
        features = tt.switch(is_there, features, tt.zeros_like(features))
        return tt.concatenate([features.reshape([*leading, -1]), tt.cast(beat, features.dtype)], axis=2)

    def features(self, codes: Symbolic, n_stages: int | None = None) -> Symbolic:
        """Compute the features v of integer codes: (..., K) -> (..., n_features).

        v is the sum of the centres of the first ``n_stages`` codes; None: of all K codes.
        """
        leading = [codes.shape[axis] for axis in range(codes.ndim - 1)]
        parts = [
            centres[codes[..., k].flatten()].reshape([*leading, self.n_features])
            for k, centres in enumerate(self.centres[:n_stages])
        ]
        return functools.reduce(operator.add, parts)

    def nats(self, hidden: Symbolic, codes: Symbolic, context: Context) -> list[Symbolic]:
        """Compute the mean of -log P(c_k | h, c_1, ..., c_{k-1}) over time and batch, in nats, for each stage k.

        hidden (time, batch, n_out) is the result of :meth:`unroll`; codes (time, batch, K) are the codes of the frames
        to be predicted. Returns a list of K scalars.
        """
        return [
            losses.cross_entropy(self._logits(k, hidden, codes, context), codes[..., k]) for k in range(self.n_stages)
        ]

    def sample(self, hidden: Symbolic, uniform: Symbolic) -> Symbolic:
        """Sample codes (time, batch, K), int64, by inversion of the cumulative probabilities.

        hidden (time, batch, n_out) is the result of :meth:`unroll`; uniform (time, batch, K) holds random numbers
        U(0, 1). No gradient flows through the codes. The heads are computed as in evaluation, without dropout.
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
            h = hidden[..., : self.body.n_out] if self._feeds_head else hidden
            x = tt.concatenate([h, self.features(codes, k)], axis=hidden.ndim - 1)
        return head.unroll(x, head.initial_state(hidden.shape[1]), context)[0]
