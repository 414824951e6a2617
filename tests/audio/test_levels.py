"""The limiter against its definition and against a sine, whose limited form is known; levels in decibels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnaudio.audio.levels import Level, Limiter, level_dbfs, limited
from rnnaudio.audio.loudness import loudness_lufs

RATE_HZ = 1000
WIDTH = 50  # 50 ms


def by_definition(x):
    """m_t = min of n over t - w to t + w; g_t = mean of m over the same; nothing outside needs a gain."""
    needed = np.pad(1.0 / np.maximum(1.0, np.abs(x)), 2 * WIDTH, constant_values=1.0)
    least = [needed[t - WIDTH : t + WIDTH + 1].min() for t in range(WIDTH, len(needed) - WIDTH)]
    return np.array([np.mean(least[t : t + 2 * WIDTH + 1]) for t in range(len(x))]) * x


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.integers(0, 9))
def test_parts_of_any_length_are_limited_as_defined(lengths, seed):
    rng = np.random.default_rng(seed)
    x = (rng.uniform(-0.9, 0.9, sum(lengths)) * rng.choice([1.0, 1.0, 3.0], sum(lengths))).astype(np.float32)
    limiter = Limiter(RATE_HZ)
    parts = [limiter.push(part) for part in np.split(x, np.cumsum(lengths)[:-1])]
    y = np.concatenate([*parts, limiter.flush()])
    np.testing.assert_allclose(y, by_definition(x.astype(np.float64)), atol=1e-6)
    assert y.dtype == np.float32 and np.abs(y).max(initial=0.0) <= 1.0


def test_a_loud_sine_keeps_its_form():
    """Far from its ends every window of 100 ms holds a peak, so that the gain is constant: a sine of amplitude 1."""
    sine = np.sin(2.0 * np.pi * 50.0 * np.arange(2000) / RATE_HZ + 0.5 * np.pi)
    y, lowest_db = limited(4.0 * sine, RATE_HZ)
    np.testing.assert_allclose(y[200:-200], sine[200:-200], atol=1e-6)
    assert lowest_db == pytest.approx(20.0 * np.log10(0.25))


@pytest.mark.filterwarnings("error")
def test_sound_that_explodes_beyond_what_a_sum_can_hold():
    """740 dB over full scale: in a sum beside gains of 1, its gain is lost."""
    sine = 1e37 * np.sin(2.0 * np.pi * 50.0 * np.arange(2000) / RATE_HZ + 0.5 * np.pi)
    y, lowest_db = limited(np.append(0.1 * np.ones(500), sine), RATE_HZ)
    assert lowest_db == pytest.approx(-740.0, abs=1e-3)
    assert np.abs(y).max() <= 1.0 and np.abs(y[700:-200]).max() == pytest.approx(1.0)


def test_sound_within_full_scale_keeps_its_bits_also_beside_a_peak():
    x = np.random.default_rng(0).uniform(-1.0, 1.0, 3000).astype(np.float32)
    y, lowest_db = limited(x, RATE_HZ)
    assert y.tobytes() == x.tobytes() and lowest_db == 0.0
    x[1500] = 1.7
    y, _ = limited(x, RATE_HZ)
    near = np.abs(np.arange(3000) - 1500) <= 2 * WIDTH
    np.testing.assert_array_equal(y[~near], x[~near])
    assert (np.abs(y[near]) < np.abs(x[near])).mean() > 0.95


def test_levels_of_known_sounds():
    sine = np.sin(2.0 * np.pi * 50.0 * np.arange(2000) / RATE_HZ)
    assert level_dbfs(sine) == pytest.approx(10.0 * np.log10(0.5))
    assert level_dbfs(np.full(7, 0.1)) == pytest.approx(-20.0)
    assert level_dbfs(np.zeros(7)) == level_dbfs(np.zeros(0)) == -np.inf
    level = Level()
    for part in np.split(sine, [3, 900]):
        level.add(part)
    assert level.dbfs == pytest.approx(level_dbfs(sine)) and level.n_samples == 2000


def test_the_loudness_of_known_sounds():
    """A full-scale sine of 997 Hz has -3.01 LUFS by the standard's own definition; 6 dB less have 6 LU less."""
    sine = np.sin(2 * np.pi * 997.0 * np.arange(3 * 48_000) / 48_000).astype(np.float32)
    assert loudness_lufs(sine, 48_000) == pytest.approx(-3.01, abs=0.05)
    assert loudness_lufs(0.5 * sine, 48_000) == pytest.approx(-3.01 - 6.02, abs=0.05)
    paused = np.concatenate([sine, np.zeros_like(sine)])
    assert loudness_lufs(paused, 48_000) == pytest.approx(-3.01, abs=0.5)  # pauses do not count
    assert loudness_lufs(np.zeros(48_000, np.float32), 48_000) == -np.inf
    assert loudness_lufs(sine[:1000], 48_000) == -np.inf
