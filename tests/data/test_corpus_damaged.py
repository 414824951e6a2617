"""Corpora that cannot be built or opened: full disks, damaged, truncated and hostile files."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from rnnaudio.corpus_file.structure import Unusable, check
from rnnaudio.data import corpus_build
from rnnaudio.data.corpus import AudioCorpus
from rnnaudio.data.corpus_build import Recording
from rnnaudio.data.corpus_splits import Splitting
from rnnaudio.data.corpus_write import new_hdf5
from rnnaudio.errors import RnnaudioError
from tests.support.corpora import RATE_HZ, build, noise, recording
from tests.support.sounds import spoilt


def test_a_failure_keeps_the_earlier_corpus_and_leaves_nothing(small):
    path, _ = small
    before = path.read_bytes()

    def interrupted():
        raise KeyboardInterrupt

    for load, error in ((interrupted, KeyboardInterrupt), (lambda: (spoilt(9), RATE_HZ), RnnaudioError)):
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


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Unable to flush (file write failed: time = now\n, errno = 28, error message = 'No space')", OSError),
        ("another error of HDF5", RuntimeError),
    ],
)
def test_a_write_that_hdf5_calls_a_runtime_error_is_known(tmp_path, message, expected):
    """As h5py raises if the disk is full when the file's index is flushed, seen at one offset of twenty."""
    with pytest.raises(expected) as error, new_hdf5(tmp_path / "a.h5"):
        raise RuntimeError(message)
    assert expected is RuntimeError or error.value.errno == errno.ENOSPC


