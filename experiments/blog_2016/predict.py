"""The blog's main job, strategy 1: predict the next frame of piano, then let the predictor play.

    python -m experiments.blog_2016.predict [--minutes 15] [--resume]

An LSTM beside a linear skip path from the last two frames, which starts as their least-squares predictor: the stack
only has to learn what a linear predictor cannot.
"""

from experiments.blog_2016.strategies import command
from rnnaudio.errors import run_command
from rnnaudio.runs.frames.config import ModelConfig, TrainConfig

CONFIG = TrainConfig(
    strategy="predict_next",
    model=ModelConfig(n_units=400, linear_skip=2),
    frame_size=200,
    n_steps=40,
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
    schedule="cosine",
    max_updates=2000,
    minutes=15.0,
    validate_every=100,
)

if __name__ == "__main__":
    run_command(lambda: command(CONFIG), "predict")
