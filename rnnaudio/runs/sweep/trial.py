"""One trial of a sweep: an ordinary run, trained and reported, whose result is recorded in the study."""

import math
from collections.abc import Mapping
from typing import Any

from rnnaudio.errors import Unsuitable
from rnnaudio.runs import fit, outcome
from rnnaudio.runs.config import shown
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.sweep.objectives import VALIDATION
from rnnaudio.runs.sweep.page import DIGITS, value_in_words
from rnnaudio.runs.sweep.study import Study, Trial
from rnnaudio.schema import Plain
from rnnaudio.training import Run, checkpoint
from rnnaudio.training.history import Row


class Failed(Exception):
    """Raised for a trial that has no value; the message is the reason."""


class Pruned(Exception):
    """Raised in the middle of a training to end it, because its validations are worse than those of other trials."""


def run(study: Study, trial: Trial) -> None:
    """Train a trial whose folder this process owns, or continue its training; write its report and record its value.

    Invalid combinations of settings, training that breaks down, and runs that do not fit the corpus or the memory are
    recorded as failed, with the reason. KeyboardInterrupt if a signal has ended the training, which is saved. Other
    errors are those of :func:`rnnaudio.runs.fit.fit`; after these the trial can be continued.
    """
    name = study.folder(trial.number).name
    print(f"{name}: {in_words(trial.values)}", flush=True)
    try:
        value = _value(study, trial)
    except Pruned as end:
        study.tell(trial, None, pruned=True, reason=str(end))
        print(f"{name} is pruned: {end}", flush=True)
    except Failed as end:
        study.tell(trial, None, reason=str(end))
        print(f"{name} failed: {end}", flush=True)
    else:
        study.tell(trial, value)
        print(f"{name}: {value_in_words(study.space, value)}", flush=True)


def in_words(values: Mapping[str, Plain]) -> str:
    """Format the values of a trial: ``learning_rate=0.00321 model.n_units=100``."""
    return " ".join(f"{name}={shown(value, DIGITS)}" for name, value in values.items())


def _value(study: Study, trial: Trial) -> float:
    """Train and report a trial; return the value of the objective. Failed or Pruned if there is no value."""
    try:
        done = _trained(study, trial, study.space.config(trial.values))
    except Unsuitable as error:
        raise Failed(error) from error
    if done.is_interrupted:
        raise KeyboardInterrupt
    folder = study.folder(trial.number)
    if not checkpoint.exists(folder):
        raise Failed(f"{done.reason}, and no model was kept, as it was never validated")
    print(f"training ended: {done.reason}; playing on and writing the report ...", flush=True)
    summary = outcome.write_outcome(folder, study.corpus)
    print(outcome.headline(summary), flush=True)
    value = study.space.objective.value_in(summary)
    if summary["trouble"] or value is None:
        raise Failed(summary["trouble"] or f"it has no {study.space.sweep.objective}")
    return value


def _trained(study: Study, trial: Trial, config: Any) -> Run:
    """Train a trial, or continue its training; saved validations that were not reported yet are reported first."""
    folder, reporter = study.folder(trial.number), Reporter(study, trial)
    begun = checkpoint.exists(folder)
    if begun:
        for row in SavedRun.read(folder).record["history"]:
            reporter(row)
    recipe = recipe_named(study.space.recipe)
    return fit.fit(recipe, config, study.corpus, folder, resume=begun, observers=[reporter])


class Reporter:
    """Observer of training that reports each validation to the study; it raises Pruned if the trial should end.

    Validations are numbered, so that trials with different intervals between validations are compared at the same
    number of validations. If a run returns to an earlier validation (setting ``back_off``), later validations at the
    same numbers of updates get the same numbers, and each number is reported only once.
    """

    def __init__(self, study: Study, trial: Trial) -> None:
        self._study, self._trial = study, trial
        self._updates: set[int] = set()

    def __call__(self, row: Row) -> None:
        if self._study.space.sweep.objective != VALIDATION or not math.isfinite(row["valid"]):
            return
        self._updates.add(row["updates"])
        number = sum(updates <= row["updates"] for updates in self._updates)
        if self._study.report(self._trial, number, row["valid"]):
            raise Pruned(f"at validation {number}, update {row['updates']}")
