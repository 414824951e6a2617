"""Patches of the corpus for DRAW, their likelihood under Gaussians in closed form, and their conversion to sound."""

import dataclasses
import math

import numpy as np

from rnnaudio.audio import STFT
from rnnaudio.audio.phase import griffin_lim, integrated, magnitude_differences
from rnnaudio.data import (
    AudioCorpus,
    PatchScale,
    checked_images,
    regular_patches,
    rows_of_patches,
    spectrograms,
)
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.gaussian import Moments, PrincipalGaussian

N_COMPONENTS = (200, 400, 700, 1000, 1400, 1800)  # validation chooses one


@dataclasses.dataclass(frozen=True, eq=False)
class Patches:
    """Spectrograms for training, (time, n_bins) each, and adjoining patches of valid and test, (n, pixels)."""

    scale: PatchScale
    n_frames: int
    training: list[np.ndarray]
    valid: np.ndarray
    test: np.ndarray
    moments: Moments  # of training patches, half a patch apart

    @property
    def size(self) -> tuple[int, int]:
        return self.scale.n_bins, self.n_frames

    @property
    def n_values(self) -> int:
        return self.scale.n_bins * self.n_frames

    @property
    def nats_of_unit(self) -> float:
        """Nats to add to those of a patch for the change of variables from pixels to values (pixel / deviation)."""
        return -self.n_values * math.log(self.scale.deviation)


def prepared(corpus: AudioCorpus, window_s: float, n_bins: int, n_frames: int) -> Patches:
    """Make the spectrograms and patches of a corpus; the hop is a quarter of the window.

    window_s: in seconds. n_bins: number of the lowest bins to use. n_frames: length of a patch. RnnaudioError if no
    piece of a split has a patch, and for the reasons of :meth:`PatchScale.fit`.
    """
    stft = STFT.in_seconds(corpus.sample_rate_hz, window_s=window_s, hop_s=window_s / 4)
    scale, n = PatchScale.fit(corpus.train, stft, n_bins), n_frames
    training, *held_out = (spectrograms(split, scale, n) for split in (corpus.train, corpus.valid, corpus.test))
    valid, test = (
        checked_images(regular_patches(rows, n), n_bins * n, f"{name} patches")
        for name, rows in zip(("validation", "test"), held_out, strict=True)
    )
    moments = Moments.of(regular_patches([rows], n, max(1, n // 2)) for rows in training)
    return Patches(scale, n, training, valid, test, moments)


def closed_forms(patches: Patches, n_codes: int) -> tuple[dict[str, PrincipalGaussian], dict[str, dict[str, float]]]:
    """Fit probabilistic PCA with ``n_codes`` and with the best number of components; returns (models, nats) by name.

    The best number is chosen on the validation patches. nats: mean nats per patch of the test and validation patches,
    for each model and for a Gaussian with independent values. RnnaudioError if there are too few training patches, or
    values in a patch, for any of the numbers of components.
    """
    moments, added = patches.moments, patches.nats_of_unit
    held_out = {"test": patches.test, "valid": patches.valid}
    nats = {"independent values": {k: added + float(moments.diagonal_nats(x).mean()) for k, x in held_out.items()}}
    fewer_than = min(patches.n_values, moments.n)
    tried = {q: PrincipalGaussian.of(moments, q) for q in {n_codes, *N_COMPONENTS} if q < fewer_than}
    if not tried:
        raise RnnaudioError(
            f"{n_codes} codes, {moments.n} training patches of {patches.n_values} values: take fewer codes"
        )
    best = min(tried, key=lambda q: float(tried[q].nats(patches.valid).mean()))
    gaussians = {f"PCA, {q} components": tried[q] for q in sorted({n_codes, best}) if q in tried}
    nats |= {
        name: {k: added + float(gaussian.nats(x).mean()) for k, x in held_out.items()}
        for name, gaussian in gaussians.items()
    }
    return gaussians, nats


def patches_of(magnitudes: np.ndarray, patches: Patches) -> np.ndarray:
    """Scale magnitudes |X|, (n_frames, stft.n_bins), and cut them into adjoining patches, (n, pixels) float32."""
    return regular_patches([patches.scale.scaled(magnitudes)], patches.n_frames)


def sounded(images: np.ndarray, patches: Patches, n_samples: int) -> np.ndarray:
    """Sound of patches joined in time: (n, pixels) -> (n_samples,), by fast Griffin-Lim from the phase gradient."""
    stft = patches.scale.stft
    magnitudes = patches.scale.magnitudes(rows_of_patches(images, patches.n_frames))
    start = integrated(magnitudes, magnitude_differences(magnitudes, stft), stft)
    return griffin_lim(magnitudes, stft, start=start, n_samples=n_samples)
