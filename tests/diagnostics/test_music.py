"""Causes in the music and in how long it was trained on: measurements in closed form, rules on either side."""

import numpy as np
import pytest

from rnnaudio.audio.cleaning import shorten_silence
from rnnaudio.data.corpus import ArrayPiece, Stretch
from rnnaudio.diagnostics.causes import CAUSES, causes
from rnnaudio.diagnostics.cost import input_noise_std
from rnnaudio.diagnostics.course import course_figures
from rnnaudio.diagnostics.diagnose import causes_in_music, measure_pieces
from rnnaudio.diagnostics.free_run import FAULTS_IN_WORDS, course
from rnnaudio.diagnostics.pieces import outliers, piece_figures
from rnnaudio.diagnostics.subject import Figures, Measurements
from rnnaudio.metrics import Alive
from rnnaudio.metrics.alive import FAULTS
from rnnaudio.nn import LSTM, Dense, GaussianNoise, LinearPredictor, Noisy, Sequential, Sum

RATE_HZ = 8000


def noise(seconds, std=1.0, seed=0):
    return (std * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))).astype("float32")


def below_hz(audio, limit_hz):
    """The part of the audio below a frequency, by its Fourier transform."""
    spectrum = np.fft.rfft(audio)
    spectrum[np.fft.rfftfreq(len(audio), 1.0 / RATE_HZ) > limit_hz] = 0.0
    return np.fft.irfft(spectrum, len(audio)).astype("float32")


def figures_of(*audio, others=()):
    return piece_figures([ArrayPiece(a) for a in audio], RATE_HZ, [ArrayPiece(a) for a in others])


# ---------------------------------------------------------------- the pieces


def test_level_offset_silence_and_bandwidth_of_pieces():
    """White noise of std 1 and .1: the mean power is .505; half a piece of zeros is half silent."""
    loud, soft = noise(4.0), noise(4.0, 0.1, seed=1)
    one, two = figures_of(loud, soft + 0.5)
    assert (one.level, two.level) == pytest.approx((-10 * np.log10(0.505), -10 * np.log10(50.5)), abs=0.2)
    assert two.offset == pytest.approx(0.5 / np.sqrt(0.505), rel=0.02) and abs(one.offset) < 0.05
    assert one.bandwidth > 3900 and one.silence == two.silence == 0.0
    half, dull = figures_of(np.append(loud, np.zeros_like(loud)), below_hz(noise(4.0, seed=2), 1000.0))
    assert half.silence == pytest.approx(0.5, abs=0.01) and dull.silence == 0.0
    assert dull.bandwidth == pytest.approx(1000.0, abs=200.0) and half.seconds == 8.0
    rescaled = figures_of(3 * loud + 1, 3 * soft + 2.5)  # another scale of the corpus
    assert [row.level for row in rescaled] == pytest.approx([one.level, two.level], abs=0.01)


def test_pauses_that_no_option_shortens_are_music():
    """Of five times .5 s of sound and .5 s of silence nothing is cut; of 2 s of silence in 4 s, half counts."""
    pauses = np.tile(np.append(noise(0.5), np.zeros(4000, "float32")), 5)
    short, long = figures_of(pauses, np.append(noise(2.0), np.zeros(16_000, "float32")))
    assert short.silence == 0.0 and long.silence == pytest.approx(0.5, abs=0.01)


def test_a_long_corpus_is_read_in_excerpts():
    """Ten minutes: the reading is bounded, and the figures stay what they are."""
    half_silent = np.tile(np.append(noise(5.0), np.zeros(40_000, "float32")), 60)
    (row,) = figures_of(half_silent)
    assert row.silence == pytest.approx(0.5, abs=0.25) and row.seconds == 600.0 and row.level > 2.0


def test_of_thousands_of_pieces_some_are_read_evenly_spaced():
    """2 s of each of 400 pieces of 5 s at most, three quarters of them for training; the others are never opened."""
    read = {}

    class Counting:
        n_samples = 5 * RATE_HZ

        def __init__(self, number):
            self.title = str(number)

        def read(self, start, stop):
            read[int(self.title)] = read.get(int(self.title), 0) + stop - start
            return noise((stop - start) / RATE_HZ)

    everything = [Counting(number) for number in range(4000)]
    measured = Measurements()
    rows = piece_figures(everything[:3000], RATE_HZ, everything[3000:])
    assert sorted(read) == list(range(0, 4000, 10)) == [int(row.title) for row in rows]
    assert max(read.values()) == 2 * RATE_HZ and sum(row.held_out for row in rows) == 100
    measure_pieces(measured, everything[:3000], RATE_HZ, everything[3000:])
    assert measured.figures["train_seconds"] == 15_000.0 and measured.figures["n_pieces"] == 4000.0


