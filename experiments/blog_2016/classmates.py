"""The best figure of the author's classmates: their setting and ours, both on our corpus.

    python -m experiments.blog_2016.classmates [--smoke]

Theirs: LSTM of 3 x 300 with a linear read-out, frames of .1 s, squared error over all steps, RMSprop .01; normalised
MSE .266 on the class track, after 7.1 hours of a GPU of 2016. Ours: the same frames and layers with skip
connections, clipping, Adam under a falling rate, and a linear skip path. The same number of updates for both.
"""

from typing import Any

from experiments.shared.claims import Claim, reproduce
from rnnaudio.errors import run_command
from rnnaudio.runs.frames.config import ModelConfig, TrainConfig

COMMON: dict[str, Any] = {
    "frame_size": 1600, "n_steps": 20, "batch_size": 32, "max_updates": 1000, "validate_every": 50, "minutes": 30.0
}  # fmt: skip
THEIRS = TrainConfig(
    model=ModelConfig(n_units=300, n_layers=3), optimizer="rmsprop", learning_rate=1e-2, max_gradient_norm=None,
    patience=1000, **COMMON,
)  # fmt: skip
OURS = TrainConfig(
    model=ModelConfig(n_units=300, n_layers=3, skip_connections=True, linear_skip=1, learn_initial_state=True),
    optimizer="adam", learning_rate=1e-3, schedule="cosine", patience=1000, **COMMON,
)  # fmt: skip
VARIANTS = {"theirs": THEIRS, "ours": OURS}
CLAIMS = [
    Claim(
        "the classmates' best: normalised MSE .266 at frames of .1 s (on the class track)",
        ".266 on another recording",
        lambda f: f"on our corpus their setting {f['theirs']['predict_mse']}, repaired {f['ours']['predict_mse']}",
        "another recording, and minutes instead of hours",
    )
]

if __name__ == "__main__":
    run_command(lambda: reproduce("classmates", VARIANTS, CLAIMS), "classmates")
