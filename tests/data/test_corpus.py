"""Corpora: what goes in comes out; splits and statistics against closed forms."""

import gc
import hashlib
import tracemalloc

import h5py
import numpy as np
import pytest
import soundfile

from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.data.corpus import AudioCorpus
from rnnaudio.data.corpus_build import Recording
from rnnaudio.data.corpus_splits import Splitting, assign_splits
from rnnaudio.errors import RnnaudioError
from tests.support.corpora import RATE_HZ, build, noise, recording, texts_in


def test_pieces_come_back_standardised_with_the_moments_of_the_training_split(small):
    path, stored = small
    mean, std = np.mean(stored["train"] / 32768), np.std(stored["train"] / 32768)
    with AudioCorpus.open(path) as corpus:
        assert corpus.sample_rate_hz == RATE_HZ
        assert corpus.mean == pytest.approx(mean, rel=1e-12) and corpus.std == pytest.approx(std, rel=1e-12)
        for split in (corpus.train, corpus.valid, corpus.test):
            (piece,) = split.pieces
            assert (piece.title, piece.source, piece.licence, piece.split) == (
                split.name,
                f"source of {split.name}",
                "CC0",
                split.name,
            )
            assert piece.n_samples == split.n_samples == stored[split.name].size
            assert split.seconds == stored[split.name].size / RATE_HZ
            part = piece.read(100, 9000)
            assert part.dtype == np.float32
            np.testing.assert_allclose(part, (stored[split.name][100:9000] / 32768 - mean) / std, atol=1e-6)


def test_the_moments_are_those_of_all_training_samples_together(tmp_path):
    pieces = [noise(k, seconds) + offset for k, (seconds, offset) in enumerate([(70.5, 0.3), (2.0, -0.4), (9.1, 0.0)])]
    summary = build(
        tmp_path / "a.h5",
        [recording("v", noise(8, 1), "valid"), recording("t", noise(9, 1), "test")]
        + [recording(str(k), piece, "train") for k, piece in enumerate(pieces)],
        dtype="float32",
        cleaning=AS_IT_IS,
    )
    together = np.concatenate(pieces).astype(float)
    assert (summary.mean, summary.std) == pytest.approx((together.mean(), together.std()), rel=1e-12)
    assert [piece.rms_dbfs for piece in summary.pieces[2:]] == pytest.approx(
        [10 * np.log10(np.mean(piece.astype(float) ** 2)) for piece in pieces], rel=1e-9
    )


def test_restore_undoes_standardise(small):
    path, stored = small
    with AudioCorpus.open(path) as corpus:
        audio = (stored["valid"] / 32768).astype(np.float32)
        np.testing.assert_allclose(corpus.standardise(audio), corpus.valid.pieces[0].read(0, audio.size), atol=1e-6)
        np.testing.assert_allclose(corpus.restore(corpus.standardise(audio)), audio, atol=1e-7)


def test_the_file_states_what_it_is(small):
    path, stored = small
    with h5py.File(path) as file:
        texts = texts_in(file)
        assert {name: texts[name] for name in texts.keys() - {"mean", "std", "contents_sha256"}} == {
            "format": "rnnaudio-corpus",
            "version": 2,
            "sample_rate_hz": RATE_HZ,
            "dtype": "int16",
            "left_out": "[]",
            "notes": "[]",
        }
        for piece in file["pieces"].values():
            samples = stored[texts_in(piece)["split"]]
            assert np.array_equal(piece[:], samples)
            assert piece.chunks == (RATE_HZ,) and piece.fletcher32
            assert texts_in(piece)["sha256"] == hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


def test_float32_is_stored_exactly(tmp_path):
    audio = noise(0, 1)
    build(
        tmp_path / "a.h5",
        [recording("a", audio, "train"), recording("b", audio, "valid"), recording("c", audio, "test")],
        dtype="float32",
        cleaning=AS_IT_IS,
    )
    with h5py.File(tmp_path / "a.h5") as file:
        assert all(np.array_equal(piece[:], audio) for piece in file["pieces"].values())


def test_files_of_all_kinds_in_folders(tmp_path):
    folder = tmp_path / "music"
    (folder / "deeper").mkdir(parents=True)
    stereo = np.stack([noise(0, 1), noise(1, 1)], axis=1)
    soundfile.write(folder / "b.WAV", stereo, RATE_HZ, subtype="PCM_16")
    soundfile.write(folder / "a.flac", noise(2, 6), 6 * RATE_HZ)
    soundfile.write(folder / "deeper" / "c.ogg", noise(3, 1), RATE_HZ)
    (folder / "._b.wav").write_text("left by another system")
    (folder / "notes.txt").write_text("not audio")
    summary = build(tmp_path / "a.h5", [folder, folder / "b.WAV"], cleaning=AS_IT_IS)
    assert [piece.title for piece in summary.pieces] == ["a", "b", "c"]  # sorted; named twice, there once
    assert [piece.seconds for piece in summary.pieces] == pytest.approx([1.0, 1.0, 1.0])
    with AudioCorpus.open(tmp_path / "a.h5") as corpus:
        piece = corpus.pieces[1]
        assert piece.source.endswith("b.WAV")
        expected = soundfile.read(folder / "b.WAV")[0].mean(axis=1)
        np.testing.assert_allclose(corpus.restore(piece.read(0, RATE_HZ)), expected, atol=0.51 / 32768)


