"""Every command about runs on tiny runs of all three recipes: train, resume, report, diagnose, generate."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnaudio.audio import read_audio, write_wav
from rnnaudio.cli import main
from rnnaudio.runs.codes.recipe import CodesRecipe
from rnnaudio.runs.diagnosis.saved import HEADING
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.samples.recipe import SamplesRecipe
from rnnaudio.runs.settings import chosen
from rnnaudio.training import checkpoint
from tests.support.sounds import music

RATE = 8000
SETTINGS = {
    "frames": ["--frame-size", 40, "--n-steps", 5, "--batch-size", 2, "--n-units", 6, "--validate-every", 2],
    "codes": [
        "--n-components", 8, "--n-codes", 12, "--n-units", 8, "--n-steps", 8, "--batch-size", 4, "--transpose",
        "--validate-every", 1,
    ],
    "samples": [
        "--frames", 16, 4, "--window", 4, "--n-units", 8, "--n-components", 2, "--n-taps", 4, "--batch-size", 4,
        "--n-steps", 64, "--validate-every", 1, "--n-valid", 256, "--valid-stretches", 3,
    ],
}  # fmt: skip
BY_CODE_OR_SAMPLE = ("codes", "samples")
UNIT = {"frames": "normalised MSE", "codes": "bits a frame", "samples": "bits a sample"}
OF_ALL = {
    "recipe", "validation", "best_validation_loss", "updates", "epochs", "training_minutes", "n_parameters",
    "generated_seconds", "alive_seconds", "death", "versions", "config", "limited_by_db", "of_seconds",
    "prime_dbfs", "generated_dbfs",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus of three pieces of five seconds, and a run of each recipe broken off by its limit after an update."""
    folder = tmp_path_factory.mktemp("recipes")
    for seed in range(3):
        write_wav(folder / f"{seed}.wav", music(5.0, seed)[::2], RATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnaudio.runs.codes.budget.SECONDS", 1.0)
        patch.setattr("rnnaudio.runs.codes.choice.N_PRIMES", 1)
        patch.setattr("rnnaudio.runs.codes.choice.TEMPERATURES", (1.0, 1.2))
        patch.setattr(CodesRecipe, "seconds", 2.0)
        patch.setattr(SamplesRecipe, "seconds", 1.0)
        lines = [["corpus", "build", folder, folder / "corpus.h5", "--sample-rate-hz", RATE]]
        for recipe, settings in SETTINGS.items():
            limits = ["--max-updates", 3, "--minutes", 1e-6]
            lines.append(["train", folder / "corpus.h5", folder / recipe, "--recipe", recipe, *settings, *limits])
        for arguments in lines:
            patch.setattr(sys, "argv", ["rnnaudio", *map(str, arguments)])
            main()
        yield folder


@pytest.fixture(params=SETTINGS)
def recipe(request):
    return request.param


# Those over samples compile for longest.
in_full_by_samples = pytest.mark.parametrize(
    "recipe", ["frames", "codes", pytest.param("samples", marks=pytest.mark.slow)], indirect=True
)


def summary_of(run_dir):
    return json.loads((run_dir / "summary.json").read_text())


def test_a_run_leaves_a_report_of_the_same_figures(folder, recipe):
    run_dir, summary = folder / recipe, summary_of(folder / recipe)
    names = {path.name for path in run_dir.iterdir()}
    assert {
        "checkpoint.safetensors", "history.jsonl", "config.json", "config.toml", "summary.json", "report.html",
        "generated.wav", "original.wav", "spectrogram.png", "learning_curve.png", "update_ratios.png",
    } <= names  # fmt: skip
    assert set(summary) >= OF_ALL and summary["recipe"] == recipe
    assert summary["updates"] == 1 and summary["best_validation_loss"] > 0 and UNIT[recipe] in summary["validation"]
    assert summary["generated_seconds"] <= summary["of_seconds"] == load_recipe(run_dir).seconds
    page = (run_dir / "report.html").read_text()
    assert f"{summary['validation']}. It kept sounding like music for" in page
    assert ("Grey lines" in page) == (recipe == "frames")  # whose learning curve has baselines


def load_recipe(run_dir):
    return saved_recipe(run_dir)[0]


@pytest.fixture
def no_report(monkeypatch):
    """The report of the run before stays: pictures take longer than everything else here."""
    monkeypatch.setattr("rnnaudio.runs.outcome.write_outcome", lambda run_dir, *_, **__: summary_of(run_dir))


@pytest.mark.usefixtures("no_report")
def test_its_own_settings_file_trains_the_same_run(folder, recipe, command):
    """config.toml holds every setting, decided: it is read back to the same config, and a run is resumed with it."""
    file = folder / recipe / "config.toml"
    assert chosen(config=file) == (recipe, load(folder / recipe).config)
    status, _, err = command("train", folder / "corpus.h5", folder / recipe, "--config", file)
    assert status == 2 and "checkpoint.safetensors exists" in err
    limit = ["--minutes", 1e-6]  # reached already: nothing is trained
    status, out, err = command("train", folder / "corpus.h5", folder / recipe, "--config", file, "--resume", *limit)
    assert status == 0 and "training ended: the limit of 1e-06 minutes is reached" in out, err
    assert load(folder / recipe).record["n_updates"] == 1


@in_full_by_samples
def test_resume_goes_on_with_its_own_settings(folder, recipe, command, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(folder / recipe, run_dir)
    status, out, err = command("resume", run_dir, "--minutes", 5)
    assert status == 0 and "training ended: the limit of 3 updates is reached" in out, err
    assert "It kept sounding like music for" in out and f"look: {run_dir / 'report.html'}" in out
    before, after = load(folder / recipe), load(run_dir)
    assert (summary_of(run_dir)["updates"], len(before.history)) == (3, 1) and len(after.history) > 1
    assert after.history[0] == before.history[0] and after.config.minutes == 5.0
    status, _, err = command("resume", run_dir, "--minutes", 1e-9)
    assert status == 2 and f"--minutes is 1e-09, but {run_dir} has had" in err and "give more" in err


def test_a_finished_run_is_not_computed_again(folder, recipe, command, tmp_path, monkeypatch):
    """It is reported already: resuming is refused before any work, unless a limit is raised that it has reached."""

    def works(*_, **__):
        raise AssertionError("it worked")

    run_dir = tmp_path / "run"
    shutil.copytree(folder / recipe, run_dir)
    (run_dir / "report.html").touch()  # as new as the checkpoint
    for place in ("rnnaudio.runs.fit.fit", "rnnaudio.runs.outcome.write_outcome"):
        monkeypatch.setattr(place, works)
    status, _, err = command("resume", run_dir)
    assert (
        status == 2 and "is complete: its limit of 1e-06 minutes is reached; raise the limit: rnnaudio resume" in err
    )
    assert f"{run_dir} --minutes 2\n" in err
    saved = checkpoint.load(checkpoint.path_in(run_dir))
    saved.record["n_updates"] = 3
    checkpoint.save(checkpoint.path_in(run_dir), saved)
    (run_dir / "report.html").touch()
    for arguments in ((), ("--minutes", 60)):
        status, _, err = command("resume", run_dir, *arguments)
        assert status == 2 and "is complete: all its 3 updates are done" in err and len(err.splitlines()) == 1
        advice = {"frames": f"raise the limit: rnnaudio resume {run_dir} --max-updates 6"}
        assert advice.get(recipe, "train in another run directory with a higher --max-updates: rnnaudio train") in err
    (run_dir / "report.html").unlink()  # broken off before the report: resuming writes it
    with pytest.raises(AssertionError, match="it worked"):
        command("resume", run_dir)


@in_full_by_samples
def test_the_end_of_training_says_how_to_go_on_and_that_works(folder, recipe, command, monkeypatch, tmp_path):
    """The commands that are printed, first after the limit of minutes, then after that of updates, are followed."""
    summary = summary_of(folder / recipe)
    monkeypatch.setattr("rnnaudio.runs.outcome.write_outcome", lambda *_, **__: summary)
    run_dir = tmp_path / "a run"
    shutil.copytree(folder / recipe, run_dir)
    updates = [1]
    for _ in range(2):
        status, out, err = command("train", folder / "corpus.h5", run_dir, *_limits(run_dir), "--resume")
        assert status == 0, err
        (line,) = [line for line in out.splitlines() if "to train for longer: rnnaudio" in line]
        assert re.match(r"\d+\.\d of .* minutes were used, for the limit of \S+ (minutes|updates) is reached; ", line)
        words = shlex.split(line.partition("to train for longer: rnnaudio ")[2])
        status, out, err = command(*words)
        assert status == 0, err
        run_dir = words[2] if words[0] == "train" else words[1]
        updates.append(load(Path(run_dir)).record["n_updates"])
    assert updates == [1, 3, 6]


def _limits(run_dir):
    return ["--config", Path(run_dir) / "config.toml", "--minutes", load(Path(run_dir)).config.minutes]


def test_a_run_is_not_resumed_with_another_recipe_or_other_settings(folder, recipe, command):
    before = (folder / recipe / "checkpoint.safetensors").read_bytes()
    other = next(name for name in SETTINGS if name != recipe)
    resume = ["train", folder / "corpus.h5", folder / recipe, "--resume", "--recipe"]
    status, _, err = command(*resume, other, *SETTINGS[other])
    assert status == 2 and "is a run of another recipe" in err and len(err.splitlines()) == 1
    status, _, err = command(*resume, recipe, *SETTINGS[recipe], "--max-updates", 3, "--minutes", 1, "--batch-size", 3)
    assert status == 2 and "so: batch_size was" in err and "now it is 3 (the order of the batches" in err
    assert (folder / recipe / "checkpoint.safetensors").read_bytes() == before


@in_full_by_samples
def test_report_is_written_again(folder, recipe, command, tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    for name in ("checkpoint.safetensors", "history.jsonl", "codec.safetensors"):
        if (folder / recipe / name).exists():
            shutil.copy(folder / recipe / name, run_dir)
    status, out, err = command("report", run_dir, "--seconds", 1.5, "--prime-index", 1)
    assert status == 0 and "of 1.5 s after the prime" in out and "validation" in out, err
    audio, rate = read_audio(run_dir / "generated.wav")
    assert rate == RATE and len(audio) == round(2.5 * RATE)
    assert summary_of(run_dir)["of_seconds"] == 1.5 and (run_dir / "report.html").exists()
    assert (run_dir / "playing.json").exists() == (recipe == "codes")
    status, _, err = command("report", tmp_path)
    assert status == 2 and "no checkpoint" in err


@pytest.fixture
def short_free_run(monkeypatch):
    """A second of what is diagnosed, where a run plays sample by sample."""
    monkeypatch.setattr("rnnaudio.diagnostics.diagnose.FREE_SAMPLES", RATE)


@pytest.mark.usefixtures("short_free_run")
def test_diagnose_examines_what_it_can(folder, recipe, command):
    status, out, err = command("diagnose", folder / recipe)
    assert status == 0 and "free run of" in out and f"look: {folder / recipe / 'diagnosis.png'}" in out, err
    of_codes = "not examined (batches, cost, memory, validation): its batches hold "
    by_frames = "not examined (what is played): its output is sampled"
    assert (of_codes in out) == (by_frames in out) == (recipe in BY_CODE_OR_SAMPLE)
    measured = json.loads((folder / recipe / "diagnosis.json").read_text())["measured"]
    assert measured["step_sizes"] and measured["level_db"] and bool(measured["unanswered"]) == (of_codes in out)
    page = (folder / recipe / "report.html").read_text()
    assert page.count(f"<h2>{HEADING}</h2>") == 1 and page.index("<h1>") < page.index(HEADING) < page.index("<audio")


def test_generate_continues_each_prime(folder, recipe, command, tmp_path):
    status, out, err = command("generate", folder / recipe, tmp_path / "x.wav", "--seconds", 0.3, "--streams", 2)
    assert status == 0 and "1.00 s prime + 0.30 s generated each" in out, err
    played = [read_audio(tmp_path / f"x-{k}.wav")[0] for k in (1, 2)]
    assert [len(audio) for audio in played] == [round(1.3 * RATE)] * 2 and not np.array_equal(*played)
    for option in ("--prime-index", "--seed-index"):  # the name of before
        out = tmp_path / f"{option}.wav"
        status, _, err = command("generate", folder / recipe, out, "--seconds", 0.3, option, 1)
        assert status == 0, err
        np.testing.assert_array_equal(read_audio(out)[0][:RATE], played[1][:RATE])
    assert (tmp_path / "--prime-index.wav").read_bytes() == (tmp_path / "--seed-index.wav").read_bytes()


def test_only_what_is_sampled_takes_options_of_sampling(folder, recipe, command, tmp_path):
    options = ["--temperature", 0.8, 1.2, "--top-k", 4, "--nucleus", 0.9, "--sampling-seed", 3]
    status, _, err = command("generate", folder / recipe, tmp_path / "x.wav", "--seconds", 0.3, *options)
    if recipe == "frames":
        assert status == 2 and "samples nothing: leave --temperature" in err and not list(tmp_path.iterdir())
        return
    assert status == 0, err
    for name, seed in (("again.wav", 3), ("other.wav", 4)):
        command("generate", folder / recipe, tmp_path / name, "--seconds", 0.3, *options[:-1], seed)
    first, again, other = ((tmp_path / name).read_bytes() for name in ("x.wav", "again.wav", "other.wav"))
    assert first == again != other


def test_defects_of_a_run_are_listed(folder, recipe, command):
    status, out, err = command("defects", folder / recipe)
    assert status == 0 and "no-toy-problem" in out, err
    assert ("always-reset" in out) == (recipe == "frames")


@pytest.mark.usefixtures("no_report")
def test_the_older_name_of_train_goes_on_with_a_run_over_codes(folder, command, tmp_path):
    shutil.copytree(folder / "codes", tmp_path / "run")
    settings = [*SETTINGS["codes"], "--max-updates", 3, "--minutes", 5, "--resume"]
    status, out, err = command("music", folder / "corpus.h5", tmp_path / "run", *settings)
    assert status == 0 and "training ended: the limit of 3 updates is reached" in out, err
    assert load(tmp_path / "run").record["n_updates"] == 3


@pytest.mark.usefixtures("short_free_run")
@pytest.mark.parametrize("recipe", ["codes", pytest.param("samples", marks=pytest.mark.slow)])
def test_toy_problems_are_tried_and_a_failure_is_diagnosed(recipe, command, monkeypatch):
    """A loss of twice that of mere counts is reached at once, one of nothing never."""
    kind = type(recipe_named(recipe))
    first = kind.problems[0]._replace(max_updates=2)
    monkeypatch.setattr("rnnaudio.runs.diagnosis.preflight.VALIDATE_EVERY", 1)
    for share, expected, words in ((2.0, 0, "preflight passed"), (0.0, 1, "not examined (what is played)")):
        monkeypatch.setattr(kind, "problems", (first._replace(pass_share=share),))
        status, out, err = command("preflight", "--recipe", recipe, *SETTINGS[recipe])
        assert status == expected and words in out and UNIT[recipe] in out, err
        assert f"{first.name:10s} {'passed' if share else 'FAILED'}: " in out
