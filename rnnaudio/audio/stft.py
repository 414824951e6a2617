"""Short-time Fourier transform with an exact inverse; window and hop in samples or in seconds."""

import dataclasses
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import scipy.fft

from rnnaudio.audio.arrays import Array, Audio, Floats, Frames, Spectra
from rnnaudio.errors import RnnaudioError

# Coefficients a of w[t] = sum_k a_k cos(2 pi k (t / n - 1/2)); scipy.signal, with the same, takes .5 s to import.
WINDOWS = {"hann": (0.5, 0.5), "hamming": (0.54, 1 - 0.54), "blackman": (0.42, 0.50, 0.08), "rectangular": (1.0,)}
LEAST_SUM = 1e-10  # of w^2 at a sample that can be recovered


@dataclasses.dataclass(frozen=True)
class STFT:
    """Short-time Fourier transform of frames of n samples.

        X[m, k] = sum_t w[t] x[m hop + t - offset] exp(-2 pi i k t / n),   t = 0 .. n - 1,   k = 0 .. n // 2

    window_samples, hop_samples
        n, and the distance between the starts of successive frames, in samples; :meth:`in_seconds` takes seconds.
    window
        w: hann, hamming, blackman (all periodic), or rectangular. ``STFT(200, 200, "rectangular", "none")`` gives the
        frames of 2016, which do not overlap.
    padding
        ``full`` pads the audio with offset = n - hop zeros before it and with enough zeros after it, so that the first
        and last samples are covered by as many frames as those in between. ``none`` uses whole frames only (offset 0)
        and drops the remainder at the end.
    sample_rate_hz
        sample rate of the audio; None if it is not known. Only times, frequencies and mel bands need it.

    The inverse is the least-squares estimate of Griffin and Lim (1984), x = sum_m w x_m / sum_m w^2, where x_m are the
    inverse transforms of the frames. It is exact wherever sum_m w^2 > 0 (the NOLA condition), even if this sum is not
    constant (COLA, :attr:`ripple`). The constructor raises RnnaudioError for invalid settings, and if NOLA fails: the
    hop is longer than the window, or the window is zero on some samples in every frame that covers them.
    """

    window_samples: int
    hop_samples: int
    window: str = "hann"
    padding: Literal["full", "none"] = "full"
    sample_rate_hz: int | None = None

    def __post_init__(self) -> None:
        for name in ("window_samples", "hop_samples"):
            if not (isinstance(getattr(self, name), int | np.integer) and getattr(self, name) > 0):
                raise RnnaudioError(f"{name}: got {getattr(self, name)!r}, expected a whole number, at least 1")
        rate = self.sample_rate_hz
        if rate is not None and not (isinstance(rate, int | np.integer) and rate > 0):
            raise RnnaudioError(f"sample_rate_hz: got {rate!r}, expected a whole number, at least 1, or None")
        if self.window not in WINDOWS:
            raise RnnaudioError(f"window: got {self.window!r}, expected one of {', '.join(WINDOWS)}")
        if self.padding not in ("full", "none"):
            raise RnnaudioError(f"padding: got {self.padding!r}, expected full or none")
        n, hop = self.window_samples, self.hop_samples
        if hop > n:
            raise RnnaudioError(
                f"the hop is {hop} samples, the window {n}: samples between the frames could not be recovered; "
                f"take a hop of {n} at most"
            )
        if self._overlapped.min() <= LEAST_SUM:
            raise RnnaudioError(
                f"a {self.window} window of {n} samples with a hop of {hop} is zero on some samples in all frames and "
                f"cannot be inverted: take a hop of {max(1, n // 2)} or less"
            )

    @classmethod
    def in_seconds(
        cls,
        sample_rate_hz: int,
        *,
        window_s: float,
        hop_s: float,
        window: str = "hann",
        padding: Literal["full", "none"] = "full",
    ) -> "STFT":
        """Construct from window and hop in seconds, each rounded to whole samples.

        Raises the errors of the constructor, and RnnaudioError for times or a sample rate that are not positive.
        """
        for name, value in (("sample_rate_hz", sample_rate_hz), ("window_s", window_s), ("hop_s", hop_s)):
            if not (isinstance(value, int | float | np.number) and 0 < value < float("inf")):
                raise RnnaudioError(f"{name}: got {value!r}, expected a number above 0")
        n, hop = round(window_s * sample_rate_hz), round(hop_s * sample_rate_hz)
        return cls(n, hop, window, padding, sample_rate_hz)

    @cached_property
    def weights(self) -> Floats:
        """The window function w, (window_samples,) float64."""
        n, w = self.window_samples, np.zeros(self.window_samples)
        angles = np.linspace(-np.pi, np.pi, n + 1)[:n]
        for k, a in enumerate(WINDOWS[self.window]):
            w += a * np.cos(k * angles)
        return w if n > 1 else np.ones(1)

    @property
    def n_bins(self) -> int:
        return self.window_samples // 2 + 1

    @property
    def offset(self) -> int:
        """Number of zeros padded before the first sample."""
        return self.window_samples - self.hop_samples if self.padding == "full" else 0

    @property
    def ripple(self) -> float:
        """Ratio of the largest to the smallest overlap-added w^2; 1 for constant overlap-add (Hann, hop n / 4)."""
        return float(self._overlapped.max() / self._overlapped.min())

    @property
    def _overlapped(self) -> Floats:
        """The overlap-added w^2 at each sample of a hop, (hop_samples,)."""
        padded = np.append(self.weights**2, np.zeros(-self.window_samples % self.hop_samples))
        return np.asarray(padded.reshape(-1, self.hop_samples).sum(axis=0))

    def frequencies_hz(self) -> Floats:
        """Centre frequencies of the bins in Hz, (n_bins,); RnnaudioError without a sample rate."""
        return np.fft.rfftfreq(self.window_samples, 1.0 / self.rate())

    def times_s(self, n_frames: int) -> Floats:
        """Centres of the frames in seconds from the first sample of the audio, (n_frames,).

        RnnaudioError without a sample rate.
        """
        return (np.arange(n_frames) * self.hop_samples - self.offset + self.window_samples / 2) / self.rate()

    def rate(self) -> int:
        """Sample rate in Hz; RnnaudioError if none was given."""
        if self.sample_rate_hz is None:
            raise RnnaudioError("the transform has no sample rate for Hz or seconds: construct it with sample_rate_hz")
        return self.sample_rate_hz

    def n_frames(self, n_samples: int) -> int:
        """Number of frames in ``n_samples`` samples of audio; RnnaudioError if the audio is too short for a frame."""
        if self.padding == "full" and n_samples > 0:
            return -(-(self.offset + n_samples) // self.hop_samples)
        if self.padding == "none" and n_samples >= self.window_samples:
            return (n_samples - self.window_samples) // self.hop_samples + 1
        advice = "give more audio" if n_samples < 1 else "give more audio, or padding='full'"
        raise RnnaudioError(
            f"{n_samples} samples of audio have no frame of {self.window_samples} (padding {self.padding}): {advice}"
        )

    def n_samples(self, n_frames: int) -> int:
        """Largest number of samples that ``n_frames`` frames can reconstruct; RnnaudioError if it is 0."""
        n = n_frames * self.hop_samples - self.offset
        if self.padding == "none" and n_frames > 0:
            n += self.window_samples - self.hop_samples
        if n <= 0:
            least = self.offset // self.hop_samples + 1
            raise RnnaudioError(f"{n_frames} frames cover no sample of audio completely: give {least} at least")
        return n

    def forward(self, audio: Audio) -> Spectra:
        """Transform real audio (..., n_samples) -> (..., n_frames, n_bins) complex128.

        RnnaudioError for audio too short for a frame (see :meth:`n_frames`), NaN or infinite samples, or complex ones.
        """
        audio = np.asarray(audio)
        if audio.ndim == 0 or audio.dtype.kind not in "fiu":
            raise RnnaudioError(f"got {audio.dtype} of shape {audio.shape}, expected real samples (..., n_samples)")
        if not np.isfinite(audio).all():
            raise RnnaudioError("the audio holds NaN or infinite samples: repair it first")
        n_frames = self.n_frames(audio.shape[-1])
        if self.padding == "full":
            n_after = (n_frames - 1) * self.hop_samples + self.window_samples - self.offset - audio.shape[-1]
            audio = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(self.offset, n_after)])
        frames = np.lib.stride_tricks.sliding_window_view(audio, self.window_samples, axis=-1)
        return self.of_frames(frames[..., :: self.hop_samples, :])

    def inverse(self, spectra: Spectra, n_samples: int | None = None) -> Audio:
        """Transform spectra back: (..., n_frames, n_bins) complex -> (..., n_samples) float64.

        n_samples: length of the result; None: the maximum, which the method :meth:`n_samples` gives for the number of
        frames. With padding "full" it may be up to hop - 1 below the maximum (but at least 1); with padding "none" it
        must be the maximum.

        If the spectra are not the transform of any audio, the result is the audio whose spectra are nearest to them
        (least squares). With padding "none", the first and last samples, where the window is zero or almost zero, are
        zero or have large rounding errors. RnnaudioError for spectra of a wrong shape, NaN or infinite values, or
        n_samples out of range.
        """
        spectra = np.asarray(spectra)
        self.check_bins(spectra)
        n_frames = spectra.shape[-2]
        most = self.n_samples(n_frames)
        n = most if n_samples is None else n_samples
        least = most if self.padding == "none" else max(1, most - self.hop_samples + 1)
        if not least <= n <= most:
            raise RnnaudioError(
                f"n_samples: got {n}, expected {least} to {most} for {n_frames} frames of this transform"
            )
        total = overlap_add(self.to_frames(spectra), self.hop_samples)
        total /= _squares(self, n_frames)
        return total[..., self.offset : self.offset + n]

    def of_frames(self, frames: Frames) -> Spectra:
        """Window and transform frames: (..., window_samples) -> (..., n_bins) complex128."""
        return scipy.fft.rfft(np.asarray(frames, np.float64) * self.weights, axis=-1)

    def to_frames(self, spectra: Spectra) -> Frames:
        """Compute w x_m, the windowed inverse transforms: (..., n_bins) -> (..., window_samples) float64.

        Their overlap-add, divided by that of w^2, is the inverse transform.
        """
        return scipy.fft.irfft(spectra, self.window_samples, axis=-1) * self.weights

    def check_bins(self, spectra: Array) -> None:
        """Raise RnnaudioError unless the array holds finite numbers and has the shape (..., n_frames, n_bins)."""
        if spectra.dtype.kind not in "fiuc":
            raise RnnaudioError(f"got {spectra.dtype} values, expected spectra: transform the audio first")
        if spectra.ndim < 2 or spectra.shape[-1] != self.n_bins:
            raise RnnaudioError(
                f"got spectra of shape {spectra.shape}, expected (..., frames, {self.n_bins}) for a window of "
                f"{self.window_samples} samples: transform the audio with the same settings"
            )
        if not np.isfinite(spectra).all():
            raise RnnaudioError("the spectra hold NaN or infinite values: check the frames they were computed from")

    def check_same(self, other: "STFT") -> None:
        """Raise RnnaudioError if ``other`` differs from this transform; the message names each differing setting."""
        fields = [field.name for field in dataclasses.fields(self)]
        pairs = [(name, getattr(other, name), getattr(self, name)) for name in fields]
        different = [f"{name} is {got!r}, expected {own!r}" for name, got, own in pairs if got != own]
        if different:
            raise RnnaudioError(f"spectra of other settings: {'; '.join(different)}: transform the audio with these")


def overlap_add(frames: Frames, hop: int) -> Audio:
    """Sum frames that overlap, where frame m starts at m hop: (..., n_frames, n) -> (..., (n_frames - 1) hop + n)."""
    *leading, n_frames, n = frames.shape
    n_parts = -(-n // hop)
    padded = np.zeros((*leading, n_frames, n_parts * hop), frames.dtype)
    padded[..., :n] = frames
    total = np.zeros((*leading, n_frames + n_parts - 1, hop), frames.dtype)
    for k in range(n_parts):
        total[..., k : k + n_frames, :] += padded[..., k * hop : (k + 1) * hop]
    return total.reshape(*leading, -1)[..., : (n_frames - 1) * hop + n]


@lru_cache(maxsize=16)
def _squares(stft: STFT, n_frames: int) -> Floats:
    """Divisors (n,) of the overlap-add of ``n_frames`` frames: sum_m w^2, or 1 where this sum is 0."""
    sums = overlap_add(np.broadcast_to(stft.weights**2, (n_frames, stft.window_samples)), stft.hop_samples)
    return np.where(sums > np.finfo(np.float64).tiny, sums, 1.0)
