"""Schedules of values that change during training: learning rates, and standard deviations of noise.

A schedule is a pure function of the number of updates already made (0 at the first update), so it has no state to save
in a checkpoint:

    rate = WarmupCosine(2e-3, n_warmup=100, n_updates=1000)
    for update in range(1000):
        step(batch, learning_rate=rate(update))

All schedules raise RnnaudioError for settings outside the stated ranges and for a negative number of updates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rnnaudio.errors import RnnaudioError


@dataclass(frozen=True)
class Constant:
    """The same value at every update."""

    value: float

    def __call__(self, update: int) -> float:
        _require_not_negative(update)
        return self.value


@dataclass(frozen=True)
class WarmupCosine:
    """Linear rise to ``value`` over n_warmup updates, then half a cosine down to final_fraction * value.

    With s = min(update + 1, n_updates) and q = (s - n_warmup) / (n_updates - n_warmup), the result is

        value * s / n_warmup                                                     while s <= n_warmup
        value * (final_fraction + (1 - final_fraction) * (1 + cos(pi q)) / 2)    afterwards

    Update n_warmup - 1 thus has the full value, and update n_updates - 1 and all later updates have the final value
    (Loshchilov and Hutter 2017, without restarts). 0 <= n_warmup < n_updates; 0 <= final_fraction <= 1.
    """

    value: float
    n_warmup: int
    n_updates: int
    final_fraction: float = 0.03

    def __post_init__(self) -> None:
        if not 0 <= self.n_warmup < self.n_updates:
            raise RnnaudioError(
                f"n_warmup is {self.n_warmup} and n_updates {self.n_updates}: "
                "n_warmup must be 0 or more, and less than n_updates"
            )
        if not 0.0 <= self.final_fraction <= 1.0:
            raise RnnaudioError(f"final_fraction is {self.final_fraction}: it must lie between 0 and 1")

    def __call__(self, update: int) -> float:
        _require_not_negative(update)
        step = min(update + 1, self.n_updates)
        if step <= self.n_warmup:
            return self.value * step / self.n_warmup
        progress = (step - self.n_warmup) / (self.n_updates - self.n_warmup)
        cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
        return self.value * (self.final_fraction + (1.0 - self.final_fraction) * cosine)


@dataclass(frozen=True)
class ExponentialDecay:
    """Stepwise exponential decay: value * decay^k, k = update // every.

    ``every`` is a number of updates, at least 1, and 0 < decay <= 1.
    """

    value: float
    decay: float
    every: int

    def __post_init__(self) -> None:
        if not 0.0 < self.decay <= 1.0:
            raise RnnaudioError(f"decay is {self.decay}: it must be more than 0 and at most 1")
        if self.every < 1:
            raise RnnaudioError(f"every is {self.every}: it must be at least 1 update")

    def __call__(self, update: int) -> float:
        _require_not_negative(update)
        return self.value * self.decay ** (update // self.every)


@dataclass(frozen=True)
class LinearAnnealing:
    """Linear change over n_updates >= 1 updates, then constant: start + (end - start) * min(update / n_updates, 1)."""

    start: float
    end: float
    n_updates: int

    def __post_init__(self) -> None:
        if self.n_updates < 1:
            raise RnnaudioError(f"n_updates is {self.n_updates}: it must be at least 1 update")

    def __call__(self, update: int) -> float:
        _require_not_negative(update)
        progress = min(update / self.n_updates, 1.0)
        return (1.0 - progress) * self.start + progress * self.end


def _require_not_negative(update: int) -> None:
    if update < 0:
        raise RnnaudioError(f"update is {update}: updates count from 0")
