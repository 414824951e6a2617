"""Prediction errors as ratios of powers, and their decibels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnaudio.errors import RnnaudioError

FloatArray = NDArray[np.float64]


def decibel(power_ratio: ArrayLike) -> FloatArray:
    """Decibels of power ratios, 10 log10(power_ratio), float64; 0 gives -infinity, a negative ratio NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10.0 * np.log10(np.asarray(power_ratio, dtype=np.float64))


def normalised_mse(prediction: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Normalised mean squared error: 1.0 (0 dB) for predicting zero, 0.0 for a perfect prediction.

        sum (prediction - target)^2 / sum target^2

    prediction and target have the same shape, (..., n_features). mask: 1 at the positions that count and 0 elsewhere,
    of this shape without the last axis; None: all positions count. RnnaudioError if the shapes differ, or the target
    is zero at all positions that count.
    """
    prediction, target = np.asarray(prediction, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if prediction.shape != target.shape:
        raise RnnaudioError(f"the prediction has shape {prediction.shape}, the target {target.shape}: expected equal")
    weight = np.ones(target.shape) if mask is None else _feature_mask(mask, target)
    energy = np.sum(weight * target**2)
    if energy == 0.0:
        raise RnnaudioError("the target is zero throughout, so the error cannot be normalised: choose another target")
    return float(np.sum(weight * (prediction - target) ** 2) / energy)


def _feature_mask(mask: ArrayLike, target: FloatArray) -> FloatArray:
    weight = np.asarray(mask, dtype=np.float64)
    if weight.shape != target.shape[:-1]:
        raise RnnaudioError(
            f"the mask has shape {weight.shape}, expected {target.shape[:-1]}: the target's without its last axis"
        )
    return weight[..., None]


def in_decibel(normalised_mse: float) -> str:
    """Format a normalised MSE in decibels, such as ``-12.30 dB``; NaN (the target is silent): ``nan (silence)``."""
    if np.isnan(normalised_mse):
        return "nan (silence)"
    return f"{round(float(decibel(normalised_mse)), 2) + 0.0:.2f} dB"  # -0.0 + 0.0 is 0.0


def scores_in_decibel(scores: Mapping[str, float]) -> str:
    """Format normalised mean squared errors, given by name, as ``predict zero 0.00 dB, ...``."""
    return ", ".join(f"{name} {in_decibel(score)}" for name, score in scores.items())
