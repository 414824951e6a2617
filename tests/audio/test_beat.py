"""The beat of onset strengths: known periods and phases, no beat, causality, and streams against whole pieces."""

import math

import numpy as np
import pytest

from rnnaudio.audio.beat import N_CANDIDATES, NO_PULSE, BeatFinder, BeatStream, Pulse, pulses, since_beat
from rnnaudio.errors import RnnaudioError

PER_SECOND = 31.25
FINDER = BeatFinder(PER_SECOND)


def clicks(bpm, seconds=20.0, *, jitter_s=0.0, seed=0, first_s=0.0):
    """Onset strength of clicks, each spread over three frames, as a window spreads it; times of the clicks in s."""
    rng = np.random.default_rng(seed)
    times = np.arange(first_s, seconds, 60.0 / bpm)
    times = times + jitter_s * rng.standard_normal(len(times))
    frames = np.arange(round(seconds * PER_SECOND))
    return np.exp(-0.5 * (frames[:, None] - times * PER_SECOND) ** 2).sum(axis=1), times


def syllables(seed, seconds=10.0):
    """Bursts as irregular as those of speech: intervals of a gamma distribution, mean .2 s, deviation .1 s."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.gamma(4.0, 0.05, size=round(6 * seconds)))
    levels = rng.uniform(0.3, 1.0, size=len(times))
    frames = np.arange(round(seconds * PER_SECOND))
    return (levels * np.exp(-0.5 * (frames[:, None] - times * PER_SECOND) ** 2)).sum(axis=1)


def test_sizes_in_frames():
    assert (FINDER.n_window, FINDER.every, FINDER.lags) == (312, 8, (8, 97))
    assert (BeatFinder(125.0).n_window, BeatFinder(125.0).every) == (1250, 32)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(RnnaudioError, match="frames_per_second is .*; expected more than 0, and finite"):
        BeatFinder(rate)


@pytest.mark.parametrize("bpm", [60, 90, 100, 120, 133])
def test_clicks_have_their_period(bpm):
    pulse = FINDER.pulse(clicks(bpm)[0])
    assert pulse.period[0] == pytest.approx(60.0 / bpm * PER_SECOND, rel=0.01)
    assert 0.85 < pulse.confidence[0] <= 1.0
    assert (np.diff(pulse.confidence) <= 0).all()
    multiples = pulse.period / pulse.period[0]
    np.testing.assert_allclose(multiples, np.rint(multiples * 2) / 2, atol=0.05)  # the others: a half, double, triple


@pytest.mark.parametrize("bpm", [90, 120])
def test_jitter_costs_confidence_not_the_period(bpm):
    """Jitter of 25 ms: the beat, or a multiple of it, is among the candidates; surer than noise, less than clicks."""
    for seed in range(5):
        pulse = FINDER.pulse(clicks(bpm, jitter_s=0.025, seed=seed)[0])
        beats = pulse.period[0] / (60.0 / bpm * PER_SECOND)
        assert abs(beats - round(beats)) < 0.1
        assert 0.3 < pulse.confidence[0] < FINDER.pulse(clicks(bpm)[0]).confidence[0]


def test_the_heights_are_those_of_the_autocorrelation_written_out():
    """By loops over all lags; the parabola moves a peak by less than a frame, and raises it by little."""
    for strength in (clicks(90)[0], clicks(120, jitter_s=0.03)[0]):
        x = strength[-312:] - strength[-312:].mean()
        r = [sum(x[t] * x[t - lag] for t in range(lag, len(x))) / sum(x * x) for lag in range(100)]
        highest = max(r[lag] for lag in range(8, 98) if r[lag] == max(r[lag - 2 : lag + 3]))
        pulse = FINDER.pulse(strength)
        assert highest <= pulse.confidence[0] <= highest + 0.05
        assert r[round(pulse.period[0])] == pytest.approx(pulse.confidence[0], abs=0.05)


def test_what_has_no_beat_has_little_confidence():
    """A hundred pieces each: bursts as those of speech, and noise whose strengths are exponential."""
    rng = np.random.default_rng(1)
    speech = [FINDER.pulse(syllables(seed)).confidence[0] for seed in range(100)]
    noise = [FINDER.pulse(rng.exponential(size=312)).confidence[0] for _ in range(100)]
    assert np.median(speech) < 0.3 and max(speech) < 0.6
    assert np.median(noise) == 0.0 and max(noise) < 0.4


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "strength",
    [
        np.zeros(0),
        np.zeros(312),
        np.full(312, 0.3),
        np.full(312, 1e30),
        np.eye(1, 312, 100)[0],  # a single click
        clicks(120)[0][:15],  # shorter than two of the shortest periods
        np.ones(1),
    ],
    ids=["nothing", "silence", "constant", "loud", "one click", "short", "one frame"],
)
def test_no_beat_is_no_error(strength):
    for field in FINDER.pulse(strength):
        np.testing.assert_array_equal(field, np.zeros(N_CANDIDATES))


def test_a_period_must_be_there_twice():
    """After 1.2 s of clicks at 60 bpm there is no candidate of a second yet, after 2.5 s there is."""
    strength = clicks(60)[0]
    assert not (FINDER.pulse(strength[:38]).period > 19).any()
    assert (np.abs(FINDER.pulse(strength[:78]).period - PER_SECOND) < 1.0).any()


@pytest.mark.parametrize("late", range(0, 20, 3))
def test_time_since_the_last_beat(late):
    """Clicks at 90 bpm (20.8 frames), the last of them ``late`` frames before the end."""
    strength, times = clicks(90)
    end = round(times[-3] * PER_SECOND) + late + 1
    window = strength[end - 312 : end]
    period = 60 / 90 * PER_SECOND
    off = (since_beat(window, period) - (end - 1 - times[-3] * PER_SECOND)) / period
    assert abs(off - round(off)) * period < 1.0  # a period since the last beat is a beat


def test_the_phase_of_a_coming_frame():
    """Confidence, cosine and sine of the frame that comes ``ahead`` frames after the last one seen."""
    pulse = Pulse(np.array([20.0, 40.0, 0.0]), np.array([0.8, 0.5, 0.0]), np.array([5.0, 30.0, 0.0]))
    for ahead in (0, 5, 15):
        numbers = pulse.numbers(np.asarray(ahead))
        row = numbers.reshape(3, 3)
        for got, period, c, since in zip(row, (20, 40), (0.8, 0.5), (5, 30), strict=False):
            angle = 2 * math.pi * ((since + ahead) % period) / period
            np.testing.assert_allclose(got, [c, c * math.cos(angle), c * math.sin(angle)], atol=1e-6)
        np.testing.assert_array_equal(row[2], 0.0)
    assert numbers.dtype == np.float32


def test_lags_are_one_two_and_four_periods():
    pulse = Pulse(np.array([20.3, 8.0, 0.0]), np.array([0.8, 0.5, 0.0]), np.zeros(3))
    assert pulse.lags().tolist() == [20, 41, 81, 8, 16, 32, 0, 0, 0]


@pytest.mark.parametrize("n", [0, 5, 8, 100, 700])
def test_a_stream_is_the_whole_piece_to_the_last_bit(n):
    strength = np.concatenate([clicks(100, 8.0, jitter_s=0.02)[0], syllables(4), clicks(70, 8.0)[0]])[:n]
    whole, stream = pulses(strength, FINDER), BeatStream(FINDER)
    assert whole.period.shape == (n // 8, N_CANDIDATES)
    for t, value in enumerate(strength):
        stream.push(value)
        look = (t + 1) // 8 - 1
        expected = whole.at(look) if look >= 0 else NO_PULSE
        assert all(a.tobytes() == b.tobytes() for a, b in zip(stream.pulse, expected, strict=True))
        assert stream.ahead == (t + 1) - ((look + 1) * 8 - 1)


def test_a_later_frame_changes_nothing_before_it():
    strength = np.concatenate([clicks(100, 12.0)[0], syllables(5)])
    before = pulses(strength, FINDER)
    for changed in (100, 399, 400, 600):
        other = strength.copy()
        other[changed:] += np.random.default_rng(changed).exponential(size=len(strength) - changed)
        after = pulses(other, FINDER)
        known = changed // 8  # looks that follow a frame before the changed one
        for a, b in zip(before, after, strict=True):
            assert a[:known].tobytes() == b[:known].tobytes()
        assert any((a[known:] != b[known:]).any() for a, b in zip(before, after, strict=True))


def test_the_period_follows_a_change_of_tempo():
    strength = np.concatenate([clicks(90, 20.0)[0], clicks(140, 20.0)[0]])
    found = pulses(strength, FINDER)
    assert found.period[600 // 8, 0] == pytest.approx(60 / 90 * PER_SECOND, rel=0.02)
    assert found.period[-1, 0] == pytest.approx(60 / 140 * PER_SECOND, rel=0.02)
