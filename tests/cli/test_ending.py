"""How `train` and others end when they are asked to, and what two of them at once do: as the command line shows it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from rnnaudio.audio import write_wav
from rnnaudio.interrupt import BATCH_SYSTEMS
from rnnaudio.lock import OF_A_FOLDER
from rnnaudio.training import checkpoint, loop
from tests.support.corpora import build, noise, recording
from tests.support.processes import ROOT

OLD_RUNS = ROOT / "tests" / "support" / "old_runs"
SMALL = ["--frame-size", "40", "--n-steps", "5", "--batch-size", "2", "--n-units", "6"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("ending") / "a.h5"
    splits = ("train", "valid", "test")
    build(path, [recording(split, noise(k, 3.0), split) for k, split in enumerate(splits)])
    return path


@pytest.fixture
def signalled(monkeypatch):
    """Sends this process a signal at an update."""
    for name in BATCH_SYSTEMS:
        monkeypatch.delenv(name, raising=False)
    advance = loop.advance

    def at(update, number):
        def then(bar, run, limits):
            if run.n_updates == update:
                os.kill(os.getpid(), number)
            advance(bar, run, limits)

        monkeypatch.setattr(loop, "advance", then)

    return at


def test_a_run_that_is_told_to_end_is_saved_at_once_and_goes_on(corpus, tmp_path, command, signalled, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    words = ["train", corpus, run, *SMALL, "--max-updates", "11"]
    for update, number in ((3, signal.SIGTERM), (5, signal.SIGUSR2)):
        signalled(update, number)
        status, _, err = command(*words)
        assert status == 128 + number and checkpoint.load(checkpoint.path_in(run)).record["n_updates"] == update, err
        assert f"`rnnaudio resume {run}` continues, and `rnnaudio report {run}` ends it here" in err
        assert not (run / "report.html").exists()  # there may be no time for it
        assert not (run / OF_A_FOLDER).exists()
        words = ["resume", run]


def test_writing_needs_the_folder_and_reading_does_not(corpus, tmp_path, command):
    run, prime = tmp_path / "run", tmp_path / "prime.wav"
    shutil.copytree(OLD_RUNS / "lstm", run)
    write_wav(prime, noise(9, 0.3), 8000)
    content = {path.name: path.read_bytes() for path in run.iterdir()}
    lock = subprocess.Popen(
        [sys.executable, "-c", OWNING, str(run)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert lock.stdout.readline() == "mine\n"
    for words in (
        ["train", corpus, run, *SMALL], ["train", corpus, run, *SMALL, "--resume"], ["music", corpus, run],
        ["resume", run, "--max-updates", "5"], ["report", run], ["diagnose", run],
    ):  # fmt: skip
        status, out, err = command(*words)
        assert (status, out) == (2, "") and f"{run} is being written by process {lock.pid} on" in err, (words, err)
        assert len(err.splitlines()) == 1
    playing = ["generate", run, tmp_path / "x.wav", "--seconds", ".1", "--prime-file", prime, "--prime-seconds", ".2"]
    for words in (playing, ["defects", run]):
        assert command(*words)[0] == 0, words
    lock.communicate("\n")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == content


OWNING = """
import sys
from pathlib import Path
from rnnaudio.lock import owned_folder
with owned_folder(Path(sys.argv[1])):
    print("mine", flush=True)
    input()
"""


# ---------------------------------------------------------------- processes


def started(*words, **options):
    command = [sys.executable, "-m", "rnnaudio", *map(str, words)]
    default = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **default | options)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_training_in_a_process_of_its_own(corpus, tmp_path, number):
    run = tmp_path / "run"
    child = started("train", corpus, run, *SMALL, "--max-updates", "100000", "--checkpoint-minutes", "1e-6")
    while not checkpoint.path_in(run).exists():
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(number)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 128 + number and "Traceback" not in err, err
    assert checkpoint.load(checkpoint.path_in(run)).record["n_updates"] > 0


@pytest.mark.slow
@pytest.mark.long
def test_of_two_that_train_in_one_folder_one_does_and_all_files_are_its_own(corpus, tmp_path):
    for k in range(2):  # sixty more: the part `pairs` of the torture
        run = tmp_path / f"run{k}"
        pair = [
            started("train", corpus, run, *SMALL, "--max-updates", "20", "--seed", str(seed)) for seed in (1, 2)
        ]  # fmt: skip
        ends = [child.communicate(timeout=120) for child in pair]
        statuses = [child.returncode for child in pair]
        assert sorted(statuses) == [0, 2], ends
        seed = statuses.index(0) + 1
        assert any(words in ends[2 - seed][1] for words in ("is being written by process", "exists: continue it"))
        settings = json.loads((run / "config.json").read_text())["train"]
        saved = checkpoint.load(checkpoint.path_in(run)).record
        assert settings["seed"] == saved["config"]["train"]["seed"] == saved["identity"]["seed"] == seed


@pytest.mark.slow
def test_of_two_that_build_one_corpus_one_does(tmp_path):
    (tmp_path / "music").mkdir()
    for k in range(4):
        write_wav(tmp_path / "music" / f"{'abcd'[k]}.wav", noise(k, 4.0), 8000)
    for k in range(5):
        words = ("corpus", "build", tmp_path / "music", tmp_path / f"{k}.h5", "--seed")
        pair = [started(*words, seed) for seed in (1, 2)]
        ends = [child.communicate(timeout=120) for child in pair]
        assert sorted(child.returncode for child in pair) == [0, 2], ends
        lost = next(end[1] for end, child in zip(ends, pair, strict=True) if child.returncode)
        assert "is being written by process" in lost or "exists: choose another name" in lost
    assert sorted(os.listdir(tmp_path)) == [*(f"{k}.h5" for k in range(5)), "music"]
