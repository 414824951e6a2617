"""The transform against scipy's and sums written out; its inverse over windows, hops and lengths; what it refuses."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import assume, given
from hypothesis import strategies as st

from rnnaudio.audio import STFT
from rnnaudio.audio.stft import WINDOWS, overlap_add
from rnnaudio.errors import RnnaudioError
from tests.support.sounds import spoilt

OF_SCIPY = {"rectangular": "boxcar"}  # names that differ there


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def made(*arguments, **options):
    try:
        return STFT(*arguments, **options)
    except RnnaudioError:
        return None


@given(
    n=st.integers(1, 67), hop=st.integers(1, 67), length=st.integers(1, 300),
    window=st.sampled_from(sorted(WINDOWS)), seed=st.integers(0, 9),
)  # fmt: skip
def test_the_inverse_gives_the_sound_back(n, hop, length, window, seed):
    stft = made(n, hop, window)
    assume(stft is not None)
    audio = 100.0 * noise(length, seed)
    spectra = stft.forward(audio)
    assert spectra.shape == (stft.n_frames(length), stft.n_bins)
    error = np.abs(stft.inverse(spectra, length) - audio).max() / np.abs(audio).max()
    assert error <= 1e-6
    longest = stft.inverse(spectra)  # zeros follow
    np.testing.assert_allclose(longest[:length], audio, atol=1e-6 * np.abs(audio).max())
    assert 0 <= len(longest) - length < hop and np.abs(longest[length:]).max(initial=0.0) <= 1e-4


@given(
    n=st.integers(1, 40), hop=st.integers(1, 40), length=st.integers(1, 200), window=st.sampled_from(sorted(WINDOWS))
)
def test_without_padding_whole_frames_come_back_where_the_window_sees(n, hop, length, window):
    stft = made(n, hop, window, "none")
    assume(stft is not None and length >= n)
    audio = noise(length)
    back = stft.inverse(stft.forward(audio))
    assert len(back) == (length - n) // hop * hop + n
    seen = overlap_add(np.broadcast_to(stft.weights**2, (stft.n_frames(length), n)), hop) > 1e-6
    np.testing.assert_allclose(back[seen], audio[: len(back)][seen], atol=1e-6)
    np.testing.assert_array_equal(stft.inverse(stft.forward(audio), len(back)), back)
    with pytest.raises(RnnaudioError, match=f"n_samples: got {len(back) + 1}, expected {len(back)} to"):
        stft.inverse(stft.forward(audio), len(back) + 1)  # as many as the last frames would need there are not


@pytest.mark.parametrize("window", sorted(WINDOWS))
@pytest.mark.parametrize(("n", "hop"), [(64, 16), (63, 10), (50, 25)])
def test_spectra_are_scipy_s(window, n, hop):
    stft, audio = STFT(n, hop, window, "none"), noise(400)
    name = OF_SCIPY.get(window, window)
    options = {"window": name, "nperseg": n, "noverlap": n - hop, "boundary": None, "padded": False}
    _, _, expected = scipy.signal.stft(audio, **options)
    np.testing.assert_allclose(stft.forward(audio), expected.T * stft.weights.sum(), atol=1e-12)


def test_frame_and_bin_by_the_formula():
    stft, audio = STFT(9, 4, sample_rate_hz=16_000), noise(20)
    padded = np.concatenate([np.zeros(5), audio, np.zeros(12)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(9) / 9)
    expected = sum(hann[t] * padded[3 * 4 + t] * np.exp(-2j * np.pi * 2 * t / 9) for t in range(9))
    assert stft.forward(audio)[3, 2] == pytest.approx(expected)
    assert stft.times_s(5)[3] == pytest.approx((12 - 5 + 4.5) / 16_000)
    np.testing.assert_allclose(stft.frequencies_hz(), np.arange(5) * 16_000 / 9)


def test_many_sounds_at_once_are_each_alone():
    stft, audio = STFT(16, 4), noise(120).reshape(2, 3, 20)
    spectra = stft.forward(audio)
    np.testing.assert_array_equal(spectra[1, 2], stft.forward(audio[1, 2]))
    np.testing.assert_allclose(stft.inverse(spectra, 20), audio, atol=1e-12)


def test_ripple_is_that_of_the_squared_window():
    assert STFT(64, 16).ripple == pytest.approx(1.0)
    assert STFT(200, 200, "rectangular").ripple == 1.0
    hann = STFT(64, 32)
    assert scipy.signal.check_COLA(hann.weights, 64, 32) and hann.ripple == pytest.approx(2.0)  # of w^2: 1 and 1/2
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(50) / 50)
    overlapped = [sum(weights[k] ** 2 for k in range(start, 50, 20)) for start in range(20)]
    assert STFT(50, 20).ripple == pytest.approx(max(overlapped) / min(overlapped))


def test_seconds():
    assert STFT.in_seconds(16_000, window_s=0.064, hop_s=0.016) == STFT(1024, 256, sample_rate_hz=16_000)


@given(n=st.integers(2, 60), hop=st.integers(1, 60))
def test_what_is_built_can_be_inverted_and_what_is_not_cannot(n, hop):
    stft = made(n, hop)
    overlap = overlap_add(np.broadcast_to((0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)) ** 2, (3 * n, n)), hop)
    can = hop <= n and overlap[n:-n].min() > 1e-10
    assert (stft is not None) == can


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((16, 17), "the hop is 17 samples, the window 16: samples between the frames could not be recovered; take"),
        ((16, 16), "a hann window of 16 samples with a hop of 16 is zero on some samples in all frames"),
        ((0, 1), "window_samples: got 0, expected a whole number, at least 1"),
        ((16, 2.5), "hop_samples: got 2.5"),
        ((16, 4, "kaiser"), "window: got 'kaiser', expected one of hann, hamming"),
        ((16, 4, "hann", "reflect"), "padding: got 'reflect', expected full or none"),
    ],
)
def test_settings_that_are_refused(arguments, message):
    with pytest.raises(RnnaudioError, match=message):
        STFT(*arguments)


def test_sound_and_spectra_that_are_refused():
    stft, bare = STFT(16, 4), STFT(16, 4, padding="none")
    bad = noise(40)
    bad[7] = np.nan
    for call, message in [
        (lambda: stft.forward(bad), "the audio holds NaN"),
        (lambda: stft.forward(np.empty(0)), "0 samples of audio have no frame"),
        (lambda: bare.forward(noise(15)), "15 samples of audio have no frame of 16 .padding none.: give more"),
        (lambda: stft.forward(noise(40) * 1j), "got complex128 .* expected real samples"),
        (lambda: stft.inverse(np.zeros((3, 10))), r"shape \(3, 10\), expected \(..., frames, 9\) for a window of 16"),
        (lambda: stft.inverse(spoilt((9, 9))), "the spectra hold NaN"),
        (lambda: stft.inverse(np.zeros((3, 9))), "3 frames cover no sample of audio completely: give 4"),
        (lambda: STFT(16, 4, sample_rate_hz=-1), "sample_rate_hz: got -1, expected a whole number"),
        (lambda: STFT(16, 4, sample_rate_hz="16k"), "sample_rate_hz: got '16k'"),
        (lambda: STFT.in_seconds(16_000, window_s=np.nan, hop_s=0.1), "window_s: got nan, expected a number above 0"),
        (lambda: STFT.in_seconds("16000", window_s=0.1, hop_s=0.1), "sample_rate_hz: got '16000', expected a number"),
        (lambda: stft.inverse(np.zeros((8, 9)), 40), "n_samples: got 40, expected 17 to 20 for 8 frames"),
        (lambda: stft.times_s(3), "has no sample rate"),
    ]:
        with pytest.raises(RnnaudioError, match=message):
            call()
    assert len(stft.forward(noise(1))) == 4  # a frame longer than the sound is padded


def test_spectra_of_other_settings_are_named():
    model = STFT(1024, 256, sample_rate_hz=16_000)
    model.check_same(STFT(1024, 256, sample_rate_hz=16_000))
    message = "hop_samples is 512, expected 256; sample_rate_hz is 22050, expected 16000: transform"
    with pytest.raises(RnnaudioError, match=message):
        model.check_same(STFT(1024, 512, sample_rate_hz=22_050))


def test_silence_is_zero_and_comes_back():
    stft = STFT(16, 4)
    assert not stft.forward(np.zeros(50)).any() and not stft.inverse(stft.forward(np.zeros(50)), 50).any()


@pytest.mark.parametrize("window", sorted(WINDOWS))
@pytest.mark.parametrize("n", [1, 2, 3, 200, 2048, 4097])
def test_windows_are_those_of_scipy_to_the_bit(window, n):
    theirs = scipy.signal.get_window(OF_SCIPY.get(window, window), n, fftbins=True)
    np.testing.assert_array_equal(STFT(n, 1, window).weights, theirs)
    for hop in {1, max(1, n // 3), max(1, n // 2), n}:
        assert (made(n, hop, window) is not None) == scipy.signal.check_NOLA(theirs, n, n - hop)
