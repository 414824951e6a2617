"""Measures of musical time: closed forms, loops, and sounds whose tempo, bars, intervals and keys are known."""

import math
from functools import cache

import numpy as np
import pytest
import scipy.spatial.distance

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.bars import _metre as metre
from rnnaudio.metrics.bars import _rho as rho
from rnnaudio.metrics.bars import bar_recurrence
from rnnaudio.metrics.harmony import chord_changes, harmony, key_kept
from rnnaudio.metrics.intervals import N_INTERVALS, counted, interval_distance, interval_histogram
from rnnaudio.metrics.music import MAJOR, MINOR
from rnnaudio.metrics.musical_time import MEASURES, MusicalTime, MusicRanges, musical_time
from rnnaudio.metrics.shuffling import shuffled
from rnnaudio.metrics.tempo import CHANGE_PENALTY, N_STEPS, follow, tempo, tempo_deviation
from rnnaudio.metrics.tempo import _fit as fit
from rnnaudio.metrics.tempo import _path as path
from tests.support.sounds import RATE_HZ, noise, seconds

PER_SECOND = RATE_HZ / 256

# ---------------------------------------------------------------- tempo


def pulses(times_s, duration_s):
    """An onset strength with a pulse of three frames at each time."""
    t = np.arange(round(duration_s * PER_SECOND)) / PER_SECOND
    return np.sum([np.maximum(0.0, 1.0 - np.abs(t - at) * PER_SECOND / 1.5) for at in times_s], axis=0)


def steady(period_s, duration_s, start_s=0.0):
    return np.arange(start_s, start_s + duration_s - 0.1, period_s)


@pytest.mark.parametrize("period_s", [0.2600, 0.3331, 0.4137, 0.6, 0.9, 1.3])
def test_the_period_of_steady_pulses_up_to_an_octave(period_s):
    found = follow(pulses(steady(period_s, 40.0), 40.0), PER_SECOND)
    octaves = math.log2(found.period / period_s)
    assert abs(octaves - round(octaves)) < math.log2(1.005)
    assert found.deviation_percent < 0.5
    assert len(found.times) == len(found.periods) == len(found.path) == 16  # 10 s, every 2 s, in 40 s
    np.testing.assert_allclose(found.path, np.median(found.path), rtol=0.006)


def test_double_and_half_are_the_same_tempo():
    halves = [*steady(0.4, 20.0), *steady(0.8, 20.0, 20.0)]
    assert follow(pulses(halves, 40.0), PER_SECOND).deviation_percent < 1.0


def test_deviation_of_a_tempo_that_changes_evenly_is_a_quarter_of_its_span():
    """log2 P rises by w, evenly: |log2 P - median| is evenly spread from 0 to w/2, and its median is w/4."""
    at, times = 0.0, []
    while at < 100.0:
        times.append(at)
        at += 0.3 * (4.0 / 3.0) ** (at / 100.0)
    found = follow(pulses(times, 100.0), PER_SECOND)
    middles = found.times / 100.0  # the first window has its middle at 5 s, the last one at 95 s
    span = math.log2(4.0 / 3.0) * (middles[-1] - middles[0])
    assert found.deviation_percent == pytest.approx(100.0 * (2.0 ** (span / 4.0) - 1.0), rel=0.1)
    np.testing.assert_allclose(found.path, 0.3 * (4.0 / 3.0) ** middles, rtol=0.02)


def test_periods_at_random_deviate_by_a_quarter_octave():
    rng = np.random.default_rng(0)
    deviations = [follow(rng.random(round(120 * PER_SECOND)), PER_SECOND).deviation_percent for _ in range(8)]
    assert 8.0 < np.mean(deviations) < 25.0


def test_the_fit_is_that_of_the_autocorrelation_lag_by_lag():
    x = np.random.default_rng(1).random(600)
    y = x - x.mean()
    r = np.array([np.sum(y[lag:] * y[: len(y) - lag]) / (len(y) - lag) for lag in range(200)]) / np.mean(y**2)
    periods = 0.25 * 2.0 ** (np.arange(N_STEPS) / N_STEPS) * 60.0
    expected = sum(np.interp(k * periods, np.arange(200), r) for k in (1, 2, 4)) / 3.0
    np.testing.assert_allclose(fit(x, 60.0), expected, atol=1e-12)


