"""Sound as whole numbers: each spectral frame by the nearest of some learnt ones, in one stage or more.

Back from numbers a frame is told by its own and its neighbours' codes: sound does not jump from centre to centre.
What a model of codes can play is at best what the codes of real music give back: the codec's own ceiling
(:attr:`Codec.lost`, and a round trip through it) belongs beside every figure.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.cluster.vq import kmeans2, vq

from rnnaudio.audio.scaling import LogScale, spread_magnitudes
from rnnaudio.audio.sources import HasPieces
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError

MOST_FRAMES = 30_000
N_ITERATIONS = 12
RIDGE_FRAMES = 100.0  # the ridge, in frames of features of mean variance 1
BLOCK_FRAMES = 4096


@dataclass(frozen=True, eq=False)
class Codec:
    """Log-magnitude frames -> principal components -> the nearest centre of each stage, and back.

    scale
        sound's magnitudes as features, :class:`LogScale` with n_components.
    stages
        (n_stages, n_codes, n_features) float32: stage s holds centres of what the stages before left over (residual
        vector quantisation, Juang and Gray 1982). A frame is the sum of its centres.
    neighbours
        (3 n_features + 1, n_features) float32: W of a frame that lies between two others,
        x_t = q_t + [q_(t-1), q_t, q_(t+1), 1] W, where q are sums of centres; W by ridge regression of what the stages
        leave over: a linear smoother of what is dequantised.
    lost
        share of the features' variance that is left over after that, on the frames it was learnt from.
    """

    scale: LogScale
    stages: np.ndarray
    neighbours: np.ndarray
    lost: float

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
        """k-means in each stage, on at most 30,000 frames spread over a split (give the training one).

        compression: of :class:`LogScale`. More keeps more of the noise between notes, but then loud partials are off
        by more, and so is the level.

        RnnaudioError: sizes below 1, fewer frames than codes, and what :meth:`LogScale.fit` refuses.
        """
        for name, value, least in (("n_codes", n_codes, 2), ("n_stages", n_stages, 1)):
            if value < least:
                raise RnnaudioError(f"{name}: got {value}, expected {least} or more")
        scale = LogScale.fit(split, stft, compression=compression, n_components=n_components)
        parts = [scale.scaled(part) for part in spread_magnitudes(split, stft, MOST_FRAMES)]
        frames = np.concatenate(parts)
        if len(frames) < n_codes:
            raise RnnaudioError(f"{len(frames)} frames are too few for {n_codes} codes: give more sound or ask less")
        left, stages = frames.astype(np.float64), []
        for number in range(n_stages):  # k-means++ would compare each centre with all before: minutes for a thousand
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a centre that is nearest to no frame: a code never said
                centres, nearest = kmeans2(left, n_codes, iter=N_ITERATIONS, minit="points", seed=seed + number)
            stages.append(centres)
            left = left - centres[nearest]
        n = scale.n_features
        codec = cls(scale, np.array(stages, np.float32), np.zeros((3 * n + 1, n), np.float32), 1.0)
        return codec._between_neighbours(parts)

    def _between_neighbours(self, parts: Sequence[np.ndarray]) -> "Codec":
        """This one with neighbours learnt from parts of adjoining frames, (n, n_features) each."""
        told = [self.features(self.nearest(part)) for part in parts]
        left = [part - q for part, q in zip(parts, told, strict=True)]
        x = np.concatenate([_with_neighbours(_threes(q))[1:-1] for q in told]).astype(np.float64)
        y = np.concatenate([rest[1:-1] for rest in left])  # not the ends, whose neighbours are elsewhere
        neighbours = np.linalg.solve(x.T @ x + RIDGE_FRAMES * np.eye(x.shape[1]), x.T @ y)
        rest, frames = (y - x @ neighbours if len(y) else np.concatenate(left)), np.concatenate(parts)
        lost = np.mean(rest**2) / np.mean((frames - frames.mean(axis=0)) ** 2)
        return replace(self, neighbours=neighbours.astype(np.float32), lost=float(lost))

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
    def deviations(self) -> np.ndarray:
        """(n_features,): of the first stage's centres, all counting the same."""
        return np.asarray(self.stages[0].std(axis=0))

    def encode(self, audio: np.ndarray) -> np.ndarray:
        """(n_samples,) standardised -> (n_frames, n_stages) int64, of whole frames; errors as :class:`STFT`."""
        stft, hop, n = self.stft, self.stft.hop_samples, self.stft.window_samples
        if len(audio) < n:
            raise RnnaudioError(f"{len(audio)} samples hold no frame of {n}: give more sound")
        if not np.isfinite(audio).all():
            raise RnnaudioError("the sound holds NaN or infinite samples: repair it first")
        frames = np.lib.stride_tricks.sliding_window_view(np.asarray(audio), n)[::hop]
        blocks = (frames[start : start + BLOCK_FRAMES] for start in range(0, len(frames), BLOCK_FRAMES))
        return np.concatenate([self.nearest(self.scale.scaled(np.abs(stft.of_frames(block)))) for block in blocks])

    def nearest(self, features: np.ndarray) -> np.ndarray:
        """(n_frames, n_features) -> (n_frames, n_stages): stage by stage the nearest to what is left."""
        left, codes = np.asarray(features, np.float32), []
        for centres in self.stages:
            codes.append(vq(left, centres)[0])
            left = left - centres[codes[-1]]
        return np.stack(codes, axis=1).astype(np.int64)

    def features(self, codes: np.ndarray) -> np.ndarray:
        """(..., n_stages) -> (..., n_features) float32; RnnaudioError for a code that there is not."""
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu" or codes.shape[-1:] != (self.n_stages,):
            raise RnnaudioError(
                f"got codes {codes.dtype} of shape {codes.shape}; expected whole numbers (..., {self.n_stages})"
            )
        if codes.size and not 0 <= codes.min() <= codes.max() < self.n_codes:
            raise RnnaudioError(f"codes from {codes.min()} to {codes.max()}; expected 0 to {self.n_codes - 1}")
        return np.asarray(sum(stage[codes[..., k]] for k, stage in enumerate(self.stages)))

    def magnitudes(self, codes: np.ndarray) -> np.ndarray:
        """Of adjoining frames: (n_frames, n_stages) -> (n_frames, n_bins) |X| float64."""
        return self.magnitudes_between(_threes(np.asarray(codes)))

    def magnitudes_between(self, codes: np.ndarray) -> np.ndarray:
        """Of frames that lie between two others: (..., 3, n_stages) -> (..., n_bins) |X| float64."""
        told = self.features(codes)
        return self.scale.magnitudes(told[..., 1, :] + _with_neighbours(told) @ self.neighbours)

    # ---------------------------------------------------------------- saved with a run

    def as_arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`from_arrays` needs beside :meth:`as_record`."""
        basis = np.empty((self.stft.n_bins, 0)) if self.scale.basis is None else self.scale.basis
        return {"mean": self.scale.mean, "basis": basis, "stages": self.stages, "neighbours": self.neighbours}

    def as_record(self) -> dict[str, Any]:
        """Settings as JSON can hold them."""
        stft = {name: getattr(self.stft, name) for name in ("window_samples", "hop_samples", "window", "padding")}
        scale = {name: getattr(self.scale, name) for name in ("compression", "deviation", "lost")}
        return {"stft": {**stft, "sample_rate_hz": self.stft.sample_rate_hz}, "scale": scale, "lost": self.lost}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> "Codec":
        """The codec that was saved; RnnaudioError if what is there is no codec."""
        try:
            basis = arrays["basis"] if arrays["basis"].shape[1] else None
            scale = LogScale(STFT(**record["stft"]), mean=arrays["mean"], basis=basis, **record["scale"])
            n = scale.n_features
            alone = np.zeros((3 * n + 1, n), np.float32)  # codecs of before told each frame by its own codes
            codec = cls(scale, arrays["stages"], arrays.get("neighbours", alone), record["lost"])
        except (KeyError, TypeError, IndexError) as error:
            raise RnnaudioError(f"this holds no codec ({error}): name a run over codes") from error
        bins, kept = scale.stft.n_bins, {"neighbours": alone} | arrays
        shapes = {"mean": (bins,), "basis": (bins, None), "stages": (None, None, n), "neighbours": (3 * n + 1, n)}
        for name, shape in shapes.items():
            got = kept[name].shape
            if len(got) != len(shape) or any(want not in (None, size) for size, want in zip(got, shape, strict=True)):
                raise RnnaudioError(f"this holds no codec: {name} is {got}, expected {shape} (None: any size)")
        return codec


def _threes(frames: np.ndarray) -> np.ndarray:
    """(n, k) -> (n, 3, k): each between its neighbours; at the ends, itself instead of what is not there."""
    padded = np.concatenate([frames[:1], frames, frames[-1:]])
    return np.stack([padded[:-2], frames, padded[2:]], axis=1)


def _with_neighbours(threes: np.ndarray) -> np.ndarray:
    """(..., 3, n_features) -> (..., 3 n_features + 1): side by side, and a one."""
    flat = threes.reshape(*threes.shape[:-2], -1)
    return np.concatenate([flat, np.ones((*flat.shape[:-1], 1), flat.dtype)], axis=-1)
