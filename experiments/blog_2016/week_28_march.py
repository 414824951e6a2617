"""Week 28 March: the same LSTM told to predict the next frame (strategy 1) or to reconstruct this one (strategy 2).

    python -m experiments.blog_2016.week_28_march [--smoke]

2 s of gradient, 32 steps of 1000 samples. Both strategies are judged on both tasks, so that their errors compare. Then
"bigger models doesn't mean better results": the repaired predictor at four sizes, 2 s of gradient each.
"""

import dataclasses

from experiments.blog_2016.models_2016 import memory_lstm_2016, repaired
from experiments.shared.claims import Claim, reproduce
from rnnaudio.errors import run_command

FAITHFUL = memory_lstm_2016(1000, 32, 8, target_shift=None, max_updates=80, validate_every=20, minutes=20.0)
BY_STRATEGY = {
    f"{strategy.split('_')[0]}-{kind}": dataclasses.replace(config, strategy=strategy)
    for kind, config in (("faithful", FAITHFUL), ("repaired", repaired(FAITHFUL)))
    for strategy in ("predict_next", "reconstruct_current")
}
SIZES = (64, 125, 250, 500)
BY_SIZE = {
    f"size-{n}": repaired(memory_lstm_2016(n, 32_000 // n, 8, max_updates=200, validate_every=50, minutes=20.0))
    for n in SIZES
}
VARIANTS = BY_STRATEGY | BY_SIZE
CLAIMS = [
    Claim(
        "with the first strategy it produces noise; the second was able to produce the right frequency and overtones",
        "no figures",
        lambda f: "; ".join(
            "{}: predict {predict_mse}, reconstruct {reconstruct_mse}".format(name, **f[name]) for name in BY_STRATEGY
        ),
        "with the 2016 optimiser neither moves from its start, so both are one; repaired, each does its own task only",
    ),
    Claim(
        "bigger models doesn't mean better results",
        "every model stuck at the same minimum",
        lambda f: ", ".join(f"{n}: {f[f'size-{n}']['predict_mse']}" for n in SIZES) + " (200 updates each)",
        "frame and width are one number in this cell, and short frames an easier task: not told apart here",
    ),
]

if __name__ == "__main__":
    run_command(lambda: reproduce("week-28-march", VARIANTS, CLAIMS), "week_28_march")