def test_the_path_is_the_best_of_all():
    """Against all paths of three windows."""
    fits = 0.3 * np.random.default_rng(2).random((3, N_STEPS)).astype(np.float32)
    places = np.arange(N_STEPS) / N_STEPS
    apart = np.abs(places[:, None] - places)
    cost = (CHANGE_PENALTY * np.minimum(apart, 1.0 - apart) ** 2).astype(np.float32)
    every = fits[0][:, None, None] + fits[1][None, :, None] + fits[2] - cost[:, :, None] - cost[None]
    best = np.unravel_index(np.argmax(every), every.shape)
    np.testing.assert_allclose(path(fits) % 1.0, places[list(best)], atol=1e-9)


def test_a_tempo_that_leaves_the_octave_is_followed():
    at, times = 0.0, []
    while at < 60.0:
        times.append(at)
        at += 0.45 * 1.3 ** (at / 60.0)
    found = follow(pulses(times, 60.0), PER_SECOND)
    ratio = found.path[-1] / found.path[0]
    assert ratio == pytest.approx(1.3 ** ((found.times[-1] - found.times[0]) / 60.0), rel=0.02)


def test_where_nothing_begins_no_tempo_is_kept():
    silent = tempo(np.zeros(30 * RATE_HZ), RATE_HZ)
    assert np.isnan(silent.periods).all() and math.isnan(silent.period)
    assert silent.deviation_percent == pytest.approx(100.0 * (math.sqrt(2.0) - 1.0))
    with pytest.raises(RnnaudioError, match=r"the tempo needs 20 s of audio or more, got 3.0 s"):
        tempo_deviation(np.zeros(3 * RATE_HZ), RATE_HZ)


# ---------------------------------------------------------------- bars


def melody(bars, beat_s):
    """Bars of eight notes, half a beat each: pitches in MIDI, 0 for a rest. ``beat_s``: of a function of the beat."""
    notes = np.concatenate(bars)
    beats = np.array([beat_s(k / 2.0) for k in range(len(notes))])
    times = np.concatenate([[0.0], np.cumsum(beats / 2.0)])
    audio = noise(times[-1] + 0.5, 1e-4, 7)
    for pitch, at in zip(notes, times[:-1], strict=True):
        if pitch:
            t = seconds(0.5)
            hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
            note = sum(np.sin(2 * np.pi * k * hz * t) * np.exp(-6.0 * t) / k for k in range(1, 5))
            start = round(at * RATE_HZ)
            audio[start : start + len(t)] += 0.1 * note[: len(audio) - start]
    return audio


@cache
def theme(seed, n_bars):
    """Random bars; about a third of their notes are rests."""
    rng = np.random.default_rng(seed)
    return tuple(np.where(rng.random(8) < 0.35, 0, rng.integers(55, 80, 8)) for _ in range(n_bars))


def even(_):
    return 0.45


def test_what_comes_again_after_eight_bars_recurs_there_and_nowhere_else():
    found = bar_recurrence(melody(theme(0, 8) * 4, even), RATE_HZ)
    assert any(found.bar_seconds == pytest.approx(bar_s, rel=0.01) for bar_s in (1.8, 3.6))
    after = np.array([1, 2, 4, 8]) * round(found.bar_seconds / 1.8)
    assert found.by_bars[after % 8 == 0].min() > 0.6 and np.abs(found.by_bars[after % 8 != 0]).max() < 0.25


def test_it_recurs_while_the_tempo_changes():
    slower = bar_recurrence(melody(theme(0, 8) * 4, lambda beat: 0.40 * 1.2 ** (beat / 128.0)), RATE_HZ)
    assert slower.by_bars[2:].max() > 0.4


def test_music_without_repetition_noise_beats_and_loops_do_not_recur():
    through = bar_recurrence(melody(theme(1, 32), even), RATE_HZ).value
    again = bar_recurrence(melody([bar for bar in theme(1, 16) for _ in (0, 1)], even), RATE_HZ).value
    assert again > 0.1 > 0.06 > abs(through)
    none = bar_recurrence(noise(50.0, 0.1), RATE_HZ)
    assert abs(none.value) < 0.06 and none.metre_share < 0.15
    clicked = noise(50.0, 0.02)
    for at in np.arange(0.0, 49.5, 0.5):
        clicked[round(at * RATE_HZ) : round(at * RATE_HZ) + 200] += np.sin(2 * np.pi * 1000.0 * seconds(200 / RATE_HZ))
    beat = bar_recurrence(clicked, RATE_HZ)
    assert abs(beat.value) < 0.06 and beat.metre_share > 0.7
    loop = bar_recurrence(melody(theme(2, 1) * 28, even), RATE_HZ)
    assert abs(loop.value) < 0.1 and loop.metre_share > 0.85  # a bar of four beats is all metre
    silent = bar_recurrence(np.zeros(50 * RATE_HZ), RATE_HZ)
    assert silent.value == silent.metre_share == 0.0


