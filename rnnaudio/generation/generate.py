"""Free run of a model that predicts frames of samples: prime the model on audio, then feed it its own outputs."""

import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio import engine
from rnnaudio.audio.arrays import Audio, Frames
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.stepper import Stepper, TwoFunctions
from rnnaudio.kernels import threads
from rnnaudio.kernels.step import Step
from rnnaudio.progress import bar

# Threads are joined after this many frames: to check for NaN and infinite values, show progress and allow Ctrl-C.
FRAMES_AT_ONCE = 100


class Generated(NamedTuple):
    """Result of a free run.

    audio
        (n_prime + n_generated,) float32, the prime and the generated samples, standardised.
    n_prime
        number of samples of the prime; the generated part begins at this index.
    stopped
        reason for ending early; empty if all samples were generated.
    seconds
        wall-clock time, in seconds, in which all streams were generated in parallel, without the priming.
    """

    audio: Audio
    n_prime: int
    stopped: str
    seconds: float = 0.0


class OutputNoise(NamedTuple):
    """Gaussian noise of standard deviation ``std``, added to each standardised output sample before it is fed back.

    The noise depends on ``seed`` and the index of the stream, but not on the number of streams or threads.
    """

    std: float
    seed: int


def generate(
    stepper: Stepper,
    prime: Audio,
    *,
    n_samples: int,
    noise: OutputNoise | None = None,
    two_functions: bool = False,
    progress: bool = False,
) -> Generated:
    """Continue standardised audio by ``n_samples`` samples, frame by frame, with each output as the next input.

    prime
        (n,) samples; all whole frames, counted from the end, prime the model (a remainder at the beginning is only
        copied to the result). RnnaudioError if the prime is shorter than a frame or not finite.
    noise
        noise added to the output; None: no noise. Noise with the variance of the validation error restores the energy
        that is lost by minimising squared error.
    two_functions
        generate as in 2016 (:class:`rnnaudio.generation.stepper.TwoFunctions`).
    progress
        show a progress bar (on a terminal only).

    ValueError if the model has different numbers of inputs and outputs.
    """
    return generate_streams(
        stepper, [prime], n_samples=n_samples, noise=noise, two_functions=two_functions, progress=progress
    )[0]