def test_silence_is_what_the_option_cuts_where_full_scale_is_known():
    """A hiss 55 dB below music at -20 dBFS is at -75 dBFS and is cut; below music at +8 dB it is at -47 and stays."""
    piece = ArrayPiece(np.append(noise(2.0), 10.0 ** (-55.0 / 20.0) * noise(2.0, seed=1)))
    for full_scale, silent in ((None, 0.5), (10.0, 0.5), (0.4, 0.0)):
        (row,) = piece_figures([piece], RATE_HZ, full_scale=full_scale)
        assert row.silence == pytest.approx(silent, abs=0.01)
        rescaled = (piece.read(0, piece.n_samples) / (full_scale or 10.0)).astype("float32")
        assert (shorten_silence(rescaled, RATE_HZ).size < rescaled.size) == (silent > 0.0)
    assert not causes_in_music([piece], RATE_HZ, full_scale=0.4) and causes_in_music([piece], RATE_HZ, full_scale=10.0)


def test_pieces_that_stand_apart_are_named_with_what_is_different():
    alike = [noise(3.0, seed=k) for k in range(4)]
    assert outliers(figures_of(*alike, 0.2 * alike[0])) == ()  # 14 dB are music
    soft, dull, offset = 0.03 * alike[0], below_hz(alike[1], 1000.0), alike[2] + 1.0
    found = outliers(figures_of(*alike, soft, others=[dull, offset]))
    assert {one.title: set(one.far) for one in found} == {
        "piece 5": {"level"}, "piece 6": {"bandwidth"}, "piece 7": {"offset"},
    }  # fmt: skip
    assert "level -29 dB against +1 dB" in next(one.words for one in found if one.title == "piece 5")
    assert outliers(figures_of(noise(3.0))) == ()
    assert outliers(figures_of(*(a[:4000] for a in alike), soft[:4000])) == ()  # half a second each: single sounds


def test_a_thump_and_a_wandering_level_are_no_offset():
    """Of a thump the mean over the whole piece is .5 deviations; most of its quarter seconds have none."""
    sound = [noise(3.0, seed=k) for k in range(4)]
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    thump = sound[0] + np.where(t < 0.4, 4.0, 0.0)
    wandering = sound[1] + 2.0 * np.sin(2.0 * np.pi * t)
    shifted = sound[2] + 1.0 + 0.3 * np.sin(2.0 * np.pi * 2.0 * t)
    rows = figures_of(*sound, thump, wandering, shifted)
    assert thump.mean() > 0.5 and abs(rows[4].offset) < 0.05
    assert rows[6].offset == pytest.approx(1.0, abs=0.05)  # over the deviation within windows, which is 1
    assert {one.title for one in outliers(rows) if "offset" in one.far} == {"piece 7"}


def test_titles_are_those_of_the_corpus():
    class Titled(ArrayPiece):
        title = "Sonata"

    pieces = [Titled(noise(2.0)), Stretch(Titled(noise(4.0)), 0, 16_000), ArrayPiece(noise(2.0))]
    assert [row.title for row in piece_figures(pieces, RATE_HZ)] == ["Sonata", "Sonata", "piece 3"]


def test_no_split_is_advised_away():
    alike, dull = [ArrayPiece(noise(3.0, seed=k)) for k in range(4)], ArrayPiece(below_hz(noise(3.0), 800.0))
    (found,) = causes_in_music(alike, RATE_HZ, [dull])
    assert found.outliers == () and "all validation pieces measured are of another kind" in found.advice
    (found,) = causes_in_music([*alike, dull], RATE_HZ, [dull])
    assert found.outliers == ("piece 5",) and "all validation pieces" in found.advice
    (found,) = causes_in_music(alike, RATE_HZ, [dull, alike[0]])
    assert found.outliers == ("piece 5",) and "all validation" not in found.advice


