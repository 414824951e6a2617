"""DRAW on patches of piano: patches against plain slices, Gaussians against SciPy, sound there and back, mistakes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from rnnaudio import engine, plots
from rnnaudio.audio import STFT
from rnnaudio.data import (
    ImageBatch,
    PatchBatches,
    PatchScale,
    in_batches,
    nearest_patches,
    patches_at,
    regular_patches,
    rows_of_patches,
    spectrograms,
)
from rnnaudio.data.corpus import ArrayPiece, Split
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.gaussian import Moments, PrincipalGaussian
from rnnaudio.nn import Draw, attention
from rnnaudio.objectives import Bound
from rnnaudio.optimizers import Adam
from rnnaudio.training import Evaluation, TrainStep
from tests.support.sounds import spoilt

RATE_HZ = 4000
TRANSFORM = STFT(64, 16, sample_rate_hz=RATE_HZ)
N_BINS, N_FRAMES = 12, 5


def tone(hertz, n=2000, loudness=1.0):
    """With a slow tremolo, so that no two frames are alike."""
    t = np.arange(n) / RATE_HZ
    return (loudness * (1.2 + np.sin(2 * np.pi * 1.7 * t)) * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def split_of(*pieces, name="train", rate=RATE_HZ):
    return Split(name, tuple(ArrayPiece(np.asarray(piece, np.float32)) for piece in pieces), rate)


@pytest.fixture
def scale():
    return PatchScale.fit(split_of(tone(300), tone(450)), TRANSFORM, N_BINS)


def by_hand(audio, top, n_bins=N_BINS):
    """log(1 + 30 |X| / sqrt(n)) / top of all whole frames, written out."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    frames = [audio[k : k + 64] * hann for k in range(0, len(audio) - 63, 16)]
    return np.log1p(30 / 8 * np.abs(np.fft.rfft(frames)))[:, :n_bins] / top


# --- patches --------------------------------------------------------------------------------------------------------


