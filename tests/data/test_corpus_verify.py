"""Samples that are not those the corpus was built with are noticed before they are used."""

import struct

import h5py
import numpy as np
import pytest

from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.corpus_file import extents
from rnnaudio.corpus_file.structure import Unusable, check
from rnnaudio.data import corpus as corpus_module
from rnnaudio.data import corpus_verify
from rnnaudio.data.corpus import AudioCorpus
from rnnaudio.errors import RnnaudioError
from tests.support.corpora import RATE_HZ, build, noise, recording


def swap_chunks(path, name="000000"):
    """Exchange the contents of two chunks, each with its valid checksum."""
    with h5py.File(path, "a") as file:
        piece = file[f"pieces/{name}"].id
        first, second = (piece.read_direct_chunk((place,))[1] for place in (0, RATE_HZ))
        piece.write_direct_chunk((0,), second)
        piece.write_direct_chunk((RATE_HZ,), first)


def test_swapped_chunks_are_noticed_before_they_are_read(small):
    path, stored = small
    swap_chunks(path)
    with h5py.File(path) as file:  # HDF5 itself finds nothing wrong
        assert np.array_equal(file["pieces/000000"][:RATE_HZ], stored["train"][RATE_HZ : 2 * RATE_HZ])
    with AudioCorpus.open(path) as corpus:
        assert corpus.test.first(1).size == RATE_HZ
        for _ in range(2):
            with pytest.raises(RnnaudioError, match="small.h5: the samples of 'train' have changed"):
                corpus.train.pieces[0].read(20_000 - RATE_HZ, 8000 + 4000)
        with pytest.raises(RnnaudioError, match="the samples of 'train' have changed"):
            corpus.verify()
        with pytest.raises(RnnaudioError, match="the samples of 'train' have changed"), corpus.verified_for_training():
            pytest.fail("the block must not run")


def test_changed_samples_with_new_checksums_are_noticed(small):
    path, _ = small
    with AudioCorpus.open(path) as corpus:
        corpus.verify()
        assert corpus.test.first(1).size
    with h5py.File(path, "a") as file:
        file["pieces/000002"][5] += 1
    with AudioCorpus.open(path) as corpus:  # the process remembers what it compared, but not of a file that changed
        with pytest.raises(RnnaudioError, match="the samples of 'test' have changed"):
            corpus.test.first(1)
        with pytest.raises(RnnaudioError, match="the samples of 'test' have changed"):
            corpus.verify()


def test_a_flipped_bit_is_noticed(small):
    path, stored = small
    content = bytearray(path.read_bytes())
    content[content.index(stored["valid"][:100].tobytes())] ^= 1
    path.write_bytes(content)
    with AudioCorpus.open(path) as corpus:
        assert corpus.test.first(1).size == RATE_HZ
        for use in (lambda: corpus.valid.first(1), corpus.verify, corpus.min_max_2016):
            with pytest.raises(RnnaudioError, match="the samples of 'valid' have changed"):
                use()


def test_a_piece_is_compared_once_in_a_process(small, monkeypatch):
    path, _ = small
    compared = []
    monkeypatch.setattr(corpus_verify, "fault_of", lambda piece: compared.append(piece.name))
    for _ in range(2):
        with AudioCorpus.open(path) as corpus:
            corpus.train.first(1)
            corpus.train.first(1)
    assert compared == ["/pieces/000000"]
    with AudioCorpus.open(path) as corpus:
        corpus.verify()  # always all
    assert len(compared) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_is_named(tmp_path, value):
    path = tmp_path / "a.h5"
    pieces = [recording(split, noise(k, 2), split) for k, split in enumerate(("train", "valid", "test"))]
    build(path, pieces, dtype="float32", cleaning=AS_IT_IS)
    with h5py.File(path, "a") as file:
        file["pieces/000002"][12_345] = value
    with (
        AudioCorpus.open(path) as corpus,
        pytest.raises(RnnaudioError, match=f"sample 12345 of 'test' is {value}, expected finite"),
        corpus.verified_for_training(),
    ):
        pytest.fail("the block must not run")


def test_a_large_corpus_is_compared_while_training_runs(small, monkeypatch):
    monkeypatch.setattr(corpus_module, "AT_ONCE_BYTES", 0)
    path, _ = small
    compared = []
    monkeypatch.setattr(corpus_verify, "fault_of", lambda piece: compared.append(piece.name))
    with AudioCorpus.open(path) as corpus, corpus.verified_for_training():
        assert corpus.train.first(1).size
        corpus.verification.wait()
        corpus.train.first(1)
    swap_chunks(path)
    with AudioCorpus.open(path) as corpus, corpus.verified_for_training():
        for use in (corpus.verification.wait, corpus.verification.raise_fault, lambda: corpus.train.first(1)):
            with pytest.raises(RnnaudioError, match="the samples of 'train' have changed"):
                use()
    assert compared == []  # by the child alone


def test_pieces_are_compared_when_read_if_the_child_is_killed(small, monkeypatch):
    monkeypatch.setattr(corpus_module, "AT_ONCE_BYTES", 0)
    path, _ = small
    swap_chunks(path)
    with AudioCorpus.open(path) as corpus, corpus.verified_for_training():
        corpus.verification._child.kill()
        corpus.verification.wait()
        with pytest.raises(RnnaudioError, match="the samples of 'train' have changed"):
            corpus.train.first(1)


# ---------------------------------------------------------------- addresses of chunks


def first_two(path):
    with h5py.File(path) as file:
        return [chunk.byte_offset for chunk in extents.chunks_of(file["pieces/000000"])][:2]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (lambda first, second, size: 2**64 - 1, "lies outside the file|damaged"),
        (lambda first, second, size: size - 8, "lies outside the file"),
        (lambda first, second, size: second, "two chunks share byte"),
        (lambda first, second, size: second - 16, "two chunks share byte"),
    ],
)
def test_a_wrong_address_of_a_chunk_is_refused(small, new, words):
    path, _ = small
    first, second = first_two(path)
    content = path.read_bytes()
    old = struct.pack("<Q", first)
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, struct.pack("<Q", new(first, second, len(content)))))
    with pytest.raises(Unusable, match=words):
        check(path)


def test_addresses_that_are_swapped_are_noticed(small):
    path, _ = small
    first, second = (struct.pack("<Q", place) for place in first_two(path))
    content = bytearray(path.read_bytes())
    at, other = content.find(first), content.find(second)
    content[at : at + 8], content[other : other + 8] = second, first
    path.write_bytes(content)
    check(path)
    with AudioCorpus.open(path) as corpus, pytest.raises(RnnaudioError, match="the samples of 'train' have changed"):
        corpus.train.first(1)
