"""Level measurement, as root mean square in decibels, and a limiter of peaks.

Audio is float32, mono, (n_samples,); full scale is -1 to 1.
"""

import numpy as np
from scipy.ndimage import minimum_filter1d

from rnnaudio.audio.arrays import Audio

LIMITER_SECONDS = 0.05
UNITY = 1e-9  # a gain this close to 1 is 1, so that sound far from any peak keeps its bits


class Level:
    """Accumulator of the root mean square of audio that arrives in parts.

    The attribute ``n_samples`` counts the samples added.
    """

    def __init__(self) -> None:
        self.n_samples, self._sum_of_squares = 0, 0.0

    def add(self, audio: Audio) -> None:
        """Add the next part, (n,) samples."""
        self.n_samples += len(audio)
        self._sum_of_squares += float(np.sum(np.square(audio, dtype=np.float64)))

    @property
    def dbfs(self) -> float:
        """Level of all parts together in dBFS: -3.01 for a full-scale sine, -infinity for silence or no samples."""
        power = self._sum_of_squares / max(1, self.n_samples)
        return 10.0 * float(np.log10(power)) if power else -np.inf


def level_dbfs(audio: Audio) -> float:
    """Root mean square of (n,) samples in dB of full scale; minus infinity for silence and for no samples."""
    level = Level()
    level.add(audio)
    return level.dbfs


class Limiter:
    """Limiter of peaks for audio that arrives in parts: the gain falls smoothly around peaks, which are not clipped.

    The output is within -1 to 1. Every sample x_t needs a gain n_t = min(1, 1 / |x_t|). With the half width w = 50 ms,

        m_t = min of n_{t-w}, ..., n_{t+w},    gain g_t = mean of m_{t-w}, ..., m_{t+w},    output g_t x_t

    Every m in the mean is at most n_t, so that g_t <= n_t. The gain thus changes over 100 ms before and after a peak;
    further away from peaks over full scale the output equals the input, bit for bit. The output lags behind the input
    by 2 w. How the audio is divided into parts affects the output by rounding errors only.

    The attribute ``lowest`` is the lowest gain so far, 1 at first.
    """

    def __init__(self, sample_rate_hz: int):
        self._width = max(1, round(LIMITER_SECONDS * sample_rate_hz))
        self._kept = np.zeros(2 * self._width, np.float32)  # before the beginning: zeros need no gain
        self.lowest = 1.0

    def push(self, audio: Audio) -> Audio:
        """Add the next part, (n,) finite samples; returns the output that has become final, (m,) float32.

        Until :meth:`flush`, the output is 100 ms shorter than the input in total: for the first 100 ms of input the
        array returned is empty.
        """
        w = self._width
        x = np.concatenate([self._kept, np.asarray(audio, np.float32)])
        if len(x) <= 4 * w:
            self._kept = x
            return np.empty(0, np.float32)
        self._kept = x[-4 * w :]
        middle = x[2 * w : -2 * w]
        if np.abs(x).max() <= 1.0:
            return middle
        needed = 1.0 / np.maximum(1.0, np.abs(x).astype(np.float64))
        total = np.cumsum(np.append(0.0, minimum_filter1d(needed, 2 * w + 1)[w:-w]))
        gain = (total[2 * w + 1 :] - total[: -2 * w - 1]) / (2 * w + 1)
        gain = np.maximum(gain, needed.min())  # beside 1 in a sum, a gain below 1e-13 is lost by rounding
        gain = np.minimum(np.where(gain > 1.0 - UNITY, 1.0, gain), needed[2 * w : -2 * w])
        self.lowest = min(self.lowest, float(gain.min()))
        return (gain * middle).astype(np.float32)

    def flush(self) -> Audio:
        """Return the remaining output, (n,) float32; the next part pushed begins a new sound.

        The attribute ``lowest`` keeps its value.
        """
        left = self.push(np.zeros(2 * self._width, np.float32))
        self._kept = np.zeros(2 * self._width, np.float32)
        return left

    @property
    def lowest_db(self) -> float:
        """The lowest gain so far in dB, at most 0; 0 if no sample was beyond full scale."""
        return 20.0 * float(np.log10(self.lowest))


def limited(audio: Audio, sample_rate_hz: int) -> tuple[Audio, float]:
    """Limit the peaks of (n,) samples by a :class:`Limiter`; returns (audio (n,) float32, lowest gain in dB)."""
    limiter = Limiter(sample_rate_hz)
    parts = [limiter.push(audio), limiter.flush()]
    return np.concatenate(parts), limiter.lowest_db
