"""Quantisation of samples: linear, or by the mu-law, whose levels lie closer together at low amplitudes."""

from dataclasses import dataclass

import numpy as np

from rnnaudio.audio.arrays import Audio, Codes, Floats
from rnnaudio.errors import RnnaudioError

LAWS = ("mu", "linear")


@dataclass(frozen=True)
class Quantizer:
    """Quantiser of samples x from -``peak`` to ``peak`` to levels 0 .. n_levels - 1, with its inverse.

        linear   v = x / peak
        mu       v = sign(x) log(1 + mu |x| / peak) / log(1 + mu),   mu = n_levels - 1   (ITU-T G.711 for 256)
        level    round((v + 1) (n_levels - 1) / 2);  inverse: the value at the centre of the level

    Samples beyond the peak are clipped. If the number of levels is even, no level has the value zero: the two nearest
    are half a step above and below it. RnnaudioError for an unknown law, fewer than 2 or more than 65536 levels, or a
    peak that is not positive.
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
            raise RnnaudioError(f"the peak is {self.peak}: expected a number above 0; use audio that is not silent")

    def levels(self, samples: Audio) -> Codes:
        """Quantise samples to levels of the same shape, in the smallest unsigned integer dtype that holds them.

        RnnaudioError for NaN or infinite samples.
        """
        x = np.asarray(samples, np.float64) / self.peak
        if not np.isfinite(x).all():
            raise RnnaudioError("got NaN or infinite samples, expected finite ones: repair the recording")
        x = np.clip(x, -1.0, 1.0)
        if self.law == "mu":
            mu = self.n_levels - 1
            x = np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu)
        return np.floor((x + 1.0) / 2.0 * (self.n_levels - 1) + 0.5).astype(np.min_scalar_type(self.n_levels - 1))

    def values(self, levels: Codes) -> Floats:
        """Convert levels to the values v (see the class), equally spaced from -1 to 1; float64, the same shape."""
        return 2.0 * np.asarray(levels, np.float64) / (self.n_levels - 1) - 1.0

    def samples(self, levels: Codes) -> Audio:
        """Dequantise levels to samples of the same shape, float32."""
        v = self.values(levels)
        if self.law == "mu":
            v = np.sign(v) * np.expm1(np.abs(v) * np.log1p(self.n_levels - 1)) / (self.n_levels - 1)
        return (v * self.peak).astype(np.float32)
