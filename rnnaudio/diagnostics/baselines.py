"""Baselines: predictors without a network, scored on the same windows as models (NumPy only)."""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np

from rnnaudio.audio.arrays import Floats, Frames

Pair: TypeAlias = tuple[Frames, Frames]  # input and target, (time, batch, n) each


class LinearPrediction(NamedTuple):
    """Coefficients of a linear prediction; see :func:`linear_prediction`.

    weight
        the matrix A, (n_frames * n, n); its first n rows apply to the latest frame.
    bias
        the vector b, (n,).
    """

    weight: Floats
    bias: Floats


MOST_INPUTS = 8192  # of a linear prediction; normal equations of more inputs take gigabytes and minutes
MOST_PRODUCTS = 2e11  # rows * inputs^2; above this no more rows are read once there are twice as many as inputs


def contexts(x: Frames, n_frames: int) -> Frames:
    """Concatenate each frame with the n_frames - 1 before it: (time, batch, n) -> (time, batch, n_frames * n).

    The latest frame comes first; frames before the first one are zero.
    """
    padded = np.concatenate([np.zeros((n_frames - 1, *x.shape[1:]), x.dtype), x])
    return np.concatenate([padded[n_frames - 1 - k : len(padded) - k] for k in range(n_frames)], axis=2)


def linear_prediction(pairs: Iterable[Pair], *, n_frames: int = 2, ridge: float = 1e-4) -> LinearPrediction | None:
    """Fit a linear prediction of the target y_t by ridge regression; returns None if m exceeds 8192.

        argmin sum |y_t - (c_t A + b)|^2 + ridge tr(C) / m |A|^2,   C = sum c_t^T c_t

    c_t (m,) holds the last ``n_frames`` input frames up to t, see :func:`contexts`: m = n_frames * n.

    pairs
        (input, target) arrays, (time, batch, n) each, iterated over once; only the normal equations are held in
        memory, in float64. To bound the time, reading stops after r frames if r > 2 m and r m^2 > 2e11.
    """
    gram, cross = np.zeros(()), np.zeros(())
    n_rows = 0
    for x, target in pairs:
        width = n_frames * x.shape[2]
        if width > MOST_INPUTS:
            return None
        if n_rows > 2 * width and n_rows * width**2 > MOST_PRODUCTS:
            break
        n_rows += x.shape[0] * x.shape[1]
        c = contexts(np.asarray(x, np.float64), n_frames).reshape(-1, n_frames * x.shape[2])
        c = np.column_stack([c, np.ones(len(c))])
        gram = gram + c.T @ c
        cross = cross + c.T @ np.asarray(target, np.float64).reshape(len(c), -1)
    m = len(gram) - 1
    least = np.finfo(np.float64).tiny  # keeps the equations solvable for silence, where all coefficients are 0
    penalty = np.full(m + 1, max(ridge * np.trace(gram[:m, :m]) / m, least))
    penalty[-1] = 0.0
    solution = np.linalg.solve(gram + np.diag(penalty), cross)
    return LinearPrediction(solution[:-1], solution[-1])


def baselines(pairs: Iterable[Pair], linear: LinearPrediction | None) -> dict[str, float]:
    """Normalised mean squared error of each baseline over all pairs (input, target), (time, batch, n) each, by name.

    The error is the sum of squared errors over the sum of squared targets; NaN if all targets are zero. The baselines
    are ``predict zero`` (error 1), ``persistence`` (the prediction is the input frame) and, unless ``linear`` is None,
    ``linear prediction``.
    """
    names = ("predict zero", "persistence", *(["linear prediction"] if linear else []))
    errors = dict.fromkeys(names, 0.0)
    energy = 0.0
    for x, target in pairs:
        predictions = [np.zeros_like(target), x]
        if linear:
            predictions.append(contexts(x, linear.weight.shape[0] // x.shape[2]) @ linear.weight + linear.bias)
        for name, prediction in zip(errors, predictions, strict=True):
            errors[name] += float(np.sum(np.square(target - prediction, dtype=np.float64)))
        energy += float(np.sum(np.square(target, dtype=np.float64)))
    return {name: error / energy if energy else float("nan") for name, error in errors.items()}
