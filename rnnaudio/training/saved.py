"""Entries of the record that training saves in a checkpoint, and checks of a saved run against the model it is for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn.layer import describe_difference
from rnnaudio.records import Record
from rnnaudio.schema import Between, Count, Finite, NotNegative, checked


class RowEntry(TypedDict):
    """A row of the history; see :class:`rnnaudio.training.Run`."""

    updates: Annotated[int, Between(1, 2**63 - 1)]
    epoch: NotNegative
    seconds: NotNegative
    train: float
    valid: Finite
    is_best: bool
    learning_rate: float
    gradient_norms: dict[str, float]
    update_ratios: dict[str, float]


class StoppingEntry(TypedDict):
    """The state of the early-stopping rule, without the fields that only resuming needs."""

    best_loss: Finite | None
    should_stop: bool
    reason: str
    epoch: NotRequired[Count]
    best_epoch: NotRequired[Count]
    improved: NotRequired[bool]
    reference_loss: NotRequired[Finite | None]
    reference_epoch: NotRequired[Count]
    recent_losses: NotRequired[list[Finite]]


class EngineEntry(TypedDict):
    """The engine that trained the run."""

    name: str
    version: str
    mode: str
    kernel: str


class RunEntry(TypedDict):
    """The record of a run. ``broke_down``: how it ended, if the loss or a gradient was not finite."""

    n_updates: Count
    seconds: NotNegative
    history: list[RowEntry]
    stopping: StoppingEntry
    totals: NotRequired[dict[str, list[Finite]]]
    identity: NotRequired[Record]
    engine: NotRequired[EngineEntry]
    broke_down: NotRequired[str]


def check_record(record: Record, path: Path) -> None:
    """Check types and ranges of all entries. RnnaudioError, for a wrong one, names it and the file ``path``."""
    try:
        checked(record, RunEntry, "")
        if any(len(sums) != 2 for sums in record.get("totals", {}).values()):
            raise RnnaudioError("totals are not of two numbers each")
    except RnnaudioError as error:
        raise RnnaudioError(f"{path} is damaged: in its record {error}; take another run") from error


def check_values(shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Array], what: str, path: Path) -> None:
    """RnnaudioError, with the first difference, if saved ``values`` have other names or shapes; what: their name."""
    difference = describe_difference(shapes, values)
    if difference:
        raise RnnaudioError(f"{path} is damaged: of its {what} {difference}; take another run")


def carried_state(saved: Mapping[str, Array], widths: Sequence[int], n_sequences: int, path: Path) -> list[Array]:
    """The state that the next batch starts from, in order. RnnaudioError for other shapes.

    widths: of the model's states. n_sequences: in a batch.
    """
    check_values({str(k): (n_sequences, width) for k, width in enumerate(widths)}, saved, "state", path)
    return [saved[str(k)] for k in range(len(widths))]