def test_what_cannot_be_built(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.wav").write_text("Dear diary")
    loud = recording("a", noise(0, 1))
    for sources, options, words in (
        ([tmp_path / "empty"], {}, "no audio file in this folder"),
        ([tmp_path / "text"], {}, "a.wav: not readable as audio"),
        ([tmp_path / "missing.wav"], {}, "no such file or folder: .*missing.wav"),
        ([], {}, "no usable audio: no sources"),
        ([recording("s", np.zeros(RATE_HZ))], {}, "no usable audio: source of s: silent"),
        ([recording("s", np.full(RATE_HZ, 0.5))], {}, "constant"),
        ([recording("s", noise(0, 1), "training")], {}, "split: got 'training', expected one of train"),
        ([recording("s", np.zeros((2, 100)))], {}, r"'s': got an array of shape \(2, 100\)"),
        ([loud], {"dtype": "int8"}, "dtype: got 'int8'"),
        ([loud], {"splitting": Splitting(fractions=(0.9, 0.2, 0.1))}, "fractions: got"),
        ([loud], {"splitting": Splitting(fractions=(1.0, 0.0, 0.0))}, "fractions: got"),
        ([loud], {"splitting": Splitting(seed=-1)}, "seed is -1; expected"),
        ([loud, recording("b", noise(0, 1), "train")], {}, "no piece is left for"),
    ):
        with pytest.raises(RnnaudioError, match=words):
            build(tmp_path / "a.h5", sources, **options)
    with pytest.raises(RnnaudioError, match="it is a folder"):
        build(tmp_path, [loud])
    with pytest.raises(RnnaudioError, match="No such file or directory"):
        build(tmp_path / "nowhere" / "a.h5", [loud])
    assert sorted(os.listdir(tmp_path)) == ["empty", "text"]


def refused(path: Path, words: str) -> None:
    """By the check itself, in this process, as a child of each test would take long."""
    with pytest.raises(Unusable, match=words):
        check(path)


def test_what_is_no_corpus(tmp_path):
    for path in (tmp_path / "a.h5", tmp_path):
        with pytest.raises(RnnaudioError, match="no such corpus"):
            AudioCorpus.open(path)
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


def many_names(file):
    file["other"] = file["pieces"]


def unchecked_chunk(file):
    piece = file["pieces/000001"].id
    piece.write_direct_chunk((0,), piece.read_direct_chunk((0,))[1][:-4], filter_mask=1)


def short_chunk(file):
    piece = file["pieces/000001"].id
    piece.write_direct_chunk((0,), piece.read_direct_chunk((0,))[1][:15_000])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_attribute("version", 3), "version 3, expected version 1 or 2"),
        (damage_attribute("version", None), "version None"),
        (damage_attribute("mean", None), "attribute 'mean' is missing"),
        (damage_attribute("mean", "much"), "'mean' is no number"),
        (damage_attribute("mean", [0.0]), "'mean' is an array"),
        (damage_attribute("mean", 1.5), "mean is 1.5, expected -1 to 1"),
        (damage_attribute("mean", 1e-5), "what it states about its pieces has changed"),
        (damage_attribute("sample_rate_hz", np.inf), "'sample_rate_hz' is no whole number"),
        (damage_attribute("sample_rate_hz", 1), "sample_rate_hz is 1, expected 100 to 1000000"),
        (damage_attribute("sample_rate_hz", 2**62), "sample_rate_hz is 4611686018427387904, expected"),
        (damage_attribute("std", 0.0), "std is 0.0, expected more"),
        (damage_attribute("std", 1.1), "std is 1.1, expected more"),
        (damage_attribute("std", np.nan), "std is nan, expected more"),
        (damage_attribute("dtype", "int64"), "dtype 'int64'"),
        (damage_attribute("dtype", "int16" * 100), "'dtype' has 500 bytes, expected at most 64"),
        (damage_attribute("notes", 7), "'notes' is no text"),
        (damage_attribute("notes", '["x"]'), "what it states about its pieces has changed"),
        (damage_attribute("contents_sha256", None), "'contents_sha256' is missing"),
        (damage_piece(split="holiday"), "in the split 'holiday'"),
        (damage_piece(split="train"), "no piece in the split valid"),
        (damage_piece(title=7), "'title' of /pieces/000001 is no text"),
        (damage_piece(title="other"), "what it states about its pieces has changed"),
        (damage_piece(title="x" * 5000), "'title' of /pieces/000001 has 5000 bytes, expected at most 4096"),
        (damage_piece(title=np.bytes_("x" * 5000)), "'title' of /pieces/000001 has 5000 bytes, expected at most 4096"),
        (damage_piece(title=["a", "b"]), "'title' of /pieces/000001 is an array"),
        (lambda file: file["pieces/000001"].attrs.pop("source"), "'source' of /pieces/000001 is missing"),
        (lambda file: file.move("pieces/000001", "pieces/x"), "stored as 'x', expected a number"),
        (lambda file: file.pop("pieces"), "'pieces' is missing"),
        (lambda file: file.move("pieces", "elsewhere") or file.create_dataset("pieces", data=[1]), "not a group"),
        (replace_piece(external_link), "a link to elsewhere, which is not followed"),
        (replace_piece(soft_link), "a link to elsewhere, which is not followed"),
        (replace_piece(second_name), "'000000' is stored under two names"),
        (replace_piece(external_storage), "external, virtual or not chunked"),
        (replace_piece(virtual_dataset), "external, virtual or not chunked"),
        (replace_piece(four_terabytes), "declares 4398046511104 bytes"),
        (replace_piece(great_chunk), "declares 2147483648 bytes"),
        (replace_piece(zipped), "filters"),
        (replace_piece(matrix), "expected int16"),
        (replace_piece(other_dtype), "expected int16"),
        (replace_piece(group_in_place), "is not a dataset"),
        (many_names, "'pieces' is stored under two names"),
        (unchecked_chunk, "a chunk of /pieces/000001 skips the checksum"),
        (short_chunk, "a chunk of /pieces/000001 has 15000 bytes, expected 16004"),
    ],
)
def test_a_damaged_or_hostile_corpus_is_refused(small, damage, words):
    path, _ = small
    with h5py.File(path, "a") as file:
        damage(file)
    refused(path, words)
