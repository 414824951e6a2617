"""Signals that ask a process to end: Ctrl-C, ``kill``, a terminal that is closed, the warning of a batch system.

A command treats all these signals like Ctrl-C: they raise KeyboardInterrupt, so that everything is cleaned up. During
training and generation, the first signal is only noted, and the work ends in good order. A second signal is not held
back: Ctrl-C raises KeyboardInterrupt, the others end the process at once.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None
NAMES = {
    signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP",
    signal.SIGUSR1: "SIGUSR1", signal.SIGUSR2: "SIGUSR2",
}  # fmt: skip
WARNINGS = {signal.SIGUSR1, signal.SIGUSR2}  # of a batch system, some time before it ends the job (sbatch --signal)
AGAIN_SECONDS = 0.02  # after which a lost KeyboardInterrupt is raised again
BATCH_SYSTEMS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID")  # variables that they set for a job

_last, _raised = 0, False
_n_contexts = 0  # within each other, in the main thread


def received() -> int:
    """Number of the last signal, such as 15 for SIGTERM, that asked the process to end; 0 if there was none.

    It is forgotten at the end of the outermost context of this module: of the command, or where no command runs, as
    in a notebook, of the training or generation that the signal ended.
    """
    return _last


def was_raised() -> bool:
    """Whether a signal has raised KeyboardInterrupt in the command, within :func:`raised`."""
    return _raised


def status() -> int:
    """Exit status of an interrupted command: 128 + number of the last signal; 130, as after Ctrl-C, if none came."""
    return 128 + (_last or signal.SIGINT)


@contextmanager
def raised() -> Iterator[None]:
    """Context in which the first signal that asks the process to end raises KeyboardInterrupt.

    The old handlers are restored at the end.
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        global _raised
        _note(number)
        _raised = True
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


@contextmanager
def kept() -> Iterator[None]:
    """Context in which a KeyboardInterrupt that Python ignores, as in a destructor, is raised again elsewhere."""
    before = sys.unraisablehook

    def again(ignored: "sys.UnraisableHookArgs") -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt):
            threading.Timer(AGAIN_SECONDS, _thread.interrupt_main).start()  # once this function is left
        else:
            before(ignored)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def at_once(name: str) -> Iterator[None]:
    """Context in which the first signal ends the process with status 128 + its number.

    One line, ``NAME: interrupted``, is written to standard error. For imports, and for the time after a command has
    ended: nothing is under way then that would have to be cleaned up, and a KeyboardInterrupt in the middle of an
    extension module can be lost or become another error.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        with suppress(OSError):
            os.write(2, f"\n{name}: interrupted\n".encode())
        os._exit(128 + number)

    with _handled(end):
        yield


class Interrupt:
    """Context manager in which the first signal that asks the process to end only sets the attribute ``reason``.

    A second signal is not held back: Ctrl-C raises KeyboardInterrupt, the others end the process. ``reason`` is a
    phrase such as ``interrupted (Ctrl-C)``, empty before a signal, and ``number`` that of the signal, 0 before. what:
    phrase that says what happens after the first signal, which is when it is printed to standard error.
    """

    def __init__(self, what: str = "stopping after this update and saving") -> None:
        self.reason, self.number, self._what = "", 0, what
        self._handlers = _handled(self._handle)

    def __enter__(self) -> "Interrupt":
        self._handlers.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._handlers.__exit__(None, None, None)

    def adopted(self, number: int) -> str:
        """Take over the signal ``number`` on which the processes of a run agree; returns the reason, "" for 0."""
        if number and number != self.number:
            self._take(number)
        return self.reason if number else ""

    def _take(self, number: int) -> None:
        _note(number)
        self.number, self.reason = number, f"interrupted ({NAMES[signal.Signals(number)]})"

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._take(number)
        again = "; press Ctrl-C again to quit at once" if number == signal.SIGINT else ""
        with suppress(OSError, RuntimeError):  # a full disk, or a signal in the middle of another line
            print(f"\n{self._what}{again}", file=sys.stderr)


def _note(number: int) -> None:
    """Remember the signal, and let the next one end the process."""
    global _last
    _last = number
    for other in _asked():
        if signal.getsignal(other) is not signal.SIG_IGN:
            signal.signal(other, signal.default_int_handler if other == signal.SIGINT else signal.SIG_DFL)


def _asked() -> list[signal.Signals]:
    """Signals that ask the process to end; a warning does so in a job of a batch system only."""
    in_a_job = any(name in os.environ for name in BATCH_SYSTEMS)
    return [number for number in NAMES if in_a_job or number not in WARNINGS]


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Let the signals call ``handler`` in the block; then the old handlers come back.

    Signals other than SIGINT stay ignored if they are, as SIGHUP is by `nohup`. Python allows handlers in the main
    thread only; in other threads nothing is done.
    """
    global _n_contexts, _last, _raised
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous: dict[signal.Signals, Handler] = {}
    _n_contexts += 1
    try:
        for number in _asked():
            if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handler)
        yield
    finally:
        try:
            for number, before in previous.items():
                if before is not None:
                    signal.signal(number, before)
        finally:  # even if a second Ctrl-C comes just now
            _n_contexts -= 1
            if _n_contexts == 0:
                _last, _raised = 0, False
