"""Sampling of codes from predicted distributions: temperature, top-k, nucleus (NumPy only)."""

from dataclasses import dataclass

import numpy as np

from rnnaudio.audio.arrays import Codes, Floats
from rnnaudio.errors import RnnaudioError


@dataclass(frozen=True)
class Sampling:
    """Settings for sampling a code from logits.

    temperature
        divides the logits: 1 as learnt, below 1 more conservative, above 1 more varied.
    top_k
        sample only from the k most probable codes, and any as probable as the k-th; 0: from all codes.
    nucleus
        sample only from the smallest set of codes, among those left by ``top_k``, whose probabilities add up to at
        least this number, above 0 and up to 1 (Holtzman et al. 2020); 1: from all.

    RnnaudioError for a temperature that is not positive, or settings out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    nucleus: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0.0):
            raise RnnaudioError(f"the temperature is {self.temperature}: expected more than 0; 1 is as learnt")
        if self.top_k < 0 or not 0.0 < self.nucleus <= 1.0:
            raise RnnaudioError(
                f"top_k is {self.top_k}, nucleus {self.nucleus}: expected top_k of 0 or more, nucleus above 0, up to 1"
            )

    @property
    def is_whole(self) -> bool:
        """True if neither top-k nor nucleus sampling excludes codes."""
        return self.top_k == 0 and self.nucleus == 1.0

    def probabilities(self, logits: Floats) -> Floats:
        """Probabilities after temperature, top-k and nucleus: (..., n_codes) logits -> (..., n_codes) float64.

        RnnaudioError for logits that are not finite.
        """
        z = np.asarray(logits, np.float64)
        if not np.isfinite(z).all():
            raise RnnaudioError("the model predicts NaN or infinite logits: its training diverged; use another model")
        z = (z - z.max(axis=-1, keepdims=True)) / self.temperature
        if 0 < self.top_k < z.shape[-1]:
            least = np.partition(z, -self.top_k, axis=-1)[..., -self.top_k, None]
            z = np.where(z >= least, z, -np.inf)
        p = np.exp(z)
        p /= p.sum(axis=-1, keepdims=True)
        if self.nucleus < 1.0:
            order = np.argsort(-p, axis=-1, kind="stable")
            ranked = np.take_along_axis(p, order, axis=-1)
            before = np.cumsum(ranked, axis=-1) - ranked  # sum over more probable codes; 0 for the first, always kept
            np.put_along_axis(p, order, np.where(before < self.nucleus, ranked, 0.0), axis=-1)
            p /= p.sum(axis=-1, keepdims=True)
        return np.asarray(p)

    def sample(self, logits: Floats, uniform: Floats) -> Codes:
        """Sample codes by inverting the cumulative probabilities: logits (n, n_codes) -> codes (n,).

        uniform: (n,), random numbers from U(0, 1).
        """
        sums = np.cumsum(self.probabilities(logits), axis=-1)
        codes = np.sum(sums <= uniform[:, None] * sums[:, -1:], axis=-1)
        return np.minimum(codes, logits.shape[-1] - 1)


@dataclass(frozen=True)
class SamplingSchedule:
    """Sampling settings over the course of a piece: a temperature that varies, and constant ``top_k`` and ``nucleus``.

    ``temperatures`` are the values at evenly spaced times from the start to the end of the piece, with linear
    interpolation in between; a single temperature is constant. For ``top_k`` and ``nucleus`` see :class:`Sampling`.

    Raises the errors of :class:`Sampling`, and RnnaudioError if there is no temperature.
    """

    temperatures: tuple[float, ...] = (1.0,)
    top_k: int = 0
    nucleus: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperatures:
            raise RnnaudioError("got no temperature; expected one or more")
        for temperature in self.temperatures:
            Sampling(temperature, self.top_k, self.nucleus)

    def at(self, share: float) -> Sampling:
        """Return the settings at this share of the length of the piece, from 0 (start) to 1 (end)."""
        places = np.linspace(0.0, 1.0, len(self.temperatures))
        return Sampling(float(np.interp(share, places, self.temperatures)), self.top_k, self.nucleus)
