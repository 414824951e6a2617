"""Integration of phase differences to phases, along a path through the loudest bins."""

from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Magnitudes, Phases
from rnnaudio.audio.phase.differences import Differences, hop_advance
from rnnaudio.audio.phase.griffin_lim import centre_advance, checked_magnitudes
from rnnaudio.audio.stft import STFT
from rnnaudio.kernels.phases import spread

FAINTEST = 1e-6


class PhasedFrame(NamedTuple):
    """A frame of magnitudes with its phases and its estimated phase differences, in radians; all (n_bins,).

    The phases refer to the first sample of the frame.
    """

    magnitudes: Magnitudes
    phases: Phases
    time: Phases  # phase difference from the frame before
    frequency: Phases  # phase difference from the bin below


class PhaseIntegrator:
    """Real-time phase gradient heap integration, one frame at a time: Prusa and Sondergaard (2016).

    The phase of a bin is computed either from the frame before, by the difference in time, or from a neighbouring bin,
    by the difference in frequency. Integration always continues from the loudest bin with a known phase, because
    differences are reliable where there is energy. Bins fainter than ``faintest`` (a ratio of amplitudes) times the
    loudest bin of this frame and the one before get random phases, determined by the seed.
    """

    def __init__(self, stft: STFT, *, faintest: float = FAINTEST, seed: int = 0):
        self._faintest, self._rng = faintest, np.random.default_rng((seed, 5))  # 5 marks this use of the seed
        self._advance, self._to_centre = hop_advance(stft), centre_advance(stft)
        self._before: tuple[Magnitudes, Phases] | None = None  # magnitudes and phases of the last frame

    def step(self, magnitudes: Magnitudes, time: Phases, frequency: Phases, phases: Phases | None = None) -> Phases:
        """Compute the phases of the next frame, in radians, relative to its first sample; all arrays are (n_bins,).

        time, frequency: the phase differences from the frame before and from the bin below. phases: known phases of
        the frame, returned unchanged; None: compute them.
        """
        magnitudes = np.asarray(magnitudes, np.float64)
        if phases is not None:
            self._before = magnitudes, phases
            return phases
        n = len(magnitudes)
        before, old = self._before or (np.zeros(n), np.zeros(n))  # magnitudes and phases
        limit = self._faintest * max(float(magnitudes.max()), float(before.max()))
        phases = self._rng.uniform(-np.pi, np.pi, n) + self._to_centre
        ahead = old + self._to_centre + self._advance + time  # phases at the frame's centre, from the frame before
        spread(before, magnitudes, ahead, np.asarray(frequency, np.float64), limit, phases)
        phases -= self._to_centre
        self._before = magnitudes, phases
        return phases


def integrated(
    magnitudes: Magnitudes, differences: Differences, stft: STFT, *, faintest: float = FAINTEST, seed: int = 0
) -> Phases:
    """Integrate the phase differences of all frames, (n_frames, n_bins) in radians; returns phases of this shape.

    magnitudes: (n_frames, n_bins). The other arguments are those of :class:`PhaseIntegrator`.
    """
    integrator = PhaseIntegrator(stft, faintest=faintest, seed=seed)
    rows = zip(checked_magnitudes(magnitudes, stft), *differences, strict=True)
    return np.stack([integrator.step(*row) for row in rows])
