"""The blog's main job, strategy 2: reconstruct the current frame of piano, then feed it back.

    python -m experiments.blog_2016.reconstruct [--minutes 15] [--resume]

The same corpus, frames and LSTM as experiments.blog_2016.predict, without noise and without the linear skip path,
which would solve the task by copying.
"""

import dataclasses

from experiments.blog_2016.predict import CONFIG as PREDICT
from experiments.blog_2016.strategies import command
from rnnaudio.errors import run_command
from rnnaudio.runs.frames.config import ModelConfig

CONFIG = dataclasses.replace(
    PREDICT, strategy="reconstruct_current", model=ModelConfig(n_units=400), learning_rate=2e-3
)

if __name__ == "__main__":
    run_command(lambda: command(CONFIG), "reconstruct")
