"""What a loss has to beat: predictors that need no network, scored on the same windows (NumPy only)."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


class LinearPrediction(NamedTuple):
    """Least-squares coefficients: weight (n_frames * n, n), the latest frame first; bias (n,)."""

    weight: np.ndarray
    bias: np.ndarray


MOST_INPUTS = 8192  # of a linear prediction: the normal equations of more take gigabytes and minutes
MOST_PRODUCTS = 2e11  # then twice as many rows as inputs are enough


def contexts(x: np.ndarray, n_frames: int) -> np.ndarray:
    """(time, batch, n) -> (time, batch, n_frames * n): each frame beside those before it, zeros before the first."""
    padded = np.concatenate([np.zeros((n_frames - 1, *x.shape[1:]), x.dtype), x])
    return np.concatenate([padded[n_frames - 1 - k : len(padded) - k] for k in range(n_frames)], axis=2)


def linear_prediction(pairs: Iterable[Any], *, n_frames: int = 2, ridge: float = 1e-4) -> LinearPrediction | None:
    """argmin sum |y_t - (c_t A + b)|^2 + ridge tr(C) / m |A|^2, c_t the last ``n_frames`` frames, m their width.

    pairs: (input, target) arrays (time, batch, n), gone through once, of wide frames not all; only the normal
    equations are kept, in float64. None if ``n_frames`` frames have more than 8192 values.
    """
    gram: Any = 0.0
    cross: Any = 0.0
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
    least = np.finfo(np.float64).tiny  # of silence the coefficients are zero
    penalty = np.full(m + 1, max(ridge * np.trace(gram[:m, :m]) / m, least))
    penalty[-1] = 0.0
    solution = np.linalg.solve(gram + np.diag(penalty), cross)
    return LinearPrediction(solution[:-1], solution[-1])


def baselines(pairs: Iterable[Any], linear: LinearPrediction | None) -> dict[str, float]:
    """Normalised mean squared error over (input, target) pairs of: predicting zero (1.0), repeating the input
    (persistence), and linear prediction, if there is one; NaN where all targets are zero."""
    names = ("predict zero", "persistence", *(["linear prediction"] if linear else []))
    errors = dict.fromkeys(names, 0.0)
    energy = 0.0
    for x, target in pairs:
        guesses = [0.0, x]
        if linear:
            guesses.append(contexts(x, linear.weight.shape[0] // x.shape[2]) @ linear.weight + linear.bias)
        for name, guess in zip(errors, guesses, strict=True):
            errors[name] += float(np.sum(np.square(target - guess, dtype=np.float64)))
        energy += float(np.sum(np.square(target, dtype=np.float64)))
    return {name: error / energy if energy else float("nan") for name, error in errors.items()}
