"""Repairs of the causes that a diagnosis finds: options of `train` and `corpus build`, and whole commands."""

from typing import Any

import numpy as np

from rnnaudio.diagnostics.subject import Cause
from rnnaudio.runs.recipe import C, Recipe
from rnnaudio.runs.record import SavedRun
from rnnaudio.text import in_shell

NEARLY = 0.98  # share of a limit that counts as reached


def actions(cause: Cause, recipe: Recipe[C], config: C, saved: SavedRun | None = None) -> list[str]:
    """List the options or commands that repair a cause, one line each; [] if there are none.

    saved: the run, whose folder and corpus the commands name; None: a run that is not saved, such as a toy problem.
    """
    lines = [f"train with: {options}"] if (options := recipe.remedy(cause.name, config, cause.rate_factor)) else []
    corpus = in_shell(saved.settings["corpus"]["path"]) if saved else "CORPUS.h5"
    if cause.name == "limit-too-soon" and saved:
        lines.append(f"go on: {longer(recipe, config, saved)}")
    if cause.name in ("too-little-music", "overfitting"):
        lines.append(f"add music: rnnaudio corpus add {corpus} MORE_MUSIC --out LARGER.h5")
    return lines + on_the_corpus(cause, corpus)


def on_the_corpus(cause: Cause, corpus: str) -> list[str]:
    """List the options or commands that repair a cause in the corpus; ``corpus``: its path, quoted for the shell."""
    lines = [f"build the corpus with: {cause.rebuild}"] if cause.rebuild else []
    if cause.outliers:
        titles = " ".join(map(in_shell, cause.outliers))
        lines.append(f"leave out: rnnaudio corpus remove {corpus} {titles} --out SMALLER.h5")
    return lines


def longer(recipe: Recipe[Any], config: Any, saved: SavedRun) -> str:
    """Return the command that trains a run for about twice as long.

    The command doubles the limit on updates if at least 98 % of it was used, and the limit on time if at least 49 % of
    it was used.

    In general it resumes the run. If early stopping ended the run, or if the limit on updates is to be doubled and the
    run's learning rate depends on that limit, it trains a new run in the folder ``<run_dir>-2``, from the same initial
    parameters.
    """
    minutes, updates = saved.record["seconds"] / 60.0, saved.record["n_updates"]
    has_stopped = bool(saved.record["stopping"].get("should_stop"))
    needs_updates = updates >= NEARLY * config.max_updates > 0
    options = [recipe.more_patience(config)] if has_stopped else []
    if needs_updates:
        options.append(f"--max-updates {2 * config.max_updates}")
    if 2.0 * minutes >= NEARLY * config.minutes:
        options.append(f"--minutes {max(2.0 * config.minutes, float(np.ceil(minutes + 1.0))):g}")
    if has_stopped or (needs_updates and "max_updates" not in recipe.may_change(config)):
        run_dir = str(saved.run_dir)
        places = (saved.settings["corpus"]["path"], f"{run_dir}-2", "--config", f"{run_dir}/config.toml")
        start = saved.settings.get("start")
        words = [*places, *(["--from", start["run"]] if start else [])]
        return " ".join(filter(None, ["rnnaudio train", *map(in_shell, words), *options]))
    return " ".join([f"rnnaudio resume {in_shell(saved.run_dir)}", *options])
