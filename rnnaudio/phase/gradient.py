"""Phases read off magnitudes in a stream, without a model: the phase gradient, integrated one frame late."""

from collections import deque

import numpy as np

from rnnaudio.data.stft import STFT
from rnnaudio.errors import RnnaudioError
from rnnaudio.phase.differences import gradient_slope, magnitude_differences
from rnnaudio.phase.griffin_lim import checked_frame
from rnnaudio.phase.integration import PhaseIntegrator, Settled


class PhaseGradient:
    """:func:`magnitude_differences`, integrated frame by frame (Prusa and Sondergaard 2016).

        stream = PhaseGradient(stft)
        for frame in magnitudes:
            for settled in stream.push(frame): ...     # one frame late
        for settled in stream.flush(): ...

    A frame that comes with its phases (``push(frame, phases)``) keeps them, and the next ones go on from there.
    RnnaudioError as :func:`magnitude_differences`.
    """

    def __init__(self, stft: STFT, *, seed: int = 0):
        gradient_slope(stft)  # refuses a window that no Gaussian is near to
        self._stft, self._integrator = stft, PhaseIntegrator(stft, seed=seed)
        # The last frames with their phases, where they came with any: one before the frame that is settled next.
        self._frames: deque[tuple[np.ndarray, np.ndarray | None]] = deque(maxlen=3)
        self._is_over = False

    def push(self, magnitudes: np.ndarray, phases: np.ndarray | None = None) -> list[Settled]:
        """The next frame, (n_bins,) |X|; the frame that is settled by it, if there is one yet.

        RnnaudioError: NaN, negative, of another window.
        """
        if self._is_over:
            raise RnnaudioError("the stream was flushed: make a new one")
        self._frames.append(checked_frame(magnitudes, phases, self._stft))
        if len(self._frames) == 1:
            return []
        return [self._settled(len(self._frames) - 2)]

    def flush(self) -> list[Settled]:
        """The frame that is left; the stream is over."""
        if self._is_over or not self._frames:
            return []
        self._is_over = True
        return [self._settled(len(self._frames) - 1)]

    def _settled(self, at: int) -> Settled:
        differences = magnitude_differences(np.stack([magnitudes for magnitudes, _ in self._frames]), self._stft)
        time, frequency = differences.time[at], differences.frequency[at]
        magnitudes, phases = self._frames[at]
        return Settled(magnitudes, self._integrator.step(magnitudes, time, frequency, phases), time, frequency)
