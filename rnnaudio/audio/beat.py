"""Beat tracking in a stream of frames: the likeliest beat periods, their confidence, and the time since the last beat.

The input is the onset strength: one number per frame, not negative, large where notes begin. Results depend only on
the onset strengths up to the present frame. So a whole piece (:func:`pulses`) and the same piece frame by frame
(:class:`BeatStream`) give the same numbers, bit for bit, in training, validation and free run.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.fft

from rnnaudio.audio.arrays import Array, Floats, Whole
from rnnaudio.errors import RnnaudioError

N_CANDIDATES = 3
PERIODS_BACK = (1, 2, 4)  # distances, in periods, of the earlier frames from which a frame is predicted
WINDOW_SECONDS = 10.0
PERIOD_SECONDS = (0.26, 3.1)
EVERY_SECONDS = 0.256  # eight frames of 32 ms
CHANCE = 3.0  # standard deviations of the autocorrelation of noise, which a peak must exceed
LEAST_ENERGY = 1e-9  # share of the energy that must remain after the mean is subtracted; less is rounding error
NUMBERS = 3  # of each candidate: confidence, and its products with the cosine and the sine of the phase


class Pulse(NamedTuple):
    """Candidates for the beat, in descending order of confidence.

    Each field has the shape (N_CANDIDATES,), or (n, N_CANDIDATES) for n points in time. If there are fewer candidates,
    zeros fill the remaining places.

    period
        number of frames from beat to beat, not necessarily whole.
    confidence
        height of the peak of the normalised autocorrelation of the onset strength at this period, 0 to 1.
    since
        number of frames from the last beat to the latest frame known at that time.
    """

    period: Floats
    confidence: Floats
    since: Floats

    def at(self, index: Array) -> "Pulse":
        """Return the candidates at one point in time (``index`` an integer) or at several (an array of integers).

        The fields of this pulse must have the shape (n, N_CANDIDATES).
        """
        return Pulse(*(field[index] for field in self))

    def lags(self) -> Whole:
        """Compute the lags of 1, 2 and 4 periods in whole frames: (..., candidates x 3) int64.

        The three lags of the first candidate come first. A lag of 0 means that there is no such candidate.
        """
        lags = np.rint(self.period[..., None] * np.asarray(PERIODS_BACK, float)).astype(np.int64)
        return lags.reshape(*lags.shape[:-2], -1)

    def numbers(self, ahead: Array) -> Floats:
        """Compute c, c cos(2 pi p) and c sin(2 pi p) of each candidate: (..., candidates x 3) float32.

        c is the confidence; p is the phase of a future frame: the time from the last beat to this frame, in periods.
        ahead: (...), number of frames from the latest known frame to the future frame.
        """
        period = np.where(self.period > 0.0, self.period, 1.0)
        angle = 2.0 * np.pi * ((self.since + np.asarray(ahead)[..., None]) / period)
        c = self.confidence
        rows = np.stack([c, c * np.cos(angle), c * np.sin(angle)], axis=-1)
        return rows.reshape(*rows.shape[:-2], -1).astype(np.float32)


NO_PULSE = Pulse(*(np.zeros(N_CANDIDATES) for _ in range(3)))


@dataclass(frozen=True)
class BeatFinder:
    """Search for the beat in a sequence of onset strengths, one per frame.

    A search covers the last 10 s and periods of .26 to 3.1 s; a new search is due every .256 s. frames_per_second:
    number of frames per second; RnnaudioError unless it is positive and finite.
    """

    frames_per_second: float

    def __post_init__(self) -> None:
        if not 0.0 < self.frames_per_second < float("inf"):
            raise RnnaudioError(f"frames_per_second is {self.frames_per_second}; expected more than 0, and finite")

    def _frames(self, seconds: float, least: int) -> int:
        return max(least, round(seconds * self.frames_per_second))

    @property
    def n_window(self) -> int:
        """Number of frames in the 10 s that a search covers."""
        return self._frames(WINDOW_SECONDS, 2)

    @property
    def every(self) -> int:
        """Number of frames from one search to the next, 1 or more."""
        return self._frames(EVERY_SECONDS, 1)

    @property
    def lags(self) -> tuple[int, int]:
        """Shortest and longest period of a search, in whole frames."""
        shortest, longest = PERIOD_SECONDS
        return self._frames(shortest, 2), self._frames(longest, 3)

    def pulse(self, strength: Floats) -> Pulse:
        """Find the candidates for the beat in onset strengths, (n,); only the last ``n_window`` of them are used.

            r(l) = sum_t x(t) x(t - l) / sum_t x(t)^2,   x = strength - its mean

        The candidates are the three highest peaks of r at lags l of n / 2 or less, refined by parabolic interpolation.
        A peak must be the highest value within two lags on either side, and exceed three standard deviations of r for
        noise, 3 sqrt(n - l) / n. All fields are 0 if there is no such peak, as for silence, or for constant or too few
        strengths.
        """
        strength = np.asarray(strength, np.float64)[-self.n_window :]
        shortest, longest = self.lags[0], min(self.lags[1], len(strength) // 2)
        x = strength - strength.mean() if len(strength) else strength
        if longest < shortest or not x @ x > LEAST_ENERGY * (strength @ strength):
            return NO_PULSE
        r = _autocorrelation(x, longest + 3)
        lags = np.arange(shortest, longest + 1)
        at = r[lags]
        is_peak = (at > r[lags - 1]) & (at > r[lags - 2]) & (at >= r[lags + 1]) & (at >= r[lags + 2])
        period, height = _refined(r, lags[is_peak & (at > CHANCE * np.sqrt(len(x) - lags) / len(x))])
        found = np.zeros((3, N_CANDIDATES))
        for k, best in enumerate(np.argsort(-height, kind="stable")[:N_CANDIDATES]):
            found[:, k] = period[best], height[best], since_beat(strength, period[best])
        return Pulse(*found)


def _autocorrelation(x: Floats, n_lags: int) -> Floats:
    """Autocorrelation of x (n,) at lags 0 to n_lags - 1, divided by that at lag 0."""
    size = scipy.fft.next_fast_len(len(x) + n_lags, real=True)
    r = np.fft.irfft(np.square(np.abs(np.fft.rfft(x, size))), size)[:n_lags]
    return np.asarray(r / r[0])


def _refined(r: Floats, lags: Whole) -> tuple[Floats, Floats]:
    """Refine the peaks of r at ``lags`` by parabolas through three values; returns (lags, heights, at most 1)."""
    before, at, after = r[lags - 1], r[lags], r[lags + 1]
    shift = 0.5 * (before - after) / (before - 2.0 * at + after)
    return lags + shift, np.minimum(1.0, at - 0.25 * (before - after) * shift)


def since_beat(strength: Floats, period: float) -> float:
    """Estimate the number of frames from the last beat to the last frame of onset strengths (n,).

    The result is the whole number d, 0 <= d < period, with the largest sum of the strengths at d, d + period,
    d + 2 period, ... frames before the last frame, interpolated linearly. period: in frames, at most n - 1.
    """
    n = len(strength)
    teeth = period * np.arange(int((n - 1) / period))
    places = (n - 1) - np.arange(np.ceil(period))[:, None] - teeth
    sums = np.interp(places.ravel(), np.arange(n), strength).reshape(places.shape).sum(axis=1)
    return float(np.argmax(sums))


def pulses(strength: Floats, finder: BeatFinder) -> Pulse:
    """Search a whole piece of onset strengths (n,) every ``finder.every`` frames: fields (n // every, candidates).

    Row k, counted from 0, is the result of :meth:`BeatFinder.pulse` for frames 0 to (k + 1) * ``finder.every`` - 1.
    """
    ends = range(finder.every, len(strength) + 1, finder.every)
    found = [finder.pulse(strength[max(0, end - finder.n_window) : end]) for end in ends]
    return Pulse(*(np.array(rows).reshape(-1, N_CANDIDATES) for rows in zip(*found, strict=True))) if found else _NONE


_NONE = Pulse(*(np.zeros((0, N_CANDIDATES)) for _ in range(3)))


class BeatStream:
    """Search for the beat in a stream of onset strengths, added frame by frame with :meth:`push`.

    The attribute ``pulse`` is the result of the latest search; before the first search it has no candidates. The
    attribute ``ahead`` is the number of frames from the last frame of that search to the frame that comes next.
    """

    def __init__(self, finder: BeatFinder):
        self._finder, self._strength, self._n = finder, np.zeros(0), 0
        self.pulse, self.ahead = NO_PULSE, 1

    def push(self, strength: float) -> None:
        """Add the onset strength of the next frame; updates ``pulse`` and ``ahead``."""
        self._strength = np.append(self._strength, strength)[-self._finder.n_window :]
        self._n += 1
        self.ahead = self._n % self._finder.every + 1
        if self.ahead == 1:
            self.pulse = self._finder.pulse(self._strength)
