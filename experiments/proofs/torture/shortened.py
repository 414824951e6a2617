"""File for the option ``--import``: it shortens what follows training, and can send this process a signal.

Pictures are plotted only if the environment variable TORTURE_PICTURES is set. If TORTURE_SIGNAL is set, to the number
of a signal, the process sends that signal to itself at the start of update TORTURE_UPDATE, counted from 1.
"""

import os
from typing import Any

from rnnaudio.runs import outcome
from rnnaudio.runs.codes import budget, choice
from rnnaudio.runs.codes.recipe import CodesRecipe
from rnnaudio.runs.frames.recipe import FramesRecipe
from rnnaudio.runs.samples.recipe import SamplesRecipe
from rnnaudio.training.step import TrainStep

choice.N_PRIMES, budget.SECONDS, budget.LEAST_SECONDS = 1, 1.0, 1.0
choice.TEMPERATURES = (1.0, 1.2)  # type: ignore[assignment]
for recipe in (CodesRecipe, FramesRecipe, SamplesRecipe):
    recipe.seconds = 1.0
if not os.environ.get("TORTURE_PICTURES"):
    outcome.plotted = lambda *_: {}

if os.environ.get("TORTURE_SIGNAL"):
    number, at = int(os.environ["TORTURE_SIGNAL"]), int(os.environ["TORTURE_UPDATE"])
    step = TrainStep.__call__

    def signalling(self: TrainStep, *arguments: Any, update: int, **options: Any) -> Any:
        """Send the signal before the update, as if it came while the update runs."""
        if update + 1 == at:
            os.kill(os.getpid(), number)
        return step(self, *arguments, update=update, **options)

    TrainStep.__call__ = signalling  # type: ignore[method-assign]
