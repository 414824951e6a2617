"""Corpora: what goes in comes out, splits and statistics against closed forms, and every kind of bad file."""

import errno
import gc
import hashlib
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from rnnaudio.data import corpus_build
from rnnaudio.data.corpus import AudioCorpus
from rnnaudio.data.corpus_build import Recording, assign_splits, build_corpus
from rnnaudio.errors import RnnaudioError

RATE_HZ = 8000


def noise(seed: int, seconds: float, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-level, level, round(seconds * RATE_HZ)).astype(np.float32)


def recording(title: str, audio: np.ndarray, split: str | None = None) -> Recording:
    return Recording(title, f"source of {title}", "CC0", split, lambda: (audio, RATE_HZ))


def build(out: Path, recordings: list, **options):
    return build_corpus(recordings, out, **{"sample_rate_hz": RATE_HZ, "progress": False} | options)


@pytest.fixture
def small(tmp_path):
    """A corpus of three pieces, and the int16 samples that it must hold."""
    audio = {
        split: noise(seed, seconds)
        for seed, (split, seconds) in enumerate({"train": 2.3, "valid": 1.5, "test": 1.2}.items())
    }
    path = tmp_path / "small.h5"
    build(path, [recording(split, samples, split) for split, samples in audio.items()], trim_silence_db=None)
    return path, {split: np.round(samples.astype(float) * 32768).astype(np.int16) for split, samples in audio.items()}


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
        trim_silence_db=None,
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
        assert {name: file.attrs[name] for name in set(file.attrs) - {"mean", "std"}} == {
            "format": "rnnaudio-corpus",
            "version": 1,
            "sample_rate_hz": RATE_HZ,
            "dtype": "int16",
        }
        for piece in file["pieces"].values():
            samples = stored[piece.attrs["split"]]
            assert np.array_equal(piece[:], samples)
            assert piece.chunks == (RATE_HZ,) and piece.fletcher32
            assert piece.attrs["sha256"] == hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


