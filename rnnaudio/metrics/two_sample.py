"""Two-sample test: area under the ROC curve, on unseen audio, of a classifier of real against generated audio.

Audio is mono, (n_samples,), floating point, with full scale at -1 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.spectrum import FRAME_SAMPLES, HOP_SAMPLES, N_MEL_BANDS, log_mel

WINDOW_SECONDS, STEP_SECONDS = 4.0, 2.0
N_CEPSTRA, N_MODULATIONS = 20, 12
PENALTY = 1.0


def area_under_curve(real: ArrayLike, generated: ArrayLike) -> float:
    """Area under the ROC curve of scores of real, (n_real,), and generated audio, (n_generated,); .5 at chance.

        P(a generated score exceeds a real score) + P(both are equal) / 2

    1 if every generated score exceeds every real score, 0 in the opposite case. It is the Mann-Whitney statistic over
    the number of pairs. RnnaudioError if there are no real or no generated scores.
    """
    real, generated = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if not len(real) or not len(generated):
        raise RnnaudioError(f"got {len(real)} real and {len(generated)} generated scores; expected at least one each")
    below, up_to = (np.searchsorted(np.sort(real), generated, side) for side in ("left", "right"))
    return float((below.sum() + up_to.sum()) / 2.0 / (len(real) * len(generated)))


def least_samples(sample_rate_hz: int) -> int:
    """Number of samples of the shortest audio with a window: the frames of 4 s, and what the last reaches beyond."""
    return (round(WINDOW_SECONDS * sample_rate_hz / HOP_SAMPLES) - 1) * HOP_SAMPLES + FRAME_SAMPLES


def window_features(audio: ArrayLike, sample_rate_hz: int) -> FloatArray:
    """Features (n_windows, n_features) of windows of 4 s every 2 s: timbre, its spread and change, and rhythm.

    Timbre, its spread and its change are three numbers for each of 20 cosine transform coefficients of the log-mel
    bands: mean, standard deviation, and standard deviation of the difference between successive frames. Rhythm is the
    logarithm of the modulation spectrum, up to 3 Hz, of the levels of four groups of bands. RnnaudioError for audio
    with fewer frames than a window, that is, shorter than about 4 s plus 1792 samples; also the errors of `log_mel`.
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
        raise RnnaudioError(f"the audio is shorter than a window of {WINDOW_SECONDS:.0f} s: give more")
    return np.array(rows)


class Classifier:
    """Logistic regression on standardised features and their squares, with an L2 penalty, fitted by L-BFGS.

    real, generated: features (n_windows, n_features) of real and of generated audio. All real windows together have
    the same weight as all generated windows.
    """

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
        """Log-odds that each window is generated: features (n_windows, n_features) -> (n_windows,)."""
        return np.asarray(self._expanded(x) @ self._w[:-1] + self._w[-1])


def loss(w: FloatArray, z: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[float, FloatArray]:
    """Weighted sum of cross-entropies + PENALTY |w|^2 / 2, and its gradient with respect to w, (n_inputs + 1,).

    The last element of w is the bias, which is not penalised. z: inputs (n, n_inputs); y: labels (n,), 1 for
    generated, 0 for real; weight: (n,).
    """
    logit = z @ w[:-1] + w[-1]
    value = float(weight @ (np.logaddexp(0.0, logit) - y * logit)) + 0.5 * PENALTY * float(w[:-1] @ w[:-1])
    slope = weight * (expit(logit) - y)
    return value, np.append(z.T @ slope + PENALTY * w[:-1], slope.sum())


def classifier_auc(
    real: Sequence[Sequence[ArrayLike]], generated: Sequence[Sequence[ArrayLike]], sample_rate_hz: int
) -> float:
    """Cross-validated area under the ROC curve of a classifier of real against generated windows of 4 s; .5 at chance.

    real, generated: groups of related audio, such as the excerpts of one piece. The number of folds is the number of
    real or of generated groups, whichever is smaller; real group k and generated group k are in fold k modulo this
    number. The windows of a fold are scored by a :class:`Classifier` trained on the other folds, so that no window is
    scored by a classifier trained on audio of the same group. The result is the mean area over the folds. If real and
    generated audio are the same music (real pieces and their decoded codes, say), group both in the same way.
    RnnaudioError for fewer than two real or two generated groups; also the errors of :func:`window_features`.
    """
    n_folds = min(len(real), len(generated))
    if n_folds < 2:
        got = f"{len(real)} groups of real and {len(generated)} of generated sounds"
        raise RnnaudioError(f"got {got}; expected at least 2 of each")
    features = [
        [np.concatenate([window_features(sound, sample_rate_hz) for sound in group]) for group in side]
        for side in (real, generated)
    ]
    areas = []
    for fold in range(n_folds):
        train = [np.concatenate([f for k, f in enumerate(s) if k % n_folds != fold]) for s in features]
        test = [np.concatenate([f for k, f in enumerate(s) if k % n_folds == fold]) for s in features]
        classifier = Classifier(*train)
        areas.append(area_under_curve(*(classifier.score(f) for f in test)))
    return float(np.mean(areas))
