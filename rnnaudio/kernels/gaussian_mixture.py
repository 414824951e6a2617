"""The negative log-likelihood of a mixture of Gaussians, and its gradients, computed in float64."""

import math

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.arrays import Frames, Matrix
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.product import require_shapes

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


@njit()
def _log_parts(prediction: Matrix, target: float, j: int, least_variance: float, parts: Matrix) -> float:
    """Return log sum_k w_k N(target; m_k, v_k), and set parts (3, K) to w_k, log w_k N(target; m_k, v_k) and v_k.

    The weights w_k, means m_k and variances v_k are given by column j of prediction (3 K, n).
    """
    k_all = parts.shape[1]
    most = np.float64(prediction[0, j])
    for k in range(1, k_all):
        most = max(most, np.float64(prediction[k, j]))
    total = 0.0
    for k in range(k_all):
        parts[0, k] = math.exp(prediction[k, j] - most)
        total += parts[0, k]
    highest = -np.inf
    for k in range(k_all):
        variance = math.exp(prediction[2 * k_all + k, j]) + least_variance
        error = target - prediction[k_all + k, j]
        log_density = -0.5 * (error * error / variance + math.log(variance)) - HALF_LOG_2_PI
        parts[0, k] /= total
        parts[1, k], parts[2, k] = prediction[k, j] - most - math.log(total) + log_density, variance
        highest = max(highest, parts[1, k])
    total = 0.0
    for k in range(k_all):
        total += math.exp(parts[1, k] - highest)
    return highest + math.log(total)


@njit()
def _nats(prediction: Frames, target: Matrix, least_variance: float, out: Matrix, first: int, last: int) -> None:
    parts = np.empty((3, prediction.shape[1] // 3))
    for i in range(first, last):
        for j in range(prediction.shape[2]):
            out[i, j] = -_log_parts(prediction[i], np.float64(target[i, j]), j, least_variance, parts)


@njit()
def _gradients(
    prediction: Frames, target: Matrix, d_nats: Matrix, least_variance: float,
    d_prediction: Frames, d_target: Matrix, first: int, last: int,
) -> None:  # fmt: skip
    k_all = prediction.shape[1] // 3
    parts = np.empty((3, k_all))
    for i in range(first, last):
        for j in range(prediction.shape[2]):
            d, slope = np.float64(d_nats[i, j]), 0.0
            log_all = _log_parts(prediction[i], np.float64(target[i, j]), j, least_variance, parts)
            for k in range(k_all):
                share, variance = math.exp(parts[1, k] - log_all), parts[2, k]
                error = (np.float64(target[i, j]) - prediction[i, k_all + k, j]) / variance
                slope += share * error
                d_prediction[i, k, j] = d * (parts[0, k] - share)
                d_prediction[i, k_all + k, j] = -d * share * error
                d_log = (variance - least_variance) * 0.5 * (1.0 / variance - error * error)
                d_prediction[i, 2 * k_all + k, j] = d * share * d_log
            d_target[i, j] = d * slope


def nats(prediction: Frames, target: Matrix, least_variance: float) -> Matrix:
    """Compute -log p(target), with p the density of the mixture, elementwise, in nats.

    prediction (rows, 3 K, n) holds, along its second axis, K logits, K means, and K values log(v - least_variance),
    with v the variances and ``least_variance`` the minimum of v. target and result are (rows, n). ValueError if shapes
    do not match.
    """
    require_shapes(target=(target, (prediction.shape[0], prediction.shape[2])))
    out = np.empty(target.shape, prediction.dtype)
    shares = threads.split(len(prediction), work=100 * prediction.size)
    threads.run(_nats, [(prediction, target, least_variance, out, *share) for share in shares])
    return out


def gradients(prediction: Frames, target: Matrix, d_nats: Matrix, least_variance: float) -> tuple[Frames, Matrix]:
    """Compute the loss gradients with respect to prediction (rows, 3 K, n) and target (rows, n).

    d_nats (rows, n) is the loss gradient with respect to the result of :func:`nats`. ValueError if shapes do not
    match.
    """
    require_shapes(target=(target, (prediction.shape[0], prediction.shape[2])), d_nats=(d_nats, target.shape))
    out = np.empty(prediction.shape, prediction.dtype), np.empty(target.shape, prediction.dtype)
    shares = threads.split(len(prediction), work=200 * prediction.size)
    threads.run(_gradients, [(prediction, target, d_nats, least_variance, *out, *share) for share in shares])
    return out
