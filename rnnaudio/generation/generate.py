"""Free run: prime a model on a seed, then feed it what it says."""

import time
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.stepper import Stepper, TwoFunctions
from rnnaudio.kernels import threads
from rnnaudio.kernels.step import Step

# Threads meet once in so many frames: to look for what is not finite, to show progress, to notice Ctrl-C.
FRAMES_AT_ONCE = 100


class Generated(NamedTuple):
    """audio: (seed + generated samples,) float32, standardised; n_seed: where the generated part begins;
    stopped: why it ended before its length, or empty; seconds: what the free run of all streams together took."""

    audio: np.ndarray
    n_seed: int
    stopped: str
    seconds: float = 0.0


class OutputNoise(NamedTuple):
    """N(0, std) added to every generated sample before it is fed back.

    ``seed`` and the stream's number decide it, whatever the number of streams and threads.
    """

    std: float
    seed: int


def generate(
    stepper: Stepper,
    seed: np.ndarray,
    *,
    n_samples: int,
    noise: OutputNoise | None = None,
    two_functions: bool = False,
    progress: bool = False,
) -> Generated:
    """Continue standardised audio by ``n_samples``, frame by frame, each output being the next input.

    seed
        (n,) samples; the last whole frames of it prime the model (a remainder at its beginning is only kept in front
        of the result). RnnaudioError if it is shorter than a frame or holds NaN.
    noise
        of the variance of the validation error it gives back the energy that squared error takes away.
    two_functions
        generate as in 2016 (:class:`rnnaudio.generation.stepper.TwoFunctions`).
    """
    options: Any = {"noise": noise, "two_functions": two_functions, "progress": progress}
    return generate_streams(stepper, [seed], n_samples=n_samples, **options)[0]


def generate_streams(
    stepper: Stepper,
    seeds: Sequence[np.ndarray] | np.ndarray,
    *,
    n_samples: int,
    noise: OutputNoise | None = None,
    two_functions: bool = False,
    progress: bool = False,
) -> list[Generated]:
    """Continue many seeds of one length side by side; each result is that of :func:`generate`, to the last bit.

    But for noise, which each stream has of its own: that of :func:`generate` is the first stream's.
    Streams are shared out between threads. One that is no longer finite ends there; the others go on.
    """
    if stepper.n_out != stepper.n_in:
        raise ValueError(f"the model makes {stepper.n_out} samples of {stepper.n_in}; it cannot be fed what it says")
    true = _checked_seeds(seeds, stepper.n_in)
    n_frames = true.shape[1] // stepper.n_in
    frames = true[:, true.shape[1] - n_frames * stepper.n_in :].reshape(len(true), n_frames, stepper.n_in)
    parts = stepper.streams(len(true)).parts()
    bounds = list(accumulate(part.n_streams for part in parts))
    players = [
        _Player(part, own.swapaxes(0, 1), noise, last - part.n_streams, two_functions)
        for part, own, last in zip(parts, np.split(frames, bounds[:-1]), bounds, strict=True)
    ]
    threads.run(_Player.prime, [(player,) for player in players])
    started = time.perf_counter()
    _free_run(players, -(-n_samples // stepper.n_in), progress)
    seconds = time.perf_counter() - started
    generated = np.concatenate([player.generated() for player in players])
    return [_result(seed, new, n_samples, seconds) for seed, new in zip(true, generated, strict=True)]


class _Player:
    """The streams of one thread: true frames (time, n_streams, n), then generated ones."""

    def __init__(self, step: Step, true: np.ndarray, noise: OutputNoise | None, first: int, two_functions: bool):
        self._step, self._true = step, true
        self._speak = TwoFunctions(step) if two_functions else step
        self._std = noise.std if noise else 0.0
        streams = range(first, first + step.n_streams)
        self._sources = [np.random.default_rng((noise.seed, k, 3)) for k in streams] if noise else []  # 3: the purpose
        self._played: list[np.ndarray] = []
        self._x = true[-1]  # the frame to be consumed next

    def prime(self) -> None:
        """Consume all true frames but the last."""
        with np.errstate(all="ignore"):
            for frame in self._true[:-1]:
                self._step(frame)

    def play(self, n_frames: int) -> None:
        """Generate so many frames more."""
        frames = np.empty((n_frames, *self._x.shape), self._step.dtype)
        with np.errstate(all="ignore"):  # what overflows is looked for afterwards, and ends its stream
            for frame in frames:
                frame[...] = self._speak(self._x)
                for row, source in zip(frame, self._sources, strict=False):  # none without noise
                    row += self._std * source.standard_normal(len(row), frame.dtype)
                self._x = frame
        self._played.append(frames)

    @property
    def is_alive(self) -> bool:
        """Whether the latest frame of a stream is finite."""
        return bool(np.isfinite(self._x).all(axis=1).any())

    def generated(self) -> np.ndarray:
        """(n_streams, time, n)."""
        played = self._played or [np.empty((0, *self._x.shape), self._step.dtype)]
        return np.concatenate(played).swapaxes(0, 1)


def _free_run(players: list[_Player], n_frames: int, progress: bool) -> None:
    """Play ``n_frames`` frames, or until no stream is finite."""
    with tqdm(total=n_frames, desc="generating", unit="frame", disable=None if progress else True, leave=False) as bar:
        for done in range(0, n_frames, FRAMES_AT_ONCE):
            if not any(player.is_alive for player in players):
                return
            n = min(FRAMES_AT_ONCE, n_frames - done)
            threads.run(_Player.play, [(player, n) for player in players])
            bar.update(n)


def _checked_seeds(seeds: Any, frame_size: int) -> np.ndarray:
    """(n_streams, n) in the engine's type."""
    if len(seeds) == 0:
        raise RnnaudioError("got no seeds; give at least one")
    names = ["the seed"] if len(seeds) == 1 else [f"seed {k + 1} of {len(seeds)}" for k in range(len(seeds))]
    checked = [_checked_seed(seed, frame_size, name) for seed, name in zip(seeds, names, strict=True)]
    lengths = sorted({len(seed) for seed in checked})
    if len(lengths) > 1:
        raise RnnaudioError(f"the seeds have from {lengths[0]} to {lengths[-1]} samples; cut them to one length")
    return np.stack(checked)


def _checked_seed(seed: Any, frame_size: int, name: str) -> np.ndarray:
    seed = np.asarray(seed, dtype=engine.float_type())
    if seed.ndim != 1:
        raise RnnaudioError(f"{name} has the shape {seed.shape}; expected samples, (n,)")
    if len(seed) < frame_size:
        raise RnnaudioError(f"{name} has {len(seed)} samples, less than one frame of {frame_size}; give more")
    if not np.isfinite(seed).all():
        raise RnnaudioError(f"{name} holds NaN or infinite samples; give another")
    return seed


def _result(seed: np.ndarray, frames: np.ndarray, n_samples: int, seconds: float) -> Generated:
    """Of one stream, its frames (time, n) as far as they are finite."""
    broken = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    n_finite = int(broken[0]) if broken.size else len(frames)
    new = frames[:n_finite].reshape(-1)[:n_samples]
    stopped = f"not finite after {n_finite} frames" if broken.size else ""
    return Generated(np.concatenate([seed, new]).astype(np.float32), len(seed), stopped, seconds)
