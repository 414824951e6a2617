"""A fourth recipe, in one file of at most 80 lines, gets every command without another line changed."""

import json
from pathlib import Path

import pytest

from rnnaudio.data.demo import build_demo_corpus
from tests.support import spectra_recipe


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return build_demo_corpus(tmp_path_factory.mktemp("recipe") / "corpus.h5")


def test_it_is_one_file_of_at_most_80_lines():
    lines = Path(spectra_recipe.__file__).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80


def test_every_command_works_on_it(command, corpus, tmp_path):
    run, wav = tmp_path / "run", tmp_path / "out.wav"
    status, out, err = command("train", corpus, run, "--recipe", "spectra", "--n-units", 12, "--max-updates", 10)
    assert status == 0, err
    assert "normalised MSE of spectra on validation music" in out and "It kept sounding like music for" in out
    for name in ("report.html", "generated.wav", "original.wav", "spectrogram.png", "learning_curve.png"):
        assert (run / name).stat().st_size > 0
    assert json.loads((run / "summary.json").read_text())["recipe"] == "spectra"

    status, out, err = command("resume", run, "--max-updates", 20)
    assert (status, json.loads((run / "summary.json").read_text())["updates"]) == (0, 20), err
    status, out, err = command("generate", run, wav, "--seconds", 1, "--streams", 2)
    assert status == 0 and (tmp_path / "out-2.wav").stat().st_size > 30_000, err
    status, out, err = command("pack", run, tmp_path / "run.zip")
    assert status == 0, err
    status, out, err = command("generate", tmp_path / "run.zip", tmp_path / "packed.wav", "--seconds", 1)
    assert status == 0 and (tmp_path / "packed.wav").read_bytes() == (tmp_path / "out-1.wav").read_bytes(), err
    status, out, err = command("report", run, "--seconds", 1)
    assert status == 0 and "1 s after the prime" in out, err
    status, out, err = command("diagnose", run)
    assert status == 0 and "free run of" in out and "not examined (what is played)" in out, err
    assert (run / "diagnosis.png").stat().st_size > 0
    again = ("--config", run / "config.toml", "--max-updates", 1)
    status, out, err = command("train", corpus, tmp_path / "again", *again)
    assert status == 0 and "n_units = 12" in (tmp_path / "again" / "config.toml").read_text(), err


@pytest.mark.slow
def test_preflight_works_on_it(command):
    status, out, err = command("preflight", "--recipe", "spectra", "--max-updates", 10)
    assert status in (0, 1) and "sine       passed" in out, err


def test_its_options_are_its_own(command):
    status, out, _ = command("train", "--recipe", "spectra", "--help")
    assert status == 0 and "--window-samples" in out and "--cell" not in out
    status, _, err = command("train", "a.h5", "b", "--recipe", "spectr")
    assert status == 2 and "unknown recipe 'spectr'; did you mean 'spectra'?" in err