def test_summary_measures_level_clipping_and_silence(tmp_path):
    square = np.where(np.arange(RATE_HZ) % 80 < 40, 0.5, -0.5)
    half_silent = np.concatenate([square, np.zeros(RATE_HZ)])
    summary = build(
        tmp_path / "a.h5",
        [
            recording("square", square, "train"),
            recording("half", half_silent, "valid"),
            recording("clipped", np.where(np.arange(RATE_HZ) < RATE_HZ / 4, 1.0, square), "test"),
        ],
        cleaning=AS_IT_IS,
    )
    square_piece, half, clipped = summary.pieces
    assert square_piece.rms_dbfs == pytest.approx(20 * np.log10(0.5), abs=1e-6)
    assert half.rms_dbfs == pytest.approx(10 * np.log10(0.125), abs=1e-6)
    assert (square_piece.silent_share, half.silent_share) == (0.0, 0.5)
    assert (square_piece.clipped_share, clipped.clipped_share) == (0.0, 0.25)
    assert (summary.mean, summary.std) == (0.0, 0.5)
    assert (summary.seconds("train"), summary.seconds("valid")) == (1.0, 2.0)
    table = str(summary)
    assert all(word in table for word in ("square", "0:00:02.0", "-6.0", "25.000%", "50.0%", "8000 Hz"))


def test_silence_is_trimmed_and_silent_or_tiny_pieces_are_left_out_with_a_note(tmp_path):
    framed = np.concatenate([np.zeros(800), noise(0, 1), np.zeros(1600)])
    summary = build(
        tmp_path / "a.h5",
        [
            recording("a", framed),
            recording("b", noise(1, 1)),
            recording("c", noise(2, 1)),
            recording("silent", np.zeros(RATE_HZ)),
            recording("tiny", noise(4, 0.05)),
        ],
    )
    assert [piece.title for piece in summary.pieces] == ["a", "b", "c"]
    assert summary.pieces[0].seconds == 1.0
    assert [(name, reason.split(" ")[0]) for name, reason, _ in summary.left_out] == [
        ("source of silent", "silent"), ("source of tiny", "shorter"),
    ]  # fmt: skip
    assert "2 could not be used" in str(summary) and "source of tiny: shorter than 0.1 s" in str(summary)


@pytest.mark.parametrize("n_pieces", [1, 2])
def test_fewer_than_three_pieces_are_cut_in_time(tmp_path, n_pieces):
    ramps = [np.arange(1000 * (k + 1)) / 32768 + 0.1 for k in range(n_pieces)]
    summary = build(
        tmp_path / "a.h5",
        [recording(f"p{k}", ramp) for k, ramp in enumerate(ramps)],
        cleaning=AS_IT_IS,
        splitting=Splitting(fractions=(0.7, 0.2, 0.1)),
    )
    assert "cut in time" in summary.notes[0] and "cut in time" in str(summary)
    with AudioCorpus.open(tmp_path / "a.h5") as corpus:
        corpus.verify()
        for k, ramp in enumerate(ramps):
            parts = [split.pieces[k] for split in (corpus.train, corpus.valid, corpus.test)]
            assert [part.n_samples for part in parts] == [round(ramp.size * share) for share in (0.7, 0.2, 0.1)]
            joined = np.concatenate([corpus.restore(part.read(0, part.n_samples)) for part in parts])
            np.testing.assert_allclose(joined, ramp, atol=0.6 / 32768)
        assert corpus.mean == pytest.approx(
            np.mean(np.concatenate([np.round(32768 * ramp[: round(0.7 * ramp.size)]) / 32768 for ramp in ramps])),
            rel=1e-12,
        )


def test_drawn_splits_come_near_the_fractions_and_depend_on_the_seed_only():
    n_samples = np.random.default_rng(0).integers(100, 1000, 40).tolist()
    draws = [assign_splits(n_samples, [None] * 40, (0.8, 0.1, 0.1), seed) for seed in range(5)]
    assert draws == [assign_splits(n_samples, [None] * 40, (0.8, 0.1, 0.1), seed) for seed in range(5)]
    assert len({tuple(draw) for draw in draws}) == 5
    for draw in draws:
        for split, fraction in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
            share = sum(n for n, own in zip(n_samples, draw, strict=True) if own == split) / sum(n_samples)
            assert share == pytest.approx(fraction, abs=0.01)


