"""Running of one command in several processes on this machine; they share its threads, and prefix their output."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from rnnaudio import interrupt
from rnnaudio.errors import RnnaudioError
from rnnaudio.interrupt import Interrupt
from rnnaudio.kernels.threads import n_threads

OF_THREADS = ("RNNAUDIO_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
PROGRAM = ["-m", "rnnaudio"]
IN_A_JOB = "RNNAUDIO_JOB"  # set in these processes, which leave the final messages to their parent
TRIAL = re.compile(r"(trial-\d{4,}): ")  # at the beginning of its first line
LOOK_SECONDS = 0.2


def run_jobs(arguments: Sequence[str], n_jobs: int) -> None:
    """Run ``rnnaudio ARGUMENTS`` in ``n_jobs`` processes at once, and wait until all have ended.

    Each process gets an equal share of the threads. Lines of output begin with the name of their trial, or else with
    the number of the job. The first signal is passed on to all processes; when they have ended, KeyboardInterrupt is
    raised. RnnaudioError if a process fails; the others go on.
    """
    environment = shared(os.environ, n_jobs, n_threads())
    jobs = [Job(k + 1, arguments, environment) for k in range(n_jobs)]
    try:
        with Interrupt("ending all jobs in good order") as asked:
            _wait(jobs, asked)
    except BaseException:  # a second Ctrl-C
        for job in jobs:
            job.send(signal.SIGINT)
        raise
    finally:
        statuses = [job.end() for job in jobs]
    if asked.reason:
        raise KeyboardInterrupt("all jobs have ended: the same command goes on")
    failed = [f"job {job.number} with status {s}" for job, s in zip(jobs, statuses, strict=True) if s]
    if failed:
        raise RnnaudioError(f"{', '.join(failed)} of {n_jobs} jobs ended early: see above; the same command goes on")


def shared(environment: Mapping[str, str], n_jobs: int, threads: int) -> dict[str, str]:
    """Return the environment of each job: variables for an equal share of ``threads``, at least 1, and IN_A_JOB."""
    share = str(max(1, threads // n_jobs))
    return {**environment, **dict.fromkeys(OF_THREADS, share), IN_A_JOB: "1", "PYTHONUNBUFFERED": "1"}


def _wait(jobs: Sequence["Job"], asked: Interrupt) -> None:
    """Wait until all jobs have ended; pass the first signal on to them."""
    passed_on = False
    while any(job.is_running(LOOK_SECONDS) for job in jobs):
        if asked.reason and not passed_on:
            passed_on = True
            for job in jobs:
                job.send(interrupt.received())


class Job:
    """A process that runs ``rnnaudio ARGUMENTS``, with two threads that copy its output, each line with a prefix.

    The process has a session of its own, so that Ctrl-C on the terminal reaches it only once, through this process.

    number: number of the job, from 1; the prefix is ``job NUMBER`` until a line names a trial. environment:
    environment variables of the process.
    """

    def __init__(self, number: int, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.number, self._prefix = number, f"job {number}"
        self._process = subprocess.Popen(
            [sys.executable, *PROGRAM, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        streams = ((self._process.stdout, sys.stdout), (self._process.stderr, sys.stderr))
        self._copying = [threading.Thread(target=self._copy, args=both, daemon=True) for both in streams]
        for thread in self._copying:
            thread.start()

    def is_running(self, seconds: float) -> bool:
        """Return whether the process is still running after a wait of ``seconds`` at most."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is None

    def send(self, number: int) -> None:
        """Send the signal ``number`` to the process if it is still running."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def end(self) -> int:
        """Wait for the end of the process and of its output; return its exit status."""
        status = self._process.wait()
        for thread in self._copying:
            thread.join()
        return status

    def _copy(self, source: IO[str], target: IO[str]) -> None:
        gone = False
        for line in source:  # to its end, even if nobody reads: a full pipe would stop the process
            begun = TRIAL.match(line)
            if begun:
                self._prefix = begun[1]
            shown = line.rstrip("\n").removeprefix(f"{self._prefix}: ")
            if shown and not gone:
                try:
                    print(f"{self._prefix}: {shown}", file=target, flush=True)
                except (OSError, ValueError):
                    gone = True
