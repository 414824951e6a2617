"""Free run: prime a model on a seed, then feed it what it says."""

from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten, unflatten


class Generated(NamedTuple):
    """audio: (seed + generated samples,) float32, standardised; n_seed: where the generated part begins;
    stopped: why it ended before its length, or empty."""

    audio: np.ndarray
    n_seed: int
    stopped: str


class Stepper:
    """A model as a compiled function of one frame: x (batch, n_in), state -> y (batch, n_out), new state.

    The same graph serves priming and free running, so a frame is consumed once and in one way only. The state is a
    list of arrays; :meth:`start` gives the model's own initial state.
    """

    def __init__(self, model: Layer):
        x = engine.tensor("x", 2)
        n = engine.tt.lscalar("batch_size")
        fresh = model.initial_state(n)
        old = [engine.tensor(f"state_{k}", 2) for k in range(len(flatten(fresh)))]
        y, new = model.step(x, unflatten(fresh, old), Context.evaluation())
        self.n_in = model.n_in
        self._step = engine.function([x, *old], [y, *flatten(new)])
        self._start = engine.function([n], flatten(fresh))

    def start(self, batch_size: int) -> list[np.ndarray]:
        """The state before the first frame."""
        return [np.asarray(a) for a in self._start(batch_size)]

    def __call__(self, x: np.ndarray, state: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        y, *new = self._step(x, *state)
        return y, new

    def prime(self, frames: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Consume true frames (time, batch, n_in); the outputs (time, batch, n_out) and the state after them."""
        state, outputs = self.start(frames.shape[1]), []
        for frame in frames:
            y, state = self(frame, state)
            outputs.append(y)
        return np.stack(outputs), state


def generate(stepper: Stepper, seed: np.ndarray, *, n_samples: int, progress: bool = False) -> Generated:
    """Continue standardised audio by ``n_samples``, frame by frame, each output being the next input.

    seed
        (n,) samples; the last whole frames of it prime the model (a remainder at its beginning is only kept in front
        of the result). RnnaudioError if it is shorter than a frame or holds NaN.
    """
    seed = _checked_seed(seed, stepper.n_in)
    n_frames = len(seed) // stepper.n_in
    true = seed[len(seed) - n_frames * stepper.n_in :].reshape(n_frames, 1, stepper.n_in)
    outputs, state = stepper.prime(true)
    y = outputs[-1]
    generated: list[np.ndarray] = []
    n_wanted = -(-n_samples // stepper.n_in)
    for _ in tqdm(range(n_wanted), desc="generating", unit="frame", disable=None if progress else True, leave=False):
        if not np.isfinite(y).all():
            return _result(seed, generated, n_samples, f"not finite after {len(generated)} frames")
        generated.append(y[0])
        if len(generated) < n_wanted:
            y, state = stepper(y, state)
    return _result(seed, generated, n_samples, "")


def _checked_seed(seed: Any, frame_size: int) -> np.ndarray:
    seed = np.asarray(seed, dtype=engine.float_type())
    if len(seed) < frame_size:
        raise RnnaudioError(f"the seed has {len(seed)} samples, less than one frame of {frame_size}; give more")
    if not np.isfinite(seed).all():
        raise RnnaudioError("the seed holds NaN or infinite samples; give another")
    return seed


def _result(seed: np.ndarray, generated: list[np.ndarray], n_samples: int, stopped: str) -> Generated:
    new = np.concatenate(generated)[:n_samples] if generated else np.zeros(0, seed.dtype)
    return Generated(np.concatenate([seed, new]).astype(np.float32), len(seed), stopped)
