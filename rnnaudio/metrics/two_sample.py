"""Can a classifier tell generated sound from real? The area under its curve on sounds that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.spectrum import HOP_SAMPLES, N_MEL_BANDS, log_mel

WINDOW_SECONDS, STEP_SECONDS = 4.0, 2.0
N_CEPSTRA, N_MODULATIONS = 20, 12
PENALTY = 1.0


def area_under_curve(real: ArrayLike, generated: ArrayLike) -> float:
    """P(a generated score is above a real one) + P(equal) / 2: .5 cannot be told apart, 1 always (Mann-Whitney)."""
    real, generated = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if not len(real) or not len(generated):
        raise RnnaudioError(f"got {len(real)} real and {len(generated)} generated scores; expected some of both")
    ranks = rankdata(np.concatenate([real, generated]))[len(real) :]
    wins = ranks.sum() - len(generated) * (len(generated) + 1) / 2.0
    return float(wins / (len(real) * len(generated)))


def window_features(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    """(n_windows, n_features) of windows of 4 s, a new one each 2 s: timbre, its spread, and how it moves.

    The cosine transform of the log-mel bands (20 coefficients): mean, deviation, deviation of the change; and of four
    groups of bands the spectrum of their level over time, up to 3 Hz, where rhythm is.
    """
    mel = log_mel(audio, sample_rate_hz)
    k = np.arange(N_CEPSTRA)[:, None] * (np.arange(N_MEL_BANDS) + 0.5) * np.pi / N_MEL_BANDS
    cepstra, groups = mel @ np.cos(k).T / N_MEL_BANDS, mel.reshape(len(mel), 4, -1).mean(axis=2)
    n, step = (round(s * sample_rate_hz / HOP_SAMPLES) for s in (WINDOW_SECONDS, STEP_SECONDS))
    rows = []
    for start in range(0, len(mel) - n + 1, step):
        c, level = cepstra[start : start + n], groups[start : start + n]
        rhythm = np.abs(np.fft.rfft(level - level.mean(axis=0), axis=0))[1 : N_MODULATIONS + 1] / n
        rows.append(np.concatenate([c.mean(0), c.std(0), np.diff(c, axis=0).std(0), np.log(rhythm + 1e-3).ravel()]))
    if not rows:
        raise RnnaudioError(f"the sound is shorter than a window of {WINDOW_SECONDS:.0f} s: give more")
    return np.array(rows)


class Classifier:
    """Logistic regression on standardised features and their squares, with an L2 penalty; by L-BFGS."""

    def __init__(self, real: FloatArray, generated: FloatArray):
        x = np.concatenate([real, generated])
        self._mean, self._std = x.mean(axis=0), x.std(axis=0) + 1e-9
        y = np.r_[np.zeros(len(real)), np.ones(len(generated))]
        weight = np.r_[np.full(len(real), 0.5 / len(real)), np.full(len(generated), 0.5 / len(generated))] * len(y)
        z = self._expanded(x)
        found = minimize(loss, np.zeros(z.shape[1] + 1), (z, y, weight), jac=True, method="L-BFGS-B")
        self._w = found.x

    def _expanded(self, x: FloatArray) -> FloatArray:
        z = np.clip((x - self._mean) / self._std, -5.0, 5.0)
        return np.concatenate([z, z**2 - 1.0], axis=1)

    def score(self, x: FloatArray) -> FloatArray:
        """The log-odds of being generated, for each window."""
        return np.asarray(self._expanded(x) @ self._w[:-1] + self._w[-1])


def loss(w: FloatArray, z: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[float, FloatArray]:
    """Weighted sum of cross-entropies + penalty |w|^2 / 2 (not of the bias), and its gradient."""
    logit = z @ w[:-1] + w[-1]
    value = float(weight @ (np.logaddexp(0.0, logit) - y * logit)) + 0.5 * PENALTY * float(w[:-1] @ w[:-1])
    slope = weight * (expit(logit) - y)
    return value, np.append(z.T @ slope + PENALTY * w[:-1], slope.sum())


def told_apart(
    real: Sequence[Sequence[ArrayLike]], generated: Sequence[Sequence[ArrayLike]], sample_rate_hz: int
) -> float:
    """Area under the curve of a classifier of 4 s windows, on sounds that it was not trained on; mean over folds.

    real, generated: groups of sounds that belong together, such as the stretches of one piece. Group k of each is
    judged by a classifier that heard the others only: no window by one that heard its neighbours, or its own twin. If
    both are the same music (real pieces through a codec) they must be grouped alike. RnnaudioError for less than two
    groups on either side.
    """
    n_folds = min(len(real), len(generated))
    if n_folds < 2:
        got = f"{len(real)} groups of real and {len(generated)} of generated sounds"
        raise RnnaudioError(f"got {got}; expected 2 of each at least")
    features = [
        [np.concatenate([window_features(sound, sample_rate_hz) for sound in group]) for group in side]
        for side in (real, generated)
    ]
    areas = []
    for fold in range(n_folds):
        others = [np.concatenate([f for k, f in enumerate(s) if k % n_folds != fold]) for s in features]
        judged = [np.concatenate([f for k, f in enumerate(s) if k % n_folds == fold]) for s in features]
        classifier = Classifier(*others)
        areas.append(area_under_curve(*(classifier.score(f) for f in judged)))
    return float(np.mean(areas))
