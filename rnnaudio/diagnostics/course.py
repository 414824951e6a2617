"""Measurements of the course of training, from a run's history: overfitting, and loss that was still falling."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnaudio.records import Record

LEAST_VALIDATIONS = 8  # fewer do not show a trend


def course_figures(history: Sequence[Record]) -> dict[str, float]:
    """Measure the course of training from a history with one row per validation; returns figures by name.

    Losses enter as ratios only, so their unit does not matter.

    n_validations, rate_at_end
        number of rows with training and validation loss; last learning rate over the highest, NaN if not recorded.
    gap_at_best, gap_at_end
        validation loss over training loss, in the row with the lowest validation loss, and at the end.
    turned_up
        validation loss at the end over the lowest validation loss, both as medians of three rows: in a noisy course,
        the lowest single loss is lower than the level that the model had reached.
    train_fell
        training loss at the end over the training loss in the row with the lowest validation loss.
    still_falls
        fall of the validation loss over the last third of the rows (four rows or more), relative to the loss at the
        beginning of this third; both losses are medians of three rows.
    still_gains
        the same fall relative to the whole fall since the first three rows; 0 if the loss has not fallen. A constant
        part of the loss, which no training removes, does not affect it. For a loss that approaches its limit
        exponentially, it is .05 after four time constants.
    fell
        whole fall of the validation loss, from the median of the first three rows, relative to this median.
    falls_steadily
        share of the rows of the last third whose validation loss is the lowest so far.

    A loss at the end is the median of the last three rows. All figures but the first two are NaN for fewer than eight
    rows with both losses, or for losses that are not finite and positive.
    """
    rows = [(row["train"], row["valid"]) for row in history if "train" in row and "valid" in row]
    names = (
        "gap_at_best", "gap_at_end", "turned_up", "train_fell", "still_falls", "falls_steadily", "still_gains", "fell"
    )  # fmt: skip
    rates = [row["learning_rate"] for row in history if "learning_rate" in row]
    first = {"rate_at_end": rates[-1] / max(rates) if rates else float("nan"), "n_validations": float(len(rows))}
    train, valid = np.array(rows, np.float64).reshape(-1, 2).T
    if len(rows) < LEAST_VALIDATIONS or not (np.isfinite(valid).all() and min(valid.min(), train.min()) > 0):
        return {**first, **dict.fromkeys(names, float("nan"))}
    best, n_late = int(np.argmin(valid)), max(4, len(rows) // 3)
    late, end = valid[-n_late - 1 :], float(np.median(valid[-3:]))
    lowest, smooth = np.minimum.accumulate(valid), np.median(sliding_window_view(valid, 3), axis=1)
    start, third = float(smooth[0]), float(np.median(late[:3]))
    figures = (
        valid[best] / train[best],
        end / float(np.median(train[-3:])),
        end / smooth.min(),
        float(np.median(train[-3:])) / train[best],
        1.0 - end / third,
        np.mean(lowest[-n_late:] < lowest[-n_late - 1 : -1]),
        (third - end) / (start - end) if end < start else 0.0,
        1.0 - end / start,
    )
    return {**first, **dict(zip(names, map(float, figures), strict=True))}
