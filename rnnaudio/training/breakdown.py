"""Descriptions of breakdowns of training: the loss, gradient or input that is not finite, and its cause."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from rnnaudio.audio.sources import Samples
from rnnaudio.training.step import BatchArrays, StepResult

READ_AT_ONCE = 1 << 20  # samples of a piece


def of_update(result: StepResult, fields: Sequence[str], batch: BatchArrays, source: object, update: int) -> str:
    """Describe a loss or gradient of an update that is not finite, and the first such value in the inputs, if any.

    result
        the result of the update.
    fields
        names of the arrays of a batch that are searched.
    batch
        the batch of the update.
    source
        the source of the batches; if it has an attribute ``pieces``, their samples are searched, too.
    update
        number of the update, from 1.

    Returns an empty string if loss and gradients are finite.
    """
    norms = {name: norm for name, norm in result.gradient_norms.items() if not math.isfinite(norm)}
    if math.isfinite(result.loss) and not norms:
        return ""
    what = f"the loss ({result.loss:g}) or its gradient is not finite at update {update}"
    if math.isfinite(result.loss):
        name = next(iter(norms))
        what += f", first that of {name} ({norms[name]:g})"
    return what + in_inputs(fields, batch, "its batch") + in_pieces(getattr(source, "pieces", ()))


def of_validation(loss: float, fields: Sequence[str], batches: Sequence[BatchArrays], update: int) -> str:
    """Describe a validation loss that is not finite, and the first such value in the validation batches, if any.

    fields
        names of the arrays of a batch that are searched.
    batches
        the validation batches.
    update
        number of updates before the validation.

    Returns an empty string if the loss is finite.
    """
    if math.isfinite(loss):
        return ""
    found = (in_inputs(fields, batch, f"batch {number} of validation") for number, batch in enumerate(batches))
    return f"the validation loss is not finite at update {update}{next(filter(None, found), '')}"


def in_inputs(fields: Sequence[str], batch: BatchArrays, what: str) -> str:
    """Describe the first NaN or infinity in a batch, as ``: WHAT has nan in FIELD[INDICES]``.

    ``fields`` are the names of the batch's arrays, searched in this order; ``what`` is the name of the batch in the
    text. Returns an empty string if there is no such value.
    """
    for name in fields:
        values = np.asarray(getattr(batch, name))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            place = tuple(map(int, np.argwhere(~np.isfinite(values))[0]))
            return f": {what} has {values[place]:g} in {name}{list(place)}"
    return ""


def in_pieces(pieces: Iterable[Samples]) -> str:
    """Describe the first sample of the pieces that is not finite, by index and piece; an empty string for none."""
    for number, piece in enumerate(pieces):
        for start in range(0, piece.n_samples, READ_AT_ONCE):
            finite = np.isfinite(piece.read(start, min(start + READ_AT_ONCE, piece.n_samples)))
            if not finite.all():
                title = getattr(piece, "title", f"number {number}")
                return f"; sample {start + int(np.argmin(finite))} of the piece {title!r} is not finite: repair it"
    return ""