def test_a_spectrogram_is_numpys_and_begins_and_ends_in_the_piece(scale, monkeypatch):
    monkeypatch.setattr("rnnaudio.data.patches.FRAMES_AT_ONCE", 7)  # some frames at a time, the last time fewer
    audio = tone(300)
    got = scale.spectrogram(ArrayPiece(audio))
    np.testing.assert_allclose(got, by_hand(audio, scale.logs.deviation), atol=1e-6)
    training = np.concatenate([by_hand(tone(hertz), 1.0) for hertz in (300, 450)])
    assert scale.logs.deviation == pytest.approx(1.1 * training.max(), rel=1e-6)
    assert scale.deviation == pytest.approx(np.sqrt(training.var(axis=0).mean()) / scale.logs.deviation, rel=1e-5)
    assert got.dtype == np.float32 and got.shape == ((2000 - 64) // 16 + 1, N_BINS)
    assert scale.spectrogram(ArrayPiece(audio[:63])).shape == (0, N_BINS)
    loud = scale.spectrogram(ArrayPiece(1e6 * audio))
    assert loud.max() == 1.0  # what is louder than all of training is cut
    assert not scale.spectrogram(ArrayPiece(np.zeros(200, np.float32))).any()  # silence is 0


def test_patches_are_slices_with_the_highest_frequency_on_top():
    rows = np.random.default_rng(1).random((20, 3), np.float32)
    got = patches_at(rows, np.array([0, 7, 16]), 4).reshape(3, 3, 4)
    for image, start in zip(got, (0, 7, 16), strict=True):
        for height in range(3):
            np.testing.assert_array_equal(image[height], rows[start : start + 4, 2 - height])
    apart = regular_patches([rows, rows[:9]], 4)
    expected = [patches_at(rows, np.arange(5) * 4, 4), patches_at(rows, np.arange(2) * 4, 4)]
    np.testing.assert_array_equal(apart, np.concatenate(expected))
    np.testing.assert_array_equal(rows_of_patches(regular_patches([rows], 4), 4), rows)
    assert len(regular_patches([rows], 4, 2)) == 9


def test_batches_are_pure_and_reach_every_place_of_every_piece_but_none_across_two():
    pieces = [np.arange(a, b, dtype=np.float32)[:, None] for a, b in ((0, 12), (100, 105), (200, 230))]
    batches = PatchBatches(pieces, 5, 16, seed=3)
    again = PatchBatches(pieces, 5, 16, seed=3)
    for index in (4, 0, 9):
        np.testing.assert_array_equal(batches.batch(index).images, again.batch(index).images)
    assert (batches.batch(0).images != batches.batch(1).images).any()
    assert (batches.batch(0).images != PatchBatches(pieces, 5, 16, seed=4).batch(0).images).any()
    drawn = np.concatenate([batches.batch(index).images for index in range(60)])
    np.testing.assert_array_equal(np.diff(drawn, axis=1), 1.0)  # adjoining frames of one piece
    starts, counts = np.unique(drawn[:, 0], return_counts=True)
    np.testing.assert_array_equal(starts, [*range(8), 100, *range(200, 226)])
    assert counts.min() > 0.3 * counts.mean() and counts.max() < 2.2 * counts.mean()
    assert batches.batches_per_epoch == 1 and PatchBatches(pieces, 5, 2, seed=3).batches_per_epoch == 4


def test_held_out_patches_are_those_of_held_out_pieces_and_of_no_training_piece():
    from experiments.studies.piano_patches import prepared

    splits = {"train": (300, 450), "valid": (370,), "test": (520, 220)}
    corpus = SimpleNamespace(
        sample_rate_hz=RATE_HZ, **{name: split_of(*map(tone, row), name=name) for name, row in splits.items()}
    )
    patches = prepared(corpus, 0.016, N_BINS, N_FRAMES)
    top = patches.scale.logs.deviation
    for name in ("valid", "test"):
        rows = [by_hand(tone(hertz), top) for hertz in splits[name]]
        expected = [row[k : k + N_FRAMES, ::-1].T.ravel() for row in rows for k in range(0, 120, N_FRAMES)]
        np.testing.assert_allclose(getattr(patches, name), expected, atol=1e-6)
    training = np.concatenate(patches.training)
    np.testing.assert_allclose(training, np.concatenate([by_hand(tone(h), top) for h in (300, 450)]), atol=1e-6)
    for images in (patches.valid, patches.test):
        frames = rows_of_patches(images, N_FRAMES)
        assert np.min(np.abs(frames[:, None] - training).max(axis=2)) > 1e-3
    every = regular_patches(patches.training, N_FRAMES, N_FRAMES // 2)
    np.testing.assert_allclose(patches.moments.mean, every.mean(axis=0), atol=1e-6)


def test_the_nearest_patch_is_brute_force():
    rng = np.random.default_rng(4)
    pieces = [rng.random((n, 3), np.float32) for n in (30, 8, 50)]
    images = rng.random((6, 12), np.float32)
    every = regular_patches(pieces, 4)
    expected = [every[np.argmin(np.sum((every - image) ** 2, axis=1))] for image in images]
    np.testing.assert_array_equal(nearest_patches(images, pieces, 4), expected)


def test_patches_become_the_sound_they_are_of():
    from experiments.studies.piano_patches import Patches, patches_of, sounded
    from rnnaudio.metrics.spectra import spectral_convergence_db

    n = TRANSFORM.n_samples(20 * N_FRAMES)
    audio = (tone(300, n) + tone(470, n, 0.4)).astype(np.float64)
    scale = PatchScale.fit(split_of(audio), TRANSFORM, 20)  # to 1250 Hz
    patches = Patches(scale, N_FRAMES, [], *np.zeros((2, 1, 1)), moments=None)
    magnitudes = np.abs(TRANSFORM.forward(audio))
    images = patches_of(magnitudes, patches)
    assert images.shape == (20, 20 * N_FRAMES)
    back = scale.magnitudes(rows_of_patches(images, N_FRAMES))
    np.testing.assert_allclose(back[:, :20], magnitudes[:, :20], atol=1e-4 * magnitudes.max())
    assert not back[:, 20:].any()
    sound = sounded(images, patches, n)
    assert sound.shape == (n,)
    assert spectral_convergence_db(magnitudes, np.abs(TRANSFORM.forward(sound))) < -25.0
    turned = sounded(images[::-1], patches, n)
    assert spectral_convergence_db(magnitudes, np.abs(TRANSFORM.forward(turned))) > -10.0


# --- closed forms ---------------------------------------------------------------------------------------------------


@pytest.fixture
def vectors():
    rng = np.random.default_rng(5)
    return rng.standard_normal((300, 7)) @ rng.standard_normal((7, 7)) + rng.standard_normal(7)


def test_probabilistic_pca_is_a_gaussian_of_scipy_s(vectors):
    moments = Moments.of([vectors[:100], vectors[100:]])
    np.testing.assert_allclose(moments.mean, vectors.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(moments.covariance, np.cov(vectors.T, bias=True), rtol=1e-9, atol=1e-12)
    new = vectors[:20] + 0.5
    for q in (1, 3, 6):
        gaussian = PrincipalGaussian.of(moments, q)
        variances, directions = np.linalg.eigh(np.cov(vectors.T, bias=True))
        rest = variances[: 7 - q].mean()
        w = directions[:, 7 - q :] * np.sqrt(variances[7 - q :] - rest)
        covariance = w @ w.T + rest * np.eye(7)
        expected = -multivariate_normal(vectors.mean(axis=0), covariance).logpdf(new)
        np.testing.assert_allclose(gaussian.nats(new), expected, rtol=1e-8)
        # The mean of the codes, by the rule for Gaussians: W^T C^-1 (x - mean).
        codes = np.linalg.solve(covariance, (new - vectors.mean(axis=0)).T).T @ w
        np.testing.assert_allclose(gaussian.reconstructed(new), vectors.mean(axis=0) + codes @ w.T, rtol=1e-8)
        drawn = gaussian.sampled(40_000, np.random.default_rng(6))
        np.testing.assert_allclose(np.cov(drawn.T), w @ w.T, atol=0.04 * variances[-1])
    full = -multivariate_normal(vectors.mean(axis=0), np.cov(vectors.T, bias=True)).logpdf(new)
    np.testing.assert_allclose(PrincipalGaussian.of(moments, 6).nats(new), full, rtol=1e-8)


def test_independent_values_are_normal_ones_of_scipy_s(vectors):
    expected = -norm(vectors.mean(axis=0), vectors.std(axis=0)).logpdf(vectors[:9]).sum(axis=1)
    np.testing.assert_allclose(Moments.of([vectors]).diagonal_nats(vectors[:9]), expected, rtol=1e-9)


def test_the_bound_of_gaussian_pixels_is_scipy_s_where_the_codes_say_nothing():
    model = Draw((3, 4), 5, 2, rng=np.random.default_rng(0), learns_std=True)
    values = {name: np.zeros_like(value) for name, value in model.get_values().items()}
    model.set_values(values | {"log_std": np.full_like(values["log_std"], np.log(0.3))})
    images = np.random.default_rng(7).random((6, 12), np.float32)
    found = Evaluation(model, Bound(3, "gaussian"), noise_seed=1)(in_batches(images, 4))
    expected = -norm(0.5, 0.3).logpdf(images).sum(axis=1).mean()  # sigmoid(0) is a half
    assert found["kl"] == pytest.approx(0.0, abs=1e-6)
    assert found["bound"] == found["reconstruction"] == pytest.approx(expected, rel=1e-5)


def test_figures_are_in_the_unit_of_a_standard_deviation(scale):
    from experiments.studies.piano_patches import Patches

    patches = Patches(scale, N_FRAMES, [], *np.zeros((2, 1, 1)), moments=None)
    x, n = np.random.default_rng(8).random(N_BINS * N_FRAMES), N_BINS * N_FRAMES
    of_pixels = -norm(0.4, 0.1).logpdf(x).sum()
    of_values = -norm(0.4 / scale.deviation, 0.1 / scale.deviation).logpdf(x / scale.deviation).sum()
    assert patches.n_values == n and of_pixels + patches.nats_of_unit == pytest.approx(of_values, rel=1e-10)


@pytest.mark.slow
def test_the_width_is_trained():
    """A parameter without axes, by the fused update too."""
    model = Draw((3, 4), 5, 2, rng=np.random.default_rng(0), learns_std=True)
    step = TrainStep(model, Bound(2, "gaussian"), Adam(1e-3), seed=1)
    before = model.log_std.get_value()
    step(ImageBatch(np.full((4, 12), 0.5, np.float32)), None, learning_rate=1e-3, update=0)
    after = model.log_std.get_value()  # the pixels are nearer to their means than 1, and Adam's first step is the rate
    assert after.shape == () and after == pytest.approx(before - 1e-3, rel=1e-3)


@pytest.mark.parametrize("size", [(28, 28), (128, 16), (16, 40)])
def test_grids_that_cover_the_image_read_constants_as_they_are_and_paint_without_holes(size):
    from experiments.studies.drawing import Options, model_of

    options = Options(attention=True, n_units=5, n_codes=2, n_read=8, n_write=6)
    model = model_of(options, size, np.full(size[0] * size[1], 0.3), std=0.2)
    assert model.get_values()["log_std"] == pytest.approx(np.log(0.2))
    unmoved = np.zeros((1, 5), engine.float_type())  # a state of zeros: only the biases speak
    at = model.reader.window(unmoved)
    seen = attention.read(np.full((1, *size), 0.7, unmoved.dtype), at, attention.banks(at, size, 8))
    stride, variance, seen = engine.function([], [at.stride, at.variance, seen], mode="python")()
    assert stride == pytest.approx((max(size) - 1) / 7) and np.sqrt(variance) == pytest.approx(stride / 2)
    np.testing.assert_allclose(seen, 0.7, rtol=1e-5)
    at = model.painter.write.window(unmoved)
    patch = np.full((1, 6, 6), 0.7, unmoved.dtype)
    painted = engine.function([], attention.write(patch, at, attention.banks(at, size, 6)), mode="python")()
    assert painted.mean() == pytest.approx(0.7, rel=1e-5)  # each filter sums to one
    # An outermost filter, cut in half by the edge, sums to one too, so a corner has twice twice as much at most.
    assert painted.min() > 0.5 * 0.7 and painted.max() < 4.0 * 0.7
    inside = painted.reshape(size)[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4]
    assert np.ptp(inside) < 0.2 * inside.mean()  # no holes between the filters


def test_without_attention_there_is_no_grid_to_move():
    from experiments.studies.drawing import Options, model_of

    model = model_of(Options(n_units=5, n_codes=2), (4, 4), np.full(16, 0.3))
    new = Draw((4, 4), 5, 2, rng=np.random.default_rng((Options().seed, 0, 2)))
    new.painter.start_from(np.full(16, 0.3))
    for name, value in new.get_values().items():
        np.testing.assert_array_equal(model.get_values()[name], value, err_msg=name)


def test_a_single_pixel_is_covered():
    assert attention.covering((1, 1), 1) == (2.0 * np.log(0.5), 0.0)


def test_a_run_of_other_settings_takes_no_record_s_name():
    from experiments.studies.draw_piano import Options as PianoOptions
    from experiments.studies.drawing import Options

    assert Options().name == "draw" and Options(attention=True, resume=True).name == "draw-attention"
    assert Options(attention=True, minutes=80.0, n_read=5).name == "draw-attention-minutes-80-n-read-5"
    mine = PianoOptions(corpus=Path("my music/notes.h5"), learning_rate=5e-4)
    assert mine.name == "draw-piano-learning-rate-0.0005-corpus-my-music-notes.h5"


# --- pictures and mistakes ------------------------------------------------------------------------------------------


def test_sides_are_measured_in_seconds_and_hertz():
    rulers = plots.Rulers("Time (s)", {0.0: "0", 4.0: "0.2"}, "Frequency (Hz)", {0.5: "0", 6.5: "800"}, 0.5)
    figure = plots.canvas_steps_figure(np.zeros((2, 10, 4)), np.zeros((3, 2, 10, 4)), rulers=rulers)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_ylabel() == "Frequency (Hz)" and axes.get_aspect() == 0.5
    np.testing.assert_allclose(axes.get_yticks(), [9.5, 3.5, 20.3, 14.3])  # rows of tiles are 10.8 apart
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "800"] * 2
    (below,) = axes.child_axes
    assert below.get_xlabel() == "Time (s)"
    np.testing.assert_allclose(below.get_xticks()[:4], [0.0, 4.0, 4.32, 8.32])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["image", "1", "2", "3"]


def test_baselines_need_more_patches_than_codes_and_say_nats_of_the_same_unit():
    from experiments.studies.piano_patches import Patches, closed_forms

    rng = np.random.default_rng(9)
    x = (0.3 + 0.05 * rng.standard_normal((40, 2)) @ rng.standard_normal((2, 6))).astype(np.float32)
    x += 0.01 * rng.standard_normal(x.shape).astype(np.float32)
    scale = SimpleNamespace(n_bins=3, deviation=0.05)
    patches = Patches(scale, 2, [], x[:15], x[15:], Moments.of([x]))
    gaussians, nats = closed_forms(patches, 2)
    assert list(gaussians) == ["PCA, 2 components"]  # the other numbers are more than there are values
    scaled = x.astype(float) / 0.05
    independent = -norm(scaled.mean(axis=0), scaled.std(axis=0)).logpdf(scaled).sum(axis=1)
    assert nats["independent values"]["test"] == pytest.approx(independent[15:].mean(), rel=1e-6)
    assert nats["independent values"]["valid"] == pytest.approx(independent[:15].mean(), rel=1e-6)
    assert nats["PCA, 2 components"]["test"] < nats["independent values"]["test"]
    with pytest.raises(RnnaudioError, match="6 codes, 40 training patches of 6 values: take fewer codes"):
        closed_forms(patches, 6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: PatchScale.fit(split_of(np.zeros(500)), TRANSFORM, 5), "equal or silent: give other audio"),
        (lambda: PatchScale.fit(split_of(tone(300)), TRANSFORM, 34), "n_bins: got 34, expected 1 to 33"),
        (lambda: PatchScale.fit(split_of(tone(300, 50)), TRANSFORM, 5), "no piece has a frame of 64 samples"),
        (lambda: PatchScale.fit(split_of(spoilt(500)), TRANSFORM, 5), "NaN or infinite"),
        (lambda: PatchScale.fit(split_of(tone(300), rate=8000), TRANSFORM, 5), "has 8000 Hz, the transform 4000 Hz"),
        (lambda: PatchBatches([np.zeros((4, 3))], 5, 2, 0), "patches of 5 frames: expected .* 1 to 4 frames"),
        (lambda: PatchBatches([np.zeros((9, 3))], 5, 0, 0), "batches of 0 patches"),
        (lambda: PatchBatches([], 5, 2, 0), "1 to 0 frames"),
        (lambda: Moments.of([]), "got 0 vectors"),
        (lambda: Moments.of([spoilt((2, 3), np.inf)]), "NaN or infinite values"),
        (lambda: Moments.of([np.ones((4, 3))]).diagonal_nats(np.ones((1, 3))), "3 of 3 values are the same"),
        (lambda: PrincipalGaussian.of(Moments.of([np.eye(3)]), 3), "got 3, expected 1 to 2"),
        (lambda: PrincipalGaussian.of(Moments.of([np.diag([1.0, 0, 0])]), 1), "no variance outside"),
    ],
)
def test_mistakes_are_refused(make, message):
    with np.errstate(invalid="ignore"), pytest.raises(RnnaudioError, match=message):
        make()


def test_pieces_shorter_than_a_patch_are_left_out_and_named_where_all_are(scale):
    short, long_enough = tone(300, 64 + 3 * 16), tone(300, 64 + 4 * 16)
    (rows,) = spectrograms(split_of(short, long_enough), scale, N_FRAMES)
    assert len(rows) == N_FRAMES
    with pytest.raises(RnnaudioError, match="'valid' has a patch of 5 frames, the longest has 4: give longer pieces"):
        spectrograms(split_of(short, tone(300, 20), name="valid"), scale, N_FRAMES)


@pytest.mark.skipif(engine.NAME == "theano", reason="the package's tests cover Theano")
def test_a_missing_corpus_is_one_line(tmp_path, monkeypatch, capsys):
    from experiments.studies import draw_piano
    from rnnaudio.errors import run_command

    monkeypatch.setattr("sys.argv", ["draw_piano", "--corpus", str(tmp_path / "none.h5")])
    with pytest.raises(SystemExit) as error:
        run_command(draw_piano.main, "draw_piano")
    said = capsys.readouterr().err.strip()
    assert error.value.code == 2 and "none.h5" in said and "\n" not in said
