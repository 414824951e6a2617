"""Ctrl-C that ends a run cleanly."""

import signal
import sys
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """Within the block the first Ctrl-C only sets ``reason``; a second one raises KeyboardInterrupt at once.

    Python allows handlers in the main thread only; elsewhere the block changes nothing.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._previous: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, signal_number: int, frame: FrameType | None) -> None:
        self.reason = "interrupted (Ctrl-C)"
        print("\nstopping after this update and saving; press Ctrl-C again to end at once", file=sys.stderr)
        signal.signal(signal.SIGINT, signal.default_int_handler)
