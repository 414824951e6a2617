"""The control of `experiments.studies.music`: Markov chains over the same codes, with a context of two frames at most.

A frame has one code per stage. :class:`Markov` samples the first-stage code given those of the previous frames,
:class:`Detail` samples the codes of the other stages given this code and all codes of the previous frame.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from rnnaudio.errors import RnnaudioError

N_EM_STEPS = 30
N_BUCKETS = 16  # of counts: never, once, 2 to 3, 4 to 7, ...
PRIOR_FRAMES = 10.0


class Markov:
    """Interpolated Markov chain, P(c_t | c_{t-1}, .., c_{t-order}) = sum_k w_bk P_k.

    The sum runs from k = 0 to order + 1. P_0 is uniform, P_1 the unigram; P_k is the relative frequency of c_t after
    the last k - 1 codes or, if these never occurred in this order, P_{k-1}. The weights w, uniform until :meth:`tune`
    fits them, depend on the bucket b: how often the longest context occurred, by powers of two, because frequencies
    after rare contexts are less reliable (Jelinek and Mercer 1980).

    sequences: the codes to count, (n,) whole numbers from 0 to ``n_codes`` - 1 each. RnnaudioError if no sequence is
    longer than the order.
    """

    def __init__(self, sequences: Sequence[np.ndarray], n_codes: int, order: int):
        self.n_codes, self.order = n_codes, order
        self.weights = np.full((N_BUCKETS, order + 2), 1.0 / (order + 2))
        self._counts: list[dict[bytes, tuple[np.ndarray, np.ndarray]]] = []
        for n_context in range(order + 1):
            runs = [_runs(s, n_context + 1) for s in sequences if len(s) > n_context]
            if not runs:
                raise RnnaudioError(f"no sequence is longer than {n_context}: give longer ones")
            self._counts.append(_counted(np.concatenate(runs)))

    def tune(self, sequences: Sequence[np.ndarray]) -> "Markov":
        """Fit the weights to sequences, which must not be those that were counted; returns the chain itself.

        They are fitted by 30 steps of EM for the highest likelihood; each bucket is smoothed by ten frames with the
        mean weights of all buckets.
        """
        p, buckets = self._all(sequences)
        for _ in range(N_EM_STEPS):
            share = self.weights[buckets] * p
            share /= share.sum(axis=1, keepdims=True)
            mean = share.mean(axis=0)  # the prior of buckets with few frames
            for bucket in range(N_BUCKETS):
                of_it = share[buckets == bucket]
                self.weights[bucket] = (of_it.sum(axis=0) + PRIOR_FRAMES * mean) / (len(of_it) + PRIOR_FRAMES)
        return self

    def bits(self, sequences: Sequence[np.ndarray]) -> float:
        """Mean of -log2 P in bits per code, over the codes of the sequences preceded by at least ``order`` others."""
        p, buckets = self._all(sequences)
        return float(-np.mean(np.log2(np.sum(p * self.weights[buckets], axis=1))))

    def _all(self, sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities P_k of each code of all sequences, (n, order + 2), and its bucket, (n,)."""
        each = [self._each(s) for s in sequences if len(s) > self.order]
        p, counts = (np.concatenate(parts) for parts in zip(*each, strict=True))
        return _filled(p), np.minimum(np.ceil(np.log2(counts + 1.0)).astype(int), N_BUCKETS - 1)

    def play(self, n: int, seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sample n codes, (n,), that continue the codes ``seed``.

        Each is sampled given the longest context that occurs in the counted sequences, without interpolation.
        """
        codes = list(np.asarray(seed, np.int64))
        for _ in range(n):
            for n_context in range(min(self.order, len(codes)), -1, -1):
                found = self._counts[n_context].get(_key(codes[len(codes) - n_context :]))
                if found:
                    values, counts = found
                    codes.append(int(values[np.searchsorted(np.cumsum(counts), rng.random() * counts.sum(), "right")]))
                    break
        return np.array(codes[len(codes) - n :])

    def _each(self, sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities P_k of each code, (n, order + 2), and how often its longest context occurred, (n,).

        A probability is NaN if its context never occurred.
        """
        longest = np.zeros(len(sequence) - self.order)
        rows = np.full((len(sequence) - self.order, self.order + 2), np.nan)
        rows[:, 0] = 1.0 / self.n_codes
        for n_context in range(self.order + 1):
            for row, at in enumerate(range(self.order, len(sequence))):
                found = self._counts[n_context].get(_key(sequence[at - n_context : at]))
                if found:
                    values, counts = found
                    k = int(np.searchsorted(values, sequence[at]))
                    hit = counts[k] if k < len(values) and values[k] == sequence[at] else 0
                    rows[row, n_context + 1] = hit / counts.sum()
                    if n_context == self.order:
                        longest[row] = counts.sum()
        return rows, longest


class Detail:
    """Completes first-stage codes to all stages, by copying a random training frame with the same first code.

    The frame is sampled among the training frames that follow the same complete frame as here; if there are none,
    among those that follow a frame with the same first code as here; if there are none either, among all. The first
    frame of a sequence, which follows none, is never sampled.

    sequences: (n, n_stages) each. RnnaudioError if no sequence has two frames.
    """

    def __init__(self, sequences: Sequence[np.ndarray]):
        long = [np.asarray(s, np.int64) for s in sequences if len(s) > 1]
        if not long:
            raise RnnaudioError("no sequence has two frames: give longer ones")
        self._frames, kinds = np.unique(np.concatenate(long), axis=0, return_inverse=True)
        kinds = kinds.reshape(-1)  # NumPy 2.0 had it as a column
        ends = np.cumsum([len(s) for s in long])
        before, self._kinds = np.delete(kinds, ends - 1), np.delete(kinds, ends - np.array(list(map(len, long))))
        first = self._frames[:, 0]
        contexts = np.arange(len(first)), first, np.zeros_like(first)  # of a kind of frame, the longest first
        self._contexts = [_Sorted(first[self._kinds], of_kind, before) for of_kind in contexts]

    def play(self, first: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sample the codes of all stages: (n,) -> (n, n_stages).

        RnnaudioError for a code that is in no sequence, or only at the beginning of sequences.
        """
        sampled: list[int] = []
        for code in first:
            for context in self._contexts if sampled else self._contexts[-1:]:
                rows = context.rows(code, sampled[-1] if sampled else 0)
                if len(rows):
                    sampled.append(int(self._kinds[rows[int(rng.random() * len(rows))]]))
                    break
            else:
                raise RnnaudioError(f"code {code} is not in the training music: it has no detail")
        return np.asarray(self._frames[sampled])


class _Sorted:
    """Indices of transitions, sorted by first code and by the context given by the previous frame."""

    def __init__(self, codes: np.ndarray, of_kind: np.ndarray, before: np.ndarray):
        self._of_kind, self._n = of_kind, int(of_kind.max()) + 1
        keys = codes * self._n + of_kind[before]
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def rows(self, code: int, kind: int) -> np.ndarray:
        key = code * self._n + self._of_kind[kind]
        start, end = (np.searchsorted(self._keys, key, side) for side in ("left", "right"))
        return self._order[start:end]


def _filled(p: np.ndarray) -> np.ndarray:
    """Replace each NaN, whose context never occurred, by the probability given the next shorter context."""
    p = p.copy()
    for k in range(1, p.shape[1]):
        p[:, k] = np.where(np.isnan(p[:, k]), p[:, k - 1], p[:, k])
    return p


def _runs(sequence: np.ndarray, n: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(np.asarray(sequence, np.int64), n)


def _key(context: Sequence[int] | np.ndarray) -> bytes:
    return np.asarray(context, np.int64).tobytes()


def _counted(runs: np.ndarray) -> dict[bytes, tuple[np.ndarray, np.ndarray]]:
    """Counts by context: (sorted codes that followed it, how often each of them did)."""
    distinct, counts = np.unique(runs, axis=0, return_counts=True)
    changes = np.flatnonzero(np.any(np.diff(distinct[:, :-1], axis=0) != 0, axis=1)) + 1
    bounds = [0, *changes, len(distinct)]
    spans = (slice(a, b) for a, b in pairwise(bounds))
    return {_key(distinct[span.start, :-1]): (distinct[span, -1], counts[span]) for span in spans}
