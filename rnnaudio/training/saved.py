"""The entries of the record that training saves in a checkpoint, and checks of saved runs."""

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
    """The state of the early-stopping rule. The optional entries are needed only to resume a run."""

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
    """The engine that trained the run: its name, version and mode, and the kernel in use."""

    name: str
    version: str
    mode: str
    kernel: str


class RunEntry(TypedDict):
    """The record of a run; see :class:`rnnaudio.training.Run`.

    ``broke_down`` describes the loss or gradient that was not finite, if this has ended the run. ``identity`` contains
    the settings that must be the same when the run is resumed. ``packed`` is True for a run in a pack
    (:mod:`rnnaudio.runs.packs`), which cannot be resumed.
    """

    n_updates: Count
    seconds: NotNegative
    history: list[RowEntry]
    stopping: StoppingEntry
    totals: NotRequired[dict[str, list[Finite]]]
    identity: NotRequired[Record]
    engine: NotRequired[EngineEntry]
    broke_down: NotRequired[str]
    packed: NotRequired[bool]


def check_record(record: Record, path: Path) -> None:
    """Check types and ranges of all entries of a record.

    RnnaudioError for the first wrong entry, with its name and the ``path`` of the checkpoint.
    """
    try:
        checked(record, RunEntry, "")
        if any(len(sums) != 2 for sums in record.get("totals", {}).values()):
            raise RnnaudioError("totals are not of two numbers each")
    except RnnaudioError as error:
        raise RnnaudioError(f"{path} is damaged: in its record {error}; take another run") from error


def check_values(shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Array], what: str, path: Path) -> None:
    """Raise RnnaudioError, with the first difference, if names or shapes of saved ``values`` differ from ``shapes``.

    ``what`` is the name of the values in the message, ``path`` the path of the checkpoint in the message.
    """
    difference = describe_difference(shapes, values)
    if difference:
        raise RnnaudioError(f"{path} is damaged: of its {what} {difference}; take another run")


def carried_state(saved: Mapping[str, Array], widths: Sequence[int], n_sequences: int, path: Path) -> list[Array]:
    """Return the arrays of the state from which the next batch starts, in the order of the model's state.

    saved
        the saved arrays (n_sequences, width), by the names "0", "1", ...
    widths
        the width of each array of the model's state.
    n_sequences
        number of sequences in a batch.
    path
        path of the checkpoint in the error message.

    RnnaudioError if names or shapes do not agree with ``widths`` and ``n_sequences``.
    """
    check_values({str(k): (n_sequences, width) for k, width in enumerate(widths)}, saved, "state", path)
    return [saved[str(k)] for k in range(len(widths))]
