"""Free run in frames of features, deterministic or sampled from what the model says of the next one."""

import numpy as np

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import Sampling
from rnnaudio.generation.stepper import Stepper
from rnnaudio.readouts import GAUSSIAN, FrameReadout


def continue_frames(
    stepper: Stepper,
    true: np.ndarray,
    n_frames: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    readout: FrameReadout = GAUSSIAN,
) -> np.ndarray:
    """Prime on true frames (time, batch, n), then feed the model what it says: (n_frames, batch, n).

    A model of n outputs says the next frame; one of P n, P the parameters of the ``readout``, a distribution of each
    value of it, of which the next frame is the mean (temperature 0) or drawn from the seed: 1 as it was learnt.
    RnnaudioError: no true frame, NaN, a temperature below 0, or above 0 for a model that says no distribution;
    ValueError: a model of other widths.
    """
    n, n_said = stepper.n_in, readout.n_parameters * stepper.n_in
    is_drawn = stepper.n_out == n_said
    if stepper.n_out not in (n, n_said):
        raise ValueError(f"the model says {stepper.n_out} values of {n}; expected {n}, or {n_said} with variances")
    if temperature < 0.0 or (temperature > 0.0 and not is_drawn):
        raise RnnaudioError(
            f"the temperature is {temperature}, but the model says {'' if is_drawn else 'no '}variances: expected "
            f"{'0 or more' if is_drawn else '0'}"
        )
    if true.ndim != 3 or true.shape[2] != n or not len(true) or not np.isfinite(true).all():
        raise RnnaudioError(f"got true frames {true.shape}, expected (time, batch, {n}), one at least, none NaN")
    rng = np.random.default_rng((seed, 8))  # 8: the purpose

    def read(said: np.ndarray) -> np.ndarray:
        if not is_drawn:
            return said
        next_frame = readout.sample(said, Sampling(temperature), rng) if temperature else readout.mean(said)
        return np.asarray(next_frame, engine.float_type())

    outputs, state = stepper.prime(np.asarray(true, engine.float_type()))
    frames = [read(outputs[-1])]
    while len(frames) < n_frames:
        said, state = stepper(frames[-1], state)
        frames.append(read(said))
    return np.stack(frames[:n_frames]) if n_frames else np.empty((0, *true.shape[1:]), engine.float_type())
