"""Free run of a model of codes: a frame at a time, many streams at once, as sound without waiting for the end."""

from collections.abc import Iterator

import numpy as np

from rnnaudio import engine
from rnnaudio.data.codec import Codec
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import Sampling
from rnnaudio.generation.stepper import Stepper
from rnnaudio.nn.code_model import CodeModel
from rnnaudio.phase import OnlineGriffinLim


class CodePlayer:
    """Streams of codes that go on for ever: iterate, or :meth:`frames` for so many.

    seeds
        (n_streams, n_frames, n_stages): true codes, all but the last heard at once.
    seed
        with a stream's number it decides what the stream draws, whatever the others and the threads do.
    """

    def __init__(self, model: CodeModel, codec: Codec, seeds: np.ndarray, sampling: Sampling, *, seed: int = 0):
        seeds = np.asarray(seeds)
        if seeds.ndim != 3 or not seeds.shape[0] or not seeds.shape[1]:
            raise RnnaudioError(f"got seeds of shape {seeds.shape}; expected (streams, frames, stages), one at least")
        codec.features(seeds)  # refuses codes that there are not
        self._centres = [centre.get_value() for centre in model.centres]
        self._body = Stepper(model.body).streams(len(seeds))
        self._heads = [Stepper(head).streams(len(seeds)) for head in model.heads]
        self._sampling = sampling
        self._sources = [np.random.default_rng((seed, k, 9)) for k in range(len(seeds))]  # 9: the purpose
        for frame in seeds.swapaxes(0, 1)[:-1]:
            self._body(self._heard(frame))
        self._last = seeds[:, -1]

    def _heard(self, codes: np.ndarray) -> np.ndarray:
        return np.asarray(sum(e[codes[:, k]] for k, e in enumerate(self._centres)), engine.float_type())

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        """(n_streams, n_stages): the next frame of every stream."""
        hidden = self._body(self._heard(self._last)).copy()
        uniform = np.array([source.random(len(self._heads)) for source in self._sources])
        codes = np.zeros((len(hidden), len(self._heads)), np.int64)
        x = hidden
        for k, head in enumerate(self._heads):
            if k:
                heard = sum(e[codes[:, j]] for j, e in enumerate(self._centres[:k]))
                x = np.concatenate([hidden, heard], axis=1).astype(hidden.dtype)
            codes[:, k] = self._sampling.draw(head(x), uniform[:, k])
        self._last = codes
        return codes

    def frames(self, n_frames: int) -> np.ndarray:
        """(n_streams, n_frames, n_stages): so many frames more."""
        if n_frames < 1:
            raise RnnaudioError(f"asked for {n_frames} frames; expected 1 or more")
        return np.stack([next(self) for _ in range(n_frames)], axis=1)


class SoundStream:
    """Codes as sound, (hop,) standardised samples a frame, a few frames late (:class:`OnlineGriffinLim`)."""

    def __init__(self, codec: Codec, *, look_ahead: int = 3, n_iterations: int = 5):
        self._codec = codec
        self._phases = OnlineGriffinLim(codec.stft, look_ahead=look_ahead, n_iterations=n_iterations)

    def push(self, codes: np.ndarray) -> np.ndarray:
        """The next frame, (n_stages,); the samples that are settled by it, float32."""
        return self._phases.push(self._codec.magnitudes(codes[None])[0]).astype(np.float32)

    def flush(self) -> np.ndarray:
        """All that is left; the stream is over."""
        return self._phases.flush().astype(np.float32)


def sound(codec: Codec, codes: np.ndarray) -> np.ndarray:
    """(n_frames, n_stages) -> standardised samples, float32, through a :class:`SoundStream`."""
    stream = SoundStream(codec)
    return np.concatenate([*(stream.push(frame) for frame in codes), stream.flush()])
