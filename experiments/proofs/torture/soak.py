"""A long run, observed from another process: its memory, open descriptors and threads must not grow."""

import time
from pathlib import Path

import numpy as np

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count
from experiments.shared.records import FOLDER
from rnnaudio import plots

EVERY_S = 1.0
START_S = 20.0  # compiling, first validation
MOST_GROWTH = 0.05


def soak(source: Path, folder: Path, seconds: float, *, plot: bool) -> Count:
    """Train a run for ``seconds``, with frequent validation and saving, and read /proc once a second (Linux only).

    From the first to the last third of the time after the start, no median may grow by more than 5 %. plot: whether to
    replace the picture beside the record.
    """
    count = Count("soak")
    toys.copied(source, folder, "corpus.h5")
    limits = ["--max-updates", 10**9, "--minutes", seconds / 60.0, "--patience", 10**9]
    words = toys.train_words("frames", "run", *limits)
    process, rows = toys.Process(words, folder), list[tuple[float, ...]]()
    started = time.monotonic()
    while process.runs and time.monotonic() - started < seconds:
        state = _state(process.pid)
        if state:
            rows.append((time.monotonic() - started, *state))
        time.sleep(EVERY_S)
    ended = process.end()
    table = np.array(rows)
    lasted = table[-1, 0]
    count.add("it lasts", "" if lasted > 0.9 * seconds else f"{lasted:.0f} of {seconds:.0f} s: {ended.output[-300:]}")
    count.figures |= {"columns": ["seconds", "MB", "descriptors", "threads"], "rows": _thinned(table)}
    count.add("it ends as asked", "" if ended.status == 0 else f"status {ended.status}: {ended.output[-300:]}")
    steady = table[table[:, 0] > min(START_S, table[-1, 0] / 3)]
    for k, name in enumerate(("memory", "descriptors", "threads"), start=1):
        thirds = np.array_split(steady[:, k], 3)
        first, last = np.median(thirds[0]), np.median(thirds[-1])
        count.add(name, f"{first:g} at first, {last:g} at last" if last > first * (1.0 + MOST_GROWTH) else "")
    if plot:
        plots.soak(table, FOLDER / "pictures" / "torture-soak.png")
    return count


def _state(pid: int) -> tuple[float, ...]:
    """Resident memory in MB, open descriptors and threads of a process; empty if it has just ended."""
    folder = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    if "VmRSS" not in fields:
        return ()
    memory_mb, n_descriptors = float(fields["VmRSS"].split()[0]) / 1024.0, len(list((folder / "fd").iterdir()))
    return memory_mb, float(n_descriptors), float(fields["Threads"])


def _thinned(table: np.ndarray, most: int = 60) -> list[list[float]]:
    return [[round(float(x), 1) for x in row] for row in table[:: max(1, len(table) // most)]]
