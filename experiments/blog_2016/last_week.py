"""Last week: "the model which does it is a three layers GRU with no end layer"; it gets a note, then fades.

    python -m experiments.blog_2016.last_week [--smoke]

As it was; with the right RMSprop only; with a cost on all steps only; with both; with every defect repaired.
"""

from experiments.blog_2016.models_2016 import gru_2016, repaired
from experiments.shared.claims import Claim, reproduce
from rnnaudio.errors import run_command
from rnnaudio.runs.diagnosis.defects import without

FAITHFUL = gru_2016(400, 3, 40, 16, max_updates=400, validate_every=50, minutes=20.0)
BOTH = without(without(FAITHFUL, "unscaled-rmsprop"), "last-step-cost")
VARIANTS = {
    "faithful": FAITHFUL,
    "right-rmsprop": without(FAITHFUL, "unscaled-rmsprop"),
    "all-steps": without(FAITHFUL, "last-step-cost"),
    "both": BOTH,
    "repaired": repaired(FAITHFUL),
}
CLAIMS = [
    Claim(
        "one note and then noise, which is the best I got; it still manages to get some frequency before fading away",
        "no figure",
        lambda f: "; ".join(
            f"{name}: predict {f[name]['predict_mse']}, {f[name]['alive_seconds']:.1f} s" for name in VARIANTS
        ),
        "repaired it predicts; but what it predicts is a mean, and a mean fed back is no music, with or without noise",
    ),
    Claim(
        "the curve seems to still go down, just really, really slowly; it took one whole day to train on a GPU",
        "a curve",
        lambda f: f"diagnosis: {', '.join(f['faithful']['diagnosis'][:3])}",
        "steps of the unscaled gradient, of a cost that one step in forty counts for",
    ),
]

if __name__ == "__main__":
    run_command(lambda: reproduce("last-week", VARIANTS, CLAIMS), "last_week")
