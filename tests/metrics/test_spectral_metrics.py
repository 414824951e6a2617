"""The blog's five properties of its measure of phase, the one that it does not have, and the numbers for spectra."""

import numpy as np
import pytest
import scipy.optimize
import scipy.signal
from hypothesis import assume, given
from hypothesis import strategies as st

from rnnaudio.audio import STFT
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.spectra import (
    best_shift,
    mean_phase_distance,
    phase_distance,
    phase_distance_up_to_shift,
    spectral_convergence_db,
)

ANGLE = st.floats(-20.0, 20.0)
TURNS = st.integers(-5, 5)


@given(ANGLE, ANGLE, TURNS, TURNS)
def test_whole_turns_do_not_count(t, p, n, m):
    turned = phase_distance(t + 2 * np.pi * n, p + 2 * np.pi * m)
    assert turned == pytest.approx(float(phase_distance(t, p)), abs=1e-12)


@given(ANGLE, ANGLE, ANGLE)
def test_a_common_shift_does_not_count(t, p, w):
    assert phase_distance(t + w, p + w) == pytest.approx(float(phase_distance(t, p)), abs=1e-12)


@given(ANGLE, ANGLE)
def test_opposite_angles_are_farthest(t, p):
    assert 0.0 <= phase_distance(t, p) <= phase_distance(0.0, np.pi) == 1.0
    assert phase_distance(t, p) == phase_distance(p, t)


@given(ANGLE, ANGLE, TURNS)
def test_zero_for_equal_angles_only(t, p, n):
    assert phase_distance(t, t + 2 * np.pi * n) < 1e-28
    apart = abs((t - p + np.pi) % (2 * np.pi) - np.pi)
    assert phase_distance(t, p) >= (apart / np.pi) ** 2 * (1 - 1e-9) - 1e-28  # sin x >= 2 x / pi below a right angle


@given(ANGLE, ANGLE, ANGLE, st.floats(0.01, 0.5))
def test_powers_up_to_a_half_are_metrics(a, b, c, power):
    """d^(1/2) = |sin((a - b) / 2)| is half a chord, and chords obey the triangle inequality."""
    whole, first, second = (phase_distance(*pair) ** power for pair in ((a, c), (a, b), (b, c)))
    assert whole <= first + second + 1e-12


@given(ANGLE, st.floats(0.501, 10.0))
def test_greater_powers_are_none(a, power):
    """Three angles close to each other on a line: (2 e)^(2 power) > 2 e^(2 power)."""
    e = 1e-2 * min(1.0, power - 0.5)
    whole, half = phase_distance(a, a + 2 * e) ** power, phase_distance(a, a + e) ** power
    assume(half > 1e-250)
    assert whole > 2.0 * half


def test_the_measure_of_2016_itself_is_no_metric():
    d = phase_distance
    assert d(0.0, 1.0) > d(0.0, 0.5) + d(0.5, 1.0) + 0.1
    assert d(np.pi, -np.pi) < 1e-30  # where (x - y)^2 says 39.5


def test_the_best_shift_is_the_one_that_a_search_finds():
    rng = np.random.default_rng(3)
    true, found = rng.uniform(-np.pi, np.pi, (2, 40))
    found = true + 0.6 * found
    weights = rng.uniform(0.0, 1.0, 40)
    searched = scipy.optimize.minimize_scalar(
        lambda w: mean_phase_distance(true, found + w, weights), bounds=(-np.pi, np.pi), method="bounded"
    )
    assert phase_distance_up_to_shift(true, found, weights) == pytest.approx(searched.fun, abs=1e-8)
    shifted = found + best_shift(true, found, weights)
    assert mean_phase_distance(true, shifted, weights) == pytest.approx(searched.fun, abs=1e-8)


@given(ANGLE, st.integers(0, 5))
def test_only_relative_phases_count(w, seed):
    phases = np.random.default_rng(seed).uniform(-np.pi, np.pi, (6, 5))
    assert phase_distance_up_to_shift(phases, phases + w) < 1e-12
    assert mean_phase_distance(phases, phases + w) == pytest.approx(np.sin(w / 2) ** 2)
    for axis in (0, 1):
        moved = np.diff(phases + w, axis=axis)
        assert mean_phase_distance(np.diff(phases, axis=axis), moved) < 1e-24


def test_sound_shifted_by_a_common_phase_has_the_same_magnitudes():
    """A sound of partials, all turned by w: cos(w) x - sin(w) (Hilbert transform of x)."""
    t = np.arange(16_000) / 16_000
    sound = sum(np.exp(-2 * t) * np.sin(2 * np.pi * f * t + f) / k for k, f in enumerate((220.0, 443.0, 871.0), 1))
    stft = STFT(1024, 256, sample_rate_hz=16_000)
    analytic = scipy.signal.hilbert(np.pad(sound, 16_000))[16_000:-16_000]
    true = stft.forward(sound)
    for w in (0.5, np.pi / 2, 3.0):
        turned = stft.forward(np.real(analytic * np.exp(1j * w)))
        assert np.linalg.norm(np.real(analytic * np.exp(1j * w)) - sound) > 0.4 * np.linalg.norm(sound)
        inner = slice(8, -8)  # the ends are edges: they have no phase to turn
        assert spectral_convergence_db(true[inner], turned[inner]) < -50.0
        loud = np.abs(true[inner])
        assert best_shift(np.angle(turned[inner]), np.angle(true[inner]), loud**2) == pytest.approx(w, abs=1e-2)
        assert phase_distance_up_to_shift(np.angle(turned[inner]), np.angle(true[inner]), loud**2) < 1e-3


def test_spectral_convergence_by_hand():
    true = np.array([[3.0, 4.0j]])
    assert spectral_convergence_db(true, np.zeros((1, 2))) == pytest.approx(0.0)
    assert spectral_convergence_db(true, 0.9 * true) == pytest.approx(-20.0)
    assert spectral_convergence_db(true, -true) == -np.inf  # magnitudes only


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(RnnaudioError, match=r"shape \(2, 3\), expected \(2, 4\)"):
        spectral_convergence_db(np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(RnnaudioError, match="silent throughout"):
        spectral_convergence_db(np.zeros((2, 4)), np.ones((2, 4)))
    with pytest.raises(RnnaudioError, match="weights that are negative"):
        mean_phase_distance(np.zeros(2), np.zeros(2), [1.0, -1.0])