def test_float32_is_stored_exactly(tmp_path):
    audio = noise(0, 1)
    build(
        tmp_path / "a.h5",
        [recording("a", audio, "train"), recording("b", audio, "valid"), recording("c", audio, "test")],
        dtype="float32",
        trim_silence_db=None,
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
    summary = build(tmp_path / "a.h5", [folder, folder / "b.WAV"], trim_silence_db=None)
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
        trim_silence_db=None,
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
    assert "skipped 'silent': silent" in summary.notes[0] and "skipped 'tiny': shorter" in summary.notes[1]


@pytest.mark.parametrize("n_pieces", [1, 2])
def test_fewer_than_three_pieces_are_cut_in_time(tmp_path, n_pieces):
    ramps = [np.arange(1000 * (k + 1)) / 32768 + 0.1 for k in range(n_pieces)]
    summary = build(
        tmp_path / "a.h5",
        [recording(f"p{k}", ramp) for k, ramp in enumerate(ramps)],
        trim_silence_db=None,
        fractions=(0.7, 0.2, 0.1),
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
        trim_silence_db=None,
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


# ------------------------------------------------------------------------------------------------- building goes wrong


def test_a_failure_keeps_the_earlier_corpus_and_leaves_nothing(small):
    path, _ = small
    before = path.read_bytes()

    def interrupted():
        raise KeyboardInterrupt

    for load, error in ((interrupted, KeyboardInterrupt), (lambda: (np.array([np.nan]), RATE_HZ), RnnaudioError)):
        with pytest.raises(error):
            build(path, [recording("a", noise(0, 1)), Recording("b", "", "", None, load)])
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["small.h5"]


def test_no_space_left(small, monkeypatch):
    path, _ = small
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "Can't synchronously write data")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(RnnaudioError, match=r"small.h5: No space left on device"):
        build(path, [recording("a", noise(0, 1))])
    assert path.read_bytes() == before and os.listdir(path.parent) == ["small.h5"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from rnnaudio.data.corpus_build import Recording, build_corpus
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).uniform(-0.1, 0.1, int(sys.argv[1]))
recordings = [Recording(str(number), "", "", None, lambda: (noise, 8000)) for number in range(4)]
build_corpus(recordings, Path("a.h5"), sample_rate_hz=8000, progress=False)
"""


@pytest.mark.parametrize("n_samples", [4000, 20_000, 100_000])
def test_a_full_disk_does_not_bring_hdf5_down(tmp_path, n_samples):
    """A limit on the size of files fails like a full disk, beneath HDF5, which without care ends in a segfault."""
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(n_samples)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path(corpus_build.__file__).parents[2])},
    )
    if n_samples == 4000:
        assert (result.returncode, os.listdir(tmp_path)) == (0, ["a.h5"])
    else:
        assert result.returncode == 1 and "RnnaudioError: cannot write a.h5: File too large" in result.stderr
        assert os.listdir(tmp_path) == []


def test_what_cannot_be_built(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.wav").write_text("Dear diary")
    loud = recording("a", noise(0, 1))
    for sources, options, words in (
        ([tmp_path / "empty"], {}, "no .wav, .flac, .ogg, .mp3 file"),
        ([tmp_path / "text"], {}, "a.wav: not readable as audio"),
        ([tmp_path / "missing.wav"], {}, "missing.wav: no such file"),
        ([], {}, "no usable audio: no sources"),
        ([recording("s", np.zeros(RATE_HZ))], {}, "no usable audio: skipped 's': silent"),
        ([recording("s", np.full(RATE_HZ, 0.5))], {}, "constant"),
        ([recording("s", noise(0, 1), "training")], {}, "split: got 'training', expected one of train"),
        ([recording("s", np.zeros((2, 100)))], {}, r"'s': got an array of shape \(2, 100\)"),
        ([loud], {"dtype": "int8"}, "dtype: got 'int8'"),
        ([loud], {"fractions": (0.9, 0.2, 0.1)}, "fractions: got"),
        ([loud], {"fractions": (1.0, 0.0, 0.0)}, "fractions: got"),
        ([loud, recording("b", noise(0, 1), "train")], {}, "no piece is left for"),
    ):
        with pytest.raises(RnnaudioError, match=words):
            build(tmp_path / "a.h5", sources, **options)
    with pytest.raises(RnnaudioError, match="it is a folder"):
        build(tmp_path, [loud])
    with pytest.raises(RnnaudioError, match="No such file or directory"):
        build(tmp_path / "nowhere" / "a.h5", [loud])
    assert sorted(os.listdir(tmp_path)) == ["empty", "text"]


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


# ------------------------------------------------------------------------------------------------- opening goes wrong


def refused(path: Path, words: str) -> None:
    with pytest.raises(RnnaudioError, match=words):
        AudioCorpus.open(path)


def test_what_is_no_corpus(tmp_path):
    refused(tmp_path / "a.h5", "no such corpus")
    refused(tmp_path, "no such corpus")
    (tmp_path / "a.h5").write_text("not HDF5" * 1000)
    refused(tmp_path / "a.h5", "not an HDF5 file")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = np.zeros(3)
    refused(tmp_path / "b.h5", "not marked 'rnnaudio-corpus'")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_corpus(small, share):
    path, _ = small
    os.truncate(path, int(path.stat().st_size * share))
    refused(path, "truncated|not an HDF5 file")


def damage_attribute(name, value):
    def damage(file):
        if value is None:
            del file.attrs[name]
        else:
            file.attrs[name] = value

    return damage


def damage_piece(**attributes):
    def damage(file):
        file["pieces/000001"].attrs.update(attributes)

    return damage


def replace_piece(make):
    def damage(file):
        texts = dict(file["pieces/000001"].attrs)
        del file["pieces/000001"]
        make(file)
        if isinstance(file["pieces"].get("000001", getlink=True), h5py.HardLink):
            file["pieces/000001"].attrs.update(texts)

    return damage


def external_link(file):
    file["pieces/000001"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(file):
    file["pieces/000001"] = h5py.SoftLink("/pieces/000000")


def second_name(file):
    for number in range(3, 20):
        file[f"pieces/{number:06d}"] = file["pieces/000000"]
    file["pieces/000001"] = file["pieces/000000"]


def external_storage(file):
    file["pieces"].create_dataset("000001", (10,), "int16", external=[("/etc/passwd", 0, 20)])


def virtual_dataset(file):
    layout = h5py.VirtualLayout((10,), "int16")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (10,))
    file["pieces"].create_virtual_dataset("000001", layout)


def four_terabytes(file):
    file["pieces"].create_dataset("000001", (2 * 2**40,), "int16", chunks=(8000,), fletcher32=True)


def great_chunk(file):
    file["pieces"].create_dataset("000001", (8000,), "int16", maxshape=(None,), chunks=(2**30,), fletcher32=True)


def zipped(file):
    file["pieces"].create_dataset("000001", data=np.zeros(8000, "int16"), chunks=(8000,), compression="gzip")


def matrix(file):
    file["pieces"].create_dataset("000001", data=np.zeros((80, 80), "int16"), chunks=(80, 80), fletcher32=True)


def other_dtype(file):
    file["pieces"].create_dataset("000001", data=np.zeros(8000), chunks=(8000,), fletcher32=True)


def group_in_place(file):
    file["pieces"].create_group("000001")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_attribute("version", 2), "version 2, expected version 1"),
        (damage_attribute("version", None), "version None"),
        (damage_attribute("mean", None), "attribute 'mean' is missing"),
        (damage_attribute("mean", "much"), "damaged"),
        (damage_attribute("sample_rate_hz", 0), "invalid attributes"),
        (damage_attribute("std", 0.0), "invalid attributes"),
        (damage_attribute("std", np.nan), "invalid attributes"),
        (damage_attribute("dtype", "int64"), "dtype 'int64'"),
        (damage_piece(split="holiday"), "in the split 'holiday'"),
        (damage_piece(split="train"), "no piece in the split valid"),
        (damage_piece(title=7), "no attribute 'title'"),
        (lambda file: file.pop("pieces"), "'pieces' is missing"),
        (lambda file: file.move("pieces", "elsewhere") or file.create_dataset("pieces", data=[1]), "not a group"),
        (replace_piece(external_link), "a link to elsewhere"),
        (replace_piece(soft_link), "a link to elsewhere"),
        (replace_piece(second_name), "more than its size"),
        (replace_piece(external_storage), "external, virtual or not chunked"),
        (replace_piece(virtual_dataset), "external, virtual or not chunked"),
        (replace_piece(four_terabytes), "declares 4398046511104 bytes"),
        (replace_piece(great_chunk), "declares 2147483648 bytes"),
        (replace_piece(zipped), "filters"),
        (replace_piece(matrix), "expected int16"),
        (replace_piece(other_dtype), "expected int16"),
        (replace_piece(group_in_place), "is not a dataset"),
    ],
)
def test_a_damaged_or_hostile_corpus_is_refused(small, damage, words):
    path, _ = small
    with h5py.File(path, "a") as file:
        damage(file)
    refused(path, words)


def test_verify_finds_changed_samples(small):
    path, _ = small
    with AudioCorpus.open(path) as corpus:
        corpus.verify()
    with h5py.File(path, "a") as file:
        file["pieces/000002"][5] += 1
    with AudioCorpus.open(path) as corpus, pytest.raises(RnnaudioError, match="the samples of 'test' have changed"):
        corpus.verify()


def test_a_flipped_bit_shows_when_read(small):
    path, stored = small
    content = bytearray(path.read_bytes())
    content[content.index(stored["valid"][:100].tobytes())] ^= 1
    path.write_bytes(content)
    with AudioCorpus.open(path) as corpus:
        assert corpus.test.first(1).size == RATE_HZ
        with pytest.raises(RnnaudioError, match="cannot be read.*damaged"):
            corpus.valid.first(1)
        with pytest.raises(RnnaudioError, match="the samples of 'valid' have changed"):
            corpus.verify()


def test_the_progress_bar_counts_pieces(tmp_path, monkeypatch):
    counted = []
    monkeypatch.setattr(corpus_build, "tqdm", lambda items, **options: counted.append((len(items), options)) or items)
    recordings = [recording(str(k), noise(k, 1)) for k in range(3)]
    build(tmp_path / "a.h5", recordings, progress=True)
    build(tmp_path / "a.h5", recordings, progress=False)
    assert [(n, options["disable"]) for n, options in counted] == [(3, None), (3, True)]  # None: on a terminal only
