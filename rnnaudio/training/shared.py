"""Data-parallel training: each rank (process) computes gradients for its rows of a batch; all make the same update.

With g_r the gradient of the loss of rank r's rows, and w_r the weight of this loss (the number of elements over which
the loss is a mean, or the sum of their weights), the gradient of the loss of the whole batch is

    g = sum_r w_r g_r / sum_r w_r

The weights may differ. Rows with w_r = 0 do not contribute, even if their gradient is not finite.
"""

import zlib
from typing import TypeAlias, cast

import numpy as np

from rnnaudio import engine, optimizers
from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective
from rnnaudio.parallel import Ranks
from rnnaudio.training.gradients import Backward, Gradients, Update, WholeGradients
from rnnaudio.training.resuming import Step
from rnnaudio.training.run import Batches, PartialBatches, Run
from rnnaudio.training.segmented import SegmentedGradients, SegmentedTrainStep, training_step
from rnnaudio.training.step import BatchArrays, StepResult, Sums, TrainStep


class SharedTrainStep:
    """A training step on several ranks. Each rank calls it with its rows of the batch and of the state.

    The update is the same, up to rounding, as that of the whole batch in one process, with the same noise. The result
    contains loss, values and norms of the whole batch, and the final state of the rank's rows.

    RnnaudioError if the objective does not return the weight of its loss, or if the model has statistics of whole
    batches, such as those of batch normalisation.
    """

    def __init__(
        self,
        model: Layer,
        objective: Objective,
        optimizer: optimizers.Optimizer,
        *,
        seed: int,
        segment_steps: int,
        ranks: Ranks,
    ):
        self._ranks = ranks
        with engine.part_of_batches(ranks.share.rank, ranks.share.size):
            self._gradients = _compiled(model, objective, seed, segment_steps)
        _refuse(self._gradients, objective)
        self.parameters = self._gradients.parameters
        self._update = Update(optimizer, self.parameters, self._gradients.mode)
        self.optimizer_state = self._update.state
        sizes = [p.get_value(borrow=True).shape for p in self.parameters.values()]
        self._buffer = np.empty(sum(int(np.prod(shape)) for shape in sizes), engine.float_type())
        ends = np.cumsum([int(np.prod(shape)) for shape in sizes])[:-1]
        parts = zip(self.parameters, np.split(self._buffer, ends), sizes, strict=True)
        self._reduced = {name: part.reshape(shape) for name, part, shape in parts}  # views of the buffer

    def __call__(
        self, batch: BatchArrays, state: list[Array] | None, *, learning_rate: float, update: int
    ) -> StepResult:
        """Update the parameters in place once all ranks have called this. Arguments: see :class:`TrainStep`."""
        mine = self._gradients(batch, state, update=update)
        weight, loss, values = self._summed(mine)
        self._reduce(mine, weight)
        norms, ratios = self._update(self._reduced, learning_rate)
        return StepResult(loss, values, norms, ratios, mine.state)

    def _summed(self, mine: Backward) -> tuple[float, float, Sums]:
        """Return weight, loss and reported values of the whole batch, given those of this rank's rows."""
        weighted = mine.weight * mine.loss if mine.weight else 0.0
        sums = np.array([mine.weight, weighted, *(x for pair in mine.values.values() for x in pair)], np.float64)
        self._ranks.add(sums)
        weight, weighted, *terms = sums.tolist()
        values = dict(zip(mine.values, zip(terms[::2], terms[1::2], strict=True), strict=True))
        return weight, weighted / weight if weight else float("nan"), values

    def _reduce(self, mine: Backward, weight: float) -> None:
        """Write the gradients of the whole batch, of total ``weight``, to the arrays of ``_reduced``."""
        share = mine.weight / weight if weight else float("nan")
        for name, view in self._reduced.items():
            if share:
                np.multiply(mine.gradients[name], view.dtype.type(share), out=view)
            else:
                view.fill(0.0)
        self._ranks.add(self._buffer)


def _compiled(model: Layer, objective: Objective, seed: int, segment_steps: int) -> Gradients:
    if segment_steps == 0:
        return WholeGradients(model, objective, seed=seed)
    return SegmentedGradients(model, objective, seed=seed, segment_steps=segment_steps)


def _refuse(gradients: Gradients, objective: Objective) -> None:
    """Raise RnnaudioError if the gradient of the whole batch is not the weighted mean over the ranks."""
    if gradients.statistics:
        names = ", ".join(gradients.statistics)
        raise RnnaudioError(
            f"{names}: statistics of whole batches cannot be computed from parts; train on one process, or without "
            "batch normalisation"
        )
    if not gradients.has_weight:
        raise RnnaudioError(
            f"the objective {objective.name!r} does not tell the weight of its loss, so that parts of a batch cannot "
            "be put together: return it in Outcome(..., weight=...), or train on one process"
        )


