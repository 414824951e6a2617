"""Text and lines of Matplotlib figures, and what the tests of plots draw."""

import numpy as np
from matplotlib.text import Text

from rnnaudio.diagnostics.subject import Measurements

RATE = 16000


def line(axes, label):
    return next(one for one in axes.lines if one.get_label().startswith(label))


def texts_overlap(texts):
    """Whether any two overlap; for a figure that has been laid out."""
    boxes = [Text.get_window_extent(text) for text in texts]  # of the words, not of an annotation's line too
    return any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def history_of(valid, seconds_per_epoch=30.0, best=()):
    return [
        {
            "epoch": i + 1.0, "updates": 10.0 * (i + 1), "seconds": seconds_per_epoch * (i + 1),
            "train": value / 2, "valid": value, "is_best": float(i in best),
        }
        for i, value in enumerate(valid)
    ]  # fmt: skip


def sine(frequency_hz, seconds, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * RATE)) / RATE)


def measured(n_steps=32):
    """Measurements of all kinds."""
    steps = np.arange(n_steps)
    return Measurements(
        gradient_by_lag=0.5 ** (steps + 1.0), growth_with_input=2.0 ** (steps / 4), growth_without=1.9 ** (steps / 4),
        echo=0.9 ** (steps + 1.0), flip=1.3141, coverage=(steps == n_steps - 1) * 0.01,
        step_sizes={f"layer_{k}.w": (1e-8, 10.0**-k) for k in range(5)}, saturation={"gate": 0.9, "candidate": 0.1},
        level_db=np.linspace(-20, -60, 100), n_prime_frames=20, frame_size=200,
        errors={"this model": 0.5, "predict zero": 1.0, "persistence": 2.0},
    )  # fmt: skip
