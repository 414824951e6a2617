"""The files of a run, its checkpoint and its history: saving a run, and resuming it."""

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
from rnnaudio.training.history import Extent, HistoryFile
from rnnaudio.training.run import Batches, Run
from rnnaudio.training.saved import carried_state, check_record, check_values
from rnnaudio.training.step import Continuing, Totals
from rnnaudio.training.stopping import StoppingState, from_json, to_json


class Step(Protocol):
    """A training step with the state of its optimizer, which is saved in the checkpoint."""

    @property
    def optimizer_state(self) -> OptimizerState: ...


def before_first_update(config: Record) -> checkpoint.Checkpoint:
    """Make the checkpoint of a run before its first update, with the settings ``config`` and without parameters."""
    run = Run(StoppingState())
    record = {"n_updates": run.n_updates, "seconds": run.seconds, "history": [], "stopping": to_json(run.stopping)}
    return checkpoint.Checkpoint({}, {"config": config, **record})


class RunFiles:
    """The files of a run: its checkpoint at ``path``, and the history beside it.

    model, step
        the model, whose parameters and statistics are saved and restored, and the training step, whose optimizer's
        state is saved and restored.
    identity
        settings, such as the seed, that must be the same when the run is resumed.
    config
        further settings to save; None: none.
    keep_all
        True to save the whole history, False to save only the rows up to the best validation.
    """

    def __init__(
        self,
        path: Path,
        model: Layer,
        step: Step,
        *,
        identity: Mapping[str, Json],
        config: Mapping[str, Json] | None,
        keep_all: bool,
    ):
        self.path, self._model, self._step = path, model, step
        self._identity, self._config, self._keep_all = identity, config, keep_all
        self._rows = HistoryFile(path)
        checkpoint.forget_own(path)

    def save(self, run: Run, carried: list[Array] | None) -> None:
        """Append the new rows of the history, then replace the checkpoint.

        ``carried`` is the final state of all sequences of the last batch, from which the next batch starts; None: the
        next batch starts from the model's initial state.

        RnnaudioError if a file cannot be written. The errors of :func:`rnnaudio.training.checkpoint.check_own` are
        raised before anything is written.
        """
        checkpoint.check_own(self.path)
        is_kept = self._keep_all or (bool(run.history) and run.history[-1]["is_best"])
        extent = self._rows.append(run.history) if is_kept else self._rows.extent
        groups = {
            "model": self._model.get_values(),
            "best": run.best,
            "memory": {name: v.get_value() for name, v in self._step.optimizer_state.variables().items()},
            "carried": {str(k): array for k, array in enumerate(carried or [])},
        }
        arrays = {f"{group}/{name}": a for group, members in groups.items() for name, a in members.items()}
        saved = checkpoint.Checkpoint(arrays, self._record(run, extent))
        checkpoint.save(self.path, saved, keep_previous=run.n_updates != run.n_saved)
        checkpoint.remember_own(self.path)

    def _record(self, run: Run, extent: Extent) -> Record:
        return {
            "config": self._config,
            "identity": self._identity,
            "n_updates": run.n_updates,
            "seconds": run.seconds,
            "history": extent._asdict(),
            "totals": run.totals.sums,
            "stopping": to_json(run.stopping),
            "engine": _engine(),
        }

    def resume(self, batches: Batches) -> Run:
        """Set model and step from the newest checkpoint, and return the run.

        ``batches`` is the source of the batches of the resumed run. RnnaudioError if the checkpoint is missing or
        damaged, or if model, identity or batches are not those of the saved run.
        """
        saved = checkpoint.newest(self.path.parent)
        record = saved.record
        check_record(record, self.path)
        _check_identity(record, self._identity, self.path)
        set_model(self._model, saved.group("model"), self.path)
        self._set_memory(saved.group("memory"))
        best = self._best(saved)
        carried = self._carried(saved, batches)
        if saved.is_previous:
            checkpoint.restore_previous(self.path)
        self._rows = HistoryFile(self.path, saved.extent)
        checkpoint.remember_own(self.path)
        self._rows.append(record["history"])  # drops rows beyond the checkpoint; writes those of earlier versions
        return Run(
            from_json(record["stopping"]),
            record["n_updates"],
            record["seconds"],
            record["history"],
            Totals(record.get("totals")),
            carried,
            best,
            n_saved=record["n_updates"],
        )

    def _set_memory(self, values: Mapping[str, Array]) -> None:
        memory = self._step.optimizer_state.variables()
        shapes = {name: np.shape(v.get_value(borrow=True)) for name, v in memory.items()}
        check_values(shapes, values, "optimizer's memory", self.path)
        for name, variable in memory.items():
            variable.set_value(np.asarray(values[name], variable.dtype))

    def _best(self, saved: checkpoint.Checkpoint) -> dict[str, Array]:
        best = saved.group("best")
        if best:
            shapes = {name: value.shape for name, value in saved.group("model").items()}
            check_values(shapes, best, "best values", self.path)
        return best

    def _carried(self, saved: checkpoint.Checkpoint, batches: Batches) -> list[Array] | None:
        """Return the state from which the next batch starts; None for the model's initial state."""
        if not (batches.carries_state and saved.group("carried")):
            return None
        n_sequences = len(cast(Continuing, batches.batch(saved.record["n_updates"])).resets)
        return carried_state(saved.group("carried"), flatten(self._model.state_sizes), n_sequences, self.path)

    def note_breakdown(self, run: Run) -> None:
        """Add the entry ``broke_down`` of the run to the record of its last checkpoint, if it has one."""
        if run.n_saved >= 0:
            checkpoint.annotate(self.path, {"broke_down": run.broke_down})


def _check_identity(record: Record, identity: Mapping[str, Json], path: Path) -> None:
    """Raise RnnaudioError if ``identity`` differs from the saved one; print a note if the engine differs."""
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

    RnnaudioError, with the first difference and the ``path`` of the checkpoint, if names or shapes are not those of
    the model.
    """
    try:
        model.set_values(values)
    except ValueError as error:
        raise RnnaudioError(f"{path} was trained with another architecture: {error}") from error


def _engine() -> dict[str, str]:
    return {"name": engine.NAME, "version": engine.VERSION, "mode": engine.MODE, "kernel": engine.kernel()}
