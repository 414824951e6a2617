"""Detection and ranking of the causes of bad results from measurements; causes nearest the data come first.

Each cause has a rule that detects it. The severity of a cause is a number for its position in the chain from data to
sound, plus a little for how far the measurement exceeds the rule's threshold. The position decides because a fault
causes further faults downstream: bad data lead to a bad loss, a bad loss to bad weights, bad weights to a dead free
run.
"""

from collections.abc import Callable
from math import isfinite

import numpy as np

from rnnaudio.diagnostics import rules_model, rules_music, rules_training
from rnnaudio.diagnostics.rules_training import Found
from rnnaudio.diagnostics.subject import Cause, Measurements

Rule = Callable[[Measurements], Found | None]

# (name, rule, place in the chain); the severity is the place plus 0 to 0.09
CAUSES: tuple[tuple[str, Rule, float], ...] = (
    ("axes-swapped", rules_training.axes_swapped, 0.9),
    ("min-max-scaling", rules_training.min_max_scaling, 0.9),
    ("clipped-data", rules_training.clipped_data, 0.8),
    ("cost-on-padding", rules_training.cost_on_padding, 0.8),
    ("target-is-input", rules_training.target_is_input, 0.8),
    ("last-step-cost", rules_training.last_step_cost, 0.8),
    ("training-on-silence", rules_music.training_on_silence, 0.75),
    ("pieces-do-not-belong-together", rules_music.pieces_do_not_belong_together, 0.7),
    ("shifted-batch", rules_training.shifted_batch, 0.7),
    ("state-not-reset", rules_training.state_not_reset, 0.7),
    ("frozen-layer", rules_training.frozen_layer, 0.7),
    ("codec-spoils-the-music", rules_music.codec_spoils_the_music, 0.65),
    ("unscaled-rmsprop", rules_training.unscaled_rmsprop, 0.6),
    ("learning-rate-too-low", rules_training.learning_rate_too_low, 0.5),
    ("bounded-output", rules_model.bounded_output, 0.6),
    ("noise-drowns-prediction", rules_music.noise_drowns_prediction, 0.55),
    ("too-little-music", rules_music.too_little_music, 0.5),
    ("noise-in-readout", rules_model.noise_in_readout, 0.6),
    ("unbounded-memory", rules_model.unbounded_memory, 0.6),
    ("validation-is-training", rules_training.validation_is_training, 0.6),
    ("judged-by-training-cost", rules_training.judged_by_training_cost, 0.5),
    ("noise-in-evaluation", rules_training.noise_in_evaluation, 0.5),
    ("learning-rate-too-high", rules_training.learning_rate_too_high, 0.5),
    ("overfitting", rules_music.overfitting, 0.5),
    ("saturated-gates", rules_model.saturated_gates, 0.4),
    ("dead-units", rules_model.dead_units, 0.4),
    ("exploding-gradient", rules_model.exploding_gradient, 0.3),
    ("vanishing-gradient", rules_model.vanishing_gradient, 0.3),
    ("two-functions", rules_model.two_functions, 0.3),
    ("limit-too-soon", rules_music.limit_too_soon, 0.3),
    ("no-better-than-linear", rules_music.no_better_than_linear, 0.285),
    ("free-run-explodes", rules_model.free_run_explodes, 0.2),
    ("noiseless-feedback", rules_model.noiseless_feedback, 0.2),
    ("worse-than-baseline", rules_model.worse_than_baseline, 0.1),
)

# Causes that can be named before training.
OF_MUSIC = {"clipped-data", "training-on-silence", "pieces-do-not-belong-together"}

# Causes that worsen a model, but do not explain a free run that fades or freezes.
LESSER = {
    "training-on-silence",
    "pieces-do-not-belong-together",
    "too-little-music",
    "overfitting",
    "limit-too-soon",
    "no-better-than-linear",
}


def causes(measured: Measurements) -> tuple[Cause, ...]:
    """Apply all rules to the measurements; returns the causes found, most severe first (an empty tuple if none).

    The cause ``noiseless-feedback`` is left out if another cause of severity 0.3 or more is found that also explains a
    dead free run, as all do except those in ``LESSER``. The cause ``learning-rate-too-low`` is left out if
    ``unscaled-rmsprop`` is found, which makes updates too small at any usual rate.
    """
    found = []
    for name, rule, place in CAUSES:
        result = rule(measured)
        if result is not None:
            strength = float(np.clip(result.strength, 0.0, 1.0)) if isfinite(result.strength) else 1.0
            severity = round(place + 0.09 * strength, 4)
            found.append(Cause(name, severity, *result[1:]))
    found.sort(key=lambda cause: -cause.severity)
    if any(cause.severity >= 0.3 and cause.name not in LESSER for cause in found):
        found = [cause for cause in found if cause.name != "noiseless-feedback"]
    if any(cause.name == "unscaled-rmsprop" for cause in found):
        found = [cause for cause in found if cause.name != "learning-rate-too-low"]
    return tuple(found)
