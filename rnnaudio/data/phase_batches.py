"""Inputs and targets of a model that predicts phase differences from magnitudes (NumPy only).

One small recurrent network is shared by all bins: it runs over time, and the rows of its batch are bins. Its inputs
are the log-magnitudes in the neighbourhood of a bin, relative to the largest of them in the current frame. Its targets
are the two phase differences of :mod:`rnnaudio.audio.phase.differences`. These depend on the local shape of the
spectrogram, not on frequency or level; the shared network cannot depend on frequency or level either, by construction.
Every bin of a frame is a training example. A network that predicts the phases of whole frames would have to memorise
the pieces: a delay of a single sample rotates the phases, but barely changes their differences.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Features, Flags, Floats, Frames, Magnitudes, Phases, Whole
from rnnaudio.audio.phase.differences import gradient_slope, phase_differences
from rnnaudio.audio.stft import STFT
from rnnaudio.data.batches import Batches
from rnnaudio.data.spectral_batches import spectra_of_hops
from rnnaudio.errors import RnnaudioError

SILENCE = 1e-10  # lower limit of a magnitude under the logarithm
MOST_NEPERS = 12.0  # inputs are clipped to +-12 nepers, a factor of 160,000
NEPERS_TO_ONE = 4.0  # scales inputs to the order of 1


@dataclass(frozen=True)
class PhaseContext:
    """Spectral context of bin k in frame m, the input of a model of phase differences.

        log (|X[m', k']| / max |X[m, .]|),   k' = k - radius .. k + radius,   m' = m - before .. m + look_ahead

    ``radius`` is in bins, ``before`` and ``look_ahead`` in frames. The maximum is taken over the same bins k' of frame
    m. The logarithms are clipped to -12 .. 12 and divided by 4. Magnitudes are mirrored at 0 Hz and at half the sample
    rate, like the spectra of real signals. In a stream the inputs of a frame are complete ``look_ahead`` hops after
    the frame. RnnaudioError for a radius or a number of frames out of range.
    """

    stft: STFT
    radius: int = 4
    before: int = 1
    look_ahead: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.radius < self.stft.n_bins or self.before < 0 or self.look_ahead < 0:
            raise RnnaudioError(
                f"radius is {self.radius}, before {self.before}, look_ahead {self.look_ahead}: expected a radius "
                f"of 0 to {self.stft.n_bins - 1} bins, and numbers of frames of 0 or more"
            )

    @property
    def n_frames(self) -> int:
        """Number of frames in the context of a frame, itself included: before + 1 + look_ahead."""
        return self.before + 1 + self.look_ahead

    @property
    def n_inputs(self) -> int:
        return self.n_frames * (2 * self.radius + 1)

    def inputs(self, magnitudes: Magnitudes) -> Features:
        """Compute the inputs of all bins in T frames: |X| -> (T, ..., n_bins, n_inputs) float32.

        magnitudes: |X|, (n_frames + T - 1, ..., n_bins), where the first ``before`` and the last ``look_ahead`` frames
        serve as context only.
        """
        return self._concatenated(self._around(magnitudes))

    def inputs_of(self, magnitudes: Magnitudes, items: Whole, bins: Whole) -> Features:
        """Compute the inputs of selected bins in T frames: |X| -> (T, rows, n_inputs) float32.

        magnitudes: |X|, (n_frames + T - 1, batch, n_bins), with context as in :meth:`inputs`. items, bins: for each
        row, the index of its sequence in the batch and its bin; (rows,) each.
        """
        return self._concatenated(self._around(magnitudes)[:, items, bins])

    def _around(self, magnitudes: Magnitudes) -> Features:
        """Gather the log-magnitudes of each bin and its neighbours: (..., n_bins) -> (..., n_bins, 2 radius + 1).

        At the lowest and the highest bin, the spectrum is mirrored.
        """
        logs = np.log(np.maximum(magnitudes, SILENCE))
        logs = np.pad(logs, [(0, 0)] * (logs.ndim - 1) + [(self.radius, self.radius)], mode="reflect")
        return np.lib.stride_tricks.sliding_window_view(logs, 2 * self.radius + 1, axis=-1)

    def _concatenated(self, around: Features) -> Features:
        """Concatenate the frames of each context: (n_frames + T - 1, ..., 2 radius + 1) -> (T, ..., n_inputs) float32.

        The values are taken relative to the largest of the current frame, clipped and scaled, see the class.
        """
        n = len(around) - self.n_frames + 1
        now = around[self.before : self.before + n].max(axis=-1, keepdims=True)
        parts = [around[k : k + n] - now for k in range(self.n_frames)]
        return (np.clip(np.concatenate(parts, axis=-1), -MOST_NEPERS, MOST_NEPERS) / NEPERS_TO_ONE).astype(np.float32)

    def gradient_weights(self) -> Floats:
        """Return initial weights W (n_inputs, 2) that estimate phase differences by the phase gradient.

        inputs @ W equals :func:`rnnaudio.audio.phase.magnitude_differences`, except for clipped inputs and at the
        first and last frames and bins. RnnaudioError if radius, before or look_ahead is 0, or for a rectangular
        window.
        """
        if min(self.radius, self.before, self.look_ahead) < 1:
            raise RnnaudioError("the phase gradient needs radius, before and look_ahead of at least 1")
        slope = gradient_slope(self.stft)
        weights = np.zeros((self.n_frames, 2 * self.radius + 1, 2))
        k, m = self.radius, self.before
        for frame in (m - 1, m):
            weights[frame, k + 1, 0], weights[frame, k - 1, 0] = slope / 4, -slope / 4
        for bin_ in (k - 1, k):
            weights[m + 1, bin_, 1], weights[m - 1, bin_, 1] = -1 / (4 * slope), 1 / (4 * slope)
        return NEPERS_TO_ONE * weights.reshape(-1, 2)


class PhaseBatch(NamedTuple):
    """A batch of bins for learning phase differences; float32 unless noted.

    inputs
        (n_steps, rows, n_inputs): the spectral context of each bin, see :class:`PhaseContext`; a row is one bin.
    differences
        (n_steps, rows, 2): the targets, differences in time and in frequency, in radians.
    weights
        (n_steps, rows, 2), of mean 1: weights of the errors, in proportion to the geometric mean of the two amplitudes
        whose phases are compared, divided by the probability with which the row was sampled. A weighted sum over rows
        thus estimates the amplitude-weighted sum over all bins.
    resets
        (rows,) bool, all True: every row starts from the initial state.
    """

    inputs: Features
    differences: Phases
    weights: Floats
    resets: Flags


@dataclass(frozen=True, eq=False)
class PhaseBatches:
    """Batches for learning phase differences, computed from a batcher whose frames are one hop long.

    From each window of the batcher, ``n_rows`` bins are sampled with replacement, with a probability proportional to
    the square root of their mean amplitude: bins of partials are sampled often, other bins occasionally.
    ``batch(index)`` is a pure function of (seed, index) and of the batcher.
    """

    batches: Batches
    context: PhaseContext
    n_rows: int
    seed: int
    carries_state: ClassVar[bool] = False

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.batches_per_epoch

    def batch(self, index: int) -> PhaseBatch:
        """Return batch ``index``, of batch_size * n_rows rows; (seed, index) determines the bins sampled."""
        rng = np.random.default_rng((self.seed, index, 6))  # 6: number of this purpose, for distinct random numbers
        return phase_batch(self.batches.batch(index).frames, self.context, self.n_rows, rng)


def phase_batch(hops: Frames, context: PhaseContext, n_rows: int, rng: np.random.Generator) -> PhaseBatch:
    """Sample ``n_rows`` bins of each sequence and return their inputs, targets and weights.

    hops: samples in frames of one hop, (time, batch, hop). The batch returned has batch * n_rows rows. rng: generator
    that chooses the bins, with the probabilities of :class:`PhaseBatches`. RnnaudioError if the sequences give fewer
    spectra than the context spans.
    """
    spectra = spectra_of_hops(hops, context.stft)
    if len(spectra) < context.n_frames:
        raise RnnaudioError(f"{len(spectra)} frames, but the context spans {context.n_frames}: raise n_steps")
    n_steps = len(spectra) - context.n_frames + 1
    now = slice(context.before, context.before + n_steps)
    amplitudes = np.abs(spectra)
    differences = np.stack(phase_differences(np.angle(spectra), context.stft), axis=-1)
    weights = np.sqrt(np.stack([_before(amplitudes, 0), _before(amplitudes, -1)], axis=-1) * amplitudes[..., None])
    probabilities = np.sqrt(amplitudes.mean(axis=0)) + SILENCE
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    chosen = [rng.choice(context.stft.n_bins, n_rows, p=row) for row in probabilities]
    items, bins = np.repeat(np.arange(hops.shape[1]), n_rows), np.concatenate(chosen)
    weight = weights[now, items, bins] / probabilities[items, bins, None]
    weight /= max(float(weight.mean()), SILENCE)
    rows = context.inputs_of(amplitudes, items, bins), differences[now, items, bins], weight
    inputs, targets, weight = (row.astype(np.float32) for row in rows)
    return PhaseBatch(inputs, targets, weight, np.ones(len(items), bool))


def _before(amplitudes: Magnitudes, axis: int) -> Magnitudes:
    """Shift amplitudes by one along an axis: each element is replaced by the one before it, the first by 0."""
    moved = np.roll(amplitudes, 1, axis=axis)
    np.moveaxis(moved, axis, 0)[0] = 0.0
    return moved
