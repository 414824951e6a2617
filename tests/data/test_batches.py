"""Batches: ramps as oracle, in which every sample tells its piece and place, so that each window can be read off."""

import gc
import tracemalloc
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.data.batches import (
    MAX_FIXED_SAMPLES,
    ConsecutiveWindows,
    FrameOffsets,
    RandomRuns,
    RandomWindows,
    ShiftedWindows,
    fixed_windows,
)
from rnnaudio.data.code_batches import CodeStreams
from rnnaudio.data.corpus import ArrayPiece, AudioCorpus, Split
from rnnaudio.data.corpus_build import Recording, build_corpus
from rnnaudio.data.images import ImageBatches
from rnnaudio.data.minibatches import Minibatches
from rnnaudio.data.patches import PatchBatches
from rnnaudio.data.phase_batches import PhaseBatches
from rnnaudio.errors import RnnaudioError
from tests.support.pieces import LENGTHS, PIECE, SIZES, ramps

ALL = (RandomWindows, ShiftedWindows, FrameOffsets, ConsecutiveWindows)


def test_state_is_carried_where_a_batch_goes_on_from_the_last_and_nowhere_else():
    for kind in (ConsecutiveWindows, CodeStreams, RandomRuns):
        assert kind.carries_state, kind
    for kind in (RandomWindows, ShiftedWindows, FrameOffsets, Minibatches, ImageBatches, PatchBatches, PhaseBatches):
        assert not kind.carries_state, kind


def places(batch) -> tuple[np.ndarray, np.ndarray]:
    """(piece, start) of each item, after a check that its frames are adjoining samples of that piece."""
    n_frames, n_items, frame_size = batch.frames.shape
    assert batch.frames.dtype == np.float32 and batch.frames.flags.c_contiguous
    assert batch.resets.shape == (n_items,) and batch.resets.dtype == bool
    first = batch.frames[0, :, 0]
    expected = first[None, :, None] + np.arange(n_frames * frame_size).reshape(n_frames, 1, frame_size)
    assert np.array_equal(batch.frames, expected)
    return (first // PIECE).astype(int), (first % PIECE).astype(int)


@pytest.mark.parametrize("kind", ALL)
@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    frame_size=st.integers(1, 12),
    n_steps=st.integers(1, 6),
    batch_size=st.integers(1, 7),
    seed=st.integers(0, 5),
    index=st.integers(0, 300),
)
@settings(max_examples=60, deadline=None)
def test_windows_are_adjoining_samples_of_one_piece(kind, lengths, frame_size, n_steps, batch_size, seed, index):
    window = (n_steps + 1) * frame_size
    span = window + batch_size - 1 if kind is ShiftedWindows else window
    sizes = {"frame_size": frame_size, "n_steps": n_steps, "batch_size": batch_size, "seed": seed}
    if max(lengths) < span:
        with pytest.raises(RnnaudioError, match=f"longest piece has {max(lengths)}: lower"):
            kind(ramps(lengths), **sizes)
        return
    batches = kind(ramps(lengths), **sizes)
    assert batches.batches_per_epoch >= 1
    batch = batches.batch(index)
    assert batch.frames.shape == (n_steps + 1, batch_size, frame_size)
    pieces, starts = places(batch)
    assert all(start + window <= lengths[piece] for piece, start in zip(pieces, starts, strict=True))
    again = kind(ramps(lengths), **sizes).batch(index)  # of another object: nothing is remembered
    assert np.array_equal(batch.frames, again.frames) and np.array_equal(batch.resets, again.resets)


@pytest.mark.parametrize("kind", ALL)
def test_batches_do_not_depend_on_what_was_asked_before_but_on_seed_and_index(kind):
    batches = kind(ramps(), seed=3, **SIZES)
    in_order = [batches.batch(index).frames for index in range(60)]
    for index in (59, 7, 0, 31):
        assert np.array_equal(batches.batch(index).frames, in_order[index])
    assert len({frames.tobytes() for frames in in_order}) == 60
    other_seed = kind(ramps(), seed=4, **SIZES)
    assert any(not np.array_equal(other_seed.batch(index).frames, in_order[index]) for index in range(3))


@pytest.mark.parametrize("kind", ALL)
def test_an_epoch_is_one_sets_worth_of_samples(kind):
    batches = kind(ramps(), seed=0, **SIZES)
    n_samples = sum(n for n in LENGTHS if n >= 40)
    assert batches.batches_per_epoch * 6 * 4 * 8 == pytest.approx(n_samples, rel=0.1)
    assert batches.carries_state == (kind is ConsecutiveWindows)


