"""The control of `experiments.studies.music` against counts by hand."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from experiments.studies.markov import Detail, Markov
from rnnaudio.errors import RnnaudioError


def test_relative_frequencies_are_those_of_counting():
    sequence = np.random.default_rng(0).integers(0, 5, 300)
    chain = Markov([sequence], 5, 2)
    rows, counts = chain._each(sequence[:50])
    pairs, singles = Counter(pairwise(sequence)), Counter(sequence[:-1])
    threes = list(zip(sequence, sequence[1:], sequence[2:], strict=False))
    triples, heads = Counter(threes), Counter(pairwise(sequence[:-1]))
    for row, count, (a, b, c) in zip(rows, counts, threes, strict=False):
        assert count == heads[a, b]
        expected = [1 / 5, np.mean(sequence == c), pairs[b, c] / singles[b], triples[a, b, c] / heads[a, b]]
        np.testing.assert_allclose(row, expected)


def test_weights_find_the_order_of_the_source():
    """A first-order source: the bigram's entropy is its own, and the trigram adds nothing."""
    rng = np.random.default_rng(1)
    matrix = rng.dirichlet(np.ones(6) * 0.3, 6)
    codes = [0]
    for u in rng.random(20_000):
        codes.append(min(5, int(np.searchsorted(np.cumsum(matrix[codes[-1]]), u))))
    parts = np.split(np.array(codes), [10_000, 15_000])
    share = np.bincount(codes, minlength=6) / len(codes)
    entropy = -np.sum(share[:, None] * matrix * np.log2(np.maximum(matrix, 1e-12)))
    bits = [Markov([parts[0]], 6, order).tune([parts[1]]).bits([parts[2]]) for order in (0, 1, 2)]
    assert bits[1] == pytest.approx(entropy, abs=0.06) and bits[2] == pytest.approx(bits[1], abs=0.03)
    assert bits[0] > bits[1] + 0.3


def test_what_was_seen_once_is_trusted_less():
    """Ten thousand rare contexts, each seen once, say nothing; of a hundred frequent ones half say all."""
    rng = np.random.default_rng(3)

    def sequence():
        rare = rng.integers(100, 20_000, 8_000)
        pairs = np.stack([rare, rng.integers(20_000, 20_050, 8_000)], axis=1)
        frequent = np.tile(np.stack([np.arange(50), np.arange(50, 100)], axis=1), (60, 1))
        return np.concatenate([pairs, frequent])[rng.permutation(11_000)].ravel()

    chain = Markov([sequence()], 20_050, 1).tune([sequence()])
    once, often = chain.weights[1], chain.weights[6]  # seen once; 32 to 63 times, half of them before what is random
    assert once[2] < 0.1 and often[2] > 0.4
    chain.weights[:] = chain.weights.mean(axis=0)  # as one weight for all
    assert chain.bits([sequence()]) > chain.tune([sequence()]).bits([sequence()]) + 0.1


def test_what_never_occurred_is_told_by_shorter_contexts():
    chain = Markov([np.array([0, 1, 0, 1, 2])], 4, 1).tune([np.array([3, 0, 1, 3])])
    assert np.isfinite(chain.bits([np.array([3, 3, 3])]))
    with pytest.raises(RnnaudioError, match="longer"):
        Markov([np.array([1])], 4, 1)


def test_the_chain_plays_what_it_saw():
    cycle = np.tile([0, 1, 2], 20)
    played = Markov([cycle], 3, 1).play(9, np.array([1]), np.random.default_rng(0))
    assert played.tolist() == [2, 0, 1, 2, 0, 1, 2, 0, 1]
    fair = Markov([np.random.default_rng(0).integers(0, 2, 5000)], 2, 1).play(4000, [0], np.random.default_rng(1))
    assert abs(fair.mean() - 0.5) < 0.05


def test_detail_is_drawn_as_it_was_heard():
    """Against counts by hand, for each length of context; two pieces never follow each other."""
    rng = np.random.default_rng(3)
    pieces = [np.stack([rng.integers(0, 3, n), rng.integers(0, 4, n)], axis=1) for n in (500, 1, 700)]
    pairs = [(tuple(a), tuple(b)) for piece in pieces for a, b in pairwise(piece.tolist())]
    first = rng.integers(0, 3, 60_000)
    drawn = list(map(tuple, Detail(pieces).play(first, rng)))
    assert [a for a, _ in drawn] == first.tolist()
    after = Counter((before, now) for before, now in pairwise(drawn) if before == (1, 2) and now[0] == 0)
    heard = Counter((before, now) for before, now in pairs if before == (1, 2) and now[0] == 0)
    assert set(after) == set(heard) and len(heard) > 1
    for pair, n in heard.items():
        assert after[pair] / after.total() == pytest.approx(n / heard.total(), abs=0.03)


def test_detail_without_its_context_is_drawn_from_a_shorter_one():
    heard = np.array([[2, 7], [0, 5], [1, 6], [2, 7], [1, 8], [0, 9], [1, 6], [3, 4], [1, 3]])

    def played(*first):
        rows = [Detail([heard]).play(np.array(first), np.random.default_rng(k))[:, 1] for k in range(200)]
        return Counter(map(tuple, np.array(rows).tolist()))

    alone = played(1)  # nothing is before it: of any frame of code 1
    assert set(alone) == {(6,), (8,), (3,)} and alone[6,] / 200 == pytest.approx(0.5, abs=0.12)
    assert set(played(2, 0)) == {(7, 5)}  # a 0 came after this 2 in one way
    assert set(played(3, 1, 0)) == {(4, 3, 9)}  # nothing came after (1, 3); after another 1 a 0 came as 9
    assert {row[1:] for row in played(0, 3)} == {(4,)}  # a 3 came after no 0 at all
    with pytest.raises(RnnaudioError, match="code 4 is not in the training music"):
        Detail([heard]).play(np.array([4]), np.random.default_rng(0))
    with pytest.raises(RnnaudioError, match="two frames"):
        Detail([heard[:1]])
