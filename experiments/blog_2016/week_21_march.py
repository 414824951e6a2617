"""Week 21 March: "a variant of the LSTM with noise injection and depth 2 to generate the next 0.015625 second".

    python -m experiments.blog_2016.week_21_march [--smoke]

The memory-only LSTM of 250 units, depth 2, noise .005 in all layers, 2 s of gradient (128 steps of 250 samples): as
was, with target = current input; with only that target mended; repaired but for the target, so that it does learn to
copy; and with every defect repaired.
"""

import dataclasses

from experiments.blog_2016.models_2016 import memory_lstm_2016, repaired
from experiments.shared.claims import Claim, reproduce
from rnnaudio.errors import run_command

FAITHFUL = memory_lstm_2016(250, 128, 16, max_updates=300, validate_every=50, minutes=20.0)
VARIANTS = {
    "faithful": FAITHFUL,
    "right-target": dataclasses.replace(FAITHFUL, target_shift=None),
    "copying": dataclasses.replace(repaired(FAITHFUL), target_shift=0),
    "repaired": repaired(FAITHFUL),
}
CLAIMS = [
    Claim(
        "it still got some notes and their overtones; now I'm more confident that it works",
        "a spectrogram; cost .0055 of a range of 2, noise on",
        lambda f: (
            f"predict {f['faithful']['predict_mse']}, reconstruct {f['faithful']['reconstruct_mse']} of the variance; "
            f"all but the target repaired: {f['copying']['predict_mse']} and {f['copying']['reconstruct_mse']}, "
            f"{f['copying']['death'].split(' (')[0]}; "
            f"repaired: predict {f['repaired']['predict_mse']}"
        ),
        "the batcher gave the current input as target, and who copies gets the notes and stands still; in our few "
        "updates scale and RMSprop let it learn nothing, not even to copy",
    ),
    Claim(
        "it was clearly under train, the training curve was still going down",
        "a curve",
        lambda f: f"{f['faithful']['updates']} updates; diagnosis: {', '.join(f['faithful']['diagnosis'][:3])}",
        "RMSprop did not divide by its mean square: steps of the raw gradient, thousands of times too small",
    ),
]

if __name__ == "__main__":
    run_command(lambda: reproduce("week-21-march", VARIANTS, CLAIMS), "week_21_march")
