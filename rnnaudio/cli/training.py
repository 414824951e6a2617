"""The work of the commands `train`, `music` and `resume`: train a run, report on it, and print how to continue.

Modules that only the report needs, above all those for pictures, are imported after the training, as that takes a
second.
"""

import dataclasses
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from rnnaudio import interrupt
from rnnaudio.cli.parallel import DataParallel, ranks_of
from rnnaudio.errors import BrokeDown, RnnaudioError
from rnnaudio.laps import Laps
from rnnaudio.lock import owned_folder
from rnnaudio.runs import fit
from rnnaudio.runs.diagnosis.actions import actions
from rnnaudio.runs.diagnosis.diagnose import as_text, diagnose_run
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.settings import Chosen, chosen
from rnnaudio.text import in_shell, visible
from rnnaudio.training import Run, checkpoint

Limits = Mapping[str, float | int | None]


class Watched(NamedTuple):
    """Options of the training commands for observing a run during and after its training.

    diagnose: whether to end with a diagnosis, which becomes part of the report. listen_every: minutes between two
    generated sounds; 0: none. tensorboard: whether to write event files.
    """

    diagnose: bool = True
    listen_every: float = 0.0
    tensorboard: bool = False


def train(
    settings: Chosen,
    corpus: Path,
    run_dir: Path,
    *,
    resume: bool,
    watched: Watched,
    start: Path | None = None,
    data_parallel: DataParallel = "none",
) -> None:
    """Train a run on the corpus, write its report, and print a summary; ``run_dir`` is locked against other processes.

    settings: recipe and config. resume, start: see :func:`rnnaudio.runs.fit.fit`. data_parallel: how processes that
    train the run together exchange data. After the training only the first rank goes on: it writes the report.

    BrokeDown if training broke down or diverged. KeyboardInterrupt, with a message on how to continue, if a signal
    ended the training or the report. Other errors are those of :func:`rnnaudio.runs.fit.fit`.
    """
    with ExitStack() as owned:
        with ranks_of(data_parallel) as ranks:
            if ranks.is_first:
                owned.enter_context(owned_folder(run_dir, make=True))
            observers = _observers(watched, corpus, run_dir)
            recipe, config = recipe_named(settings.recipe), settings.config
            run = fit.fit(
                recipe, config, corpus, run_dir, resume=resume, start=start, observers=observers, ranks=ranks
            )
        if ranks.is_first:
            _conclude(run, settings, corpus, run_dir, watched.diagnose)


def resume(
    run_dir: Path, corpus: Path | None, limits: Limits, *, watched: Watched, data_parallel: DataParallel = "none"
) -> None:
    """Continue a run with its own settings, and report on it as :func:`train` does.

    corpus: path of the corpus; None: where it was before. limits: new values of ``minutes`` and ``max_updates``; None
    keeps the old value. Errors are also those of :func:`rnnaudio.runs.fit.resumed_config`.
    """
    with ExitStack() as owned:
        with ranks_of(data_parallel) as ranks:
            if ranks.is_first:
                owned.enter_context(owned_folder(run_dir))
            # The others need no run folder: what they pass here is ignored.
            saved = _saved(run_dir, corpus, limits) if ranks.is_first else (chosen(), Path())
            settings, where = ranks.from_first(saved)
            observers = _observers(watched, where, run_dir)
            recipe, config = recipe_named(settings.recipe), settings.config
            run = fit.fit(recipe, config, where, run_dir, resume=True, observers=observers, ranks=ranks)
        if ranks.is_first:
            _conclude(run, settings, where, run_dir, watched.diagnose)


def _saved(run_dir: Path, corpus: Path | None, limits: Limits) -> tuple[Chosen, Path]:
    """Return the settings of a saved run with new limits, and the path of its corpus."""
    recipe, config = fit.resumed_config(run_dir, **limits)
    with load(run_dir).open_corpus(corpus) as opened:
        return Chosen(recipe.name, config), opened.path


def _conclude(run: Run, settings: Chosen, corpus: Path, run_dir: Path, diagnose: bool) -> None:
    """Report on a run whose training has ended; BrokeDown if it left no model."""
    if not checkpoint.exists(run_dir):
        raise BrokeDown(
            f"{run.reason}, and no model was kept, as it was never validated: probably the learning rate "
            f"({settings.config.learning_rate:g}) is too high; lower --learning-rate, or if that does not help, "
            f"look for faults in the data (rnnaudio corpus info {in_shell(corpus)} --verify)"
        )
    _report_on(run, settings, corpus, run_dir, diagnose)


