"""The last day: an LSTM 200-100-100-200 in Lasagne; "it has to do with the way I generate my batches".

    python -m experiments.blog_2016.last_day [--smoke]

The claim is that shifted batches (one window, moved a sample at a time) are why it worked at last. They came together
with Lasagne's right RMSprop. Both are taken apart: three ways to make batches, each with the right and with the blog's
own rule.
"""

import dataclasses
from typing import Any

from experiments.shared.claims import Claim, reproduce
from rnnaudio.errors import run_command
from rnnaudio.runs.frames.config import ModelConfig, TrainConfig

LAST_TRY = TrainConfig(
    model=ModelConfig.of(n_layers=3, units=(200, 100, 100), peepholes=True, forget_bias=0.0, weights="gaussian_2016"),
    frame_size=200,
    n_steps=160,
    batch_size=16,
    batches="shifted",
    optimizer="rmsprop",
    learning_rate=1e-3,
    max_gradient_norm=None,
    max_updates=500,
    validate_every=50,
    minutes=20.0,
    patience=1000,
)
BATCHES: tuple[Any, ...] = ("shifted", "random", "offsets")
RULES: tuple[Any, ...] = ("rmsprop", "rmsprop_2016")
VARIANTS = {
    f"{batches}-{rule}": dataclasses.replace(LAST_TRY, batches=batches, optimizer=rule)
    for batches in BATCHES
    for rule in RULES
}
CLAIMS = [
    Claim(
        "just one long note but the best that I generated so far",
        "one note",
        lambda f: "predict {predict_mse}, kept sounding {alive_seconds:.1f} s".format(**f["shifted-rmsprop"]),
        "trained for 500 updates it fades; squared error, fed back without noise, fades or freezes",
    ),
    Claim(
        "shifting is important: the model can learn more easily to be equivariant to shifts",
        "it worked with shifted batches, and not before",
        lambda f: "; ".join(
            f"{b}: {f[f'{b}-rmsprop']['predict_mse']} with the right RMSprop, "
            f"{f[f'{b}-rmsprop_2016']['predict_mse']} with the blog's"
            for b in BATCHES
        ),
        "one seed each: the rule decides; copies of one window a sample apart cost about a decibel",
    ),
]

if __name__ == "__main__":
    run_command(lambda: reproduce("last-day", VARIANTS, CLAIMS), "last_day")