def test_causes_in_the_music_alone_say_what_to_type():
    alike = [ArrayPiece(noise(3.0, seed=k)) for k in range(4)]
    assert causes_in_music(alike, RATE_HZ) == ()
    (found,) = causes_in_music([*alike, ArrayPiece(noise(3.0, 0.03))], RATE_HZ)
    assert (found.name, found.rebuild, found.outliers) == ("pieces-do-not-belong-together", "--normalise", ())
    (found,) = causes_in_music([*alike, ArrayPiece(below_hz(noise(3.0), 800.0))], RATE_HZ)
    assert (found.rebuild, found.outliers) == ("", ("piece 5",))
    soft, dull = ArrayPiece(noise(3.0, 0.03)), ArrayPiece(below_hz(noise(3.0), 800.0))
    (found,) = causes_in_music([*alike, soft, dull], RATE_HZ)
    assert (found.rebuild, found.outliers) == ("--normalise", ("piece 6",))  # a soft piece is no reason to lose it
    silent = [ArrayPiece(np.append(noise(2.0, seed=k), np.zeros(16_000, "float32"))) for k in range(3)]
    (found,) = causes_in_music(silent, RATE_HZ)
    assert (found.name, found.rebuild) == ("training-on-silence", "--drop-silence") and "50 %" in found.evidence


# ---------------------------------------------------------------- the course of training


def history(train, valid, rates=None):
    rates = [1e-3] * len(train) if rates is None else rates
    return [
        {"train": float(t), "valid": float(v), "learning_rate": rate}
        for t, v, rate in zip(train, valid, rates, strict=True)
    ]


def measured(**figures):
    errors = figures.pop("errors", {"this model": 0.5, "linear prediction": 0.8})
    return Measurements(figures=Figures(figures), errors=errors, loss=0.5)


def named(found):
    return {cause.name for cause in causes(found)}


def test_a_training_that_ended_well_before_what_was_planned():
    """Whatever its losses do; early stopping, or a plan that was almost kept, is another matter."""
    short = {"n_updates": 76.0, "n_planned": 2400.0}
    (found,) = causes(measured(**short))
    assert found.name == "limit-too-soon" and found.severity > 0.3
    assert found.evidence == "its limit of time ended the training after 76 of 2400 updates"
    for other in ({"n_updates": 1300.0}, {"n_planned": 0.0}, {"stopped_early": 1.0}):
        assert not named(measured(**{**short, **other}))


def test_a_course_that_turns_up():
    """Training halves for ever, validation is lowest at row 4, and by medians of three rows .51."""
    valid = [0.9, 0.7, 0.6, 0.55, 0.5, 0.51, 0.53, 0.55, 0.58, 0.6]
    figures = course_figures(history(0.5 ** np.arange(10), valid))
    assert figures["turned_up"] == pytest.approx(0.58 / 0.51) and figures["gap_at_best"] == pytest.approx(0.5 * 16)
    assert figures["gap_at_end"] == pytest.approx(0.58 * 2**8) and figures["train_fell"] == pytest.approx(1 / 16)
    assert figures["falls_steadily"] == 0.0 and figures["n_validations"] == 10
    found = measured(**figures, train_seconds=60.0, n_parameters=1000.0)
    assert "overfitting" in named(found)
    assert {"overfitting", "limit-too-soon"}.isdisjoint(named(measured(**course_figures(history([0.5] * 10, valid)))))


def test_one_lucky_validation_is_no_turn():
    """The level of the validation loss does not change; one row of it is 10 % lower."""
    valid = np.full(12, 0.9)
    valid[5] = 0.81
    figures = course_figures(history(np.geomspace(0.9, 0.3, 12), valid))
    assert figures["turned_up"] == 1.0 and figures["gap_at_end"] > 2.0
    assert "overfitting" not in named(measured(**figures, train_seconds=600.0))


@pytest.mark.parametrize(("time_constants", "is_early"), [(2.0, True), (3.0, True), (6.0, False), (12.0, False)])
@pytest.mark.parametrize("floor", [0.0, 1.0, 20.0])
def test_an_exponential_approach_is_early_by_what_is_gained_whatever_its_floor(time_constants, is_early, floor):
    """A loss has a part that no training removes: 3 time constants from 1.3 to 1 are a fall of 2 % at the end."""
    fall = np.exp(-np.linspace(0.0, time_constants, 60))
    figures = course_figures(history([1.0] * 60, floor + (0.3 if floor else 1.0) * fall))
    of_third = (np.exp(-time_constants * 2 / 3) - np.exp(-time_constants)) / (1.0 - np.exp(-time_constants))
    assert figures["still_gains"] == pytest.approx(of_third, abs=0.02)
    is_seen = is_early and figures["fell"] > 0.02  # of 20.3 a fall of .3 is nothing
    found = causes(measured(**figures, stopped_early=0.0))
    assert [cause.name for cause in found] == ["limit-too-soon"] * (is_seen or floor == 0.0)
    if is_seen and figures["still_falls"] < 0.02:
        share = f"{100 * figures['still_gains']:.0f} % of all that it has fallen came in the last third of its 60"
        assert share in found[0].evidence


