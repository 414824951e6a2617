"""Fuzzing with about 10,000 mutated files of eight kinds: each must be read, or refused with an error of one line.

Worker processes (:mod:`experiments.proofs.torture.fuzz_worker`) read the files. A case fails with any other error,
with a crash, if it takes more than 5 s, or if the peak memory of its worker exceeds 500 MB. A case is a pure function
of (kind, seed) and of the toys.
"""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count

KINDS = {"corpus": 5000, "sound": 2000, "checkpoint": 1000, "record": 1000, "idx": 250, "pickle": 250, "toml": 500,
         "pack": 500}  # fmt: skip
LIMIT_S, MOST_MB = 5.0, 500.0


def fuzz(source: Path, share: float = 1.0) -> Count:
    """Try ``share`` of the cases of each kind, two workers at a time. source: the folder of the toys."""
    count, lock, parts = Count("fuzz"), threading.Lock(), list[tuple[str, range]]()
    for kind, n in KINDS.items():
        n = max(1, round(n * share))
        parts += [(kind, range(n // 2)), (kind, range(n // 2, n))]
    counts: Counter[str] = Counter()
    for both in zip(parts[::2], parts[1::2], strict=True):
        arguments = [(source, *part, count, counts, lock) for part in both]
        threads = [threading.Thread(target=_tried, args=one, daemon=True) for one in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    count.figures["outcomes"] = dict(sorted(counts.items()))
    return count


def _tried(source: Path, kind: str, seeds: range, count: Count, counts: Counter[str], lock: threading.Lock) -> None:
    """Try cases in a worker process; after a crash or hang, a new one continues with the next case."""
    left = seeds
    while left:
        done = 0
        for line in _worker(source, kind, left):
            done += 1
            row = json.loads(line)
            fault = row["fault"]
            fault = fault or (f"{row['seconds']:.1f} s" if row["seconds"] > LIMIT_S else "")
            fault = fault or (f"{row['mb']:.0f} MB" if row["mb"] > MOST_MB else "")
            with lock:
                counts[f"{kind} {row['outcome']}"] += 1
                count.add(f"{kind} {row['seed']}", fault)
        if done < len(left):
            with lock:
                counts[f"{kind} crash or hang"] += 1
                count.add(f"{kind} {left[done]}", "the process crashed or took far too long")
            done += 1
        left = left[done:]


def _worker(source: Path, kind: str, seeds: range) -> Iterator[str]:
    """Yield the lines that a worker prints for these cases.

    The worker is killed if a case takes four times LIMIT_S, or if the first, with the imports, takes 60 s.
    """
    command = [sys.executable, "-m", "experiments.proofs.torture.fuzz_worker", str(source), kind]
    process = subprocess.Popen(
        [*command, str(seeds.start), str(seeds.stop)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=toys.ROOT, env=os.environ | {"PYTHONPATH": str(toys.ROOT)},
    )  # fmt: skip
    assert process.stdout
    timer = threading.Timer(60.0, process.kill)  # its imports, too
    timer.start()
    for line in process.stdout:
        timer.cancel()
        yield line
        timer = threading.Timer(4.0 * LIMIT_S, process.kill)
        timer.start()
    timer.cancel()
    process.wait()
