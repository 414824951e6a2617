"""Short-time Fourier transform with an exact inverse: frames, window and hop in samples or seconds."""

import dataclasses
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import scipy.fft
import scipy.signal

from rnnaudio.errors import RnnaudioError

WINDOWS = {"hann": "hann", "hamming": "hamming", "blackman": "blackman", "rectangular": "boxcar"}


@dataclasses.dataclass(frozen=True)
class STFT:
    """X[m, k] = sum_t w[t] x[m hop + t - offset] exp(-2 pi i k t / n), t = 0 .. n - 1, k = 0 .. n // 2.

    window_samples, hop_samples
        n and the distance of frames, in samples; :meth:`in_seconds` takes them in seconds.
    window
        w: hann, hamming, blackman (periodic ones), or rectangular. ``STFT(200, 200, "rectangular", "none")`` are the
        adjoining frames of 2016.
    padding
        full: zeros before (offset = n - hop of them) and behind, so that every sample, the first and last too, lies
        under as many frames as any other. none: whole frames only (offset 0); what is left over at the end is left
        out.
    sample_rate_hz
        of the sound, None where it does not matter: times, frequencies and mel bands need it.

    The inverse is the least-squares one of Griffin and Lim (1984), x = sum_m w x_m / sum_m w^2, x_m the frames that
    were transformed back: it undoes the transform exactly wherever sum_m w^2 > 0 (the condition NOLA), also where this
    sum is not constant (COLA, :attr:`ripple`). RnnaudioError at construction where it is not so: a hop longer than the
    window, or one that leaves samples to the window's zeros.
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
                f"the hop is {hop} samples, the window {n}: what lies between the frames could not be inverted; "
                f"take a hop of {n} at most"
            )
        if not scipy.signal.check_NOLA(self.weights, n, n - hop):
            raise RnnaudioError(
                f"a {self.window} window of {n} samples with a hop of {hop} is zero on some samples in all frames, so "
                f"it cannot be inverted: take a hop of {max(1, n // 2)} or less"
            )

    @classmethod
    def in_seconds(cls, sample_rate_hz: int, *, window_s: float, hop_s: float, **others: Any) -> "STFT":
        """Window and hop to the nearest sample. RnnaudioError as the class, and for seconds that are none."""
        for name, value in (("sample_rate_hz", sample_rate_hz), ("window_s", window_s), ("hop_s", hop_s)):
            if not (isinstance(value, int | float | np.number) and 0 < value < float("inf")):
                raise RnnaudioError(f"{name}: got {value!r}, expected a number above 0")
        n, hop = round(window_s * sample_rate_hz), round(hop_s * sample_rate_hz)
        return cls(n, hop, sample_rate_hz=sample_rate_hz, **others)

    @cached_property
    def weights(self) -> np.ndarray:
        """w: (window_samples,) float64."""
        return np.asarray(scipy.signal.get_window(WINDOWS[self.window], self.window_samples, fftbins=True))

    @property
    def n_bins(self) -> int:
        return self.window_samples // 2 + 1

    @property
    def offset(self) -> int:
        """Zeros before the first sample."""
        return self.window_samples - self.hop_samples if self.padding == "full" else 0

    @property
    def ripple(self) -> float:
        """Largest over smallest sum of w^2 under all frames; 1: constant overlap-add, as of Hann at a quarter."""
        padded = np.append(self.weights**2, np.zeros(-self.window_samples % self.hop_samples))
        sums = padded.reshape(-1, self.hop_samples).sum(axis=0)
        return float(sums.max() / sums.min())

    def frequencies_hz(self) -> np.ndarray:
        """(n_bins,): the bins' centres."""
        return np.fft.rfftfreq(self.window_samples, 1.0 / self.rate())

    def times_s(self, n_frames: int) -> np.ndarray:
        """(n_frames,): the frames' centres, from the first sample of the sound."""
        return (np.arange(n_frames) * self.hop_samples - self.offset + self.window_samples / 2) / self.rate()

    def rate(self) -> int:
        """The sampling rate in Hz; RnnaudioError if it was not given."""
        if self.sample_rate_hz is None:
            raise RnnaudioError("this transform has no sampling rate, so no Hz and seconds: give it sample_rate_hz")
        return self.sample_rate_hz

    def n_frames(self, n_samples: int) -> int:
        """Frames of so many samples; RnnaudioError where there is none."""
        if self.padding == "full" and n_samples > 0:
            return -(-(self.offset + n_samples) // self.hop_samples)
        if self.padding == "none" and n_samples >= self.window_samples:
            return (n_samples - self.window_samples) // self.hop_samples + 1
        advice = "give more sound" if n_samples < 1 else "give more sound, or padding='full'"
        raise RnnaudioError(
            f"{n_samples} samples of sound have no frame of {self.window_samples} (padding {self.padding}): {advice}"
        )

    def n_samples(self, n_frames: int) -> int:
        """The most samples that have so many frames; RnnaudioError where there is none."""
        n = n_frames * self.hop_samples - self.offset
        if self.padding == "none" and n_frames > 0:
            n += self.window_samples - self.hop_samples
        if n <= 0:
            least = self.offset // self.hop_samples + 1
            raise RnnaudioError(f"{n_frames} frames hold no sample of sound whole: give {least} at least")
        return n

    def forward(self, audio: np.ndarray) -> np.ndarray:
        """(..., n_samples) real -> (..., n_frames, n_bins) complex128. RnnaudioError: no frame, NaN, not real."""
        audio = np.asarray(audio)
        if audio.ndim == 0 or audio.dtype.kind not in "fiu":
            raise RnnaudioError(f"got {audio.dtype} of shape {audio.shape}, expected real samples (..., n_samples)")
        if not np.isfinite(audio).all():
            raise RnnaudioError("the sound holds NaN or infinite samples: repair it first")
        n_frames = self.n_frames(audio.shape[-1])
        if self.padding == "full":
            n_behind = (n_frames - 1) * self.hop_samples + self.window_samples - self.offset - audio.shape[-1]
            audio = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(self.offset, n_behind)])
        frames = np.lib.stride_tricks.sliding_window_view(audio, self.window_samples, axis=-1)
        return self.of_frames(frames[..., :: self.hop_samples, :])

    def inverse(self, spectra: np.ndarray, n_samples: int | None = None) -> np.ndarray:
        """(..., n_frames, n_bins) complex -> (..., n_samples) float64; n_samples: by default as many as there may be.

        Of spectra that no sound has, the sound whose spectra are nearest (least squares). With padding none the first
        and last samples, where a window is zero or nearly so, come back as zero or with much rounding.
        """
        spectra = np.asarray(spectra)
        self.check_bins(spectra)
        n_frames = spectra.shape[-2]
        most = self.n_samples(n_frames)
        n = most if n_samples is None else n_samples
        least = most if self.padding == "none" else max(1, most - self.hop_samples + 1)
        if not least <= n <= most:
            raise RnnaudioError(f"{n_frames} frames hold {most} samples: got {n}, expected {least} to {most}")
        total = overlap_add(self.to_frames(spectra), self.hop_samples)
        total /= _squares(self, n_frames)
        return total[..., self.offset : self.offset + n]

    def of_frames(self, frames: np.ndarray) -> np.ndarray:
        """One frame at a time, without padding: (..., window_samples) -> (..., n_bins) complex128."""
        return scipy.fft.rfft(np.asarray(frames, np.float64) * self.weights, axis=-1)

    def to_frames(self, spectra: np.ndarray) -> np.ndarray:
        """The frames as they are added up, w x_m: (..., n_bins) -> (..., window_samples)."""
        return scipy.fft.irfft(spectra, self.window_samples, axis=-1) * self.weights

    def check_bins(self, spectra: np.ndarray) -> None:
        """RnnaudioError if these are not finite spectra (..., n_frames, n_bins) of this window."""
        if spectra.dtype.kind not in "fiuc":
            raise RnnaudioError(f"got {spectra.dtype} values, expected spectra: transform the sound first")
        if spectra.ndim < 2 or spectra.shape[-1] != self.n_bins:
            raise RnnaudioError(
                f"got spectra of shape {spectra.shape}, expected (..., frames, {self.n_bins}) for a window of "
                f"{self.window_samples} samples: transform the sound with the same settings"
            )
        if not np.isfinite(spectra).all():
            raise RnnaudioError("the spectra hold NaN or infinite values: look at the frames that made them")

    def check_same(self, other: "STFT") -> None:
        """RnnaudioError that names each difference: spectra of another window or rate mean something else."""
        fields = [field.name for field in dataclasses.fields(self)]
        pairs = [(name, getattr(other, name), getattr(self, name)) for name in fields]
        different = [f"{name} is {got!r}, expected {own!r}" for name, got, own in pairs if got != own]
        if different:
            raise RnnaudioError(f"spectra of other settings: {'; '.join(different)}: transform the sound with these")


def overlap_add(frames: np.ndarray, hop: int) -> np.ndarray:
    """(..., n_frames, n) -> (..., (n_frames - 1) hop + n): frame m added at m hop."""
    *leading, n_frames, n = frames.shape
    n_parts = -(-n // hop)
    padded = np.zeros((*leading, n_frames, n_parts * hop), frames.dtype)
    padded[..., :n] = frames
    total = np.zeros((*leading, n_frames + n_parts - 1, hop), frames.dtype)
    for k in range(n_parts):
        total[..., k : k + n_frames, :] += padded[..., k * hop : (k + 1) * hop]
    return total.reshape(*leading, -1)[..., : (n_frames - 1) * hop + n]


@lru_cache(maxsize=16)
def _squares(stft: STFT, n_frames: int) -> np.ndarray:
    """sum_m w^2, and 1 where no window sees anything (w x_m is 0 there, too)."""
    sums = overlap_add(np.broadcast_to(stft.weights**2, (n_frames, stft.window_samples)), stft.hop_samples)
    return np.where(sums > np.finfo(np.float64).tiny, sums, 1.0)
