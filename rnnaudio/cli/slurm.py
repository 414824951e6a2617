"""Jobs of Slurm that each run one command, and are queued again when their time is up, until it is done."""

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
    """Resources of each job: a time limit in minutes, processor cores, and a partition, or the default one."""

    minutes: int
    cores: int
    partition: str = ""

    def parameters(self) -> dict[str, Any]:
        """The parameters by submitit's names."""
        partition = {"slurm_partition": self.partition} if self.partition else {}
        return {"name": "rnnaudio", "timeout_min": self.minutes, "cpus_per_task": self.cores, **partition}


def submit(arguments: Sequence[str], out: Path, n_jobs: int, request: Request, cluster: str = "slurm") -> list[Any]:
    """Submit jobs that each run ``rnnaudio ARGUMENTS`` in the current folder; returns them, as submitit has them.

    out: folder in whose folder ``slurm`` submitit keeps what it needs, and the output of the jobs. cluster: ``local``
    starts processes here in place of jobs, for tests. RnnaudioError if there is no submitit, or no Slurm.
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
    """Run a command in a process of its own, as the work of a job; arguments: those of ``rnnaudio``.

    Slurm's warning reaches every process of the job. This one takes it, and asks the command once, by SIGTERM, to save
    and to end; the command ignores the warning itself.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run the command; returns its exit status, 0. RuntimeError for another."""
        command = [sys.executable, *PROGRAM, *self.arguments]
        self._process = subprocess.Popen(command, preexec_fn=_ignore_the_warning)
        if status := self._process.wait():
            raise RuntimeError(f"{command} ended with status {status}: see the output of the job")
        return 0

    def checkpoint(self) -> Any:
        """Let the command save and end; returns what submitit puts into the queue in place of this job."""
        import submitit

        if self._process is not None:
            self._process.terminate()
            _wait_for_end(self._process.pid, SAVING_SECONDS)
        return submitit.helpers.DelayedSubmission(Worker(self.arguments))

    def __getstate__(self) -> dict[str, Any]:
        return {"arguments": self.arguments, "_process": None}


def _wait_for_end(pid: int, seconds: float) -> None:
    """Wait until a child has ended, at most so long, within a handler of a signal that came while it was waited for.

    The methods of Popen would wait for each other's lock.
    """
    end = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(LOOK_SECONDS)


def _ignore_the_warning() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
