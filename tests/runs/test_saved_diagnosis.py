"""The diagnosis that ends a training: in the run's folder, in its report from the start, and what stops it."""

import dataclasses
import json
import sys

import pytest

from rnnaudio.audio import write_wav
from rnnaudio.cli import main
from rnnaudio.diagnostics.subject import Cause, Diagnosis, Measurements
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.diagnosis.saved import HEADING, saved_causes, saved_findings, write_diagnosis
from tests.support.sounds import music

RATE = 8000
SMALL = ["--frame-size", 40, "--n-steps", 5, "--batch-size", 2, "--n-units", 6, "--validate-every", 2]
FOUND = Diagnosis(
    (
        Cause("unscaled-rmsprop", 0.9, "updates of 1e-8", "divide by sqrt(r)"),
        Cause("last-step-cost", 0.4, "1 of 32 steps", "sum over all steps"),
    ),
    Measurements(),
)


@pytest.fixture(scope="module", autouse=True)
def no_diagnosis_after_training():
    """Here it is what is tested."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, and a run that was trained without a diagnosis."""
    folder = tmp_path_factory.mktemp("saved")
    for seed in range(3):
        write_wav(folder / f"{seed}.wav", music(5.0, seed)[::2], RATE)
    run = ["train", folder / "corpus.h5", folder / "run", *SMALL, "--max-updates", 3, "--minutes", 1e-6]
    corpus = ["corpus", "build", folder, folder / "corpus.h5", "--sample-rate-hz", RATE]
    for words in (corpus, [*run, "--no-diagnose"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["rnnaudio", *map(str, words)])
            main()
    return folder


@pytest.fixture
def found(monkeypatch):
    """What the diagnosis finds, without measuring it."""
    monkeypatch.setattr("rnnaudio.cli.training.diagnose_run", lambda run_dir, corpus: FOUND)


def resume(command, folder):
    """Go on with what is over: the report is written again, and all that follows it."""
    settings = ["--config", folder / "run/config.toml", "--minutes", 1e-6]
    return command("train", folder / "corpus.h5", folder / "run", "--resume", *settings)


def test_training_without_a_diagnosis_leaves_none(folder):
    assert not (folder / "run/diagnosis.json").exists()
    assert HEADING not in (folder / "run/report.html").read_text()


@pytest.mark.usefixtures("found")
def test_training_ends_with_a_diagnosis_at_the_top_of_the_report(folder, command):
    status, out, err = resume(command, folder)
    assert status == 0 and "1. unscaled-rmsprop (severity 0.90)" in out, err
    assert out.count("last-step-cost") == 1 and "the report has more: last-step-cost (" in out
    page = (folder / "run/report.html").read_text()
    places = [page.index(text) for text in ("<h1>", HEADING, "unscaled-rmsprop", "last-step-cost", "<audio")]
    assert places == sorted(places) and "Measured: updates of 1e-8." in page
    causes = json.loads((folder / "run/diagnosis.json").read_text())["causes"]
    assert [cause["name"] for cause in causes] == ["unscaled-rmsprop", "last-step-cost"]


@pytest.mark.usefixtures("found")
def test_a_report_written_again_keeps_the_diagnosis(folder, command):
    write_diagnosis(folder / "run", FOUND)
    status, _, err = command("report", folder / "run")
    assert status == 0, err
    assert (folder / "run/report.html").read_text().count("unscaled-rmsprop") == 1


def test_what_repairs_a_cause_is_in_figures_and_report(folder):
    too_soon = dataclasses.replace(FOUND, causes=(Cause("limit-too-soon", 0.5, "still falling", "train on"),))
    write_diagnosis(folder / "run", too_soon)
    (cause,) = saved_causes(folder / "run")
    (typed,) = cause["actions"]
    assert typed.startswith("go on: rnnaudio resume") and str(folder / "run") in typed
    ((_, lines),) = saved_findings(folder / "run").items
    assert lines == ["Measured: still falling.", "What to do: train on.", typed]


def test_nothing_found_is_said(folder):
    write_diagnosis(folder / "run", Diagnosis((), Measurements()))
    found = saved_findings(folder / "run")
    assert found.items == [] and "no mistake was found" in found.lead and "--recipe codes" in found.lead


@pytest.mark.parametrize("content", ["", "[]", '{"causes": [1]}', '{"causes": [{"name": 1}]}', "[" * 100])
def test_a_diagnosis_that_cannot_be_read_is_none(tmp_path, content):
    assert saved_findings(tmp_path) is None
    (tmp_path / "diagnosis.json").write_text(content)
    assert saved_findings(tmp_path) is None and saved_causes(tmp_path) is None


def test_a_diagnosis_of_an_earlier_version_is_read(tmp_path):
    cause = {"name": "x", "severity": 1, "evidence": "e", "advice": "a", "rebuild": "", "outliers": []}
    (tmp_path / "diagnosis.json").write_text(json.dumps({"causes": [cause], "measured": {}}))
    assert saved_findings(tmp_path).items == [("x (severity 1.00)", ["Measured: e.", "What to do: a."])]


def test_a_diagnosis_that_is_impossible_is_a_note(folder, command, monkeypatch):
    def impossible(run_dir, corpus):
        raise RnnaudioError("too little memory")

    monkeypatch.setattr("rnnaudio.cli.training.diagnose_run", impossible)
    status, out, err = resume(command, folder)
    assert status == 0 and "listen: " in out
    phases = out[out.index("after training: ") : out.index("listen: ")]
    assert all(name in phases for name in ("playing on, and judging", "pictures", "sounds and page", "diagnosis"))
    assert "note: no diagnosis (too little memory); to try again: rnnaudio diagnose" in err


def test_a_diagnosis_that_is_interrupted_leaves_run_and_report(folder, command, monkeypatch):
    def interrupted(run_dir, corpus):
        raise KeyboardInterrupt

    monkeypatch.setattr("rnnaudio.cli.training.diagnose_run", interrupted)
    status, _, err = resume(command, folder)
    assert status == 130 and "the model and its report are saved: `rnnaudio diagnose" in err
    assert "It kept sounding" in (folder / "run/report.html").read_text()