def test_similarity_is_the_correlation_without_the_metre():
    x = np.random.default_rng(3).normal(size=(100, 2)) + 5.0
    without = x.copy()
    for k in range(16):
        without[k::16] -= x[k::16].mean(axis=0)
    y = x - x.mean(axis=0)
    expected = sum(without[t] @ without[t + 24] for t in range(76))
    expected /= math.sqrt(sum(y[t] @ y[t] for t in range(76)) * sum(y[t] @ y[t] for t in range(24, 100)))
    assert rho(x, 24) == pytest.approx(expected, rel=1e-12)


def test_the_share_of_the_metre_is_its_part_of_the_variance():
    """Means over n / 16 independent cells have 16 / n of their variance."""
    x = np.random.default_rng(9).normal(size=(1600, 1))
    assert np.var(metre(x)) / np.var(x) == pytest.approx(16 / 1600, rel=0.9)
    np.testing.assert_allclose(metre(np.tile(x[:16], (5, 1))), np.tile(x[:16], (5, 1)))
    np.testing.assert_allclose(metre(x)[[3, 19], 0], x[3::16].mean())


def test_audio_too_short_for_bars_is_refused():
    with pytest.raises(RnnaudioError, match=r"bars need 40 s of audio or more, got 39.0 s"):
        bar_recurrence(np.zeros(39 * RATE_HZ), RATE_HZ)
    with pytest.raises(RnnaudioError, match=r"musical time needs 40 s of audio or more, got 39.0 s"):
        musical_time(np.zeros(39 * RATE_HZ), RATE_HZ)


# ---------------------------------------------------------------- intervals


def test_intervals_are_counted_in_quarters_of_an_octave():
    intervals = np.array([0.01, 0.063, 0.07, 0.251, 0.26, 0.499, 0.99, 3.9, 4.01, 60.0])
    found = counted(np.concatenate([[1.0], 1.0 + np.cumsum(intervals)]))
    expected = np.zeros(N_INTERVALS, int)
    for interval in intervals:
        expected[min(23, max(0, math.floor(4.0 * math.log2(interval / 0.0625))))] += 1
    assert found.sum() == 10 and (found == expected).all()
    assert counted(np.array([1.0])).tolist() == [0] * N_INTERVALS


def test_distance_of_intervals_is_scipys_and_none_is_as_far_as_can_be():
    p, q = np.random.default_rng(4).integers(0, 9, (2, N_INTERVALS))
    assert interval_distance(p, q) == pytest.approx(scipy.spatial.distance.jensenshannon(p, q, base=2))
    assert interval_distance(np.zeros(N_INTERVALS), q) == 1.0
    with pytest.raises(RnnaudioError, match="not empty"):
        interval_distance(p, np.zeros(N_INTERVALS))
    every = interval_histogram(melody(theme(5, 4), even), RATE_HZ)
    assert every.sum() > 10 and every[:6].sum() == 0  # .225 s and multiples: none below .177 s


# ---------------------------------------------------------------- harmony


def test_a_key_is_kept_as_far_as_the_next_ten_seconds_fit_it():
    rng = np.random.default_rng(6)
    first, then = np.array(MAJOR) + rng.normal(0.0, 0.3, (2, 12)) @ np.eye(12)
    classes = np.repeat([first, then, np.roll(MINOR, 3)], 10, axis=0)
    shares = classes / classes.sum(axis=1, keepdims=True)
    of_c_major = [np.corrcoef(shares[10 * k], MAJOR)[0, 1] for k in (1, 2)]
    assert key_kept(classes, 1.0) == pytest.approx(np.mean(of_c_major), rel=1e-9)
    assert key_kept(np.zeros((30, 12)), 1.0) == 0.0


def test_changes_of_chord_are_counted():
    c, g, a = (np.isin(range(12), chord).astype(float) for chord in ((0, 4, 7), (7, 11, 2), (9, 0, 4)))
    classes = np.array([c] * 20 + [g] * 20 + [a] * 20 + [c] * 20)
    assert chord_changes(classes, 10.0) == pytest.approx(3 / 8.0)
    with pytest.raises(RnnaudioError, match=r"harmony needs 20 s of audio or more, got 5.0 s"):
        harmony(np.zeros(5 * RATE_HZ), RATE_HZ)


# ---------------------------------------------------------------- shuffled


