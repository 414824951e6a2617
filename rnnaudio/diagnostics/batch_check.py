"""Check, on the arrays themselves, that input and target are related as the strategy specifies.

The 2016 "next-input predictor" was trained on batches whose target was the current input (defect 1 of
:mod:`rnnaudio.runs.defects`), although its author had inspected the batches and found that they "seemed fine". This
check reports the shift found in the arrays.
"""

from typing import NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Frames
from rnnaudio.diagnostics.excerpt import HasFrames
from rnnaudio.errors import RnnaudioError
from rnnaudio.objectives import Strategy

MAX_SHIFT = 3


class BatchCheck(NamedTuple):
    """Result of :func:`check_batch`; passed if ``expected`` is the only shift found.

    strategy, expected
        the name of the strategy, and the shift in frames that it specifies.
    shifts
        every k in -3..3 for which target_t equals frame_{t+k} exactly at all t where both exist; empty if there is no
        such k, or if the model's input differs from the batch's frames.
    """

    strategy: str
    expected: int
    shifts: tuple[int, ...]

    @property
    def passed(self) -> bool:
        return self.shifts == (self.expected,)

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        found = " and ".join(f"{k:+d}" for k in self.shifts) or "none"
        expected = f"{self.strategy} wants target = input shifted by {self.expected:+d}"
        return f"batch check {verdict}: {expected}; found {found}"


def measured_shifts(frames: Frames, target: Frames) -> tuple[int, ...]:
    """Find all shifts k, |k| <= 3, with target[t] == frames[t + k] for all t where both exist.

    frames, target: (time, batch, n), not necessarily equally long.
    """
    shifts = []
    for k in range(-MAX_SHIFT, MAX_SHIFT + 1):
        times = [t for t in range(len(target)) if 0 <= t + k < len(frames)]
        if times and all(np.array_equal(target[t], frames[t + k]) for t in times):
            shifts.append(k)
    return tuple(shifts)


def check_batch(strategy: Strategy, batch: HasFrames) -> BatchCheck:
    """Check the target that the strategy's compiled graph makes from a batch, frames (time + 1, batch, n).

    Returns the shifts found in the arrays, next to the one expected. RnnaudioError if several shifts match, as in
    digital silence, because the batch is then inconclusive.
    """
    variables = strategy.variables()
    x, target = engine.function(variables, list(strategy.split(variables[0])), mode="python")(batch.frames)
    shifts = measured_shifts(batch.frames, target) if np.array_equal(x, batch.frames[: len(x)]) else ()
    check = BatchCheck(strategy.name, strategy.shift, shifts)
    if len(check.shifts) > 1:
        raise RnnaudioError(f"{check}: the batch repeats itself (silence?) and is inconclusive; choose another")
    return check
