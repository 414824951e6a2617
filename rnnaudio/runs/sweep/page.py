"""The page of a sweep, ``sweep.html``: its trials, the best first, with links to their reports, and pictures."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from rnnaudio import plots
from rnnaudio.audio import read_audio
from rnnaudio.audio.clip import Clip
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owned_file
from rnnaudio.markup import Link
from rnnaudio.metrics import decibel
from rnnaudio.plots import Coordinate
from rnnaudio.report import Deck, write_report
from rnnaudio.runs.config import shown
from rnnaudio.runs.listing import alive_in_words, report_figures
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.sweep.objectives import VALIDATION
from rnnaudio.runs.sweep.ranges import Choices, Range, label_of
from rnnaudio.runs.sweep.space import Space
from rnnaudio.runs.sweep.study import REASON, Study, in_turn
from rnnaudio.text import visible
from rnnaudio.training import checkpoint

NAME = "sweep.html"
MOST_MARKS = 10  # values of a range that all have ticks
DIGITS = 4  # of the settings of a trial
HISTORY, IMPORTANCE, PARALLEL, TRIALS = "Trial by trial", "What matters", "Settings of each trial", "Trials"
STATES = {
    TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    TrialState.RUNNING: "begun", TrialState.WAITING: "waiting",
}  # fmt: skip
ORDER = list(STATES.values())
EXPLANATIONS = {
    TRIALS: "The best first; each name leads to the report of the run. A pruned trial has the loss of its last "
    "validation. Losses of other targets, scalings or sizes of a frame are other losses, whatever their numbers. "
    "Trials are not diagnosed; rnnaudio diagnose TRIAL does it for one of them.",
    HISTORY: "The objective of each trial, in the order in which they were begun, and the best so far.",
    IMPORTANCE: "How much of what tells the best trials from the others lies in each setting (PED-ANOVA). "
    "Of few trials this is a hint at most.",
    PARALLEL: "Each complete trial is a line through its settings to its objective; the darker, the better, and the "
    "heavy one is the best.",
}


def write_page(study: Study) -> Path:
    """Write the page of a sweep and its pictures to the sweep's folder; return the path of the page.

    Processes that write it at the same time take turns; the last one to begin overwrites the pages of the others.
    """
    path = study.out / NAME
    with in_turn(lambda: owned_file(path)):
        rows = rows_of(study)
        best = next((row for row in rows if row["state"] == "complete"), None)
        return write_report(
            path,
            title=f"Sweep: {visible(study.out.resolve().name)}",
            summary=summary_of(study, rows),
            first={TRIALS: [_cells(study, row) for row in rows if row["state"] != "waiting"]},
            sounds=_best_sound(study.folder(best["number"])) if best else None,
            pictures=_plotted(study, rows),
            tables={
                "Space": [{"setting": name, "searched": _searched(one)} for name, one in study.space.ranges.items()]
            },
            explanations=EXPLANATIONS,
        )


def _best_sound(folder: Path) -> Deck | None:
    """Read the sound of a trial; None if there is none, or if it cannot be read."""
    path = folder / "generated.wav"
    try:
        audio, rate = read_audio(path)
    except RnnaudioError:
        return None
    return Deck({f"The best, {folder.name}": Clip(audio, rate, wav=f"{folder.name}/{path.name}")})


def rows_of(study: Study) -> list[dict[str, Any]]:
    """Make a row for each trial: complete trials first, the best at the top, then pruned, failed, begun, waiting.

    A row has ``number``, ``state``, ``value`` (None if there is none), ``settings`` and ``reason``. Waiting trials
    beyond the number of trials that the space now requests are left out.
    """
    rows = [_row(one) for one in study.trials()]
    rows = [row for row in rows if row["state"] != "waiting" or row["number"] < study.space.n_trials]
    sign = 1.0 if study.space.objective.direction == "minimize" else -1.0
    return sorted(rows, key=lambda row: (ORDER.index(row["state"]), sign * (row["value"] or 0.0), row["number"]))


def _row(frozen: FrozenTrial) -> dict[str, Any]:
    # A trial whose process was killed while it recorded the end may have a reason, but is still running.
    is_told = frozen.state in (TrialState.PRUNED, TrialState.FAIL)
    return {
        "number": frozen.number,
        "state": STATES[frozen.state],
        "value": frozen.value,
        "settings": frozen.params,
        "reason": frozen.user_attrs.get(REASON, "") if is_told else "",
    }


def quantity_of(space: Space) -> str:
    """Return the description of the objective, with its unit if it has one."""
    return space.objective.quantity or f"lowest validation loss ({recipe_named(space.recipe).quantity})"


def value_in_words(space: Space, value: float) -> str:
    """Format a value of the objective: ``validation 4.124 bits a frame``, ``seconds_alive 30``."""
    return f"{space.sweep.objective} {_figure(space, value)}"


def _figure(space: Space, value: float) -> str:
    is_loss = space.sweep.objective == VALIDATION
    return recipe_named(space.recipe).in_words(value) if is_loss else f"{value:.5g}"


def summary_of(study: Study, rows: Sequence[Mapping[str, Any]]) -> str:
    """Describe a sweep in two paragraphs: trials by state and the best trial; recipe, objective and sampler.

    rows: the result of :func:`rows_of`.
    """
    space = study.space
    counts = {state: sum(row["state"] == state for row in rows) for state in ORDER}
    text = f"{len(rows)} trials: {', '.join(f'{n} {state}' for state, n in counts.items() if n)}."
    best = rows[0] if rows and rows[0]["state"] == "complete" else None
    if best:
        text += f" The best is {study.folder(best['number']).name}, {value_in_words(space, best['value'])}"
        text += f" ({', '.join(f'{name} {shown(value, DIGITS)}' for name, value in best['settings'].items())})."
        text += _worth(study, best)
    which = "lowest" if space.objective.direction == "minimize" else "highest"
    pruner = f", pruner {space.sweep.pruner}" if space.sweep.pruner else ""
    how = f"The {which} is best. Sampler {space.sweep.sampler}, seed {space.sweep.seed}{pruner}."
    return f"{text}\n\nRecipe {space.recipe}. Objective {space.sweep.objective}: {quantity_of(space)}. {how}"


def _worth(study: Study, best: Mapping[str, Any]) -> str:
    """Return a remark if the lowest validation loss is no better than that of an untrained model; else empty."""
    folder = study.folder(best["number"])
    if study.space.sweep.objective != VALIDATION or not checkpoint.exists(folder):
        return ""
    blank = SavedRun.read(folder).settings.get("blank_loss")
    if blank is None or best["value"] < blank:
        return ""
    return f" That is no better than a model that has learnt nothing ({_figure(study.space, blank)})."


def _cells(study: Study, row: Mapping[str, Any]) -> dict[str, object]:
    folder = study.folder(row["number"])
    has_report = (folder / "report.html").exists()
    cells: dict[str, object] = {
        "trial": Link(folder.name, f"{folder.name}/report.html") if has_report else folder.name
    }
    cells["state"] = row["state"]
    if row["value"] is not None:
        cells[study.space.sweep.objective] = _figure(study.space, row["value"])
    figures = report_figures(folder, checkpoint.path_in(folder))
    if alive := alive_in_words(figures.get("alive_seconds"), figures.get("of_seconds")):
        cells["alive"] = f"{alive}, then it {figures['death']}" if figures.get("death") else alive
    cells |= {name: row["settings"][name] for name in study.space.ranges if name in row["settings"]}
    return cells | ({"reason": row["reason"]} if row["reason"] else {})


def _plotted(study: Study, rows: Sequence[Mapping[str, Any]]) -> dict[str, Path]:
    """Plot the pictures; return their paths by caption, without those for which there are too few trials."""
    complete: Sequence[Mapping[str, Any]] = [row for row in rows if row["state"] == "complete"]
    if not complete:
        return {}
    space, out = study.space, study.out
    quantity, lowest_is_best = quantity_of(space), space.objective.direction == "minimize"
    if is_in_decibel(space):
        quantity = f"lowest validation loss in dB ({recipe_named(space.recipe).quantity})"
        complete, rows = in_decibel_of(complete), in_decibel_of(rows)
    by_number = sorted(rows, key=lambda row: row["number"])
    pictures = {
        HISTORY: plots.for_page(
            partial(plots.objective_history_figure, by_number, quantity=quantity, lowest_is_best=lowest_is_best),
            out / "history.png",
        ),
        PARALLEL: plots.parallel_coordinates(
            complete,
            out / "parallel.png",
            coordinates={name: _coordinate(one) for name, one in space.ranges.items()},
            quantity=quantity,
            lowest_is_best=lowest_is_best,
        ),
    }
    shares = study.importances()
    if shares:
        draw = partial(plots.importances_figure, shares, quantity=quantity)
        pictures[IMPORTANCE] = plots.for_page(draw, out / "importances.png")
    return pictures


def is_in_decibel(space: Space) -> bool:
    """Return True if the objective is a loss that is shown in decibels."""
    return space.sweep.objective == VALIDATION and recipe_named(space.recipe).decibel


def in_decibel_of(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return copies of the rows with their values, if they have one, in decibels."""
    return [dict(row) if row["value"] is None else {**row, "value": float(decibel(row["value"]))} for row in rows]


def _coordinate(one: Range) -> Coordinate:
    if isinstance(one, Choices):
        return Coordinate(choices=tuple(map(label_of, one.values)))
    marks = () if one.log or len(one.points) > MOST_MARKS else tuple(map(float, one.points))
    return Coordinate(float(one.low), float(one.high), one.log, marks)


def _searched(one: Range) -> str:
    """Describe a range in words."""
    if isinstance(one, Choices):
        return f"one of {', '.join(shown(value, DIGITS) for value in one.values)}"
    how = ", by its logarithm" if one.log else f", in steps of {one.step:g}" if one.step else ""
    return f"{one.low:g} to {one.high:g}{how}"
