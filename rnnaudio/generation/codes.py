"""Free run of a code model: many streams in parallel, sampled and decoded to audio one frame at a time."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Audio, Codes, Features, Frames
from rnnaudio.audio.beat import Pulse
from rnnaudio.audio.phase import OnlineGriffinLim, PhasedFrame, PhaseGradient
from rnnaudio.audio.stft import STFT
from rnnaudio.data.code_past import BeatReader, Past, StreamPast
from rnnaudio.data.codec import Codec
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import Sampling
from rnnaudio.generation.stepper import Stepper
from rnnaudio.kernels import threads
from rnnaudio.nn.code_model import CodeModel


class CodePlayer:
    """Endless iterator over sampled frames of codes, (n_streams, n_stages) each; :meth:`frames` samples several.

    model
        predicts the codes of the next frame from those of the frames before it.
    codec
        the codec of the codes, used to check the primes and, for a model with long-term prediction, to find the beat.
    primes
        (n_streams, n_frames, n_stages), codes of recorded sound to prime the model on.
    sampling
        temperature, top-k and nucleus (:class:`rnnaudio.generation.sampling.Sampling`); the attribute of this name may
        be changed between frames.
    detail_temperature
        temperature of the stages after the first, which refine the sound of a frame; None: that of ``sampling``.
    seed
        random seed; the random numbers of a stream depend on the seed and the stream's index only, not on the other
        streams or the number of threads.

    RnnaudioError for primes of another shape, or with codes out of range, and for a detail temperature that is not
    positive.
    """

    def __init__(
        self,
        model: CodeModel,
        codec: Codec,
        primes: Codes,
        sampling: Sampling,
        *,
        detail_temperature: float | None = None,
        seed: int = 0,
    ):
        primes = np.asarray(primes)
        if primes.ndim != 3 or not primes.shape[0] or not primes.shape[1]:
            raise RnnaudioError(
                f"got primes of shape {primes.shape}; expected (streams, frames, stages), at least one of each"
            )
        codec.features(primes)  # RnnaudioError for codes out of range
        self._centres = [centre.get_value() for centre in model.centres]
        self._hidden = Stepper(model).streams(len(primes))
        self._n_hidden = model.body.n_out
        reader = BeatReader(codec) if model.long_term else None
        self._pasts = [StreamPast(reader) for _ in primes] if reader else []
        self._heads = [Stepper(head).streams(len(primes)) for head in model.heads]
        self.sampling, self._detail = sampling, detail_temperature
        self._detailed(sampling)
        self._sources = [np.random.default_rng((seed, k, 9)) for k in range(len(primes))]  # 9: this use of the seed
        for frame in primes.swapaxes(0, 1)[:-1]:
            self._hidden(self._input(frame))
        self._last = primes[:, -1]

    def _embedded(self, codes: Codes) -> Features:
        """Sum of the stages' embeddings of codes (n, n_stages): (n, n_features)."""
        return np.asarray(sum(e[codes[:, k]] for k, e in enumerate(self._centres)), engine.float_type())

    def _input(self, codes: Codes) -> Features:
        """Compute the model's input from the latest codes (n_streams, n_stages), and add these to the past."""
        if not self._pasts:
            return self._embedded(codes)
        for past, frame in zip(self._pasts, codes, strict=True):
            past.push(frame)
        known = np.stack([self._known(past.next()) for past in self._pasts])
        return np.concatenate([self._embedded(codes), known], axis=1)

    def _known(self, past: Past) -> Features:
        """Input of the long-term prediction of a stream, (n,): features of earlier frames, and the beat's numbers."""
        codes = past.codes.reshape(-1, len(self._centres))
        frames = np.where(codes[:, :1] < 0, np.zeros((), engine.float_type()), self._embedded(np.maximum(codes, 0)))
        return np.concatenate([frames.ravel(), past.beat[0].astype(frames.dtype)])

    @property
    def pulses(self) -> list[Pulse]:
        """The latest candidates for the beat of each stream; empty for a model without long-term prediction."""
        return [past.pulse for past in self._pasts]

    def __iter__(self) -> Iterator[Codes]:
        return self

    def __next__(self) -> Codes:
        """Sample the next frame of every stream, (n_streams, n_stages)."""
        hidden = self._hidden(self._input(self._last)).copy()
        uniform = np.array([source.random(len(self._heads)) for source in self._sources])
        codes = np.zeros((len(hidden), len(self._heads)), np.int64)
        x, sampling = hidden, self.sampling
        for k, head in enumerate(self._heads):
            if k:
                sampling = self._detailed(self.sampling)
                embedded = sum(e[codes[:, j]] for j, e in enumerate(self._centres[:k]))
                x = np.concatenate([hidden[:, : self._n_hidden], embedded], axis=1).astype(hidden.dtype)
            codes[:, k] = sampling.sample(head(x), uniform[:, k])
        self._last = codes
        return codes

    def _detailed(self, sampling: Sampling) -> Sampling:
        """Return the settings of the stages after the first: ``sampling`` with the detail temperature, if any.

        RnnaudioError for a temperature that is not positive.
        """
        return sampling if self._detail is None else replace(sampling, temperature=self._detail)

    def frames(self, n_frames: int) -> Codes:
        """Sample the next frames of every stream: (n_streams, n_frames, n_stages). RnnaudioError if n_frames < 1."""
        if n_frames < 1:
            raise RnnaudioError(f"got n_frames = {n_frames}; expected 1 or more")
        return np.stack([next(self) for _ in range(n_frames)], axis=1)


