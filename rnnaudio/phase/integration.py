"""From differences back to phases, along the loudest path."""

import heapq

import numpy as np

from rnnaudio.data.stft import STFT
from rnnaudio.phase.differences import Differences, hop_advance
from rnnaudio.phase.griffin_lim import centre_advance, checked_magnitudes

FAINTEST = 1e-6


class PhaseIntegrator:
    """Phase gradient heap integration in real time: Prusa and Sondergaard (2016). One frame at a time.

    A frame's phases are reached from the frame before, by differences in time, or from the neighbouring bins, by those
    in frequency, always from the loudest bin whose phase is known: differences are good where there is sound. Bins
    fainter than ``faintest`` times the loudest of the last two frames get random phases, from the seed.
    """

    def __init__(self, stft: STFT, *, faintest: float = FAINTEST, seed: int = 0):
        self._faintest, self._rng = faintest, np.random.default_rng((seed, 5))  # 5: the purpose
        self._advance, self._to_centre = hop_advance(stft), centre_advance(stft)
        self._before: tuple[np.ndarray, np.ndarray] | None = None  # magnitudes and phases of the last frame

    def step(self, magnitudes: np.ndarray, time: np.ndarray, frequency: np.ndarray) -> np.ndarray:
        """The next frame's phases, (n_bins,) radians from its first sample; all arguments (n_bins,)."""
        n = len(magnitudes)
        before, old = self._before or (np.zeros(n), np.zeros(n))
        limit = self._faintest * max(float(magnitudes.max()), float(before.max()))
        phases = self._rng.uniform(-np.pi, np.pi, n) + self._to_centre
        waiting = magnitudes > limit
        ahead = old + self._to_centre + self._advance + time  # centred phases, by the frame before
        heap = [(-before[k], 0, int(k)) for k in np.flatnonzero(before > limit)]
        heapq.heapify(heap)
        _spread(heap, magnitudes, phases, waiting, ahead, frequency)
        for k in np.argsort(-magnitudes):
            if waiting[k]:  # the loudest bin that nothing leads to
                phases[k], waiting[k] = 0.0, False
                _spread([(-magnitudes[k], 1, int(k))], magnitudes, phases, waiting, ahead, frequency)
        phases -= self._to_centre
        self._before = magnitudes, phases
        return phases


def _spread(
    heap: list[tuple[float, int, int]],
    magnitudes: np.ndarray,
    phases: np.ndarray,
    waiting: np.ndarray,
    ahead: np.ndarray,
    frequency: np.ndarray,
) -> None:
    """From the bins on the heap, (-magnitude, whether of this frame, bin), to all that they lead to, loudest first."""
    while heap:
        _, in_this_frame, k = heapq.heappop(heap)
        reached = [(k, ahead[k])]
        if in_this_frame:
            reached = [(k - 1, phases[k] - frequency[k])] if k else []
            reached += [(k + 1, phases[k] + frequency[k + 1])] if k + 1 < len(phases) else []
        for to, phase in reached:
            if waiting[to]:
                phases[to], waiting[to] = phase, False
                heapq.heappush(heap, (-magnitudes[to], 1, to))


def integrated(
    magnitudes: np.ndarray, differences: Differences, stft: STFT, *, faintest: float = FAINTEST, seed: int = 0
) -> np.ndarray:
    """(n_frames, n_bins) phases in radians, of all frames in turn."""
    integrator = PhaseIntegrator(stft, faintest=faintest, seed=seed)
    rows = zip(checked_magnitudes(magnitudes, stft), *differences, strict=True)
    return np.stack([integrator.step(*row) for row in rows])
