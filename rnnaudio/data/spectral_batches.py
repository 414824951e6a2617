"""Batches of spectra, computed from batches of frames of samples."""

from dataclasses import dataclass

import numpy as np

from rnnaudio.audio.arrays import Frames, Spectra
from rnnaudio.audio.scaling import LogScale
from rnnaudio.audio.spectra_2016 import MagnitudeScale
from rnnaudio.audio.stft import STFT
from rnnaudio.data.batches import Batch, Batches
from rnnaudio.errors import RnnaudioError


@dataclass(frozen=True, eq=False)
class _Scaled:
    """Base class of batches that are converted from those of another batcher, ``batches``.

    A subclass defines :meth:`_converted`, and has a field ``scale``.
    """

    batches: Batches

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.batches_per_epoch

    @property
    def carries_state(self) -> bool:
        return self.batches.carries_state

    def batch(self, index: int) -> Batch:
        """Read batch ``index`` and convert it."""
        return self._converted(self.batches.batch(index))

    def part(self, index: int, rows: slice) -> Batch:
        """Read the items ``rows`` of batch ``index`` and convert them."""
        return self._converted(self.batches.part(index, rows))

    def _converted(self, batch: Batch) -> Batch:
        """Convert a batch of frames of samples to a batch of scaled frames."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class SpectralFrames(_Scaled):
    """Batches of scaled spectra (n_frames, batch_size, n_features), from a batcher whose frames are one hop long.

    n_steps + 1 frames of ``batches`` give n_steps + 1 - ceil((window - hop) / hop) spectra; for n_steps + 1 spectra
    see :func:`steps_for`. RnnaudioError if the frames are not one hop long, or if the batcher carries state although
    the windows of the transform overlap, because the spectra of a batch would not continue those of the previous one.
    """

    scale: LogScale

    def __post_init__(self) -> None:
        stft, size = self.scale.stft, getattr(self.batches, "frame_size", None)
        if size not in (None, stft.hop_samples):
            raise RnnaudioError(f"the batches have frames of {size} samples, expected the hop, {stft.hop_samples}")
        if self.batches.carries_state and stft.hop_samples != stft.window_samples:
            raise RnnaudioError("overlapping spectra cannot carry state from batch to batch: use RandomWindows")

    def _converted(self, batch: Batch) -> Batch:
        return spectral_batch(batch, self.scale)


def spectral_batch(batch: Batch, scale: LogScale) -> Batch:
    """Convert a batch with frames of one hop, (time, batch, hop), to scaled spectra, (n_frames, batch, n_features).

    RnnaudioError if the sequences are shorter than a window of the transform.
    """
    return Batch(scale.scaled(np.abs(spectra_of_hops(batch.frames, scale.stft))), batch.resets)


def spectra_of_hops(hops: Frames, stft: STFT) -> Spectra:
    """Compute the spectra of all whole windows: (time, batch, hop) samples -> (n_frames, batch, n_bins) complex.

    hops: adjoining frames of one hop each. RnnaudioError if the sequences are shorter than a window of the transform.
    """
    audio = np.swapaxes(hops, 0, 1).reshape(hops.shape[1], -1)  # axes change: (time, batch) -> (batch, time)
    n_frames = (audio.shape[1] - stft.window_samples) // stft.hop_samples + 1
    if n_frames < 1:
        raise RnnaudioError(
            f"{audio.shape[1]} samples of a batch hold no frame of {stft.window_samples}: raise n_steps, see steps_for"
        )
    frames = np.lib.stride_tricks.sliding_window_view(audio, stft.window_samples, axis=-1)[:, :: stft.hop_samples]
    return np.swapaxes(stft.of_frames(frames), 0, 1)  # axes change: (batch, time) -> (time, batch)


def steps_for(n_steps: int, stft: STFT) -> int:
    """Return the number of steps of a batcher from which :class:`SpectralFrames` gives ``n_steps`` + 1 spectra.

    The frames of the batcher are one hop long.
    """
    return n_steps + -(-(stft.window_samples - stft.hop_samples) // stft.hop_samples)


@dataclass(frozen=True, eq=False)
class MagnitudeFrames(_Scaled):
    """Batches of scaled magnitudes (n_steps + 1, batch_size, n_bins) of the frames of a batcher, as in 2016."""

    scale: MagnitudeScale

    def _converted(self, batch: Batch) -> Batch:
        return Batch(self.scale.scaled(batch.frames), batch.resets)
