"""From a run to its checkpoint, and back to the run that goes on."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Layer
from rnnaudio.nn.layer import flatten
from rnnaudio.optimizers import OptimizerState
from rnnaudio.records import Json, Record
from rnnaudio.text import visible
from rnnaudio.training import checkpoint
from rnnaudio.training.history import HistoryFile
from rnnaudio.training.run import Batches, Run
from rnnaudio.training.saved import carried_state, check_record, check_values
from rnnaudio.training.step import Continuing, Totals
from rnnaudio.training.stopping import from_json, to_json


class Step(Protocol):
    """A training step, whose optimizer's state a checkpoint holds."""

    @property
    def optimizer_state(self) -> OptimizerState: ...


def save(
    path: Path,
    run: Run,
    model: Layer,
    step: Step,
    about: Record,
    rows: HistoryFile,
    keep_all: bool,
    carried: list[Array] | None,
) -> None:
    """Append the new rows of the history (up to the best one unless ``keep_all``), then replace the checkpoint.

    RnnaudioError, before anything is written, for the reasons of :func:`rnnaudio.training.checkpoint.check_own`.

    carried: the state of the whole batch that the next one starts from; None: it starts from the model's own.
    """
    checkpoint.check_own(path)
    is_kept = keep_all or (bool(run.history) and run.history[-1]["is_best"])
    extent = rows.append(run.history) if is_kept else rows.extent
    groups = {
        "model": model.get_values(),
        "best": run.best,
        "memory": {name: v.get_value() for name, v in step.optimizer_state.variables().items()},
        "carried": {str(k): array for k, array in enumerate(carried or [])},
    }
    record = {
        **about,
        "n_updates": run.n_updates,
        "seconds": run.seconds,
        "history": extent._asdict(),
        "totals": run.totals.sums,
        "stopping": to_json(run.stopping),
        "engine": _engine(),
    }
    arrays = {f"{group}/{name}": a for group, members in groups.items() for name, a in members.items()}
    checkpoint.save(path, checkpoint.Checkpoint(arrays, record), keep_previous=run.n_updates != run.n_saved)
    checkpoint.remember_own(path)


def resumed(
    path: Path,
    model: Layer,
    step: Step,
    identity: Mapping[str, Json],
    batches: Batches,
) -> tuple[Run, HistoryFile]:
    """Read the newest checkpoint at ``path`` into the model and the step; returns the run and its history file.

    identity: what the run must have in common with the one that was saved. batches: of the run that goes on.

    RnnaudioError if the checkpoint is missing or damaged, or if it does not fit.
    """
    saved = checkpoint.newest(path.parent)
    record = saved.record
    check_record(record, path)
    _check_identity(record, identity, path)
    set_model(model, saved.group("model"), path)
    memory = step.optimizer_state.variables()
    shapes = {name: np.shape(v.get_value(borrow=True)) for name, v in memory.items()}
    check_values(shapes, saved.group("memory"), "optimizer's memory", path)
    for name, variable in memory.items():
        variable.set_value(np.asarray(saved.group("memory")[name], variable.dtype))
    best = saved.group("best")
    if best:
        check_values({name: value.shape for name, value in saved.group("model").items()}, best, "best values", path)
    carried = None
    if batches.carries_state and saved.group("carried"):
        n_sequences = len(cast(Continuing, batches.batch(record["n_updates"])).resets)
        carried = carried_state(saved.group("carried"), flatten(model.state_sizes), n_sequences, path)
    if saved.is_previous:
        checkpoint.restore_previous(path)
    rows = HistoryFile(path, saved.extent)
    checkpoint.remember_own(path)
    rows.append(record["history"])  # drops rows beyond the checkpoint; writes those of earlier versions
    run = Run(
        from_json(record["stopping"]),
        record["n_updates"],
        record["seconds"],
        record["history"],
        Totals(record.get("totals")),
        carried,
        best,
        n_saved=record["n_updates"],
    )
    return run, rows


def _check_identity(record: Record, identity: Mapping[str, Json], path: Path) -> None:
    """RnnaudioError if the run was trained with another objective, optimizer or seed; a note on another engine."""
    for name, value in identity.items():
        before = record.get("identity", {}).get(name, 0)  # earlier versions did not save segment_steps
        if before != value:
            raise RnnaudioError(
                f"{path} was trained with another {name}: {before}, now {value}; "
                "resume with the same, or train in another run directory"
            )
    trained_by = record.get("engine", _engine())
    if trained_by != _engine():
        words = "{name} {version}, mode {mode}, kernel {kernel}"
        before, now = (words.format(**e) for e in (trained_by, _engine()))
        note = f"trained with {before}, now {now}: the result may differ in its last bits"
        print(visible(note), file=sys.stderr)


def set_model(model: Layer, values: dict[str, Array], path: Path) -> None:
    """Set the model's parameters and statistics to saved values, by name.

    RnnaudioError, with the first difference, if the saved model has another architecture. path: the checkpoint, for
    the message.
    """
    try:
        model.set_values(values)
    except ValueError as error:
        raise RnnaudioError(f"{path} was trained with another architecture: {error}") from error


def _engine() -> dict[str, str]:
    return {"name": engine.NAME, "version": engine.VERSION, "mode": engine.MODE, "kernel": engine.kernel()}
