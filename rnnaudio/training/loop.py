"""The training loop: updates, validation and early stopping."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from rnnaudio.interrupt import Interrupt
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective
from rnnaudio.optimizers import Optimizer
from rnnaudio.parallel import ALONE, Ranks
from rnnaudio.records import Json
from rnnaudio.seeds import check_seed
from rnnaudio.training import breakdown, checkpoint, resuming
from rnnaudio.training.history import HistoryFile, Row
from rnnaudio.training.prefetch import prefetched
from rnnaudio.training.progress import advance, progress_bar
from rnnaudio.training.run import BY_VALIDATION, NO_LIMITS, Batches, Judging, Limits, Run, StoppingRule
from rnnaudio.training.schedules import Constant
from rnnaudio.training.segmented import SegmentedTrainStep
from rnnaudio.training.shared import (
    SharedBatches,
    SharedTrainStep,
    check_same_parameters,
    start_together,
    whole_state,
)
from rnnaudio.training.step import BatchArrays, Evaluation, StepResult, Totals, TrainStep
from rnnaudio.training.stopping import StoppingState


def train(
    model: Layer,
    objective: Objective,
    batches: Batches,
    validation: Sequence[BatchArrays],
    *,
    optimizer: Optimizer,
    stopping: StoppingRule,
    run_dir: Path,
    limits: Limits = NO_LIMITS,
    schedule: Callable[[int], float] | None = None,
    seed: int = 0,
    segment_steps: int = 0,
    judging: Judging = BY_VALIDATION,
    resume: bool = False,
    config: Mapping[str, Json] | None = None,
    on_update: Callable[[int], None] | None = None,
    on_validation: Callable[[Row], None] | None = None,
    before_save: Callable[[], None] | None = None,
    ranks: Ranks = ALONE,
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
    ranks
        the processes that train the run together and call this function with the same arguments. Each computes the
        gradients of its share of every batch; the first alone reads and writes files and shows the progress.

    RnnaudioError for a seed out of range, if a checkpoint exists and ``resume`` is off, if the checkpoint was trained
    with another model, objective, optimizer, seed or segment length, if no checkpoint can be written, or if the model
    or objective cannot be divided into segments, or the batches not between the ranks. A loss or gradient that is not
    finite ends the run without an error; the last checkpoint, if there is one, is kept, and ``broke_down`` is added to
    its record.
    """
    check_seed(seed)
    path = checkpoint.path_to_write(run_dir, resume) if ranks.is_first else checkpoint.path_in(run_dir)
    source = SharedBatches(batches, objective, ranks) if ranks.share.size > 1 else batches
    step = _compiled(model, objective, optimizer, seed, segment_steps, ranks)
    evaluate = Evaluation(model, objective, segment_steps, seed if judging.with_noise else None)
    identity: dict[str, Json] = {
        "objective": objective.name, "optimizer": repr(optimizer), "seed": seed, "segment_steps": segment_steps
    }  # fmt: skip
    record = {"config": config, "identity": identity}
    run, rows = Run(stopping.initial()), HistoryFile(path)
    checkpoint.forget_own(path)
    if ranks.is_first and checkpoint.exists(run_dir):
        run, rows = resuming.resumed(path, model, step, identity, batches)
    run = start_together(model, step, run, ranks)
    schedule = schedule or Constant(optimizer.learning_rate)
    validate_every = limits.validate_every or batches.batches_per_epoch
    run.reason = run.stopping.reason or _beyond(limits, run)
    started, saved_at = time.monotonic() - run.seconds, run.seconds
    indices = range(run.n_updates, limits.max_updates)

    def save() -> None:
        if before_save:
            before_save()
        check_same_parameters(model, ranks)
        carried = whole_state(run.carried, ranks)
        if ranks.is_first:
            resuming.save(path, run, model, step, record, rows, judging.keep_all, carried)
        run.n_saved = run.n_updates

    shown = progress_bar(run, limits, is_hidden=not ranks.is_first)
    with Interrupt() as interrupt, shown as bar, prefetched(source.batch, indices) as coming:
        while not run.reason:
            if on_update:
                on_update(run.n_updates)
            batch = next(coming)
            ranks.meet()  # if a rank has failed, all end here
            result = step(batch, run.carried, learning_rate=schedule(run.n_updates), update=run.n_updates)
            run.broke_down = breakdown.of_update(result, objective.fields, batch, source, run.n_updates + 1)
            if run.broke_down:
                break
            run.n_updates += 1
            run.totals.add(result.values)
            run.carried = result.state if batches.carries_state else None
            run.seconds = ranks.meet(time.monotonic() - started).seconds
            advance(bar, run, limits)
            over = _beyond(limits, run)
            if run.n_updates % validate_every == 0 or (over and not run.history):
                run.stopping = _validated(run, result, evaluate(validation, ranks), stopping, model, judging.by)
                run.history[-1]["epoch"] = run.n_updates / batches.batches_per_epoch
                run.history[-1]["learning_rate"] = schedule(run.n_updates - 1)
                valid = run.history[-1]["valid"]
                run.broke_down = breakdown.of_validation(valid, objective.fields, validation, run.n_updates)
                if not run.broke_down:
                    save()  # before it is printed, which fails if the terminal has gone
                    saved_at = run.seconds
                if ranks.is_first:
                    (on_validation or _print)(run.history[-1])
                if run.broke_down:
                    break
            if run.seconds - saved_at >= limits.save_every_seconds:
                save()
                saved_at = run.seconds
            asked = interrupt.adopted(ranks.meet(signal=interrupt.number).signal)
            run.reason = run.stopping.reason or over or asked
        else:
            save()
    asked = interrupt.adopted(ranks.meet(signal=interrupt.number).signal)
    run.is_interrupted, run.is_complete = bool(asked), not (asked or run.broke_down)
    if run.broke_down:
        run.broke_down = max(ranks.gather(run.broke_down), key=len)  # the rank that read what is not finite says where
        run.reason = asked or run.broke_down
        if ranks.is_first and run.n_saved >= 0:
            checkpoint.annotate(path, {"broke_down": run.broke_down})
    if run.best:
        model.set_values(run.best)
    return run


def _compiled(
    model: Layer, objective: Objective, optimizer: Optimizer, seed: int, segment_steps: int, ranks: Ranks
) -> TrainStep | SegmentedTrainStep | SharedTrainStep:
    if ranks.share.size > 1:
        return SharedTrainStep(model, objective, optimizer, seed=seed, segment_steps=segment_steps, ranks=ranks)
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
