"""Functions shared by the diagnostics: an excerpt of a batch, a copy of a model, a compile mode, and rms."""

import copy
from types import SimpleNamespace
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio import engine
from rnnaudio.audio.arrays import Array, Flags, Frames
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective

MOST_STEPS = 64
MOST_ITEMS = 16


class HasFrames(Protocol):
    """Interface of a batch with ``frames`` (time + 1, batch, n) and ``resets`` (batch,), both arrays.

    ``resets`` is True for sequences that start from the initial state instead of the previous batch's final state.
    """

    @property
    def frames(self) -> Frames: ...

    @property
    def resets(self) -> Flags: ...


class FrameBatches(Protocol):
    """Interface of a source of batches of frames, such as :class:`rnnaudio.data.RandomWindows`."""

    @property
    def batches_per_epoch(self) -> int: ...

    @property
    def carries_state(self) -> bool: ...

    def batch(self, index: int) -> HasFrames: ...


def excerpt(batch: HasFrames, objective: Objective) -> HasFrames:
    """Cut a batch to at most 16 sequences and 64 steps, the first ones of each.

    If the objective has a burn-in, steps that do not contribute to the cost, it is kept in addition to the 64 steps.
    The result has ``frames`` (one frame more than steps), ``resets`` and the fields of the objective.
    """
    burn_in = max(0, getattr(objective, "first_scored", 0))
    n_cut = max(0, len(batch.frames) - (burn_in + MOST_STEPS + 1))

    def cut(values: ArrayLike) -> Array:
        array = np.asarray(values)
        return array[:MOST_ITEMS] if array.ndim == 1 else array[: len(array) - n_cut, :MOST_ITEMS]

    names = {"frames", "resets", *objective.fields}
    return cast(HasFrames, SimpleNamespace(**{name: cut(getattr(batch, name)) for name in sorted(names)}))


def copied(model: Layer) -> Layer:
    """Copy a model, so that the copy has its own parameters and statistics."""
    variables = (model.parameters() | model.statistics()).values()
    return copy.deepcopy(model, {id(v): engine.shared(v.get_value(), v.name) for v in variables})


def quick_mode() -> str | None:
    """Return the compile mode for graphs that are called too few times to repay C++ compilation.

    It is ``python``, or None (the engine's own mode) if the engine's own mode is jax or numba.
    """
    return None if engine.MODE in ("jax", "numba") else "python"


def rms(values: ArrayLike) -> float:
    """Root mean square in float64; 0 for an empty array."""
    array = np.asarray(values, np.float64)
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0
