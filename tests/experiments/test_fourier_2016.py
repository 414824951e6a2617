"""The Fourier experiment: its smoke form, and what its validation is made of, with and without defect 9."""

import sys

import numpy as np
import pytest

from experiments.blog_2016 import fourier_2016 as experiment
from rnnaudio.audio import MagnitudeScale
from rnnaudio.data import AudioCorpus, Batch, MagnitudeFrames, RandomRuns
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.training import EarlyStopping, Run


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--cell", "lstm", "--defect-9"]])
def test_the_smoke_form_runs(monkeypatch, capsys, options):
    monkeypatch.setattr(sys, "argv", ["fourier_2016", "--smoke", *options])
    experiment.main()
    out = capsys.readouterr().out
    assert "training ended: the limit of 4 updates is reached" in out
    assert "share_of_variance_left" in out and "alive_seconds" in out


def test_defect_9_validates_on_four_seconds_that_are_trained_on(tmp_path):
    with AudioCorpus.open(build_demo_corpus(tmp_path / "corpus.h5")) as corpus:
        scale = MagnitudeScale.fit(corpus.train, 200)
        runs = RandomRuns(corpus.train, frame_size=200, n_steps=40, batch_size=32, seed=experiment.SEED)
        batches = MagnitudeFrames(runs, scale)
        (wrong,) = experiment.on_training_sound(batches)
        held_out = experiment.on_held_out(scale, corpus, 32)
        np.testing.assert_array_equal(wrong.frames, batches.batch(0).frames[:, :8])
    n_frames, n_items, _ = wrong.frames.shape
    assert (n_frames - 1) * n_items * 200 / corpus.sample_rate_hz == 4.0
    assert all(batch.frames.shape == (41, 32, 101) for batch in held_out)
    heard = {item.tobytes() for item in np.moveaxis(wrong.frames, 1, 0)}
    assert not heard & {item.tobytes() for batch in held_out for item in np.moveaxis(batch.frames, 1, 0)}


def test_the_shares_are_those_of_the_closed_forms():
    """A model that says zero: its squared error is the mean square of the targets."""
    model = experiment.build(experiment.Options(n_units=2), 5)
    model.set_values({name: np.zeros_like(value) for name, value in model.get_values().items()})
    frames = np.random.default_rng(1).uniform(-1.0, -0.5, (4, 6, 5)).astype(np.float32)
    figures = experiment.measured(model, [Batch(frames, np.ones(6, bool))], Run(EarlyStopping(1).initial()))
    targets = frames[1:].reshape(-1, 5)
    variance = np.mean((targets - targets.mean(axis=0)) ** 2)
    assert figures["mse"] == pytest.approx(np.mean(targets**2), rel=1e-3)
    assert figures["share_of_mean_square_left"] == 1.0
    assert figures["share_of_variance_left"] == pytest.approx(np.mean(targets**2) / variance, rel=1e-3)
    repeated = np.mean((frames[1:] - frames[:-1]) ** 2) / variance
    assert figures["share_of_variance_left_by_repeating_the_last_frame"] == pytest.approx(repeated, rel=1e-3)
