"""Time limit for choosing the sampling settings of a run, and a plan of the trials that fit into it.

The choice and the report that follows it together take at most a third of the training time.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")

SHARE_OF_TRAINING, LEAST_BUDGET_SECONDS = 1 / 3, 20.0
SHARE_OF_REPORT, MOST_REPORT_SECONDS = 1 / 4, 30.0  # what is left of the time for the report
SECONDS, LEAST_SECONDS = 60.0, 8.0  # of each continuation
LEAST_PRIMES = 3
PLANNED_SHARE = 0.85  # of the time: some settings take longer than others, and the last is to fit, too
TRIAL_SECONDS, AMPLE_SECONDS = 2.0, 60.0  # of a trial's continuations; of time in which all primes can be tried


def budget_seconds(asked_minutes: float, trained_seconds: float, most_minutes: float) -> float:
    """Compute the seconds for choosing sampling settings: a third of the training time, less the time of the report.

    The training time is ``trained_seconds``, counted as 1 minute at least, but never more than ``asked_minutes``.
    ``most_minutes`` limits choice and report together. The report gets a quarter of their time, 30 s at most.
    """
    share = SHARE_OF_TRAINING * min(
        60.0 * asked_minutes, max(trained_seconds, LEAST_BUDGET_SECONDS / SHARE_OF_TRAINING)
    )
    together = min(share, 60.0 * most_minutes)
    return together - min(SHARE_OF_REPORT * together, MOST_REPORT_SECONDS)


class Plan(NamedTuple):
    """Number of settings to try (0: no time), number of primes to continue with each, seconds of each continuation."""

    n_settings: int
    n_primes: int
    seconds: float


def affordable(seconds_left: float, cost: float, n_settings: int, n_primes: int) -> Plan:
    """Plan the longest continuations for which the time suffices, 60 s at most.

    If there is no time for continuations of 8 s, fewer primes are continued, but at least 3 (or all, if there are
    fewer). If the time is still too short, fewer settings are tried, or none if there is no time for two, as one
    leaves no choice.

    cost: seconds of work for each second of one continuation. n_settings, n_primes: how many there are to be tried.
    """
    sound = seconds_left / cost  # seconds of sound, of all continuations together
    fewest, each = min(LEAST_PRIMES, n_primes), sound / n_settings
    if each >= n_primes * LEAST_SECONDS:
        return Plan(n_settings, n_primes, round(min(each / n_primes, SECONDS), 1))
    shortest = min(LEAST_SECONDS, SECONDS)
    if each >= fewest * shortest:
        return Plan(n_settings, min(n_primes, int(each / shortest)), shortest)
    n_affordable = int(max(0.0, sound) / (fewest * shortest))
    return Plan(min(n_affordable, n_settings), fewest, shortest) if n_affordable > 1 else Plan(0, fewest, shortest)


def spread(items: Sequence[Item], n: int) -> list[Item]:
    """Select ``n`` of the items, evenly spaced; if n is 2 or more, the first and the last are among them."""
    if n >= len(items):
        return list(items)
    return [items[round(k * (len(items) - 1) / max(1, n - 1))] for k in range(n)]


class Budget:
    """A limit on time, in seconds, which starts when the object is made; infinity: no limit."""

    def __init__(self, seconds: float):
        self._ends, self._longest = time.monotonic() + seconds, 0.0

    @property
    def left(self) -> float:
        """Seconds left; negative if the limit is exceeded."""
        return self._ends - time.monotonic()

    def while_it_lasts(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield the items in order; stop when the time left is less than the longest time that an item took.

        The time of an item is counted from its yield until the caller asks for the next.
        """
        for item in items:
            if self._longest > self.left:
                return
            began = time.monotonic()
            yield item
            self._longest = max(self._longest, time.monotonic() - began)
