"""Counts of what held, part by part."""

import time
from typing import Any

MOST_SHOWN = 20


class Count:
    """Count of the cases of a part that were tried and held; prints the ones that did not as they come."""

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
        """The figures of the part, as JSON values."""
        seconds = round(time.monotonic() - self._started, 1)
        held, shown = self.n - len(self.failures), self.failures[:MOST_SHOWN]
        return {"n": self.n, "held": held, "seconds": seconds, "failures": shown, **self.figures}
