"""Numbers for sound, on sounds whose answer is known by construction."""

import numpy as np
import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import decibel, log_mel, normalised_mse, spectrum
from tests.support.sounds import RATE_HZ, music, noise, sine, spoilt


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_mel(np.zeros(2047), RATE_HZ), "2047 samples"),
        (lambda: log_mel(spoilt(4096), RATE_HZ), "NaN or infinite samples"),
        (lambda: log_mel(np.zeros(4096), 2000), "the sample rate is 2000 Hz"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(RnnaudioError, match=message):
        call()