def test_shuffled_audio_is_the_same_sound_in_another_order():
    audio = np.arange(20.0 * RATE_HZ) + 1.0  # each sample is its own name
    found = shuffled(audio, RATE_HZ, np.random.default_rng(0))
    assert len(found) == len(audio)
    kept = np.flatnonzero(np.diff(found) == 1.0)  # what goes on as in the music, outside the cross-fades
    assert len(kept) > 0.9 * len(audio)
    joints = np.flatnonzero(np.abs(np.diff(found[np.union1d(kept, kept + 1)])) > RATE_HZ)
    assert 12 <= len(joints) <= 28
    again = shuffled(audio, RATE_HZ, np.random.default_rng(0))
    assert np.array_equal(found, again)


def test_seconds_of_others_are_mixed_in():
    audio, other = np.ones(30 * RATE_HZ), 3.0 * np.ones(30 * RATE_HZ)
    found = shuffled(audio, RATE_HZ, np.random.default_rng(1), [other])
    assert 0.2 < np.mean(found == 1.0) < 0.8 and 0.2 < np.mean(found == 3.0) < 0.8
    with pytest.raises(RnnaudioError, match=r"got 1.0 s of audio to shuffle, expected 2.6 s or more"):
        shuffled(np.ones(RATE_HZ), RATE_HZ, np.random.default_rng(1))


# ---------------------------------------------------------------- ranges


def stretch(value, bins):
    intervals = np.bincount(bins, minlength=N_INTERVALS)
    return MusicalTime(value, value / 40.0, value / 10.0, 2.0, intervals, value / 20.0, value / 30.0)


def ranges():
    works = [[stretch(v, [3, 3, 4]) for v in range(10)], [stretch(v, [4, 5]) for v in range(10, 16)], []]
    return works, MusicRanges.of(works, [stretch(1.0, [3])])


def test_ranges_are_percentiles_of_all_stretches_and_intervals_are_compared_with_other_works():
    works, found = ranges()
    values = np.arange(16.0)
    assert found.ranges["tempo_deviation"] == (-math.inf, pytest.approx(np.percentile(values, 95)))
    assert found.ranges["bar_recurrence"] == pytest.approx(tuple(np.percentile(values / 10.0, [2.5, 97.5])))
    apart = scipy.spatial.distance.jensenshannon([2, 1, 0], [0, 1, 1], base=2)
    assert found.ranges["interval_distance"][1] == pytest.approx(apart)
    one = found.values(works[0][0])["interval_distance"]
    assert one == pytest.approx(scipy.spatial.distance.jensenshannon([2, 1, 0], [20, 16, 6], base=2))
    assert found.ranges.keys() == MEASURES.keys() == found.values(works[0][0]).keys()


def test_more_recurrence_than_music_has_is_out_of_range_and_a_steadier_tempo_is_not():
    _, found = ranges()
    flags = found.outside(stretch(20.0, [3, 4]))
    assert flags["bar_recurrence"] and flags["tempo_deviation"] and flags["key_kept"]
    low = found.outside(stretch(-1.0, [3, 4]))
    assert low["bar_recurrence"] and low["key_kept"] and not low["tempo_deviation"]
    assert not any(found.outside(stretch(7.0, [3, 4])).values())


def test_recurrence_as_a_share_between_shuffled_music_and_music():
    works, found = ranges()
    assert found.recurrence_share(stretch(1.0, [3])) == pytest.approx(0.0)
    assert found.recurrence_share(stretch(7.5, [3])) == pytest.approx(1.0)
    assert math.isnan(MusicRanges.of(works, [stretch(20.0, [3])]).recurrence_share(stretch(1.0, [3])))


def test_a_value_is_told_beside_its_range():
    _, found = ranges()
    assert found.sentence("tempo_deviation", 31.04) == "music 14 % or less, this 31 %"
    assert found.sentence("chord_changes", 0.2) == "music 0.013 to 0.49 a second, this 0.2 a second"


def test_ranges_of_one_work_are_refused():
    with pytest.raises(RnnaudioError, match="got stretches of 1 works of music and 1 shuffled ones"):
        MusicRanges.of([[stretch(1.0, [3])], []], [stretch(1.0, [3])])
    with pytest.raises(RnnaudioError, match="2 works of music and 0 shuffled ones"):
        MusicRanges.of([[stretch(1.0, [3])], [stretch(1.0, [3])]], [])


def test_all_measures_of_a_stretch_are_those_of_the_functions():
    audio = melody(theme(8, 8) * 3, even)
    found = musical_time(audio, RATE_HZ)
    assert found.tempo_deviation == tempo_deviation(audio, RATE_HZ)
    bars = bar_recurrence(audio, RATE_HZ)
    assert (found.bar_recurrence, found.metre_share) == (bars.value, bars.metre_share)
    assert (found.intervals == interval_histogram(audio, RATE_HZ)).all()
    assert (found.key_kept, found.chord_changes) == harmony(audio, RATE_HZ)
