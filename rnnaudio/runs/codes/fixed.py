"""Reasons why settings of runs over codes cannot change when a run is resumed, by their names in ``config.toml``."""

from rnnaudio.runs import reasons

CODEC = "the codec is fitted: a code would mean another spectrum to the parameters"
FIXED = {
    "window_samples": CODEC,
    "hop_samples": CODEC,
    "n_components": CODEC,
    "n_codes": CODEC,
    "n_stages": CODEC,
    "n_units": reasons.SHAPE,
    "head_units": reasons.SHAPE,
    "n_layers": reasons.SHAPE,
    "attention_seconds": reasons.SHAPE,
    "max_updates": "the learning rate falls over them",
    "transpose": reasons.BATCHES,
    "gain_db": reasons.BATCHES,
    "join_pieces": reasons.BATCHES,
    "dropout": reasons.NOISE,
    "input_noise": reasons.NOISE,
    "long_term": reasons.SHAPE,
    "lag_dropout": reasons.NOISE,
    "own_share": "it rises over the updates, of which some are done",
    "batch_size": reasons.BATCHES,
    "n_steps": reasons.BATCHES,
    "learning_rate": reasons.RATE,
    "validate_every": reasons.INTERVAL,
    "patience": reasons.STOPPING,
    "seed": f"codec, {reasons.SEED}",
}
