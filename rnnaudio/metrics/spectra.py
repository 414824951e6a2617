"""Errors of magnitudes and phases relative to the true spectra (NumPy only)."""

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray, decibel


def spectral_convergence_db(magnitudes: ArrayLike, found: ArrayLike) -> float:
    """Spectral convergence in dB: the error of magnitudes |Y| relative to the true magnitudes |X|.

        10 log10 (sum (|X| - |Y|)^2 / sum |X|^2)

    It is 0 dB for Y = 0, and -infinity for a perfect reconstruction. magnitudes: X, of any shape. found: Y, of the
    same shape. Both may be complex spectra or magnitudes. RnnaudioError if the shapes differ, X is zero throughout, or
    values are NaN or infinite.
    """
    true, other = _finite_pair(np.abs(np.asarray(magnitudes)), np.abs(np.asarray(found)))
    energy = float(np.sum(true**2))
    if energy == 0.0:
        raise RnnaudioError("the true spectra are silent throughout, so the error cannot be normalised: choose others")
    return float(decibel(np.sum((true - other) ** 2) / energy))


def phase_distance(true: ArrayLike, found: ArrayLike) -> FloatArray:
    """Elementwise distance of phases in radians: 0 for equal angles, 1 for opposite ones, 1/2 on average if random.

        d(t, p) = sin^2((t - p) / 2),   t the angle ``true``, p the angle ``found``

    This is the measure of the blog of 2016. It does not change if whole turns are added to either angle, or the same
    angle to both; it is largest for a difference of pi, and zero for equal angles only. Contrary to that blog it is
    not a metric: for small e it violates the triangle inequality, d(0, 2e) = e^2 > d(0, e) + d(e, 2e) = e^2 / 2. Its
    root |sin((t - p) / 2)|, half the chord between the angles on the unit circle, is a metric, and so are all powers
    d^a with 0 < a <= 1/2 (concave functions of a metric); larger powers are not, as small angles show: 2^(2a) > 2.
    """
    return np.asarray(np.sin((np.asarray(true, np.float64) - np.asarray(found, np.float64)) / 2.0) ** 2)


def mean_phase_distance(true: ArrayLike, found: ArrayLike, weights: ArrayLike = 1.0) -> float:
    """Mean :func:`phase_distance` d of phases in radians, weighted with amplitudes a: sum a d / sum a.

    true, found: any equal shapes. weights: a, of a shape that broadcasts to the shape of the phases.

    RnnaudioError if shapes differ, values are NaN or infinite, or weights are negative or all zero.
    """
    true, found = _finite_pair(true, found)
    weight = _weights(true, weights)
    return float(np.sum(weight * phase_distance(true, found)) / np.sum(weight))


def best_shift(true: ArrayLike, found: ArrayLike, weights: ArrayLike = 1.0) -> float:
    """Shift w, -pi to pi, that minimises the mean phase distance of found + w from true: arg sum a e^{i (t - p)}.

    t, p are the phases true and found, in radians, a the weights. Arguments and errors are those of
    :func:`mean_phase_distance`.
    """
    return float(np.angle(_resultant(true, found, weights)))


def phase_distance_up_to_shift(true: ArrayLike, found: ArrayLike, weights: ArrayLike = 1.0) -> float:
    """Mean phase distance that remains after the :func:`best_shift`: (1 - |sum a e^{i (t - p)}| / sum a) / 2.

    t, p are the phases true and found, in radians, a the weights. A common shift of all phases, which is inaudible, is
    thus ignored. Arguments and errors are those of :func:`mean_phase_distance`.
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
        raise RnnaudioError(f"spectra of shape {b.shape}, expected {a.shape}: make them equally long")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise RnnaudioError("the spectra hold NaN or infinite values: check the frames they were computed from")
    return a, b


def _weights(true: ArrayLike, weights: ArrayLike) -> FloatArray:
    weight = np.broadcast_to(np.asarray(weights, np.float64), np.shape(true))
    if not (weight >= 0.0).all() or not weight.any():
        raise RnnaudioError("got weights that are negative or all zero: expected amplitudes")
    return weight
