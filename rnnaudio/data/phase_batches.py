"""What a model hears and is to say that learns differences of phases from magnitudes (NumPy only).

One small recurrent network serves all bins: it runs over time, and its rows are bins. It hears log-magnitudes around a
bin, less their largest, and says the two differences of :mod:`rnnaudio.audio.phase.differences`. These depend on the
shape
of the picture near the bin, neither on its place nor on how loud it is, so nothing about either has to be learnt, and
a second of sound holds as many examples as it has bins. A network that says phases of whole frames would have to learn
the pieces by heart: a phase is turned by a delay of one sample already, its differences hardly.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnaudio.audio.phase.differences import gradient_slope, phase_differences
from rnnaudio.audio.stft import STFT
from rnnaudio.data.batches import Batches
from rnnaudio.data.spectral_batches import spectra_of_hops
from rnnaudio.errors import RnnaudioError

SILENCE = 1e-10  # of a magnitude
MOST_NEPERS = 12.0  # a factor of 160,000 below or above
NEPERS_TO_ONE = 4.0  # so that inputs are of the order of 1


@dataclass(frozen=True)
class Hearing:
    """log |X[m', k']| / max |X[m, .]| for k' = k - radius .. k + radius, m' = m - before .. m + look_ahead.

    Magnitudes mirror at 0 Hz and at half the rate, as those of real sound do. In a stream a frame is heard
    ``look_ahead`` hops late.
    """

    stft: STFT
    radius: int = 4
    before: int = 1
    look_ahead: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.radius < self.stft.n_bins or self.before < 0 or self.look_ahead < 0:
            raise RnnaudioError(
                f"radius is {self.radius}, before {self.before}, look_ahead {self.look_ahead}: expected a radius "
                f"below the {self.stft.n_bins} bins, and numbers of frames not below 0"
            )

    @property
    def n_frames(self) -> int:
        """Frames that are heard at once."""
        return self.before + 1 + self.look_ahead

    @property
    def n_inputs(self) -> int:
        return self.n_frames * (2 * self.radius + 1)

    def inputs(self, magnitudes: np.ndarray) -> np.ndarray:
        """(n_frames + m - 1, ..., n_bins) |X| -> (m, ..., n_bins, n_inputs) float32, frame by frame."""
        return self._beside_each_other(self._around(magnitudes))

    def inputs_of(self, magnitudes: np.ndarray, items: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """Of some bins only: (n_frames + m - 1, batch, n_bins), (rows,), (rows,) -> (m, rows, n_inputs)."""
        return self._beside_each_other(self._around(magnitudes)[:, items, bins])

    def _around(self, magnitudes: np.ndarray) -> np.ndarray:
        """log |X| of each bin and its neighbours, along a new last axis."""
        logs = np.log(np.maximum(magnitudes, SILENCE))
        logs = np.pad(logs, [(0, 0)] * (logs.ndim - 1) + [(self.radius, self.radius)], mode="reflect")
        return np.lib.stride_tricks.sliding_window_view(logs, 2 * self.radius + 1, axis=-1)

    def _beside_each_other(self, around: np.ndarray) -> np.ndarray:
        n = len(around) - self.n_frames + 1
        now = around[self.before : self.before + n].max(axis=-1, keepdims=True)
        parts = [around[k : k + n] - now for k in range(self.n_frames)]
        return (np.clip(np.concatenate(parts, axis=-1), -MOST_NEPERS, MOST_NEPERS) / NEPERS_TO_ONE).astype(np.float32)

    def gradient_weights(self) -> np.ndarray:
        """(n_inputs, 2): the W for which inputs W are :func:`rnnaudio.audio.phase.magnitude_differences`, for a start.

        But for clipped inputs and the first and last frames and bins. RnnaudioError where too little is heard for it.
        """
        if min(self.radius, self.before, self.look_ahead) < 1:
            raise RnnaudioError("the phase gradient needs a radius, a frame before and a look-ahead of 1 at least")
        slope = gradient_slope(self.stft)
        weights = np.zeros((self.n_frames, 2 * self.radius + 1, 2))
        k, m = self.radius, self.before
        for frame in (m - 1, m):
            weights[frame, k + 1, 0], weights[frame, k - 1, 0] = slope / 4, -slope / 4
        for bin_ in (k - 1, k):
            weights[m + 1, bin_, 1], weights[m - 1, bin_, 1] = -1 / (4 * slope), 1 / (4 * slope)
        return NEPERS_TO_ONE * weights.reshape(-1, 2)


class PhaseBatch(NamedTuple):
    """inputs: (n_steps, rows, n_inputs); differences: (n_steps, rows, 2), in time and in frequency, radians;
    weights: (n_steps, rows, 2), of mean 1: amplitudes, over how likely their rows were drawn, so that a sum over rows
    is one over all bins; resets: (rows,), all True. float32."""

    inputs: np.ndarray
    differences: np.ndarray
    weights: np.ndarray
    resets: np.ndarray


@dataclass(frozen=True, eq=False)
class PhaseBatches:
    """Any batcher of adjoining frames of a hop each, as batches for learning differences of phases.

    Of each window ``n_rows`` bins are drawn, from (seed, index), a bin as likely as the root of its mean amplitude, so
    that the partials of a sound are met often and the rest is met too.
    """

    batches: Batches
    hearing: Hearing
    n_rows: int
    seed: int
    carries_state = False

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.batches_per_epoch

    def batch(self, index: int) -> PhaseBatch:
        """The batch of that index: batch_size * n_rows rows."""
        rng = np.random.default_rng((self.seed, index, 6))  # 6: the purpose
        return phase_batch(self.batches.batch(index).frames, self.hearing, self.n_rows, rng)


def phase_batch(hops: np.ndarray, hearing: Hearing, n_rows: int, rng: np.random.Generator) -> PhaseBatch:
    """Of adjoining frames of a hop, (time, batch, hop); RnnaudioError if they hold too few frames to be heard."""
    spectra = spectra_of_hops(hops, hearing.stft)
    if len(spectra) < hearing.n_frames:
        raise RnnaudioError(f"{len(spectra)} frames, but {hearing.n_frames} are heard at once: raise n_steps")
    n_steps = len(spectra) - hearing.n_frames + 1
    now = slice(hearing.before, hearing.before + n_steps)
    amplitudes = np.abs(spectra)
    differences = np.stack(phase_differences(np.angle(spectra), hearing.stft), axis=-1)
    weights = np.sqrt(np.stack([_before(amplitudes, 0), _before(amplitudes, -1)], axis=-1) * amplitudes[..., None])
    chances = np.sqrt(amplitudes.mean(axis=0)) + SILENCE
    chances /= chances.sum(axis=1, keepdims=True)
    chosen = [rng.choice(hearing.stft.n_bins, n_rows, p=row) for row in chances]
    items, bins = np.repeat(np.arange(hops.shape[1]), n_rows), np.concatenate(chosen)
    weight = weights[now, items, bins] / chances[items, bins, None]
    weight /= max(float(weight.mean()), SILENCE)
    rows = hearing.inputs_of(amplitudes, items, bins), differences[now, items, bins], weight
    heard, said, weight = (row.astype(np.float32) for row in rows)
    return PhaseBatch(heard, said, weight, np.ones(len(items), bool))


def _before(amplitudes: np.ndarray, axis: int) -> np.ndarray:
    """The element before along the axis, where a difference comes from; 0 where there is none."""
    moved = np.roll(amplitudes, 1, axis=axis)
    np.moveaxis(moved, axis, 0)[0] = 0.0
    return moved
