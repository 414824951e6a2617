"""Vector-quantised codec: a spectral frame is coded as the index of the nearest learnt centre, in one or more stages.

A frame is decoded from its own codes and those of the frames before and after it, since spectra vary smoothly rather
than jump between centres. A model of codes can sound no better than the decoded codes of real music, so compare its
results with the codec's own error (:attr:`Codec.lost`, or an encoded and decoded recording).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal, NotRequired, TypedDict

import numpy as np
from scipy.cluster.vq import kmeans2, vq

from rnnaudio.audio.arrays import Array, Audio, Codes, Features, Floats, Frames, Magnitudes
from rnnaudio.audio.scaling import LogScale, spread_magnitudes
from rnnaudio.audio.sources import HasPieces
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError
from rnnaudio.records import Record
from rnnaudio.schema import Between, Finite, NotNegative, checked

MOST_FRAMES = 30_000
N_ITERATIONS = 12
RIDGE_FRAMES = 100.0  # ridge penalty: it weighs as much as this many frames whose features have variance 1
BLOCK_FRAMES = 4096
MOST_SAMPLES = 2**24  # of a window
LEGACY_RANGE = 2**32  # number of integers that can seed a RandomState
Positive = Annotated[float, Between(1e-12, 1e12)]


class STFTEntry(TypedDict):
    """The settings of the :class:`STFT` of a saved codec."""

    window_samples: Annotated[int, Between(1, MOST_SAMPLES)]
    hop_samples: Annotated[int, Between(1, MOST_SAMPLES)]
    window: Literal["hann", "hamming", "blackman", "rectangular"]
    padding: Literal["full", "none"]
    sample_rate_hz: Annotated[int, Between(1, 2**31)] | None


class ScaleEntry(TypedDict):
    """The settings of the :class:`LogScale` of a saved codec."""

    compression: Positive
    deviation: Positive
    lost: Finite


class CodecEntry(TypedDict):
    """The record of a saved codec; see :meth:`Codec.as_record`."""

    stft: STFTEntry
    scale: ScaleEntry
    lost: Finite
    gain: NotRequired[NotNegative]


@dataclass(frozen=True, eq=False)
class Codec:
    """Codec of spectra: log-magnitudes -> principal components -> nearest centre in each stage, and the inverse.

    scale
        the features: a :class:`LogScale` with n_components.
    stages
        (n_stages, n_codes, n_features) float32, the centres: those of stage s quantise the residual of the stages
        before it (residual vector quantisation, Juang and Gray 1982). A dequantised frame is the sum of one centre per
        stage.
    neighbours
        (3 n_features + 1, n_features) float32: weights W of a linear smoother over three dequantised frames. The
        decoded features are x_t = q_t + [q_(t-1), q_t, q_(t+1), 1] W, where q_t is the sum of the centres of frame t.
        W is fitted by ridge regression to the residual after the last stage.
    lost
        share of the variance of the features, on the training frames, that is lost by encoding and decoding.
    gain
        factor by which decoded magnitudes are multiplied, so that their power over the training frames equals that of
        the recordings. It is needed because a centre averages logarithms, and the mean of logarithms is less than the
        logarithm of the mean.
    """

    scale: LogScale
    stages: Floats
    neighbours: Floats
    lost: float
    gain: float = 1.0

    @classmethod
    def fit(
        cls,
        split: HasPieces,
        stft: STFT,
        *,
        n_codes: int = 1024,
        n_stages: int = 1,
        n_components: int = 128,
        compression: float = 30.0,
        seed: int = 2016,
    ) -> "Codec":
        """Fit a codec, each stage by k-means, to about 30,000 frames spread over the (training) split.

        n_codes: centres per stage. n_components, compression: see :class:`LogScale`; a higher compression preserves
        more of the noise between notes, at the price of larger errors in loud partials and in the level. seed:
        determines the initial centres.

        RnnaudioError for sizes out of range or fewer frames than codes, and the errors of :meth:`LogScale.fit`.
        """
        for name, value, least in (("n_codes", n_codes, 2), ("n_stages", n_stages, 1)):
            if value < least:
                raise RnnaudioError(f"{name}: got {value}, expected {least} or more")
        scale = LogScale.fit(split, stft, compression=compression, n_components=n_components)
        parts, power = [], 0.0
        for magnitudes in spread_magnitudes(split, stft, MOST_FRAMES):
            parts.append(scale.scaled(magnitudes))
            power += float(np.sum(np.square(magnitudes, dtype=np.float64)))
        frames = np.concatenate(parts)
        if len(frames) < n_codes:
            raise RnnaudioError(
                f"{len(frames)} frames are too few for {n_codes} codes: give more audio or lower n_codes"
            )
        residual, stages = frames.astype(np.float64), []
        for number in range(n_stages):  # not k-means++, whose initialisation takes minutes for a thousand centres
            source = random_state(seed + number)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # an empty cluster is only an unused code
                centres, nearest = kmeans2(residual, n_codes, iter=N_ITERATIONS, minit="points", seed=source)
            stages.append(centres)
            residual = residual - centres[nearest]
        n = scale.n_features
        codec = cls(scale, np.array(stages, np.float32), np.zeros((3 * n + 1, n), np.float32), 1.0)
        codec = codec._between_neighbours(parts)
        blocks = [part[k : k + BLOCK_FRAMES] for part in parts for k in range(0, len(part), BLOCK_FRAMES)]
        decoded = sum(float(np.sum(codec.magnitudes(codec.nearest(block)) ** 2)) for block in blocks)
        return replace(codec, gain=float(np.sqrt(power / decoded)) if decoded else 1.0)

    def _between_neighbours(self, parts: Sequence[Features]) -> "Codec":
        """Return a copy of this codec with `neighbours` and `lost` fitted to training frames.

        parts: features (n, n_features) of blocks of adjoining frames.
        """
        quantised = [self.features(self.nearest(part)) for part in parts]
        residuals = [part - q for part, q in zip(parts, quantised, strict=True)]
        x = np.concatenate([_with_neighbours(_threes(q))[1:-1] for q in quantised]).astype(np.float64)
        y = np.concatenate([residual[1:-1] for residual in residuals])  # the first and last lack a neighbour
        neighbours = np.linalg.solve(x.T @ x + RIDGE_FRAMES * np.eye(x.shape[1]), x.T @ y)
        remaining, frames = (y - x @ neighbours if len(y) else np.concatenate(residuals)), np.concatenate(parts)
        lost = np.mean(remaining**2) / np.mean((frames - frames.mean(axis=0)) ** 2)
        return replace(self, neighbours=neighbours.astype(np.float32), lost=float(lost))

    def lost_of(self, split: HasPieces) -> float:
        """Compute the share of the variance of a split's features that is lost by encoding and decoding.

        About 30,000 frames, spread over the split, are used. The result is 1 if the features are constant.
        """
        remaining, frames = [], []
        for magnitudes in spread_magnitudes(split, self.stft, MOST_FRAMES):
            features = self.scale.scaled(magnitudes)
            quantised = _threes(self.features(self.nearest(features)))
            decoded = quantised[:, 1] + _with_neighbours(quantised) @ self.neighbours
            remaining.append((features - decoded)[1:-1])  # the first and last lack a neighbour
            frames.append(features)
        variance = float(np.concatenate(frames).var(axis=0).mean())
        return float(np.mean(np.concatenate(remaining) ** 2)) / variance if variance else 1.0

    @property
    def stft(self) -> STFT:
        return self.scale.stft

    @property
    def n_stages(self) -> int:
        return len(self.stages)

    @property
    def n_codes(self) -> int:
        return self.stages.shape[1]

    @property
    def n_features(self) -> int:
        return self.stages.shape[2]

    @cached_property
    def deviations(self) -> Floats:
        """Standard deviation of each feature over the centres of the first stage, equally weighted; (n_features,)."""
        return np.asarray(self.stages[0].std(axis=0))

    def encode(self, audio: Audio) -> Codes:
        """Encode the whole frames of standardised audio: (n_samples,) -> (n_frames, n_stages) int64.

        Samples after the last whole frame are dropped. RnnaudioError for audio shorter than a frame, or NaN or
        infinite samples.
        """
        stft, hop, n = self.stft, self.stft.hop_samples, self.stft.window_samples
        if len(audio) < n:
            raise RnnaudioError(f"{len(audio)} samples hold no frame of {n}: give more audio")
        if not np.isfinite(audio).all():
            raise RnnaudioError("the audio holds NaN or infinite samples: repair it first")
        frames = np.lib.stride_tricks.sliding_window_view(np.asarray(audio), n)[::hop]
        blocks = (frames[start : start + BLOCK_FRAMES] for start in range(0, len(frames), BLOCK_FRAMES))
        return np.concatenate([self.nearest(self.scale.scaled(np.abs(stft.of_frames(block)))) for block in blocks])

    def nearest(self, features: Features) -> Codes:
        """Quantise features to the nearest centres: (n_frames, n_features) -> (n_frames, n_stages) int64 indices."""
        residual, codes = np.asarray(features, np.float32), []
        for centres in self.stages:
            codes.append(vq(residual, centres)[0])
            residual = residual - centres[codes[-1]]
        return np.stack(codes, axis=1).astype(np.int64)

    def features(self, codes: Codes) -> Features:
        """Dequantise codes to features, without smoothing: (..., n_stages) -> (..., n_features) float32.

        RnnaudioError for codes that are out of range, of a wrong shape, or not integers.
        """
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu" or codes.shape[-1:] != (self.n_stages,):
            raise RnnaudioError(
                f"got codes {codes.dtype} of shape {codes.shape}; expected whole numbers (..., {self.n_stages})"
            )
        if codes.size and not 0 <= codes.min() <= codes.max() < self.n_codes:
            raise RnnaudioError(f"codes from {codes.min()} to {codes.max()}; expected 0 to {self.n_codes - 1}")
        return np.asarray(sum(stage[codes[..., k]] for k, stage in enumerate(self.stages)))

    def magnitudes(self, codes: Codes) -> Magnitudes:
        """Decode a sequence of codes to magnitudes |X|: (n_frames, n_stages) -> (n_frames, n_bins) float64.

        Raises the errors of :meth:`features`.
        """
        return self.magnitudes_between(_threes(np.asarray(codes)))

    def magnitudes_between(self, codes: Codes) -> Magnitudes:
        """Decode the middle one of three frames to magnitudes |X|: (..., 3, n_stages) -> (..., n_bins) float64.

        Raises the errors of :meth:`features`.
        """
        quantised = self.features(codes)
        features = quantised[..., 1, :] + _with_neighbours(quantised) @ self.neighbours
        return self.gain * self.scale.magnitudes(features)

    # ---------------------------------------------------------------- saved with a run

    def as_arrays(self) -> dict[str, Floats]:
        """Return the arrays of the codec by name; with :meth:`as_record` they restore it (:meth:`from_arrays`)."""
        basis = np.empty((self.stft.n_bins, 0)) if self.scale.basis is None else self.scale.basis
        return {"mean": self.scale.mean, "basis": basis, "stages": self.stages, "neighbours": self.neighbours}

    def as_record(self) -> Record:
        """Return the settings of the codec as values that JSON can store."""
        kept = ("window_samples", "hop_samples", "window", "padding", "sample_rate_hz")
        stft = {name: getattr(self.stft, name) for name in kept}
        scale = {name: getattr(self.scale, name) for name in ("compression", "deviation", "lost")}
        return {"stft": stft, "scale": scale, "lost": self.lost, "gain": self.gain}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], record: Record) -> "Codec":
        """Restore a saved codec from the results of :meth:`as_arrays` and :meth:`as_record`.

        The array ``neighbours`` and the setting ``gain``, which older codecs lack, default to zeros and 1.
        RnnaudioError if another array or setting is missing or an array has a wrong shape.
        """
        try:
            kept = checked(record, CodecEntry, "")
            _check_shapes(arrays, kept["stft"]["window_samples"] // 2 + 1)
            basis = arrays["basis"] if arrays["basis"].shape[1] else None
            scale = LogScale(STFT(**kept["stft"]), mean=arrays["mean"], basis=basis, **kept["scale"])
            n = scale.n_features
            alone = np.zeros((3 * n + 1, n), np.float32)  # older codecs had no smoother ...
            gain = kept.get("gain", 1.0)  # ... nor a gain
            return cls(scale, arrays["stages"], arrays.get("neighbours", alone), kept["lost"], gain)
        except (LookupError, TypeError, ValueError, RnnaudioError) as error:
            raise RnnaudioError(f"this holds no codec ({error}): name a run over codes") from error


def _check_shapes(arrays: Mapping[str, Array], n_bins: int) -> None:
    """Raise RnnaudioError if an array of a saved codec has a wrong dtype or shape.

    arrays: as :meth:`Codec.as_arrays` returns them. n_bins: number of bins of the codec's transform.
    """
    n_kept = arrays["basis"].shape[-1] or n_bins
    shapes: dict[str, tuple[int | None, ...]] = {
        "mean": (n_bins,), "basis": (n_bins, None), "stages": (None, None, n_kept),
        "neighbours": (3 * n_kept + 1, n_kept),
    }  # fmt: skip
    for name, shape in shapes.items():
        if name == "neighbours" and name not in arrays:
            continue
        got = arrays[name].shape
        fits = len(got) == len(shape) and all(want in (None, size) for size, want in zip(got, shape, strict=True))
        if not fits or arrays[name].dtype.kind != "f" or (name != "basis" and 0 in got):
            raise RnnaudioError(f"{name} is {arrays[name].dtype} {got}, expected floats {shape} (None: any size)")


def _threes(frames: Array) -> Array:
    """Stack each frame with its neighbours: (n, k) -> (n, 3, k); at the ends a frame is its own neighbour."""
    padded = np.concatenate([frames[:1], frames, frames[-1:]])
    return np.stack([padded[:-2], frames, padded[2:]], axis=1)


def _with_neighbours(threes: Frames) -> Frames:
    """Concatenate three frames and a constant 1: (..., 3, n_features) -> (..., 3 n_features + 1), for the smoother."""
    flat = threes.reshape(*threes.shape[:-2], -1)
    return np.concatenate([flat, np.ones((*flat.shape[:-1], 1), flat.dtype)], axis=-1)


def random_state(seed: int) -> np.random.RandomState:
    """Make a generator for k-means from a seed below 2^64; for a seed below 2^32 it is ``RandomState(seed)``."""
    return np.random.RandomState(seed if seed < LEGACY_RANGE else [seed % LEGACY_RANGE, seed // LEGACY_RANGE])