def test_every_split_gets_a_piece_and_given_splits_are_kept():
    assert sorted(assign_splits([1000, 1, 1], [None] * 3, (0.98, 0.01, 0.01), 0)) == ["test", "train", "valid"]
    draw = assign_splits([10, 10, 10, 70], ["test", None, None, None], (0.8, 0.1, 0.1), 0)
    assert draw[0] == "test" and sorted(draw[1:]) == ["train", "train", "valid"] and draw[3] == "train"
    with pytest.raises(RnnaudioError, match="no piece is left for valid"):
        assign_splits([1, 1, 1], ["train", "train", "test"], (0.8, 0.1, 0.1), 0)


def test_seeds_are_cut_from_long_enough_pieces_at_fixed_places(tmp_path):
    ramp = np.arange(4000) / 32768 + 0.125
    build(
        tmp_path / "a.h5",
        [
            recording("t", ramp, "train"),
            recording("v", ramp, "valid"),
            recording("short", ramp[:1000], "test"),
            recording("long", ramp, "test"),
        ],
        cleaning=AS_IT_IS,
    )
    with AudioCorpus.open(tmp_path / "a.h5") as corpus:
        np.testing.assert_allclose(corpus.restore(corpus.test.first(0.25)), ramp[:2000], atol=1e-6)
        assert np.array_equal(corpus.test.first(0.1), corpus.test.pieces[0].read(0, 800))
        starts = []
        for index in range(50):
            seed = corpus.restore(corpus.test.prime_at(index, 0.25))
            starts.append(round((float(seed[0]) - 0.125) * 32768))
            np.testing.assert_allclose(seed, ramp[starts[-1] : starts[-1] + 2000], atol=1e-6)
        assert len(set(starts)) == 50
        assert set(np.histogram(starts, 5, (0, 2001))[0]) <= {9, 10, 11}
        for seconds in (0.51, 0.0, -1.0):
            with pytest.raises(RnnaudioError, match="have up to 0.500 s"):
                corpus.test.first(seconds)


def test_primes_of_several_pieces_are_found_anywhere_in_each(tmp_path):
    """Two long pieces, told apart by their level: every prime is cut from within one, and all places are covered."""
    ramps = [np.arange(2400) / 32768 + level for level in (0.125, 0.5)]
    pieces = [recording("t", ramps[0], "train"), recording("v", ramps[0], "valid")]
    pieces += [recording(str(k), ramp, "test") for k, ramp in enumerate(ramps)]
    build(tmp_path / "a.h5", pieces, cleaning=AS_IT_IS)
    starts: tuple[list[int], list[int]] = ([], [])
    with AudioCorpus.open(tmp_path / "a.h5") as corpus:
        for index in range(100):
            prime = corpus.restore(corpus.test.prime_at(index, 0.1))
            k = int(prime[0] > 0.4)
            start = round(float(prime[0] - (0.125, 0.5)[k]) * 32768)
            np.testing.assert_allclose(prime, ramps[k][start : start + 800], atol=1e-6)
            starts[k].append(start)
    for of_piece in starts:
        assert len(of_piece) == pytest.approx(50, abs=2)
        assert min(of_piece) < 60 and max(of_piece) > 1540


def test_the_same_corpus_may_be_open_twice(small):
    path, _ = small
    with AudioCorpus.open(path) as one:
        with AudioCorpus.open(path) as other:
            assert np.array_equal(one.train.first(1), other.train.first(1))
        assert one.train.first(1).size == RATE_HZ
        with pytest.raises(RnnaudioError, match="the corpus was closed"):
            other.train.first(1)


def test_reading_outside_a_piece(small):
    with AudioCorpus.open(small[0]) as corpus:
        piece = corpus.train.pieces[0]
        for start, stop in ((-1, 10), (10, 9), (0, piece.n_samples + 1)):
            with pytest.raises(IndexError):
                piece.read(start, stop)


def test_an_open_corpus_may_be_replaced(small):
    path, stored = small
    with AudioCorpus.open(path) as corpus:
        build(path, [recording(split, noise(9, 1), split) for split in stored])
        corpus.verify()
        assert corpus.test.n_samples == stored["test"].size


def test_building_keeps_one_piece_in_memory(tmp_path):
    n_pieces, seconds = 12, 60
    piece_bytes = 4 * seconds * RATE_HZ
    recordings = [Recording(str(k), "", "", None, lambda k=k: (noise(k, seconds), RATE_HZ)) for k in range(n_pieces)]
    tracemalloc.start()
    build(tmp_path / "a.h5", recordings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * piece_bytes < n_pieces * piece_bytes


def test_reading_streams(tmp_path):
    build(tmp_path / "a.h5", [recording(str(k), noise(k, 100)) for k in range(5)])
    gc.collect()
    with AudioCorpus.open(tmp_path / "a.h5") as corpus:
        tracemalloc.start()
        for piece in corpus.pieces:
            for start in range(0, piece.n_samples - RATE_HZ, RATE_HZ):
                piece.read(start, start + RATE_HZ)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10 * 4 * RATE_HZ < 5 * 100 * 2 * RATE_HZ
