"""The training loop: updates, validation, early stopping, and the checkpoint from which a run resumes."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
from tqdm import tqdm

from rnnaudio import engine
from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.interrupt import Interrupt
from rnnaudio.nn import Layer
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import Objective
from rnnaudio.optimizers import Optimizer
from rnnaudio.records import Json, Record
from rnnaudio.seeds import check_seed
from rnnaudio.text import visible
from rnnaudio.training import breakdown, checkpoint
from rnnaudio.training.history import HistoryFile, Row
from rnnaudio.training.prefetch import prefetched
from rnnaudio.training.saved import carried_state, check_record, check_values
from rnnaudio.training.schedules import Constant
from rnnaudio.training.segmented import SegmentedTrainStep
from rnnaudio.training.step import BatchArrays, Continuing, Evaluation, StepResult, Totals, TrainStep
from rnnaudio.training.stopping import StoppingState, from_json, to_json


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


def train(
    model: Layer,
    objective: Objective,
    batches: Batches,
    validation: Sequence[BatchArrays],
    *,
    optimizer: Optimizer,
    stopping: StoppingRule,
    run_dir: Path,
    limits: Limits = Limits(),
    schedule: Callable[[int], float] | None = None,
    seed: int = 0,
    segment_steps: int = 0,
    judging: Judging = Judging(),
    resume: bool = False,
    config: Mapping[str, Json] | None = None,
    on_update: Callable[[int], None] | None = None,
    on_validation: Callable[[Row], None] | None = None,
    before_save: Callable[[], None] | None = None,
) -> Run:
    """Train ``model`` until ``stopping``, ``limits`` or Ctrl-C end the run, then set it to its best parameters.

    Returns the run, with the reason why it ended. Each validation appends a row to ``run_dir/history.jsonl``. The file
    ``run_dir/checkpoint.safetensors`` is replaced at each validation, at the end, and in between at intervals of
    ``limits.save_every_seconds``. With ``resume`` a run continues from these files and reaches the same parameters,
    bit for bit, as without the interruption, if engine, mode and kernel are the same.

    batches
        the source of training batches.
    validation
        the batches of each validation, always the same ones.
    stopping
        the early-stopping rule.
    schedule
        learning rate as a function of the number of the update, from 0; None: the constant rate of the optimizer.
    seed
        random seed of noise and dropout.
    segment_steps
        process each batch this many steps at a time, with the same gradient in less memory; see
        :class:`SegmentedTrainStep` for its restrictions. 0: the whole sequence at once.
    judging
        which loss decides about stopping and the best parameters.
    config
        JSON-serialisable settings, saved in the checkpoint's record.
    on_update
        function called before each update with its number, from 0, for example to anneal noise; None: no function.
    on_validation
        function called with each new row of the history; None: the row is printed.
    before_save
        function called before each checkpoint is written, which its exceptions prevent; None: no function.

    RnnaudioError for a seed out of range, if a checkpoint exists and ``resume`` is off, if the checkpoint was trained
    with another model, objective, optimizer, seed or segment length, if no checkpoint can be written, or if the model
    or objective cannot be divided into segments. A loss or gradient that is not finite ends the run without an error;
    the last checkpoint, if there is one, is kept, and ``broke_down`` is added to its record.
    """
    check_seed(seed)
    path = checkpoint.path_to_write(run_dir, resume)
    step = _compiled(model, objective, optimizer, seed, segment_steps)
    evaluate = Evaluation(model, objective, segment_steps, seed if judging.with_noise else None)
    identity: dict[str, Json] = {
        "objective": objective.name, "optimizer": repr(optimizer), "seed": seed, "segment_steps": segment_steps
    }  # fmt: skip
    record = {"config": config, "identity": identity}
    run, rows = Run(stopping.initial()), HistoryFile(path)
    if checkpoint.exists(run_dir):
        run, rows = _resumed(path, model, step, identity, batches)
    schedule = schedule or Constant(optimizer.learning_rate)
    validate_every = limits.validate_every or batches.batches_per_epoch
    run.reason = run.stopping.reason or _beyond(limits, run)
    started, saved_at = time.monotonic() - run.seconds, run.seconds
    indices = range(run.n_updates, limits.max_updates)

    def save() -> None:
        if before_save:
            before_save()
        _save(path, run, model, step, record, rows, judging.keep_all)

    with Interrupt() as interrupt, _progress_bar(run, limits) as bar, prefetched(batches.batch, indices) as coming:
        while not run.reason:
            if on_update:
                on_update(run.n_updates)
            batch = next(coming)
            result = step(batch, run.carried, learning_rate=schedule(run.n_updates), update=run.n_updates)
            run.broke_down = breakdown.of_update(result, objective.fields, batch, batches, run.n_updates + 1)
            if run.broke_down:
                break
            run.n_updates += 1
            run.totals.add(result.values)
            run.carried = result.state if batches.carries_state else None
            run.seconds = time.monotonic() - started
            _advance(bar, run, limits)
            over = _beyond(limits, run)
            if run.n_updates % validate_every == 0 or (over and not run.history):
                run.stopping = _validated(run, result, evaluate(validation), stopping, model, judging.by)
                run.history[-1]["epoch"] = run.n_updates / batches.batches_per_epoch
                run.history[-1]["learning_rate"] = schedule(run.n_updates - 1)
                valid = run.history[-1]["valid"]
                run.broke_down = breakdown.of_validation(valid, objective.fields, validation, run.n_updates)
                if not run.broke_down:
                    save()  # before it is printed, which fails if the terminal has gone
                    saved_at = run.seconds
                (on_validation or _print)(run.history[-1])
                if run.broke_down:
                    break
            if run.seconds - saved_at >= limits.save_every_seconds:
                save()
                saved_at = run.seconds
            run.reason = run.stopping.reason or over or interrupt.reason
        else:
            save()
            run.is_complete = not interrupt.reason
    run.is_interrupted = bool(interrupt.reason)
    if run.broke_down:
        run.reason = interrupt.reason or run.broke_down
        if run.n_saved >= 0:
            checkpoint.annotate(path, {"broke_down": run.broke_down})
    if run.best:
        model.set_values(run.best)
    return run


def _compiled(
    model: Layer, objective: Objective, optimizer: Optimizer, seed: int, segment_steps: int
) -> TrainStep | SegmentedTrainStep:
    if segment_steps == 0:
        return TrainStep(model, objective, optimizer, seed=seed)
    return SegmentedTrainStep(model, objective, optimizer, seed=seed, segment_steps=segment_steps)


def _validated(
    run: Run, result: StepResult, values: dict[str, float], stopping: StoppingRule, model: Layer, by: str
) -> StoppingState:
    """Add a row to the history, copy the parameters if they are the best, and return the stopping rule's new state."""
    first, *others = values
    train = run.totals.values()[first]
    state = stopping.update(run.stopping, train if by == "train" else values[first])
    if state.improved:
        run.best = model.get_values()
    row = {
        "updates": run.n_updates,
        "seconds": run.seconds,
        "train": train,
        "valid": values[first],
        **{f"valid_{name}": values[name] for name in others},
        "is_best": state.improved,
        "gradient_norms": result.gradient_norms,
        "update_ratios": result.update_ratios,
    }
    run.history.append(row)
    run.totals = Totals()
    return state


