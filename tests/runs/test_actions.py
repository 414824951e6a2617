"""What a diagnosis says to type: options that the parser of `train` takes, and commands that work as printed."""

import dataclasses
import re
import shlex
import shutil

import numpy as np
import pytest

from experiments.proofs.advice import with_options
from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.data import AudioCorpus, build_corpus
from rnnaudio.data.corpus_build import Recording
from rnnaudio.diagnostics.subject import Cause
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.diagnosis.actions import actions
from rnnaudio.runs.fit import fit, how_to_go_on, resumed_config
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.runs.load import load
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.samples.recipe import SAMPLES
from rnnaudio.training import checkpoint
from tests.support import tiny_runs

TINY = dataclasses.replace(tiny_runs.TINY, max_updates=8, validate_every=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's corpus, and a run of eight updates on it."""
    folder = tmp_path_factory.mktemp("actions")
    tiny_runs.tiny_run(folder, "run", TINY)
    return folder


def test_a_limit_that_came_too_soon_is_doubled_by_the_command_that_can(folder):
    """By updates for frames; a run of codes, whose rate has fallen over its updates, is trained anew."""
    cause, saved = Cause("limit-too-soon", 0.3, "", ""), SavedRun.read(folder / "run")
    (line,) = actions(cause, FRAMES, TINY, saved)
    assert line == f"go on: rnnaudio resume {folder}/run --max-updates 16"
    recipe, config = resumed_config(folder / "run", max_updates=16)
    assert recipe is FRAMES and config.max_updates == 16
    brief = dataclasses.replace(TINY, max_updates=1000, minutes=saved.record["seconds"] / 60)
    (line,) = actions(cause, FRAMES, brief, saved)
    assert line == f"go on: rnnaudio resume {folder}/run --minutes 2"
    broken_off = dataclasses.replace(TINY, max_updates=1000)
    assert actions(cause, FRAMES, broken_off, saved) == [f"go on: rnnaudio resume {folder}/run"]
    anew = (
        f"go on: rnnaudio train {folder}/corpus.h5 {folder}/run-2 --config {folder}/run/config.toml --max-updates 16"
    )
    assert actions(cause, CODES, CodesConfig(max_updates=8), saved) == [anew]


def test_what_training_says_at_its_end_is_what_a_diagnosis_says(folder, tmp_path):
    """Of a run that early stopping has ended, which `resume` refuses: train anew, with more patience."""
    run_dir = tmp_path / "a run"
    shutil.copytree(folder / "run", run_dir)
    assert how_to_go_on(run_dir) == f"rnnaudio resume '{run_dir}' --max-updates 16"
    saved = checkpoint.load(checkpoint.path_in(run_dir))
    saved.record["stopping"] |= {"should_stop": True, "reason": "no improvement"}
    saved.record["n_updates"] = 4
    checkpoint.save(checkpoint.path_in(run_dir), saved)
    config = f"--config '{run_dir}/config.toml' --patience {2 * TINY.patience}"
    expected = f"rnnaudio train {folder}/corpus.h5 '{run_dir}-2' {config}"
    assert how_to_go_on(run_dir) == expected
    assert actions(Cause("limit-too-soon", 0.3, "", ""), FRAMES, TINY, SavedRun.read(run_dir)) == [
        f"go on: {expected}"
    ]
    (run_dir / "report.html").touch()
    with pytest.raises(RnnaudioError, match="more time changes nothing.*" + re.escape(expected)):
        resumed_config(run_dir, minutes=60.0)
    assert FRAMES.subject(load(run_dir), AudioCorpus.open(folder / "corpus.h5"), run_dir).stopped_early


def test_causes_in_the_music_are_mended_in_the_corpus(folder):
    saved = SavedRun.read(folder / "run")
    apart = Cause("pieces-do-not-belong-together", 0.7, "", "", outliers=("It's one", "two"))
    words = shlex.split(actions(apart, FRAMES, TINY, saved)[0])
    command = ["rnnaudio", "corpus", "remove", str(folder / "corpus.h5"), "It's one", "two", "--out", "SMALLER.h5"]
    assert words[2:] == command
    silent = Cause("training-on-silence", 0.7, "", "", rebuild="--drop-silence")
    assert actions(silent, FRAMES, TINY) == ["build the corpus with: --drop-silence"]
    little = actions(Cause("too-little-music", 0.5, "", ""), FRAMES, FramesConfig(), saved)
    assert little == [f"add music: rnnaudio corpus add {folder}/corpus.h5 MORE_MUSIC --out LARGER.h5"]


@pytest.mark.parametrize(
    ("recipe", "config", "cause", "options"),
    [
        (FRAMES, FramesConfig(), "overfitting", ""),  # fewer units made it worse
        (FRAMES, FramesConfig(model=ModelConfig(n_units=6)), "no-better-than-linear", "--n-units 24"),
        (FRAMES, FramesConfig(model=ModelConfig(input_noise=0.5)), "noise-drowns-prediction", "--input-noise 0.0"),
        (FRAMES, FramesConfig(generation_noise=True), "noise-drowns-prediction", "--no-generation-noise"),
        (FRAMES, FramesConfig(model=ModelConfig(cell="memory-lstm")), "no-better-than-linear", ""),
        (CODES, CodesConfig(n_units=256), "overfitting", "--n-units 64 --dropout 0.5"),
        (CODES, CodesConfig(n_units=8, dropout=0.6), "overfitting", ""),
        (CODES, CodesConfig(input_noise=1.0), "noise-drowns-prediction", "--input-noise 0.0"),
        (CODES, CodesConfig(), "learning-rate-too-high", "--learning-rate 0.0002"),
        (SAMPLES, SamplesConfig(), "learning-rate-too-low", "--learning-rate 0.0002"),
    ],
)
def test_options_against_a_cause_are_those_of_the_recipe(recipe, config, cause, options):
    assert recipe.remedy(cause, config, 0.1) == options
    if options:
        assert with_options(config, options.split()) != config


def test_train_says_beforehand_what_is_wrong_with_the_music(tmp_path, capsys):
    rng = np.random.default_rng(0)
    sounds = [(f"piece {k}", 0.3 * rng.standard_normal(16_000)) for k in range(4)] + [
        ("a whisper", 0.003 * rng.standard_normal(16_000))
    ]
    recordings = [
        Recording(title, "", "", split, lambda audio=audio: (audio.astype(np.float32), 16_000))
        for (title, audio), split in zip(sounds, ("train", "train", "valid", "test", "train"), strict=True)
    ]
    build_corpus(recordings, tmp_path / "corpus.h5", cleaning=AS_IT_IS)
    fit(FRAMES, TINY, tmp_path / "corpus.h5", tmp_path / "run")
    (note,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: pieces")]
    assert "a whisper (level -3" in note and note.endswith("build the corpus with: --normalise")
