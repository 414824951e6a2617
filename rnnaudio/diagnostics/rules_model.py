"""Rules that detect faults of the model and its free run: each rule detects one fault, from measurements only.

A rule returns a :class:`Found`, or None if the measurements do not show its fault.
"""

from math import isfinite

import numpy as np

from rnnaudio.diagnostics.free_run import DRONE_DB, FADED_DB, RISEN_DB
from rnnaudio.diagnostics.rules_training import Found
from rnnaudio.diagnostics.subject import Measurements

# ---------------------------------------------------------------- the model


def noise_in_readout(m: Measurements) -> Found | None:
    floor = m.figures["floor_after_weights"]
    share = floor / max(m.loss, 1e-30)
    if not share > 0.01:
        return None
    return Found(
        min(1.0, share),
        f"noise after the last weights adds a floor of {floor:.2e} to the training cost; the loss without it is "
        f"{m.loss:.2e}",
        "add noise to input and recurrence only",
    )


def bounded_output(m: Measurements) -> Found | None:
    reach, wanted = m.figures["reach"], m.figures["target_p999"]
    if not (reach < 0.9 * wanted and m.figures["reach_spread"] < 0.05):
        return None
    return Found(
        1.0 - reach / wanted,
        f"no input drives an output beyond {reach:.2f}; one target in a thousand is beyond {wanted:.2f}",
        "use a linear output layer",
    )


def unbounded_memory(m: Measurements) -> Found | None:
    growth, silent = m.figures["late_growth"], m.figures["late_growth_without_input"]
    if not (growth > 1.25 and silent > 1.25 and m.echo.size and m.echo[-1] > 0.3):
        return None
    return Found(
        min(1.0, growth / 4),
        f"the state grows {growth:.1f}-fold in the second half of the run, {silent:.1f}-fold with zeros as input; "
        f"negating a frame changes it by {100 * m.flip:.1f} %, and two initial states stay {m.echo[-1]:.2f} apart",
        "bound the state: let the weights of the old state and of the new input sum to one",
    )


def saturated_gates(m: Measurements) -> Found | None:
    shares = {name: share for name, share in m.saturation.items() if not name.endswith("relu")}
    mean = float(np.mean(list(shares.values()))) if shares else 0.0
    if mean < 0.6:
        return None
    worst = max(shares, key=lambda name: shares[name])
    return Found(
        mean,
        f"on the loudest of some training sequences {100 * mean:.0f} % of all gate values are within 5 % of an end of "
        f"their range, most in {worst} ({100 * shares[worst]:.0f} %)",
        "use smaller initial weights, a lower learning rate, inputs of standard deviation 1",
    )


def dead_units(m: Measurements) -> Found | None:
    dead = {name: share for name, share in m.saturation.items() if name.endswith("relu") and share > 0.5}
    constant, unmoved = m.figures["constant_units"], m.figures["without_gradient"]
    if not dead and not constant > 0.5 and not unmoved > 0.5:
        return None
    words = [f"{100 * share:.0f} % of {name} are never active" for name, share in dead.items()]
    words += [f"{100 * constant:.0f} % of the state units never change"] if constant > 0.5 else []
    words += [f"{100 * unmoved:.0f} % of the weight arrays receive no gradient at all"] if unmoved > 0.5 else []
    advice = "use smaller steps, biases at 0, or another activation"
    shares = [share for share in (*dead.values(), constant, unmoved) if isfinite(share)]
    return Found(max(shares), "; ".join(words), advice)


def exploding_gradient(m: Measurements) -> Found | None:
    ratio = m.figures["gradient_growth"]
    if not ratio > 30.0:
        return None
    return Found(
        min(1.0, np.log10(ratio) / 6),
        f"the gradient of the last step is {ratio:.1e} times larger at an earlier frame than at the last one",
        "clip the gradient norm; use smaller or orthogonal recurrent weights",
    )


def vanishing_gradient(m: Measurements) -> Found | None:
    kept = m.figures["gradient_kept_per_step"]
    if not kept < 0.57 or m.figures["promised_shift"] == 0:  # reconstructing the current frame needs no state
        return None
    return Found(
        1.0 - kept,
        f"from a lag of 2 to one of 10 frames the gradient keeps {kept:.2f} of its size in each step",
        "let the state forget less in each step: a higher forget bias, or orthogonal recurrent weights",
    )


# ---------------------------------------------------------------- the free run


def two_functions(m: Measurements) -> Found | None:
    apart, towards = m.figures["two_functions_apart"], m.figures["play_towards_twice"]
    drowned = m.figures["play_against_unrolled"] > 3.0 * apart  # noise added on purpose hides the difference
    if not (apart > 1e-3 and towards > 0.5) or drowned:
        return None
    return Found(
        min(1.0, towards),
        f"the first generated frame lies {towards:.2f} of the way from the output of the trained graph after the same "
        f"prime (0) to its output if the last frame is consumed twice (1); these are {apart:.2g} of an output apart",
        "use one step function: consume each frame once",
    )


def noiseless_feedback(m: Measurements) -> Found | None:
    fall, period = m.figures["level_fall_db"], m.figures["period"]
    drones = m.figures["unrest_db"] < DRONE_DB
    settles = m.life is not None and m.life.fault in ("silence", "standstill", "loop", "monotony")
    dies = fall > FADED_DB or period > 0 or drones or settles
    mine = m.errors.get("this model", 1.0)
    works = mine < 0.7 or mine < min((e for name, e in m.errors.items() if name != "this model"), default=0.0)
    if not (dies and works and m.figures["play_against_unrolled"] < 1e-2):
        return None
    course = f"repeats itself every {period:.0f} frames" if period > 0 else f"falls by {fall:.0f} dB"
    course = f"ends in a steady tone (its level varies by {m.figures['unrest_db']:.2f} dB)" if drones else course
    if m.life is not None and settles and not (fall > FADED_DB or period > 0 or drones):
        course = f"dies after {m.life.seconds:.1f} s ({m.life.reason})"
    return Found(
        1.0,
        f"the free run {course} (energy half-life {m.figures['half_life']:.0f} frames) although prediction from true "
        f"frames leaves {m.errors['this model']:.2f} of the energy, and no noise is added to the fed-back frames",
        "a squared error asks for the mean of all continuations, which fades, freezes or loops when it is fed "
        "back: train a recipe that samples; noise added to the output keeps it moving, but sounds like noise",
    )


def free_run_explodes(m: Measurements) -> Found | None:
    rise = -m.figures["level_fall_db"]
    if not rise > RISEN_DB:
        return None
    return Found(
        min(1.0, rise / 100.0),
        f"the free run ends {rise:.0f} dB above the training audio",
        "add noise to the input in training; use a larger ridge in the parallel linear prediction",
    )


def worse_than_baseline(m: Measurements) -> Found | None:
    copying = m.figures["promised_shift"] == 0  # the target is the input: persistence has no error
    names = ("predict zero",) if copying else [name for name in m.errors if name != "this model"]
    others = {name: m.errors[name] for name in names if isfinite(m.errors.get(name, float("nan")))}
    mine = m.errors.get("this model", float("nan"))
    if not others or mine <= 1.05 * min(others.values()):
        return None
    best = min(others, key=lambda name: others[name])
    return Found(
        min(1.0, 1.0 - others[best] / mine) if isfinite(mine) else 1.0,
        f"normalised error {mine:.3g} on the validation batches; {best} has {others[best]:.3g}",
        "train longer, or start from a parallel linear prediction",
    )