def test_random_windows_begin_anywhere_with_equal_chance():
    split = ramps((45, 30, 43))  # a window of 40 may begin at 6, no and 4 places
    batches = RandomWindows(split, frame_size=8, n_steps=4, batch_size=1000, seed=0)
    found = [place for index in range(20) for place in zip(*places(batches.batch(index)), strict=True)]
    counts = {place: found.count(place) for place in set(found)}
    assert set(counts) == {(0, start) for start in range(6)} | {(2, start) for start in range(4)}
    # chi squared with 9 degrees of freedom stays below 27.9 in 99.9 % of cases
    assert sum((count - 2000) ** 2 / 2000 for count in counts.values()) < 27.9
    assert batches.batch(0).resets.all()


def test_shifted_windows_move_by_one_sample_an_item():
    batches = ShiftedWindows(ramps(), seed=1, **SIZES)
    first_places = set()
    for index in range(200):
        pieces, starts = places(batches.batch(index))
        assert len(set(pieces)) == 1 and np.array_equal(starts, starts[0] + np.arange(6))
        first_places.add((pieces[0], starts[0]))
    assert len(first_places) > 150 and {piece for piece, _ in first_places} >= {0, 2, 4}
    assert batches.batch(0).resets.all()


def test_frame_offsets_show_every_window_once_an_epoch_at_ten_tenths_of_a_frame():
    lengths, hop, window = (900, 60, 1700), 80, 100  # frames of 20 samples, 4 steps
    batches = FrameOffsets(ramps(lengths), frame_size=20, n_steps=4, batch_size=6, seed=0)
    n_epoch = batches.batches_per_epoch
    for epoch in range(11):
        offset = 2 * (epoch % 10)
        expected = {(piece, start) for piece, n in enumerate(lengths) for start in range(offset, n - window + 1, hop)}
        shown = [
            place
            for step in range(n_epoch)
            for place in zip(*places(batches.batch(epoch * n_epoch + step)), strict=True)
        ]
        assert set(shown) == expected
        assert len(set(shown[: len(expected)])) == len(expected)  # the rest fills up the last batch
        assert shown != sorted(shown)
    assert batches.batch(0).resets.all()


def test_frame_offsets_keep_pieces_without_room_to_spare():
    batches = FrameOffsets(ramps((100, 103)), frame_size=20, n_steps=4, batch_size=2, seed=0)
    for epoch in range(10):
        pieces, starts = places(batches.batch(epoch))
        assert dict(zip(pieces, starts, strict=True)) == {0: 0, 1: min(2 * epoch, 3)}


def test_consecutive_windows_adjoin_unless_reset():
    batches = ConsecutiveWindows(ramps(), seed=0, **SIZES)
    n_epoch = batches.batches_per_epoch
    n_carried = n_entered = 0
    for index in range(1, 4 * n_epoch):
        before, now = batches.batch(index - 1), batches.batch(index)
        _, starts = places(now)
        for item in range(6):
            if now.resets[item]:
                entered = index % n_epoch != 0
                n_entered += entered
                # a piece is entered in its first window's length, and the piece before was used up
                assert not entered or starts[item] < 32
                piece, start = (values[item] for values in places(before))
                assert not entered or start + 32 + 40 > LENGTHS[piece]
            else:
                n_carried += 1
                assert np.array_equal(now.frames[0, item], before.frames[-1, item])
        if index % n_epoch == 0:
            assert now.resets.all()
    assert n_carried > 10 * n_entered > 0


def test_consecutive_streams_walk_the_pieces_in_order_and_cover_the_set_with_new_phases_each_epoch():
    batches = ConsecutiveWindows(ramps(), seed=0, **SIZES)
    n_epoch = batches.batches_per_epoch
    next_piece = {0: 2, 2: 3, 3: 4, 4: 0}  # piece 1 is shorter than a window
    phases = set()
    for epoch in range(3):
        walk = [places(batches.batch(epoch * n_epoch + step)) for step in range(n_epoch)]
        covered = [np.zeros(n, bool) for n in LENGTHS]
        for item in range(6):
            route = [(pieces[item], starts[item]) for pieces, starts in walk]
            for (piece, start), (piece_after, start_after) in pairwise(route):
                assert (piece_after, start_after) == (piece, start + 32) or piece_after == next_piece[piece]
            for piece, start in route:
                covered[piece][start : start + 40] = True
            phases.add((epoch, route[0][1] % 32))
        assert sum(part.sum() for part in covered) > 0.8 * sum(LENGTHS)
    assert len(phases) > 12


