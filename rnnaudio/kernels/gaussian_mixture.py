"""The likelihood of a mixture of Gaussians, and its gradients. Sums are in float64."""

import math
from typing import Any

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.product import require_shapes

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


@njit()
def _log_parts(said: Any, target: float, j: int, least_variance: float, parts: Any) -> Any:
    """parts (3, K): w_k, log w_k N(target; m_k, v_k), v_k; the log of the sum."""
    k_all = parts.shape[1]
    most = np.float64(said[0, j])
    for k in range(1, k_all):
        most = max(most, np.float64(said[k, j]))
    total = 0.0
    for k in range(k_all):
        parts[0, k] = math.exp(said[k, j] - most)
        total += parts[0, k]
    highest = -np.inf
    for k in range(k_all):
        variance = math.exp(said[2 * k_all + k, j]) + least_variance
        error = target - said[k_all + k, j]
        log_density = -0.5 * (error * error / variance + math.log(variance)) - HALF_LOG_2_PI
        parts[0, k] /= total
        parts[1, k], parts[2, k] = said[k, j] - most - math.log(total) + log_density, variance
        highest = max(highest, parts[1, k])
    total = 0.0
    for k in range(k_all):
        total += math.exp(parts[1, k] - highest)
    return highest + math.log(total)


@njit()
def _nats(said: Any, target: Any, least_variance: float, out: Any, first: int, last: int) -> None:
    parts = np.empty((3, said.shape[1] // 3))
    for i in range(first, last):
        for j in range(said.shape[2]):
            out[i, j] = -_log_parts(said[i], np.float64(target[i, j]), j, least_variance, parts)


@njit()
def _gradients(
    said: Any, target: Any, d_nats: Any, least_variance: float, d_said: Any, d_target: Any, first: int, last: int
) -> None:
    k_all = said.shape[1] // 3
    parts = np.empty((3, k_all))
    for i in range(first, last):
        for j in range(said.shape[2]):
            d, towards = np.float64(d_nats[i, j]), 0.0
            log_all = _log_parts(said[i], np.float64(target[i, j]), j, least_variance, parts)
            for k in range(k_all):
                share, variance = math.exp(parts[1, k] - log_all), parts[2, k]
                error = (np.float64(target[i, j]) - said[i, k_all + k, j]) / variance
                towards += share * error
                d_said[i, k, j] = d * (parts[0, k] - share)
                d_said[i, k_all + k, j] = -d * share * error
                bent = (variance - least_variance) * 0.5 * (1.0 / variance - error * error)
                d_said[i, 2 * k_all + k, j] = d * share * bent
            d_target[i, j] = d * towards


def nats(said: np.ndarray, target: np.ndarray, least_variance: float) -> np.ndarray:
    """-log of the density: said (rows, 3 K, n) of logits, means and log (v - least), target (rows, n) -> (rows, n)."""
    require_shapes(target=(target, (said.shape[0], said.shape[2])))
    out = np.empty(target.shape, said.dtype)
    shares = threads.split(len(said), work=100 * said.size)
    threads.run(_nats, [(said, target, least_variance, out, *share) for share in shares])
    return out


def gradients(
    said: np.ndarray, target: np.ndarray, d_nats: np.ndarray, least_variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Those at ``said`` and ``target``, given that of each nat, (rows, n)."""
    require_shapes(target=(target, (said.shape[0], said.shape[2])), d_nats=(d_nats, target.shape))
    out = np.empty(said.shape, said.dtype), np.empty(target.shape, said.dtype)
    shares = threads.split(len(said), work=200 * said.size)
    threads.run(_gradients, [(said, target, d_nats, least_variance, *out, *share) for share in shares])
    return out
