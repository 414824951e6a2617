"""From differences back to phases, along the loudest path."""

from typing import NamedTuple

import numpy as np

from rnnaudio.audio.phase.differences import Differences, hop_advance
from rnnaudio.audio.phase.griffin_lim import centre_advance, checked_magnitudes
from rnnaudio.audio.stft import STFT
from rnnaudio.kernels.phases import spread

FAINTEST = 1e-6


class Settled(NamedTuple):
    """A frame whose phases are known, radians from its first sample; all (n_bins,)."""

    magnitudes: np.ndarray
    phases: np.ndarray
    time: np.ndarray  # the differences that were said
    frequency: np.ndarray


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

    def step(
        self, magnitudes: np.ndarray, time: np.ndarray, frequency: np.ndarray, phases: np.ndarray | None = None
    ) -> np.ndarray:
        """The next frame's phases, (n_bins,) radians from its first sample; all arguments (n_bins,).

        phases: those of a frame that has them: it keeps them.
        """
        magnitudes = np.asarray(magnitudes, np.float64)
        if phases is not None:
            self._before = magnitudes, phases
            return phases
        n = len(magnitudes)
        before, old = self._before or (np.zeros(n), np.zeros(n))
        limit = self._faintest * max(float(magnitudes.max()), float(before.max()))
        phases = self._rng.uniform(-np.pi, np.pi, n) + self._to_centre
        ahead = old + self._to_centre + self._advance + time  # centred phases, by the frame before
        spread(before, magnitudes, ahead, np.asarray(frequency, np.float64), limit, phases)
        phases -= self._to_centre
        self._before = magnitudes, phases
        return phases


def integrated(
    magnitudes: np.ndarray, differences: Differences, stft: STFT, *, faintest: float = FAINTEST, seed: int = 0
) -> np.ndarray:
    """(n_frames, n_bins) phases in radians, of all frames in turn."""
    integrator = PhaseIntegrator(stft, faintest=faintest, seed=seed)
    rows = zip(checked_magnitudes(magnitudes, stft), *differences, strict=True)
    return np.stack([integrator.step(*row) for row in rows])
