"""Past of each frame in a sequence of codes: the codes one, two and four beat periods before the frame.

Training and validation compute this past from whole sequences (:class:`SequencePast`); a free run computes it from the
frames of the prime and those generated so far (:class:`StreamPast`). Both give the same numbers, bit for bit.
"""

from collections.abc import Sequence
from itertools import islice
from typing import ClassVar, NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Codes, Flags, Floats, Whole
from rnnaudio.audio.beat import N_CANDIDATES, NUMBERS, PERIODS_BACK, BeatFinder, BeatStream, Pulse, pulses
from rnnaudio.data.code_batches import CodeStreams, fixed_code_windows, fixed_places
from rnnaudio.data.codec import Codec

N_LAGS = N_CANDIDATES * len(PERIODS_BACK)
N_NUMBERS = N_CANDIDATES * NUMBERS
ABSENT = -1  # the code of a frame before the beginning, or of a missing candidate
FRAMES_AT_ONCE = 1024


class Past(NamedTuple):
    """Codes at earlier beats, as inputs for predicting n frames; the beat has up to 3 candidates for its period.

    codes
        (n, candidates x 3 x n_stages) int64: the codes 1, 2 and 4 periods before each frame. They are -1 before the
        beginning of the sequence, and for a candidate that does not exist.
    beat
        (n, candidates x 3) float32: confidence and phase of each candidate, see
        :meth:`rnnaudio.audio.beat.Pulse.numbers`.
    """

    codes: Codes
    beat: Floats


class BeatReader:
    """Computation of onset strengths from the codes of a codec; ``finder`` finds the beat in onset strengths.

    The log-magnitudes of a frame, log(1 + c |X| / sqrt(n)), are a sum of table rows, one for each stage. Unlike the
    products of :meth:`LogScale.log_magnitudes`, these sums have the same bits whether one frame or many are computed.
    RnnaudioError if the codec's transform has no sample rate.
    """

    def __init__(self, codec: Codec):
        stft, scale = codec.stft, codec.scale
        self.finder = BeatFinder(stft.rate() / stft.hop_samples)
        # einsum and not a product by BLAS, whose bits may depend on the number of threads.
        spread = [s if scale.basis is None else np.einsum("kf,bf->kb", s, scale.basis) for s in codec.stages]
        self._tables = [np.asarray(scale.deviation * rows, np.float32) for rows in spread]
        self._mean = np.asarray(scale.mean, np.float32)

    def logs(self, codes: Codes) -> Floats:
        """Compute the log-magnitudes that codes stand for: (n, n_stages) -> (n, n_bins) float32, at least 0."""
        total = self._mean + self._tables[0][codes[:, 0]]
        for k, table in enumerate(self._tables[1:], 1):
            total += table[codes[:, k]]
        return np.maximum(total, np.float32(0.0), out=total)

    def strengths(self, codes: Codes) -> Floats:
        """Compute the onset strengths of a sequence of codes: (n_frames, n_stages) -> (n_frames,) float32.

        The onset strength of a frame is the sum, over bins, of the increases of the log-magnitude since the frame
        before (decreases count as 0). That of the first frame is 0.
        """
        parts, before = [], self.logs(codes[:1])
        for first in range(0, len(codes), FRAMES_AT_ONCE):
            logs = self.logs(codes[first : first + FRAMES_AT_ONCE])
            parts.append(rises(np.concatenate([before, logs])))
            before = logs[-1:]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def rises(logs: Floats) -> Floats:
    """Sum the increases of log-magnitudes from each frame to the next over bins: (n + 1, n_bins) -> (n,)."""
    rise = logs[1:] - logs[:-1]
    return np.asarray(np.maximum(rise, np.float32(0.0), out=rise).sum(axis=1))


class SequencePast:
    """Past of each frame of a whole sequence of codes, (n_frames, n_stages).

    ``pulse`` holds the candidates for the beat, one row for each search, see :func:`rnnaudio.audio.beat.pulses`.
    reader: made from the codec of the codes.
    """

    def __init__(self, codes: Codes, reader: BeatReader):
        self._codes, self._every = codes, reader.finder.every
        self.pulse = pulses(reader.strengths(codes), reader.finder)

    def rows(self, first: int, n: int) -> Past:
        """Return the past of the n frames from frame ``first`` on.

        The beat of each frame is estimated from the frames before it only.
        """
        frames = np.arange(first, first + n)
        look = frames // self._every - 1
        known = self._pulse_at(look)
        places = np.where(known.lags() > 0, frames[:, None] - known.lags(), -1)
        return Past(taken(self._codes, places), known.numbers(frames - ((look + 1) * self._every - 1)))

    def _pulse_at(self, look: Whole) -> Pulse:
        """Return the candidates for the beat that given searches have found: (n,) -> fields (n, candidates).

        look: numbers of searches, from 0; -1: before the first search, where all fields are 0.
        """
        if not len(self.pulse.period):
            return Pulse(*(np.zeros((len(look), N_CANDIDATES)) for _ in Pulse._fields))
        return Pulse(*(np.where(look[:, None] < 0, 0.0, field) for field in self.pulse.at(np.maximum(look, 0))))


