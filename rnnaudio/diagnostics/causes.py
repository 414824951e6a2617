"""From what was measured to what is wrong: one small rule a cause, the furthest upstream first.

A rule sees measurements only. Its severity is the place of its cause in the chain from data to sound, for a fault
upstream makes those below it: bad data a bad loss, a bad loss bad weights, bad weights a dead free run.
"""

from collections.abc import Callable
from math import isfinite
from typing import NamedTuple

import numpy as np

from rnnaudio.diagnostics.subject import Cause, Measurements

Rule = Callable[[Measurements], "Found | None"]


class Found(NamedTuple):
    """strength: 0 to 1, how far beyond its threshold; it orders causes of one place in the chain."""

    strength: float
    evidence: str
    advice: str


# ---------------------------------------------------------------- data


def axes_swapped(m: Measurements) -> Found | None:
    along_time, along_batch = m.figures["jump_along_time"], m.figures["jump_along_batch"]
    if not (along_time > 0.5 and along_batch < 0.5 * along_time):
        return None
    return Found(
        1.0 - along_batch / along_time,
        f"the jump from a frame to the next is {along_time:.2f} of that between frames drawn anyhow along time, and "
        f"{along_batch:.2f} along the batch: sound runs along the wrong axis",
        "give frames as (time, batch, sample)",
    )


def clipped_data(m: Measurements) -> Found | None:
    share = m.figures["samples_at_ends"]
    if share < 0.005:
        return None
    return Found(
        min(1.0, 10 * share),
        f"{100 * share:.1f} % of all samples equal the largest or the smallest one",
        "record or scale the sound again without clipping, and check the gain of the conversion to integers",
    )


def min_max_scaling(m: Measurements) -> Found | None:
    std, dc, used = (m.figures[name] for name in ("data_std", "data_dc", "range_used"))
    if 0.4 < std < 2.5 and abs(dc) < 0.25:
        return None
    return Found(
        min(1.0, abs(np.log10(max(std, 1e-9)))),
        f"standard deviation {std:.3g} instead of 1, mean {dc:+.2f} deviations from 0, and 99 % of the samples take "
        f"{100 * used:.0f} % of the range",
        "scale to mean 0 and standard deviation 1 of the training data, and report normalised losses",
    )


def shifted_batch(m: Measurements) -> Found | None:
    size, n = m.figures["effective_batch_size"], m.figures["batch_size"]
    if n < 4 or size > 0.3 * n:
        return None
    return Found(1.0 - size / n, f"a batch of {n:.0f} items is worth {size:.1f}", "draw each item at its own place")


def cost_on_padding(m: Measurements) -> Found | None:
    sounding, silent = m.figures["covered_sounding"], m.figures["covered_silent"]
    if not (sounding < 0.1 and silent > 0.5):
        return None
    return Found(
        1.0 - sounding,
        f"the cost counts {100 * silent:.0f} % of the frames that are exactly zero and {100 * sounding:.0f} % of those "
        "with sound",
        "invert the mask: 1 where a step counts",
    )


def state_not_reset(m: Measurements) -> Found | None:
    unmarked, leak = m.figures["starts_unmarked"], m.figures["reset_leak"]
    if unmarked > 0:
        return Found(
            0.5 + 0.5 * unmarked,
            f"{100 * unmarked:.0f} % of the items that begin somewhere else than the batch before ended go on with "
            "its state",
            "mark them in resets, or do not carry the state",
        )
    if leak > 1e-3:
        return Found(0.5, f"a state that should be reset changes the loss by {100 * leak:.1f} %", "start reset items anew")
    return None


# ---------------------------------------------------------------- cost


def target_is_input(m: Measurements) -> Found | None:
    shift, wanted = m.figures["target_shift"], m.figures["promised_shift"]
    if not isfinite(shift) or not isfinite(wanted) or shift == wanted:
        return None
    return Found(
        1.0,
        f"the loss is smallest where output t is frame t{shift:+.0f}; the strategy promises t{wanted:+.0f}",
        f"shift the target by {wanted:+.0f} frames",
    )