AnyStep: TypeAlias = TrainStep | SegmentedTrainStep | SharedTrainStep


def step_on(
    ranks: Ranks, model: Layer, objective: Objective, optimizer: optimizers.Optimizer, *, seed: int, segment_steps: int
) -> AnyStep:
    """Compile the training step of a rank: a :class:`SharedTrainStep` if the ranks divide batches among them.

    Otherwise it is the step for whole batches. ``segment_steps`` is that of :func:`rnnaudio.training.training_step`.
    Errors are those of the classes of the steps.
    """
    if ranks.share.size > 1:
        return SharedTrainStep(model, objective, optimizer, seed=seed, segment_steps=segment_steps, ranks=ranks)
    return training_step(model, objective, optimizer, seed=seed, segment_steps=segment_steps)


class SharedBatches:
    """A source (:class:`rnnaudio.training.run.Batches`) of this rank's rows of each batch of another source.

    Errors are those of :func:`rows_of`; also RnnaudioError if the ranks read different batches.
    """

    def __init__(self, batches: Batches, objective: Objective, ranks: Ranks):
        self._rows, self._batches = rows_of(batches, objective, ranks), cast(PartialBatches, batches)
        first = batches.batch(0)
        arrays = [np.ascontiguousarray(getattr(first, field)) for field in objective.fields]
        _require_same(ranks, arrays, "read different batches from the same corpus")

    @property
    def batches_per_epoch(self) -> int:
        return self._batches.batches_per_epoch

    @property
    def carries_state(self) -> bool:
        return self._batches.carries_state

    @property
    def pieces(self) -> object:
        """The pieces of the source, searched for the cause of a breakdown of training; () if it has none."""
        return getattr(self._batches, "pieces", ())

    def batch(self, index: int) -> BatchArrays:
        return self._batches.part(index, self._rows)


def rows_of(batches: Batches, objective: Objective, ranks: Ranks) -> slice:
    """Return the rows of each batch that belong to this rank.

    RnnaudioError if the number of rows is not a multiple of the number of ranks, or if the source has no method
    ``part``.
    """
    if not isinstance(batches, PartialBatches):
        raise RnnaudioError(
            f"{type(batches).__name__} has no method part(index, rows), which returns some sequences of a batch: "
            "write it, choose other batches, or train on one process"
        )
    return ranks.share.rows(divisible_size(batches, objective, ranks.size, "ranks"))


def divisible_size(batches: Batches, objective: Objective, n_parts: int, of: str) -> int:
    """Return the number of rows of a batch; RnnaudioError if it is not a multiple of ``n_parts``.

    ``of`` is the name of the parts in the message, such as ranks.
    """
    first = batches.batch(0)
    n = int(objective.batch_size(*(getattr(first, field) for field in objective.fields)))
    if n % n_parts:
        raise RnnaudioError(f"a batch of {n} cannot be shared evenly by {n_parts} {of}: give a multiple of {n_parts}")
    return n


def start_together(model: Layer, step: Step, run: Run, ranks: Ranks) -> Run:
    """Copy the parameters, the optimizer's state and the progress of the first rank to all ranks; return the progress.

    The state carried from batch to batch is divided: each rank gets its rows.
    """
    if ranks.size == 1:
        return run
    memory = step.optimizer_state.variables()
    values, slots, run = ranks.from_first((model.get_values(), {n: v.get_value() for n, v in memory.items()}, run))
    model.set_values(values)
    for name, variable in memory.items():
        variable.set_value(slots[name])
    if run.carried is not None:
        run.carried = [np.ascontiguousarray(array[ranks.share.rows(len(array))]) for array in run.carried]
    return run


def whole_state(carried: list[Array] | None, ranks: Ranks) -> list[Array] | None:
    """Return the carried states of all ranks, joined in the order of the batch's rows; None if there are none."""
    if carried is None or ranks.share.size == 1:
        return carried
    return [np.concatenate(parts) for parts in zip(*ranks.gather(carried), strict=True)]


def check_same_parameters(model: Layer, ranks: Ranks) -> None:
    """Raise RnnaudioError unless all ranks have the same parameters, bit for bit."""
    if ranks.size > 1:
        arrays = [np.ascontiguousarray(value) for value in model.get_values().values()]
        _require_same(ranks, arrays, "have different parameters after the same updates")


def _require_same(ranks: Ranks, arrays: list[Array], what: str) -> None:
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(array.reshape(-1).view(np.uint8).data, checksum)
    found = ranks.gather(checksum)
    others = [rank for rank, other in enumerate(found) if other != found[0]]
    if others:
        raise RnnaudioError(
            f"ranks 0 and {others[0]} {what}: start all on machines of the same kind, with the same versions of "
            "rnnaudio and of its libraries"
        )
