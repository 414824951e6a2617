"""The training loop: updates, validation and early stopping."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from rnnaudio.interrupt import Interrupt
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective
from rnnaudio.optimizers import Optimizer
from rnnaudio.parallel import ALONE, Ranks
from rnnaudio.records import Json
from rnnaudio.seeds import check_seed
from rnnaudio.training import breakdown, checkpoint
from rnnaudio.training.history import Row
from rnnaudio.training.prefetch import prefetched
from rnnaudio.training.progress import advance, progress_bar
from rnnaudio.training.resuming import RunFiles
from rnnaudio.training.run import BY_VALIDATION, NO_LIMITS, Batches, Judging, Limits, Run, StoppingRule
from rnnaudio.training.schedules import Constant
from rnnaudio.training.shared import (
    AnyStep,
    SharedBatches,
    check_same_parameters,
    start_together,
    step_on,
    whole_state,
)
from rnnaudio.training.step import BatchArrays, Evaluation, StepResult, Totals


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
    ``run_dir/checkpoint.safetensors`` is replaced at each validation, at the end, and whenever
    ``limits.save_every_seconds`` have passed since the last save. With ``resume`` a run continues from these files and
    reaches the same parameters, bit for bit, as without the interruption, if engine, mode and kernel are the same.

    batches
        the source of training batches.
    validation
        the batches of each validation, always the same ones.
    stopping
        the early-stopping rule.
    limits
        numbers of updates and seconds after which the run ends, and intervals of validations and checkpoints.
    schedule
        function that returns the learning rate, given the number of the update, from 0; None: the constant rate of the
        optimizer.
    seed
        random seed of noise and dropout.
    segment_steps
        length of the segments, in steps, into which batches are cut to save memory; the gradient is the same. See
        :class:`SegmentedTrainStep` for the restrictions. 0: the whole sequence at once.
    judging
        the loss that determines when to stop and which parameters are the best.
    config
        JSON-serialisable settings, saved in the checkpoint's record.
    on_update
        function called before each update with its number, from 0, for example to anneal noise; None: no function.
    on_validation
        function called with each new row of the history; None: the row is printed.
    before_save
        function called before each checkpoint is written; if it raises an exception, the checkpoint is not written.
        None: no function.
    ranks
        the processes that train the run together and call this function with the same arguments. Each computes the
        gradients of its share of every batch. Only the first one reads and writes files and shows the progress.

    Raises RnnaudioError

    * for a seed out of range;
    * if a checkpoint exists and ``resume`` is False;
    * if the checkpoint was trained with another model, objective, optimizer, seed or segment length;
    * if no checkpoint can be written;
    * if the model or objective cannot be computed in segments, or the batches cannot be divided among the ranks.

    A loss or gradient that is not finite ends the run without an error. The last checkpoint, if there is one, is kept,
    and the entry ``broke_down`` is added to its record.
    """
    check_seed(seed)
    path = checkpoint.path_to_write(run_dir, resume) if ranks.is_first else checkpoint.path_in(run_dir)
    mine = SharedBatches(batches, objective, ranks) if ranks.share.size > 1 else batches
    step = step_on(ranks, model, objective, optimizer, seed=seed, segment_steps=segment_steps)
    evaluate = Evaluation(model, objective, segment_steps, seed if judging.with_noise else None)
    identity: dict[str, Json] = {
        "objective": objective.name, "optimizer": repr(optimizer), "seed": seed, "segment_steps": segment_steps
    }  # fmt: skip
    files = RunFiles(path, model, step, identity=identity, config=config, keep_all=judging.keep_all)
    goes_on = ranks.is_first and checkpoint.exists(run_dir)
    run = files.resume(batches) if goes_on else Run(stopping.initial())
    training = Training(
        model=model,
        step=step,
        evaluate=evaluate,
        fields=objective.fields,
        batches=mine,
        validation=validation,
        stopping=stopping,
        judge_by=judging.by,
        limits=limits,
        schedule=schedule or Constant(optimizer.learning_rate),
        files=files,
        ranks=ranks,
        on_update=on_update,
        on_validation=on_validation or _print,
        before_save=before_save,
        run=start_together(model, step, run, ranks),
    )
    return training.loop()


