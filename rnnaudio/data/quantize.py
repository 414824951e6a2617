"""Samples as levels: linear, or by the mu-law, which gives quiet sounds more of them."""

from dataclasses import dataclass

import numpy as np

from rnnaudio.errors import RnnaudioError

LAWS = ("mu", "linear")


@dataclass(frozen=True)
class Quantizer:
    """Samples of size up to ``peak`` as levels 0 .. n_levels - 1, and back.

        linear   v = x / peak
        mu       v = sign(x) log(1 + mu |x| / peak) / log(1 + mu),   mu = n_levels - 1   (ITU-T G.711 for 256)
        level    round((v + 1) (n_levels - 1) / 2);  back: the value in the middle of the level

    What is beyond the peak is clipped to it. With an even number of levels none of them is silence; the nearest two
    are half a step away. RnnaudioError for another law, fewer than 2 or more than 65536 levels, no peak.
    """

    peak: float
    n_levels: int = 256
    law: str = "mu"

    def __post_init__(self) -> None:
        if self.law not in LAWS:
            raise RnnaudioError(f"the law is {self.law!r}: expected one of {', '.join(LAWS)}")
        if not 2 <= self.n_levels <= 65536:
            raise RnnaudioError(f"n_levels is {self.n_levels}: expected 2 to 65536")
        if not (np.isfinite(self.peak) and self.peak > 0.0):
            raise RnnaudioError(f"the peak is {self.peak}: expected a number above 0, which silence has not")

    def levels(self, samples: np.ndarray) -> np.ndarray:
        """Floating point samples -> levels, of the smallest unsigned type. RnnaudioError if one is not finite."""
        x = np.asarray(samples, np.float64) / self.peak
        if not np.isfinite(x).all():
            raise RnnaudioError("a sample is NaN or infinite and has no level: repair the recording")
        x = np.clip(x, -1.0, 1.0)
        if self.law == "mu":
            mu = self.n_levels - 1
            x = np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu)
        return np.floor((x + 1.0) / 2.0 * (self.n_levels - 1) + 0.5).astype(np.min_scalar_type(self.n_levels - 1))

    def values(self, levels: np.ndarray) -> np.ndarray:
        """The values -1 .. 1 that levels stand for, equally far apart; float64."""
        return 2.0 * np.asarray(levels, np.float64) / (self.n_levels - 1) - 1.0

    def samples(self, levels: np.ndarray) -> np.ndarray:
        """Levels -> samples, float32."""
        v = self.values(levels)
        if self.law == "mu":
            v = np.sign(v) * np.expm1(np.abs(v) * np.log1p(self.n_levels - 1)) / (self.n_levels - 1)
        return (v * self.peak).astype(np.float32)
