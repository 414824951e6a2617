"""Griffin-Lim in a stream: each frame's phase is settled a few frames after it came."""

import numpy as np

from rnnaudio.audio.phase.griffin_lim import checked_frame, with_phases, with_phases_of
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError


class OnlineGriffinLim:
    """Real-time iterative spectrogram inversion with look-ahead: Zhu, Beauregard and Wyse (2007).

    A frame that comes takes the phase that the sound so far has under its window, nothing where there is none yet.
    Then all frames that are not settled (``look_ahead`` + 1 at most) are projected ``n_iterations`` times, the settled
    ones standing still. The oldest is settled when there are more; what no later frame covers is given out:

        stream = OnlineGriffinLim(stft)
        for frame in magnitudes:
            play(stream.push(frame))   # (hop,) float64, for the first frames shorter or empty
        play(stream.flush())

    Together these are as many samples as ``stft.n_samples(n_frames)``, ``look_ahead`` + 1 hops late (and, with full
    padding, the offset). A frame may come with phases of its own (``push(frame, phases)``) as a start; with
    ``n_iterations=0`` and ``look_ahead=0`` that is the inverse transform in a stream.
    """

    def __init__(self, stft: STFT, *, look_ahead: int = 3, n_iterations: int = 5):
        if look_ahead < 0 or n_iterations < 0:
            raise RnnaudioError(f"look_ahead is {look_ahead}, n_iterations {n_iterations}: expected 0 or more")
        self.stft, self.look_ahead, self.n_iterations = stft, look_ahead, n_iterations
        length = stft.window_samples + look_ahead * stft.hop_samples
        # From the first sample of the oldest frame that is not settled: what the settled ones add up to, and the sum
        # of w^2 under these and under all.
        self._sum, self._settled, self._squares = np.zeros(length), np.zeros(length), np.zeros(length)
        self._magnitudes = np.empty((0, stft.n_bins))
        self._spectra = np.empty((0, stft.n_bins), complex)
        self._to_drop = stft.offset
        self._is_over = False

    def push(self, magnitudes: np.ndarray, phases: np.ndarray | None = None) -> np.ndarray:
        """The next frame, (n_bins,) |X|; the samples that are settled by it. RnnaudioError: NaN, another window."""
        if self._is_over:
            raise RnnaudioError("the stream was flushed: make a new one")
        frame, phases = checked_frame(magnitudes, phases, self.stft)
        span = self._span(len(self._spectra))
        if phases is None:
            spectrum = with_phases_of(frame, self.stft.of_frames(self._sound(_divisors(self._squares))[span]))
        else:
            spectrum = with_phases(frame, phases)
        self._magnitudes = np.vstack([self._magnitudes, frame])
        self._spectra = np.vstack([self._spectra, spectrum])
        self._squares[span] += self.stft.weights**2
        divisors = _divisors(self._squares)
        for _ in range(self.n_iterations):
            self._project(divisors)
        return self._settle() if len(self._spectra) > self.look_ahead else np.empty(0)

    def flush(self) -> np.ndarray:
        """All that is left; the stream is over, and a second call gives nothing."""
        if self._is_over:
            return np.empty(0)
        self._is_over = True
        parts = [self._settle() for _ in range(len(self._spectra))]
        if self.stft.padding == "none" and (parts or self._settled.any()):
            tail = slice(self.stft.window_samples - self.stft.hop_samples)
            parts.append(self._sum[tail] / _divisors(self._settled[tail]))
        return np.concatenate(parts) if parts else np.empty(0)

    def _span(self, k: int) -> slice:
        """The samples under frame k of those that are not settled."""
        return slice(k * self.stft.hop_samples, k * self.stft.hop_samples + self.stft.window_samples)

    def _project(self, divisors: np.ndarray) -> None:
        sound = np.lib.stride_tricks.sliding_window_view(self._sound(divisors), self.stft.window_samples)
        frames = sound[:: self.stft.hop_samples][: len(self._spectra)]
        self._spectra = with_phases_of(self._magnitudes, self.stft.of_frames(frames))

    def _sound(self, divisors: np.ndarray) -> np.ndarray:
        """What settled and other frames make together, over the sums of w^2 under them."""
        total = self._sum.copy()
        for k, frame in enumerate(self.stft.to_frames(self._spectra)):
            total[self._span(k)] += frame
        return total / divisors

    def _settle(self) -> np.ndarray:
        """Settle the oldest frame; the samples under it alone."""
        hop, span = self.stft.hop_samples, self._span(0)
        self._sum[span] += self.stft.to_frames(self._spectra[0])
        self._settled[span] += self.stft.weights**2
        ready = self._sum[:hop] / _divisors(self._settled[:hop])
        self._magnitudes, self._spectra = self._magnitudes[1:], self._spectra[1:]
        for array in (self._sum, self._settled, self._squares):
            array[:-hop] = array[hop:].copy()
            array[-hop:] = 0.0
        ready, self._to_drop = ready[self._to_drop :], max(0, self._to_drop - hop)
        return ready


def streamed(magnitudes: np.ndarray, stft: STFT, *, look_ahead: int = 3, n_iterations: int = 5) -> np.ndarray:
    """All frames, (n_frames, n_bins), through one stream."""
    stream = OnlineGriffinLim(stft, look_ahead=look_ahead, n_iterations=n_iterations)
    return np.concatenate([*(stream.push(frame) for frame in magnitudes), stream.flush()])


def _divisors(squares: np.ndarray) -> np.ndarray:
    return np.where(squares > np.finfo(np.float64).tiny, squares, 1.0)
