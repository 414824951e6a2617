"""Free run of a model of frames, deterministic or sampled from the predicted distribution of the next frame."""

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Frames
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import Sampling
from rnnaudio.generation.stepper import Stepper
from rnnaudio.readouts import GAUSSIAN, FrameReadout


def continue_frames(
    stepper: Stepper,
    true: Frames,
    n_frames: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    readout: FrameReadout = GAUSSIAN,
) -> Frames:
    """Prime a model on true frames (time, batch, n), then free-run it: returns generated frames (n_frames, batch, n).

    A model with n outputs predicts the next frame. A model with P n outputs, where P is the number of parameters of
    ``readout``, predicts a distribution of each value of the next frame. The value is then the mean (temperature 0),
    or a sample determined by ``seed`` (temperature above 0; 1: from the distribution as learnt).

    RnnaudioError for true frames that are empty, not finite or of another shape, for a negative temperature, or a
    positive temperature with a model that predicts no distribution; ValueError if the model has neither n nor P n
    outputs.
    """
    n, n_parameters = stepper.n_in, readout.n_parameters * stepper.n_in
    has_distribution = stepper.n_out == n_parameters
    if stepper.n_out not in (n, n_parameters):
        raise ValueError(
            f"the model has {stepper.n_out} outputs for {n} inputs; expected {n}, or {n_parameters} with variances"
        )
    if temperature < 0.0 or (temperature > 0.0 and not has_distribution):
        raise RnnaudioError(
            f"the temperature is {temperature}, but the model predicts {'' if has_distribution else 'no '}variances: "
            f"expected {'0 or more' if has_distribution else '0'}"
        )
    if true.ndim != 3 or true.shape[2] != n or not len(true) or not np.isfinite(true).all():
        raise RnnaudioError(f"got true frames {true.shape}, expected (time, batch, {n}), at least one, all finite")
    rng = np.random.default_rng((seed, 8))  # 8: this use of the seed

    def read(output: Frames) -> Frames:
        if not has_distribution:
            return output
        next_frame = readout.sample(output, Sampling(temperature), rng) if temperature else readout.mean(output)
        return np.asarray(next_frame, engine.float_type())

    outputs, state = stepper.prime(np.asarray(true, engine.float_type()))
    frames = [read(outputs[-1])]
    while len(frames) < n_frames:
        output, state = stepper(frames[-1], state)
        frames.append(read(output))
    return np.stack(frames[:n_frames]) if n_frames else np.empty((0, *true.shape[1:]), engine.float_type())
