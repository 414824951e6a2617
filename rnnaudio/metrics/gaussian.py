"""Gaussian densities fitted in closed form, as baselines for models with a likelihood (NumPy only)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnnaudio.audio.arrays import Floats
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.prediction import FloatArray

LOG_2_PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (d,) and covariance (d, d) of ``n`` vectors; also the Gaussian with these moments."""

    n: int
    mean: FloatArray
    covariance: FloatArray

    @classmethod
    def of(cls, parts: Iterable[Floats]) -> "Moments":
        """Compute the moments of the rows of all ``parts``, arrays (n, d), together, in one pass.

        RnnaudioError if there are no rows, or for NaN or infinite values.
        """
        n, total, products = 0, np.zeros(1), np.zeros((1, 1))
        for part in parts:
            x = np.asarray(part, np.float64)
            n, total, products = n + len(x), total + x.sum(axis=0), products + x.T @ x
        if n == 0 or not np.isfinite(products).all():
            raise RnnaudioError(f"got {n} vectors, or NaN or infinite values; expected at least one, all finite")
        mean = total / n
        return cls(n, mean, products / n - np.outer(mean, mean))

    def diagonal_nats(self, x: Floats) -> FloatArray:
        """Negative log-likelihood in nats of the Gaussian with diagonal covariance: (n, d) -> (n,).

        RnnaudioError if a variance is 0.
        """
        variance = np.diag(self.covariance)
        if not (variance > 0.0).all():
            raise RnnaudioError(
                f"{np.sum(variance <= 0.0)} of {len(variance)} values are the same in all vectors: a Gaussian of "
                "variance zero has no density; leave them out"
            )
        squares = (np.asarray(x, np.float64) - self.mean) ** 2 / variance
        return 0.5 * np.sum(squares + np.log(variance) + LOG_2_PI, axis=1)

    @cached_property
    def principal(self) -> tuple[FloatArray, FloatArray]:
        """Variances of the principal components, (d,) in descending order, and their directions, columns of (d, d)."""
        variances, directions = np.linalg.eigh(self.covariance)
        return variances[::-1], directions[:, ::-1]


@dataclass(frozen=True, eq=False)
class PrincipalGaussian:
    """Probabilistic PCA: x = mean + W z + noise, z ~ N(0, I), noise ~ N(0, rest I). Tipping and Bishop (1999).

        W = V (L - rest)^(1/2)        covariance W W^T + rest I

    The maximum-likelihood solution: the columns of V (d, q) are the first q principal directions, L their variances,
    and rest is the mean variance along the remaining directions. With q = d - 1 this is the Gaussian with full
    covariance.
    """

    mean: FloatArray
    directions: FloatArray  # V
    variances: FloatArray  # L
    rest: float

    @classmethod
    def of(cls, moments: Moments, n_components: int) -> "PrincipalGaussian":
        """Fit to moments, with n_components = q. RnnaudioError unless 1 <= q < d and rest is not (almost) zero."""
        d = len(moments.mean)
        if not 1 <= n_components < d:
            raise RnnaudioError(f"n_components: got {n_components}, expected 1 to {d - 1}")
        variances, directions = moments.principal
        rest = float(variances[n_components:].mean())
        if rest <= 1e-12 * variances[0]:
            raise RnnaudioError(
                f"no variance outside {n_components} components: use fewer components, or more vectors"
            )
        return cls(moments.mean, directions[:, :n_components], variances[:n_components], rest)

    def nats(self, x: Floats) -> FloatArray:
        """Negative log-likelihood -log p(x) in nats: (n, d) -> (n,)."""
        centred = np.asarray(x, np.float64) - self.mean
        along = centred @ self.directions
        beside = np.sum(centred**2, axis=1) - np.sum(along**2, axis=1)
        d, q = self.directions.shape
        log_determinant = np.sum(np.log(self.variances)) + (d - q) * math.log(self.rest)
        return 0.5 * (np.sum(along**2 / self.variances, axis=1) + beside / self.rest + log_determinant + d * LOG_2_PI)

    def reconstructed(self, x: Floats) -> FloatArray:
        """Reconstruct from the posterior mean of z, mean + W E[z | x]: (n, d) -> (n, d)."""
        along = (np.asarray(x, np.float64) - self.mean) @ self.directions
        return np.asarray(self.mean + (along * (1.0 - self.rest / self.variances)) @ self.directions.T)

    def sampled(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Sample ``n`` vectors mean + W z, without the noise, with random numbers from ``rng``; returns (n, d)."""
        z = rng.standard_normal((n, len(self.variances)))
        return np.asarray(self.mean + (z * np.sqrt(self.variances - self.rest)) @ self.directions.T)
