"""Free run of a sample model: many streams in parallel, one frame of the lowest tier at a time."""

from collections.abc import Iterator

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Codes, Floats, Frames
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import Sampling
from rnnaudio.generation.stepper import Stepper
from rnnaudio.kernels import samples as kernel
from rnnaudio.nn.layer import current
from rnnaudio.nn.sample_model import FrameTier, SampleModel


class _Tier:
    """A :class:`FrameTier` that is stepped frame by frame.

    The attribute ``conditioning`` is its latest output, (n_streams, ratio, n_out): a row for each frame, or sample, of
    the tier below.
    """

    def __init__(self, tier: FrameTier, n_streams: int):
        self.n_samples, self._shape = tier.n_samples, (n_streams, tier.ratio, tier.n_out)
        self._input, self._cell, self._output = (
            Stepper(layer).streams(n_streams) for layer in (tier.input_layer, tier.cell, tier.output_layer)
        )
        self.conditioning = np.zeros(self._shape, engine.float_type())

    def step(self, frames: Frames, above: Floats | None) -> None:
        """Step by one frame (n_streams, n_samples); updates ``conditioning``.

        above: the row of the conditioning of the tier above for this frame, (n_streams, n_units); None at the top.
        """
        z = self._input(frames)
        h = self._cell(z if above is None else z + above)
        self.conditioning = self._output(h).reshape(self._shape)


