"""The blog's main job, strategy 2: reconstruct the current frame of piano, then feed it back.

    python -m experiments.reconstruct [--minutes 15] [--resume]

The same corpus, frames and LSTM as experiments.predict, without noise and without the linear skip path, which would
solve the task by copying.
"""

import dataclasses

from experiments.predict import CONFIG as PREDICT
from experiments.strategies import command
from rnnaudio.app.config import ModelConfig
from rnnaudio.errors import run_command

CONFIG = dataclasses.replace(
    PREDICT, strategy="reconstruct_current", model=ModelConfig(n_units=400), learning_rate=2e-3
)

if __name__ == "__main__":
    run_command(lambda: command(CONFIG), "reconstruct")
