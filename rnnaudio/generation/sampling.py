"""How a code is drawn from what a model says: temperature, the k likeliest, the nucleus (NumPy only)."""

from dataclasses import dataclass

import numpy as np

from rnnaudio.errors import RnnaudioError


@dataclass(frozen=True)
class Sampling:
    """temperature: logits are divided by it: 1 as learnt, below 1 safer, above 1 bolder.

    top_k
        draw from the k likeliest codes only; 0: from all.
    nucleus
        draw from the fewest codes whose probabilities reach this sum (Holtzman et al. 2020); 1: from all.

    RnnaudioError: a temperature of 0 or below, or settings out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    nucleus: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0.0):
            raise RnnaudioError(f"the temperature is {self.temperature}: expected more than 0; 1 is as learnt")
        if self.top_k < 0 or not 0.0 < self.nucleus <= 1.0:
            raise RnnaudioError(f"top_k is {self.top_k}, nucleus {self.nucleus}: expected 0 or more, and 0 to 1")

    @property
    def is_whole(self) -> bool:
        """Whether no code is left out."""
        return self.top_k == 0 and self.nucleus == 1.0

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(.., n_codes) logits -> probabilities in float64, after all three. RnnaudioError if they are not finite."""
        z = np.asarray(logits, np.float64)
        if not np.isfinite(z).all():
            raise RnnaudioError("the model says NaN or infinite logits: its training broke down, take another")
        z = (z - z.max(axis=-1, keepdims=True)) / self.temperature
        if 0 < self.top_k < z.shape[-1]:
            least = np.partition(z, -self.top_k, axis=-1)[..., -self.top_k, None]
            z = np.where(z >= least, z, -np.inf)
        p = np.exp(z)
        p /= p.sum(axis=-1, keepdims=True)
        if self.nucleus < 1.0:
            order = np.argsort(-p, axis=-1, kind="stable")
            ranked = np.take_along_axis(p, order, axis=-1)
            before = np.cumsum(ranked, axis=-1) - ranked  # of those that are likelier: the first is always kept
            np.put_along_axis(p, order, np.where(before < self.nucleus, ranked, 0.0), axis=-1)
            p /= p.sum(axis=-1, keepdims=True)
        return np.asarray(p)

    def draw(self, logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """(n, n_codes) logits and (n,) numbers U(0, 1) -> (n,) codes, by inversion of the cumulative sums."""
        sums = np.cumsum(self.probabilities(logits), axis=-1)
        codes = np.sum(sums <= uniform[:, None] * sums[:, -1:], axis=-1)
        return np.minimum(codes, logits.shape[-1] - 1)


@dataclass(frozen=True)
class Course:
    """Sampling in the course of a piece: the temperature goes through these values, evenly spread and linear between.

    RnnaudioError as :class:`Sampling`, and without a temperature.
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
        """After this share of the length, 0 to 1."""
        places = np.linspace(0.0, 1.0, len(self.temperatures))
        return Sampling(float(np.interp(share, places, self.temperatures)), self.top_k, self.nucleus)
