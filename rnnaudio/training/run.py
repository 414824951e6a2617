"""A training run: the interfaces of its batches and stopping rule, its limits, and its progress."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from rnnaudio.audio.arrays import Array
from rnnaudio.training.history import Row
from rnnaudio.training.step import BatchArrays, Totals
from rnnaudio.training.stopping import StoppingState


class Batches(Protocol):
    """Source of training batches.

    ``batch(index)`` returns the batch of update ``index``, from 0. It must be a pure function of the index, so that a
    run can be resumed at any update. It is called from another thread, one batch ahead. ``batches_per_epoch`` is the
    number of batches in a pass over the training data. ``carries_state`` is True if each batch continues the sequences
    of the preceding one, so that the final state of a batch is the initial state of the next.
    """

    @property
    def batches_per_epoch(self) -> int: ...

    @property
    def carries_state(self) -> bool: ...

    def batch(self, index: int) -> BatchArrays: ...


@runtime_checkable
class PartialBatches(Batches, Protocol):
    """Source of batches that can be read in parts, so that several processes can share each batch."""

    def part(self, index: int, rows: slice) -> BatchArrays:
        """Return the batch that consists of the sequences ``rows`` of ``batch(index)``, in order."""
        ...


class StoppingRule(Protocol):
    """An early-stopping rule, with methods that are pure functions. See :mod:`rnnaudio.training.stopping`.

    ``initial()`` returns the state before the first validation. ``update(state, loss)`` returns the state after a
    validation with this loss.
    """

    def initial(self) -> StoppingState: ...

    def update(self, state: StoppingState, loss: float) -> StoppingState: ...


MANY_UPDATES = 100_000


def planned_updates(limit: int) -> int:
    """Return ``limit``, the greatest number of updates of a run, if it counts as a plan, otherwise 0.

    A limit from 1 to 99,999 counts as the planned number of updates; a higher limit does not.
    """
    return limit if 0 < limit < MANY_UPDATES else 0


@dataclass(frozen=True)
class Limits:
    """Limits at which a run ends regardless of its losses, and intervals of validations and checkpoints.

    max_updates
        number of updates, over all sessions of the run.
    max_seconds
        training time in seconds, over all sessions of the run.
    validate_every
        number of updates between validations; None: once per epoch.
    save_every_seconds
        a checkpoint is written once this training time, in seconds, has passed since the last one. Each validation
        also writes a checkpoint.
    """

    max_updates: int = 1_000_000
    max_seconds: float = float("inf")
    validate_every: int | None = None
    save_every_seconds: float = 300.0

    def reached(self, run: "Run") -> str:
        """Return a clause that names the limit that the run has reached; an empty string if it has reached none."""
        if run.n_updates >= self.max_updates:
            return f"the limit of {self.max_updates} updates is reached"
        if run.seconds >= self.max_seconds:
            return f"the limit of {self.max_seconds / 60:g} minutes is reached"
        return ""


@dataclass(frozen=True)
class Judging:
    """Model selection: the loss that determines the best parameters, and the part of the history that is saved.

    Settings other than the defaults reproduce mistakes of 2016, except ``with_noise`` for a Bound.

    by
        the loss that determines when to stop and which parameters are the best. ``valid``: the loss on the validation
        batches; ``train``: the mean loss of the training batches since the last validation, with noise and dropout.
    with_noise
        True to validate in the training graph, with noise and dropout, which is required for a
        :class:`rnnaudio.objectives.Bound`, an expectation over samples.
    keep_all
        True to save the whole history, False to save only the rows up to the best validation.
    """

    by: Literal["valid", "train"] = "valid"
    with_noise: bool = False
    keep_all: bool = True


NO_LIMITS, BY_VALIDATION = Limits(), Judging()


@dataclass
class Run:
    """Progress of a run.

    Each checkpoint contains the fields up to ``best``. Of the others, only a ``broke_down`` is saved, in the last one.

    stopping
        state of the early-stopping rule, with the lowest loss so far.
    n_updates, seconds
        number of updates and training time in seconds, over all sessions.
    history
        one row per validation, a dict with the keys ``epoch`` (number of passes over the training data so far),
        ``updates``, ``seconds``, ``train`` and ``valid`` (the first reported value of the objective, on training and
        on validation batches), ``valid_<name>`` (its other reported values, on validation batches), ``is_best``,
        ``learning_rate``, and ``gradient_norms`` and ``update_ratios`` of the last update, both by parameter name.
    totals
        sums of the reported values over the training batches since the last validation.
    carried
        final state of the last batch, which is the initial state of the next; None if batches do not carry the state.
    best
        parameters and statistics at the lowest loss, by name; empty before the first validation.
    reason
        why the run ended; empty while it continues.
    is_complete
        True if the stopping rule or a limit ended the run, not a signal or a loss or gradient that is not finite.
    is_interrupted
        True if this session was ended by a signal.
    broke_down
        description of the loss or gradient that was not finite; empty if all were finite.
    n_saved
        number of updates at the latest checkpoint; -1: no checkpoint.
    """

    stopping: StoppingState
    n_updates: int = 0
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    carried: list[Array] | None = None
    best: dict[str, Array] = field(default_factory=dict)
    reason: str = ""
    is_complete: bool = False
    is_interrupted: bool = False
    broke_down: str = ""
    n_saved: int = -1
