"""Runs that a version before recipes wrote: they load with their settings, play as they did, go on as they would have.

How they were made, and what is recorded of them: tests/support/old_runs/make_old_runs.py.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.fit import fit, resumed_config
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.load import load
from rnnaudio.runs.outcome import write_outcome
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.training import checkpoint

OLD = Path(__file__).parents[1] / "support" / "old_runs"
CORPUS = OLD / "corpus.hdf5"
RATE_HZ, N_PRIME, N_SAMPLES = 8000, 2000, 1000
FRAMES = {"frame_size": 8, "n_steps": 5, "batch_size": 2, "max_updates": 4, "validate_every": 2}
SETTINGS = {
    "lstm": FramesConfig(
        **FRAMES, optimizer="adam", generation_noise=True,
        model=ModelConfig.of(
            n_units=5, n_layers=2, peepholes=True, forget_bias=2.0, input_noise=0.1, linear_skip=2,
        ),
    ),
    "gru-2016": FramesConfig(
        **FRAMES, cost="last_step", scaling="min_max_2016", optimizer="rmsprop_2016", max_gradient_norm=None,
        validation="same_pieces", judged_by="train", generation="two_functions_2016",
        model=ModelConfig(
            "gru", n_units=8, n_layers=2, weights="iso_2016", readout="none", learn_initial_state=True,
        ),
    ),
    "memory-lstm": FramesConfig(
        **FRAMES,
        model=ModelConfig.of(
            cell="memory-lstm", n_layers=2, layer_noise=0.005, bounded_memory=True, forget_bias_hidden=0.5,
            readout_units=8,
        ),
    ),
    "codes": CodesConfig(
        window_samples=256, hop_samples=128, n_components=4, n_codes=8, n_stages=2, n_units=8, head_units=4,
        transpose=(), n_steps=8, batch_size=4, max_updates=2, validate_every=1, minutes=1e-6, patience=0,
    ),
    "samples": SamplesConfig(
        frames=(16, 4), window=4, n_units=8, n_components=2, n_taps=4, batch_size=4, n_steps=64, max_updates=2,
        validate_every=1, n_valid=256, valid_stretches=3, minutes=1e-6,
    ),
}  # fmt: skip


@pytest.fixture(params=SETTINGS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def played():
    with np.load(OLD / "played.npz") as file:
        return dict(file)


def prime():
    t = np.arange(N_PRIME) / RATE_HZ
    tones = np.sin(2 * np.pi * 330.0 * t) + 0.5 * np.sin(2 * np.pi * 470.0 * t)
    return tones.astype(np.float32)


def test_settings_are_read_as_they_were_written(name):
    """Options of cells among those of the model, options of other cells at their defaults."""
    assert load(OLD / name).config == SETTINGS[name]


def test_a_run_plays_as_it_did(name, played):
    """To the same bits on the processor and engine that recorded it. Elsewhere sums may be rounded otherwise: frames
    differ by less than a thousandth; a code or sample becomes another one only on the very edge of its probability."""
    (result,) = load(OLD / name).continue_primes([prime()], N_SAMPLES)
    generated = result.audio[N_PRIME:]
    assert generated.shape == (N_SAMPLES,) and not result.stopped
    np.testing.assert_allclose(generated, played[name], rtol=0, atol=1e-3 * np.abs(played[name]).max())


def test_a_choice_of_how_to_play_is_read():
    playing = load(OLD / "codes").playing
    assert (playing.temperature, playing.limits) == (1.1, None) and playing.parameters in ("best", "model")
    assert {row["temperature"] for row in playing.scores} == {1.0, 1.05, 1.1, 1.15, 1.2}


def test_a_run_is_resumed_as_it_would_have_been(name, tmp_path):
    """One update more moves the parameters to where that version moved them: same batch, noise and optimizer state."""
    run_dir = tmp_path / "run"
    shutil.copytree(OLD / name, run_dir)
    before = load(run_dir).record
    limit = {"max_updates": 5} if name in ("lstm", "gru-2016", "memory-lstm") else {"minutes": 5.0}
    recipe, config = resumed_config(run_dir, **limit)
    run = fit(recipe, config, CORPUS, run_dir, resume=True)
    after = load(run_dir).record
    assert run.n_updates == after["n_updates"] == before["n_updates"] + 1
    assert after["history"][: len(before["history"])] == before["history"]
    expected = json.loads((OLD / "resumed.json").read_text())[name]
    expected = {parameter.replace("hear", "input").replace("tell", "output"): n for parameter, n in expected.items()}
    last = SavedRun.read(run_dir).parameters("model")
    assert {parameter: np.linalg.norm(value) for parameter, value in last.items()} == pytest.approx(expected, rel=1e-4)
    assert (run_dir / "config.toml").exists()


def test_a_run_that_never_stopped_early_does_not_do_so_when_it_is_resumed(tmp_path):
    """Runs over codes had no patience: thirty validations after the best one, they go on to their limit."""
    run_dir = tmp_path / "run"
    shutil.copytree(OLD / "codes", run_dir)
    saved = checkpoint.load(checkpoint.path_in(run_dir))
    assert "patience" not in saved.record["config"]["music"]
    saved.record["stopping"] |= {"epoch": 31, "reference_epoch": 1, "reference_loss": 0.0, "best_loss": 0.0}
    checkpoint.save(checkpoint.path_in(run_dir), saved)
    recipe, config = resumed_config(run_dir, minutes=5.0)
    run = fit(recipe, config, CORPUS, run_dir, resume=True)
    assert config.patience == 0 and run.stopping.epoch == 32 and not run.stopping.should_stop
    assert run.reason == "the limit of 2 updates is reached"
    with pytest.raises(RnnaudioError, match="patience was 0.*now it is 10"):
        fit(recipe, dataclasses.replace(config, patience=10), CORPUS, run_dir, resume=True)


@pytest.mark.parametrize(
    "name", ["lstm", pytest.param("codes", marks=pytest.mark.slow), pytest.param("samples", marks=pytest.mark.slow)]
)
def test_a_report_is_written_of_it(name, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnaudio.runs.codes.budget.SECONDS", 1.0)
    monkeypatch.setattr("rnnaudio.runs.codes.choice.N_PRIMES", 1)
    shutil.copytree(OLD / name, tmp_path / "run")
    summary = write_outcome(tmp_path / "run", CORPUS, seconds=0.1)
    assert summary["generated_seconds"] == 0.1 and (tmp_path / "run/report.html").exists()
