"""The experiment on amplitudes: where its models start, what its baselines are, and its way back to sound."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.studies import amplitude as experiment
from experiments.studies.spectral_runs import with_transform
from rnnaudio.audio import STFT, LogScale
from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import ArrayPiece, Split
from rnnaudio.data.demo import build_demo_corpus, embedded_recordings
from rnnaudio.diagnostics.baselines import LinearPrediction
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper
from rnnaudio.metrics.spectra import spectral_convergence_db
from rnnaudio.training import checkpoint

STFT_512 = STFT(512, 128, sample_rate_hz=16_000)


@pytest.fixture(scope="module")
def hops():
    """(time, places, hop) of piano."""
    audio, _ = embedded_recordings()[0].load()
    audio = np.asarray(audio[16_000 : 16_000 + 2 * 80 * 128], np.float32) / np.std(audio)
    return audio.reshape(2, 80, 128).swapaxes(0, 1)


def predictor(n):
    rng = np.random.default_rng(1)
    return LinearPrediction(0.3 * rng.standard_normal((2 * n, n)), rng.standard_normal(n))


@pytest.mark.parametrize("has_variance", [False, True])
def test_models_start_as_the_linear_predictor(has_variance):
    linear = predictor(3)
    model = experiment.build(linear, has_variance, experiment.Options(n_units=4))
    x = np.random.default_rng(2).standard_normal((5, 2, 3)).astype(np.float32)
    said, _ = Stepper(model).prime(x)
    before = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
    expected = np.concatenate([x, before], axis=2) @ linear.weight + linear.bias
    np.testing.assert_allclose(said[..., :3], expected, atol=1e-5)
    assert said.shape[2] == (6 if has_variance else 3) and not said[..., 3:].any()  # log variance 0


def test_linear_prediction_is_fed_with_itself():
    linear = predictor(3)
    known = np.random.default_rng(3).standard_normal((4, 2, 3))
    frames = list(known)
    for _ in range(5):
        frames.append(np.concatenate([frames[-1], frames[-2]], axis=1) @ linear.weight + linear.bias)
    np.testing.assert_allclose(experiment.rolled(linear, known, 5), frames[4:], atol=1e-12)


def test_true_amplitudes_come_back_as_sound_behind_the_true_start(hops):
    magnitudes = np.abs(experiment.spectra_of_hops(hops, STFT_512))
    sound = experiment.sounded(magnitudes, STFT_512, hops[:3])
    assert sound.shape == (len(magnitudes), *hops.shape[1:])
    np.testing.assert_array_equal(sound[:3], hops[:3])  # window less hop
    off = np.abs(sound - hops[: len(sound)])
    assert off[3:].max() > 0.1 and off[-1].max() > 1e-3  # its phases are others, to its end
    found = np.abs(experiment.spectra_of_hops(sound, STFT_512))[3:]
    assert spectral_convergence_db(magnitudes[3 : 3 + len(found)], found) < -20.0


def test_logarithms_go_there_and_back(hops):
    split = Split("train", (ArrayPiece(hops[:, 0].reshape(-1)),), 16_000)
    scale = LogScale.fit(split, STFT_512)
    logs = experiment.logs_of(hops, scale)
    magnitudes = np.abs(experiment.spectra_of_hops(hops, STFT_512))
    np.testing.assert_allclose(experiment.scale_back(logs, scale), magnitudes, rtol=1e-9)
    np.testing.assert_allclose(scale.log_magnitudes(scale.scaled(magnitudes)), logs, atol=1e-4)


def test_a_run_is_not_resumed_with_another_transform(tmp_path):
    """Of 128 components each, models for other windows have the same shapes."""
    config = with_transform(tmp_path, STFT_512)
    checkpoint.save(checkpoint.path_in(tmp_path), checkpoint.Checkpoint({}, {"config": config}))
    assert with_transform(tmp_path, STFT_512) == config
    other = dataclasses.replace(STFT_512, window_samples=1024, hop_samples=256)
    with pytest.raises(RnnaudioError, match="window_samples is 1024, expected 512; hop_samples is 256, expected 128"):
        with_transform(tmp_path, other)


@pytest.mark.parametrize(("rate", "window"), [(16_000, 2048), (22_050, 2824), (44_100, 5644)])
def test_windows_are_of_four_hops_at_any_rate(rate, window):
    stft = experiment.transform(experiment.Options(), SimpleNamespace(sample_rate_hz=rate))
    assert (stft.window_samples, stft.hop_samples) == (window, window // 4)
    magnitudes = np.random.default_rng(0).random((8, 1, stft.n_bins))
    begun = np.zeros((experiment.overhang(stft), 1, stft.hop_samples))
    assert experiment.sounded(magnitudes, stft, begun).shape == (8, 1, stft.hop_samples)


@pytest.mark.parametrize("name", ["n_places", "n_played", "seconds"])
def test_nothing_to_measure_is_refused_at_once(name):
    with pytest.raises(RnnaudioError, match=f"{name} is 0; expected more than 0"):
        experiment.Options(**{name: 0})


@pytest.mark.parametrize("wrong", [{"dropout": 2.0}, {"dropout": -0.1}, {"input_noise": -1.0}])
def test_shares_and_noise_out_of_range_are_refused(wrong):
    with pytest.raises(RnnaudioError, match="expected 0 or more, and dropout below 1"):
        experiment.Options(**wrong)


def test_a_run_that_is_not_there_is_not_gone_on_with(tmp_path):
    corpus_path = build_demo_corpus(tmp_path / "corpus.h5")
    options = experiment.Options(corpus=corpus_path, run_dir=tmp_path / "none", resume=True, n_places=1, seconds=0.5)
    with AudioCorpus.open(corpus_path) as corpus, pytest.raises(RnnaudioError, match="no run to go on with at .*none"):
        experiment.run(options, corpus)


def test_an_interrupted_model_is_not_measured(monkeypatch, tmp_path):
    corpus_path = build_demo_corpus(tmp_path / "corpus.h5")
    small = dataclasses.replace(experiment.Options(corpus=corpus_path, run_dir=tmp_path / "run"), **experiment.TINY)
    cut_off = SimpleNamespace(is_complete=False, is_interrupted=True, reason="interrupted after 1 update")
    monkeypatch.setattr(experiment, "train", lambda *arguments, **options: cut_off)
    with AudioCorpus.open(corpus_path) as corpus, pytest.raises(KeyboardInterrupt):
        experiment.run(small, corpus)
    cut_off.is_interrupted, cut_off.reason = False, "the loss is not finite at update 3"
    with AudioCorpus.open(corpus_path) as corpus, pytest.raises(RnnaudioError, match="broke down: the loss is not"):
        experiment.run(small, corpus)
