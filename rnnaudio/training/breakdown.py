"""Descriptions of breakdowns of training: which loss, gradient or input is not finite, and where it comes from."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from rnnaudio.audio.sources import Samples
from rnnaudio.training.step import BatchArrays, StepResult

READ_AT_ONCE = 1 << 20  # samples of a piece


def of_update(result: StepResult, fields: Sequence[str], batch: BatchArrays, source: object, update: int) -> str:
    """Describe which loss or gradient of an update is not finite, and the cause if it lies in the inputs.

    Empty if loss and gradients are finite. fields: names of the batch's arrays. source: the source of batches; if it
    has an attribute ``pieces``, samples that are not finite are searched there. update: number of the update, from 1.
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
    """Describe a validation loss that is not finite, and the cause if it lies in a batch; empty if the loss is finite.

    fields: names of the arrays of a batch. batches: the validation batches. update: number of updates before the
    validation.
    """
    if math.isfinite(loss):
        return ""
    found = (in_inputs(fields, batch, f"batch {number} of validation") for number, batch in enumerate(batches))
    return f"the validation loss is not finite at update {update}{next(filter(None, found), '')}"


def in_inputs(fields: Sequence[str], batch: BatchArrays, what: str) -> str:
    """Describe the first NaN or infinity in a batch, ``: WHAT has nan in FIELD[INDICES]``; empty if there is none.

    fields: names of the batch's arrays, searched in this order. what: name of the batch in the text, WHAT.
    """
    for name in fields:
        values = np.asarray(getattr(batch, name))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            place = tuple(map(int, np.argwhere(~np.isfinite(values))[0]))
            return f": {what} has {values[place]:g} in {name}{list(place)}"
    return ""


def in_pieces(pieces: Iterable[Samples]) -> str:
    """Describe the first sample of the pieces that is not finite, with its index and piece; empty if there is none."""
    for number, piece in enumerate(pieces):
        for start in range(0, piece.n_samples, READ_AT_ONCE):
            finite = np.isfinite(piece.read(start, min(start + READ_AT_ONCE, piece.n_samples)))
            if not finite.all():
                title = getattr(piece, "title", f"number {number}")
                return f"; sample {start + int(np.argmin(finite))} of the piece {title!r} is not finite: repair it"
    return ""
