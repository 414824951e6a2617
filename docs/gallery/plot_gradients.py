"""
Is the gradient right?
======================

Symbolic gradients of three cells against finite differences, and of a cell whose gradient is wrong.
"""

# %%
# The check takes any model and any objective. It runs on a float64 copy and looks at every parameter, the input and
# the initial state, at ten entries each.

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

from rnnaudio import engine
from rnnaudio.diagnostics import check_gradients
from rnnaudio.nn import GRU, LSTM, Dense, MemoryLSTM, Sequential
from rnnaudio.objectives import predict_next

rng = np.random.default_rng(2016)
batch = SimpleNamespace(frames=rng.standard_normal((9, 3, 6)))  # (time, batch, feature)
models = {
    "LSTM": Sequential([LSTM(6, 5, rng=rng, peepholes=True), Dense(5, 6, rng=rng)]),
    "GRU": Sequential([GRU(6, 5, rng=rng), Dense(5, 6, rng=rng)]),
    "memory-LSTM of 2016": Sequential([MemoryLSTM(6, depth=2, rng=rng), Dense(12, 6, rng=rng)]),
}
reports = {name: check_gradients(model, predict_next, batch, rng=rng) for name, model in models.items()}
print(reports["LSTM"])

# %%
# Errors of 1e-7 and less are what finite differences in float64 can show. A mistake in an equation shows as 1e-2 or
# more. Here the gradient takes the update gate of a GRU for a constant. (For a cell without a kernel, mode ``python``
# starts sooner than C.)


class Forgetful(GRU):
    """A GRU whose update gate is a constant to the gradient."""

    def equations(self, inputs, state):
        gates, new = super().equations(inputs, state)
        u = engine.constant_to_gradient(gates["update"])
        return gates, type(new)((1 - u) * state.hidden + u * gates["candidate"])


wrong = Sequential([Forgetful(6, 5, rng=rng), Dense(5, 6, rng=rng)])
reports["a GRU with a mistake"] = check_gradients(wrong, predict_next, batch, rng=rng, mode="python")

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for row, report in enumerate(reports.values()):
    errors = np.array([array.error for array in report.arrays])
    colour = "#d55e00" if report.largest > 1e-6 else "#0072b2"
    ax.scatter(np.maximum(errors, 1e-14), [row] * len(errors), s=30, alpha=0.7, color=colour)
ax.set_xscale("log")
ax.set_yticks(range(len(reports)), list(reports))
ax.invert_yaxis()
ax.set_xlabel("Relative error of the worst entry, one point an array")
ax.grid(axis="x", alpha=0.3)
plt.show()
