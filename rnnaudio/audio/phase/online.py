"""Streaming Griffin-Lim: the phases of each frame become final a few frames after it arrives."""

import numpy as np

from rnnaudio.audio.arrays import Audio, Floats, Magnitudes, Phases
from rnnaudio.audio.phase.griffin_lim import checked_frame, with_phases, with_phases_of
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError


class OnlineGriffinLim:
    """Real-time iterative spectrogram inversion with look-ahead: Zhu, Beauregard and Wyse (2007).

    A new frame starts with the phases of the audio that has been reconstructed so far under its window (zeros where
    there is none yet). Then all pending frames, at most ``look_ahead`` + 1, go through ``n_iterations`` iterations of
    Griffin-Lim, while the phases of older frames stay fixed. Once ``look_ahead`` + 1 frames are pending, the oldest is
    fixed, and the samples that no later frame covers are returned:

        stream = OnlineGriffinLim(stft)
        for frame in magnitudes:
            play(stream.push(frame))   # (hop,) float64; shorter or empty for the first frames
        play(stream.flush())

    In total ``stft.n_samples(n_frames)`` samples are returned, with a delay of ``look_ahead`` + 1 hops (with full
    padding, plus the offset). A frame may be pushed with initial phases (``push(frame, phases)``). If all frames are
    pushed with phases, and ``n_iterations`` and ``look_ahead`` are 0, the stream is an inverse transform.
    RnnaudioError for negative settings.
    """

    def __init__(self, stft: STFT, *, look_ahead: int = 3, n_iterations: int = 5):
        if look_ahead < 0 or n_iterations < 0:
            raise RnnaudioError(f"look_ahead is {look_ahead}, n_iterations {n_iterations}: expected 0 or more")
        self.stft, self.look_ahead, self.n_iterations = stft, look_ahead, n_iterations
        length = stft.window_samples + look_ahead * stft.hop_samples
        # These arrays begin at the first sample of the oldest pending frame: overlap-add of the fixed frames, sum of
        # w^2 over the fixed frames, and sum of w^2 over all frames.
        self._sum, self._fixed_squares, self._squares = np.zeros(length), np.zeros(length), np.zeros(length)
        self._magnitudes = np.empty((0, stft.n_bins))
        self._spectra = np.empty((0, stft.n_bins), complex)
        self._to_drop = stft.offset
        self._is_over = False

    def push(self, magnitudes: Magnitudes, phases: Phases | None = None) -> Audio:
        """Add the next frame |X|, (n_bins,); returns the samples that have become final, (n,) float64, 0 <= n <= hop.

        phases: initial phases of the frame, (n_bins,) in radians; None: the phases of the audio reconstructed so far.
        RnnaudioError for values that are NaN, infinite or negative, a wrong number of bins, or a flushed stream.
        """
        if self._is_over:
            raise RnnaudioError("the stream was flushed: make a new one")
        frame, phases = checked_frame(magnitudes, phases, self.stft)
        span = self._span(len(self._spectra))
        if phases is None:
            spectrum = with_phases_of(frame, self.stft.of_frames(self._audio(_divisors(self._squares))[span]))
        else:
            spectrum = with_phases(frame, phases)
        self._magnitudes = np.vstack([self._magnitudes, frame])
        self._spectra = np.vstack([self._spectra, spectrum])
        self._squares[span] += self.stft.weights**2
        divisors = _divisors(self._squares)
        for _ in range(self.n_iterations):
            self._project(divisors)
        return self._fix_oldest() if len(self._spectra) > self.look_ahead else np.empty(0)

    def flush(self) -> Audio:
        """Return the remaining samples, (n,) float64, and end the stream; a second call returns an empty array."""
        if self._is_over:
            return np.empty(0)
        self._is_over = True
        parts = [self._fix_oldest() for _ in range(len(self._spectra))]
        if self.stft.padding == "none" and (parts or self._fixed_squares.any()):
            tail = slice(self.stft.window_samples - self.stft.hop_samples)
            parts.append(self._sum[tail] / _divisors(self._fixed_squares[tail]))
        return np.concatenate(parts) if parts else np.empty(0)

    def _span(self, k: int) -> slice:
        """Range of samples under the k-th pending frame."""
        return slice(k * self.stft.hop_samples, k * self.stft.hop_samples + self.stft.window_samples)

    def _project(self, divisors: Floats) -> None:
        audio = np.lib.stride_tricks.sliding_window_view(self._audio(divisors), self.stft.window_samples)
        frames = audio[:: self.stft.hop_samples][: len(self._spectra)]
        self._spectra = with_phases_of(self._magnitudes, self.stft.of_frames(frames))

    def _audio(self, divisors: Floats) -> Audio:
        """Audio under the pending frames: overlap-add of fixed and pending frames, divided by sums of w^2."""
        total = self._sum.copy()
        for k, frame in enumerate(self.stft.to_frames(self._spectra)):
            total[self._span(k)] += frame
        return total / divisors

    def _fix_oldest(self) -> Audio:
        """Fix the oldest pending frame; returns the samples that no later frame covers."""
        hop, span = self.stft.hop_samples, self._span(0)
        self._sum[span] += self.stft.to_frames(self._spectra[0])
        self._fixed_squares[span] += self.stft.weights**2
        ready = self._sum[:hop] / _divisors(self._fixed_squares[:hop])
        self._magnitudes, self._spectra = self._magnitudes[1:], self._spectra[1:]
        for array in (self._sum, self._fixed_squares, self._squares):
            array[:-hop] = array[hop:].copy()
            array[-hop:] = 0.0
        ready, self._to_drop = ready[self._to_drop :], max(0, self._to_drop - hop)
        return ready


def streamed(magnitudes: Magnitudes, stft: STFT, *, look_ahead: int = 3, n_iterations: int = 5) -> Audio:
    """Reconstruct audio from frames |X| (n_frames, n_bins) by :class:`OnlineGriffinLim`: (n_samples,) float64."""
    stream = OnlineGriffinLim(stft, look_ahead=look_ahead, n_iterations=n_iterations)
    return np.concatenate([*(stream.push(frame) for frame in magnitudes), stream.flush()])


def _divisors(squares: Floats) -> Floats:
    return np.where(squares > np.finfo(np.float64).tiny, squares, 1.0)
