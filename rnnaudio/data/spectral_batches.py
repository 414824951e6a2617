"""Batches of spectra, computed from batches of sample frames."""

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
    """Scaled spectra (n_frames, batch_size, n_features) from a batcher of adjoining frames of one hop each.

    ``batches`` with n_steps + 1 frames give n_steps + 1 - ceil((window - hop) / hop) spectra (:func:`steps_for` is the
    inverse). RnnaudioError if its frames are not one hop long, or if it carries state while windows overlap: the
    spectra of the next batch would not continue these.
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
        """The spectra of batch ``index``."""
        return spectral_batch(self.batches.batch(index), self.scale)


def spectral_batch(batch: Batch, scale: LogScale) -> Batch:
    """Scaled spectra of a batch of adjoining frames of one hop, (time, batch, hop)."""
    return Batch(scale.scaled(np.abs(spectra_of_hops(batch.frames, scale.stft))), batch.resets)


def spectra_of_hops(hops: Frames, stft: STFT) -> Spectra:
    """Spectra of all whole frames: (time, batch, hop) samples -> (n_frames, batch, n_bins) complex.

    RnnaudioError if the sequences are shorter than a frame.
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
    """The n_steps of a batcher that gives n_steps + 1 spectra per batch."""
    return n_steps + -(-(stft.window_samples - stft.hop_samples) // stft.hop_samples)


@dataclass(frozen=True, eq=False)
class MagnitudeFrames:
    """Scaled magnitudes (n_steps + 1, batch_size, n_bins) of the frames of a batcher, as in 2016."""

    batches: Batches
    scale: MagnitudeScale

    @property
    def batches_per_epoch(self) -> int:
        return self.batches.batches_per_epoch

    @property
    def carries_state(self) -> bool:
        return self.batches.carries_state

    def batch(self, index: int) -> Batch:
        """The spectra of batch ``index``."""
        frames, resets = self.batches.batch(index)
        return Batch(self.scale.scaled(frames), resets)
