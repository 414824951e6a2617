"""Rules that detect faults of the music and of the length of training: pieces, amount of music, course of the loss.

A rule returns a :class:`Found`, or None if the measurements do not show its fault.
"""

from collections.abc import Sequence
from math import isfinite

import numpy as np

from rnnaudio.diagnostics.course import LEAST_VALIDATIONS
from rnnaudio.diagnostics.pieces import PieceFigures, outliers
from rnnaudio.diagnostics.rules_training import Found
from rnnaudio.diagnostics.subject import Measurements

CODED_LESS = 0.25  # share of all windows: a quarter of them are like music as recorded, but no longer once coded
ADVICE_ON_CODES = (
    "use more codes if they are few (--n-codes), and leave out recordings that are mostly noise, such as the sea, "
    "which codes of spectra play as a steady hiss; no training and no temperature changes that"
)
MOST_SILENT = 0.3  # share of the training windows
MOST_TOGETHER = 4  # pieces named in a sentence
GAP = 1.8  # validation loss over training loss
TURNED_UP = 1.03  # validation loss at the end over the lowest
LEARNT_NOTHING = 0.9  # loss over that of a simple predictor
FEW_SECONDS = 5.0  # with less, nothing else explains a gap
LITTLE_SECONDS = 300.0  # with more music, a gap has other reasons
MORE = 10  # times as much music is advised
GAP_AT_BEST = 2.0  # the same, of the parameters that were kept
CUT_SHORT = 0.5  # of the updates that were planned
STILL_FALLS, STEADILY = 0.02, 0.6
STILL_GAINS = 0.05  # of all that the loss has fallen; see `course_figures`
RATE_IS_DOWN = 0.1  # last learning rate over the highest: below it the schedule has ended, and with it the fall
LIKE_LINEAR = 0.05
DROWNED = 2.0  # power of the noise over that of the prediction error
LIKE_SIGNAL = 1.0  # power of standardised input, with which noise is compared where no error is measured


# ---------------------------------------------------------------- the pieces


def pieces_do_not_belong_together(m: Measurements) -> Found | None:
    found = outliers(m.pieces)
    if not found:
        return None
    named = "; ".join(one.words for one in found[:MOST_TOGETHER])
    more = f"; and {len(found) - MOST_TOGETHER} more" if len(found) > MOST_TOGETHER else ""
    n_all = m.figures["n_pieces"]
    of_all = f" measured of {n_all:.0f}" if n_all > len(m.pieces) else ""
    is_level = [set(one.far) == {"level"} for one in found]
    removed, spared = removable(m.pieces, [one.title for one, level in zip(found, is_level, strict=True) if not level])
    advice = (
        "bring all pieces to one level" if any(is_level) else "",
        "leave out what is of another kind, or train on it alone" if removed else "",
        *(f"all {split} pieces measured are of another kind: build the corpus with others there" for split in spared),
    )
    return Found(
        min(1.0, max(max(one.far.values()) for one in found) / 4),
        f"{len(found)} of {len(m.pieces)} pieces{of_all} stand apart from the median: {named}{more}",
        "; ".join(filter(None, advice)),
        rebuild="--normalise" if any(is_level) else "",
        outliers=removed,
    )


