"""Clean termination of a run on Ctrl-C, or when the system asks it to end."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None
# Ctrl-C; a scheduler that takes the machine back, or `kill`; a terminal that is closed.
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


class Interrupt:
    """Context manager in which the first signal of NAMES only sets ``reason``; a second one ends the process at once.

    ``reason`` is a phrase for the user, empty before a signal. what: what follows the first one, for the user. SIGTERM
    and SIGHUP stay ignored if they are, as by `nohup`. Python allows signal handlers in the main thread only; in other
    threads the context manager has no effect.
    """

    def __init__(self, what: str = "stopping after this update and saving") -> None:
        self.reason, self._what = "", what
        self._previous: dict[int, Handler] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
                if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            if handler is not None:
                signal.signal(number, handler)

    def _handle(self, signal_number: int, frame: FrameType | None) -> None:
        self.reason = f"interrupted ({NAMES[signal.Signals(signal_number)]})"
        again = "; press Ctrl-C again to quit at once" if signal_number == signal.SIGINT else ""
        print(f"\n{self._what}{again}", file=sys.stderr)
        for number in self._previous:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
