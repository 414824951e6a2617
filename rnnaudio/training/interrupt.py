"""Clean termination of a run on Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None


class Interrupt:
    """Context manager in which the first Ctrl-C only sets ``reason``; a second one raises KeyboardInterrupt at once.

    ``reason`` is a phrase for the user, empty before a Ctrl-C. what: what follows the first one, for the user. Python
    allows signal handlers in the main thread only; in other threads the context manager has no effect.
    """

    def __init__(self, what: str = "stopping after this update and saving") -> None:
        self.reason, self._what = "", what
        self._previous: Handler = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, signal_number: int, frame: FrameType | None) -> None:
        self.reason = "interrupted (Ctrl-C)"
        print(f"\n{self._what}; press Ctrl-C again to quit at once", file=sys.stderr)
        signal.signal(signal.SIGINT, signal.default_int_handler)
