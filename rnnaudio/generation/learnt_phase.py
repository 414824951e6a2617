"""Phases that a trained model reads off magnitudes, in a stream or all at once."""

from collections import deque

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.phase import Differences, PhasedFrame, PhaseIntegrator
from rnnaudio.audio.phase.griffin_lim import checked_frame
from rnnaudio.data import PhaseContext
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.stepper import Stepper


class LearntPhase:
    """The model's differences, integrated frame by frame.

        stream = LearntPhase(stepper, hearing)
        for frame in magnitudes:
            for settled in stream.push(frame): ...     # look_ahead frames late
        for settled in stream.flush(): ...

    The frames beyond both ends are taken to be like the first and last. ``stepper``: of a model from
    ``hearing.n_inputs`` to two differences a bin, rows being bins; ValueError if its widths are others.
    """

    def __init__(self, stepper: Stepper, hearing: PhaseContext, *, seed: int = 0):
        if (stepper.n_in, stepper.n_out) != (hearing.n_inputs, 2):
            raise ValueError(
                f"the model goes from {stepper.n_in} to {stepper.n_out}; expected {hearing.n_inputs} to 2 differences"
            )
        self._stepper, self._hearing = stepper, hearing
        self._integrator = PhaseIntegrator(hearing.stft, seed=seed)
        self._state = stepper.start(hearing.stft.n_bins)
        self._heard: deque[np.ndarray] = deque(maxlen=hearing.n_frames)
        self._is_over = False

    def push(self, magnitudes: np.ndarray) -> list[PhasedFrame]:
        """The next frame, (n_bins,) |X|; the frame that is settled by it, if there is one yet."""
        if self._is_over:
            raise RnnaudioError("the stream was flushed: make a new one")
        frame, _ = checked_frame(magnitudes, None, self._hearing.stft)
        if not self._heard:
            self._heard.extend([frame] * self._hearing.before)
        return self._hear(frame)

    def flush(self) -> list[PhasedFrame]:
        """The frames that are left; the stream is over."""
        if self._is_over or not self._heard:
            return []
        self._is_over = True
        last = self._heard[-1]
        return [settled for _ in range(self._hearing.look_ahead) for settled in self._hear(last)]

    def _hear(self, frame: np.ndarray) -> list[PhasedFrame]:
        self._heard.append(frame)
        if len(self._heard) < self._hearing.n_frames:
            return []
        inputs = self._hearing.inputs(np.stack(self._heard))[0]
        said, self._state = self._stepper(inputs.astype(engine.float_type()), self._state)
        now = self._heard[self._hearing.before]
        time, frequency = np.asarray(said, np.float64).T
        return [PhasedFrame(now, self._integrator.step(now, time, frequency), time, frequency)]


def learnt_phases(
    stepper: Stepper, hearing: PhaseContext, magnitudes: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, Differences]:
    """(n_frames, n_bins) |X| -> phases (n_frames, n_bins), radians, and the differences that they were made of."""
    stream = LearntPhase(stepper, hearing, seed=seed)
    settled = [frame for row in magnitudes for frame in stream.push(row)] + stream.flush()
    _, phases, time, frequency = map(np.stack, zip(*settled, strict=True))
    return phases, Differences(time, frequency)
