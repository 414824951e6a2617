"""Signals that ask a process to end: Ctrl-C, ``kill``, a closed terminal, the warning of a batch system.

A command treats all these signals like Ctrl-C: they raise KeyboardInterrupt, so that everything is cleaned up. During
training and generation the first signal does not raise: the work ends after its current step, and the results are
saved. A second signal is not held back: Ctrl-C raises KeyboardInterrupt, the others end the process at once.
"""

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
_n_contexts = 0  # nesting depth of the contexts of _handled in the main thread


def received() -> int:
    """Return the number of the last signal that asked the process to end, such as 15 for SIGTERM; 0 if there was none.

    The number is reset to 0 when the outermost context manager of this module ends. That is at the end of the command
    or, without a command (in a notebook), at the end of the training or generation that the signal ended.
    """
    return _last


def was_raised() -> bool:
    """Return True if a signal has raised KeyboardInterrupt within :func:`raised` since the command began."""
    return _raised


def status() -> int:
    """Return the exit status of an interrupted command: 128 + number of the last signal, or 130 if there was none."""
    return 128 + (_last or signal.SIGINT)


@contextmanager
def raised() -> Iterator[None]:
    """Context manager in which the first signal that asks the process to end raises KeyboardInterrupt.

    The old handlers are restored at the end.
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        global _raised
        _note(number)
        _raised = True
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


def _interrupt_main() -> None:
    """Send SIGINT to the main thread, so that a system call in which it waits ends, too."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def kept() -> Iterator[None]:
    """Context manager in which a KeyboardInterrupt that Python ignores, as in a destructor, is not lost.

    It is raised again in the main thread, .02 s later.
    """
    before = sys.unraisablehook

    def again(ignored: "sys.UnraisableHookArgs") -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt):
            threading.Timer(AGAIN_SECONDS, _interrupt_main).start()  # once this function is left
        else:
            before(ignored)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def at_once(name: str) -> Iterator[None]:
    """Context manager in which the first signal ends the process at once, with status 128 + number of the signal.

    One line, ``NAME: interrupted``, is written to standard error. Use it during imports and after the end of a
    command: nothing has to be cleaned up then, and a KeyboardInterrupt in the middle of an extension module can be
    lost or become another error.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        with suppress(OSError):
            os.write(2, f"\n{name}: interrupted\n".encode())
        os._exit(128 + number)

    with _handled(end):
        yield


class Interrupt:
    """Context manager in which the first signal that asks the process to end only sets ``reason`` and ``number``.

    ``reason`` is a phrase such as ``interrupted (Ctrl-C)``, and ``number`` is the number of the signal; before any
    signal they are "" and 0. A second signal is not held back: Ctrl-C raises KeyboardInterrupt, the others end the
    process.

    what: a phrase on what the process does next, printed to standard error at the first signal.
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
        """Treat ``number``, the signal on which the processes of a run agree, as received; return the reason.

        The reason is "" for the number 0, no signal.
        """
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
    """Store the number of a signal, and restore the default handlers, so that the next signal ends the process."""
    global _last
    _last = number
    for other in _asked():
        if signal.getsignal(other) is not signal.SIG_IGN:
            signal.signal(other, signal.default_int_handler if other == signal.SIGINT else signal.SIG_DFL)


def _asked() -> list[signal.Signals]:
    """Return the signals that ask the process to end; those of WARNINGS only in a job of a batch system."""
    in_a_job = any(name in os.environ for name in BATCH_SYSTEMS)
    return [number for number in NAMES if in_a_job or number not in WARNINGS]


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Context manager in which ``handler`` handles the signals of :func:`_asked`; the old handlers are restored.

    Signals other than SIGINT that are ignored, as SIGHUP is under `nohup`, stay ignored. Python allows handlers in the
    main thread only; in other threads nothing is done.
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
