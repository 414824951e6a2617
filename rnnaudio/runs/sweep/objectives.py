"""Objectives of a sweep: quantities of a run to be minimised or maximised."""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import Registry

VALIDATION = "validation"


class Objective(NamedTuple):
    """A quantity of a run by which trials are compared.

    direction
        whether low or high values are better.
    entry
        name of the quantity in the summary of a run; see :func:`rnnaudio.runs.outcome.summarise`.
    quantity
        description with unit, for the axes of pictures; empty: the loss of the recipe.
    recipes
        names of the recipes that have the quantity in their summaries; (): all.
    """

    direction: Literal["minimize", "maximize"]
    entry: str
    quantity: str = ""
    recipes: tuple[str, ...] = ()

    def value_in(self, summary: Mapping[str, Any]) -> float | None:
        """Return the value in a run's summary; None if it is missing or not finite, as in a run never validated."""
        value = summary.get(self.entry)
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


OBJECTIVES: Registry[Objective] = Registry("objective")
OBJECTIVES.add(VALIDATION, Objective("minimize", "best_validation_loss"))
OBJECTIVES.add("seconds_alive", Objective("maximize", "alive_seconds", "time that the sound stays alive (s)"))
OBJECTIVES.add("bits", Objective("minimize", "valid_bits_a_frame", "bits a frame, as it plays", ("codes",)))


def objective_of(name: str, recipe: str) -> Objective:
    """Return the objective called ``name``; RnnaudioError if there is none, or if ``recipe`` does not have it."""
    objective = OBJECTIVES[name]
    if objective.recipes and recipe not in objective.recipes:
        known = [other for other, one in OBJECTIVES.items() if not one.recipes or recipe in one.recipes]
        raise RnnaudioError(
            f"objective {name!r} is one of the recipe {' or '.join(objective.recipes)}, not of {recipe}; "
            f"for {recipe} known are {', '.join(known)}"
        )
    return objective