class SoundStream:
    """Streaming decoder from codes to standardised audio: one hop of samples per frame, with a delay of a few frames.

    Standardised audio has mean 0 and standard deviation 1 over the training split. Phases are estimated from the
    magnitudes (:class:`PhaseGradient`) and refined (:class:`OnlineGriffinLim`).

    prime
        standardised audio before the first frame, (n,). Its last frames are processed first, with their true phases,
        so that the decoded audio continues the prime without a seam; samples of the prime are not returned. None: no
        prime.
    look_ahead, n_iterations
        settings of :class:`OnlineGriffinLim`.

    RnnaudioError for a prime shorter than a window or not finite.
    """

    def __init__(self, codec: Codec, prime: Audio | None = None, *, look_ahead: int = 2, n_iterations: int = 2):
        self._codec, stft = codec, codec.stft
        self._phases = PhaseGradient(stft)
        self._refined = OnlineGriffinLim(stft, look_ahead=look_ahead, n_iterations=n_iterations)
        self._to_drop = 0
        self._codes: deque[Codes] = deque(maxlen=3)
        if prime is None:
            return
        self._codes.append(codec.encode(prime[-stft.window_samples :])[-1])
        frames = ending_frames(prime, stft)[-(stft.window_samples // stft.hop_samples + look_ahead) :]
        self._to_drop = (len(frames) - 1) * stft.hop_samples + stft.window_samples - stft.offset
        for spectrum in stft.of_frames(frames):
            self._synthesised(self._phases.push(np.abs(spectrum), np.angle(spectrum)))

    def push(self, codes: Codes) -> Audio:
        """Add the codes of the next frame, (n_stages,); return the samples that have become final, (n,) float32.

        The array is empty if no sample has become final, as for the first frame.
        """
        self._codes.extend([codes] if self._codes else [codes, codes])
        return self._decoded() if len(self._codes) == 3 else np.empty(0, np.float32)

    def flush(self) -> Audio:
        """Return the remaining samples, (n,) float32, and end the stream."""
        parts = []
        if len(self._codes) > 1:
            self._codes.append(self._codes[-1])
            parts.append(self._decoded())
        return np.concatenate([*parts, self._synthesised(self._phases.flush()), self._trimmed(self._refined.flush())])

    def _decoded(self) -> Audio:
        return self._synthesised(self._phases.push(self._codec.magnitudes_between(np.stack(self._codes))))

    def _synthesised(self, frames: list[PhasedFrame]) -> Audio:
        parts = [self._trimmed(self._refined.push(frame.magnitudes, frame.phases)) for frame in frames]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _trimmed(self, samples: Audio) -> Audio:
        """Drop the samples that belong to the prime."""
        kept, self._to_drop = samples[self._to_drop :], max(0, self._to_drop - len(samples))
        return kept.astype(np.float32)


def ending_frames(audio: Audio, stft: STFT) -> Frames:
    """Cut audio (n,) into whole frames (n_frames, window), one hop apart, the last one ending with the audio.

    A remainder at the start is left out. The frames are a view of the audio. RnnaudioError for audio shorter than a
    window.
    """
    if len(audio) < stft.window_samples:
        raise RnnaudioError(f"{len(audio)} samples hold no frame of {stft.window_samples}: give more audio")
    start = (len(audio) - stft.window_samples) % stft.hop_samples
    return np.lib.stride_tricks.sliding_window_view(audio[start:], stft.window_samples)[:: stft.hop_samples]


def decoded_audio(codec: Codec, codes: Codes) -> Audio:
    """Decode codes (n_frames, n_stages) to standardised samples, (n,) float32, through a :class:`SoundStream`."""
    stream = SoundStream(codec)
    return np.concatenate([*(stream.push(frame) for frame in codes), stream.flush()])


class Block(NamedTuple):
    """A block of generated codes (n_streams, n_frames, n_stages) and standardised audio (n_streams, n), float32.

    The audio is a few frames behind the codes, so that in the first block it is shorter than n_frames hops.
    """

    codes: Codes
    audio: Audio


def continue_audio(
    model: CodeModel,
    codec: Codec,
    primes: Audio,
    n_samples: int,
    sampling: Callable[[float], Sampling],
    *,
    detail_temperature: float | None = None,
    seed: int = 0,
    n_at_once: int = 32,
) -> Iterator[Block]:
    """Continue standardised audio by ``n_samples`` samples; yield a :class:`Block` for every ``n_at_once`` frames.

    Together the blocks hold ``n_samples`` samples of audio per stream, and codes for somewhat more.

    primes
        (n_streams, n), the audio to continue; it is not part of the result.
    sampling
        sampling settings as a function of the completed share of the length, 0 to 1, such as
        :meth:`rnnaudio.generation.sampling.SamplingSchedule.at`.
    detail_temperature, seed
        see :class:`CodePlayer`.

    RnnaudioError for primes shorter than a window or not finite, or ``n_samples`` below 1.
    """
    if n_samples < 1:
        raise RnnaudioError(f"got n_samples = {n_samples}; expected 1 or more")
    stft = codec.stft
    streams = [SoundStream(codec, prime) for prime in primes]
    codes = np.stack([codec.encode(x[(len(x) - stft.window_samples) % stft.hop_samples :]) for x in primes])
    player = CodePlayer(model, codec, codes, sampling(0.0), detail_temperature=detail_temperature, seed=seed)
    n_done, n_sampled = 0, 0
    while n_done < n_samples:
        frames = []
        for _ in range(n_at_once):
            player.sampling = sampling(min(1.0, n_sampled * stft.hop_samples / n_samples))
            frames.append(next(player))
            n_sampled += 1
        block = np.stack(frames, axis=1)
        parts: list[Audio] = [np.empty(0)] * len(streams)

        def decode(k: int, block: Codes = block, parts: list[Audio] = parts) -> None:
            parts[k] = np.concatenate([streams[k].push(frame) for frame in block[k]])

        threads.run(decode, [(k,) for k in range(len(streams))])
        audio = np.stack(parts)[:, : n_samples - n_done]
        n_done += audio.shape[1]
        yield Block(block, audio)
