"""Fuzzing guided by coverage: inputs that execute new code of ours are kept and mutated further (Atheris, libFuzzer).

Each target runs in a separate process (:mod:`experiments.proofs.torture.guided_worker`), with limits of 5 s for each
input and of 1000 MB for the process. As in the part ``fuzz``, each input must be read, or refused with an error of
one line. Corpora are not among the targets, because HDF5, whose code is not ours, reads them in a separate process;
nor are the files of MNIST, which are read only if their SHA-256 or MD5 sum is right.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count

RUNS = {"record": 3000, "settings": 20_000, "ogg": 20_000, "flac": 20_000}
DEEP = ("record", "settings")  # whose mutations nest deeply
LIMIT_S, MOST_MB = 5, 1000  # of the whole process: some 300 MB are there before the first input
FAILED = toys.ROOT / "build" / "torture"  # inputs that failed, by target
WITHOUT_ATHERIS = "fuzzing guided by coverage needs Atheris, which is not installed: pip install '.[fuzz]'"


def has_atheris() -> bool:
    """Return True if Atheris is installed."""
    return find_spec("atheris") is not None


def guided(source: Path, folder: Path, share: float = 1.0) -> Count:
    """Try ``share`` of the inputs of each target, but at least 20.

    A target counts as one case and ends at its first failing input, which is saved in FAILED. source: the folder of
    the toys. folder: where inputs and working files are written.
    """
    count = Count("guided")
    for target, n in RUNS.items():
        kept, work, failed = folder / target, folder / f"{target}-work", FAILED / target
        for made in (kept, work, failed):
            made.mkdir(parents=True, exist_ok=True)
        n_runs = max(20, round(n * share))
        process = subprocess.run(
            [
                sys.executable, "-m", "experiments.proofs.torture.guided_worker",
                str(source), target, str(kept), str(work), "-seed=17", f"-runs={n_runs}",
                f"-timeout={LIMIT_S}", f"-rss_limit_mb={MOST_MB}",
                f"-max_len={500_000 if target in DEEP else 4096}", f"-artifact_prefix={failed}/",
            ],
            cwd=toys.ROOT, env=os.environ | {"PYTHONPATH": str(toys.ROOT)}, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        done = re.search(r"Done (\d+) runs", process.stdout)
        coverage = [int(found) for found in re.findall(r" cov: (\d+) ", process.stdout)]
        fault = "" if done and process.returncode == 0 else f"status {process.returncode}: {process.stdout[-1500:]}"
        count.add(target, fault)
        count.figures[target] = {
            "inputs": int(done[1]) if done else 0,
            "coverage_at_first": coverage[0] if coverage else 0,
            "coverage": coverage[-1] if coverage else 0,
        }
        print(f"guided {target}: {count.figures[target]}", flush=True)
    return count
