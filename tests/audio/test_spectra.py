"""Magnitude frames of 2016 against sums written out, the scaling's closed forms, and the way back to sound."""

import numpy as np
import pytest

from rnnaudio.audio import MagnitudeScale
from rnnaudio.audio.spectra_2016 import magnitudes_of
from rnnaudio.data import MagnitudeFrames, RandomRuns, RandomWindows
from rnnaudio.errors import RnnaudioError
from tests.support.pieces import PIECE, ramps, split_of

SIZES = {"frame_size": 8, "n_steps": 4, "batch_size": 6}


def discrete_fourier(frame):
    """sum_t x_t exp(-2 pi i k t / n), k = 0 .. n / 2, written out."""
    n = len(frame)
    return [sum(x * np.exp(-2j * np.pi * k * t / n) for t, x in enumerate(frame)) for k in range(n // 2 + 1)]


@pytest.fixture
def noise():
    return np.random.default_rng(2016).standard_normal(2000).astype(np.float32)


@pytest.mark.parametrize("n", [8, 7, 200])
def test_magnitudes_are_those_of_the_sum(noise, n):
    frames = noise[: 3 * n].reshape(3, n)
    expected = [np.abs(discrete_fourier(frame)) for frame in frames]
    np.testing.assert_allclose(magnitudes_of(frames), expected, rtol=1e-9, atol=1e-9)


def test_a_sine_of_a_whole_number_of_periods_is_one_bin():
    frame = 0.5 * np.sin(2 * np.pi * 5 * np.arange(200) / 200)
    np.testing.assert_allclose(magnitudes_of(frame), 50.0 * (np.arange(101) == 5), atol=1e-9)


def test_the_scale_is_fitted_on_all_frames_of_the_training_pieces(noise, monkeypatch):
    monkeypatch.setattr("rnnaudio.audio.spectra_2016.FRAMES_AT_ONCE", 3)  # some frames at a time, the last time fewer
    split = split_of(noise[:1005], 3 * noise[1005:1500], noise[:7])
    frames = np.concatenate([noise[:1000], 3 * noise[1005:1495]]).reshape(-1, 10)
    magnitudes = np.abs(np.fft.rfft(frames))
    scale = MagnitudeScale.fit(split, 10)
    assert scale.n_bins == 6
    assert (scale.low, scale.high) == pytest.approx((magnitudes.min(), magnitudes.max()), rel=1e-6)
    scaled = scale.scaled(frames)
    assert scaled.dtype == np.float32 and scaled.shape == (len(frames), 6)
    assert (scaled.min(), scaled.max()) == pytest.approx((-1.0, 1.0), abs=1e-6)
    expected = 2 * (magnitudes - magnitudes.min()) / (magnitudes.max() - magnitudes.min()) - 1
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


@pytest.mark.parametrize("pieces", [[np.ones(5)], [np.zeros(100)], []])
def test_a_scale_needs_sound(pieces):
    with pytest.raises(RnnaudioError, match="magnitudes of frames of 10 samples are constant"):
        MagnitudeScale.fit(split_of(*pieces), 10)


@pytest.mark.parametrize("n", [200, 25])
def test_with_the_true_phase_the_sound_comes_back(noise, n):
    scale = MagnitudeScale.fit(split_of(noise), n)
    frames = noise[: 2000 // n * n].reshape(-1, n)
    phases = np.angle(np.fft.rfft(frames))
    np.testing.assert_allclose(scale.audio(scale.scaled(frames), phases), frames.reshape(-1), atol=1e-5)


def test_without_phase_each_frame_is_symmetric_and_has_its_energy(noise):
    scale = MagnitudeScale.fit(split_of(noise), 200)
    frames = noise.reshape(-1, 200)
    back = scale.audio(scale.scaled(frames)).reshape(-1, 200)
    np.testing.assert_allclose(back[:, 1:], back[:, :0:-1], atol=1e-5)  # x[t] = x[n - t]
    np.testing.assert_allclose(np.sum(back**2, axis=1), np.sum(frames**2, axis=1), rtol=1e-4)  # Parseval
    assert np.abs(back[:, 0]).min() > np.abs(frames).max()  # all bins meet there: a click at the frame rate


def test_a_negative_magnitude_counts_as_none():
    scale = MagnitudeScale(8, 0.0, 10.0)
    assert not scale.audio(np.full((2, 5), -3.0, np.float32)).any()


def test_the_view_maps_frames_and_leaves_all_else(noise):
    scale = MagnitudeScale.fit(split_of(noise), 8)
    for batches in (RandomRuns(split_of(noise), seed=3, **SIZES), RandomWindows(split_of(noise), seed=3, **SIZES)):
        view = MagnitudeFrames(batches, scale)
        assert (view.batches_per_epoch, view.carries_state) == (batches.batches_per_epoch, batches.carries_state)
        for index in (0, 1, 10, 25):
            plain, mapped = batches.batch(index), view.batch(index)
            assert mapped.frames.shape == (5, 6, 5) and mapped.frames.dtype == np.float32
            np.testing.assert_array_equal(mapped.frames, scale.scaled(plain.frames))
            np.testing.assert_array_equal(mapped.resets, plain.resets)


def first_samples(batches, index):
    """Where each item begins, after a check that its frames adjoin (pieces are ramps)."""
    frames = batches.batch(index).frames
    first = frames[0, :, 0]
    steps = np.arange(5 * 8).reshape(5, 1, 8)
    np.testing.assert_array_equal(frames, first[None, :, None] + steps)
    return first


@pytest.mark.parametrize("n_segments", [1, 3, 10])
def test_runs_go_on_for_their_segments_and_begin_anew(n_segments):
    batches = RandomRuns(ramps(), seed=5, n_segments=n_segments, **SIZES)
    assert batches.carries_state
    starts = []
    for run in range(20):
        begun = first_samples(batches, run * n_segments)
        starts.append(begun)
        for segment in range(n_segments):
            index = run * n_segments + segment
            np.testing.assert_array_equal(first_samples(batches, index), begun + segment * 4 * 8)
            np.testing.assert_array_equal(batches.batch(index).resets, segment == 0)
            assert (first_samples(batches, index) // PIECE == begun // PIECE).all()  # within one piece
    assert len(np.unique(starts)) > 100  # of 120 draws


def test_runs_longer_than_any_piece_are_refused():
    with pytest.raises(RnnaudioError, match="a batch needs 3208 adjoining samples"):
        RandomRuns(ramps(), seed=5, n_segments=100, **SIZES)
