"""Streaming phase retrieval without a model: integration of the phase gradient, with a delay of one frame."""

from collections import deque

import numpy as np

from rnnaudio.audio.arrays import Features, Magnitudes, Phases
from rnnaudio.audio.phase.differences import FAINT, differences_between, gradient_slope
from rnnaudio.audio.phase.griffin_lim import checked_frame
from rnnaudio.audio.phase.integration import PhasedFrame, PhaseIntegrator
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError


class PhaseGradient:
    """Streaming estimation of phases from magnitudes by integrating :func:`magnitude_differences`.

        stream = PhaseGradient(stft)
        for frame in magnitudes:
            for phased in stream.push(frame): ...     # one frame late
        for phased in stream.flush(): ...

    A frame pushed with known phases (``push(frame, phases)``) keeps them, and integration continues from them.
    seed: determines the random phases of faint bins, see :class:`PhaseIntegrator`. RnnaudioError for a rectangular
    window. Source: Prusa and Sondergaard (2016).
    """

    def __init__(self, stft: STFT, *, seed: int = 0):
        self._stft, self._slope = stft, gradient_slope(stft)
        self._integrator = PhaseIntegrator(stft, seed=seed)
        self._logs: deque[Features] = deque(maxlen=3)  # log-magnitudes of the last three frames
        self._frame: tuple[Magnitudes, Phases | None] | None = None  # the latest frame
        self._is_over = False

    def push(self, magnitudes: Magnitudes, phases: Phases | None = None) -> list[PhasedFrame]:
        """Add the next frame |X|, (n_bins,); returns the previous frame, with phases, in a list.

        The list is empty if there is no previous frame. phases: known phases of the frame added, (n_bins,) in radians;
        None: they are estimated.

        RnnaudioError for values that are NaN, infinite or negative, a wrong number of bins, or a flushed stream.
        """
        if self._is_over:
            raise RnnaudioError("the stream was flushed: make a new one")
        frame = checked_frame(magnitudes, phases, self._stft)
        self._logs.append(np.log(np.maximum(frame[0], FAINT)))
        phased = self._phased(self._logs[-1])
        self._frame = frame
        return phased

    def flush(self) -> list[PhasedFrame]:
        """End the stream and return its last frame, with phases, in a list.

        The list is empty if the stream is empty or was flushed before.
        """
        if self._is_over or self._frame is None:
            return []
        self._is_over = True
        last = self._logs[-1]
        self._logs.append(2.0 * last - self._logs[-2] if len(self._logs) > 1 else last)
        return self._phased(self._logs[-1])

    def _phased(self, after: Features) -> list[PhasedFrame]:
        if self._frame is None:
            return []
        magnitudes, phases = self._frame
        is_first, logs = len(self._logs) == 2, self._logs[-2]
        before = 2.0 * logs - after if is_first else self._logs[0]
        time, frequency = differences_between(before, logs, after, self._slope)
        time = np.zeros_like(time) if is_first else time
        return [PhasedFrame(magnitudes, self._integrator.step(magnitudes, time, frequency, phases), time, frequency)]
