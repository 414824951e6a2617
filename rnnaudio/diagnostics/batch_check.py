"""Does the target have the relation to the input that the strategy promises? Measured on the arrays themselves.

The 2016 "next-input predictor" was trained on batches whose target was the current input (defect 1); its author looked
at the batches and they "seemed fine". This check names the shift that the arrays show.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError

MAX_SHIFT = 3


class Strategy(Protocol):
    """The part of :class:`rnnaudio.training.Strategy` that is put to the test."""

    @property
    def name(self) -> str: ...

    @property
    def shift(self) -> int: ...

    def variables(self) -> list[Any]: ...

    def split(self, frames: Any) -> tuple[Any, Any]: ...


class BatchCheck(NamedTuple):
    """shifts: every k in -3..3 for which target_t = input_{t+k} holds exactly wherever both exist."""

    strategy: str
    expected: int
    shifts: tuple[int, ...]

    @property
    def passed(self) -> bool:
        return self.shifts == (self.expected,)

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        found = " and ".join(f"{k:+d}" for k in self.shifts) or "none"
        wanted = f"{self.strategy} wants target = input shifted by {self.expected:+d}"
        return f"batch check {verdict}: {wanted}; found {found}"


def measured_shifts(x: np.ndarray, target: np.ndarray) -> tuple[int, ...]:
    """Every shift k, |k| <= 3, with target[t] == x[t + k] for all t where both exist, (time, batch, n) arrays."""
    n = len(x)
    limit = min(MAX_SHIFT, n - 1)
    return tuple(
        k
        for k in range(-limit, limit + 1)
        if np.array_equal(target[max(0, -k) : n - max(0, k)], x[max(0, k) : n - max(0, -k)])
    )


def check_batch(strategy: Strategy, batch: Any) -> BatchCheck:
    """Run a batch through the strategy's compiled graph and measure the shift between what comes out.

    RnnaudioError if several shifts fit, as in digital silence: such a batch proves nothing.
    """
    variables = strategy.variables()
    split = engine.function(variables, list(strategy.split(variables[0])), mode="python")
    check = BatchCheck(strategy.name, strategy.shift, measured_shifts(*split(batch.frames)))
    if len(check.shifts) > 1:
        raise RnnaudioError(f"{check}: the batch repeats itself (silence?) and proves nothing; choose another")
    return check