def _observers(watched: Watched, corpus: Path, run_dir: Path) -> list[fit.Observer]:
    """Make the observers that ``watched`` requests. RnnaudioError for an interval out of range or a missing extra."""
    if not (watched.tensorboard or watched.listen_every):
        return []
    from rnnaudio.runs.event_files import EventFiles
    from rnnaudio.runs.observing import Listener

    events = [EventFiles(run_dir)] if watched.tensorboard else []
    hear = [one.hear for one in events]
    listeners = [Listener(run_dir, corpus, watched.listen_every, hear)] if watched.listen_every else []
    return [*events, *listeners]


def _report_on(run: Run, settings: Chosen, corpus: Path, run_dir: Path, diagnose: bool) -> None:
    """Write the report of a run that has ended, print its summary, and raise KeyboardInterrupt if a signal ended it.

    The times of the phases after training are printed, too. After a signal other than Ctrl-C no report is written, as
    there may be no time for it. BrokeDown if the run broke down or diverged.
    """
    interrupted, folder, laps = run.is_interrupted, in_shell(run_dir), Laps()
    either = f"`rnnaudio resume {folder}` continues, and `rnnaudio report {folder}` ends it here"
    if interrupted and interrupt.received() not in (0, signal.SIGINT):
        raise KeyboardInterrupt(f"the model is saved: {either}")
    print(f"training ended: {run.reason}; playing on and writing the report ...", flush=True)
    from rnnaudio.runs import outcome

    try:
        summary = outcome.write_outcome(run_dir, corpus, finish=not interrupted, laps=laps)
    except KeyboardInterrupt as end:
        left = f"the model is saved: `rnnaudio report {folder}` goes on from here and writes its report"
        raise KeyboardInterrupt(left) from end
    print(outcome.headline(summary))
    judged = run.history[-1]["updates"] if run.history else 0
    if run.n_updates > judged:
        print(
            f"note: the {run.n_updates - judged} updates since the last validation, at update {judged}, were not "
            "validated: --validate-every sets how often it is done"
        )
    if run.is_complete:
        used = f"{run.seconds / 60.0:.1f} of {settings.config.minutes:g} minutes were used"
        print(f"{used}, for {run.reason}; to train for longer: {fit.how_to_go_on(run_dir)}")
    if diagnose and not interrupted:
        with laps.phase("diagnosis"):
            diagnosed(run_dir, corpus)
    print(laps.as_table("after training:"))
    print(where(run_dir))
    if summary["trouble"]:
        rate = f"{settings.config.learning_rate:g}"
        raise BrokeDown(
            f"{summary['trouble']}: train in another run directory with a lower --learning-rate than {rate}"
        )
    if interrupted:
        raise KeyboardInterrupt(f"it plays as trained so far: {either}")


def diagnosed(run_dir: Path, corpus: Path) -> None:
    """Diagnose a trained run, print the first cause and the names of the others, and add all to its report.

    If a diagnosis is impossible, a note is printed instead of an error: the run is complete without it.
    KeyboardInterrupt, with a message, if a signal interrupts the diagnosis.
    """
    from rnnaudio.runs.diagnosis.saved import write_diagnosis

    print("diagnosing ...", flush=True)
    again = f"rnnaudio diagnose {in_shell(run_dir)}"
    try:
        found = diagnose_run(run_dir, corpus)
        write_diagnosis(run_dir, found)
    except KeyboardInterrupt as end:
        raise KeyboardInterrupt(f"the model and its report are saved: `{again}` adds the diagnosis") from end
    except RnnaudioError as error:
        print(f"note: no diagnosis ({error}); to try again: {again}", file=sys.stderr)
        return
    first, (recipe, config), saved = found.causes[:1], saved_recipe(run_dir), SavedRun.read(run_dir)
    print(as_text(dataclasses.replace(found, causes=first), recipe, config, saved))
    for cause in found.causes[1:]:
        what = next(iter(actions(cause, recipe, config, saved)), cause.advice)
        print(f"the report has more: {cause.name} ({what})")


def where(run_dir: Path) -> str:
    """Make a line with the paths of the generated sound and of the report of a run."""
    return f"listen: {visible(run_dir / 'generated.wav')}   look: {visible(run_dir / 'report.html')}"
