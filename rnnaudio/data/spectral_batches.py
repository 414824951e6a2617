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
class SpectralFrames:
    """Batches of scaled spectra (n_frames, batch_size, n_features), from a batcher whose frames are one hop long.

    n_steps + 1 frames of ``batches`` give n_steps + 1 - ceil((window - hop) / hop) spectra; for n_steps + 1 spectra
    see :func:`steps_for`. RnnaudioError if the frames are not one hop long, or if the batcher carries state although
    the windows of the transform overlap: the spectra of a batch would not continue those of the previous one.
    """

    batches: Batches
    scale: LogScale

    def __post_init__(self) -> None:
        stft, size = self.scale.stft, getattr(self.batches, "frame_size", None)
        if size not in (None, stft.hop_samples):
            raise RnnaudioError(f"the batches have frames of {size} samples, expected the hop, {stft.hop_samples}")
        if self.batches.carries_state and stft.hop_samples != stft.window_samples:
            raise RnnaudioError("overlapping spectra cannot carry state from batch to batch: use RandomWindows")

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.batches_per_epoch

    @property
    def carries_state(self) -> bool:
        return self.batches.carries_state

    def batch(self, index: int) -> Batch:
        """The scaled spectra of batch ``index``."""
        return spectral_batch(self.batches.batch(index), self.scale)

    def part(self, index: int, rows: slice) -> Batch:
        """The scaled spectra of the sequences ``rows`` of batch ``index``."""
        return spectral_batch(self.batches.part(index, rows), self.scale)


def spectral_batch(batch: Batch, scale: LogScale) -> Batch:
    """Convert a batch with frames of one hop, (time, batch, hop), to scaled spectra, (n_frames, batch, n_features).

    RnnaudioError if the sequences are shorter than a frame of the transform.
    """
    return Batch(scale.scaled(np.abs(spectra_of_hops(batch.frames, scale.stft))), batch.resets)


def spectra_of_hops(hops: Frames, stft: STFT) -> Spectra:
    """Spectra of all whole frames of the transform: (time, batch, hop) samples -> (n_frames, batch, n_bins) complex.

    RnnaudioError if the sequences are shorter than a frame of the transform.
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
    """Number of steps with which a batcher of hops gives ``n_steps`` + 1 spectra per batch."""
    return n_steps + -(-(stft.window_samples - stft.hop_samples) // stft.hop_samples)


@dataclass(frozen=True, eq=False)
class MagnitudeFrames:
    """Batches of scaled magnitudes (n_steps + 1, batch_size, n_bins) of the frames of a batcher, as in 2016."""

    batches: Batches
    scale: MagnitudeScale

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.batches_per_epoch

    @property
    def carries_state(self) -> bool:
        return self.batches.carries_state

    def batch(self, index: int) -> Batch:
        """The scaled magnitudes of batch ``index``."""
        frames, resets = self.batches.batch(index)
        return Batch(self.scale.scaled(frames), resets)

    def part(self, index: int, rows: slice) -> Batch:
        """The scaled magnitudes of the sequences ``rows`` of batch ``index``."""
        frames, resets = self.batches.part(index, rows)
        return Batch(self.scale.scaled(frames), resets)