def last_step_cost(m: Measurements) -> Found | None:
    covered = m.coverage > 1e-3 * m.coverage.max() if m.coverage.size else np.ones(1, bool)
    share = float(covered.mean())
    if share > 0.25:
        return None
    return Found(
        1.0 - share,
        f"{covered.sum()} of {len(covered)} steps receive a gradient",
        "count all steps, after a burn-in of a few at most",
    )


# ---------------------------------------------------------------- optimiser


def unscaled_rmsprop(m: Measurements) -> Found | None:
    kept = m.figures["kept_promise"]
    if not kept < 0.05:
        return None
    return Found(
        min(1.0, -np.log10(max(kept, 1e-9)) / 4),
        f"an update is {kept:.1e} of what the rule promises of a gradient of that size",
        "check the rule: does it divide by the root of the mean square that it keeps?",
    )


def frozen_layer(m: Measurements) -> Found | None:
    frozen = [name for name, (ratio, _) in m.step_sizes.items() if ratio == 0.0]
    if not frozen or len(frozen) == len(m.step_sizes):
        return None
    return Found(
        len(frozen) / len(m.step_sizes),
        f"{', '.join(frozen)} have a gradient and never move",
        "hand all parameters to the optimiser",
    )


def learning_rate_too_high(m: Measurements) -> Found | None:
    ratio, rise = m.figures["update_ratio"], m.figures["loss_after_updates"]
    if ratio < 0.1 and rise < 1.5 and isfinite(rise):
        return None
    return Found(
        min(1.0, ratio + 0.2 * rise) if isfinite(rise) else 1.0,
        f"an update changes weights by {ratio:.2g} of their size, and three on one batch multiply its own loss by "
        f"{rise:.2g}",
        "divide the learning rate by 10",
    )


def learning_rate_too_low(m: Measurements) -> Found | None:
    ratio = m.figures["update_ratio"]
    if not ratio < 2e-5:
        return None
    return Found(
        min(1.0, -np.log10(max(ratio, 1e-12)) / 8),
        f"an update changes weights by {ratio:.1e} of their size: a thousand of them hardly move the model",
        "multiply the learning rate by 10 until updates are about 1e-3 of the weights",
    )


# ---------------------------------------------------------------- judging


def validation_is_training(m: Measurements) -> Found | None:
    share = m.figures["validation_in_training"]
    if not share > 0.5:
        return None
    return Found(share, f"{100 * share:.0f} % of the validation snippets stand in the training pieces", "split by piece")


def judged_by_training_cost(m: Measurements) -> Found | None:
    best, valid = m.figures["best_loss"], m.figures["validation_loss"]
    lowest, training = m.figures["history_lowest_valid"], m.figures["history_lowest_train"]
    by_history = isfinite(lowest) and not same(best, lowest) and same(best, training)
    if not by_history and (not isfinite(best) or isfinite(lowest) or same(best, valid, 0.1)):
        return None
    other = f"; the lowest training figure is {training:.4g}" if by_history else ""
    return Found(
        min(1.0, 0.5 + abs(best - valid) / max(best, valid)),
        f"the parameters were chosen by {best:.4g}, but have {valid:.4g} on the validation batches{other}",
        "choose by the loss on fixed validation batches, without noise",
    )


def noise_in_evaluation(m: Measurements) -> Found | None:
    lowest, valid = m.figures["history_lowest_valid"], m.figures["validation_loss"]
    if not (m.noise_floor > 0 and lowest > 1.1 * valid and m.figures["validation_is_whole"]):
        return None
    return Found(
        min(1.0, 1.0 - valid / lowest),
        f"the recorded validation loss is {lowest:.4g}, without noise it is {valid:.4g}",
        "evaluate without noise and dropout",
    )


# ---------------------------------------------------------------- the model


def noise_in_readout(m: Measurements) -> Found | None:
    floor = m.figures["floor_after_weights"]
    share = floor / max(m.loss, 1e-30)
    if not share > 0.01:
        return None
    return Found(
        min(1.0, share),
        f"noise behind the last weights puts a floor of {floor:.2e} under the training cost; the loss without it is "
        f"{m.loss:.2e}",
        "put noise on input and recurrence only",
    )