def test_a_loss_that_has_not_begun_to_fall_is_not_early():
    creeping = 1.0 - 1e-4 * np.arange(20)
    figures = course_figures(history(creeping, creeping))
    assert figures["still_gains"] > 0.2 and figures["falls_steadily"] == 1.0
    assert not named(measured(**figures, stopped_early=0.0))
    rising = course_figures(history(creeping[::-1], creeping[::-1]))
    assert rising["still_gains"] == 0.0 > rising["fell"]


def test_a_course_that_still_falls_unless_its_schedule_is_over():
    falling = 0.9 ** np.arange(12)
    figures = course_figures(history(falling, falling))
    # Medians of three rows, three rows apart: .9^10 and .9^8.
    assert figures["still_falls"] == pytest.approx(1.0 - 0.9**2) and figures["falls_steadily"] == 1.0
    assert "limit-too-soon" in named(measured(**figures, stopped_early=0.0))
    assert "limit-too-soon" not in named(measured(**figures, stopped_early=1.0))
    flat = np.append(falling[:8], np.full(6, falling[7]))
    assert "limit-too-soon" not in named(measured(**course_figures(history(flat, flat))))
    over = course_figures(history(falling, falling, np.linspace(1e-3, 1e-5, 12)))
    assert over["rate_at_end"] == pytest.approx(0.01) and "limit-too-soon" not in named(measured(**over))
    few = course_figures(history(falling[:7], falling[:7]))
    assert np.isnan(few["still_falls"]) and few["n_validations"] == 7


def test_too_little_music_says_how_much_there_is():
    gap = {"gap_at_best": 4.0, "gap_at_end": 4.0, "turned_up": 1.0, "train_fell": 1.0, "n_parameters": 5e4}
    (found,) = causes(measured(**gap, train_seconds=12.5))
    assert found.name == "too-little-music" and found.evidence.startswith("12.5 s of music train 50000 parameters")
    assert not named(measured(**gap, train_seconds=3600.0))  # an hour: the gap has other reasons
    assert not named(measured(**{**gap, "gap_at_best": 1.2, "gap_at_end": 1.2}, train_seconds=12.5))
    in_vain = {**gap, "gap_at_best": 1.2, "train_seconds": 2.0, "best_loss": 3.9, "blank_loss": 4.0}
    assert named(measured(**in_vain, errors={})) == {"too-little-music"}  # learnt by heart, and nothing for elsewhere
    by_heart = {"gap_at_best": 1.0, "gap_at_end": 5.0, "turned_up": 1.5, "train_fell": 0.3, "n_parameters": 9e3}
    seconds = {name: named(measured(**by_heart, train_seconds=name)) for name in (1.0, 4.9, 5.1)}
    assert seconds == {1.0: {"too-little-music", "overfitting"}, 4.9: {"too-little-music", "overfitting"},
                       5.1: {"overfitting"}}  # fmt: skip
    assert causes(measured(**by_heart, train_seconds=2.4))[0].name == "too-little-music"  # which causes the other


def test_no_better_than_linear_and_its_neighbours():
    for mine, expected in ((0.8, "no-better-than-linear"), (0.7, None), (0.9, "worse-than-baseline")):
        found = measured(errors={"this model": mine, "linear prediction": 0.8}, n_validations=9.0, promised_shift=1.0)
        assert named(found) == ({expected} if expected else set())
    assert named(measured(errors={}, best_loss=4.0, blank_loss=4.1, n_validations=9.0)) == {"no-better-than-linear"}
    assert not named(measured(errors={}, best_loss=3.0, blank_loss=4.1, n_validations=9.0))


def test_noise_is_held_against_the_error_and_the_quiet_parts():
    """The mean squared error of the better predictor is .5; noise of std 2 has a power of 4."""
    calm = {"quiet_power": 0.1, "promised_shift": 1.0, "play_towards_twice": 0.0}
    assert named(measured(**calm, input_noise_power=4.0)) == {"noise-drowns-prediction"}
    assert not named(measured(**calm, input_noise_power=0.04))
    assert named(measured(**calm, fed_noise_power=2.0)) == {"noise-drowns-prediction"}
    hiss = measured(**calm, fed_noise_power=0.5)
    hiss.life = Alive(0.5, "turned into noise", 1.0, "noise")
    assert named(hiss) == {"noise-drowns-prediction"}
    assert not named(measured(**calm, fed_noise_power=0.5))  # as loud as the error, and still music


