"""Schedules against their closed forms."""

import math
from itertools import pairwise

import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.training.schedules import Constant, ExponentialDecay, LinearAnnealing, WarmupCosine


def test_constant():
    assert [Constant(0.25)(update) for update in (0, 1, 10**9)] == [0.25] * 3


def test_warmup_rises_in_a_straight_line_to_the_value():
    schedule = WarmupCosine(8.0, n_warmup=4, n_updates=12)
    assert [schedule(update) for update in range(4)] == [2.0, 4.0, 6.0, 8.0]


def test_cosine_passes_its_quarter_points_and_stays_at_the_end():
    schedule = WarmupCosine(8.0, n_warmup=4, n_updates=12, final_fraction=0.25)  # from 8 to 2, middle 5
    half_cosine = 3.0 * math.sqrt(0.5)
    values = [schedule(update) for update in (5, 7, 9, 11, 12, 1000)]
    assert values == pytest.approx([5 + half_cosine, 5.0, 5 - half_cosine, 2.0, 2.0, 2.0], rel=1e-14)


def test_cosine_without_warmup_and_default_end():
    schedule = WarmupCosine(1.0, n_warmup=0, n_updates=2)
    assert [schedule(0), schedule(1)] == pytest.approx([0.515, 0.03], rel=1e-14)


def test_warmup_cosine_has_one_peak_and_no_jump():
    schedule = WarmupCosine(1.0, n_warmup=10, n_updates=110)
    values = [schedule(update) for update in range(120)]
    assert values.index(max(values)) == 9 and values.count(1.0) == 1
    assert max(abs(b - a) for a, b in pairwise(values)) == pytest.approx(0.1, rel=1e-12)


def test_exponential_decay_is_a_staircase():
    schedule = ExponentialDecay(16.0, decay=0.5, every=3)
    assert [schedule(update) for update in (0, 2, 3, 5, 6, 12)] == [16.0, 16.0, 8.0, 8.0, 4.0, 1.0]


def test_linear_annealing_ends_exactly():
    schedule = LinearAnnealing(0.3, 0.1, n_updates=4)
    values = [schedule(update) for update in (0, 1, 2, 3)]
    assert values == pytest.approx([0.3, 0.25, 0.2, 0.15], rel=1e-14)
    assert values[0] == 0.3 and schedule(4) == schedule(10**9) == 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WarmupCosine(1.0, n_warmup=5, n_updates=5), "n_warmup is 5"),
        (lambda: WarmupCosine(1.0, n_warmup=-1, n_updates=5), "n_warmup is -1"),
        (lambda: WarmupCosine(1.0, n_warmup=1, n_updates=5, final_fraction=1.5), "final_fraction is 1.5"),
        (lambda: ExponentialDecay(1.0, decay=0.0, every=5), "decay is 0.0"),
        (lambda: ExponentialDecay(1.0, decay=0.5, every=0), "every is 0"),
        (lambda: LinearAnnealing(1.0, 0.0, n_updates=0), "n_updates is 0"),
        (lambda: Constant(1.0)(-1), "update is -1"),
        (lambda: LinearAnnealing(1.0, 0.0, n_updates=9)(-1), "update is -1"),
        (lambda: WarmupCosine(1.0, n_warmup=1, n_updates=5)(-1), "update is -1"),
        (lambda: ExponentialDecay(1.0, decay=0.5, every=5)(-1), "update is -1"),
    ],
)
def test_impossible_settings_are_named(make, message):
    with pytest.raises(RnnaudioError, match=message):
        make()
