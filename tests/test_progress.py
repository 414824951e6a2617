"""Progress of long work: a bar on a terminal, elsewhere lines, rarely."""

import io
import sys

import pytest
from tqdm import tqdm

from rnnaudio.progress import bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


@pytest.fixture
def work(monkeypatch):
    """``work(shown, n)``: n units of work, each of which takes ten seconds."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def done(shown, n):
        for _ in range(n):
            now[0] += 10.0
            shown.update()

    return done


def test_a_log_gets_a_line_a_minute_with_the_time_left(monkeypatch, work):
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    with bar(total=60, desc="choosing") as shown:
        work(shown, 13)
        shown.set_description_str("12 of 60")
        work(shown, 6)
    assert log.getvalue().splitlines() == [
        "choosing: 10 % done, 01:00 elapsed, 09:00 left",
        "choosing: 20 % done, 02:00 elapsed, 08:00 left",
        "12 of 60: 30 % done, 03:00 elapsed, 07:00 left",
    ]


def test_what_was_done_before_is_not_counted_as_fast(monkeypatch, work):
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    work(bar(total=112, initial=100), 6)
    work(bar(desc="open end"), 6)
    assert log.getvalue() == "95 % done, 01:00 elapsed, 01:00 left\nopen end: 01:00 elapsed\n"


def test_lines_of_other_work_stay_as_they_are(monkeypatch, work):
    """Neither a line of tqdm's nor a bar inside another one makes more lines."""
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    with bar(total=10, desc="outer") as outer, bar(range(3), "inner") as inner:
        work(outer, 3)
        assert list(inner) == [0, 1, 2]
        tqdm.write("a row", file=log)
    assert log.getvalue() == "a row\n"


@pytest.mark.parametrize("stream", [None, Full()])
def test_without_a_stream_work_goes_on(monkeypatch, work, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    shown = bar(total=1000)
    work(shown, 500)
    assert shown.n == 500


def test_nothing_is_shown_of_short_work_or_if_disabled(monkeypatch, work):
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        with bar(total=1000, disable=True) as shown:
            work(shown, 500)
        assert stream.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    work(bar(total=10), 5)
    assert log.getvalue() == ""


def test_a_terminal_gets_a_bar_that_vanishes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    for _ in bar(range(4), "bar", mininterval=0.0):
        pass
    shown = terminal.getvalue()
    assert "bar: 100%" in shown and "\n" not in shown and shown.rpartition("\r")[2].strip() == ""
