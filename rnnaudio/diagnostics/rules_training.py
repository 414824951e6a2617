"""Rules that detect faults of data, cost, optimiser and model selection: one fault each, from measurements only.

A rule returns a :class:`Found`, or None if the measurements do not show its fault.
"""

from math import isfinite
from typing import NamedTuple

import numpy as np

from rnnaudio.diagnostics.subject import Measurements

USUAL_UPDATE = 1e-3  # of the weights


class Found(NamedTuple):
    """A fault found by a rule, from which a :class:`rnnaudio.diagnostics.subject.Cause` is made.

    strength: size of the excess over the rule's threshold, clipped later to 0 to 1 (1 if not finite); it ranks causes
    at the same position in the chain from data to sound. The other fields are those of the cause.
    """

    strength: float
    evidence: str
    advice: str
    rate_factor: float = 1.0
    rebuild: str = ""
    outliers: tuple[str, ...] = ()


# ---------------------------------------------------------------- data


def axes_swapped(m: Measurements) -> Found | None:
    along_time, along_batch = m.figures["jump_along_time"], m.figures["jump_along_batch"]
    if not (along_time > 0.5 and along_batch < 0.5 * along_time):
        return None
    return Found(
        1.0 - along_batch / along_time,
        f"relative to random frames, the jump from a frame to the next is {along_time:.2f} along time and "
        f"{along_batch:.2f} along the batch: time runs along the wrong axis",
        "give frames as (time, batch, sample)",
    )


def clipped_data(m: Measurements) -> Found | None:
    share = m.figures["samples_at_ends"]
    if not share >= 0.005:
        return None
    return Found(
        min(1.0, 10 * share),
        f"{100 * share:.1f} % of all samples equal the largest or the smallest one",
        "record or scale the audio again without clipping, and check the gain of the conversion to integers",
    )


def min_max_scaling(m: Measurements) -> Found | None:
    std, dc, used = (m.figures[name] for name in ("data_std", "data_dc", "range_used"))
    if not isfinite(std) or (0.4 < std < 2.5 and abs(dc) < 0.25):
        return None
    return Found(
        min(1.0, abs(np.log10(max(std, 1e-9)))),
        f"standard deviation {std:.3g} instead of 1, mean {dc:+.2f} deviations from 0, and 99 % of the samples span "
        f"{100 * used:.0f} % of the range",
        "scale to mean 0 and standard deviation 1 of the training data, and report normalised losses",
    )


def shifted_batch(m: Measurements) -> Found | None:
    n = m.figures["batch_size"]
    size = n * m.figures["distinct_share"]
    if not n >= 4 or not size <= 0.3 * n:
        return None
    evidence = f"a batch of {n:.0f} items is worth {size:.1f} independent ones"
    return Found(1.0 - size / n, evidence, "sample each item at its own position")


def cost_on_padding(m: Measurements) -> Found | None:
    sounding, silent = m.figures["covered_sounding"], m.figures["covered_silent"]
    if not (sounding < 0.1 and silent > 0.5):
        return None
    return Found(
        1.0 - sounding,
        f"the cost counts {100 * silent:.0f} % of the frames that are exactly zero and {100 * sounding:.0f} % of the "
        "others",
        "invert the mask: 1 where a step counts",
    )


def state_not_reset(m: Measurements) -> Found | None:
    unmarked, leak = m.figures["starts_unmarked"], m.figures["reset_leak"]
    if unmarked > 0:
        return Found(
            0.5 + 0.5 * unmarked,
            f"{100 * unmarked:.0f} % of the items that do not continue the batch before are given its state",
            "mark them in resets, or do not carry the state",
        )
    if not leak > 1e-3:
        return None
    evidence = f"a state that should be reset changes the loss by {100 * leak:.1f} %"
    return Found(0.5, evidence, "start reset items from the initial state")


# ---------------------------------------------------------------- cost


def target_is_input(m: Measurements) -> Found | None:
    shift, wanted = m.figures["target_shift"], m.figures["promised_shift"]
    if not isfinite(shift) or not isfinite(wanted) or shift == wanted:
        return None
    return Found(
        1.0,
        f"the loss is smallest if output t is frame t{shift:+.0f}; the strategy declares t{wanted:+.0f}",
        f"shift the target by {wanted:+.0f} frames",
    )


def last_step_cost(m: Measurements) -> Found | None:
    covered = m.coverage > 1e-3 * m.coverage.max() if m.coverage.size else np.ones(1, bool)
    share = float(covered.mean())
    if share > 0.25 or covered.sum() > 3 or not np.isfinite(m.coverage).all():  # more covered steps: only a burn-in
        return None
    return Found(
        1.0 - share,
        f"{covered.sum()} of {len(covered)} steps receive a gradient",
        "include all steps in the cost, except a burn-in of a few",
    )