def test_the_noise_at_the_input_of_a_model():
    rng = np.random.default_rng(0)
    cell, readout = LSTM(4, 6, rng=rng), Dense(6, 4, rng=rng)
    assert input_noise_std(Sequential([cell, readout])) == 0.0
    assert input_noise_std(Sequential([Noisy(cell, std=0.5), readout])) == 0.5
    assert input_noise_std(Sequential([GaussianNoise(4, 0.3), Dense(4, 4, rng=rng)])) == pytest.approx(0.3)
    assert input_noise_std(Sequential([cell, GaussianNoise(6, 0.3), readout])) == 0.0  # not at the input
    beside = Sum(linear=LinearPredictor(4, 4), stack=Sequential([Noisy(cell, std=0.5), readout]))
    assert input_noise_std(beside) == 0.5


# ---------------------------------------------------------------- the free run


USUAL = {"level_fall_db": 0.0, "period": 0.0, "unrest_db": 3.0, "repeats_from": np.inf, "n_played": 400.0}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "it goes on"),
        ({"level_fall_db": 20.0}, "it fades: it ends 20 dB below"),
        ({"level_fall_db": -50.0}, "it grows without bound: it ends 50 dB above"),
        ({"unrest_db": 0.01}, "it freezes"),
        ({"period": 1.0}, "it freezes"),
        ({"period": 1.0, "unrest_db": np.nan}, "it freezes: it ends in a steady tone"),
        ({"period": 4.0, "repeats_from": 9.0, "unrest_db": np.nan}, "it loops: from frame 9 on"),
        ({"period": 7.0, "repeats_from": 30.0}, "it loops: from frame 30 on it repeats itself every 7 frames"),
        ({"level_fall_db": np.nan}, "it ends in numbers that are not finite"),
    ],
)
def test_what_a_free_run_does_in_words(changed, words):
    said = course(USUAL | changed)
    assert said.startswith(words) and "nan" not in said


def test_a_run_that_was_not_played_is_not_described():
    assert course({}) == ""


def test_a_free_run_that_goes_on_may_have_died_of_something_else():
    for fault in FAULTS:
        words = course(USUAL, Alive(1.0, "it died", 1.0, fault))
        assert words == FAULTS_IN_WORDS[fault] and course(USUAL | {"level_fall_db": 20.0}).startswith("it fades")
    assert course(USUAL, Alive(10.0, "")).startswith("it goes on: its level ends")


# ---------------------------------------------------------------- together


def test_that_a_mean_was_asked_for_is_said_beside_lesser_causes_only():
    mean = {"level_fall_db": 30.0, "play_against_unrolled": 0.0, "period": 0.0, "unrest_db": 2.0}
    assert named(measured(**mean)) == {"noiseless-feedback"}
    falling = 0.9 ** np.arange(12)
    lesser = measured(**mean, **course_figures(history(falling, falling)))
    assert [cause.name for cause in causes(lesser)] == ["limit-too-soon", "noiseless-feedback"]
    assert named(measured(**mean, kept_promise=1e-4)) == {"unscaled-rmsprop"}  # that explains a dead free run


def test_nothing_measured_means_nothing_found():
    assert causes(Measurements()) == () and len({name for name, _, _ in CAUSES}) == len(CAUSES)


def test_a_mean_is_named_where_the_free_run_dies_without_falling_or_repeating_its_frames():
    usual = {"level_fall_db": 3.0, "play_against_unrolled": 0.0, "period": 0.0, "unrest_db": 2.0}
    assert not named(measured(**usual))
    settled = ("loop", "standstill", "silence", "monotony")
    for fault, is_named in (*((fault, True) for fault in settled), ("noise", False), ("", False)):
        found = measured(**usual)
        found.life = Alive(1.0, "repeats itself every 0.43 s", 1.0, fault)
        assert named(found) == ({"noiseless-feedback"} if is_named else set())
    found.life = Alive(1.0, "repeats itself every 0.43 s", 1.0, "loop")
    (cause,) = causes(found)
    assert "the free run dies after 1.0 s (repeats itself every 0.43 s)" in cause.evidence
