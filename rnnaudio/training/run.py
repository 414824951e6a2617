"""A training run: what it is given, what limits it, and its progress."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from rnnaudio.audio.arrays import Array
from rnnaudio.training.history import Row
from rnnaudio.training.step import BatchArrays, Totals
from rnnaudio.training.stopping import StoppingState


class Batches(Protocol):
    """Source of training batches; ``batch(index)`` is a pure function of the index, so a run can resume at any update.

    ``batch`` is called one batch ahead, from another thread. ``batches_per_epoch``: number of batches in a pass over
    the training data. ``carries_state``: True if each batch continues the sequences of the batch before, so that the
    final state of one batch is the initial state of the next.
    """

    @property
    def batches_per_epoch(self) -> int: ...

    @property
    def carries_state(self) -> bool: ...

    def batch(self, index: int) -> BatchArrays: ...


@runtime_checkable
class PartialBatches(Batches, Protocol):
    """Source whose batches can be read in parts, so that several processes share them."""

    def part(self, index: int, rows: slice) -> BatchArrays:
        """Return the sequences ``rows`` of ``batch(index)``, in order."""
        ...


class StoppingRule(Protocol):
    """An early-stopping rule; its methods are pure functions. See :mod:`rnnaudio.training.stopping`.

    ``initial()`` returns the state before the first validation, ``update(state, loss)`` the state after a validation.
    """

    def initial(self) -> StoppingState: ...

    def update(self, state: StoppingState, loss: float) -> StoppingState: ...


@dataclass(frozen=True)
class Limits:
    """Limits that end a run whatever its losses, and intervals of validations and checkpoints.

    max_updates
        number of updates, over all sessions of the run.
    max_seconds
        training time in seconds, over all sessions of the run.
    validate_every
        number of updates between validations; None: once per epoch.
    save_every_seconds
        training time in seconds after which a checkpoint is written if there was no validation; each validation
        writes one in any case.
    """

    max_updates: int = 1_000_000
    max_seconds: float = float("inf")
    validate_every: int | None = None
    save_every_seconds: float = 300.0


@dataclass(frozen=True)
class Judging:
    """Model selection: which loss decides, and how much of the history is saved.

    Settings other than the defaults reproduce mistakes of 2016, except ``with_noise`` for a Bound.

    by
        the loss that decides when to stop and which parameters are the best. ``valid``: the loss on the validation
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
    """Progress of a run; saved in the checkpoint, except the last five fields: reason to n_saved.

    stopping
        state of the early-stopping rule, with the lowest loss so far.
    n_updates, seconds
        number of updates and training time in seconds, over all sessions.
    history
        one row per validation: epoch (passes over the training data so far), updates, seconds, train and valid (the
        objective's first reported value, on training and validation batches), ``valid_<name>`` (its other values, on
        validation batches), is_best, learning_rate, and, by parameter, gradient_norms and update_ratios of the last
        update.
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
        True if a signal has asked this session to end.
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
