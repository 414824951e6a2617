"""The past of codes by the beat: onset strengths against the codec, frames against loops, streams against pieces."""

from dataclasses import replace

import numpy as np
import pytest

from rnnaudio.audio.beat import pulses
from rnnaudio.audio.stft import STFT
from rnnaudio.data.code_batches import CodeStreams, fixed_code_windows
from rnnaudio.data.code_past import (
    BeatReader,
    PastStreams,
    SequencePast,
    StreamPast,
    fixed_past_windows,
    rises,
)
from rnnaudio.errors import RnnaudioError
from tests.support.codes import beating, tiny_codec

CODEC = tiny_codec()
READER = BeatReader(CODEC)


def music(n=400, seed=0):
    return np.concatenate([beating(CODEC, n // 2, 16, seed), beating(CODEC, n - n // 2, 21, seed + 1)])


def test_onset_strengths_are_rises_of_the_codecs_log_magnitudes():
    codes = music(1500)  # more than are computed at once
    logs = CODEC.scale.log_magnitudes(CODEC.features(codes))
    expected = np.concatenate([[0.0], np.maximum(np.diff(logs, axis=0), 0.0).sum(axis=1)])
    np.testing.assert_allclose(READER.strengths(codes), expected, rtol=1e-4, atol=1e-3 * expected.max())
    assert (READER.strengths(codes)[READER.finder.every :: 16][:4] >= 0.0).all()


def test_a_codec_without_components_has_strengths_too():
    n = CODEC.stft.n_bins
    scale = replace(CODEC.scale, basis=None)
    stages = np.random.default_rng(3).normal(size=(2, 12, n)).astype(np.float32)
    codec = replace(CODEC, scale=scale, stages=stages, neighbours=np.zeros((3 * n + 1, n), np.float32))
    codes = music(50)
    logs = codec.scale.log_magnitudes(codec.features(codes))
    expected = np.concatenate([[0.0], np.maximum(np.diff(logs, axis=0), 0.0).sum(axis=1)])
    np.testing.assert_allclose(BeatReader(codec).strengths(codes), expected, rtol=1e-4)


def test_a_codec_without_a_rate_is_refused():
    stft = STFT(CODEC.stft.window_samples, CODEC.stft.hop_samples, padding="none")
    with pytest.raises(RnnaudioError, match="sample rate"):
        BeatReader(replace(CODEC, scale=replace(CODEC.scale, stft=stft)))


def test_one_frame_has_the_bits_of_many():
    codes = music(40)
    logs = READER.logs(codes)
    one_by_one = np.concatenate([READER.logs(frame[None]) for frame in codes])
    assert logs.tobytes() == one_by_one.tobytes()
    many, few = rises(logs), [rises(logs[k : k + 2])[0] for k in range(len(logs) - 1)]
    assert many.tobytes() == np.array(few).tobytes()
    assert (READER.strengths(codes[:0]) == np.zeros(0)).all()


def by_loops(codes, t):
    """The past of frame t, from the frames before it alone: codes of each candidate and distance, and numbers."""
    finder = READER.finder
    end = t // finder.every * finder.every
    frames = np.full((3, 3, codes.shape[1]), -1)
    if not end:
        return frames.ravel(), np.zeros(9)
    pulse = finder.pulse(READER.strengths(codes[:end]))
    numbers = np.zeros((3, 3))
    for j in range(3):
        if not pulse.confidence[j]:
            continue
        for m, periods in enumerate((1, 2, 4)):
            place = t - round(periods * pulse.period[j])
            if place >= 0:
                frames[j, m] = codes[place]
        turn = 2 * np.pi * (pulse.since[j] + t - (end - 1)) / pulse.period[j]
        numbers[j] = pulse.confidence[j] * np.array([1.0, np.cos(turn), np.sin(turn)])
    return frames.ravel(), numbers.ravel()


def test_frames_of_the_past_are_those_of_loops():
    codes = music()
    past = SequencePast(codes, READER).rows(0, len(codes))
    assert past.codes.dtype == np.int64 and past.beat.dtype == np.float32
    for t in range(0, len(codes), 7):
        frames, numbers = by_loops(codes, t)
        np.testing.assert_array_equal(past.codes[t], frames)
        np.testing.assert_allclose(past.beat[t], numbers, atol=1e-6)
    assert (past.codes[300:] >= 0).any() and (past.beat[300:, 0] > 0.3).all()  # there is a beat to speak of


def test_a_loud_frame_is_predicted_by_those_a_period_before():
    """Where the beat is known, what stood a period before a beat is a beat."""
    codes = beating(CODEC, 400, 16)
    past = SequencePast(codes, READER).rows(320, 48)
    first = past.codes.reshape(48, 3, 3, 2)[:, 0, 0, 0]
    np.testing.assert_array_equal(first == 11, codes[320:368, 0] == 11)
    phase = np.arctan2(past.beat[:, 2], past.beat[:, 1]) / (2 * np.pi)
    on_beats = phase[codes[320:368, 0] == 11]
    assert (np.abs(on_beats) < 0.1).all()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 400])
def test_a_stream_is_the_whole_sequence_to_the_last_bit(n):
    codes = music()[:n]
    stream, whole = StreamPast(READER), SequencePast(np.concatenate([codes, codes[:1]]), READER)
    for t, frame in enumerate(codes, 1):
        stream.push(frame)
        for got, expected in zip(stream.next(), whole.rows(t, 1), strict=True):
            assert got.dtype == expected.dtype and got.tobytes() == expected.tobytes()


def test_a_long_stream_forgets_nothing_that_it_needs():
    """More frames than are kept: 12.4 s, four of the longest periods."""
    codes = np.concatenate([beating(CODEC, 500, 95), music(300)])
    stream, whole = StreamPast(READER), SequencePast(codes, READER)
    for t, frame in enumerate(codes[:-1], 1):
        stream.push(frame)
        if t % 50 == 0:
            assert stream.next().codes.tobytes() == whole.rows(t, 1).codes.tobytes()


def test_a_later_frame_changes_nothing_before_it():
    codes = music()
    before = SequencePast(codes, READER).rows(0, len(codes))
    for changed in (90, 200, 355):
        other = codes.copy()
        other[changed:] = np.random.default_rng(changed).integers(0, 12, size=other[changed:].shape)
        after = SequencePast(other, READER).rows(0, len(codes))
        for a, b in zip(before, after, strict=True):
            assert a[: changed + 1].tobytes() == b[: changed + 1].tobytes()  # frame ``changed`` itself is predicted
        assert (before.codes[changed + 1 :] != after.codes[changed + 1 :]).any()


def test_batches_hold_the_past_of_each_window_from_before_its_beginning():
    sequences = (music(130), music(75, 5))
    streams = CodeStreams(sequences, n_steps=10, batch_size=3, seed=4)
    batches = PastStreams(streams, [SequencePast(s, READER) for s in sequences])
    assert batches.batches_per_epoch == streams.batches_per_epoch and batches.carries_state
    for index in range(2 * streams.batches_per_epoch):
        batch, plain = batches.batch(index), streams.batch(index)
        np.testing.assert_array_equal(batch.codes, plain.codes)
        np.testing.assert_array_equal(batch.resets, plain.resets)
        windows, _ = streams.windows(index, slice(None))
        for b, (k, start) in enumerate(windows):
            for t in (0, 9):
                frames, numbers = by_loops(sequences[k], start + 1 + t)
                np.testing.assert_array_equal(batch.past[t, b], frames)
                np.testing.assert_allclose(batch.beat[t, b], numbers, atol=1e-6)


def test_validation_windows_know_the_piece_before_them():
    sequences = (music(60), music(8), music(41, 5))
    windows = fixed_past_windows(sequences, 10, 4, READER)
    plain = fixed_code_windows(sequences, 10, 4)
    assert len(windows) == len(plain)
    for batch, expected in zip(windows, plain, strict=True):
        np.testing.assert_array_equal(batch.codes, expected.codes)
        assert batch.past.shape == (10, len(batch.resets), 18) and batch.resets.all()
    places = [(k, start) for k in (0, 2) for start in range(0, len(sequences[k]) - 10, 10)]
    columns = np.concatenate([batch.past for batch in windows], axis=1)
    for b, (k, start) in enumerate(places):
        np.testing.assert_array_equal(columns[3, b], by_loops(sequences[k], start + 4)[0])
    with pytest.raises(RnnaudioError, match="lower n_steps"):
        fixed_past_windows((music(8),), 10, 4, READER)


def test_the_beat_is_that_of_the_strengths():
    codes = music()
    found, expected = SequencePast(codes, READER).pulse, pulses(READER.strengths(codes), READER.finder)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True))
