"""Single keys from a terminal: each as it is typed, arrows by name, and the terminal as before."""

import os
import sys
import termios

import pytest

from rnnaudio.cli import keys as module
from rnnaudio.cli.keys import TerminalKeys


@pytest.fixture
def terminal(monkeypatch):
    """The descriptor of whoever types, with the terminal as standard input of this process."""
    typist, slave = os.openpty()
    with open(slave, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(module, "_is_in_front", lambda descriptor: True)
        yield typist
    os.close(typist)


def test_keys_come_without_enter_and_arrows_count_as_signs(terminal):
    with TerminalKeys() as keys:
        assert keys.are_read and list(keys.pressed()) == []
        os.write(terminal, b"q")
        assert keys.pressed(wait_seconds=5.0) == ["q"]
        os.write(terminal, b"+=-\x1b[A \x1b[Bx")
        assert keys.pressed(wait_seconds=5.0) == ["+", "+", "-", "+", " ", "-", "x"]
        assert keys.pressed() == []


def test_the_terminal_is_as_before(terminal):
    before = termios.tcgetattr(sys.stdin)
    with pytest.raises(KeyboardInterrupt), TerminalKeys():
        within = termios.tcgetattr(sys.stdin)
        assert not within[3] & (termios.ICANON | termios.ECHO) and within[3] & termios.ISIG  # Ctrl-C works
        raise KeyboardInterrupt
    assert termios.tcgetattr(sys.stdin) == before


def test_a_shell_that_was_in_between_changes_nothing(terminal, monkeypatch):
    """After Ctrl-Z and `bg` no key is read, for that would stop it; after `fg` they come as before."""
    before = termios.tcgetattr(sys.stdin)
    with TerminalKeys() as keys:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
        monkeypatch.setattr(module, "_is_in_front", lambda descriptor: False)
        os.write(terminal, b"+")
        assert keys.pressed(0.01) == [] and termios.tcgetattr(sys.stdin) == before
        monkeypatch.setattr(module, "_is_in_front", lambda descriptor: True)
        keys.pressed()
        os.write(terminal, b"q")
        assert "q" in keys.pressed(wait_seconds=5.0)


def test_a_pipe_has_no_keys(monkeypatch):
    reader, writer = os.pipe()
    os.write(writer, b"q")
    with open(reader, encoding="utf-8") as stdin, TerminalKeys() as nothing:
        monkeypatch.setattr(sys, "stdin", stdin)
        with TerminalKeys() as keys:
            assert not keys.are_read and keys.pressed() == [] and keys.pressed(0.01) == []
        assert nothing.pressed() == []
    os.close(writer)


def test_a_process_in_the_background_reads_no_keys(terminal, monkeypatch):
    """It would be stopped; a terminal that is not its own counts as such."""
    monkeypatch.undo()
    with open(os.dup(terminal), encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert not TerminalKeys().are_read
    monkeypatch.setattr(sys, "stdin", None)
    assert not TerminalKeys().are_read


def test_a_terminal_that_closes_has_no_more_keys(terminal, monkeypatch):
    with TerminalKeys() as keys:
        os.write(terminal, b"\x04")
        monkeypatch.setattr(os, "read", lambda descriptor, n: b"")
        assert keys.pressed(1.0) == [] and not keys.are_read
