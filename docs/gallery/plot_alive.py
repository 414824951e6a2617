"""
What counts as alive
====================

"It kept sounding like music for 12 s" is measured. Here is the measure on sounds whose answer is known.
"""

# %%
# Faults are looked for in windows of one second: silence, noise, a spectrum that stands still, clipping, a roar, a
# loop. A sound is dead once eight windows on end, four a second, have one.

import matplotlib.pyplot as plt
import numpy as np

from rnnaudio.data.demo import embedded_recordings
from rnnaudio.metrics import alive_seconds, calibrate, in_range

rng = np.random.default_rng(0)
piano, rate = embedded_recordings()[1].load()
piano = piano[: 12 * rate]
t = np.arange(len(piano)) / rate
limits = calibrate([recording.load()[0] for recording in embedded_recordings()], rate)
sounds = {
    "piano": piano,
    "one second, repeated": np.tile(piano[3 * rate : 4 * rate], 12),
    "fading": piano * np.exp(-np.maximum(t - 3, 0) / 0.7),
    "a held chord from 4 s on": np.where(t < 4, piano, 0.05 * sum(np.sin(2 * np.pi * f * t) for f in (262, 330, 392))),
    "noise from 6 s on": np.where(t < 6, piano, 0.05 * rng.standard_normal(len(t))),
    "noise": 0.1 * rng.standard_normal(len(t)),
    "silence": np.zeros(len(t)),
}
for name, sound in sounds.items():
    alive = alive_seconds(sound, rate, limits)
    share = in_range(sound, rate, limits).fraction
    print(f"{name:26s} alive {alive.seconds:5.2f} s, in range {share:4.0%}  {alive.reason}")

# %%

fig, axes = plt.subplots(len(sounds), 1, figsize=(8, 7), sharex=True, sharey=True, layout="constrained")
for ax, (name, sound) in zip(axes, sounds.items(), strict=True):
    seconds = alive_seconds(sound, rate, limits).seconds
    ax.plot(t[::8], sound[::8], lw=0.3, color="#0072b2")
    ax.axvspan(seconds, t[-1], color="#d55e00", alpha=0.2, lw=0)
    ax.set_title(name, loc="left", fontsize="small")
    ax.set_yticks([])
axes[-1].set_xlabel("Time (s); shaded: dead")
plt.show()
