"""Phases read off magnitudes in a stream, without a model: the phase gradient, integrated one frame late."""

from collections import deque

import numpy as np

from rnnaudio.audio.phase.differences import FAINT, differences_between, gradient_slope
from rnnaudio.audio.phase.griffin_lim import checked_frame
from rnnaudio.audio.phase.integration import PhaseIntegrator, Settled
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError


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
        self._stft, self._slope = stft, gradient_slope(stft)
        self._integrator = PhaseIntegrator(stft, seed=seed)
        self._logs: deque[np.ndarray] = deque(maxlen=3)  # of the last frames: before, at and after what is settled
        self._frame: tuple[np.ndarray, np.ndarray | None] | None = None  # the last one
        self._is_over = False

    def push(self, magnitudes: np.ndarray, phases: np.ndarray | None = None) -> list[Settled]:
        """The next frame, (n_bins,) |X|; the frame that is settled by it, if there is one yet.

        RnnaudioError: NaN, negative, of another window.
        """
        if self._is_over:
            raise RnnaudioError("the stream was flushed: make a new one")
        frame = checked_frame(magnitudes, phases, self._stft)
        self._logs.append(np.log(np.maximum(frame[0], FAINT)))
        settled = self._settled(self._logs[-1])
        self._frame = frame
        return settled

    def flush(self) -> list[Settled]:
        """The frame that is left; the stream is over."""
        if self._is_over or self._frame is None:
            return []
        self._is_over = True
        last = self._logs[-1]
        self._logs.append(2.0 * last - self._logs[-2] if len(self._logs) > 1 else last)
        return self._settled(self._logs[-1])

    def _settled(self, after: np.ndarray) -> list[Settled]:
        if self._frame is None:
            return []
        magnitudes, phases = self._frame
        is_first, logs = len(self._logs) == 2, self._logs[-2]
        before = 2.0 * logs - after if is_first else self._logs[0]
        time, frequency = differences_between(before, logs, after, self._slope)
        time = np.zeros_like(time) if is_first else time
        return [Settled(magnitudes, self._integrator.step(magnitudes, time, frequency, phases), time, frequency)]
