"""Single keys from a terminal, without Enter."""

import os
import select
import sys
import termios
import time
import tty
from typing import Any

NAMES = {"\x1b[A": "+", "\x1b[B": "-", "\x1bOA": "+", "\x1bOB": "-", "=": "+"}  # arrows; = is + without shift


class TerminalKeys:
    """Keys typed on the terminal that is standard input; a context manager, within which no Enter is needed.

    Afterwards the terminal is as before. Ctrl-C and Ctrl-Z work as always. Arrows up and down count as + and -.
    ``are_read``: False where standard input is no terminal, or another process has it: then no key ever comes.
    """

    def __init__(self) -> None:
        self.are_read = sys.stdin is not None and sys.stdin.isatty() and _is_in_front(sys.stdin.fileno())
        self._before: list[Any] = []

    def __enter__(self) -> "TerminalKeys":
        if self.are_read:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin, termios.TCSANOW)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, self._before)

    def pressed(self, wait_seconds: float = 0.0) -> list[str]:
        """Return the keys typed since the last call, in order; waits for one, ``wait_seconds`` at most."""
        if not (self.are_read and self._has_terminal()):
            time.sleep(wait_seconds)
            return []
        if not select.select([sys.stdin], [], [], wait_seconds)[0]:
            return []
        text = os.read(sys.stdin.fileno(), 1024).decode(errors="ignore")
        self.are_read = bool(text)  # else the terminal is gone
        for typed, key in NAMES.items():
            text = text.replace(typed, key)
        return list(text)

    def _has_terminal(self) -> bool:
        """Whether keys can be read now; a shell that was in between, after Ctrl-Z, may have set the terminal back."""
        if not _is_in_front(sys.stdin.fileno()):
            return False
        if termios.tcgetattr(sys.stdin)[3] & termios.ICANON:
            tty.setcbreak(sys.stdin, termios.TCSANOW)
        return True


def _is_in_front(descriptor: int) -> bool:
    """Whether this process is in the foreground of its terminal; in the background reading it would stop it."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
