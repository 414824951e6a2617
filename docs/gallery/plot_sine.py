"""
Learn a sine, then play on
==========================

The toy problem that nobody tried in 2016: a small LSTM learns one tone, and is then fed its own output.
"""

# %%
# Two seconds of a sine at 16 kHz. Its period fits no whole number of times into a frame, so neither the last frame nor
# its negative is the next one: a model that copies fails.

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np

from rnnaudio.data import ArrayPiece, RandomWindows, fixed_windows
from rnnaudio.data.corpus import Split
from rnnaudio.generation import Stepper, generate
from rnnaudio.nn import LSTM, Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import Adam
from rnnaudio.training import EarlyStopping, Limits, train

RATE, FRAME = 16_000, 80
sine = np.sqrt(2) * np.sin(2 * np.pi * 427.3 * np.arange(4 * RATE) / RATE).astype("float32")
first, second = (Split("sine", (ArrayPiece(part),), RATE) for part in np.split(sine, 2))

# %%
# Train. The reported losses are squared errors; the sine has variance 1, so predicting silence scores 1.

rng = np.random.default_rng(0)
model = Sequential([LSTM(FRAME, 64, rng=rng), Dense(64, FRAME, rng=rng)])
windows = {"frame_size": FRAME, "n_steps": 32, "batch_size": 16}
history = []
with TemporaryDirectory() as folder:
    train(
        model,
        predict_next,
        RandomWindows(first, seed=0, **windows),
        fixed_windows(second, **windows),
        optimizer=Adam(learning_rate=3e-3, max_gradient_norm=1.0),
        stopping=EarlyStopping(patience=100),
        limits=Limits(max_updates=300, validate_every=10),
        run_dir=Path(folder),
        on_validation=history.append,
    )
print(f"validation error {history[-1]['valid']:.2g} after {history[-1]['updates']} updates")

# %%
# Play on from a tenth of a second. From there on its only input is its own output.

prime = sine[: RATE // 10]
played = generate(Stepper(model), prime, n_samples=2 * RATE).audio

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.semilogy([row["updates"] for row in history], [row["valid"] for row in history], color="#0072b2")
left.set(xlabel="Updates", ylabel="Normalised MSE, validation")
milliseconds = np.arange(len(played)) / RATE * 1e3
for name, start, colour in (("prime and start", 90, "#0072b2"), ("two seconds later", 2060, "#d55e00")):
    part = slice(start * RATE // 1000, (start + 20) * RATE // 1000)
    right.plot(milliseconds[part] - start, played[part], label=name, color=colour)
right.axvline(10, color="black", lw=0.8, ls="--")
right.set(xlabel="Time (ms); dashed: where the prime ends", ylabel="Output")
right.legend(loc="upper right", fontsize="small")
plt.show()

# %%
# A single tone survives being fed back: there is only one way in which it can go on. Music has many, and a model that
# predicts their mean fades. That is the subject of :doc:`/explanation/why-2016-failed`.
