"""A worker process of the fuzzing: it reads mutated files of one kind, and prints a line of JSON for each.

    python -m experiments.proofs.torture.fuzz_worker FOLDER KIND FIRST END

FOLDER has the toys. The seeds of the cases are FIRST to END - 1.
"""

import functools
import json
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import soundfile

from experiments.proofs.torture import toys
from experiments.proofs.torture.mutation import mutated_bytes, mutated_record, mutated_text
from rnnaudio.audio import read_audio
from rnnaudio.data import AudioCorpus
from rnnaudio.data.mnist import load_mnist
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs import packs
from rnnaudio.runs.load import load
from rnnaudio.runs.settings import chosen
from rnnaudio.training import checkpoint

SOUNDS = ("wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64", "opus")
Read = Callable[[Path, random.Random], None]


def main() -> None:
    """Read the cases named on the command line."""
    source, kind, first, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, last):
            print(json.dumps(_tried(source, Path(folder), kind, seed)), flush=True)


def _tried(source: Path, folder: Path, kind: str, seed: int) -> dict[str, object]:
    rng, started, fault, outcome = random.Random(f"{kind} {seed}"), time.monotonic(), "", "read"
    place = Path(tempfile.mkdtemp(dir=folder))
    read = KINDS[kind](source, place, rng)
    try:
        read()
    except RnnaudioError as error:
        outcome, fault = "refused", "an error of several lines" if "\n" in str(error) else ""
    except Exception as error:
        outcome, fault = "error", f"{type(error).__name__}: {error}"[:200]
    shutil.rmtree(place, ignore_errors=True)
    peaks = [resource.getrusage(who).ru_maxrss / 1024.0 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = round(time.monotonic() - started, 2)
    return {"seed": seed, "outcome": outcome, "fault": fault, "seconds": seconds, "mb": round(max(peaks), 1)}


# ---------------------------------------------------------------- kinds: what is mutated, and how it is read


def _corpus(source: Path, folder: Path, rng: random.Random) -> Callable[[], object]:
    path = folder / "corpus.h5"
    path.write_bytes(mutated_bytes((source / "corpus.h5").read_bytes(), rng))

    def read() -> None:
        with AudioCorpus.open(path) as corpus:
            corpus.verify()

    return read


def _sound(source: Path, folder: Path, rng: random.Random) -> Callable[[], object]:
    audio, rate = read_audio(source / "sounds" / "0.wav")
    ending = rng.choice(SOUNDS)
    path = folder / f"sound.{ending}"
    name, subtype = {"opus": ("OGG", "OPUS")}.get(ending, (ending.upper(), None))
    soundfile.write(path, audio, rate, format=name, subtype=subtype)
    path.write_bytes(mutated_bytes(path.read_bytes(), rng))
    return lambda: read_audio(path)


def _run(source: Path, folder: Path, rng: random.Random) -> Path:
    return Path(shutil.copytree(source / rng.choice(("frames", "codes", "samples")), folder / "run"))


def _checkpoint(source: Path, folder: Path, rng: random.Random) -> Callable[[], object]:
    run_dir = _run(source, folder, rng)
    for path in run_dir.glob("*previous*"):
        path.unlink()
    path = checkpoint.path_in(run_dir)
    path.write_bytes(mutated_bytes(path.read_bytes(), rng))
    return lambda: load(run_dir)


def _record(source: Path, folder: Path, rng: random.Random) -> Callable[[], object]:
    """A run whose checkpoint has a mutated record and a matching checksum, or whose ``playing.json`` is mutated."""
    run_dir = _run(source, folder, rng)
    for path in run_dir.glob("*previous*"):
        path.unlink()
    path = checkpoint.path_in(run_dir)
    playing = run_dir / "playing.json"
    if playing.exists() and rng.random() < 0.3:
        playing.write_text(mutated_record(json.loads(playing.read_text()), rng))
        return lambda: load(run_dir)
    saved = checkpoint.load(path)
    record = {**saved.record, "history": saved.extent._asdict()}
    toys.write_checkpoint(path, saved.arrays, mutated_record(record, rng))
    return lambda: load(run_dir)


def _idx(source: Path, folder: Path, rng: random.Random) -> Callable[[], object]:
    for name, magic, shape in (
        ("train-images-idx3-ubyte", 2051, (60, 28, 28)), ("train-labels-idx1-ubyte", 2049, (60,)),
        ("t10k-images-idx3-ubyte", 2051, (10, 28, 28)), ("t10k-labels-idx1-ubyte", 2049, (10,)),
    ):  # fmt: skip
        n = 1
        for side in shape:
            n *= side
        content = magic.to_bytes(4, "big") + b"".join(side.to_bytes(4, "big") for side in shape) + bytes(n)
        (folder / name).write_bytes(mutated_bytes(content, rng))
    return lambda: load_mnist(folder)


def _pickle(source: Path, folder: Path, rng: random.Random) -> Callable[[], object]:
    import gzip
    import pickle

    import numpy as np

    split = (np.zeros((5, 784), np.float32), np.zeros(5, np.int64))
    path = folder / "mnist.pkl.gz"
    path.write_bytes(gzip.compress(mutated_bytes(pickle.dumps((split, split, split), 2), rng)))
    return lambda: load_mnist(path)


def _toml(source: Path, folder: Path, rng: random.Random) -> Callable[[], object]:
    text = (source / rng.choice(("frames", "codes", "samples")) / "config.toml").read_text()
    path = folder / "config.toml"
    path.write_bytes(mutated_text(text, rng))
    return lambda: chosen(config=path)


def _pack(source: Path, folder: Path, rng: random.Random) -> Callable[[], object]:
    path = folder / "run.zip"
    path.write_bytes(mutated_bytes(_packed(source, rng.choice(("frames", "codes", "samples"))), rng))

    def read() -> None:
        with packs.run_folder(path) as run_dir:
            load(run_dir)
            packs.packed_prime(run_dir)

    return read


@functools.cache
def _packed(source: Path, name: str) -> bytes:
    """The pack of a toy run."""
    with tempfile.TemporaryDirectory() as folder:
        packs.pack(source / name, Path(folder) / "run.zip", source / "corpus.h5")
        return (Path(folder) / "run.zip").read_bytes()


KINDS = {
    "corpus": _corpus, "sound": _sound, "checkpoint": _checkpoint, "record": _record, "idx": _idx, "pickle": _pickle,
    "toml": _toml, "pack": _pack,
}  # fmt: skip

if __name__ == "__main__":
    main()
