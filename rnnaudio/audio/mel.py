"""Mel filter bank: triangular weights of equal width on the mel scale, for metrics and model inputs alike."""

import math

import numpy as np
from numpy.typing import NDArray


def mel_weights(n_samples: int, sample_rate_hz: int, n_bands: int) -> NDArray[np.float64]:
    """Triangular filters (n_samples // 2 + 1, n_bands) of height 1, each from the band centre below to that above.

    Rows are the bins of a transform of ``n_samples``; centres are evenly spaced on mel = 2595 log10(1 + f / 700), from
    0 to half the sample rate. A band narrower than a bin may be zero throughout.
    """
    frequency_hz = np.fft.rfftfreq(n_samples, 1.0 / sample_rate_hz)[:, None]
    highest_mel = 2595.0 * math.log10(1.0 + 0.5 * sample_rate_hz / 700.0)
    edges_hz = 700.0 * (10.0 ** (np.linspace(0.0, highest_mel, n_bands + 2) / 2595.0) - 1.0)
    below, centre, above = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising, falling = (frequency_hz - below) / (centre - below), (above - frequency_hz) / (above - centre)
    return np.maximum(0.0, np.minimum(rising, falling))
