"""Measurements of how training went, from the history of a run: overfitting, and whether it was still improving."""

from collections.abc import Sequence

import numpy as np

from rnnaudio.records import Record

LEAST_VALIDATIONS = 8  # fewer do not show a trend


def course_figures(history: Sequence[Record]) -> dict[str, float]:
    """Figures of a history, one row per validation; ratios of losses, so they do not depend on the unit.

    n_validations, rate_at_end
        number of rows; learning rate of the last one over the highest, NaN if not recorded.
    gap_at_best, gap_at_end
        validation loss over training loss at the lowest validation loss, and at the end.
    turned_up
        last validation loss (median of the last three) over the lowest.
    train_fell
        training loss at the end over that at the lowest validation loss.
    still_falls
        fall of the validation loss over the last third of the rows, relative to the loss; both ends are medians of
        three rows.
    falls_steadily
        share of the rows in the last third that are the lowest so far.

    NaN, all but the first two, for fewer than eight rows with both losses, or losses that are not positive.
    """
    rows = [(row["train"], row["valid"]) for row in history if "train" in row and "valid" in row]
    names = ("gap_at_best", "gap_at_end", "turned_up", "train_fell", "still_falls", "falls_steadily")
    rates = [row["learning_rate"] for row in history if "learning_rate" in row]
    first = {"rate_at_end": rates[-1] / max(rates) if rates else float("nan"), "n_validations": float(len(rows))}
    train, valid = np.array(rows, np.float64).reshape(-1, 2).T
    if len(rows) < LEAST_VALIDATIONS or not (np.isfinite(valid).all() and min(valid.min(), train.min()) > 0):
        return {**first, **dict.fromkeys(names, float("nan"))}
    best, n_late = int(np.argmin(valid)), max(4, len(rows) // 3)
    late, end = valid[-n_late - 1 :], float(np.median(valid[-3:]))
    lowest = np.minimum.accumulate(valid)
    figures = (
        valid[best] / train[best],
        end / float(np.median(train[-3:])),
        end / valid[best],
        float(np.median(train[-3:])) / train[best],
        1.0 - end / float(np.median(late[:3])),
        np.mean(lowest[-n_late:] < lowest[-n_late - 1 : -1]),
    )
    return {**first, **dict(zip(names, map(float, figures), strict=True))}
