"""Free run of a model of samples: many streams at once, a frame of the lowest tier at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import Sampling
from rnnaudio.generation.stepper import Stepper
from rnnaudio.kernels import samples as kernel
from rnnaudio.nn.layer import current
from rnnaudio.nn.sample_model import FrameTier, SampleModel


class _Tier:
    """A :class:`FrameTier`, a frame of all streams at a time; ``told`` (streams, ratio, n_below): what it said."""

    def __init__(self, tier: FrameTier, n_streams: int):
        self.n_samples, self._shape = tier.n_samples, (n_streams, tier.ratio, tier.n_out)
        self._hear, self._cell, self._tell = (
            Stepper(layer).streams(n_streams) for layer in (tier.input_layer, tier.cell, tier.output_layer)
        )
        self.told = np.zeros(self._shape, engine.float_type())

    def step(self, frames: np.ndarray, above: np.ndarray | None) -> None:
        """One frame, (streams, n_samples)."""
        z = self._hear(frames)
        h = self._cell(z if above is None else z + above)
        self.told = self._tell(h).reshape(self._shape)


class SamplePlayer:
    """Streams of levels that go on for ever: iterate for frames of the lowest tier, or :meth:`levels` for so many.

    seeds
        (n_streams, n) levels that are heard: the model's n_context at least. The latest whole number of the longest
        frames goes through all tiers; more is not heard.
    seed
        with a stream's number it decides what the stream draws, whatever the others do.

    ``sampling`` may be changed between frames, but for what it leaves out (top_k, nucleus).
    ``said`` (frame, n_streams, n_out) is what the model said of each sample of the last frame. Drawing from the k
    likeliest levels, or the nucleus, takes a loop in Python and several times as long. RnnaudioError: seeds of another
    shape, too short, or with levels that there are not.
    """

    def __init__(self, model: SampleModel, seeds: np.ndarray, sampling: Sampling, *, seed: int = 0):
        seeds, self._readout, self._n_context = np.asarray(seeds), model.samples.readout, model.n_context
        _check(seeds, model)
        n_streams, n = len(seeds), model.tiers[-1].n_samples
        self._tiers, self._now = [_Tier(tier, n_streams) for tier in model.tiers], 0
        self.sampling = sampling
        has_kernel = self._readout.kernel and sampling.is_whole
        self._kind = list(kernel.SAMPLERS).index(self._readout.kernel) if has_kernel else kernel.NO_SAMPLER
        self._sources = [np.random.default_rng((seed, k, 11)) for k in range(n_streams)]  # 11: the purpose
        self._prepare(model, n_streams)
        self._u = np.zeros((n_streams, self._n_context + n), engine.float_type())
        self.said = np.zeros((n, n_streams, model.n_out), engine.float_type())
        self._hear(seeds, model.tiers[0].n_samples)

    def _prepare(self, model: SampleModel, n_streams: int) -> None:
        tier, readout = model.samples, model.samples.readout
        hidden, output = tier.hidden, tier.output
        taps = np.zeros(0, engine.float_type()) if model.taps is None else current(model.taps)[0]
        arrays = current(tier.w_input, hidden.weight, hidden.bias, output.weight, output.bias)
        self._weights = kernel.packed([*arrays, taps])
        self._scales = kernel.Scales(tier.n_samples, readout.n_levels, model.deviation, *readout.kernel_constants)
        self._room = kernel.room(n_streams, tier.n_samples, tier.n_units, model.n_out, engine.float_type())

    def _hear(self, seeds: np.ndarray, longest: int) -> None:
        """Go through the seeds; afterwards the next frame may be drawn."""
        u, n, begin = self._values(seeds), self._u.shape[1] - self._n_context, self._n_context
        start = (u.shape[1] - begin) % longest
        self._u[:, :begin] = u[:, start : start + begin]
        for at in range(start + begin, u.shape[1], n):
            self._step_tiers()
            self._u[:, begin:] = u[:, at : at + n]
            self._go_on()

    def _values(self, levels: np.ndarray) -> np.ndarray:
        v = 2.0 * levels / (self._readout.n_levels - 1) - 1.0
        return np.asarray(v / self._scales.deviation, engine.float_type())

    def _step_tiers(self) -> None:
        """All tiers whose frame begins now, the longest first."""
        above: _Tier | None = None
        for tier in self._tiers:
            if self._now % tier.n_samples == 0:
                heard = self._u[:, self._n_context - tier.n_samples : self._n_context]
                told = None
                if above is not None:
                    told = above.told[:, self._now % above.n_samples // tier.n_samples]
                tier.step(heard, told)
            above = tier

    def _go_on(self) -> None:
        n = self._u.shape[1] - self._n_context
        self._u[:, : self._n_context] = self._u[:, n:].copy()
        self._now += n

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        """(n_streams, n): the next frame of the lowest tier, of every stream."""
        self._step_tiers()
        n, n_streams = self.said.shape[:2]
        levels = np.zeros((n_streams, n), np.int64)
        if self._kind == kernel.NO_SAMPLER:
            self._one_by_one(levels)
        else:
            n_uniform = kernel.SAMPLERS[self._readout.kernel]
            uniform = np.stack([source.random((n, n_uniform)) for source in self._sources])
            self._compute(levels, uniform, 0, n)
        self._go_on()
        return levels

    def _compute(self, levels: np.ndarray, uniform: np.ndarray, first: int, last: int) -> None:
        told: Any = self._tiers[-1].told.reshape(len(levels), -1)
        kernel.play(
            self._u, told, uniform, self.said, levels, self._weights, self._scales, self._room,
            self._kind, self.sampling.temperature, first, last,
        )  # fmt: skip

    def _one_by_one(self, levels: np.ndarray) -> None:
        """As the kernel does, with the draws of the read-out itself."""
        nothing = np.zeros((len(levels), 0, 0))
        for j in range(levels.shape[1]):
            self._compute(levels, nothing, j, j + 1)
            for b, source in enumerate(self._sources):
                levels[b, j] = self._readout.sample(self.said[j, b], self.sampling, source)[0]
            self._u[:, self._n_context + j] = self._values(levels[:, j])

    def levels(self, n: int) -> np.ndarray:
        """(n_streams, n): so many samples more, whole frames of the lowest tier being drawn."""
        if n < 1:
            raise RnnaudioError(f"asked for {n} samples; expected 1 or more")
        frame = self.said.shape[0]
        return np.concatenate([next(self) for _ in range(-(-n // frame))], axis=1)[:, :n]


def _check(seeds: np.ndarray, model: SampleModel) -> None:
    n_levels = model.samples.readout.n_levels
    if seeds.ndim != 2 or not len(seeds) or seeds.shape[1] < model.n_context or seeds.dtype.kind not in "iu":
        got = f"{seeds.dtype} seeds of shape {seeds.shape}"
        raise RnnaudioError(f"got {got}; expected whole numbers (streams, {model.n_context} or more)")
    if seeds.min() < 0 or seeds.max() >= n_levels:
        raise RnnaudioError(f"seeds hold levels {seeds.min()} to {seeds.max()}; expected 0 to {n_levels - 1}")
