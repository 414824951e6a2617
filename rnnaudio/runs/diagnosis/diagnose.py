"""Diagnosis of a run that generates poor sound: measure its model, training and free run, and report the causes.

In a free run, the model continues a prime from its own outputs.
"""

import math
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from rnnaudio.diagnostics.diagnose import diagnose
from rnnaudio.diagnostics.free_run import course
from rnnaudio.diagnostics.subject import Cause, Diagnosis, Measurements
from rnnaudio.metrics import scores_in_decibel
from rnnaudio.runs.diagnosis.actions import actions
from rnnaudio.runs.load import load
from rnnaudio.runs.recipe import C, Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import SavedRun

LINE = 100  # width of printed text in characters
NOTHING_FOUND = "no mistake was found in how it was trained"
OF_A_MEAN = (
    "; but a squared error asks for the mean of all\n"
    "continuations, which fades, freezes or loops when it is fed back; to play on, train with: "
)
OF_MORE = "; if it does not play well all\nthe same, it needs more music, more training or a larger model"


def diagnose_run(run_dir: Path, corpus_path: Path | None = None) -> Diagnosis:
    """Diagnose the run in a folder, even an interrupted one; returns the causes found, and all measurements.

    corpus_path: path of the run's corpus; None: where it was in training.

    RnnaudioError if there is no run, its checkpoint is damaged, or the corpus is missing or not that of the run.
    """
    saved = SavedRun.read(run_dir)
    recipe: Recipe[Any] = recipe_in(saved.settings, saved.path)
    run = load(run_dir)
    with run.open_corpus(corpus_path) as corpus:
        return diagnose(recipe.subject(run, corpus, saved.run_dir))


# ---------------------------------------------------------------- words


def as_text(diagnosis: Diagnosis, recipe: Recipe[C], config: C, saved: SavedRun | None = None) -> str:
    """Format a diagnosis for printing.

    The text lists the causes, each with evidence, advice, and the options or commands that repair it; then the errors
    on validation windows, the examinations that were impossible, and a description of the free run.

    recipe, config: those of the run. saved: the run, if it is saved; see :func:`actions`.
    """
    causes = [
        _described(k, cause, actions(cause, recipe, config, saved)) for k, cause in enumerate(diagnosis.causes, 1)
    ]
    found = "\n".join(causes) or nothing_found(recipe, config)
    if len(causes) > 1:
        found += "\nthe first is furthest upstream: later ones may follow from it, so mend it first"
    errors = diagnosis.measured.errors
    scores = f"errors on validation windows: {scores_in_decibel(errors)}" if errors else ""
    lines = (found, scores, *unanswered(diagnosis.measured), free_run(diagnosis.measured))
    return "\n".join(line for line in lines if line)


def nothing_found(recipe: Recipe[C], config: C) -> str:
    """Make a sentence for a run in which the diagnosis found no mistake.

    A model trained by squared error predicts a mean, which fades when it is fed back, however well the model is
    trained: the sentence names options that avoid this. For other models it advises more music, more training, or a
    larger model.
    """
    sampling = recipe.remedy("noiseless-feedback", config)
    return NOTHING_FOUND + (OF_A_MEAN + sampling if sampling else OF_MORE)


def unanswered(measured: Measurements) -> list[str]:
    """List the reasons why examinations were impossible, a line each, with the names of these examinations."""
    reasons = sorted(set(measured.unanswered.values()))
    names = {reason: [name for name, why in measured.unanswered.items() if why == reason] for reason in reasons}
    return [f"not examined ({', '.join(names[reason])}): {reason}" for reason in reasons]


def _described(number: int, cause: Cause, typed: list[str]) -> str:
    lines = [f"{number}. {cause.name} (severity {cause.severity:.2f})"]
    for text in (cause.evidence, f"advice: {cause.advice}"):
        lines += wrap(text, LINE, initial_indent="   ", subsequent_indent="   ")
    return "\n".join([*lines, *(f"   {line}" for line in typed)])


def free_run(measured: Measurements) -> str:
    """Describe the free run: its level compared with its prime's, and whether it lives, fades, freezes or loops.

    The text is empty if there was no free run.
    """
    prime, played = np.split(measured.level_db, [measured.n_prime_frames])
    if not len(prime) or not len(played):
        return ""
    n = max(1, len(played) // 10)
    parts = [float(np.median(part)) for part in (prime, played[:n], played[-n:])]
    levels = ["not finite" if not math.isfinite(level) else f"{round(level, 1) + 0.0:.1f} dB" for level in parts]
    line = (
        f"free run of {len(played)} frames: prime {levels[0]}, beginning {levels[1]}, "
        f"end {levels[2]} (median level of a frame)"
    )
    died = measured.life is not None and bool(measured.life.fault)
    does = "" if died else course(measured.figures, measured.life)  # the reason of a death says what it does
    return "\n".join(filter(None, [line, survival_in_words(measured), does]))


def survival_in_words(measured: Measurements) -> str:
    """Make a sentence on how long the free run stayed alive, and why it died; empty if that was not measured."""
    life = measured.life
    if life is None:
        return ""
    why = f" ({life.reason})" if life.reason else ""
    of = f"{round(measured.figures['of_seconds'], 1):g} s after validation music"
    return f"it kept sounding like music for {life.seconds:.1f} of {of}{why}"
