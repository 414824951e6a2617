"""Reading of single keys from a terminal, without Enter."""

import os
import select
import sys
import termios
import time
import tty
from typing import Any

NAMES = {"\x1b[A": "+", "\x1b[B": "-", "\x1bOA": "+", "\x1bOB": "-", "=": "+"}  # arrows; = is + without shift


class TerminalKeys:
    """Context manager that reads single keys from the terminal on standard input, without Enter.

    Afterwards the terminal is as before. Ctrl-C and Ctrl-Z work as always. The arrows up and down count as + and -.
    ``are_read`` is False, and no key is ever returned, if standard input is not a terminal, or if this process is in
    the background.
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
        """Return the keys typed since the last call, in order; wait ``wait_seconds`` at most for the first one."""
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
        """Return whether keys can be read now, and turn off line input again if a shell has restored it.

        A shell does so when Ctrl-Z has stopped this process.
        """
        if not _is_in_front(sys.stdin.fileno()):
            return False
        if termios.tcgetattr(sys.stdin)[3] & termios.ICANON:
            tty.setcbreak(sys.stdin, termios.TCSANOW)
        return True


def _is_in_front(descriptor: int) -> bool:
    """Return whether this process is in the foreground of its terminal; a read in the background would stop it."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
