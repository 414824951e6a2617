"""Griffin-Lim: the sound whose magnitudes are nearest, by projections in turn."""

from typing import Any

import numpy as np

from rnnaudio.audio.scaling import real_magnitudes
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError


def griffin_lim(
    magnitudes: np.ndarray,
    stft: STFT,
    *,
    n_iterations: int = 50,
    momentum: float = 0.99,
    start: str | np.ndarray = "zero",
    seed: int = 0,
    n_samples: int | None = None,
) -> np.ndarray:
    """(n_frames, n_bins) |X| -> (n_samples,) float64: sound with these magnitudes, as nearly as the iterations find.

        t_k = STFT(inverse(|X| e^{i arg c_{k-1}}));  c_k = t_k + momentum (t_k - t_{k-1})

    momentum 0: Griffin and Lim (1984), whose error never grows. 0.99: fast Griffin-Lim of Perraudin, Balazs and
    Sondergaard (2013), which gets further in as many iterations and may rise on its way.

    start
        phases (n_frames, n_bins) in radians, or what :func:`starting_phases` makes of ``zero`` and ``random``.
    n_iterations
        0: the starting phases alone.
    n_samples
        as :meth:`STFT.inverse` takes it.

    RnnaudioError: magnitudes of another window, negative or not finite; settings out of range.
    """
    magnitudes = checked_magnitudes(magnitudes, stft)
    if n_iterations < 0 or not 0.0 <= momentum <= 1.0:
        raise RnnaudioError(
            f"n_iterations is {n_iterations}, momentum {momentum}: expected 0 or more, and 0 to 1 (beyond it the "
            "iterations diverge)"
        )
    phases: Any = starting_phases(magnitudes.shape, stft, start, seed) if isinstance(start, str) else start
    if np.shape(phases) != magnitudes.shape:
        raise RnnaudioError(f"the starting phases have shape {np.shape(phases)}, expected {magnitudes.shape}")
    n = stft.n_samples(len(magnitudes)) if n_samples is None else n_samples
    spectra = with_phases(magnitudes, phases)
    before: Any = 0.0
    for k in range(n_iterations):
        found = stft.forward(stft.inverse(spectra, n))
        ahead = found + momentum * (found - before) if k else found
        before = found
        spectra = with_phases_of(magnitudes, ahead)
    return stft.inverse(spectra, n)


def starting_phases(shape: tuple[int, ...], stft: STFT, kind: str, seed: int = 0) -> np.ndarray:
    """(n_frames, n_bins) radians: ``zero`` at the centre of each frame, or ``random``, uniform, from the seed.

    A phase is counted from the frame's first sample, where a window is zero: zero there would put each frame's peak
    under the window's end. So ``zero`` is -2 pi k c / n, c = n // 2 the centre.
    """
    if kind == "zero":
        return np.broadcast_to(-centre_advance(stft), shape)
    if kind == "random":
        return np.random.default_rng((seed, 5)).uniform(-np.pi, np.pi, shape)  # 5: the purpose
    raise RnnaudioError(f"starting phases: got {kind!r}, expected zero, random or an array of phases")


def centre_advance(stft: STFT) -> np.ndarray:
    """(n_bins,): 2 pi k c / n, what a phase counted from the frame's centre has more than from its first sample."""
    return 2.0 * np.pi * np.arange(stft.n_bins) * (stft.window_samples // 2) / stft.window_samples


def with_phases(magnitudes: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """|X| e^{i phase}."""
    return magnitudes * np.exp(1j * np.asarray(phases))


def with_phases_of(magnitudes: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """|X| c / |c|; where c is zero, the phase is zero."""
    size = np.abs(spectra)
    silent = size < np.finfo(np.float64).tiny
    return magnitudes * np.where(silent, 1.0, spectra / np.where(silent, 1.0, size))


def checked_frame(
    magnitudes: np.ndarray, phases: np.ndarray | None, stft: STFT
) -> tuple[np.ndarray, np.ndarray | None]:
    """Copies of one frame, (n_bins,) each: a caller may fill the same array with the next one. RnnaudioError as
    :func:`checked_magnitudes`, and for phases that are none."""
    if np.ndim(magnitudes) != 1:
        raise RnnaudioError(f"got magnitudes of shape {np.shape(magnitudes)}, expected one frame, ({stft.n_bins},)")
    (frame,) = checked_magnitudes(np.asarray(magnitudes)[None], stft)  # a copy
    if phases is None:
        return frame, None
    phases = np.array(phases, np.float64)
    if phases.shape != frame.shape or not np.isfinite(phases).all():
        raise RnnaudioError(f"got phases of shape {phases.shape}; expected {frame.shape}, finite")
    return frame, phases


def checked_magnitudes(magnitudes: np.ndarray, stft: STFT) -> np.ndarray:
    """(n_frames, n_bins) float64; RnnaudioError if they are none of this transform's."""
    magnitudes = np.asarray(magnitudes)
    if magnitudes.ndim != 2:
        raise RnnaudioError(f"got magnitudes of shape {magnitudes.shape}, expected (n_frames, n_bins)")
    return real_magnitudes(magnitudes, stft)
