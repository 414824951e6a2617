"""Numbers for sound, on sounds whose answer is known by construction."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rnnaudio
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import (
    STEINWAY_16_KHZ,
    Alive,
    AliveLimits,
    alive_seconds,
    calibrate,
    decibel,
    log_mel,
    normalised_mse,
    spectrum,
)
from rnnaudio.metrics.alive import _first_run, _window_features
from tests.support.sounds import RATE_HZ, music, noise, seconds, sine, spoilt

PIANO = sorted((Path(rnnaudio.__file__).parent / "data" / "piano").glob("*.flac"))


WIDE = (-np.inf, np.inf)
OPEN = AliveLimits(RATE_HZ, level=WIDE, flatness=WIDE, flux=WIDE, movement=WIDE)


@cache
def limits():
    return calibrate([music(20.0, seed) for seed in range(4)], RATE_HZ)


def death_of(tail, music_seconds=6.0):
    return alive_seconds(np.concatenate([music(music_seconds, 77), tail]), RATE_HZ, limits())


def test_decibel():
    np.testing.assert_allclose(decibel([1.0, 10.0, 0.001]), [0.0, 10.0, -30.0], atol=1e-12)
    assert decibel(0.0) == -np.inf and np.isnan(decibel(-1.0))


def test_normalised_mse_by_hand():
    prediction, target = np.array([[1.0, 2.0], [5.0, 5.0]]), np.array([[0.0, 4.0], [2.0, 1.0]])
    assert normalised_mse(prediction, target) == 30 / 21
    assert normalised_mse(prediction, target, mask=[1, 0]) == 5 / 16
    assert normalised_mse(np.zeros_like(target), target) == 1.0
    assert normalised_mse(target, target) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((3, 1)), np.ones(3)), r"prediction has shape \(3, 1\)"),
        ((np.ones((3, 2)), np.zeros((3, 2))), "target is zero"),
        ((np.ones((3, 2)), np.ones((3, 2)), np.zeros(3)), "target is zero"),
        ((np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2))), r"mask has shape \(3, 2\), expected \(3,\)"),
    ],
)
def test_normalised_mse_names_what_does_not_fit(arguments, message):
    with pytest.raises(RnnaudioError, match=message):
        normalised_mse(*arguments)


def test_log_mel_of_a_sine_at_a_band_centre():
    # Band 30's centre (counted from 0) is 31/65 of the way up the mel scale: 1.0 at the centre and 0 at the next two.
    top = 2595 * np.log10(1 + 8000 / 700)
    centres_hz = 700 * (10 ** (np.arange(1, 65) / 65 * top / 2595) - 1)
    mel = log_mel(sine(centres_hz[30], 0.5, amplitude=1.0), RATE_HZ)
    assert mel.shape == (1 + (8000 - 2048) // 256, 64)
    assert (mel.argmax(axis=1) == 30).all()
    # A Hann window spreads a sine's power over bins that add up to 1.5 (0 dB and two of -6 dB, bin-centred).
    assert 0.5 < 10 ** (mel[:, 30].mean() / 10) <= 1.5
    assert mel[:, [0, 63]].max() == -100.0


def test_log_mel_follows_the_gain_and_keeps_to_its_floor():
    audio = noise(0.5, 0.1)
    np.testing.assert_allclose(log_mel(audio, RATE_HZ) - log_mel(audio / 10, RATE_HZ), 20.0, atol=1e-9)
    assert (log_mel(np.zeros(4096), RATE_HZ) == -100.0).all()


def test_log_mel_of_white_noise_has_the_expected_power():
    # E|X|^2 = deviation^2 sum(w^2) and sum(w^2) / (sum w)^2 = 1.5 / 2048: 4 * 1.5 / 2048 deviation^2 in each bin. A
    # triangle over K bins from foot to foot adds up to K/2.
    power = 10 ** (log_mel(noise(30.0, 0.1), RATE_HZ)[:, 50] / 10)
    top = 2595 * np.log10(1 + 8000 / 700)
    feet_hz = 700 * (10 ** (np.array([50, 52]) / 65 * top / 2595) - 1)
    n_bins = (feet_hz[1] - feet_hz[0]) / (RATE_HZ / 2048)
    assert power.mean() == pytest.approx(0.01 * 4 * 1.5 / 2048 * n_bins / 2, rel=0.03)


def test_blocks_of_frames_do_not_show(monkeypatch):
    audio = music(6.0, 77)
    whole = log_mel(audio, RATE_HZ)
    monkeypatch.setattr(spectrum, "BLOCK_FRAMES", 7)
    np.testing.assert_allclose(log_mel(audio, RATE_HZ), whole, rtol=0, atol=1e-9)


def test_calibration_takes_percentiles_of_the_level_over_all_recordings():
    # Ten steady tones of 1.75 s have four windows each; level of a sine of amplitude a: 20 log10(a) - 3.01 dB.
    tones = [sine(440.0, 1.75, amplitude=10 ** (-k / 20)) for k in range(10)]
    levels = np.repeat(-np.arange(10.0), 4) - 10 * np.log10(2)
    found = calibrate(iter(tones), RATE_HZ)
    np.testing.assert_allclose(found.level, np.percentile(levels, [0.5, 99.5]), atol=1e-3)
    assert found.sample_rate_hz == RATE_HZ


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_other_music_stays_alive(seed):
    assert alive_seconds(music(20.0, seed), RATE_HZ, limits()) == Alive(20.0, "")


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (np.zeros(5 * RATE_HZ), "faded to silence"),
        (noise(5.0, 1e-5), "faded to silence"),
        (noise(5.0, 0.05), "turned into noise"),
        (sine(440.0, 5.0), "froze"),
        (sine(262.0, 5.0) + sine(330.0, 5.0) + sine(392.0, 5.0), "froze"),
        (10.0 * music(5.0, 78), "became too loud"),
    ],
    ids=["silence", "hiss", "noise", "sine", "chord", "roar"],
)
def test_death_is_found_when_and_why(tail, reason):
    alive = death_of(tail)
    assert alive.reason.startswith(reason), alive
    assert 5.0 <= alive.seconds <= 6.5  # the music ends at 6 s; windows that hold some of it may be either


def tremolo_noise(swing_db, rate_hz):
    """Noise whose level goes up and down sinusoidally; all bands together."""
    return noise(4.0, 0.01) * 10 ** (swing_db / 20 * np.sin(2 * np.pi * rate_hz * seconds(4.0)))


# A sine of amplitude .1 has a level of -23.0 dB. Flatness: a sine is nothing but peak; of white noise the mean of
# dB of an exponential variable is 10 log10(e^-gamma) = -2.5 dB. Flux and movement of a sine are 0 but for ripple. A
# swing of +-10 dB twice a second has a standard deviation of 10/sqrt(2) dB and changes by 4 * 2 * 10 = 80 dB a second,
# 1.3 dB a frame; noise itself adds a little to both.
@pytest.mark.parametrize(
    ("audio", "feature", "value", "tolerance", "low", "high"),
    [
        (sine(440.0, 4.0), "level", -23.01, 0.01, "faded to silence", "became too loud"),
        (noise(4.0, 0.05), "flatness", -2.5, 0.1, "turned into pure tones", "turned into noise"),
        (sine(1000.0, 4.0), "flux", 0.0, 0.01, "froze: the spectrum stopped changing", "became restless"),
        (sine(1000.0, 4.0), "movement", 0.0, 0.01, "froze: the spectrum stopped moving", "became restless"),
        (tremolo_noise(10.0, 2.0), "flux", 1.4, 0.3, "froze: the spectrum stopped changing", "became restless"),
        (tremolo_noise(10.0, 2.0), "movement", 7.07, 0.6, "froze: the spectrum stopped moving", "became restless"),
    ],
)
def test_each_feature_alone(audio, feature, value, tolerance, low, high):
    below_alone = replace(OPEN, **{feature: (value + tolerance, np.inf)})
    above_alone = replace(OPEN, **{feature: (-np.inf, value - tolerance)})
    around = replace(OPEN, **{feature: (value - tolerance, value + tolerance)})
    below, above = (alive_seconds(audio, RATE_HZ, limits) for limits in (below_alone, above_alone))
    assert below.seconds == above.seconds == 0.0
    assert below.reason.startswith(f"{low}") and f"({feature} " in below.reason and " below " in below.reason
    assert above.reason.startswith(f"{high}") and f"({feature} " in above.reason and " above " in above.reason
    assert alive_seconds(audio, RATE_HZ, around) == Alive(4.0, "")


def test_a_tremolo_on_a_pure_tone_moves_but_is_no_music():
    tone = sine(440.0, 5.0) * (1 + 0.9 * np.sin(2 * np.pi * 4 * seconds(5.0)))
    by_level, by_flatness = (replace(OPEN, **{name: getattr(limits(), name)}) for name in ("level", "flatness"))
    assert alive_seconds(tone, RATE_HZ, by_level).reason == ""
    assert alive_seconds(tone, RATE_HZ, by_flatness).reason.startswith("turned into pure tones")
    assert alive_seconds(tone, RATE_HZ, limits()).seconds == 0.0


def test_reason_gives_feature_side_and_limit():
    alive = death_of(np.zeros(5 * RATE_HZ))
    assert alive.reason == f"faded to silence (level -100.0 dB, below {limits().level[0]:.1f} dB)"


def test_fade_out_dies_when_it_gets_quiet():
    audio = music(30.0, 104) * 10 ** (-3.0 * seconds(30.0) / 20)  # 3 dB a second
    alive = alive_seconds(audio, RATE_HZ, limits())
    assert alive.reason.startswith("faded to silence")
    starts = range(0, len(audio) - RATE_HZ, RATE_HZ // 4)
    levels = [10 * np.log10(np.mean(audio[k : k + RATE_HZ] ** 2)) for k in starts]
    at = round(alive.seconds * 4)
    assert max(levels[at + 4 : at + 8]) < limits().level[0]
    assert max(levels[max(0, at - 8) : at]) > limits().level[0]


@pytest.mark.parametrize(
    ("sound", "reason"),
    [(np.zeros, "faded to silence"), (lambda n: noise(n / RATE_HZ, 0.05), "turned into noise")],
)
@pytest.mark.parametrize("duration", [1.0, 2.0, 10.0])
def test_dead_from_the_start_also_when_short(sound, reason, duration):
    alive = alive_seconds(sound(round(duration * RATE_HZ)), RATE_HZ, limits())
    assert alive.seconds == 0.0 and alive.reason.startswith(reason)


def test_a_short_rest_is_not_death():
    # Even all windows that touch a rest of 0.7 s, (0.7 + 1) / 0.25, are fewer than eight; 4 s hold thirteen.
    def with_rest(duration):
        rest = noise(duration, 1e-4, 3)
        audio = np.concatenate([music(6.0, 77)[: 5 * RATE_HZ], rest, music(6.0, 105)])
        return alive_seconds(audio, RATE_HZ, limits())

    assert with_rest(0.7).reason == ""
    assert with_rest(4.0).reason.startswith("faded to silence")


def test_seven_windows_are_not_enough():
    features = np.zeros(30, dtype=bool)
    features[[*range(3, 10), *range(12, 20)]] = True
    assert _first_run(features) == 12
    assert _first_run(features[:19]) is None


def test_a_window_has_the_features_of_exactly_the_frames_inside_it():
    """From the log-mel spectrogram of each second by itself, cut where its first and last whole frames lie."""
    audio = np.concatenate([music(3.0, 5), noise(2.0, 0.01)])
    features, hop = _window_features(audio, RATE_HZ), RATE_HZ // 4
    for k in range(len(features.level)):
        first = -(-k * hop // 256)
        last = (k * hop + RATE_HZ - 2048) // 256
        mel = log_mel(audio[256 * first : 256 * last + 2048], RATE_HZ)
        assert len(mel) == last - first + 1
        assert features.movement[k] == pytest.approx(mel.std(axis=0).mean(), rel=1e-9)
        assert features.flux[k] == pytest.approx(np.abs(np.diff(mel, axis=0)).mean(), rel=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_ends_life(value):
    audio = music(20.0, 101).copy()
    audio[100_000] = value
    assert alive_seconds(audio, RATE_HZ, limits()) == Alive(6.25, f"stopped being sound: a sample is {value}")
    audio[5] = value
    assert alive_seconds(audio, RATE_HZ, limits()).seconds == 5 / RATE_HZ


def test_an_earlier_death_comes_before_the_nan():
    tail = np.zeros(5 * RATE_HZ)
    tail[-1] = np.nan
    assert death_of(tail).reason.startswith("faded to silence")


def test_float32_gives_the_same_verdict():
    audio = np.concatenate([music(6.0, 77), noise(5.0, 0.05)])
    single = alive_seconds(audio.astype(np.float32), RATE_HZ, limits())
    assert single == alive_seconds(audio, RATE_HZ, limits())


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
        (lambda: log_mel(np.zeros(2047), RATE_HZ), "2047 samples"),
        (lambda: log_mel(spoilt(4096), RATE_HZ), "NaN or infinite samples"),
        (lambda: log_mel(np.zeros(4096), 2000), "the sample rate is 2000 Hz"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(RnnaudioError, match=message):
        call()


@pytest.mark.skipif(not PIANO, reason="the embedded piano is not here")
@pytest.mark.parametrize("calibrated", [True, False], ids=["calibrated", "published limits"])
def test_real_piano_stays_alive_and_its_endings_are_found(calibrated):
    soundfile = pytest.importorskip("soundfile")
    recordings = [soundfile.read(path) for path in PIANO]
    assert {rate for _, rate in recordings} == {RATE_HZ}
    real = calibrate([audio for audio, _ in recordings], RATE_HZ) if calibrated else STEINWAY_16_KHZ
    for audio, _ in recordings:
        assert alive_seconds(audio, RATE_HZ, real) == Alive(len(audio) / RATE_HZ, "")
    opening = recordings[0][0][: 5 * RATE_HZ]
    level = np.sqrt(np.mean(opening**2))
    for tail, reason in (
        (np.zeros(5 * RATE_HZ), "faded to silence"),
        (noise(5.0, level), "turned into noise"),
        (sine(440.0, 5.0, level), "froze"),
    ):
        alive = alive_seconds(np.concatenate([opening, tail]), RATE_HZ, real)
        assert alive.reason.startswith(reason) and 4.0 <= alive.seconds <= 5.5