class SamplePlayer:
    """Endless iterator over sampled levels, (n_streams, n) for each frame of the lowest tier; see also :meth:`levels`.

    A level is the integer value of a quantised sample; n is the length in samples of the lowest tier's frames.

    primes
        (n_streams, n_prime) levels to prime the model on, with n_prime at least the model's n_context. The last
        n_context + m F levels are used, where F is the length of the top tier's frames and m is as large as possible;
        earlier levels are ignored.
    sampling
        temperature, top-k and nucleus (:class:`rnnaudio.generation.sampling.Sampling`). Sampling with top-k or nucleus
        is a loop in Python, several times slower than the kernel. The attribute of this name may be changed between
        frames, but a player that was made without top-k and nucleus keeps using the kernel, which ignores
        both.
    seed
        random seed; the random numbers of a stream depend on the seed and the stream's index only, not on the other
        streams.

    The attribute ``outputs`` (n, n_streams, n_out) holds the model's outputs for each sample of the last frame.
    RnnaudioError for primes of another shape, too short, or with levels out of range.
    """

    def __init__(self, model: SampleModel, primes: Codes, sampling: Sampling, *, seed: int = 0):
        primes, self._readout, self._n_context = np.asarray(primes), model.samples.readout, model.n_context
        _check(primes, model)
        n_streams, n = len(primes), model.tiers[-1].n_samples
        self._tiers, self._now = [_Tier(tier, n_streams) for tier in model.tiers], 0
        self.sampling = sampling
        has_kernel = self._readout.kernel and sampling.is_whole
        self._kind = list(kernel.SAMPLERS).index(self._readout.kernel) if has_kernel else kernel.NO_SAMPLER
        self._sources = [np.random.default_rng((seed, k, 11)) for k in range(n_streams)]  # 11: this use of the seed
        self._prepare(model, n_streams)
        self._u = np.zeros((n_streams, self._n_context + n), engine.float_type())
        self.outputs = np.zeros((n, n_streams, model.n_out), engine.float_type())
        self._prime(primes, model.tiers[0].n_samples)

    def _prepare(self, model: SampleModel, n_streams: int) -> None:
        tier, readout = model.samples, model.samples.readout
        hidden, output = tier.hidden, tier.output
        taps = np.zeros(0, engine.float_type()) if model.taps is None else current(model.taps)[0]
        arrays = current(tier.w_input, hidden.weight, hidden.bias, output.weight, output.bias)
        self._weights = kernel.packed([*arrays, taps])
        self._scales = kernel.Scales(tier.n_samples, readout.n_levels, model.deviation, *readout.kernel_constants)
        self._room = kernel.room(n_streams, tier.n_samples, tier.n_units, model.n_out, engine.float_type())

    def _prime(self, primes: Codes, longest: int) -> None:
        """Run the frame tiers over the primes, up to the first frame to be sampled."""
        u, n, begin = self._values(primes), self._u.shape[1] - self._n_context, self._n_context
        start = (u.shape[1] - begin) % longest
        self._u[:, :begin] = u[:, start : start + begin]
        for at in range(start + begin, u.shape[1], n):
            self._step_tiers()
            self._u[:, begin:] = u[:, at : at + n]
            self._advance()

    def _values(self, levels: Codes) -> Floats:
        v = 2.0 * levels / (self._readout.n_levels - 1) - 1.0
        return np.asarray(v / self._scales.deviation, engine.float_type())

    def _step_tiers(self) -> None:
        """Step every tier whose frame begins now, from the longest frames to the shortest."""
        above: _Tier | None = None
        for tier in self._tiers:
            if self._now % tier.n_samples == 0:
                frames = self._u[:, self._n_context - tier.n_samples : self._n_context]
                conditioning = None
                if above is not None:
                    conditioning = above.conditioning[:, self._now % above.n_samples // tier.n_samples]
                tier.step(frames, conditioning)
            above = tier

    def _advance(self) -> None:
        """Shift the context by the frame just sampled."""
        n = self._u.shape[1] - self._n_context
        self._u[:, : self._n_context] = self._u[:, n:].copy()
        self._now += n

    def __iter__(self) -> Iterator[Codes]:
        return self

    def __next__(self) -> Codes:
        """Sample the next frame of the lowest tier for every stream, (n_streams, n)."""
        self._step_tiers()
        n, n_streams = self.outputs.shape[:2]
        levels = np.zeros((n_streams, n), np.int64)
        if self._kind == kernel.NO_SAMPLER:
            self._one_by_one(levels)
        else:
            n_uniform = kernel.SAMPLERS[self._readout.kernel]
            uniform = np.stack([source.random((n, n_uniform)) for source in self._sources])
            self._compute(levels, uniform, 0, n)
        self._advance()
        return levels

    def _compute(self, levels: Codes, uniform: Floats, first: int, last: int) -> None:
        """Run the kernel on samples ``first`` to ``last`` - 1 of a frame; results go to ``outputs`` and ``levels``.

        uniform: (n_streams, n, n_uniform), random numbers from U(0, 1) for the kernel's sampler.
        """
        conditioning = self._tiers[-1].conditioning.reshape(len(levels), -1)
        kernel.play(
            self._u, conditioning, uniform, self.outputs, levels, self._weights, self._scales, self._room,
            self._kind, self.sampling.temperature, first, last,
        )  # fmt: skip

    def _one_by_one(self, levels: Codes) -> None:
        """Sample a frame into ``levels`` (n_streams, n), one sample at a time, with the read-out's ``sample``.

        This is the slow path, for settings or read-outs for which the kernel has no sampler.
        """
        unused = np.zeros((len(levels), 0, 0))
        for j in range(levels.shape[1]):
            self._compute(levels, unused, j, j + 1)
            for b, source in enumerate(self._sources):
                levels[b, j] = self._readout.sample(self.outputs[j, b], self.sampling, source)[0]
            self._u[:, self._n_context + j] = self._values(levels[:, j])

    def levels(self, n: int) -> Codes:
        """Sample the next n levels of every stream, (n_streams, n), and discard the rest of the last frame.

        RnnaudioError if n is below 1.
        """
        if n < 1:
            raise RnnaudioError(f"got n = {n} samples; expected 1 or more")
        frame = self.outputs.shape[0]
        return np.concatenate([next(self) for _ in range(-(-n // frame))], axis=1)[:, :n]


def _check(primes: Codes, model: SampleModel) -> None:
    n_levels = model.samples.readout.n_levels
    if primes.ndim != 2 or not len(primes) or primes.shape[1] < model.n_context or primes.dtype.kind not in "iu":
        got = f"{primes.dtype} primes of shape {primes.shape}"
        raise RnnaudioError(f"got {got}; expected integers (streams, {model.n_context} or more)")
    if primes.min() < 0 or primes.max() >= n_levels:
        raise RnnaudioError(f"got primes with levels {primes.min()} to {primes.max()}; expected 0 to {n_levels - 1}")