def _beyond(limits: Limits, run: Run) -> str:
    if run.n_updates >= limits.max_updates:
        return f"the limit of {limits.max_updates} updates is reached"
    if run.seconds >= limits.max_seconds:
        return f"the limit of {limits.max_seconds / 60:g} minutes is reached"
    return ""


def _print(row: Row) -> None:
    best = " best" if row["is_best"] else ""
    tqdm.write(f"epoch {row['epoch']:6.1f}  train {row['train']:.5f}  valid {row['valid']:.5f}{best}")


# ---------------------------------------------------------------- progress: by updates or time, whichever ends first


def duration(seconds: float) -> str:
    """Format a duration: ``45 s`` below two minutes, else in minutes, ``12.3 min``."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _progress_bar(run: Run, limits: Limits) -> tqdm:
    # disable=None: no bar unless the output is a terminal
    layout = "{percentage:3.0f}%|{bar:24}| {elapsed}<{remaining} {desc}"
    return tqdm(total=1.0, initial=_share_done(run, limits), disable=None, bar_format=layout)


def _advance(bar: tqdm, run: Run, limits: Limits) -> None:
    speed = run.n_updates / run.seconds if run.seconds else 0.0
    bar.set_description_str(f"update {run.n_updates}, {speed:.1f}/s", refresh=False)
    bar.update(_share_done(run, limits) - bar.n)


def _share_done(run: Run, limits: Limits) -> float:
    if limits.max_updates <= 0 or limits.max_seconds <= 0.0:  # reached before the first update
        return 1.0
    return min(max(run.n_updates / limits.max_updates, run.seconds / limits.max_seconds), 1.0)


# ---------------------------------------------------------------- to and from the checkpoint


def _save(
    path: Path,
    run: Run,
    model: Layer,
    step: TrainStep | SegmentedTrainStep,
    about: Record,
    rows: HistoryFile,
    keep_all: bool,
) -> None:
    """Append the new rows of the history (up to the best one unless ``keep_all``), then replace the checkpoint."""
    is_kept = keep_all or (bool(run.history) and run.history[-1]["is_best"])
    extent = rows.append(run.history) if is_kept else rows.extent
    groups = {
        "model": model.get_values(),
        "best": run.best,
        "memory": {name: v.get_value() for name, v in step.optimizer_state.variables().items()},
        "carried": {str(k): array for k, array in enumerate(run.carried or [])},
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
    run.n_saved = run.n_updates


def _engine() -> dict[str, str]:
    return {"name": engine.NAME, "version": engine.VERSION, "mode": engine.MODE, "kernel": engine.kernel()}


def _resumed(
    path: Path,
    model: Layer,
    step: TrainStep | SegmentedTrainStep,
    identity: Mapping[str, Json],
    batches: Batches,
) -> tuple[Run, HistoryFile]:
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
