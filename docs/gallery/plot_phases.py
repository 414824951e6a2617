"""
Sound from magnitudes alone
===========================

The phases of a spectrogram are thrown away and found again: at random, by Griffin-Lim, and from the phase gradient.
"""

# %%
# Eight seconds of the piano in the package, as magnitudes.

import matplotlib.pyplot as plt
import numpy as np

from rnnaudio.audio import STFT
from rnnaudio.audio.phase import PhaseGradient, griffin_lim
from rnnaudio.data.demo import embedded_recordings
from rnnaudio.metrics.spectra import spectral_convergence_db

audio, rate = embedded_recordings()[0].load()
audio = audio[: 8 * rate]
stft = STFT.in_seconds(rate, window_s=0.064, hop_s=0.016)
magnitudes = np.abs(stft.forward(audio))
print(magnitudes.shape, "frames, bins")

# %%
# The phase gradient reads differences of phase off the magnitudes and adds them up, frame by frame. It is a good start
# for Griffin-Lim, which takes turns between magnitudes and sound.

stream = PhaseGradient(stft)
settled = [frame for magnitude in magnitudes for frame in stream.push(magnitude)] + stream.flush()
gradient = np.array([frame.phases for frame in settled])

found = {
    "random": griffin_lim(magnitudes, stft, start="random", n_iterations=0),
    "Griffin-Lim": griffin_lim(magnitudes, stft, n_iterations=50, momentum=0.0),
    "fast Griffin-Lim": griffin_lim(magnitudes, stft, n_iterations=50),
    "phase gradient": griffin_lim(magnitudes, stft, start=gradient, n_iterations=0),
    "gradient, then fast": griffin_lim(magnitudes, stft, start=gradient, n_iterations=50),
}
errors = {name: spectral_convergence_db(magnitudes, np.abs(stft.forward(sound))) for name, sound in found.items()}
for name, error in errors.items():
    print(f"{name:20s} {error:6.1f} dB")

# %%
# Spectral convergence: the distance of the magnitudes of each result to those asked for. Silence has 0 dB.

fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
ax.barh(list(errors), list(errors.values()), color="#0072b2")
ax.invert_yaxis()
ax.set_xlabel("Spectral convergence (dB, lower is better)")
plt.show()

# %%
# What random phases do to a sound shows in its spectrogram: attacks are smeared over the length of a window.

fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
shown = {"recording": audio, "random": found["random"], "gradient, then fast": found["gradient, then fast"]}
for ax, (name, sound) in zip(axes, shown.items(), strict=True):
    decibel = 20 * np.log10(np.abs(stft.forward(sound[: 3 * rate]))[:, :192].T + 1e-4)
    ax.imshow(decibel, origin="lower", aspect="auto", extent=(0, 3, 0, 3000), vmin=-60, cmap="magma")
    ax.set(title=name, xlabel="Time (s)")
axes[0].set_ylabel("Frequency (Hz)")
plt.show()