def bounded_output(m: Measurements) -> Found | None:
    reach, wanted = m.figures["reach"], m.figures["target_p999"]
    if not (reach < 0.9 * wanted and m.figures["reach_spread"] < 0.05):
        return None
    return Found(
        1.0 - reach / wanted,
        f"no input brings an output beyond {reach:.2f}; one target in a thousand is beyond {wanted:.2f}",
        "read the output out with a linear layer",
    )


def unbounded_memory(m: Measurements) -> Found | None:
    growth, silent = m.figures["late_growth"], m.figures["late_growth_without_input"]
    if not (growth > 1.25 and silent > 1.25 and m.echo[-1] > 0.3):
        return None
    return Found(
        min(1.0, growth / 4),
        f"the memory grows {growth:.1f}-fold in the second half of the run, {silent:.1f}-fold with zeros for input; "
        f"negating a frame changes it by {100 * m.flip:.1f} %, and two initial states are still {m.echo[-1]:.2f} apart",
        "bound the memory: let what is kept and what is added sum to one",
    )


def saturated_gates(m: Measurements) -> Found | None:
    shares = {name: share for name, share in m.saturation.items() if not name.endswith("relu")}
    mean = float(np.mean(list(shares.values()))) if shares else 0.0
    if mean < 0.6:
        return None
    worst = max(shares, key=lambda name: shares[name])
    return Found(
        mean,
        f"{100 * mean:.0f} % of all gate values are within 5 % of an end of their range, most in {worst}",
        "smaller initial weights, a lower learning rate, inputs of standard deviation 1",
    )


def dead_units(m: Measurements) -> Found | None:
    dead = {name: share for name, share in m.saturation.items() if name.endswith("relu") and share > 0.5}
    constant = m.figures["constant_units"]
    if not dead and not constant > 0.5:
        return None
    words = [f"{100 * share:.0f} % of {name} are never active" for name, share in dead.items()]
    words += [f"{100 * constant:.0f} % of the memory never moves"] if constant > 0.5 else []
    return Found(max([*dead.values(), constant]), "; ".join(words), "smaller steps, biases at 0, or another activation")


def exploding_gradient(m: Measurements) -> Found | None:
    ratio = m.figures["gradient_growth"]
    if not ratio > 30.0:
        return None
    return Found(
        min(1.0, np.log10(ratio) / 6),
        f"the gradient of the last step is {ratio:.1e} times larger at an earlier frame than at its own",
        "clip the gradient's norm; smaller or orthogonal recurrent weights",
    )


def vanishing_gradient(m: Measurements) -> Found | None:
    kept = m.figures["gradient_kept_per_step"]
    if not kept < 0.5:
        return None
    return Found(
        1.0 - kept,
        f"from a lag of 2 to one of 10 frames the gradient keeps {kept:.2f} of its size in each step",
        "a forget bias of 1 or 2, orthogonal recurrent weights",
    )


# ---------------------------------------------------------------- the free run


def two_functions(m: Measurements) -> Found | None:
    apart, towards = m.figures["two_functions_apart"], m.figures["play_towards_twice"]
    if not (apart > 1e-3 and towards > 0.5):
        return None
    return Found(
        min(1.0, towards),
        f"the first frame played lies {towards:.2f} of the way from what the trained graph says after the same seed "
        f"(0) to what it says if the last frame is consumed twice (1); these are {apart:.2g} of an output apart",
        "one step function: consume each frame once",
    )