def test_fixed_windows_are_the_same_at_each_call_and_spread_evenly():
    batches = fixed_windows(ramps(), **SIZES)
    again = fixed_windows(ramps(), **SIZES)
    assert len(batches) == sum(n for n in LENGTHS if n >= 40) // (6 * 32)
    assert all(np.array_equal(one.frames, other.frames) for one, other in zip(batches, again, strict=True))
    found = sorted(place for batch in batches for place in zip(*places(batch), strict=True))
    allowed = [(piece, start) for piece, n in enumerate(LENGTHS) for start in range(n - 40 + 1)]
    ranks = np.array([allowed.index(place) for place in found])
    assert np.ptp(np.diff(ranks)) <= 1 and abs(ranks[0] - (len(allowed) - 1 - ranks[-1])) <= 1
    assert all(batch.resets.all() for batch in batches)


def test_fixed_windows_of_a_long_split_fit_in_memory():
    long_piece = SimpleNamespace(n_samples=10**9, read=lambda start, stop: np.zeros(stop - start, np.float32))
    batches = fixed_windows(SimpleNamespace(pieces=(long_piece,)), frame_size=200, n_steps=32, batch_size=64)
    assert 0.9 * MAX_FIXED_SAMPLES < sum(batch.frames.size for batch in batches) <= MAX_FIXED_SAMPLES


def test_fixed_windows_of_a_split_of_a_single_window():
    (batch,) = fixed_windows(ramps((40,)), **SIZES)
    assert places(batch)[1].tolist() == [0] * 6


@pytest.mark.parametrize("kind", ALL)
def test_a_silent_piece_gives_silent_windows(kind):
    silent = Split("train", (ArrayPiece(np.zeros(900, np.float32)),), 100)
    batches = [kind(silent, seed=0, **SIZES).batch(index) for index in range(3)] + fixed_windows(silent, **SIZES)
    assert all(batch.frames.shape == (5, 6, 8) and not batch.frames.any() for batch in batches)


@pytest.mark.parametrize("kind", ALL)
def test_what_is_too_long_is_refused_with_the_longest_piece_and_what_to_lower(kind):
    with pytest.raises(RnnaudioError, match="frame_size is 101 samples, but the longest piece has 100: lower"):
        kind(ramps((100, 50)), frame_size=101, n_steps=1, batch_size=1, seed=0)
    with pytest.raises(RnnaudioError, match=r"needs 100 .* \(9 \+ 1 frames of 10\).* has 99: lower n_steps"):
        kind(ramps((99, 50)), frame_size=10, n_steps=9, batch_size=1, seed=0)
    with pytest.raises(RnnaudioError, match="the longest piece has 0"):
        kind(ramps(()), seed=0, **SIZES)
    for wrong in ("frame_size", "n_steps", "batch_size"):
        for value in (0, -3, 1.5):
            with pytest.raises(RnnaudioError, match=f"{wrong}: got {value}"):
                kind(ramps(), seed=0, **SIZES | {wrong: value})


def test_batches_stream_from_a_corpus(tmp_path):
    """Memory for a pass over a corpus is that of some batches, far below the samples of the corpus."""
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 600_000).astype(np.float32)
    recordings = [
        Recording(str(k), "", "", split, lambda: (audio, 8000))
        for k, split in enumerate(["train"] * 8 + ["valid", "test"])
    ]
    build_corpus(recordings, tmp_path / "a.h5", sample_rate_hz=8000, progress=False, cleaning=AS_IT_IS)
    sizes = {"frame_size": 100, "n_steps": 16, "batch_size": 16}
    with AudioCorpus.open(tmp_path / "a.h5") as corpus, corpus.verified_for_training():
        caches = {piece.dataset.id.get_access_plist().get_chunk_cache()[1] for piece in corpus.pieces}
        assert caches == {0}  # bytes; tracemalloc would not see them
        standardised = corpus.standardise(np.round(audio.astype(float) * 32768) / 32768)
        for kind in ALL:
            batches = kind(corpus.train, seed=0, **sizes)
            gc.collect()
            tracemalloc.start()
            for index in range(0, batches.batches_per_epoch, 4):
                frames = batches.batch(index).frames
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 3 * frames.nbytes  # this one and the one before, each written once
            assert 8 * frames.nbytes < corpus.train.n_samples
            start = np.flatnonzero(np.abs(standardised - frames[0, 3, 0]) < 1e-6)
            assert any(np.allclose(standardised[at : at + 1700], frames[:, 3].ravel(), atol=1e-5) for at in start)
