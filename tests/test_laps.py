"""Time by phase, on a clock that only the test moves."""

import threading

import pytest

from rnnaudio.laps import Laps


@pytest.fixture
def watch():
    """A clock, whose only entry is its time in seconds, and laps by it."""
    clock = [100.0]
    return clock, Laps(lambda: clock[0])


def spend(clock, seconds):
    clock[0] += seconds


def test_what_is_nested_counts_once(watch):
    clock, laps = watch
    spend(clock, 50.0)  # before and after all phases nothing counts
    with laps.phase("report"):
        spend(clock, 1.0)
        with laps.phase("pictures"):
            spend(clock, 2.0)
            with laps.phase("report"):
                spend(clock, 4.0)
        spend(clock, 8.0)
    spend(clock, 50.0)
    with laps.phase("pictures"):
        spend(clock, 16.0)
    assert laps.seconds == {"report": 13.0, "pictures": 18.0} and laps.counts == {"report": 2, "pictures": 2}
    assert laps.total() == 31.0
    assert laps.as_table("after training:") == "after training: 31.0 s\n    18.0 s  pictures\n    13.0 s  report"


def test_an_error_ends_its_phase(watch):
    clock, laps = watch
    with laps.phase("whole"), pytest.raises(ValueError, match="broke"), laps.phase("part"):
        spend(clock, 1.0)
        raise ValueError("broke")
    spend(clock, 5.0)
    assert laps.seconds == {"whole": 0.0, "part": 1.0}


def test_a_function_is_counted_and_stays_itself(watch):
    clock, laps = watch

    def work(seconds, *, result):
        """Spend seconds."""
        spend(clock, seconds)
        return result

    timed = laps.around("work", work)
    assert timed(3.0, result="done") == "done" and timed.__doc__ == "Spend seconds."
    laps.move("work", "waiting", 1.0)
    assert laps.seconds == {"work": 2.0, "waiting": 1.0} and laps.total() == 3.0


def test_other_threads_are_not_counted(watch):
    clock, laps = watch
    with laps.phase("main"):
        thread = threading.Thread(target=laps.around("other", lambda: spend(clock, 2.0)))
        thread.start()
        thread.join()
        spend(clock, 1.0)
    assert laps.seconds == {"main": 3.0}