@dataclass(kw_only=True)
class Training:
    """A run in training: the functions, data and settings for updates, validations and saves, and the progress so far.

    Fields that are also arguments of :func:`train` are described there. The others:

    step, evaluate
        compiled functions that make an update and compute the reported values over batches.
    fields
        names of the arrays of a batch that the objective uses.
    batches
        the source of this rank's batches; if the ranks share each batch, it returns only this rank's rows.
    judge_by
        the loss that determines when to stop, ``valid`` or ``train``; see :class:`rnnaudio.training.Judging`.
    files
        the run's checkpoint and history.
    run
        the progress; :meth:`loop` updates and returns it.
    """

    model: Layer
    step: AnyStep
    evaluate: Evaluation
    fields: Sequence[str]
    batches: Batches
    validation: Sequence[BatchArrays]
    stopping: StoppingRule
    judge_by: str
    limits: Limits
    schedule: Callable[[int], float]
    files: RunFiles
    ranks: Ranks
    on_update: Callable[[int], None] | None
    on_validation: Callable[[Row], None]
    before_save: Callable[[], None] | None
    run: Run
    _interrupt: Interrupt = field(default_factory=Interrupt, init=False)

    def __post_init__(self) -> None:
        self._started, self._saved_at = time.monotonic() - self.run.seconds, self.run.seconds

    def loop(self) -> Run:
        """Update, validate and save until the run ends, and return the run."""
        run, limits = self.run, self.limits
        run.reason = run.stopping.reason or limits.reached(run)
        bar = progress_bar(run, limits, is_hidden=not self.ranks.is_first)
        coming = prefetched(self.batches.batch, range(run.n_updates, limits.max_updates))
        with self._interrupt, bar as shown, coming as batches:
            while not run.reason:
                result = self._update(batches)
                if not run.broke_down:
                    advance(shown, run, limits)
                    if self._is_validation_due():
                        self._validate(result)
                if run.broke_down:
                    break  # the last checkpoint, which is finite, stays
                if run.seconds - self._saved_at >= limits.save_every_seconds:
                    self._save()
                run.reason = self._reason_to_end()
            else:
                self._save()
        self._end()
        return run

    def _update(self, batches: Iterator[BatchArrays]) -> StepResult:
        """Update the parameters on the next batch; count the update in the run if loss and gradients are finite."""
        run = self.run
        if self.on_update:
            self.on_update(run.n_updates)
        batch = next(batches)
        self.ranks.meet()  # if a rank has failed, all end here
        result = self.step(batch, run.carried, learning_rate=self.schedule(run.n_updates), update=run.n_updates)
        run.broke_down = breakdown.of_update(result, self.fields, batch, self.batches, run.n_updates + 1)
        if not run.broke_down:
            run.n_updates += 1
            run.totals.add(result.values)
            run.carried = result.state if self.batches.carries_state else None
            run.seconds = self.ranks.meet(time.monotonic() - self._started).seconds
        return result

    def _is_validation_due(self) -> bool:
        """Return True at the interval of validations, and if a limit is reached before the first validation."""
        every = self.limits.validate_every or self.batches.batches_per_epoch
        return self.run.n_updates % every == 0 or (not self.run.history and bool(self.limits.reached(self.run)))

    def _validate(self, result: StepResult) -> None:
        """Evaluate the model, apply the stopping rule, save the run if the loss is finite, and report the row."""
        row = self._judged(self.evaluate(self.validation, self.ranks), result)
        self.run.broke_down = breakdown.of_validation(row["valid"], self.fields, self.validation, self.run.n_updates)
        if not self.run.broke_down:
            self._save()  # before it is printed, which fails if the terminal has gone
        if self.ranks.is_first:
            self.on_validation(row)

    def _judged(self, values: dict[str, float], result: StepResult) -> Row:
        """Apply the stopping rule, copy the parameters if they are the best, and add a row to the history.

        ``values`` are the reported values of the validation, ``result`` is that of the last update. Returns the row.
        """
        run, (first, *others) = self.run, values
        train = run.totals.values()[first]
        run.stopping = self.stopping.update(run.stopping, train if self.judge_by == "train" else values[first])
        if run.stopping.improved:
            run.best = self.model.get_values()
        row: Row = {
            "updates": run.n_updates,
            "seconds": run.seconds,
            "train": train,
            "valid": values[first],
            **{f"valid_{name}": values[name] for name in others},
            "is_best": run.stopping.improved,
            "gradient_norms": result.gradient_norms,
            "update_ratios": result.update_ratios,
            "epoch": run.n_updates / self.batches.batches_per_epoch,
            "learning_rate": self.schedule(run.n_updates - 1),
        }
        run.history.append(row)
        run.totals = Totals()
        return row

    def _save(self) -> None:
        """Replace the checkpoint. RnnaudioError if the ranks have different parameters."""
        run = self.run
        if self.before_save:
            self.before_save()
        check_same_parameters(self.model, self.ranks)
        carried = whole_state(run.carried, self.ranks)
        if self.ranks.is_first:
            self.files.save(run, carried)
        run.n_saved, self._saved_at = run.n_updates, run.seconds

    def _reason_to_end(self) -> str:
        """Return the reason why the run ends after this update; an empty string if it continues."""
        asked = self._asked()
        return self.run.stopping.reason or self.limits.reached(self.run) or asked

    def _asked(self) -> str:
        """Return the reason to end, the same on all ranks, if any rank has received a signal; "" if none has."""
        return self._interrupt.adopted(self.ranks.meet(signal=self._interrupt.number).signal)

    def _end(self) -> None:
        """Record how the run has ended, alike on all ranks; save a breakdown; set the model to its best parameters."""
        run, asked = self.run, self._asked()
        run.is_interrupted, run.is_complete = bool(asked), not (asked or run.broke_down)
        if run.broke_down:
            descriptions = self.ranks.gather(run.broke_down)
            run.broke_down = max(descriptions, key=len)  # the longest says where the value is
            run.reason = asked or run.broke_down
            if self.ranks.is_first:
                self.files.note_breakdown(run)
        if run.best:
            self.model.set_values(run.best)


def _print(row: Row) -> None:
    best = " best" if row["is_best"] else ""
    tqdm.write(f"epoch {row['epoch']:6.1f}  train {row['train']:.5f}  valid {row['valid']:.5f}{best}")
