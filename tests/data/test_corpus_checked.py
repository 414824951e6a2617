"""Files that are not known are checked by a child process; those that were are known by their contents."""

import json
import os
import re
import struct
import time

import h5py
import numpy as np
import pytest

from rnnaudio.corpus_file.structure import Unusable, check
from rnnaudio.data import corpus_format
from rnnaudio.data.corpus import AudioCorpus
from rnnaudio.errors import RnnaudioError
from tests.support.corpora import as_version_1, build, noise, recording


@pytest.fixture
def checks(monkeypatch, tmp_path):
    """The paths that child processes check, counted; what is known is kept in a folder of this test."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    by_child, paths = corpus_format._checked_by_child, []

    def counted(path):
        paths.append(path)
        return by_child(path)

    monkeypatch.setattr(corpus_format, "_checked_by_child", counted)
    return paths


def test_a_corpus_is_checked_once_whatever_its_time(small, checks):
    path, _ = small
    for _ in range(2):
        AudioCorpus.open(path).close()
    assert checks == [path]
    os.utime(path, (0, 0))
    AudioCorpus.open(path).close()
    assert checks == [path]
    build(path.with_name("own.h5"), [recording(split, noise(3, 1), split) for split in ("train", "valid", "test")])
    AudioCorpus.open(path.with_name("own.h5")).close()
    assert checks == [path]  # what this process wrote is known


def test_a_change_outside_the_samples_is_noticed_though_size_and_time_are_the_same(small, checks):
    path, _ = small
    AudioCorpus.open(path).close()
    before, content = path.stat(), path.read_bytes()
    assert content.count(b"source of valid") == 1
    path.write_bytes(content.replace(b"source of valid", b"source of vilad"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(RnnaudioError, match="what it states about its pieces has changed since it was built"):
        AudioCorpus.open(path)
    assert len(checks) == 2
    path.write_bytes(content)
    AudioCorpus.open(path).close()
    assert len(checks) == 2  # known again: it is the contents that count


@pytest.mark.slow
def test_a_record_that_is_damaged_or_of_another_version_counts_for_nothing(small, checks):
    path, _ = small
    AudioCorpus.open(path).close()
    record = corpus_format._record(path)
    text = record.read_text()
    assert json.loads(text)["path"] == str(path)
    for n_checks, spoilt in enumerate((text[:40], "[]", text.replace("check 1", "x")), start=2):
        record.write_text(spoilt)
        AudioCorpus.open(path).close()
        assert checks == n_checks * [path] and record.read_text() == text


def test_old_records_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_format, "MOST_KNOWN", 4)
    for number in range(5):
        record = tmp_path / f"{number}.json"
        record.write_text("{}")
        os.utime(record, (number, number))
    corpus_format._forget_oldest(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["2.json", "3.json", "4.json"]


def test_a_corpus_of_version_1_is_read(small, checks):
    path, _ = small
    as_version_1(path, title="caf\u00e9")
    with AudioCorpus.open(path) as corpus:
        assert [piece.title for piece in corpus.pieces] == ["caf\u00e9", "valid", "test"]
        assert corpus.train.first(1).size
    assert checks == [path]


# ---------------------------------------------------------------- files that would bring this process down


def wrong_type_of_a_text(content):
    at = content.index(b"\x19\x01\x01\0\x10\0\0\0")  # a text of variable length
    content[at + 1] = 5


def heap_without_end(content):
    at = content.index(b"GCOL")
    content[at + 16 : at + 18] = b"\0\0"
    content[at + 24 : at + 32] = bytes(8)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (wrong_type_of_a_text, "the HDF5 library crashed on it|damaged|no text"),
        pytest.param(heap_without_end, "took longer than 2 s", marks=pytest.mark.slow),
    ],
)
def test_what_crashes_or_hangs_hdf5_is_refused_in_time(small, checks, monkeypatch, spoil, words):
    monkeypatch.setattr(corpus_format, "SECONDS", 2)
    path, _ = small
    as_version_1(path)
    content = bytearray(path.read_bytes())
    spoil(content)
    path.write_bytes(content)
    started = time.monotonic()
    with pytest.raises(RnnaudioError, match=f"small.h5 is not a usable corpus: .*({words}).*build it again"):
        AudioCorpus.open(path)
    assert time.monotonic() - started < 20.0
    assert checks == [path] and not os.path.exists(corpus_format._record(path))


def test_a_child_that_is_stopped_counts_as_a_refusal(small, checks, monkeypatch):
    path, _ = small
    for seconds, words in ((0, "took longer than"), (None, "crashed")):
        if seconds is None:
            monkeypatch.setattr(corpus_format, "CHILD", ("false",))
        else:
            monkeypatch.setattr(corpus_format, "SECONDS", 0)
            monkeypatch.setattr(corpus_format, "WAITING_SECONDS", 0.01)
        with pytest.raises(RnnaudioError, match=words):
            AudioCorpus.open(path)


@pytest.mark.slow
def test_a_text_of_200_mb_takes_no_memory_here(small, checks):
    import resource

    path, _ = small
    as_version_1(path, title="x" * 200_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RnnaudioError, match="is not a usable corpus"):
        AudioCorpus.open(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def place_of_reference(content, n_bytes):
    """Where the attributes ``licence`` whose text has this length point into the heap: length, address, number."""
    pattern = rb"licence\0.{16,56}?(?=" + re.escape(struct.pack("<I", n_bytes)) + b")"
    return [match.end() for match in re.finditer(pattern, content, flags=re.DOTALL)]


def test_one_text_that_many_pieces_share_is_refused(tmp_path):
    """Each piece points to the text of the first, which so takes no room in the file, but much memory."""
    path = tmp_path / "a.h5"
    build(path, [recording(split, noise(k, 0.2), split) for k, split in enumerate(("train", "valid", "test"))])
    as_version_1(path, licence="x" * 60_000)
    content = bytearray(path.read_bytes())
    reference = place_of_reference(content, 60_000)[0]
    for place in place_of_reference(content, len("CC0")):
        content[place : place + 16] = content[reference : reference + 16]
    path.write_bytes(content)
    with pytest.raises(Unusable, match="add up to more than its size"):
        check(path)


def test_thousands_of_names_of_one_piece_are_refused_at_once(small):
    path, _ = small
    with h5py.File(path, "a") as file:
        for number in range(3, 2003):
            file[f"pieces/{number:06d}"] = file["pieces/000000"]
    started = time.process_time()
    with pytest.raises(Unusable, match="'000000' is stored under two names"):
        check(path)
    assert time.process_time() - started < 0.5


@pytest.mark.slow
def test_single_bits_flipped_anywhere_are_refused_noticed_or_harmless(small, checks):
    path, _ = small
    with AudioCorpus.open(path) as corpus:
        known = contents(corpus)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        spoilt = bytearray(content)
        spoilt[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        try:
            with AudioCorpus.open(path) as corpus, corpus.verified_for_training():
                found = contents(corpus)
        except RnnaudioError:
            continue
        assert found == known


def contents(corpus):
    texts = [(piece.title, piece.source, piece.licence, piece.split) for piece in corpus.pieces]
    samples = [piece.read(0, piece.n_samples).tobytes() for piece in corpus.pieces]
    return corpus.sample_rate_hz, corpus.mean, corpus.std, texts, samples
