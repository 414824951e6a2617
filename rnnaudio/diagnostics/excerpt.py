"""What the measurements share: a small part of a batch, and a copy of a model."""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective

MOST_STEPS = 64
MOST_ITEMS = 16


def excerpt(batch: Any, objective: Objective) -> Any:
    """At most 16 items and the first 64 steps of a batch, after a burn-in of the cost if it has one: ``frames``,
    ``resets`` and the objective's fields, cut."""
    burn_in = max(0, getattr(objective, "first_scored", 0))
    n_cut = max(0, len(batch.frames) - (burn_in + MOST_STEPS + 1))

    def cut(array: Any) -> np.ndarray:
        array = np.asarray(array)
        return array[:MOST_ITEMS] if array.ndim == 1 else array[: len(array) - n_cut, :MOST_ITEMS]

    names = {"frames", "resets", *objective.fields}
    return SimpleNamespace(**{name: cut(getattr(batch, name)) for name in sorted(names)})


def copied(model: Layer) -> Layer:
    """The same model with parameters and statistics of its own."""
    variables = (model.parameters() | model.statistics()).values()
    return copy.deepcopy(model, {id(v): engine.shared(v.get_value(), v.name) for v in variables})


def quick_mode() -> str | None:
    """NumPy where that is allowed: a measurement calls a graph a few times, which C++ compilation does not repay."""
    return None if engine.MODE in ("jax", "numba") else "python"


def rms(array: Any) -> float:
    """Root of the mean of squares, in float64; 0 of nothing."""
    array = np.asarray(array, np.float64)
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0
