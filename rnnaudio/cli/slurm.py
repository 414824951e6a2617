"""Slurm jobs that each run one command, and that are queued again when their time is up, until the command is done."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnaudio.errors import RnnaudioError

SAVING_SECONDS = 80.0  # Slurm warns 90 s before it ends a job
LOOK_SECONDS = 0.1
MOST_TIMES = 10_000  # that a job is put into the queue again
FOLDER = "slurm"
PROGRAM = ["-m", "rnnaudio"]


class Request(NamedTuple):
    """Resources of each job: time limit in minutes, number of processor cores, and partition ("": the default)."""

    minutes: int
    cores: int
    partition: str = ""

    def parameters(self) -> dict[str, Any]:
        """Return the resources by submitit's names."""
        partition = {"slurm_partition": self.partition} if self.partition else {}
        return {"name": "rnnaudio", "timeout_min": self.minutes, "cpus_per_task": self.cores, **partition}


def submit(arguments: Sequence[str], out: Path, n_jobs: int, request: Request, cluster: str = "slurm") -> list[Any]:
    """Submit jobs that each run ``rnnaudio ARGUMENTS`` in the current folder; return submitit's objects for them.

    out: folder of the sweep; submitit keeps its files and the output of the jobs in the folder ``slurm`` in it.
    cluster: ``local`` starts processes on this machine instead of Slurm jobs, for tests. RnnaudioError if submitit is
    not installed, or if no job can be submitted.
    """
    if importlib.util.find_spec("submitit") is None:
        raise RnnaudioError("--slurm needs submitit, which is not installed: pip install 'rnnaudio[slurm]'")
    import submitit

    try:
        executor = submitit.AutoExecutor(folder=out / FOLDER, cluster=cluster, slurm_max_num_timeout=MOST_TIMES)
        executor.update_parameters(**request.parameters())
        with executor.batch():
            jobs = [executor.submit(Worker(list(arguments))) for _ in range(n_jobs)]
    except (RuntimeError, OSError, subprocess.CalledProcessError, submitit.core.utils.FailedJobError) as error:
        why = str(error).strip().partition("\n")[0]
        raise RnnaudioError(
            f"--slurm: no job could be submitted ({why}); is this a machine of the cluster?"
        ) from error
    return jobs


class Worker:
    """The work of a job: run ``rnnaudio ARGUMENTS`` in a process of its own.

    Slurm sends its warning, SIGUSR2, to every process of the job. The command ignores it; this process handles it, and
    sends SIGTERM once, so that the command saves and ends.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run the command and return its exit status, 0; RuntimeError for any other status."""
        command = [sys.executable, *PROGRAM, *self.arguments]
        self._process = subprocess.Popen(command, preexec_fn=_ignore_the_warning)
        if status := self._process.wait():
            raise RuntimeError(f"{command} ended with status {status}: see the output of the job")
        return 0

    def checkpoint(self) -> Any:
        """Make the command save and end; return the submission that submitit queues in place of this job."""
        import submitit

        if self._process is not None:
            self._process.terminate()
            _wait_for_end(self._process.pid, SAVING_SECONDS)
        return submitit.helpers.DelayedSubmission(Worker(self.arguments))

    def __getstate__(self) -> dict[str, Any]:
        return {"arguments": self.arguments, "_process": None}


def _wait_for_end(pid: int, seconds: float) -> None:
    """Wait until the child ``pid`` has ended, ``seconds`` at most.

    For a signal handler that has interrupted ``Popen.wait``: the methods of Popen would wait for each other's lock.
    """
    end = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(LOOK_SECONDS)


def _ignore_the_warning() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
