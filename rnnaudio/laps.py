"""Measurement of the time that a program spends in named phases; nested phases are not counted twice."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Laps:
    """Timer of named phases: :attr:`seconds` holds the time of each, :attr:`counts` how often each was entered.

    Time in a nested phase counts for the inner phase only, so that all phases add up to the time within the outermost
    ones. Only phases entered in the thread that made the object are timed; in other threads they have no effect.

    clock: function that returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self._clock, self._thread = clock, threading.get_ident()
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Context manager that counts the time within the block, without that of nested phases, as phase ``name``."""
        if threading.get_ident() != self._thread:
            yield
            return
        self._turn()
        self._open.append(name)
        self.counts[name] = self.counts.get(name, 0) + 1
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls ``function`` and counts the time of each call as phase ``name``."""

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.phase(name):
                return function(*arguments, **options)

        return timed

    def move(self, source: str, target: str, seconds: float) -> None:
        """Move ``seconds`` from the time of phase ``source`` to that of phase ``target``."""
        self.seconds[source] = self.seconds.get(source, 0.0) - seconds
        self.seconds[target] = self.seconds.get(target, 0.0) + seconds

    def total(self) -> float:
        """Return the sum of the seconds of all phases."""
        return sum(self.seconds.values())

    def as_table(self, heading: str) -> str:
        """Format the phases as lines, longest first, below a line with the heading and the total, all in seconds."""
        rows = sorted(self.seconds.items(), key=lambda row: -row[1])
        return "\n".join([f"{heading} {self.total():.1f} s", *(f"{s:8.1f} s  {name}" for name, s in rows)])

    def _turn(self) -> None:
        """Add the time since the previous call to the innermost open phase."""
        now = self._clock()
        if self._open:
            innermost = self._open[-1]
            self.seconds[innermost] = self.seconds.get(innermost, 0.0) + now - self._since
        self._since = now
