"""Reasons why settings of runs over samples cannot change when a run is resumed, by their names in ``config.toml``."""

from rnnaudio.runs import reasons

LEVELS = "samples are quantised by it: a level would mean another amplitude to the parameters"
FIXED = {
    "frames": reasons.SHAPE,
    "window": reasons.SHAPE,
    "n_units": reasons.SHAPE,
    "cell": reasons.EQUATION,
    "readout": "the parameters were trained to give another distribution",
    "n_components": reasons.SHAPE,
    "n_taps": "the linear path is fitted, and the parameters add to its prediction",
    "n_levels": LEVELS,
    "law": LEVELS,
    "batch_size": reasons.BATCHES,
    "n_steps": reasons.BATCHES,
    "learning_rate": reasons.RATE,
    "max_updates": "the learning rate falls over them",
    "validate_every": reasons.INTERVAL,
    "n_valid": reasons.VALIDATION,
    "valid_stretches": reasons.VALIDATION,
    "seed": reasons.SEED,
}
