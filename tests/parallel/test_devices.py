"""Mode jax on several devices and in several processes: equal to one device, the work divided, ends as by MPI."""

import os
import signal
import subprocess
import sys
import time

import pytest

from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.training import checkpoint
from tests.support.processes import ROOT
from tests.support.trainings import TINY, TOLERANCE, assert_equal, ended, shown

pytest.importorskip("jax", reason="needs the extra jax")
pytestmark = pytest.mark.slow
JAX = {"RNNAUDIO_MODE": "jax", "JAX_PLATFORMS": "cpu"}
SHARED = ["--data-parallel", "jax"]


def devices(n):
    return {"XLA_FLAGS": f"--xla_force_host_platform_device_count={n}"}


def slurm(number, n, job):
    """What Slurm tells process ``number`` of n on this machine."""
    return {
        "SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(n),
        "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number),
    }  # fmt: skip


def started(arguments, **environment):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | JAX | environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def program(kind, *arguments):
    return ["-m", "tests.support.shared_runs", kind, *arguments]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("jax") / "corpus.h5"
    build_demo_corpus(path)
    return path


@pytest.fixture(scope="module")
def alone(corpus, tmp_path_factory):
    """Runs on one device, by dtype."""
    folder = tmp_path_factory.mktemp("alone")
    for dtype, names in {"float32": ["frames"], "float64": ["frames", "dropout"]}.items():
        status, output = ended(started(program("none", corpus, folder / dtype, dtype, *names), **devices(1)))
        assert status == 0, output
    return folder


@pytest.mark.parametrize(("dtype", "names"), [
    pytest.param("float32", ["frames"], marks=pytest.mark.long), ("float64", ["frames", "dropout"])
])
def test_four_devices_equal_one(corpus, alone, tmp_path, dtype, names):
    status, output = ended(started(program("jax", corpus, tmp_path, dtype, *names), **devices(4)))
    assert status == 0, output
    for name in names:
        assert_equal(tmp_path / name, alone / dtype / name, TOLERANCE[dtype])


@pytest.mark.long
def test_two_processes_of_two_devices_equal_one(corpus, alone, tmp_path):
    """They find each other as processes of Slurm do. The first alone writes."""
    processes = [
        started(
            program("jax", corpus, tmp_path / str(number), "float64", "frames", "dropout"),
            **devices(2),
            **slurm(number, 2, job=2301),
        )
        for number in range(2)
    ]
    for process in processes:
        status, output = ended(process)
        assert status == 0, output
    for name in ("frames", "dropout"):
        assert_equal(tmp_path / "0" / name, alone / "float64" / name, TOLERANCE["float64"])
    assert not (tmp_path / "1").exists()


def test_each_device_computes_on_its_rows():
    """The compiled update takes two of eight rows, and adds gradients up over the devices; a batch of 7 is not cut."""
    code = """
import numpy as np
from rnnaudio import engine
from rnnaudio.data import Batch
from rnnaudio.nn import LSTM
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.training import TrainStep

jax, texts = engine.jax_mode.jax, []
jit = jax.jit

def spied(function, **options):
    jitted = jit(function, **options)
    def call(*arguments):
        texts.append(jitted.lower(*arguments).compile().as_text())
        return jitted(*arguments)
    return call

jax.jit = spied
assert engine.jax_mode.share_batches() == 4
step = TrainStep(LSTM(5, 5, rng=np.random.default_rng(0)), predict_next, SGD(), seed=0)
for rows in (8, 7):
    batch = Batch(np.ones((4, rows, 5), np.float32), np.ones(rows, bool))
    step(batch, None, learning_rate=0.1, update=0)
    print("f32[4,2,5]" in texts[-1], f"f32[4,{rows},5]" in texts[-1], "all-reduce" in texts[-1])
"""
    status, output = ended(started(["-c", code], **devices(4)))
    assert status == 0, output
    assert output.splitlines()[-2:] == ["True False True", "False True False"]


def test_a_batch_that_devices_cannot_share_is_refused(corpus, tmp_path):
    command = ["-m", "rnnaudio", "train", corpus, tmp_path / "run", *TINY, *SHARED]
    status, output = ended(started(command, **devices(3)))
    assert status == 2 and not (tmp_path / "run").exists()
    assert shown(output) == ["rnnaudio: a batch of 4 cannot be shared evenly by 3 devices: give a multiple of 3"]


def test_processes_of_different_settings_are_refused_by_one_message(corpus, tmp_path):
    command = ["-m", "rnnaudio", "train", corpus, tmp_path / "run", *TINY, *SHARED]
    processes = [
        started([*command, "--learning-rate", rate], **slurm(number, 2, job=2302))
        for number, rate in enumerate(["0.1", "0.2"])
    ]
    found = [ended(process) for process in processes]
    assert [status for status, _ in found] == [2, 2] and not (tmp_path / "run").exists()
    assert shown(found[1][1]) == [] and len(shown(found[0][1])) == 1
    assert "rank 1 has train.learning_rate 0.2, rank 0 0.1: start all ranks" in shown(found[0][1])[0]


class Training:
    """A training of two processes that would take ten minutes."""

    def __init__(self, corpus, folder, job):
        self.run_dir = folder / "run"
        settings = [*TINY, "--validate-every", "20", "--minutes", "10", *SHARED]
        command = ["-m", "rnnaudio", "train", corpus, self.run_dir, *settings]
        self.processes = [started(command, **slurm(number, 2, job)) for number in range(2)]
        deadline = time.monotonic() + 200
        while not checkpoint.exists(self.run_dir):
            assert all(p.poll() is None for p in self.processes) and time.monotonic() < deadline, self.ended(1)
            time.sleep(0.1)

    def ended(self, seconds):
        return [ended(process, seconds) for process in self.processes]


@pytest.mark.long
def test_a_signal_on_one_process_ends_both_with_a_checkpoint(corpus, tmp_path):
    training = Training(corpus, tmp_path, job=2303)
    training.processes[1].send_signal(signal.SIGTERM)
    (status, output), (other, _) = training.ended(60)
    assert status == 128 + signal.SIGTERM and other == 0
    assert len(shown(output)) == 1 and "the model is saved: `rnnaudio resume" in shown(output)[0]
    assert checkpoint.load(training.run_dir / checkpoint.NAME).record["n_updates"] >= 20


def test_a_process_that_is_killed_ends_the_other(corpus, tmp_path):
    """No launcher watches them: a connection breaks, or else JAX's service misses the heartbeat."""
    training = Training(corpus, tmp_path, job=2304)
    training.processes[1].kill()
    (status, output), _ = training.ended(30)
    assert status != 0 and ("another process has ended" in output or "another task died" in output), output
    assert checkpoint.load(training.run_dir / checkpoint.NAME).record["n_updates"] >= 20
