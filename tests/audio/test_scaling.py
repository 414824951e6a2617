"""Logarithm, components and mel bands: closed forms, what comes back and what is lost, the batches made of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from rnnaudio.audio import STFT, LogScale, MelScale
from rnnaudio.audio.mel import mel_weights
from rnnaudio.audio.scaling import real_magnitudes, spread_magnitudes
from rnnaudio.data import ConsecutiveWindows, RandomWindows, SpectralFrames, spectra_of_hops, steps_for
from rnnaudio.data.corpus import ArrayPiece
from rnnaudio.data.demo import embedded_recordings
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.spectra import spectral_convergence_db
from tests.support.pieces import SIZES, ramps, split_of
from tests.support.sounds import spoilt

STFT_16 = STFT(16, 4, sample_rate_hz=16_000)


@pytest.fixture(scope="module")
def piano():
    audio, rate = embedded_recordings()[0].load()
    assert rate == 16_000
    return np.asarray(audio[: 3 * rate], np.float64) / np.std(audio)


@pytest.fixture
def noise():
    return np.random.default_rng(2016).standard_normal(2000)


def test_the_logarithm_by_its_formula_and_back(noise):
    scale = LogScale.fit(split_of(noise), STFT_16, compression=7.0)
    frames = np.lib.stride_tricks.sliding_window_view(noise.astype(np.float32), 16)[::4]
    magnitudes = np.abs(np.fft.rfft(frames * STFT_16.weights))
    logs = np.log(1 + 7.0 * magnitudes / 4.0)
    deviation = np.sqrt(np.mean(np.var(logs, axis=0)))
    np.testing.assert_allclose(scale.scaled(magnitudes), (logs - logs.mean(axis=0)) / deviation, atol=1e-5)
    assert scale.scaled(magnitudes).dtype == np.float32 and scale.n_features == 9 and scale.lost == 0.0
    np.testing.assert_allclose(scale.magnitudes(scale.scaled(magnitudes)), magnitudes, rtol=1e-4, atol=1e-5)


def test_silence_has_a_logarithm_and_comes_back_as_silence(noise):
    scale = LogScale.fit(split_of(noise), STFT_16)
    scaled = scale.scaled(np.zeros((3, 9)))
    assert np.isfinite(scaled).all() and np.abs(scale.magnitudes(scaled)).max() < 1e-6
    assert not scale.magnitudes(scaled - 5.0).any()  # below silence counts as silence


def test_components_are_the_best_of_their_number(piano):
    """Eckart and Young: the error of the first k components is the sum of the other eigenvalues."""
    stft = STFT(256, 64, sample_rate_hz=16_000)
    full, few = (LogScale.fit(split_of(piano), stft, n_components=k) for k in (None, 12))
    magnitudes = np.abs(STFT(256, 64, padding="none").forward(piano.astype(np.float32)))
    logs = full.log_magnitudes(full.scaled(magnitudes))
    centred = logs - logs.mean(axis=0)
    eigenvalues = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    left = np.sum((few.deviation * few.scaled(magnitudes).astype(float) @ few.basis.T - centred) ** 2)
    assert left == pytest.approx(eigenvalues[12:].sum(), rel=1e-3)
    assert few.lost == pytest.approx(eigenvalues[12:].sum() / eigenvalues.sum(), rel=1e-3)
    assert few.scaled(magnitudes).shape == (len(magnitudes), 12)
    assert np.mean(few.scaled(magnitudes) ** 2) == pytest.approx(1.0, rel=1e-4)
    found = spectral_convergence_db(magnitudes, few.magnitudes(few.scaled(magnitudes)))
    assert found < -8.0 < spectral_convergence_db(magnitudes, np.zeros_like(magnitudes)) + 0.1


def test_mel_bands_by_hand():
    weights = mel_weights(64, 16_000, 5)
    highest = 2595 * np.log10(1 + 8000 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, 7) / 2595) - 1)
    frequency = 16_000 / 64 * 9  # of bin 9
    for band in range(5):
        low, centre, high = edges[band : band + 3]
        expected = max(0.0, min((frequency - low) / (centre - low), (high - frequency) / (high - centre)))
        assert weights[9, band] == pytest.approx(expected)


def test_mel_loses_detail_and_more_with_fewer_bands(piano):
    stft = STFT(1024, 256, sample_rate_hz=16_000)
    magnitudes = np.abs(stft.forward(piano))[::4]
    lost = {}
    for n_bands in (64, 128):
        mel = MelScale(stft, n_bands)
        bands = mel.bands(magnitudes)
        assert bands.shape == (len(magnitudes), n_bands)
        for method in ("pinv", "nnls"):
            back = mel.magnitudes(bands, method)
            assert back.shape == magnitudes.shape and back.min() >= 0.0
            lost[n_bands, method] = spectral_convergence_db(magnitudes, back)
        off = np.linalg.norm(mel.bands(mel.magnitudes(bands, "nnls")) - bands) / np.linalg.norm(bands)
        assert off < 1e-6  # the bands themselves are met
    assert lost[128, "pinv"] < -10.0 and lost[128, "pinv"] < lost[64, "pinv"] - 3.0 < -6.0
    assert all(lost[n, "nnls"] > lost[n, "pinv"] for n in (64, 128))


def test_bands_without_a_bin_are_refused():
    with pytest.raises(RnnaudioError, match="of 64 mel bands contain no bin .the first: band 0.: use fewer bands or"):
        MelScale(STFT(128, 32, sample_rate_hz=16_000), 64)
    with pytest.raises(RnnaudioError, match="no sample rate"):
        MelScale(STFT(1024, 256), 64)
    with pytest.raises(RnnaudioError, match="n_bands is 0"):
        MelScale(STFT(1024, 256, sample_rate_hz=16_000), 0)
    mel = MelScale(STFT(1024, 256, sample_rate_hz=16_000), 8)
    for call, message in [
        (lambda: mel.bands(np.ones((3, 257))), "expected .* 513.* for a window of 1024"),
        (lambda: mel.bands(spoilt(513)), "NaN"),
        (lambda: mel.magnitudes(np.ones((3, 9))), r"bands of shape \(3, 9\); expected finite values \(..., 8\)"),
        (lambda: mel.magnitudes(spoilt(8, np.inf)), "expected finite values"),
        (lambda: mel.magnitudes(np.ones(8), method="inverse"), "method is 'inverse'; expected pinv or nnls"),
    ]:
        with pytest.raises(RnnaudioError, match=message):
            call()


def test_what_are_no_magnitudes_is_refused(piano):
    stft = STFT(1024, 256, sample_rate_hz=16_000)
    spectra = stft.forward(piano)
    scale = LogScale.fit(split_of(piano), stft)
    for make in (scale.scaled, MelScale(stft, 8).bands):
        with pytest.raises(RnnaudioError, match="complex spectra, expected their magnitudes: take np.abs"):
            make(spectra)
        with pytest.raises(RnnaudioError, match="hold negative values"):
            make(-np.abs(spectra))
        with pytest.raises(RnnaudioError, match="expected spectra: transform the audio first"):
            make(np.array(["x"]))
    with pytest.raises(RnnaudioError, match="compression: got -1, expected more than 0"):
        LogScale.fit(split_of(piano), stft, compression=-1)


def frames_of(lengths, window=16, hop=4):
    """Pieces of so many frames; every sample says which frame of all begins there."""
    pieces, begin = [], 0
    for n in lengths:
        pieces.append(ArrayPiece(np.repeat(np.arange(begin, begin + n + window // hop - 1), hop).astype(np.float32)))
        begin += n
    stft = STFT(window, hop, "rectangular", "none")
    ones = np.abs(stft.of_frames(np.ones((1, window)))).max()
    parts = list(spread_magnitudes(SimpleNamespace(pieces=pieces), stft, most=200))
    # A frame's mean is that of four numbers in a row, from its own on.
    return [np.round(part[:, 0] / ones - 1.5).astype(int) for part in parts], begin


@pytest.mark.parametrize("lengths", [[150], [40, 3, 0, 90], [7] * 20])
def test_of_few_frames_all_are_taken_once(lengths):
    places, n = frames_of([k for k in lengths if k])
    np.testing.assert_array_equal(np.concatenate(places), np.arange(n))


@pytest.mark.parametrize("lengths", [[5000], [7] * 700, [3000, 9, 9, 2000]])
def test_of_many_frames_places_are_spread_over_all(lengths):
    places, n = frames_of(lengths)
    taken = np.concatenate(places)
    assert 100 < len(taken) <= 264 and len(np.unique(taken)) == len(taken)
    assert np.abs(np.diff(taken)).max() < 1.1 * 64 * -(-n // 200)  # no longer stretch is left out than the stride


@pytest.mark.parametrize(
    ("pieces", "options", "message"),
    [
        ([np.ones(10)], {}, "no piece has a frame of 16 samples"),
        ([np.zeros(100)], {}, "all frames of 16 samples are equal or silent"),
        ([np.arange(100.0)], {"n_components": 10}, "n_components: got 10, expected 1 to 9"),
    ],
)
def test_a_scale_needs_sound(pieces, options, message):
    with pytest.raises(RnnaudioError, match=message):
        LogScale.fit(split_of(*pieces), STFT_16, **options)


def test_sound_of_another_rate_and_other_spectra_are_refused(noise):
    with pytest.raises(RnnaudioError, match="the audio has 16000 Hz, the transform 22050 Hz"):
        LogScale.fit(split_of(noise), STFT(16, 4, sample_rate_hz=22_050))
    scale = LogScale.fit(split_of(noise), STFT_16)
    with pytest.raises(RnnaudioError, match="17., expected .* 9. for a window of 16"):
        scale.scaled(np.ones((2, 17)))
    with pytest.raises(RnnaudioError, match="NaN"):
        scale.scaled(spoilt((2, 9)))


@pytest.mark.parametrize(("window", "hop"), [(16, 8), (20, 8), (8, 8)])
def test_batches_of_spectra_are_those_of_their_sound(window, hop):
    stft = STFT(window, hop, "hamming", "none")
    sizes = SIZES | {"frame_size": hop, "n_steps": steps_for(4, stft)}
    batches = RandomWindows(ramps(), seed=3, **sizes)
    view = SpectralFrames(batches, LogScale.fit(split_of(np.random.default_rng(0).standard_normal(500)), stft))
    batch = view.batch(5)
    assert batch.frames.shape == (5, SIZES["batch_size"], stft.n_bins) and batch.frames.dtype == np.float32
    hops = batches.batch(5).frames
    for item in range(SIZES["batch_size"]):
        alone = np.abs(stft.forward(hops[:, item].reshape(-1)))[:5]
        np.testing.assert_array_equal(batch.frames[:, item], view.scale.scaled(alone))
    assert (view.batches_per_epoch, view.carries_state) == (batches.batches_per_epoch, False)


def test_batches_that_would_not_go_on_are_refused(noise):
    scale = LogScale.fit(split_of(noise), STFT_16)
    with pytest.raises(RnnaudioError, match="frames of 8 samples, expected the hop, 4"):
        SpectralFrames(RandomWindows(ramps(), seed=3, **SIZES | {"frame_size": 8}), scale)
    with pytest.raises(RnnaudioError, match="cannot carry state"):
        SpectralFrames(ConsecutiveWindows(ramps(), seed=3, **SIZES | {"frame_size": 4}), scale)
    with pytest.raises(RnnaudioError, match="8 samples of a batch hold no frame of 16"):
        spectra_of_hops(np.zeros((2, 3, 4)), STFT_16)


def test_a_single_negative_magnitude_is_refused():
    magnitudes = np.full((4, 129), 0.5)
    magnitudes[2, 7] = -0.1
    with pytest.raises(RnnaudioError, match="hold negative values"):
        real_magnitudes(magnitudes, STFT(256, 64))
