"""Toys: a small corpus and a tiny run of each recipe, made by the command line, on which the torture tests work."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from experiments.proofs.fault_parts import RATE_HZ, music
from rnnaudio.audio import write_wav
from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.record import SavedRun
from rnnaudio.training import checkpoint

ROOT = Path(__file__).parents[3]
SHORTENED = Path(__file__).with_name("shortened.py")
N_PIECES, SECONDS = 3, 4.0
N_UPDATES = 24
SETTINGS = {
    "frames": "--frame-size 40 --n-steps 5 --batch-size 2 --n-units 6 --validate-every 6",
    "codes": "--n-components 8 --n-codes 12 --n-units 8 --n-steps 8 --batch-size 4 --transpose --validate-every 6",
    "samples": "--frames 16 4 --window 4 --n-units 8 --n-components 2 --n-taps 4 --batch-size 4 --n-steps 64 "
    "--validate-every 6 --n-valid 256 --valid-stretches 3",
}
TIME_LIMIT_S = 600.0


class Ended(NamedTuple):
    """The end of a process: its exit status, its output, and the seconds that it took."""

    status: int
    output: str
    seconds: float

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.output


class Process:
    """A process that runs a command of ``rnnaudio``, with ``folder`` as its working directory.

    words: the arguments of the command. environment: further variables. limits: function that is called in the child
    before the command starts, for example to set resource limits.
    """

    def __init__(
        self,
        words: Sequence[object],
        folder: Path,
        environment: dict[str, str] | None = None,
        limits: Callable[[], None] | None = None,
    ):
        self._output = (folder / f".output-{time.monotonic_ns()}").open("w+b")
        os.unlink(self._output.name)
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rnnaudio", *map(str, words)],
            cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}), stdin=subprocess.DEVNULL,
            stdout=self._output, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=limits,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def kill_after(self, seconds: float) -> Ended:
        """Kill the process group by SIGKILL after ``seconds`` if it still runs; returns how it ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, 9)
        return self.end()

    def end(self, limit_s: float = TIME_LIMIT_S) -> Ended:
        """Wait until the process ends; its group is killed after ``limit_s`` seconds, and its status is then -9."""
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, 9)
            self._process.wait()
        self._output.seek(0)
        output = self._output.read().decode(errors="replace")
        self._output.close()
        return Ended(self._process.returncode, output, time.monotonic() - self._started)


def run(words: Sequence[object], folder: Path, **options: Any) -> Ended:
    """Run a command line to its end."""
    return Process(words, folder, **options).end()


def must(words: Sequence[object], folder: Path, **options: Any) -> Ended:
    """Run a command line that must succeed; RnnaudioError if it does not."""
    ended = run(words, folder, **options)
    if ended.status:
        raise RnnaudioError(f"`rnnaudio {' '.join(map(str, words))}` ended with {ended.status}: {ended.output[-500:]}")
    return ended


def train_words(recipe: str, run_dir: str = "run", *further: object) -> list[object]:
    """The command that trains a tiny run on ``corpus.h5``; limited by updates, not by time, it is repeatable."""
    limits = ["--max-updates", N_UPDATES, "--minutes", 1000, "--import", SHORTENED]
    return ["train", "corpus.h5", run_dir, "--recipe", recipe, *SETTINGS[recipe].split(), *limits, *further]


def make_sounds(folder: Path) -> None:
    """Write three pieces of notes, 4 s each at 8 kHz, to ``folder/sounds``."""
    (folder / "sounds").mkdir(parents=True)
    for seed in range(N_PIECES):
        audio = 0.1 * music(np.random.default_rng(seed), SECONDS)
        write_wav(folder / "sounds" / f"{seed}.wav", audio.astype(np.float32), RATE_HZ)


def build_words(out: str = "corpus.h5", *further: object) -> list[object]:
    """The command that builds a corpus of ``sounds``."""
    return ["corpus", "build", "sounds", out, "--sample-rate-hz", RATE_HZ, *further]


def make_toys(folder: Path) -> Path:
    """Make the toys in ``folder``, and return it; RnnaudioError if a command fails.

    They are ``sounds``, ``corpus.h5`` and ``float.h5`` (float32), an uninterrupted run of each recipe in a folder of
    the recipe's name, and ``out.wav``, generated by ``samples``.
    """
    print("training a run of each recipe, undisturbed ...", flush=True)
    make_sounds(folder)
    must(build_words(), folder)
    must(build_words("float.h5", "--dtype", "float32"), folder)
    for recipe in SETTINGS:
        must(train_words(recipe, recipe), folder)
    must(["generate", "samples", "out.wav", "--seconds", 2, "--import", SHORTENED], folder)
    return folder


def copied(source: Path, target: Path, *names: str) -> Path:
    """Empty the folder ``target``, copy files and folders of ``source`` to it, and return it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in names:
        copy: Any = shutil.copytree if (source / name).is_dir() else shutil.copy2
        copy(source / name, target / name)
    return target


def write_checkpoint(path: Path, arrays: Mapping[str, Array], record: str) -> None:
    """Write a checkpoint with a matching checksum, but without validation; delete the previous one beside it."""
    for previous in path.parent.glob("*previous*"):
        previous.unlink()
    metadata = {"format": checkpoint.FORMAT, "record": record, "checksum": checkpoint.checksum(record, arrays)}
    path.write_bytes(safetensors.numpy.save(dict(arrays), metadata))


def names_in(folder: Path) -> set[str]:
    """All files below a folder, hidden ones included."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def difference_of_runs(one: Path, other: Path) -> str:
    """The first difference between two finished runs: parameters, optimiser, history; empty if all bits are equal."""
    a, b = SavedRun.read(one), SavedRun.read(other)
    if a.checkpoint.arrays.keys() != b.checkpoint.arrays.keys():
        return "other arrays"
    for name, array in a.checkpoint.arrays.items():
        if array.tobytes() != b.checkpoint.arrays[name].tobytes():
            return f"{name} differs"
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.record["history"]] for r in (a, b)]
    return "" if json.dumps(rows[0]) == json.dumps(rows[1]) else "the history differs"
