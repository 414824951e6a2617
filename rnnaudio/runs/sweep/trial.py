"""One trial of a sweep: an ordinary run, trained, reported, and told to the study."""

import math
from collections.abc import Mapping
from typing import Any

from rnnaudio.errors import Unsuitable
from rnnaudio.runs import fit, outcome
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.sweep.objectives import VALIDATION
from rnnaudio.runs.sweep.page import value_in_words
from rnnaudio.runs.sweep.study import Study, Trial
from rnnaudio.schema import Plain
from rnnaudio.training import Run, checkpoint
from rnnaudio.training.history import Row


class Failed(Exception):
    """Raised for a trial that has no value, with the reason."""


class Pruned(Exception):
    """Raised within a training to end it: its validations are behind those of other trials."""


def run(study: Study, trial: Trial) -> None:
    """Train a trial, or go on with it, write its report, and tell its value; this process owns its folder.

    Settings that do not go together, a training that breaks down, and a run that does not fit the corpus or the memory
    are told as failed, with the reason. KeyboardInterrupt if a signal has ended the training, which then is saved.
    Other errors are those of :func:`rnnaudio.runs.fit.fit`, and leave the trial to be gone on with.
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
    return " ".join(f"{name}={_shown(value)}" for name, value in values.items())


def _shown(value: Plain) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _value(study: Study, trial: Trial) -> float:
    """Train and report a trial; returns the value of the objective. Failed, or Pruned, if there is none."""
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
    """Train a trial, or go on with it; validations that were saved, but not reported, are reported first."""
    folder, reporter = study.folder(trial.number), Reporter(study, trial)
    begun = checkpoint.exists(folder)
    if begun:
        for row in SavedRun.read(folder).record["history"]:
            reporter(row)
    recipe = recipe_named(study.space.recipe)
    return fit.fit(recipe, config, study.corpus, folder, resume=begun, observers=[reporter])


class Reporter:
    """Function of a new row of the history, which reports it to the study; raises Pruned if the trial is to end.

    Validations are counted, so that trials with other intervals of validations are compared at the same number of
    them. A row that backing off has taken back, and that comes again, has the same number, and is reported once.
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
