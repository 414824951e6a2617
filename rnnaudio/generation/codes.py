"""Free run of a model of codes: a frame at a time, many streams at once, as sound without waiting for the end."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.phase import OnlineGriffinLim, PhasedFrame, PhaseGradient
from rnnaudio.audio.stft import STFT
from rnnaudio.data.codec import Codec
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import Sampling
from rnnaudio.generation.stepper import Stepper
from rnnaudio.kernels import threads
from rnnaudio.nn.code_model import CodeModel


class CodePlayer:
    """Streams of codes that go on for ever: iterate, or :meth:`frames` for so many.

    seeds
        (n_streams, n_frames, n_stages): true codes, all but the last heard at once.
    detail_temperature
        of the stages after the first, which say how a frame sounds, not which one it is; None: as the first.
    seed
        with a stream's number it decides what the stream draws, whatever the others and the threads do.

    ``sampling`` may be changed between frames.
    """

    def __init__(
        self,
        model: CodeModel,
        codec: Codec,
        seeds: np.ndarray,
        sampling: Sampling,
        *,
        detail_temperature: float | None = None,
        seed: int = 0,
    ):
        seeds = np.asarray(seeds)
        if seeds.ndim != 3 or not seeds.shape[0] or not seeds.shape[1]:
            raise RnnaudioError(f"got seeds of shape {seeds.shape}; expected (streams, frames, stages), one at least")
        codec.features(seeds)  # refuses codes that there are not
        self._centres = [centre.get_value() for centre in model.centres]
        self._body = Stepper(model.body).streams(len(seeds))
        self._heads = [Stepper(head).streams(len(seeds)) for head in model.heads]
        self.sampling, self._detail = sampling, detail_temperature
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
        x, sampling = hidden, self.sampling
        for k, head in enumerate(self._heads):
            if k:
                sampling = replace(self.sampling, temperature=self._detail or self.sampling.temperature)
                heard = sum(e[codes[:, j]] for j, e in enumerate(self._centres[:k]))
                x = np.concatenate([hidden, heard], axis=1).astype(hidden.dtype)
            codes[:, k] = sampling.draw(head(x), uniform[:, k])
        self._last = codes
        return codes

    def frames(self, n_frames: int) -> np.ndarray:
        """(n_streams, n_frames, n_stages): so many frames more."""
        if n_frames < 1:
            raise RnnaudioError(f"asked for {n_frames} frames; expected 1 or more")
        return np.stack([next(self) for _ in range(n_frames)], axis=1)


class SoundStream:
    """Codes as sound, (hop,) standardised samples a frame, a few frames late.

    Phases are read off the magnitudes (:class:`PhaseGradient`), then mended together (:class:`OnlineGriffinLim`).

    heard
        the sound before, standardised: its last frames go first, with their own phases, so that what follows goes on
        from them without a seam. The samples given out begin after it.
    """

    def __init__(self, codec: Codec, heard: np.ndarray | None = None, *, look_ahead: int = 2, n_iterations: int = 2):
        self._codec, stft = codec, codec.stft
        self._phases = PhaseGradient(stft)
        self._mended = OnlineGriffinLim(stft, look_ahead=look_ahead, n_iterations=n_iterations)
        self._to_drop = 0
        self._codes: deque[np.ndarray] = deque(maxlen=3)
        if heard is None:
            return
        self._codes.append(codec.encode(heard[-stft.window_samples :])[-1])
        frames = ending_frames(heard, stft)[-(stft.window_samples // stft.hop_samples + look_ahead) :]
        self._to_drop = (len(frames) - 1) * stft.hop_samples + stft.window_samples - stft.offset
        for spectrum in stft.of_frames(frames):
            self._sounded(self._phases.push(np.abs(spectrum), np.angle(spectrum)))

    def push(self, codes: np.ndarray) -> np.ndarray:
        """The next frame, (n_stages,); the samples that are settled by it, float32."""
        self._codes.extend([codes] if self._codes else [codes, codes])
        return self._told() if len(self._codes) == 3 else np.empty(0, np.float32)

    def flush(self) -> np.ndarray:
        """All that is left; the stream is over."""
        parts = []
        if len(self._codes) > 1:
            self._codes.append(self._codes[-1])
            parts.append(self._told())
        return np.concatenate([*parts, self._sounded(self._phases.flush()), self._given(self._mended.flush())])

    def _told(self) -> np.ndarray:
        return self._sounded(self._phases.push(self._codec.magnitudes_between(np.stack(self._codes))))

    def _sounded(self, frames: list[PhasedFrame]) -> np.ndarray:
        parts = [self._given(self._mended.push(frame.magnitudes, frame.phases)) for frame in frames]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _given(self, samples: np.ndarray) -> np.ndarray:
        given, self._to_drop = samples[self._to_drop :], max(0, self._to_drop - len(samples))
        return given.astype(np.float32)


def ending_frames(audio: np.ndarray, stft: STFT) -> np.ndarray:
    """All whole frames (n_frames, window) of a sound, the last ending with it: what is left over is at its start.

    RnnaudioError if it holds none.
    """
    if len(audio) < stft.window_samples:
        raise RnnaudioError(f"{len(audio)} samples hold no frame of {stft.window_samples}: give more sound")
    start = (len(audio) - stft.window_samples) % stft.hop_samples
    return np.lib.stride_tricks.sliding_window_view(audio[start:], stft.window_samples)[:: stft.hop_samples]


def sound(codec: Codec, codes: np.ndarray) -> np.ndarray:
    """(n_frames, n_stages) -> standardised samples, float32, through a :class:`SoundStream`."""
    stream = SoundStream(codec)
    return np.concatenate([*(stream.push(frame) for frame in codes), stream.flush()])


class Block(NamedTuple):
    """A part of what is played: codes (n_streams, n_frames, n_stages), audio (n_streams, n) standardised, float32;
    the sound comes later than its codes."""

    codes: np.ndarray
    audio: np.ndarray


def played_on(
    model: CodeModel,
    codec: Codec,
    seeds: np.ndarray,
    n_samples: int,
    sampling: Callable[[float], Sampling],
    *,
    detail_temperature: float | None = None,
    seed: int = 0,
    n_at_once: int = 32,
) -> Iterator[Block]:
    """Sound (n_streams, n) standardised that is continued by n_samples, in blocks of ``n_at_once`` frames.

    sampling
        of the share of the length that is done, 0 to 1 (:class:`rnnaudio.generation.sampling.Course`).
    detail_temperature, seed
        as :class:`CodePlayer` takes them.

    RnnaudioError: seeds that hold no frame, NaN, no samples asked for.
    """
    if n_samples < 1:
        raise RnnaudioError(f"asked for {n_samples} samples; expected 1 or more")
    stft = codec.stft
    streams = [SoundStream(codec, heard) for heard in seeds]
    codes = np.stack([codec.encode(heard[(len(heard) - stft.window_samples) % stft.hop_samples :]) for heard in seeds])
    player = CodePlayer(model, codec, codes, sampling(0.0), detail_temperature=detail_temperature, seed=seed)
    n_done, n_drawn = 0, 0
    while n_done < n_samples:
        frames = []
        for _ in range(n_at_once):
            player.sampling = sampling(min(1.0, n_drawn * stft.hop_samples / n_samples))
            frames.append(next(player))
            n_drawn += 1
        block = np.stack(frames, axis=1)
        parts: list[np.ndarray] = [np.empty(0)] * len(streams)

        def speak(k: int, block: np.ndarray = block, parts: list[np.ndarray] = parts) -> None:
            parts[k] = np.concatenate([streams[k].push(frame) for frame in block[k]])

        threads.run(speak, [(k,) for k in range(len(streams))])
        audio = np.stack(parts)[:, : n_samples - n_done]
        n_done += audio.shape[1]
        yield Block(block, audio)
