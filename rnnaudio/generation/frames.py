"""Free run in frames of features, deterministic or sampled from what the model says of the next one."""

import numpy as np

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.stepper import Stepper
from rnnaudio.losses import LEAST_VARIANCE, gaussian_parts


def continue_frames(
    stepper: Stepper, true: np.ndarray, n_frames: int, *, temperature: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Prime on true frames (time, batch, n), then feed the model what it says: (n_frames, batch, n).

    A model of n outputs says the next frame; one of 2 n a Gaussian for each value of it
    (:func:`rnnaudio.losses.gaussian_likelihood`), of which the next frame is m + temperature sqrt(v) N(0, 1), drawn
    from the seed: 0 the mean, 1 what was learnt. RnnaudioError: no true frame, NaN, a temperature below 0, or above 0
    for a model that says no variance; ValueError: a model of other widths.
    """
    n = stepper.n_in
    is_gaussian = stepper.n_out == 2 * n
    if stepper.n_out not in (n, 2 * n):
        raise ValueError(f"the model says {stepper.n_out} values of {n}; expected {n}, or {2 * n} with variances")
    if temperature < 0.0 or (temperature > 0.0 and not is_gaussian):
        raise RnnaudioError(
            f"the temperature is {temperature}, but the model says {'' if is_gaussian else 'no '}variances: expected "
            f"{'0 or more' if is_gaussian else '0'}"
        )
    if true.ndim != 3 or true.shape[2] != n or not len(true) or not np.isfinite(true).all():
        raise RnnaudioError(f"got true frames {true.shape}, expected (time, batch, {n}), one at least, none NaN")
    rng = np.random.default_rng((seed, 8))  # 8: the purpose

    def read(said: np.ndarray) -> np.ndarray:
        if not is_gaussian:
            return said
        mean, log_variance = gaussian_parts(said)
        std = np.sqrt(np.exp(log_variance) + LEAST_VARIANCE)
        return np.asarray(mean + temperature * std * rng.standard_normal(mean.shape), engine.float_type())

    outputs, state = stepper.prime(np.asarray(true, engine.float_type()))
    frames = [read(outputs[-1])]
    while len(frames) < n_frames:
        said, state = stepper(frames[-1], state)
        frames.append(read(said))
    return np.stack(frames[:n_frames]) if n_frames else np.empty((0, *true.shape[1:]), engine.float_type())
