"""Words for a run that breaks down: which loss, gradient or input is not finite, and where it comes from."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from rnnaudio.audio.sources import Samples
from rnnaudio.training.step import BatchArrays, StepResult

READ_AT_ONCE = 1 << 20  # samples of a piece


def of_update(result: StepResult, fields: Sequence[str], batch: BatchArrays, source: object, update: int) -> str:
    """Say what of an update is not finite, and why if the inputs show it; empty if all of it is finite.

    fields: names of the batch's arrays. source: what the batch is from; if it has ``pieces``, they are searched.
    update: its number, from 1.
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
    """Say that the loss of a validation is not finite, and why if the inputs show it; empty if it is."""
    if math.isfinite(loss):
        return ""
    found = (in_inputs(fields, batch, f"batch {number} of validation") for number, batch in enumerate(batches))
    return f"the validation loss is not finite at update {update}{next(filter(None, found), '')}"


def in_inputs(fields: Sequence[str], batch: BatchArrays, what: str) -> str:
    """Say where in a batch the first number is that is not finite, ``: WHAT has nan in ...``; empty if all are."""
    for name in fields:
        values = np.asarray(getattr(batch, name))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            place = tuple(map(int, np.argwhere(~np.isfinite(values))[0]))
            return f": {what} has {values[place]:g} in {name}{list(place)}"
    return ""


def in_pieces(pieces: Iterable[Samples]) -> str:
    """Say which piece is the first with a sample that is not finite; empty if none has one."""
    for number, piece in enumerate(pieces):
        for start in range(0, piece.n_samples, READ_AT_ONCE):
            finite = np.isfinite(piece.read(start, min(start + READ_AT_ONCE, piece.n_samples)))
            if not finite.all():
                title = getattr(piece, "title", f"number {number}")
                return f"; sample {start + int(np.argmin(finite))} of the piece {title!r} is not finite: repair it"
    return ""
