"""Counts of the cases that held, for each part."""

import time
from typing import Any

MOST_SHOWN = 20


class Count:
    """Count of the cases of a part that were tried, and of those that held; failures are printed as they occur."""

    def __init__(self, name: str):
        self.name, self.n, self.failures = name, 0, list[str]()
        self.figures: dict[str, Any] = {}
        self._started = time.monotonic()

    def add(self, case: str, fault: str) -> None:
        """Count a case; ``fault``: what is wrong with it, "" if it held."""
        self.n += 1
        if fault:
            self.failures.append(f"{case}: {fault}")
            print(f"{self.name} {self.n}: {case}: {fault}", flush=True)
        elif self.n % 10 == 0:
            print(f"{self.name}: {self.in_short()}", flush=True)

    def in_short(self) -> str:
        return f"{self.n - len(self.failures)} of {self.n} held"

    def as_record(self) -> dict[str, Any]:
        """The figures of the part, as JSON values, with at most 20 of its failures."""
        seconds = round(time.monotonic() - self._started, 1)
        held, shown = self.n - len(self.failures), self.failures[:MOST_SHOWN]
        return {"n": self.n, "held": held, "seconds": seconds, "failures": shown, **self.figures}
