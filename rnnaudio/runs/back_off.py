"""Backing off: a run that breaks down returns to its last validation and continues with half the learning rate.

A run breaks down at a loss or gradient that is not finite.
"""

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Layer
from rnnaudio.parallel import ALONE, Ranks
from rnnaudio.training import Run, checkpoint


class Attempt(Protocol):
    """Type of a function that trains a run until it ends or breaks down; returns the progress of the run.

    halvings: the learning rate of the settings is multiplied by 2^-halvings. resume: True to continue from the
    checkpoint, False to start anew. on_update: function called before each update with its index, from 0; None: no
    function.
    """

    def __call__(self, halvings: int, resume: bool, on_update: Callable[[int], None] | None) -> Run: ...


def trained(
    attempt: Attempt,
    model: Layer,
    run_dir: Path,
    *,
    most: int,
    halvings: int,
    validate_every: int,
    resume: bool,
    on_update: Callable[[int], None] | None,
    ranks: Ranks = ALONE,
) -> Run:
    """Train a run; each time it breaks down, continue from its last validation at half the learning rate.

    attempt
        trains the run until it ends or breaks down.
    model
        the model that ``attempt`` trains, with its initial parameters.
    run_dir
        the folder of the run, which holds its checkpoints.
    most
        number of times that the run may back off, over all sessions; 0: never.
    halvings
        number of times that it has backed off in earlier sessions.
    validate_every
        number of updates between validations.
    resume, on_update
        see :class:`Attempt`.
    ranks
        the processes that train together, all of which call this function; only the first writes files.

    Returns the progress of the last attempt. A run that backs off returns to its last validation, not to its last
    checkpoint, so that its results do not depend on the times of checkpoints or interruptions. A run that was never
    validated starts again with the initial parameters. RnnaudioError if a checkpoint cannot be written, and the errors
    of ``attempt``.
    """
    mark, path, initial = Path(run_dir) / checkpoint.VALIDATED, checkpoint.path_in(run_dir), model.get_values()
    if ranks.is_first and not (most and resume):
        mark.unlink(missing_ok=True)  # of another run, or no longer kept up to date
    if not most:
        return attempt(halvings, resume, on_update)

    def marking(update: int) -> None:
        if ranks.is_first and update and update % validate_every == 0 and path.exists():
            _link(path, mark)
        if on_update:
            on_update(update)

    run = attempt(halvings, resume, marking)
    while run.broke_down and not run.is_interrupted and halvings < most:
        halvings += 1
        if ranks.is_first:
            _return_to(mark, path, run)
            words = f"back to the last validation, at half the learning rate ({halvings} of {most})"
            tqdm.write(f"{run.broke_down}; {words}")
        resume = ranks.from_first(checkpoint.exists(run_dir))
        if not resume:
            model.set_values(initial)
        run = attempt(halvings, resume, marking)
    return run


def _return_to(mark: Path, path: Path, run: Run) -> None:
    """Replace the checkpoint at ``path`` by that of the last validation, at ``mark``.

    If there is no file at ``mark``, the checkpoint is removed if the run was never validated, and kept otherwise.
    """
    if mark.exists():
        _link(mark, path)
    elif not any(isfinite(row["valid"]) for row in run.history):  # never validated, in any session
        checkpoint.remove(path.parent)


def _link(source: Path, target: Path) -> None:
    try:
        checkpoint.link(source, target)
    except OSError as error:
        raise RnnaudioError(f"cannot write {target}: {error.strerror}; fix this and resume the run") from error
