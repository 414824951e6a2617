"""Training on several processes by MPI, on one machine: equal to one process, and of one mind when something fails."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.runs.fit import fit
from rnnaudio.runs.record import SavedRun
from rnnaudio.training import checkpoint
from tests.support.processes import ROOT
from tests.support.trainings import TINY, TOLERANCE, assert_equal, ended, shown

pytest.importorskip("mpi4py", reason="needs the extra mpi")
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not MPIEXEC, reason="there is no mpiexec")]


def in_full_only(case):
    """A case for `make test-full`, which .ci/run leaves out: processes that share two cores take long."""
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.long)


RNNAUDIO = [sys.executable, "-m", "rnnaudio"]
SHARED = ["--data-parallel", "mpi"]


def started(*arguments):
    environment = os.environ | {"RNNAUDIO_THREADS": "1"}
    return subprocess.Popen(
        [MPIEXEC, *map(str, arguments)], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def mpiexec(*arguments):
    """(exit status, output)"""
    return ended(started(*arguments))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("mpi") / "corpus.h5"
    build_demo_corpus(path)
    return path


@pytest.mark.parametrize(
    ("size", "dtype"),
    [(2, "float64"), *map(in_full_only, [(2, "float32"), (4, "float32"), (4, "float64")])],
)
def test_all_recipes_equal_one_process(corpus, tmp_path, size, dtype):
    """Fifty updates of whole batches, with and without segments, noise and dropout; state is carried on."""
    from tests.support.shared_runs import RUNS

    for name, (recipe, config) in RUNS.items():
        with engine.precision(dtype):
            fit(recipe, config, corpus, tmp_path / "one" / name)
    program = [sys.executable, "-m", "tests.support.shared_runs", "mpi", corpus, tmp_path / "shared", dtype, *RUNS]
    status, output = mpiexec("-n", size, *program)
    assert status == 0, output
    for name in RUNS:
        assert_equal(tmp_path / "shared" / name, tmp_path / "one" / name, TOLERANCE[dtype])


@pytest.mark.long
def test_resumed_on_other_numbers_of_ranks(corpus, tmp_path):
    """Forty-five updates on two, four, one and four ranks are those on one, validations included."""
    settings = [*TINY, "--validate-every", "15"]
    one, shared = tmp_path / "one", tmp_path / "shared"
    steps = [
        ["-n", 1, *RNNAUDIO, "train", corpus, one, *settings, "--max-updates", "45"],
        ["-n", 2, *RNNAUDIO, "train", corpus, shared, *settings, "--max-updates", "10", *SHARED],
        ["-n", 4, *RNNAUDIO, "resume", shared, "--max-updates", "20", *SHARED],
        ["-n", 1, *RNNAUDIO, "resume", shared, "--max-updates", "30"],
        ["-n", 4, *RNNAUDIO, "resume", shared, "--max-updates", "45", *SHARED],
    ]
    for arguments in steps:
        status, output = mpiexec(*arguments)
        assert status == 0, output
        assert output.count("training ended: ") == 1 and output.count("listen: ") == 1  # one rank speaks
    got, expected = checkpoint.newest(shared), checkpoint.newest(one)
    for name, array in expected.arrays.items():
        if not name.startswith("best/"):  # the shared run validated at its ends, too
            assert np.linalg.norm(got.arrays[name] - array) <= 1e-6 * np.linalg.norm(array), name
    losses = {row["updates"]: row["valid"] for row in got.record["history"]}
    for row in expected.record["history"]:
        assert losses[row["updates"]] == pytest.approx(row["valid"], rel=1e-5)


@pytest.mark.long
def test_a_run_that_starts_from_another(corpus, tmp_path):
    """Two ranks start from the parameters that one process has learnt, and reach what one process reaches."""
    train = [*RNNAUDIO, "train", corpus]
    steps = [
        ["-n", 1, *train, tmp_path / "old", *TINY, "--max-updates", "10"],
        ["-n", 1, *train, tmp_path / "one", "--from", tmp_path / "old"],
        ["-n", 2, *train, tmp_path / "shared", "--from", tmp_path / "old", *SHARED],
    ]
    for arguments in steps:
        status, output = mpiexec(*arguments)
        assert status == 0, output
    assert output.count("start: ") == 1  # one rank speaks
    assert_equal(tmp_path / "shared", tmp_path / "one", TOLERANCE["float32"])


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (["--learning-rate", "0.5"], "rank 1 has train.learning_rate 0.5, rank 0 0.001: start all ranks"),
        (["--corpus", "missing"], "no such corpus file; build one with 'rnnaudio corpus build' (rank 1 of 2, on "),
        (["--batch-size", "3"], "rank 1 has train.batch_size 3, rank 0 4: start all ranks with the same command"),
    ],
)
def test_ranks_that_disagree_are_refused_by_one_message(corpus, tmp_path, second, message):
    where = corpus.with_name("missing.h5") if "--corpus" in second else corpus
    changes = [] if "--corpus" in second else second
    run_dir = tmp_path / "run"
    one = ["-n", 1, *RNNAUDIO, "train", corpus, run_dir, *TINY, *SHARED]
    other = ["-n", 1, *RNNAUDIO, "train", where, run_dir, *TINY, *SHARED, *changes]
    status, output = mpiexec(*one, ":", *other)
    assert status == 2 and len(shown(output)) == 1 and message in shown(output)[0], output
    assert "Traceback" not in output and not run_dir.exists()


@pytest.mark.parametrize(
    ("size", "arguments", "message"),
    [
        (3, [], "rnnaudio: a batch of 4 cannot be shared evenly by 3 ranks: give a multiple of 3"),
        (2, ["--wrong"], "rnnaudio: Unrecognized options: --wrong; --help lists what there is"),
    ],
)
def test_what_all_ranks_refuse(corpus, tmp_path, size, arguments, message):
    run_dir = tmp_path / "run"
    status, output = mpiexec("-n", size, *RNNAUDIO, "train", corpus, run_dir, *TINY, *SHARED, *arguments)
    assert status == 2 and shown(output) == [message] and not run_dir.exists()


def test_a_launcher_of_another_mpi_is_noticed(corpus, tmp_path):
    environment = os.environ | {"OMPI_COMM_WORLD_SIZE": "4"}
    command = [*RNNAUDIO, "train", corpus, tmp_path / "run", *TINY, *SHARED]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "OMPI_COMM_WORLD_SIZE is 4, but " in done.stderr
    assert "knows of one process only: start with the mpiexec of the MPI that mpi4py loads" in done.stderr


def test_each_rank_takes_its_share_of_the_cores_unless_told_otherwise():
    """Two ranks on this machine; a number of threads that is set is kept."""
    code = (
        "import os\nfrom rnnaudio.cli.parallel import ranks_of\nfrom rnnaudio.kernels.threads import n_threads\n"
        "with ranks_of('mpi') as ranks:\n    os.write(1, f'threads: {n_threads()}\\n'.encode())"
    )
    for chosen, expected in (("", max(1, len(os.sched_getaffinity(0)) // 2)), ("3", 3)):
        status, output = mpiexec("-n", 2, "env", f"RNNAUDIO_THREADS={chosen}", sys.executable, "-c", code)
        assert (status, output.splitlines()) == (0, [f"threads: {expected}"] * 2)


def test_a_signal_on_one_rank_before_the_training_ends_all(tmp_path):
    """Rank 1, which waits for the first, ends it as well, whatever that is busy with."""
    code = """
