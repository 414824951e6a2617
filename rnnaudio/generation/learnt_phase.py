"""Phases predicted from magnitudes by a trained model, frame by frame or all at once."""

from collections import deque

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Magnitudes, Phases
from rnnaudio.audio.phase import Differences, PhasedFrame, PhaseIntegrator
from rnnaudio.audio.phase.griffin_lim import checked_frame
from rnnaudio.data import PhaseContext
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.stepper import Stepper


class LearntPhase:
    """Streaming estimation of phases from magnitudes: a model predicts phase differences, which are then integrated.

        stream = LearntPhase(stepper, context)
        for frame in magnitudes:
            for phased in stream.push(frame): ...     # look_ahead frames late
        for phased in stream.flush(): ...

    Before the start and after the end of the stream, its first and last frame are repeated.

    stepper
        a model of ``context.n_inputs`` inputs and two outputs, the differences in time and in frequency in radians,
        with bins as the batch; ValueError for other widths.
    context
        the inputs of the model, which include ``look_ahead`` frames after the current frame.
    seed
        random seed of the phases of very faint bins, see :class:`rnnaudio.audio.phase.PhaseIntegrator`.
    """

    def __init__(self, stepper: Stepper, context: PhaseContext, *, seed: int = 0):
        if (stepper.n_in, stepper.n_out) != (context.n_inputs, 2):
            raise ValueError(
                f"the model has {stepper.n_in} inputs and {stepper.n_out} outputs; expected {context.n_inputs} inputs "
                "and 2 differences"
            )
        self._stepper, self._context = stepper, context
        self._integrator = PhaseIntegrator(context.stft, seed=seed)
        self._state = stepper.start(context.stft.n_bins)
        self._frames: deque[Magnitudes] = deque(maxlen=context.n_frames)
        self._is_over = False

    def push(self, magnitudes: Magnitudes) -> list[PhasedFrame]:
        """Add the next frame |X|, (n_bins,); return the list of frames whose phases are now known, at most one.

        RnnaudioError after :meth:`flush`, or if the magnitudes do not fit the transform.
        """
        if self._is_over:
            raise RnnaudioError("the stream was flushed: make a new one")
        frame, _ = checked_frame(magnitudes, None, self._context.stft)
        if not self._frames:
            self._frames.extend([frame] * self._context.before)
        return self._step(frame)

    def flush(self) -> list[PhasedFrame]:
        """Return the remaining frames and end the stream; a second call, or an empty stream, returns an empty list."""
        if self._is_over or not self._frames:
            return []
        self._is_over = True
        last = self._frames[-1]
        return [phased for _ in range(self._context.look_ahead) for phased in self._step(last)]

    def _step(self, frame: Magnitudes) -> list[PhasedFrame]:
        self._frames.append(frame)
        if len(self._frames) < self._context.n_frames:
            return []
        inputs = self._context.inputs(np.stack(self._frames))[0]
        differences, self._state = self._stepper(inputs.astype(engine.float_type()), self._state)
        now = self._frames[self._context.before]
        time, frequency = np.asarray(differences, np.float64).T
        return [PhasedFrame(now, self._integrator.step(now, time, frequency), time, frequency)]


def learnt_phases(
    stepper: Stepper, context: PhaseContext, magnitudes: Magnitudes, *, seed: int = 0
) -> tuple[Phases, Differences]:
    """Predict phases (n_frames, n_bins) in radians from magnitudes |X| (n_frames, n_bins) by :class:`LearntPhase`.

    Returns the phases, and the predicted phase differences, in radians, from which the phases were integrated.
    ``seed`` determines the phases of very faint bins.
    """
    stream = LearntPhase(stepper, context, seed=seed)
    phased = [frame for row in magnitudes for frame in stream.push(row)] + stream.flush()
    _, phases, time, frequency = map(np.stack, zip(*phased, strict=True))
    return phases, Differences(time, frequency)
