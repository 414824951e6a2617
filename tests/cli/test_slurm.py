"""Jobs that run a command until it is done, by submitit's local executor; nobody has tried them on a cluster here."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from rnnaudio.cli import slurm
from rnnaudio.cli.slurm import Request, Worker, submit
from rnnaudio.errors import RnnaudioError
from tests.support.corpora import build, noise, recording

SPACE = """
frame_size = 40
n_steps = 5
max_updates = 400
validate_every = 100
model.n_units = 6

[search]
learning_rate = { low = 1e-4, high = 1e-2, log = true }

[sweep]
n_trials = 2
"""


def test_what_a_job_asks_for():
    asked = {"name": "rnnaudio", "timeout_min": 30, "cpus_per_task": 2}
    assert Request(30, 2).parameters() == asked
    assert Request(30, 2, "gpu").parameters() == asked | {"slurm_partition": "gpu"}


def test_a_warning_ends_the_command_once_and_it_is_submitted_again(monkeypatch, tmp_path):
    """The command ignores the warning, SIGUSR2, and gets one SIGTERM."""
    pytest.importorskip("submitit")
    program = (
        "import os, signal, sys, time\n"
        "def end(number, frame):\n    open(sys.argv[1], 'a').write(f'{number}\\n'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\nos.kill(os.getpid(), signal.SIGUSR2)\nopen(sys.argv[2], 'w').close()\n"
        "time.sleep(60)\n"
    )
    (tmp_path / "p.py").write_text(program)
    began, got = tmp_path / "began", tmp_path / "got"
    monkeypatch.setattr(slurm, "PROGRAM", [str(tmp_path / "p.py")])
    worker, again = Worker([str(got), str(began)]), []

    def warn():
        while not began.exists():
            time.sleep(0.01)
        again.append(worker.checkpoint())

    thread = threading.Thread(target=warn)
    thread.start()
    with pytest.raises(RuntimeError, match="ended with status 143: see the output of the job"):
        worker()
    thread.join()
    assert got.read_text() == f"{signal.SIGTERM:d}\n"
    assert again[0].function.arguments == worker.arguments and again[0].function is not worker


def test_what_cannot_be_submitted(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    with pytest.raises(RnnaudioError, match=r"--slurm: no job could be submitted \(.*\); is this a machine of the"):
        submit([], tmp_path, 1, Request(1, 1))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RnnaudioError, match=r"--slurm needs submitit, .*: pip install 'rnnaudio\[slurm\]'"):
        submit([], tmp_path, 1, Request(1, 1))


@pytest.mark.slow
@pytest.mark.long
def test_a_job_that_is_warned_goes_on_until_the_sweep_is_done(tmp_path):
    pytest.importorskip("submitit")
    pytest.importorskip("optuna")
    corpus, out = tmp_path / "a.h5", tmp_path / "out"
    build(corpus, [recording(split, noise(k, 1.0), split) for k, split in enumerate(("train", "valid", "test"))])
    (tmp_path / "space.toml").write_text(SPACE)
    words = ["sweep", str(tmp_path / "space.toml"), str(corpus), str(out)]
    (job,) = submit(words, out, 1, Request(5, 1), cluster="local")
    while not (out / "trial-0000/checkpoint.safetensors").exists():
        assert not job.done(), job.stdout()
        time.sleep(0.05)
    (task,) = Path(f"/proc/{job.job_id}/task/{job.job_id}/children").read_text().split()
    os.kill(int(task), signal.SIGUSR2)  # as Slurm does; submitit's own way would end its local controller
    assert job.result() == 0
    assert "2 trials: 2 complete" in (out / "sweep.html").read_text()
    printed = job.stdout()
    assert printed.count("trial-0000: learning_rate") == 2 and "the same command goes on" in printed + job.stderr()
    assert printed.count("Starting with JobEnvironment") == 2 and "all trials have ended" in printed