def noiseless_feedback(m: Measurements) -> Found | None:
    fall, period = m.figures["level_fall_db"], m.figures["period"]
    drones = m.figures["unrest_db"] < 0.3
    dies = fall > 15.0 or period > 0 or drones
    works = m.errors.get("this model", 1.0) < 0.7
    if not (dies and works and m.figures["play_against_unrolled"] < 1e-2):
        return None
    what = f"repeats itself every {period:.0f} frames" if period > 0 else f"falls by {fall:.0f} dB"
    what = f"ends in a steady tone (its level moves by {m.figures['unrest_db']:.2f} dB)" if drones else what
    return Found(
        1.0,
        f"the free run {what} (energy half-life {m.figures['half_life']:.0f} frames) although prediction from true "
        f"frames leaves {m.errors['this model']:.2f} of the energy, and nothing is added to what is fed back",
        "sample, or add noise of the validation error's variance to each generated frame",
    )


def free_run_explodes(m: Measurements) -> Found | None:
    rise = -m.figures["level_fall_db"]
    if not rise > 40.0:
        return None
    return Found(
        min(1.0, rise / 100.0),
        f"the free run ends {rise:.0f} dB above the sound it was trained on",
        "noise on the input in training; a larger ridge in the linear prediction beside the model",
    )


def worse_than_baseline(m: Measurements) -> Found | None:
    others = {name: error for name, error in m.errors.items() if name != "this model" and isfinite(error)}
    mine = m.errors.get("this model", float("nan"))
    if not others or mine <= 1.05 * min(others.values()):
        return None
    best = min(others, key=lambda name: others[name])
    return Found(
        min(1.0, 1.0 - others[best] / mine) if isfinite(mine) else 1.0,
        f"normalised error {mine:.3g} on the validation batches; {best} has {others[best]:.3g}",
        "train on, or start from linear prediction beside the model",
    )


# name, rule, place in the chain (severity is between it and 0.09 more)
CAUSES: tuple[tuple[str, Rule, float], ...] = (
    ("axes-swapped", axes_swapped, 0.9),
    ("min-max-scaling", min_max_scaling, 0.9),
    ("clipped-data", clipped_data, 0.8),
    ("cost-on-padding", cost_on_padding, 0.8),
    ("target-is-input", target_is_input, 0.8),
    ("last-step-cost", last_step_cost, 0.8),
    ("shifted-batch", shifted_batch, 0.7),
    ("state-not-reset", state_not_reset, 0.7),
    ("frozen-layer", frozen_layer, 0.7),
    ("unscaled-rmsprop", unscaled_rmsprop, 0.6),
    ("learning-rate-too-low", learning_rate_too_low, 0.5),
    ("bounded-output", bounded_output, 0.6),
    ("noise-in-readout", noise_in_readout, 0.6),
    ("unbounded-memory", unbounded_memory, 0.6),
    ("validation-is-training", validation_is_training, 0.6),
    ("judged-by-training-cost", judged_by_training_cost, 0.5),
    ("noise-in-evaluation", noise_in_evaluation, 0.5),
    ("learning-rate-too-high", learning_rate_too_high, 0.5),
    ("saturated-gates", saturated_gates, 0.4),
    ("dead-units", dead_units, 0.4),
    ("exploding-gradient", exploding_gradient, 0.3),
    ("vanishing-gradient", vanishing_gradient, 0.3),
    ("two-functions", two_functions, 0.3),
    ("free-run-explodes", free_run_explodes, 0.2),
    ("noiseless-feedback", noiseless_feedback, 0.2),
    ("worse-than-baseline", worse_than_baseline, 0.1),
)


def causes(measured: Measurements) -> tuple[Cause, ...]:
    """All causes that the measurements show, most severe first."""
    found = []
    for name, rule, place in CAUSES:
        result = rule(measured)
        if result is not None:
            strength = float(np.clip(result.strength, 0.0, 1.0)) if isfinite(result.strength) else 1.0
            found.append(Cause(name, round(place + 0.09 * strength, 4), result.evidence, result.advice))
    found.sort(key=lambda cause: -cause.severity)
    if any(cause.severity >= 0.3 for cause in found):
        found = [cause for cause in found if cause.name != "noiseless-feedback"]
    return tuple(found)


def same(a: float, b: float, tolerance: float = 1e-4) -> bool:
    """Whether two figures agree, relatively; what is not a number agrees with nothing."""
    return abs(a - b) <= tolerance * max(abs(a), abs(b))