def taken(codes: Codes, places: Whole) -> Codes:
    """Take the codes at given places: codes (n_frames, n_stages), places (n, n_lags) -> (n, n_lags * n_stages) int64.

    places: indices of frames; those below 0 give codes of -1.
    """
    found = np.where(places[..., None] < 0, ABSENT, codes[np.maximum(places, 0)])
    return np.asarray(found.reshape(len(places), -1), np.int64)


class StreamPast:
    """Past of the next frame of a stream: :meth:`push` each frame of codes, then call :meth:`next`."""

    def __init__(self, reader: BeatReader):
        self._reader, self._stream = reader, BeatStream(reader.finder)
        self._most = max(PERIODS_BACK) * (reader.finder.lags[1] + 1)
        self._codes: list[Codes] = []
        self._logs: Floats | None = None

    @property
    def pulse(self) -> Pulse:
        return self._stream.pulse

    def push(self, codes: Codes) -> None:
        """Add the next frame of codes, (n_stages,)."""
        logs = self._reader.logs(codes[None])
        before = logs if self._logs is None else self._logs
        self._stream.push(float(rises(np.concatenate([before, logs]))[0]))
        self._logs = logs
        self._codes = [*self._codes[-self._most :], codes]

    def next(self) -> Past:
        """Return the past of the frame that comes next, after those pushed; n is 1 in :class:`Past`.

        At least one frame must have been pushed.
        """
        kept, pulse = len(self._codes), self._stream.pulse
        lags = pulse.lags()
        places = np.where(lags > 0, kept - lags, -1)
        return Past(taken(np.stack(self._codes), places[None]), pulse.numbers(np.asarray(self._stream.ahead))[None])


class PastBatch(NamedTuple):
    """A batch of windows of codes, and the past of the frames to predict.

    codes, resets
        see :class:`CodeBatch`, with one frame of context.
    past, beat
        the fields ``codes`` and ``beat`` of :class:`Past`, (n_steps, batch_size, numbers per frame) each.
    """

    codes: Codes
    past: Codes
    beat: Floats
    resets: Flags


class PastStreams:
    """Batches of :class:`CodeStreams`, with the past of the frames to predict.

    The past may lie before the beginning of a window. streams: its windows must have one frame of context. pasts: the
    past of each sequence in ``streams.usable``, in the same order.
    """

    carries_state: ClassVar[bool] = True

    def __init__(self, streams: CodeStreams, pasts: Sequence[SequencePast]):
        self._streams, self._pasts = streams, pasts

    @property
    def batches_per_epoch(self) -> int:
        return self._streams.batches_per_epoch

    def batch(self, index: int) -> PastBatch:
        """Return batch number ``index``, see :meth:`CodeStreams.batch`."""
        return self.part(index, slice(None))

    def part(self, index: int, rows: slice) -> PastBatch:
        """Return the items ``rows`` of batch ``index``, for one of several processes that share each batch."""
        windows, resets = self._streams.windows(index, rows)
        pasts = [self._pasts[k].rows(start + 1, self._streams.n_steps) for k, start in windows]
        return _joined(self._streams.codes_of(windows), pasts, resets)


def fixed_past_windows(
    sequences: tuple[Codes, ...], n_steps: int, batch_size: int, reader: BeatReader
) -> list[PastBatch]:
    """Make the batches of :func:`fixed_code_windows`, with the past of the frames to predict.

    The windows have one frame of context. Raises the errors of :func:`fixed_code_windows`.
    """
    batches = fixed_code_windows(sequences, n_steps, batch_size)
    pasts = [SequencePast(sequence, reader) for sequence in sequences]
    rows = iter([pasts[k].rows(start + 1, n_steps) for k, start in fixed_places(sequences, n_steps)])
    return [_joined(batch.codes, list(islice(rows, len(batch.resets))), batch.resets) for batch in batches]


def _joined(codes: Codes, pasts: Sequence[Past], resets: Flags) -> PastBatch:
    past, beat = (np.stack(field, axis=1) for field in zip(*pasts, strict=True))
    return PastBatch(codes, past, beat, resets)
