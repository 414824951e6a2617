"""Measures of likeness to music: closed forms, other implementations, and sounds whose answer is known."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
from hypothesis import given
from hypothesis import strategies as st

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import (
    Corpus,
    Vocabulary,
    area_under_curve,
    calibrate,
    chroma,
    classifier_auc,
    frechet_distance,
    in_range,
    jensen_shannon_distance,
    log_mel,
    loop_score,
    onsets_per_second,
    onsets_seconds,
    pitch_class_entropy,
    structure,
)
from rnnaudio.metrics.music import MAJOR, MINOR, _chord_seconds, _keys, onsets_of
from rnnaudio.metrics.spectrum import FRAME_SAMPLES, HOP_SAMPLES
from rnnaudio.metrics.two_sample import Classifier, least_samples, loss, window_features
from tests.support.sounds import RATE_HZ, music, noise, seconds, sine

# ---------------------------------------------------------------- distances


def test_frechet_distance_is_that_of_two_gaussians():
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(n, 6)) @ rng.normal(size=(6, 6)) + mean for n, mean in ((500, 0.0), (400, 1.0)))
    s_a, s_b = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(s_a @ s_b).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(s_a + s_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-8)
    assert frechet_distance(a, a + 3.0) == pytest.approx(6 * 9.0, rel=1e-9)
    one, two = rng.normal(size=(300, 1)), rng.normal(size=(300, 1))
    by_hand = (one.mean() - two.mean()) ** 2 + (one.std(ddof=1) - two.std(ddof=1)) ** 2
    assert frechet_distance(one, two) == pytest.approx(by_hand)


@given(st.lists(st.integers(0, 9), min_size=8, max_size=8), st.lists(st.integers(0, 9), min_size=8, max_size=8))
def test_jensen_shannon_distance_is_scipys(p, q):
    if sum(p) and sum(q):
        expected = scipy.spatial.distance.jensenshannon(p, q, base=2)
        assert jensen_shannon_distance(p, q) == pytest.approx(np.nan_to_num(expected), abs=1e-7)


def test_disjoint_histograms_are_one_apart():
    assert jensen_shannon_distance([3, 0], [0, 5]) == pytest.approx(1.0)
    with pytest.raises(RnnaudioError, match="not empty"):
        jensen_shannon_distance([0, 0], [1, 2])
    with pytest.raises(RnnaudioError, match="expected \\(2 or more, features\\)"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))


def test_words_are_the_nearest_centres():
    rng = np.random.default_rng(1)
    frames = rng.normal(size=(300, 64))
    words = Vocabulary.learn(frames, 7).words(frames)
    centres = Vocabulary.learn(frames, 7).centres
    assert (words == np.argmin(((frames[:, None] - centres) ** 2).sum(axis=2), axis=1)).all()
    assert Vocabulary.learn(frames, 7).histogram(frames).sum() == 300
    with pytest.raises(RnnaudioError, match="too few for 50 bins"):
        Vocabulary.learn(frames[:20])


# ---------------------------------------------------------------- loops and copies


def test_loop_score_finds_a_repeated_second_and_no_loop_in_music():
    tiled = np.tile(music(20.0, 3)[RATE_HZ : 2 * RATE_HZ], 12)
    assert loop_score(tiled, RATE_HZ) > 0.99
    assert max(loop_score(music(20.0, seed), RATE_HZ) for seed in (3, 4, 5)) < 0.6
    assert loop_score(noise(10.0, 0.1), RATE_HZ) < 0.1


def test_loop_score_is_the_autocorrelation_lag_by_lag():
    audio = music(6.0, 9)
    x = log_mel(audio, RATE_HZ)
    x = x - x.mean(axis=0)
    lags = range(round(0.25 * RATE_HZ / 256), len(x) // 2 + 1)
    expected = max(np.sum(x[:-lag] * x[lag:]) / np.sqrt(np.sum(x[:-lag] ** 2) * np.sum(x[lag:] ** 2)) for lag in lags)
    assert loop_score(audio, RATE_HZ) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(RnnaudioError, match="too few to detect loops"):
        loop_score(audio[:6000], RATE_HZ)


@given(st.lists(st.integers(0, 2), max_size=30), st.lists(st.integers(0, 2), max_size=30), st.integers(1, 6))
def test_copied_share_counts_codes_in_runs_of_the_corpus(codes, corpus, n):
    found = [False] * len(codes)
    for start in range(len(codes) - n + 1):
        if any(codes[start : start + n] == corpus[k : k + n] for k in range(len(corpus) - n + 1)):
            found[start : start + n] = [True] * n
    expected = sum(found) / len(codes) if codes else 0.0
    assert Corpus.of([corpus]).copied_share(codes, n) == pytest.approx(expected)


def test_copies_do_not_reach_over_the_end_of_a_piece():
    corpus = Corpus.of([[1, 2, 3], [4, 5, 6]])
    assert corpus.copied_share([1, 2, 3, 4, 5, 6], 3) == 1.0
    assert corpus.copied_share([2, 3, 4, 5], 3) == 0.0
    with pytest.raises(RnnaudioError, match="1 or more"):
        corpus.copied_share([1, 2], 0)


# ---------------------------------------------------------------- what a musician counts


def plucked(pitches_midi, times_s, duration_s):
    """Decaying notes of five partials at known times."""
    audio = noise(duration_s, 1e-4, 7)
    for pitch, at in zip(pitches_midi, times_s, strict=True):
        t = seconds(min(1.5, duration_s - at))
        hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
        note = sum(np.sin(2 * np.pi * k * hz * t) * np.exp(-3.0 * t) / k for k in range(1, 6))
        start = round(at * RATE_HZ)
        audio[start : start + len(t)] += 0.1 * note
    return audio


def test_onsets_are_where_notes_begin():
    rng = np.random.default_rng(5)
    times = 0.3 + np.cumsum(rng.uniform(0.18, 0.6, 40))
    audio = plucked(rng.integers(50, 80, 40), times, times[-1] + 2.0)
    found = onsets_seconds(audio, RATE_HZ)
    near = [np.abs(found - t).min() < 0.03 for t in times]
    assert np.mean(near) >= 0.95
    assert len(found) <= 42
    assert onsets_per_second(noise(10.0, 0.1), RATE_HZ) < 0.3
    assert onsets_per_second(np.zeros(10 * RATE_HZ), RATE_HZ) == 0.0
    assert onsets_per_second(sine(440.0, 10.0), RATE_HZ) < 0.2


@pytest.mark.parametrize(("midi", "pitch_class"), [(57, 9), (60, 0), (64, 4), (71, 11), (84, 0)])
def test_chroma_of_a_tone(midi, pitch_class):
    rows = chroma(sine(440.0 * 2.0 ** ((midi - 69) / 12), 2.0), RATE_HZ)
    assert (rows.argmax(axis=1) == pitch_class).all()
    assert (rows.max(axis=1) > 0.99 * rows.sum(axis=1)).all()


def test_pitch_class_entropy_of_known_mixtures():
    triad = sum(sine(hz, 4.0) for hz in (261.63, 329.63, 392.0))
    assert pitch_class_entropy(sine(440.0, 4.0), RATE_HZ) < 0.05
    assert pitch_class_entropy(triad, RATE_HZ) == pytest.approx(np.log2(3), abs=0.05)
    assert pitch_class_entropy(noise(4.0, 0.1), RATE_HZ) > 3.4
    with pytest.raises(RnnaudioError, match="too few for pitches"):
        chroma(np.zeros(100), RATE_HZ)


C_MAJOR, F_SHARP_MAJOR = (60, 64, 67), (66, 70, 73)


def chords(roots, each_s):
    """One triad after another, struck every half second."""
    times, pitches = [], []
    for number, chord in enumerate(roots):
        for strike in np.arange(0.0, each_s, 0.5):
            times += [number * each_s + strike] * 3
            pitches += chord
    return plucked(pitches, times, len(roots) * each_s)


def test_a_key_is_that_of_the_mean_of_all_frames_of_its_stretch():
    """The last frame of each stretch counts as much as the others: here it alone has C sharp."""
    classes = np.zeros((8, 12))
    classes[:, 0] = 1.0
    classes[3::4, [0, 1]] = 0.0, 1.0
    mean = np.array([0.75, 0.25, *np.zeros(10)])
    profiles = np.array([np.roll(p, k) for p in (MAJOR, MINOR) for k in range(12)])
    expected = max(np.corrcoef(mean, profile)[0, 1] for profile in profiles)
    keys, clarity = _keys(classes, 4)
    assert len(keys) == 2 and clarity == pytest.approx(expected, rel=1e-9)


def test_structure_of_known_music():
    slow = structure(chords([C_MAJOR, (65, 69, 72), C_MAJOR, (67, 71, 74), C_MAJOR] * 8, 1.0), RATE_HZ)
    assert slow.beat_seconds == pytest.approx(0.5, abs=0.02) and slow.beat > 0.5
    assert slow.chord_seconds == pytest.approx(1.0, abs=0.2)
    assert slow.key_stability == 1.0
    wandering = structure(chords(([C_MAJOR] * 5 + [F_SHARP_MAJOR] * 5) * 2, 2.0), RATE_HZ)
    assert wandering.key_stability == 0.0
    still = structure(noise(32.0, 0.1), RATE_HZ)
    assert still.beat < 0.2 and still.key_clarity < slow.key_clarity
    with pytest.raises(RnnaudioError, match="20 s of audio"):
        structure(noise(10.0, 0.1), RATE_HZ)


def test_the_length_of_a_chord_is_counted_to_the_frame():
    """C major for 40 frames, then G major for 100: half of all frames and more lie in a chord of 100."""
    c, g = np.isin(range(12), (0, 4, 7)), np.isin(range(12), (7, 11, 2))
    classes = np.array([c] * 40 + [g] * 100, np.float64)
    assert _chord_seconds(classes, 10.0) == 10.0
    assert _chord_seconds(classes[::-1], 10.0) == 10.0


# ---------------------------------------------------------------- the classifier


def test_area_under_curve_counts_pairs():
    rng = np.random.default_rng(0)
    real, generated = rng.integers(0, 6, 30), rng.integers(2, 8, 40)
    wins = np.mean([(g > r) + 0.5 * (g == r) for r in real for g in generated])
    assert area_under_curve(real, generated) == pytest.approx(wins)
    with pytest.raises(RnnaudioError, match="expected at least one each"):
        area_under_curve([], [1.0])


def test_gradient_of_the_classifiers_loss():
    rng = np.random.default_rng(1)
    z, y, weight = rng.normal(size=(20, 3)), rng.integers(0, 2, 20).astype(float), rng.random(20)
    w = rng.normal(size=4)
    _, gradient = loss(w, z, y, weight)
    steps = 1e-6 * np.eye(4)
    expected = [(loss(w + s, z, y, weight)[0] - loss(w - s, z, y, weight)[0]) / 2e-6 for s in steps]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_classifier_at_chance_on_one_distribution_and_certain_on_two():
    rng = np.random.default_rng(2)
    draw = lambda mean: rng.normal(mean, 1.0, (400, 5))  # noqa: E731
    same = Classifier(draw(0.0), draw(0.0))
    assert abs(area_under_curve(same.score(draw(0.0)), same.score(draw(0.0))) - 0.5) < 0.07
    apart = Classifier(draw(0.0), draw(3.0))
    assert area_under_curve(apart.score(draw(0.0)), apart.score(draw(3.0))) > 0.99
    spread = Classifier(draw(0.0), 3.0 * draw(0.0))  # same mean: seen by the squares only
    assert area_under_curve(spread.score(draw(0.0)), spread.score(3.0 * draw(0.0))) > 0.9


@pytest.mark.parametrize(("apart", "n_onsets"), [(-5, 2), (-4, 1), (-3, 1), (3, 1), (4, 1), (5, 2)])
def test_of_two_onsets_within_six_hundredths_of_a_second_the_stronger_counts(apart, n_onsets):
    """.06 s are 3.75 frames of 16 ms, so four."""
    strength = np.zeros(400)
    for frame, height in ((200, 40.0), (200 + apart, 30.0)):
        strength[frame - 1 : frame + 2] = height * np.array([0.8, 1.0, 0.9])
    assert len(onsets_of(strength, RATE_HZ)) == n_onsets


@pytest.mark.parametrize(("n_seconds", "n_windows"), [(4.0, 1), (5.9, 1), (6.1, 2), (20.0, 9)])
def test_a_classifier_sees_windows_of_four_seconds_every_two(n_seconds, n_windows):
    beyond = FRAME_SAMPLES - HOP_SAMPLES  # of the last frame
    sound = music(21.0, 20)[: round(n_seconds * RATE_HZ) + beyond]
    rows = window_features(sound, RATE_HZ)
    assert rows.shape == (n_windows, 20 + 20 + 20 + 4 * 12)
    np.testing.assert_allclose(rows[:1], window_features(sound[: 4 * RATE_HZ + beyond], RATE_HZ))


@pytest.mark.parametrize("rate_hz", [4000, RATE_HZ, 44_100])
def test_the_shortest_audio_with_a_window_has_one(rate_hz):
    sound = noise(12.0, 0.1)[: least_samples(rate_hz)]
    assert len(window_features(sound, rate_hz)) == 1
    with pytest.raises(RnnaudioError, match="shorter than a window"):
        window_features(sound[:-1], rate_hz)


@pytest.mark.slow
def test_music_is_told_from_noise_and_not_from_itself():
    pieces = [music(20.0, seed) for seed in range(20, 28)]
    alone = [[piece] for piece in pieces]
    assert classifier_auc(alone[:4], [[noise(20.0, 0.05, seed)] for seed in range(4)], RATE_HZ) > 0.99
    halves = [[[piece[: 10 * RATE_HZ]] for piece in pieces], [[piece[10 * RATE_HZ :]] for piece in pieces]]
    assert abs(classifier_auc(*halves, RATE_HZ) - 0.5) < 0.2
    assert classifier_auc(alone, alone, RATE_HZ) == 0.5  # twins are in one fold: a classifier was trained on neither
    with pytest.raises(RnnaudioError, match="expected at least 2 of each"):
        classifier_auc(alone[:1], alone, RATE_HZ)


# ---------------------------------------------------------------- in range


@cache
def limits():
    return calibrate([music(20.0, seed) for seed in range(40, 46)], RATE_HZ)


def test_in_range_and_death_without_return():
    sound = music(20.0, 41)
    alive = in_range(sound, RATE_HZ, limits())
    assert alive.fraction > 0.9 and alive.dead_from_s is None
    dies = np.concatenate([sound[: 10 * RATE_HZ], 1e-5 * noise(10.0, 1.0)])
    ended = in_range(dies, RATE_HZ, limits())
    assert 0.35 < ended.fraction < 0.6 and 9.0 <= ended.dead_from_s <= 11.0
    returns = np.concatenate([sound[: 8 * RATE_HZ], np.zeros(4 * RATE_HZ), sound[8 * RATE_HZ :]])
    assert in_range(returns, RATE_HZ, limits()).dead_from_s is None
    broken = sound.copy()
    broken[12 * RATE_HZ :] = np.nan
    assert in_range(broken, RATE_HZ, limits()).dead_from_s == pytest.approx(11.25, abs=0.5)


@cache
def reference():
    """Log-mel frames of three pieces to learn from and of three others, and words for them."""
    parts = [[log_mel(music(20.0, seed), RATE_HZ) for seed in seeds] for seeds in (range(50, 53), range(53, 56))]
    training, test = map(np.concatenate, parts)
    return training, test, Vocabulary.learn(training, 20)


def bad_sounds():
    tiled = np.tile(music(20.0, 3)[RATE_HZ : 2 * RATE_HZ], 20)
    return {
        "white noise": noise(20.0, 0.05),
        "silence": np.zeros(20 * RATE_HZ),
        "held chord": sum(sine(hz, 20.0, 0.05) for hz in (261.63, 329.63, 392.0)),
        "loop": tiled,
        "fade": music(20.0, 41) * np.exp(-seconds(20.0) * 1.5),
        "clipping": np.clip(40.0 * music(20.0, 41), -1.0, 1.0),
    }


@pytest.mark.parametrize("kind", ["white noise", "silence", "held chord", "loop", "fade", "clipping"])
def test_what_is_no_music_is_separated(kind):
    """Each by at least two measures, which real music of other seeds passes."""
    sound = bad_sounds()[kind]
    training, test, words = reference()

    def outside(audio):
        mel = log_mel(audio, RATE_HZ)
        return {
            "in range": in_range(audio, RATE_HZ, limits()).fraction < 0.7,
            "loop": loop_score(audio, RATE_HZ) > 0.75,
            "frechet": frechet_distance(mel, test) > 4.0 * frechet_distance(training, test),
            "histogram": jensen_shannon_distance(words.histogram(mel), words.histogram(test)) > 0.5,
            "onsets": onsets_per_second(audio, RATE_HZ) < 0.8,
        }

    assert sum(outside(sound).values()) >= (1 if kind == "loop" else 2), outside(sound)
    if kind == "loop":  # real music once is enough
        for seed in (53, 54, 55):
            assert not any(outside(music(20.0, seed)).values()), outside(music(20.0, seed))


def test_pairs_of_real_music_are_near_each_other():
    mels = [log_mel(music(20.0, seed), RATE_HZ) for seed in (60, 61, 62)]
    far = frechet_distance(mels[0], log_mel(noise(20.0, 0.05), RATE_HZ))
    assert max(frechet_distance(a, b) for a, b in pairwise(mels)) < far / 4
