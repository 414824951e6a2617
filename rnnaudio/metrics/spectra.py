"""Numbers for spectra: how far magnitudes and phases are from the true ones (NumPy only)."""

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray, decibel


def spectral_convergence_db(magnitudes: ArrayLike, found: ArrayLike) -> float:
    """10 log10 (sum (|X| - |Y|)^2 / sum |X|^2): X the true spectra, Y those of the sound that was found.

    0 dB is silence's, -infinity perfect. RnnaudioError if the shapes differ or X is silent.
    """
    true, other = _finite_pair(np.abs(np.asarray(magnitudes)), np.abs(np.asarray(found)))
    energy = float(np.sum(true**2))
    if energy == 0.0:
        raise RnnaudioError("the true spectra are silent throughout, so nothing can be measured against them")
    return float(decibel(np.sum((true - other) ** 2) / energy))


def phase_distance(true: ArrayLike, found: ArrayLike) -> FloatArray:
    """d(t, p) = sin^2((t - p) / 2), elementwise: 0 for the same angle, 1 for opposite ones, 1/2 in the mean at random.

    The blog's measure of 2016. It does not change under whole turns of either angle or a shift of both, is greatest at
    pi and zero for equal angles only. But it is no metric, as the blog had it: like every squared distance it breaks
    the triangle inequality, d(0, 2e) = e^2 > d(0, e) + d(e, 2e) = e^2 / 2 for a small e. Its root |sin((t - p) / 2)|,
    half the chord between the angles on the unit circle, is one, and so are all powers d^a with a <= 1/2 (a concave
    function of a metric); of greater powers none is, by the same small angles: 2^(2a) > 2.
    """
    return np.asarray(np.sin((np.asarray(true, np.float64) - np.asarray(found, np.float64)) / 2.0) ** 2)


def mean_phase_distance(true: ArrayLike, found: ArrayLike, weights: ArrayLike = 1.0) -> float:
    """sum a d / sum a, the mean :func:`phase_distance` weighted with amplitudes a."""
    true, found = _finite_pair(true, found)
    weight = _weights(true, weights)
    return float(np.sum(weight * phase_distance(true, found)) / np.sum(weight))


def best_shift(true: ArrayLike, found: ArrayLike, weights: ArrayLike = 1.0) -> float:
    """The w that brings found + w nearest to true: arg sum a e^{i (t - p)}, radians."""
    return float(np.angle(_resultant(true, found, weights)))


def phase_distance_up_to_shift(true: ArrayLike, found: ArrayLike, weights: ArrayLike = 1.0) -> float:
    """min over w of the mean distance of true and found + w: (1 - |sum a e^{i (t - p)}| / sum a) / 2.

    Only relative phases count here: a shift of all phases, which nobody hears, costs nothing.
    """
    return float((1.0 - np.abs(_resultant(true, found, weights))) / 2.0)


def _resultant(true: ArrayLike, found: ArrayLike, weights: ArrayLike) -> complex:
    true, found = _finite_pair(true, found)
    difference = true - found
    weight = _weights(true, weights)
    return complex(np.sum(weight * np.exp(1j * difference)) / np.sum(weight))


def _finite_pair(true: ArrayLike, found: ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, b = np.asarray(true, np.float64), np.asarray(found, np.float64)
    if a.shape != b.shape:
        raise RnnaudioError(f"spectra of shape {b.shape} against {a.shape}: make them of equal length")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise RnnaudioError("the spectra hold NaN or infinite values: look at the frames that made them")
    return a, b


def _weights(true: ArrayLike, weights: ArrayLike) -> FloatArray:
    weight = np.broadcast_to(np.asarray(weights, np.float64), np.shape(true))
    if not (weight >= 0.0).all() or not weight.any():
        raise RnnaudioError("the weights must not be negative, and not all zero: give amplitudes of sound")
    return weight