import os, signal, time
from rnnaudio.errors import run_command
from rnnaudio.parallel.mpi import MpiRanks

def main():
    with MpiRanks() as ranks:
        if ranks.is_first:
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGTERM)
        ranks.meet()

run_command(main, "rnnaudio")
"""
    began = time.monotonic()
    status, output = mpiexec("-n", 2, sys.executable, "-c", code)
    assert status == 128 + signal.SIGTERM and time.monotonic() - began < 40
    assert "rnnaudio: interrupted (rank 1 of 2, on " in output


# ---------------------------------------------------------------- ends


class Training:
    """A training on two ranks that would take ten minutes; ``process_ids`` of the ranks."""

    def __init__(self, corpus, folder):
        self.run_dir = folder / "run"
        noting = ["sh", "-c", f'echo $$ >"{folder}/$PMI_RANK"; exec "$@"', "sh"]
        settings = [*TINY, "--validate-every", "50", "--minutes", "10", *SHARED]
        self.process = started("-n", 2, *noting, *RNNAUDIO, "train", corpus, self.run_dir, *settings)
        self._wait_for_a_checkpoint()
        self.process_ids = [int((folder / str(rank)).read_text()) for rank in range(2)]

    def _wait_for_a_checkpoint(self):
        deadline = time.monotonic() + 120
        while not checkpoint.exists(self.run_dir):
            assert self.process.poll() is None and time.monotonic() < deadline, ended(self.process)
            time.sleep(0.05)

    def ended(self, seconds):
        """(exit status, output), and all processes have gone."""
        status, output = ended(self.process, seconds)
        for pid in self.process_ids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        return status, output


@pytest.mark.parametrize("rank", [in_full_only(0), in_full_only(1)])
def test_a_signal_on_any_rank_ends_all_with_a_checkpoint(corpus, tmp_path, rank):
    """The run that is resumed equals one without interruption."""
    training = Training(corpus, tmp_path)
    os.kill(training.process_ids[rank], signal.SIGTERM)
    status, output = training.ended(30)
    assert status == 128 + signal.SIGTERM and len(shown(output)) == 1 and "the model is saved" in shown(output)[0]
    n = SavedRun.read(training.run_dir).record["n_updates"]
    end = ["--max-updates", str(n + 10)]
    status, output = mpiexec("-n", 2, *RNNAUDIO, "resume", training.run_dir, *end, *SHARED)
    assert status == 0, output
    settings = [*TINY, "--validate-every", "50", "--minutes", "10", *end]
    status, output = mpiexec("-n", 1, *RNNAUDIO, "train", corpus, tmp_path / "one", *settings)
    assert status == 0, output
    got, expected = checkpoint.newest(training.run_dir), checkpoint.newest(tmp_path / "one")
    for name, array in expected.group("model").items():
        assert np.linalg.norm(got.group("model")[name] - array) <= 1e-5 * np.linalg.norm(array), name


def test_ctrl_c_in_the_launcher(corpus, tmp_path):
    training = Training(corpus, tmp_path)
    training.process.send_signal(signal.SIGINT)
    status, output = training.ended(120)
    assert status == 130 and "training ended: interrupted (Ctrl-C)" in output
    assert len(shown(output)) == 1 and "it plays as trained so far" in shown(output)[0]


@pytest.mark.parametrize("rank", [in_full_only(0), 1])
def test_a_rank_that_is_killed_ends_all_and_leaves_a_whole_checkpoint(corpus, tmp_path, rank):
    training = Training(corpus, tmp_path)
    os.kill(training.process_ids[rank], signal.SIGKILL)
    status, output = training.ended(30)
    assert status != 0 and "BAD TERMINATION" in output and "Killed (signal 9)" in output  # the launcher's words
    saved = checkpoint.load(training.run_dir / checkpoint.NAME)
    assert saved.record["n_updates"] >= 50 and len(saved.record["history"]) == saved.extent.rows
    end = ["--max-updates", str(saved.record["n_updates"] + 5)]
    status, output = mpiexec("-n", 1, *RNNAUDIO, "resume", training.run_dir, *end)
    assert status == 0, output


@pytest.mark.parametrize("kind", ["RnnaudioError", in_full_only("ZeroDivisionError")])
def test_an_error_of_one_rank_in_the_middle_ends_all(corpus, tmp_path, kind):
    """An error of the user's is raised on all ranks; a fault of the program shows its rank and its traceback."""
    code = f"""
import sys
from pathlib import Path
import rnnaudio.runs.frames.recipe as module
from rnnaudio.errors import RnnaudioError, run_command
from rnnaudio.parallel.mpi import MpiRanks
from rnnaudio.runs.fit import fit
from tests.support.shared_runs import RUNS

def main():
    with MpiRanks() as ranks:
        def fail(update):
            if update == 3 and not ranks.is_first:
                raise {kind}("the disk of this machine is gone")
        module.annealing = lambda model, config: fail
        fit(*RUNS["frames"], Path(sys.argv[1]), Path(sys.argv[2]), ranks=ranks)

run_command(main, "rnnaudio")
"""
    status, output = mpiexec("-n", 2, sys.executable, "-c", code, corpus, tmp_path / "run")
    if kind == "RnnaudioError":
        message = f"rnnaudio: the disk of this machine is gone (rank 1 of 2, on {os.uname().nodename})"
        assert (status, set(shown(output))) == (2, {message}), output
    else:
        assert status == 1 and "rank 1 of 2, on " in output and "ZeroDivisionError: the disk of" in output, output
