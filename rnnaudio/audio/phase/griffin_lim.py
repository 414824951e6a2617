"""Griffin-Lim: audio with given magnitudes, by alternating projections."""

import numpy as np

from rnnaudio.audio.arrays import Array, Audio, Magnitudes, Phases, Spectra
from rnnaudio.audio.scaling import real_magnitudes
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError


def griffin_lim(
    magnitudes: Magnitudes,
    stft: STFT,
    *,
    n_iterations: int = 50,
    momentum: float = 0.99,
    start: str | Phases = "zero",
    seed: int = 0,
    n_samples: int | None = None,
) -> Audio:
    """Reconstruct audio with magnitudes close to the given ones: (n_frames, n_bins) |X| -> (n_samples,) float64.

        t_k = STFT(inverse(|X| e^{i arg c_{k-1}}));  c_k = t_k + momentum (t_k - t_{k-1})

    With momentum 0 this is the algorithm of Griffin and Lim (1984), whose error never grows; above 0 it is the fast
    algorithm of Perraudin, Balazs and Sondergaard (2013), which reaches a lower error in the same number of
    iterations, though the error may rise in between.

    start
        phases (n_frames, n_bins) in radians, or the ``zero`` or ``random`` phases of :func:`starting_phases`.
    n_iterations
        0 gives the inverse transform with the starting phases.
    seed
        determines the ``random`` phases.
    n_samples
        length of the audio; None: as much as the frames can give. See :meth:`STFT.inverse`.

    RnnaudioError for magnitudes that are negative, not finite or of a wrong shape, for n_iterations below 0, momentum
    outside 0 to 1, or n_samples out of range, and for starting phases of another kind or shape.
    """
    magnitudes = checked_magnitudes(magnitudes, stft)
    if n_iterations < 0 or not 0.0 <= momentum <= 1.0:
        raise RnnaudioError(
            f"n_iterations is {n_iterations}, momentum {momentum}: expected 0 or more, and 0 to 1 (beyond it the "
            "iterations diverge)"
        )
    phases = starting_phases(magnitudes.shape, stft, start, seed) if isinstance(start, str) else start
    if np.shape(phases) != magnitudes.shape:
        raise RnnaudioError(f"the starting phases have shape {np.shape(phases)}, expected {magnitudes.shape}")
    n = stft.n_samples(len(magnitudes)) if n_samples is None else n_samples
    spectra = with_phases(magnitudes, phases)
    before = spectra
    for k in range(n_iterations):
        found = stft.forward(stft.inverse(spectra, n))
        ahead = found + momentum * (found - before) if k else found
        before = found
        spectra = with_phases_of(magnitudes, ahead)
    return stft.inverse(spectra, n)


def starting_phases(shape: tuple[int, ...], stft: STFT, kind: str, seed: int = 0) -> Phases:
    """Make initial phases in radians: ``zero`` at the centre of each frame, or uniformly ``random``.

    shape: the shape (n_frames, n_bins) of the result. kind: ``zero`` or ``random``. seed: determines the random ones.

    Phases refer to the frame's first sample, where most windows are zero: phases of 0 would put the peak of each frame
    there, and the window would remove it. Hence ``zero`` means -2 pi k c / n in bin k, where n is the window length in
    samples and c = n // 2 the centre. RnnaudioError for another kind.
    """
    if kind == "zero":
        return np.broadcast_to(-centre_advance(stft), shape)
    if kind == "random":
        return np.random.default_rng((seed, 5)).uniform(-np.pi, np.pi, shape)  # 5 marks this use of the seed
    raise RnnaudioError(f"starting phases: got {kind!r}, expected zero, random or an array of phases")


def centre_advance(stft: STFT) -> Phases:
    """Phase advance 2 pi k c / n, in radians, from the first sample of a frame to its centre: (n_bins,) float64.

    n is the window length in samples, c = n // 2 the centre, k the bin.
    """
    return 2.0 * np.pi * np.arange(stft.n_bins) * (stft.window_samples // 2) / stft.window_samples


def with_phases(magnitudes: Magnitudes, phases: Phases) -> Spectra:
    """Combine magnitudes |X| and phases in radians, of equal shapes, into complex spectra |X| e^{i phase}."""
    return magnitudes * np.exp(1j * np.asarray(phases))


def with_phases_of(magnitudes: Magnitudes, spectra: Spectra) -> Spectra:
    """Spectra with the given magnitudes |X| and the phases of ``spectra`` c: |X| c / |c|, or |X| where c is 0."""
    size = np.abs(spectra)
    silent = size < np.finfo(np.float64).tiny
    units: Spectra = spectra / np.where(silent, 1.0, size)
    units[silent] = 1.0
    return magnitudes * units


def checked_frame(magnitudes: Magnitudes, phases: Phases | None, stft: STFT) -> tuple[Magnitudes, Phases | None]:
    """Check the magnitudes and phases of one frame, (n_bins,) each, and return float64 copies of both.

    Phases of None (unknown) are returned as None. Callers may reuse their arrays for the next frame, hence the copies.

    Raises the errors of :func:`checked_magnitudes`, and RnnaudioError for phases of another shape or not finite.
    """
    if np.ndim(magnitudes) != 1:
        raise RnnaudioError(f"got magnitudes of shape {np.shape(magnitudes)}, expected one frame, ({stft.n_bins},)")
    (frame,) = checked_magnitudes(np.asarray(magnitudes)[None], stft)  # a copy
    if phases is None:
        return frame, None
    phases = np.array(phases, np.float64)
    if phases.shape != frame.shape or not np.isfinite(phases).all():
        raise RnnaudioError(f"got phases of shape {phases.shape}; expected finite values of shape {frame.shape}")
    return frame, phases


def checked_magnitudes(magnitudes: Array, stft: STFT) -> Magnitudes:
    """Return magnitudes (n_frames, n_bins) as float64.

    RnnaudioError for another shape, and for values that are complex, negative or not finite.
    """
    magnitudes = np.asarray(magnitudes)
    if magnitudes.ndim != 2:
        raise RnnaudioError(f"got magnitudes of shape {magnitudes.shape}, expected (n_frames, n_bins)")
    return real_magnitudes(magnitudes, stft)
