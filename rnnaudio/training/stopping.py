"""Early stopping: rules that determine from the validation losses when to stop.

In this module an epoch is the training between two validations, one pass over the data by default. Every rule also
stops at a loss that is not finite. Rules have no state of their own: they compute the next state from a state and the
next loss. The state can thus be saved in a checkpoint, to resume the run:

    state = rule.initial()
    while not state.should_stop:
        state = rule.update(state, train_one_epoch())
        if state.improved:
            best_parameters = copy_of(parameters)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from rnnaudio.errors import RnnaudioError
from rnnaudio.records import Record
from rnnaudio.text import visible


class StoppingState(NamedTuple):
    """State of a rule after ``epoch`` epochs: 0 before training, 1 after the first epoch.

    best_loss, best_epoch
        the lowest loss so far (infinity before the first epoch) and the first epoch with this loss.
    improved
        True if the last epoch has the lowest loss so far, so that its parameters should be saved.
    should_stop, reason
        True to stop, and a clause for the user that gives the reason; empty while training continues.
    reference_loss, reference_epoch
        loss and epoch of the last improvement by more than ``min_improvement`` (EarlyStopping).
    recent_losses
        the latest losses that the rule uses, the oldest first (MeanDifferenceStopping).
    """

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    improved: bool = False
    should_stop: bool = False
    reason: str = ""
    reference_loss: float = math.inf
    reference_epoch: int = 0
    recent_losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class EarlyStopping:
    """Stop after ``patience`` epochs in which the loss did not fall by more than ``min_improvement``.

    The fall is measured from the loss of the last epoch that counted as an improvement, so slow progress accumulates.
    The best loss of the state is the lowest loss, regardless of ``min_improvement``. ``patience`` is a number of
    epochs, at least 1. ``min_improvement`` is in the unit of the loss, at least 0. RnnaudioError for other values.
    """

    patience: int = 20
    min_improvement: float = 0.0

    def __post_init__(self) -> None:
        _require(self.patience >= 1, "patience", self.patience, "at least 1 epoch")
        _require(0.0 <= self.min_improvement < math.inf, "min_improvement", self.min_improvement, "0 or more")

    def initial(self) -> StoppingState:
        """Return the state before the first epoch."""
        return StoppingState()

    def update(self, state: StoppingState, loss: float) -> StoppingState:
        """Return the state after one more epoch with this validation loss."""
        state = _observe(state, loss)
        if state.should_stop:
            return state
        if loss < state.reference_loss - self.min_improvement:
            return state._replace(reference_loss=float(loss), reference_epoch=state.epoch)
        if state.epoch - state.reference_epoch < self.patience:
            return state
        by = f" by more than {self.min_improvement:g}" if self.min_improvement else ""
        return _stop(state, f"the validation loss has not improved{by} for {self.patience} validations")


@dataclass(frozen=True)
class MeanDifferenceStopping:
    """Stop when the mean change of the loss per epoch, over the last ``window`` epochs, exceeds ``threshold``.

    This is the rule of the MNIST run of 2016. The mean change is (loss[t] - loss[t - window]) / window, so the rule
    first applies after window + 1 epochs. With a threshold of -d, training continues while the loss falls by d or more
    per epoch. The rule always stops after ``max_epochs`` epochs. ``window`` and ``max_epochs`` are at least 1;
    ``threshold`` is finite, in units of the loss per epoch. RnnaudioError for other values.
    """

    window: int = 10
    threshold: float = -1e-5
    max_epochs: int = 150

    def __post_init__(self) -> None:
        _require(self.window >= 1, "window", self.window, "at least 1 epoch")
        _require(math.isfinite(self.threshold), "threshold", self.threshold, "a finite number")
        _require(self.max_epochs >= 1, "max_epochs", self.max_epochs, "at least 1 epoch")

    def initial(self) -> StoppingState:
        """Return the state before the first epoch."""
        return StoppingState()

    def update(self, state: StoppingState, loss: float) -> StoppingState:
        """Return the state after one more epoch with this validation loss."""
        state = _observe(state, loss)
        if state.should_stop:
            return state
        recent = (*state.recent_losses, float(loss))[-(self.window + 1) :]
        state = state._replace(recent_losses=recent)
        mean_difference = (recent[-1] - recent[0]) / self.window
        if len(recent) == self.window + 1 and mean_difference > self.threshold:
            change = f"{mean_difference:.3g} per epoch over {self.window} epochs"
            return _stop(state, f"the validation loss changed by {change}, more than {self.threshold:g}")
        if state.epoch >= self.max_epochs:
            return _stop(state, f"the limit of {self.max_epochs} epochs is reached")
        return state


def to_json(state: StoppingState) -> Record:
    """Convert a state to a JSON-serialisable record; losses that are infinite become None."""
    record = state._asdict()
    for name in ("best_loss", "reference_loss"):
        record[name] = record[name] if math.isfinite(record[name]) else None
    return {**record, "recent_losses": list(state.recent_losses)}


def from_json(record: Record) -> StoppingState:
    """Return the state from a record made by :func:`to_json`; RnnaudioError if a field is missing or unknown."""
    if set(record) != set(StoppingState._fields):
        raise RnnaudioError(
            f"the stopping state has the fields {sorted(record)}, expected {sorted(StoppingState._fields)}: "
            "it was saved by another version; start the run again"
        )
    losses = {name: math.inf if record[name] is None else record[name] for name in ("best_loss", "reference_loss")}
    others = {"reason": visible(record["reason"]), "recent_losses": tuple(record["recent_losses"])}
    return StoppingState(**{**record, **losses, **others})


def _observe(state: StoppingState, loss: float) -> StoppingState:
    """Return the state after one more epoch, as far as all rules agree: they stop at a loss that is not finite."""
    state = state._replace(epoch=state.epoch + 1, improved=False, should_stop=False, reason="")
    if not math.isfinite(loss):
        return _stop(state, f"the validation loss is not finite ({loss}) in epoch {state.epoch}")
    if loss < state.best_loss:
        return state._replace(best_loss=float(loss), best_epoch=state.epoch, improved=True)
    return state


def _stop(state: StoppingState, reason: str) -> StoppingState:
    return state._replace(should_stop=True, reason=reason)


def _require(fits: bool, name: str, value: float, expected: str) -> None:
    if not fits:
        raise RnnaudioError(f"{name} is {value}: expected {expected}")