def generate_streams(
    stepper: Stepper,
    primes: Sequence[Audio] | Audio,
    *,
    n_samples: int,
    noise: OutputNoise | None = None,
    two_functions: bool = False,
    progress: bool = False,
) -> list[Generated]:
    """Continue primes of equal length in parallel; returns one result per prime.

    Without noise, each result is bit-identical to that of :func:`generate`; with noise only the first, because each
    stream has noise of its own. Streams are distributed over threads. A stream ends before its first frame that is not
    finite; the others continue. The options are those of :func:`generate`.

    Raises the errors of :func:`generate`, and RnnaudioError for no primes, or primes of unequal length.
    """
    true, players = _primed(stepper, primes, noise, two_functions)
    started = time.perf_counter()
    parts = list(_free_run(players, -(-n_samples // stepper.n_in), progress))
    seconds = time.perf_counter() - started
    generated = np.concatenate([true[:, :0].reshape(len(true), 0, stepper.n_in), *parts], axis=1)
    return [_result(prime, new, n_samples, seconds) for prime, new in zip(true, generated, strict=True)]


def continued_blocks(
    stepper: Stepper,
    primes: Sequence[Audio] | Audio,
    *,
    n_samples: int,
    noise: OutputNoise | None = None,
    two_functions: bool = False,
) -> Iterator[Frames]:
    """Continue primes as :func:`generate_streams` does, but yield the new samples in blocks (n_streams, m).

    A block holds up to 100 frames, so that the memory used does not grow with ``n_samples``. From the first frame on
    that is not finite, all samples of a stream are NaN; once no stream is finite, there are no more blocks. Raises the
    errors of :func:`generate_streams`.
    """
    true, players = _primed(stepper, primes, noise, two_functions)
    is_finite, n_left = np.ones((len(true), 1), bool), n_samples
    for frames in _free_run(players, -(-n_samples // stepper.n_in), progress=False):
        so_far = np.concatenate([is_finite, np.isfinite(frames).all(axis=2)], axis=1)
        finite = np.logical_and.accumulate(so_far, axis=1)
        is_finite = finite[:, -1:]
        frames[~finite[:, 1:]] = np.nan
        block = frames.reshape(len(frames), -1)[:, :n_left]
        n_left -= block.shape[1]
        yield block


def _primed(
    stepper: Stepper, primes: Sequence[Audio] | Audio, noise: OutputNoise | None, two_functions: bool
) -> tuple[Audio, list["_Player"]]:
    """Check the primes and prime the players, one per thread; returns the primes (n_streams, n) and the players."""
    if stepper.n_out != stepper.n_in:
        raise ValueError(
            f"the model has {stepper.n_in} inputs and {stepper.n_out} outputs; it cannot be fed its own outputs"
        )
    true = _checked_primes(primes, stepper.n_in)
    n_frames = true.shape[1] // stepper.n_in
    frames = true[:, true.shape[1] - n_frames * stepper.n_in :].reshape(len(true), n_frames, stepper.n_in)
    parts = stepper.streams(len(true)).parts()
    bounds = list(accumulate(part.n_streams for part in parts))
    players = [
        _Player(part, own.swapaxes(0, 1), noise, last - part.n_streams, two_functions)
        for part, own, last in zip(parts, np.split(frames, bounds[:-1]), bounds, strict=True)
    ]
    threads.run(_Player.prime, [(player,) for player in players])
    return true, players


class _Player:
    """The streams of one thread: primed on true frames (time, n_streams, n), then fed their own outputs."""

    def __init__(self, step: Step, true: Frames, noise: OutputNoise | None, first: int, two_functions: bool):
        self._step, self._true = step, true
        self._generate = TwoFunctions(step) if two_functions else step
        self._std = noise.std if noise else 0.0
        streams = range(first, first + step.n_streams)
        # 3: this use of the seed
        self._sources = [np.random.default_rng((noise.seed, k, 3)) for k in streams] if noise else []
        self._x = true[-1]  # the next input
        self.played = np.empty((0, *self._x.shape), step.dtype)  # the latest frames, (time, n_streams, n)

    def prime(self) -> None:
        """Step through all true frames but the last, which is the first input of :meth:`play`."""
        with np.errstate(all="ignore"):
            for frame in self._true[:-1]:
                self._step(frame)

    def play(self, n_frames: int) -> None:
        """Generate the next ``n_frames`` frames."""
        frames = np.empty((n_frames, *self._x.shape), self._step.dtype)
        with np.errstate(all="ignore"):  # overflow is detected afterwards, and ends the stream
            for frame in frames:
                frame[...] = self._generate(self._x)
                for row, source in zip(frame, self._sources, strict=False):  # without noise there are no sources
                    row += self._std * source.standard_normal(len(row), frame.dtype)
                self._x = frame
        self.played = frames

    @property
    def is_alive(self) -> bool:
        """True if the latest frame of at least one stream is finite."""
        return bool(np.isfinite(self._x).all(axis=1).any())


def _free_run(players: list[_Player], n_frames: int, progress: bool) -> Iterator[Frames]:
    """Yield generated frames (n_streams, time, n), ``n_frames`` in all, or until no stream is finite any more."""
    with bar(total=n_frames, desc="generating", unit="frame", disable=not progress) as shown:
        for done in range(0, n_frames, FRAMES_AT_ONCE):
            if not any(player.is_alive for player in players):
                return
            n = min(FRAMES_AT_ONCE, n_frames - done)
            threads.run(_Player.play, [(player, n) for player in players])
            shown.update(n)
            yield np.concatenate([player.played.swapaxes(0, 1) for player in players])


def _checked_primes(primes: Sequence[ArrayLike] | Audio, frame_size: int) -> Audio:
    """Stack primes to (n_streams, n) in the engine's float type; RnnaudioError for primes that cannot be continued."""
    if len(primes) == 0:
        raise RnnaudioError("got no primes; give at least one")
    names = ["the prime"] if len(primes) == 1 else [f"prime {k + 1} of {len(primes)}" for k in range(len(primes))]
    checked = [_checked_prime(prime, frame_size, name) for prime, name in zip(primes, names, strict=True)]
    lengths = sorted({len(prime) for prime in checked})
    if len(lengths) > 1:
        raise RnnaudioError(f"the primes have {lengths[0]} to {lengths[-1]} samples; cut them to equal length")
    return np.stack(checked)


def _checked_prime(prime: ArrayLike, frame_size: int, name: str) -> Audio:
    prime = np.asarray(prime, dtype=engine.float_type())
    if prime.ndim != 1:
        raise RnnaudioError(f"{name} has the shape {prime.shape}; expected samples, (n,)")
    if len(prime) < frame_size:
        raise RnnaudioError(f"{name} has {len(prime)} samples, less than one frame of {frame_size}; give more")
    if not np.isfinite(prime).all():
        raise RnnaudioError(f"{name} holds NaN or infinite samples; give another")
    return prime


def _result(prime: Audio, frames: Frames, n_samples: int, seconds: float) -> Generated:
    """Make the result of one stream from its prime and its frames (time, n) up to the first that is not finite."""
    broken = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    n_finite = int(broken[0]) if broken.size else len(frames)
    new = frames[:n_finite].reshape(-1)[:n_samples]
    stopped = f"not finite after {n_finite} frames" if broken.size else ""
    return Generated(np.concatenate([prime, new]).astype(np.float32), len(prime), stopped, seconds)