# ---------------------------------------------------------------- optimiser


def unscaled_rmsprop(m: Measurements) -> Found | None:
    kept = m.figures["kept_promise"]
    if not kept < 0.05:
        return None
    return Found(
        min(1.0, -np.log10(max(kept, 1e-9)) / 4),
        f"an update is {kept:.1e} of the size expected of the rule for such a gradient",
        "check that the rule divides by the root of its mean square",
    )


def frozen_layer(m: Measurements) -> Found | None:
    frozen = [name for name, (ratio, _) in m.step_sizes.items() if ratio == 0.0]
    if not frozen or len(frozen) == len(m.step_sizes):
        return None
    return Found(
        len(frozen) / len(m.step_sizes),
        f"{', '.join(frozen)} have a gradient and never change",
        "pass all parameters to the optimiser",
    )


def learning_rate_too_high(m: Measurements) -> Found | None:
    rise = m.figures["loss_after_updates"]
    # A schedule may have lowered the rate since.
    ratio = float(np.fmax(m.figures["update_ratio"], m.figures["update_ratio_at_peak"]))
    if not (ratio >= 0.1 or rise >= 1.5):
        return None
    factor = min(0.1, towards_usual_updates(ratio) if isfinite(ratio) else 0.1)
    return Found(
        min(1.0, ratio + 0.2 * rise) if isfinite(rise) else 1.0,
        f"an update changes weights by {ratio:.2g} of their size, and three updates on one batch multiply its loss by "
        f"{rise:.2g}",
        f"divide the learning rate by {round(1 / factor)}: updates of about a thousandth of the weights are usual",
        factor,
    )


def towards_usual_updates(ratio: float) -> float:
    """Return the factor for the learning rate that makes updates about 1e-3 of the weights.

    It is a power of ten from 1e-4 to 1e4. ratio: the size of the present updates over the size of the weights.
    """
    return float(10.0 ** np.clip(np.round(np.log10(USUAL_UPDATE / max(ratio, 1e-12))), -4, 4))


def learning_rate_too_low(m: Measurements) -> Found | None:
    ratio = m.figures["update_ratio_at_peak"]
    others = [error for name, error in m.errors.items() if name != "this model" and isfinite(error)]
    has_learnt = bool(others) and m.errors["this model"] < min(others)  # a trained model has small gradients anyway
    if not ratio < 2e-5 or has_learnt:
        return None
    factor = max(10.0, towards_usual_updates(ratio))
    return Found(
        min(1.0, -np.log10(max(ratio, 1e-12)) / 8),
        f"an update changes weights by {ratio:.1e} of their size: a thousand updates hardly change the model",
        f"multiply the learning rate by {factor:.0f}: updates of about a thousandth of the weights are usual",
        factor,
    )


# ---------------------------------------------------------------- judging


def validation_is_training(m: Measurements) -> Found | None:
    share = m.figures["validation_in_training"]
    if not share > 0.5:
        return None
    evidence = f"{100 * share:.0f} % of the validation snippets occur in the training pieces"
    return Found(share, evidence, "split by piece")


def judged_by_training_cost(m: Measurements) -> Found | None:
    best, valid = m.figures["best_loss"], m.figures["validation_loss"]
    lowest, training = m.figures["history_lowest_valid"], m.figures["history_lowest_train"]
    by_history = isfinite(lowest) and not same(best, lowest) and same(best, training)
    if not isfinite(valid):
        return None
    if not by_history and (not isfinite(best) or isfinite(lowest) or same(best, valid, 0.1)):
        return None
    other = f"; the lowest training figure is {training:.4g}" if by_history else ""
    return Found(
        min(1.0, 0.5 + abs(best - valid) / max(best, valid)),
        f"the parameters were selected by a loss of {best:.4g}, but have {valid:.4g} on the validation batches{other}",
        "select by the loss on fixed validation batches, without noise",
    )


def noise_in_evaluation(m: Measurements) -> Found | None:
    lowest, valid = m.figures["history_lowest_valid"], m.figures["validation_loss"]
    if not (m.noise_floor > 0 and lowest > 1.1 * valid):
        return None
    return Found(
        min(1.0, 1.0 - valid / lowest),
        f"the recorded validation loss is {lowest:.4g}, without noise it is {valid:.4g}",
        "evaluate without noise and dropout",
    )


def same(a: float, b: float, tolerance: float = 1e-4) -> bool:
    """True if two numbers agree within the relative tolerance; False if either is NaN."""
    return abs(a - b) <= tolerance * max(abs(a), abs(b))
