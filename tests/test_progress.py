"""Progress of long work: a bar on a terminal, elsewhere lines, rarely."""

import io
import sys

import pytest

from rnnaudio import progress
from rnnaudio.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by ten seconds with each unit of work."""
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])

    def work(bar, n):
        for _ in range(n):
            now[0] += 10.0
            bar.update()

    return work


def test_a_log_gets_a_line_a_minute_with_the_time_left(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    with Progress(total=60, desc="choosing") as bar:
        clock(bar, 30)
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue() and 4 <= len(lines) <= 5
    assert lines[0] == "choosing: 10 % done, 01:00 elapsed, 09:00 left"
    assert all(line.startswith("choosing: ") and line.endswith(" left") for line in lines)


def test_short_work_and_what_is_not_shown_leave_no_line(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    with Progress(total=10, desc="short") as bar:
        clock(bar, 5)
    with Progress(total=1000, disable=True) as bar:
        clock(bar, 500)
    assert list(Progress(range(3))) == [0, 1, 2] and log.getvalue() == ""


def test_a_terminal_gets_a_bar_that_vanishes(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress(total=4, desc="bar") as bar:
        clock(bar, 4)
    shown = terminal.getvalue()
    assert "bar: 100%" in shown and "\n" not in shown and shown.rpartition("\r")[2].strip() == ""
    assert progress.LINE_SECONDS == 60.0
