"""Resident memory of training, ours and PyTorch's: the peak of a process that does nothing but train a model.

    rnnaudio bench --memory [--quick]

For frames, the model is that of the third point of the benchmark's grid; for codes and samples, it is that of
:mod:`experiments.benchmarks.models`. The peak is the system's count for the process, libraries included
(``ru_maxrss``). Each process is started by a small one, because on Linux the peak of a process is at least that of the
process that started it. The third column is a whole command ``rnnaudio train`` with three updates of the same recipe,
at the recipe's default sizes, corpus and report included.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.benchmarks.bench_peers import Point
from experiments.benchmarks.peers import command_of, environment_of
from experiments.shared.records import record
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError

POINT = Point(200, 200, 60, 64, 3)
N_STEPS = 5
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
# Runs a command whose standard input is its own, and prints the peak of the command's resident memory.
LAUNCHER = """
import os, resource, sys
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
status = os.wait4(child, 0)
print("peak", status[2].ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status[1]) != 0)
"""
TRAIN = ("--max-updates", "3", "--no-diagnose")


def peak_bytes(command: Sequence[str], environment: dict[str, str], given: str = "") -> int:
    """Peak resident memory of a command, in bytes; given: its standard input. RnnaudioError if the command fails."""
    launcher = [sys.executable, "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launcher, env=environment, input=given, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RnnaudioError(f"{' '.join(command[:4])} ... failed; its errors are printed above")
    return int(done.stdout.split()[-1]) * UNIT


def of_peer(name: str, kind: str, size: str, setup: Path) -> int:
    """Peak memory, in bytes, of a process that trains a model for five steps after the first.

    name: ``rnnaudio`` or ``torch``. kind: ``frames``, ``codes`` or ``samples``. setup: the file that ``rnnaudio``
    writes and ``torch`` reads, except for frames.
    """
    if kind == "frames":
        point = POINT if size == "full" else Point(4, 3, 2, 2, 1)
        command = command_of(name, "bench_peers", ["lstm", *map(str, point)])
    else:
        command = command_of(name, "model_peers", [kind, size, str(setup), "cpu"])
    return peak_bytes(command, environment_of(name), f"{N_STEPS}\n")


def of_command(recipe: str, folder: Path, extra: Sequence[str] = ()) -> int:
    """Peak memory, in bytes, of ``rnnaudio train`` with three updates on the piano in the package."""
    corpus = build_demo_corpus(folder / f"{recipe}.h5", more=True)
    arguments = ["train", str(corpus), str(folder / recipe), "--recipe", recipe, *TRAIN, *extra]
    return peak_bytes([sys.executable, "-m", "rnnaudio", *arguments], dict(os.environ))


def measure(kind: str, size: str = "full", peers: Sequence[str] = ("rnnaudio", "torch")) -> dict[str, Any]:
    """Measure one kind of model; returns a row of the table, in bytes."""
    with TemporaryDirectory() as folder:
        row: dict[str, Any] = {"kind": kind}
        for name in peers:
            row[name] = of_peer(name, kind, size, Path(folder) / "setup.npz")
        return row


def as_line(row: dict[str, Any]) -> str:
    """Format a row of the table, in MB."""
    figures = [row[name] / 1e6 for name in ("rnnaudio", "torch", "command") if name in row]
    ratio = f"x{row['torch'] / row['rnnaudio']:5.2f}" if "torch" in row else ""
    return f"{row['kind']:10} " + " ".join(f"{figure:10.0f}" for figure in figures) + f" {ratio}"


def measure_all(quick: bool) -> None:
    """Measure, print the table and, unless quick, record it. quick: tiny models, and no whole command."""
    print(f"{'MB':10} {'rnnaudio':>10} {'torch':>10}" + ("" if quick else f" {'train':>10}"))
    rows = []
    for kind in ("frames", "codes", "samples"):
        row = measure(kind, "tiny" if quick else "full")
        if not quick:
            with TemporaryDirectory() as folder:
                row["command"] = of_command(kind, Path(folder))
        print(as_line(row), flush=True)
        rows.append(row)
    if not quick:
        record("bench-memory", {"rows": rows})