def removable(pieces: Sequence[PieceFigures], titles: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the given titles whose pieces can be removed from the corpus, and the names of the splits to keep whole.

    A corpus with an empty split is refused, so a split (``training`` or ``validation``) stays whole if the removal of
    all given titles would empty it.
    """
    removed, spared = list(dict.fromkeys(titles)), []
    for split, held_out in (("training", False), ("validation", True)):
        own = {piece.title for piece in pieces if piece.held_out == held_out}
        if own and own <= set(removed):
            removed = [title for title in removed if title not in own]
            spared.append(split)
    return tuple(removed), tuple(spared)


def training_on_silence(m: Measurements) -> Found | None:
    share = m.figures["silent_share"]
    if not share > MOST_SILENT:
        return None
    return Found(
        share,
        f"{100 * share:.0f} % of the training time is in silences of 1 s or more (50 dB or more below the music)",
        "shorten the silences: a model trained mostly on silence plays it",
        rebuild="--drop-silence",
    )


def codec_spoils_the_music(m: Measurements) -> Found | None:
    recorded, coded = m.figures["recorded_in_range"], m.figures["coded_in_range"]
    if not recorded - coded > CODED_LESS:
        return None
    return Found(recorded - coded, in_words_coded(recorded, coded), ADVICE_ON_CODES)


def in_words_coded(recorded: float, coded: float) -> str:
    """Return a sentence on the effect of coding and decoding alone on validation music.

    recorded, coded: shares, 0 to 1, of the seconds within the limits of real music, before and after.
    """
    return (
        f"{100 * recorded:.0f} % of the seconds of validation music are within the limits of real music; coded and "
        f"decoded, without any model, {100 * coded:.0f} % are"
    )


def too_little_music(m: Measurements) -> Found | None:
    seconds, gap, at_end = (m.figures[name] for name in ("train_seconds", "gap_at_best", "gap_at_end"))
    in_vain = at_end > GAP and share_of_simple(m) > LEARNT_NOTHING
    overfitted, few = overfitting(m) is not None, seconds < FEW_SECONDS
    explained = overfitted and not few  # by how it was trained
    if not (seconds < LITTLE_SECONDS and (gap > GAP_AT_BEST or in_vain or (overfitted and few))) or explained:
        return None
    gap = max(gap, at_end)
    return Found(
        1.0 if few else 1.0 - np.log(seconds) / np.log(LITTLE_SECONDS),
        f"{seconds:.1f} s of music train {m.figures['n_parameters']:.0f} parameters, and the validation loss is "
        f"{gap:.1f} times the training loss",
        f"give it more music: {max(1.0, MORE * seconds / 60.0):.0f} minutes or more",
    )


# ---------------------------------------------------------------- the course of training


def overfitting(m: Measurements) -> Found | None:
    gap, up, fell = m.figures["gap_at_end"], m.figures["turned_up"], m.figures["train_fell"]
    if not (gap > GAP and up > TURNED_UP and fell < 1.0):
        return None
    return Found(
        min(1.0, 5.0 * (up - 1.0)),
        f"the validation loss ends {100 * (up - 1):.0f} % above its lowest while the training loss falls on; it is "
        f"{gap:.1f} times the training loss",
        "give it more music; more training does not help (the parameters of the lowest validation loss are kept)",
    )


def limit_too_soon(m: Measurements) -> Found | None:
    """Detect training that was cut short: long before the planned number of updates, or while the loss still fell."""
    if m.figures["stopped_early"] == 1.0:  # no limit ended it: more time changes nothing
        return None
    done, planned = m.figures["n_updates"], m.figures["n_planned"]
    if done < CUT_SHORT * planned:
        return Found(
            1.0 - done / planned,
            f"its limit of time ended the training after {done:.0f} of {planned:.0f} updates",
            "train on, for twice as long or longer",
        )
    falls, gains, steadily = (m.figures[name] for name in ("still_falls", "still_gains", "falls_steadily"))
    is_falling = falls > STILL_FALLS or (gains > STILL_GAINS and m.figures["fell"] > STILL_FALLS)
    if not (is_falling and steadily >= STEADILY) or m.figures["rate_at_end"] < RATE_IS_DOWN:
        return None
    third = f"in the last third of its {m.figures['n_validations']:.0f} validations"
    how = f"by {100 * falls:.1f} % {third}"
    if falls <= STILL_FALLS:
        how = f"{100 * gains:.0f} % of all that it has fallen came {third}"
    return Found(
        min(1.0, 5 * falls),
        f"the validation loss was still falling when training ended: {how}",
        "train on, for twice as long",
    )


def no_better_than_linear(m: Measurements) -> Found | None:
    share = share_of_simple(m)
    is_alike = 1.0 - LIKE_LINEAR <= share <= 1.0 + LIKE_LINEAR
    had_a_chance = m.figures["n_validations"] >= LEAST_VALIDATIONS
    if not (is_alike and had_a_chance) or m.figures["promised_shift"] == 0:
        return None
    mine, linear = m.errors.get("this model"), m.errors.get("linear prediction")
    words = (
        f"normalised error {mine:.3g} on the validation batches; linear prediction has {linear:.3g}"
        if m.errors
        else f"the loss of {m.figures['best_loss']:.3g} is {100 * share:.0f} % of that of counting alone"
    )
    return Found(0.1, words, "train longer, or with more units")


def share_of_simple(m: Measurements) -> float:
    """Error of the model over the error of a simple predictor; NaN if either was not measured.

    The simple predictor is linear prediction, or, for a model that does not predict frames, a model that has learnt
    nothing (``blank_loss``).
    """
    if m.errors:
        return m.errors["this model"] / m.errors.get("linear prediction", float("nan"))
    return m.figures["best_loss"] / m.figures["blank_loss"]


def noise_drowns_prediction(m: Measurements) -> Found | None:
    error = least_error(m) if m.errors else LIKE_SIGNAL
    given, fed = m.figures["input_noise_power"], m.figures["fed_noise_power"]
    turned_to_noise = m.life is not None and m.life.fault == "noise"
    if given > DROWNED * error and not given <= m.figures["quiet_power"]:
        what, power = "the noise that training adds to the input", given
    elif is_fed_on_purpose(m) and (fed > DROWNED * error or (fed > 0.5 * error and turned_to_noise)):
        what, power = "the noise that is fed back while it plays", fed
    else:
        return None
    ratio = power / max(error, 1e-30)
    against = (
        f"the prediction error ({power:.2g} and {error:.2g}; the quietest tenth of the frames has less than "
        f"{m.figures['quiet_power']:.2g})"
    )
    return Found(
        min(1.0, ratio / 100),
        f"{what} has {ratio:.2g} times the power of {against if m.errors else 'the signal'}",
        "use less noise, or none: louder than the error, it hides what is to be learnt, and plays as hiss",
    )


def is_fed_on_purpose(m: Measurements) -> bool:
    """True if the first generated frame may differ from the model's output because noise is added on purpose.

    False if a difference is due to a second step function, as in
    :func:`rnnaudio.diagnostics.rules_model.two_functions`, if no frame was generated, or if the model reconstructs its
    input.
    """
    return bool(m.figures["play_towards_twice"] < 0.5 and m.figures["promised_shift"] != 0)


def least_error(m: Measurements) -> float:
    """Mean squared error of the model or of linear prediction, whichever is smaller, on the scale of the samples."""
    mine = m.errors.get("this model", float("nan"))
    linear = m.errors.get("linear prediction", mine)
    return m.loss * min(1.0, linear / mine) if isfinite(linear) and mine > 0 else m.loss
