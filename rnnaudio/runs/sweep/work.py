"""The work of one process on a sweep: it runs trials until no trial is left for it."""

import contextlib
import sys

from rnnaudio.errors import BrokeDown
from rnnaudio.lock import InUse, owned_folder, owner_of
from rnnaudio.runs.sweep import trial
from rnnaudio.runs.sweep.page import rows_of, write_page
from rnnaudio.runs.sweep.study import Study
from rnnaudio.text import in_shell, visible


def work(study: Study) -> None:
    """Run all trials that no other process runs, one after the other, and write the page after each.

    Trials of processes that were killed or interrupted come first. KeyboardInterrupt, with a message on how to
    continue, if a signal asks the process to end.
    """
    try:
        while any(_run(study, number) for number in study.unfinished()):
            _write_page(study)
        _write_page(study)
    except KeyboardInterrupt as end:
        left = f"{len(study.unfinished())} of {study.space.n_trials} trials are left"
        raise KeyboardInterrupt(f"what was trained is saved, and {left}: the same command goes on") from end


def _run(study: Study, number: int) -> bool:
    """Run a trial; return False if another process runs it, or has ended it."""
    folder = study.folder(number)
    with contextlib.ExitStack() as owned:
        try:
            owned.enter_context(owned_folder(folder, make=True))
        except InUse:
            return False
        taken = study.claim(number)
        if taken is None:
            return False
        trial.run(study, taken)
        return True


def _write_page(study: Study) -> None:
    """Write the page; print a note instead if another process keeps it locked, or did when it was killed."""
    try:
        write_page(study)
    except InUse as error:
        print(f"note: the page is as it was: {error}", file=sys.stderr)


def left_to_others(study: Study) -> str:
    """Describe, one per line, the unfinished trials and the processes that run them; empty if all have ended."""
    lines = []
    for number in study.unfinished():
        folder = study.folder(number)
        owner = owner_of(folder)
        lines.append(
            f"{folder.name} is run by {owner}"
            if owner
            else f"{folder.name} is begun, and nobody runs it: the same command goes on"
        )
    n_elsewhere = study.n_elsewhere()
    if n_elsewhere:
        lines.append(f"{n_elsewhere} are begun in another folder of this study, on another disk")
    return "\n".join(lines)


def check_any_complete(study: Study) -> None:
    """Raise BrokeDown if all trials have ended and failed; the message has the first reason."""
    ended = [one for one in rows_of(study) if one["number"] < study.space.n_trials]
    if ended and all(one["state"] == "failed" for one in ended):
        raise BrokeDown(f"all {len(ended)} trials failed; the first: {ended[0]['reason']}")


def where(study: Study) -> str:
    """Return a line with the path of the page, and with the command that lists the runs."""
    return f"look: {visible(study.out / 'sweep.html')}   list: rnnaudio runs {in_shell(study.out)}"
