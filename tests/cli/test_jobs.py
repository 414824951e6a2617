"""Several processes of one command: threads shared out, output told apart, one signal for all, no trial run twice."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from rnnaudio.cli import jobs
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owner_of
from tests.support.corpora import build, noise, recording
from tests.support.processes import ROOT

SPACE = """
frame_size = 40
n_steps = 5
max_updates = {updates}
validate_every = 10
checkpoint_minutes = 1e-6

[model]
n_units = 6

[search]
learning_rate = {{ low = 1e-4, high = 1e-2, log = true }}

[sweep]
n_trials = {trials}
"""


@pytest.mark.parametrize(("n_jobs", "threads", "each"), [(2, 8, "4"), (3, 8, "2"), (4, 2, "1"), (1, 3, "3")])
def test_threads_are_shared_out(n_jobs, threads, each):
    shared = jobs.shared({"OMP_NUM_THREADS": "8", "HOME": "/x"}, n_jobs, threads)
    assert {shared[name] for name in jobs.OF_THREADS} == {each} and shared["HOME"] == "/x"


def script(tmp_path, monkeypatch, text):
    """Let the jobs run a program instead of rnnaudio."""
    (tmp_path / "program.py").write_text(text)
    monkeypatch.setattr(jobs, "PROGRAM", [str(tmp_path / "program.py")])


def test_lines_begin_with_their_trial_and_empty_ones_are_left_out(tmp_path, monkeypatch, capsys):
    program = "import sys; print('begun\\n\\ntrial-0003: x=1\\nmore'); print('e', file=sys.stderr)"
    script(tmp_path, monkeypatch, program)
    jobs.run_jobs([], 1)
    out, err = capsys.readouterr()
    assert out.splitlines() == ["job 1: begun", "trial-0003: x=1", "trial-0003: more"]
    assert re.fullmatch(r"(job 1|trial-0003): e\n", err)


def test_a_job_that_fails_is_named_when_all_have_ended(tmp_path, monkeypatch):
    script(tmp_path, monkeypatch, "import sys; sys.exit(int(sys.argv[1]))")
    jobs.run_jobs(["0"], 2)
    with pytest.raises(RnnaudioError, match="job 1 with status 3, job 2 with status 3 of 2 jobs ended early: see"):
        jobs.run_jobs(["3"], 2)


SLEEPER = """
import signal, sys, time
def note(number, frame):
    print("got", number, flush=True)
    time.sleep(0.3)  # in which a second one would be noticed
    sys.exit(0)
signal.signal(signal.SIGTERM, note)
signal.signal(signal.SIGINT, note)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_once(tmp_path, monkeypatch, capsys, number):
    script(tmp_path, monkeypatch, SLEEPER)
    asked, shown = [], []

    def show(*words, **options):
        shown.append(" ".join(words))
        if sum("ready" in line for line in shown) == 2 and not asked:
            asked.append(os.kill(os.getpid(), number))

    monkeypatch.setattr(jobs, "print", show, raising=False)
    with pytest.raises(KeyboardInterrupt, match="all jobs have ended: the same command goes on"):
        jobs.run_jobs([], 2)
    assert sorted(line for line in shown if "got" in line) == [f"job {k}: got {number:d}" for k in (1, 2)]


# ---------------------------------------------------------------- whole sweeps, in processes


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    pytest.importorskip("optuna")
    path = tmp_path_factory.mktemp("jobs") / "a.h5"
    build(path, [recording(split, noise(k, 1.0), split) for k, split in enumerate(("train", "valid", "test"))])
    return path


def started(tmp_path, corpus, *options, updates=30, trials=12):
    (tmp_path / "space.toml").write_text(SPACE.format(updates=updates, trials=trials))
    words = ["sweep", tmp_path / "space.toml", corpus, tmp_path / "out", *options]
    command = [sys.executable, "-m", "rnnaudio", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition, child):
    while not condition():
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.01)


def study_of(tmp_path):
    import optuna
    from optuna.storages.journal import JournalFileBackend

    backend = JournalFileBackend(str(tmp_path / "out/study.journal"))
    return optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))


@pytest.mark.slow
@pytest.mark.long
def test_twelve_trials_killed_twice_and_finished_by_two_processes_are_twelve(tmp_path, corpus):
    out = tmp_path / "out"
    for trial in ("trial-0001", "trial-0004"):
        child = started(tmp_path, corpus)
        wait_for((out / trial / "checkpoint.safetensors").exists, child)
        child.kill()
        child.communicate()
        assert owner_of(out / trial) is None
    begun = study_of(tmp_path).trials
    assert sum(one.state.name == "RUNNING" for one in begun) == 1
    pair = [started(tmp_path, corpus) for _ in range(2)]
    printed = [child.communicate(timeout=300)[0] for child in pair]
    assert [child.returncode for child in pair] == [0, 0], printed
    trials = study_of(tmp_path).trials
    assert [one.state.name for one in trials] == ["COMPLETE"] * 12
    assert sorted(path.name for path in out.glob("trial-*")) == [f"trial-{k:04d}" for k in range(12)]
    ended = re.findall(r"^(trial-\d+): validation ", "".join(printed), flags=re.MULTILINE)
    assert len(ended) == len(set(ended)) and {"trial-0004", "trial-0011"} <= set(ended)
    assert all(before.params == after.params for before, after in zip(begun, trials, strict=True) if before.params)
    for number, one in enumerate(trials):
        assert one.intermediate_values.keys() == {1, 2, 3}  # each validation once
        rows = (out / f"trial-{number:04d}/history.jsonl").read_text().splitlines()
        assert len(rows) == 3
    page = (out / "sweep.html").read_text()
    assert "12 trials: 12 complete" in page and page.count("/report.html\"") == 12


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_all_jobs_well_and_the_same_command_goes_on(tmp_path, corpus, number):
    out = tmp_path / "out"
    child = started(tmp_path, corpus, "--jobs", "2", updates=100_000, trials=3)
    wait_for(lambda: len(list(out.glob("trial-*/checkpoint.safetensors"))) == 2, child)
    child.send_signal(number)
    printed = child.communicate(timeout=120)[0]
    assert child.returncode == 128 + number and "Traceback" not in printed, printed
    assert "all jobs have ended: the same command goes on" in printed
    assert all(owner_of(path) is None for path in out.glob("trial-*"))
    states = [one.state.name for one in study_of(tmp_path).trials]
    assert states == ["RUNNING", "RUNNING", "WAITING"]
