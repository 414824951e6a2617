"""Does the target have the relation to the input that the strategy promises? Measured on the arrays themselves.

The 2016 "next-input predictor" was trained on batches whose target was the current input (defect 1); its author looked
at the batches and they "seemed fine". This check names the shift that the arrays show.
"""

from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.objectives import Strategy

MAX_SHIFT = 3


class BatchCheck(NamedTuple):
    """shifts: every k in -3..3 for which target_t = frame_{t+k} exactly, wherever both exist; none if the input is
    not the frames."""

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


def measured_shifts(frames: np.ndarray, target: np.ndarray) -> tuple[int, ...]:
    """Every shift k, |k| <= 3, with target[t] == frames[t + k] wherever both exist: arrays (time, batch, n)."""
    shifts = []
    for k in range(-MAX_SHIFT, MAX_SHIFT + 1):
        times = [t for t in range(len(target)) if 0 <= t + k < len(frames)]
        if times and all(np.array_equal(target[t], frames[t + k]) for t in times):
            shifts.append(k)
    return tuple(shifts)


def check_batch(strategy: Strategy, batch: Any) -> BatchCheck:
    """Run a batch through the strategy's compiled graph and measure the shift between what comes out.

    RnnaudioError if several shifts fit, as in digital silence: such a batch proves nothing.
    """
    variables = strategy.variables()
    x, target = engine.function(variables, list(strategy.split(variables[0])), mode="python")(batch.frames)
    shifts = measured_shifts(batch.frames, target) if np.array_equal(x, batch.frames[: len(x)]) else ()
    check = BatchCheck(strategy.name, strategy.shift, shifts)
    if len(check.shifts) > 1:
        raise RnnaudioError(f"{check}: the batch repeats itself (silence?) and proves nothing; choose another")
    return check
