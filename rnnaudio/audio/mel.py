"""Mel filter bank, shared by metrics and model inputs: triangular weights of equal width on the mel scale."""

import math

import numpy as np
from numpy.typing import NDArray


def mel_weights(n_samples: int, sample_rate_hz: int, n_bands: int) -> NDArray[np.float64]:
    """Weights of ``n_bands`` triangular mel filters of height 1: (n_samples // 2 + 1, n_bands) float64.

    Rows are the bins of a real Fourier transform of ``n_samples`` samples. The filters' centres are evenly spaced
    between 0 and half the sample rate on the scale mel = 2595 log10(1 + f / 700), f in Hz; each filter falls to 0 at
    the centres of its neighbours. All weights of a filter narrower than a bin may be 0.
    """
    frequency_hz = np.fft.rfftfreq(n_samples, 1.0 / sample_rate_hz)[:, None]
    highest_mel = 2595.0 * math.log10(1.0 + 0.5 * sample_rate_hz / 700.0)
    edges_hz = 700.0 * (10.0 ** (np.linspace(0.0, highest_mel, n_bands + 2) / 2595.0) - 1.0)
    below, centre, above = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising, falling = (frequency_hz - below) / (centre - below), (above - frequency_hz) / (above - centre)
    return np.maximum(0.0, np.minimum(rising, falling))
