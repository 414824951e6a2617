"""How long sound lives, and what it dies of, on sounds whose answer is known by construction."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import spectrogram

import rnnaudio
from rnnaudio.audio.mel import mel_weights
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import Alive, alive_seconds, calibrate, in_range, limits_of_all_music
from rnnaudio.metrics.alive import FAULTS
from rnnaudio.metrics.windows import measure_windows, of_noise
from tests.support.sounds import RATE_HZ, music, noise, seconds, sine, spoilt

PIANO = sorted((Path(rnnaudio.__file__).parent / "data" / "piano").glob("*.flac"))


@cache
def limits():
    return calibrate([music(20.0, seed) for seed in range(4)], RATE_HZ)


def death_of(tail, music_seconds=6.0):
    return alive_seconds(np.concatenate([music(music_seconds, 77), tail]), RATE_HZ, limits())


def coloured(duration, exponent, level=0.05):
    """Noise of power f^-exponent."""
    spectrum = np.fft.rfft(noise(duration, 1.0))
    audio = np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 20.0) ** (-exponent / 2))
    return level * audio / audio.std()


def narrow(duration, width_hz=50.0):
    """Noise in bands at the multiples of 220 Hz."""
    spectrum = np.fft.rfft(noise(duration, 1.0))
    frequencies = np.fft.rfftfreq(round(duration * RATE_HZ), 1.0 / RATE_HZ)
    bands = np.exp(-0.5 * ((frequencies[:, None] - 220.0 * np.arange(1, 12)) / width_hz) ** 2).sum(axis=1)
    audio = np.fft.irfft(spectrum * (bands + 0.01))
    return 0.05 * audio / audio.std()


def wavering(duration, by_db=2.7, seed=0):
    """Noise in eight bands, the level of each of which changes every eighth of a second."""
    n, rng = round(duration * RATE_HZ), np.random.default_rng(seed)
    edges = np.linspace(0, n // 2 + 1, 9).astype(int)
    spectrum, audio = np.fft.rfft(rng.standard_normal(n)), np.zeros(n)
    for first, last in pairwise(edges):
        band = np.where((np.arange(n // 2 + 1) >= first) & (np.arange(n // 2 + 1) < last), spectrum, 0.0)
        levels = np.interp(seconds(duration), np.arange(0.0, duration + 0.2, 0.125), rng.standard_normal(
            len(np.arange(0.0, duration + 0.2, 0.125))))  # fmt: skip
        audio += np.fft.irfft(band, n) * 10 ** (by_db * levels / 20.0)
    return 0.05 * audio / audio.std()


def buzz(duration, tremolo_hz=1.5):
    """A sawtooth of 80 Hz whose level rises and falls."""
    partials = sum(np.cos(2 * np.pi * 80 * k * seconds(duration)) / np.sqrt(k) for k in range(1, 80))
    return 0.02 * partials * (1 + 0.5 * np.sin(2 * np.pi * tremolo_hz * seconds(duration)))


def drone(duration, beats_hz=(1.5, 4.0)):
    """Partials of 98 Hz, each of which beats at a rate of its own."""
    t, rates = seconds(duration), np.random.default_rng(3).uniform(*beats_hz, 40)
    partials = ((98.0 * k, rate) for k, rate in enumerate(rates, 1))
    return 0.05 * sum(
        np.cos(2 * np.pi * f * t) * (0.15 + np.cos(np.pi * rate * t) ** 2) / f**0.5 for f, rate in partials
    )


def repeated(period, duration):
    part = music(6.0, 78)[: round(period * RATE_HZ)]
    return np.tile(part, int(duration / period) + 1)[: round(duration * RATE_HZ)]


def clicks(duration, every=1.7):
    audio = np.zeros(round(duration * RATE_HZ))
    audio[:: round(every * RATE_HZ)] = 0.5
    return audio


@pytest.mark.parametrize("seed", [101, 102, 103, 104, 105])
def test_other_music_stays_alive(seed):
    alive = alive_seconds(music(20.0, seed), RATE_HZ, limits())
    assert alive[:2] == (20.0, "") and alive.confidence > 0.9


TAILS = {
    "silence": (np.zeros(5 * RATE_HZ), "fell silent"),
    "nearly silence": (noise(5.0, 1e-5), "fell silent"),
    "silence with clicks": (clicks(6.0), "fell silent"),
    "white noise": (noise(5.0, 0.05), "turned into noise"),
    "pink noise": (coloured(5.0, 1.0), "turned into noise"),
    "brown noise": (coloured(5.0, 2.0), "turned into noise"),
    "noise with tremolo": (noise(5.0, 0.05) * (1 + 0.7 * np.sin(9 * seconds(5.0))), "turned into noise"),
    "noise in narrow bands": (narrow(5.0), "turned into noise"),
    "loop of noise": (np.tile(noise(0.65, 0.05), 8), "repeats itself"),
    "sine": (sine(440.0, 5.0), "froze"),
    "chord": (sine(262.0, 5.0) + sine(330.0, 5.0) + sine(392.0, 5.0), "froze"),
    "buzz with tremolo": (buzz(5.0), "froze"),
    "drone with beats": (drone(6.0), "stopped changing"),
    "roar": (20.0 * music(5.0, 78), "became too loud"),
    "clipped": (np.clip(60.0 * music(5.0, 78), -0.1, 0.1), "clipped"),
    "loop of .65 s": (repeated(0.65, 6.0), "repeats itself every 0.6"),
    "loop of 2 s": (repeated(2.0, 8.0), "repeats itself every 2.00 s"),
}


@pytest.mark.parametrize(("tail", "reason"), TAILS.values(), ids=TAILS)
def test_death_is_found_when_and_why(tail, reason):
    alive = death_of(tail)
    assert alive.reason.startswith(reason), alive
    assert 5.0 <= alive.seconds <= 6.5  # the music ends at 6 s; windows that hold some of it may be either
    assert alive.confidence > 0.8


@pytest.mark.parametrize("tail", [tail for tail, _ in TAILS.values()], ids=TAILS)
def test_what_dies_and_does_not_come_back_is_dead_for_good_since_then(tail):
    prime = music(6.0, 77)[:RATE_HZ]
    audio = np.concatenate([music(6.0, 77), tail])
    alive = alive_seconds(audio, RATE_HZ, limits(), prime)
    assert in_range(audio, RATE_HZ, limits(), prime).dead_from_s == alive.seconds
    assert alive.reason and alive.fault in FAULTS


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 22_050, 44_100])
def test_the_limits_hold_at_other_rates(rate_hz):
    t = np.arange(8 * rate_hz) / rate_hz
    rng = np.random.default_rng(0)
    tune = sum(
        0.1 * np.sin(2 * np.pi * f * (1 + 0.1 * np.sin(1.3 * t * k)) * t) * (np.sin(2 * np.pi * k * t / 1.7) > 0)
        for k, f in enumerate((220.0, 330.0, 550.0, 1100.0), 1)
    )
    limits_here = calibrate([tune], rate_hz)
    assert alive_seconds(tune, rate_hz, limits_here).reason == ""
    hiss = 0.05 * rng.standard_normal(len(t))
    assert alive_seconds(hiss, rate_hz, limits_here).reason.startswith("turned into noise")
    assert alive_seconds(0.1 * np.sin(3000 * t), rate_hz, limits_here).reason.startswith("froze")


def test_features_of_noise_and_tones_are_those_of_the_closed_forms():
    """The mean of the dB of an exponential variable is 10 log10(e^-gamma) = -2.51 dB; a steady tone does not move."""
    noisy = of_noise(RATE_HZ)
    assert np.mean(noisy.noisiness) == pytest.approx(-10 * np.euler_gamma / np.log(10), abs=0.2)
    assert 1.0 < np.mean(noisy.movement) < 2.0
    tone = measure_windows(sine(1000.0, 5.0), RATE_HZ)
    assert np.max(tone.noisiness) < -20.0 and np.max(tone.movement) < 0.1
    np.testing.assert_allclose(tone.level, 20 * np.log10(0.1) - 10 * np.log10(2.0), atol=0.1)
    assert len(tone.level) == 17 and len(measure_windows(np.zeros(RATE_HZ - 1), RATE_HZ).level) == 0


@pytest.mark.parametrize("share_of_rate", [0.03, 0.49])
def test_what_moves_is_noticed_up_to_the_highest_band(share_of_rate):
    """A tone that comes and goes twice a second above one that stays."""
    stays, tone = sine(1000.0, 5.0), sine(share_of_rate * RATE_HZ, 5.0)
    comes_and_goes = tone * (np.arange(len(tone)) * 4 // RATE_HZ % 2)
    assert measure_windows(stays, RATE_HZ).movement.max() < 0.01
    assert measure_windows(stays + comes_and_goes, RATE_HZ).movement.min() > 0.2


def test_features_do_not_depend_on_the_level_nor_movement_on_a_tremolo():
    audio = music(8.0, 3)
    one, softer = measure_windows(audio, RATE_HZ), measure_windows(0.3 * audio, RATE_HZ)
    np.testing.assert_allclose(softer.movement, one.movement, atol=0.05)
    np.testing.assert_allclose(softer.recurrence, one.recurrence, atol=0.02)
    np.testing.assert_allclose(softer.level, one.level + 20 * np.log10(0.3), atol=0.05)
    tremolo = 1 + 0.5 * np.sin(2 * np.pi * 3 * seconds(8.0))
    steady = noise(8.0, 0.05)
    moved = measure_windows(steady * tremolo, RATE_HZ).movement
    np.testing.assert_allclose(moved, measure_windows(steady, RATE_HZ).movement, rtol=0.15)


def test_the_period_of_a_repetition_is_found():
    for period in (0.31, 0.65, 1.1, 2.0, 3.0):
        windows = measure_windows(repeated(period, 12.0), RATE_HZ)
        first = slice(0, 16)
        assert np.all(windows.recurrence[first] < 0.1)
        ratio = windows.period[first] / period
        np.testing.assert_allclose(ratio, np.round(ratio), atol=0.06)  # the period, or a multiple of it


def test_the_end_of_a_repetition_repeats_although_too_little_follows_it():
    """The last window has the values of the last frame that is compared, here with the shortest period alone."""
    windows = measure_windows(repeated(0.16, 6.0), RATE_HZ)
    assert (windows.recurrence[-4:] < 0.2).all() and windows.period[-4:] == pytest.approx(0.16, abs=0.02)


def test_silence_is_judged_relative_to_the_prime():
    quiet = 0.01 * music(8.0, 77)
    level = measure_windows(quiet, RATE_HZ).level
    assert np.median(level) > -70.0
    limit = replace(limits(), silence_dbfs=-90.0)
    assert alive_seconds(quiet, RATE_HZ, limit, quiet[:RATE_HZ]).reason == ""
    assert alive_seconds(quiet, RATE_HZ, limit, music(8.0, 77)[:RATE_HZ]).reason.startswith("fell silent")


def test_a_fade_is_told_from_an_end():
    audio = music(30.0, 104) * 10 ** (-6.0 * seconds(30.0) / 20)  # 6 dB a second
    alive = alive_seconds(audio, RATE_HZ, limits())
    assert alive.reason.startswith("faded to silence")
    level = measure_windows(audio, RATE_HZ).level
    at = round(alive.seconds * 4)
    limit = max(-60.0, limits().median_dbfs - 35.0)
    assert max(level[at : at + 8]) < limit <= level[at - 1]


@pytest.mark.parametrize(
    ("sound", "reason"),
    [(np.zeros, "fell silent"), (lambda n: noise(n / RATE_HZ, 0.05), "turned into noise")],
)
@pytest.mark.parametrize("duration", [1.0, 2.0, 10.0])
def test_dead_from_the_start_also_when_short(sound, reason, duration):
    alive = alive_seconds(sound(round(duration * RATE_HZ)), RATE_HZ, limits())
    assert alive.seconds == 0.0 and alive.reason.startswith(reason)


def test_a_short_rest_is_not_death():
    # Even all windows that touch a rest of 0.7 s, (0.7 + 1) / 0.25, are fewer than eight; 4 s hold thirteen.
    def with_rest(duration):
        rest = noise(duration, 1e-5, 3)
        audio = np.concatenate([music(6.0, 77)[: 5 * RATE_HZ], rest, music(6.0, 105)])
        return alive_seconds(audio, RATE_HZ, limits())

    assert with_rest(0.7).reason == ""
    revived = with_rest(4.0)
    assert revived.reason.startswith("fell silent") and 4.0 <= revived.seconds <= 5.25
    assert revived.confidence < 0.6  # the music that follows speaks against it


def test_a_corpus_that_crosses_a_limit_itself_moves_it():
    rain = [noise(20.0, 0.03, k) * (1 + 0.1 * np.sin(seconds(20.0))) for k in range(5)]
    of_rain = calibrate(rain, RATE_HZ)
    assert of_rain.blind == ("noise", "monotony")
    assert alive_seconds(noise(10.0, 0.03, 9), RATE_HZ, of_rain).reason == ""
    assert alive_seconds(np.zeros(10 * RATE_HZ), RATE_HZ, of_rain).reason.startswith("fell silent")
    beats = calibrate([repeated(0.5, 20.0), repeated(0.8, 20.0)], RATE_HZ)
    assert beats.blind == ("loop", "monotony")
    assert limits().blind == ()


def test_noise_whose_colour_wavers_is_noise_unless_the_prime_is():
    """It moves more than steady noise. A recording of such noise allows it after a prime of its kind alone."""
    sound = wavering(6.0)
    steady = 1.2 * np.median(of_noise(RATE_HZ).movement)
    assert np.median(measure_windows(sound, RATE_HZ).movement) > 1.05 * steady  # found by its breadth alone
    assert death_of(sound).reason.startswith("turned into noise")
    assert alive_seconds(sound, RATE_HZ, limits_of_all_music(RATE_HZ)).reason.startswith("turned into noise")
    surf = [wavering(20.0, seed=seed) for seed in (1, 2)]
    mixed = calibrate([music(20.0, 0), music(20.0, 1), surf[0]], RATE_HZ)
    after_music, after_surf = music(20.0, 0)[:RATE_HZ], surf[1][:RATE_HZ]
    assert alive_seconds(sound, RATE_HZ, mixed, after_music).reason.startswith("turned into noise")
    assert alive_seconds(sound, RATE_HZ, mixed, after_surf).reason == ""
    assert in_range(sound, RATE_HZ, mixed, after_music).fraction < 0.2
    of_surf = calibrate([*surf, music(20.0, 0)], RATE_HZ)
    assert alive_seconds(sound, RATE_HZ, of_surf, after_music).reason == ""  # most of this corpus is so


def test_change_is_what_remains_when_each_second_is_averaged():
    """Against its definition, on spectra of SciPy; a drone moves within each second, and one equals the next."""
    audio = np.concatenate([music(4.0, 5), drone(4.0)])
    measured = measure_windows(audio, RATE_HZ)
    assert measured.movement[-4:].min() > 0.7 * of_noise(RATE_HZ).movement.min()
    assert measured.change[-4:].max() < 0.4 < 1.0 < measured.change[:4].min()
    assert (measured.change[-9:] == measured.change[-9]).all() and measured.change[-9] != measured.change[-10]
    assert np.isinf(measure_windows(audio[: round(2.8 * RATE_HZ)], RATE_HZ).change).all()
    hop, frame = round(0.016 * RATE_HZ), 2 ** round(np.log2(0.064 * RATE_HZ))
    _, _, power = spectrogram(audio[: 3 * RATE_HZ], RATE_HZ, "hann", frame, frame - hop, detrend=False, mode="psd")
    mel = 10 * np.log10(power.T @ mel_weights(frame, RATE_HZ, 40)[:, 1:])
    mel = np.maximum(mel, mel.max() - 50.0)
    shape = mel - mel.mean(axis=1, keepdims=True)
    n = (RATE_HZ - frame) // hop + 1  # frames within a second
    means = [shape[k * n : (k + 1) * n].mean(axis=0) for k in range(3)]
    assert np.std(means, axis=0).mean() == pytest.approx(measured.change[0], rel=1e-3)


def test_a_corpus_of_drones_may_be_continued_by_one():
    droning = calibrate([drone(20.0), drone(20.0, (2.0, 3.0)), music(20.0, 0)], RATE_HZ)
    assert "monotony" in droning.blind
    assert alive_seconds(drone(8.0), RATE_HZ, droning).reason == ""
    short = calibrate([drone(2.5), music(1.5, 0)], RATE_HZ)  # too short for three seconds to be compared
    assert short.unchanged == limits_of_all_music(RATE_HZ).unchanged
    before = replace(limits(), unchanged=0.0)  # limits that an earlier version has saved
    assert "stopped changing" not in alive_seconds(drone(8.0), RATE_HZ, before).reason


def test_one_odd_recording_among_many_moves_no_limit():
    """A recording that is mostly silent, or noise, must not allow a model to be so."""
    usual = [music(20.0, seed) for seed in range(9)]
    silent = np.concatenate([music(4.0, 9), np.zeros(16 * RATE_HZ)])
    for odd in (silent, noise(20.0, 0.05)):
        mixed = calibrate([*usual, odd], RATE_HZ)
        assert mixed.blind == ()
        assert alive_seconds(np.zeros(5 * RATE_HZ), RATE_HZ, mixed).reason.startswith("fell silent")
        assert alive_seconds(noise(5.0, 0.05), RATE_HZ, mixed).reason.startswith("turned into noise")


def test_seven_windows_are_not_enough():
    silent = np.concatenate([music(6.0, 77), np.zeros(round(2.4 * RATE_HZ)), music(6.0, 105)])
    n_silent = np.sum(measure_windows(silent, RATE_HZ).level < -60.0)
    assert 5 <= n_silent < 8 and alive_seconds(silent, RATE_HZ, limits()).reason == ""
    longer = np.concatenate([music(6.0, 77), np.zeros(round(3.4 * RATE_HZ)), music(6.0, 105)])
    assert alive_seconds(longer, RATE_HZ, limits()).reason.startswith("fell silent")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_ends_life(value):
    audio = music(20.0, 101).copy()
    audio[100_000] = value
    assert alive_seconds(audio, RATE_HZ, limits())[:2] == (6.25, f"stopped being sound: a sample is {value}")
    audio[5] = value
    assert alive_seconds(audio, RATE_HZ, limits()).seconds == 5 / RATE_HZ


def test_an_earlier_death_comes_before_the_nan():
    tail = np.zeros(5 * RATE_HZ)
    tail[-1] = np.nan
    assert death_of(tail).reason.startswith("fell silent")


def test_float32_gives_the_same_verdict():
    audio = np.concatenate([music(6.0, 77), noise(5.0, 0.05)])
    single = alive_seconds(audio.astype(np.float32), RATE_HZ, limits())
    assert single[:2] == alive_seconds(audio, RATE_HZ, limits())[:2]


def test_in_range_is_the_share_of_windows_and_the_end_of_the_last():
    audio = np.concatenate([music(8.0, 77), noise(12.0, 0.05)])
    found = in_range(audio, RATE_HZ, limits())
    assert found.fraction == pytest.approx(8 / 20, abs=0.06)
    assert found.dead_from_s == pytest.approx(8.0, abs=1.0)
    assert in_range(music(20.0, 101), RATE_HZ, limits()) == (pytest.approx(1.0, abs=0.1), None)
    spoilt_end = np.where(np.arange(20 * RATE_HZ) > 10 * RATE_HZ, np.nan, music(20.0, 101))
    assert in_range(spoilt_end, RATE_HZ, limits()).dead_from_s == pytest.approx(9.25, abs=0.3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: alive_seconds(np.zeros(8000), RATE_HZ, limits()), "0.50 s of audio"),
        (lambda: alive_seconds(np.zeros(0), RATE_HZ, limits()), "0.00 s of audio"),
        (lambda: alive_seconds(np.zeros(99999), 8000, limits()), "limits are for 16000 Hz, the audio is 8000 Hz"),
        (lambda: alive_seconds(np.zeros((2, 99999)), RATE_HZ, limits()), r"shape \(2, 99999\)"),
        (lambda: alive_seconds(np.zeros(99999, dtype=np.int16), RATE_HZ, limits()), "the audio is int16"),
        (lambda: calibrate([], RATE_HZ), "no recording is as long as 1 s"),
        (lambda: calibrate([np.zeros(9)], RATE_HZ), "no recording is as long as 1 s"),
        (lambda: calibrate([spoilt(99999)], RATE_HZ), "recording 0 holds NaN or infinite samples"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(RnnaudioError, match=message):
        call()


def test_real_piano_stays_alive_and_its_endings_are_found():
    recordings = [soundfile.read(path) for path in PIANO]
    assert len(recordings) > 2 and {rate for _, rate in recordings} == {RATE_HZ}
    for number, (audio, _) in enumerate(recordings):
        others = [other for k, (other, _) in enumerate(recordings) if k != number]
        assert alive_seconds(audio, RATE_HZ, calibrate(others, RATE_HZ))[:2] == (len(audio) / RATE_HZ, "")
    real = calibrate([audio for audio, _ in recordings], RATE_HZ)
    opening = recordings[0][0][: 5 * RATE_HZ]
    level = np.sqrt(np.mean(opening**2))
    for tail, reason in (
        (np.zeros(5 * RATE_HZ), "fell silent"),
        (noise(5.0, level), "turned into noise"),
        (sine(440.0, 5.0, level), "froze"),
    ):
        alive = alive_seconds(np.concatenate([opening, tail]), RATE_HZ, real)
        assert alive.reason.startswith(reason) and 4.0 <= alive.seconds <= 5.5


def test_alive_is_a_verdict_with_full_confidence_by_default():
    assert Alive(1.0, "").confidence == 1.0
