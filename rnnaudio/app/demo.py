"""The settings of `rnnaudio demo`: small enough for a minute of music and a few minutes of two cores."""

from rnnaudio.app.config import ModelConfig, TrainConfig

DEMO = TrainConfig(
    model=ModelConfig(n_units=200, linear_skip=2),
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
    minutes=2.0,
    validate_every=40,
    patience=15,
)
