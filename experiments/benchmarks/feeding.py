"""Time spent waiting for batches in training, and memory of a run, which must not grow with its length or corpus.

    rnnaudio experiment run feeding [--quick] [--updates 10000]

Waiting: at each point of ``experiments.benchmarks.bench``, the share of time that is spent waiting for the batch,
which a thread prepares in advance, and the time needed to prepare it. Memory: the resident memory of processes that
train a small model on 10 and on 100 minutes of white noise, after a tenth of the updates and at the end.
"""

import gc
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from experiments.benchmarks.bench import GRID, QUICK
from experiments.benchmarks.bench_peers import Point
from experiments.shared.options import command
from experiments.shared.records import record
from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.data import AudioCorpus, RandomWindows
from rnnaudio.data.corpus_build import Recording, build_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import LSTM, Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import RMSprop
from rnnaudio.training import EarlyStopping, Limits, TrainStep, train
from rnnaudio.training.prefetch import prefetched

RATE_HZ = 16_000
MEBIBYTE = 1 << 20


def make_corpus(path: Path, minutes: int) -> Path:
    """Write a corpus of white noise at 16 kHz; returns its path.

    There are ``minutes`` training pieces, and one each for validation and test. All hold the same minute of noise.
    """
    audio = np.random.default_rng(2016).uniform(-0.5, 0.5, 60 * RATE_HZ).astype("float32")
    splits = ["train"] * minutes + ["valid", "test"]
    recordings = [
        Recording(str(k), "white noise", "none", split, lambda: (audio, RATE_HZ)) for k, split in enumerate(splits)
    ]
    build_corpus(recordings, path, sample_rate_hz=RATE_HZ, progress=False, cleaning=AS_IT_IS)
    return path


def lstm(point: Point) -> Sequential:
    """LSTM layers with a Dense read-out, with the sizes of a point."""
    rng = np.random.default_rng(0)
    sizes = [point.n_in, *[point.n_units] * point.n_layers]
    layers = [LSTM(n_in, n_out, rng=rng) for n_in, n_out in pairwise(sizes)]
    return Sequential([*layers, Dense(point.n_units, point.n_in, rng=rng)])


def windows(corpus: AudioCorpus, point: Point) -> RandomWindows:
    """A batcher of random windows with the sizes of a point."""
    return RandomWindows(
        corpus.train, frame_size=point.n_in, n_steps=point.n_steps, batch_size=point.n_batch, seed=2016
    )


def waiting(corpus: AudioCorpus, point: Point, seconds: float) -> dict[str, Any]:
    """Median milliseconds of a step, of preparing a batch, and of waiting for one in training.

    ``share`` is the time spent waiting over that of waiting and steps together. seconds: duration of the measurement.
    """
    step = TrainStep(lstm(point), predict_next, RMSprop(1e-3, max_gradient_norm=1.0), seed=0)
    batches = windows(corpus, point)
    step(batches.batch(0), None, learning_rate=1e-3, update=0)
    alone: list[float] = []
    waits: list[float] = []
    steps: list[float] = []
    for index in range(20):
        began = time.perf_counter()
        batches.batch(index)
        alone.append(time.perf_counter() - began)
    until = time.perf_counter() + seconds
    with prefetched(batches.batch, range(1_000_000)) as coming:
        while time.perf_counter() < until or len(steps) < 8:
            began = time.perf_counter()
            batch = next(coming)
            got = time.perf_counter()
            step(batch, None, learning_rate=1e-3, update=len(steps))
            waits.append(got - began)
            steps.append(time.perf_counter() - got)
    share = sum(waits[1:]) / (sum(waits[1:]) + sum(steps[1:]))  # nothing was prepared ahead of the first
    times = {"step_ms": steps[1:], "preparing_alone_ms": alone, "waiting_ms": waits[1:]}
    medians = {name: 1e3 * float(np.median(seconds)) for name, seconds in times.items()}
    return {"point": point._asdict(), "share": share, **medians}


def resident_mebibytes() -> float:
    """The resident memory of this process in MiB; Linux only."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / MEBIBYTE


def train_here(path: str, updates: int) -> None:
    """Train a small model; print the resident memory after a tenth of the updates and at the end."""
    point = Point(200, 50, 16, 16, 1)
    seen = []

    def look(update: int) -> None:
        if update in (updates // 10, updates - 1):
            seen.append(resident_mebibytes())

    with AudioCorpus.open(Path(path)) as corpus, TemporaryDirectory() as run_dir:
        batches = windows(corpus, point)
        limits = Limits(updates, validate_every=max(1, updates // 10))
        train(
            lstm(point), predict_next, batches, [batches.batch(0)], optimizer=RMSprop(), limits=limits,
            stopping=EarlyStopping(10**6), run_dir=Path(run_dir), on_update=look, on_validation=lambda row: None,
        )  # fmt: skip
    print(*seen)


def memory(path: Path, updates: int) -> dict[str, float]:
    """Resident memory of a run after a tenth of the updates and at the end, and size of the corpus file, in MiB.

    It is measured in a new process; RnnaudioError if that fails.
    """
    code = f"from experiments.benchmarks.feeding import train_here; train_here({str(path)!r}, {updates})"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RnnaudioError("the run failed; its errors are printed above")
    after_a_tenth, at_the_end = map(float, done.stdout.split()[-2:])
    return {"after_a_tenth": after_a_tenth, "at_the_end": at_the_end, "corpus": path.stat().st_size / MEBIBYTE}


def measure_all(updates: int = 10_000, quick: bool = False) -> None:
    """Measure; print the tables and, unless quick, record them.

    Args:
        updates: the number of updates of each run whose memory is measured.
        quick: three points of the grid, 300 updates at most; two minutes.
    """
    updates = min(updates, 300) if quick else updates
    with TemporaryDirectory() as folder:
        small, large = (make_corpus(Path(folder) / f"{minutes}.h5", minutes) for minutes in (10, 100))
        print(f"{'I H T B layers':>22} {'step':>9} {'alone':>9} {'waiting':>9} {'share':>7}")
        rows = []
        with AudioCorpus.open(large) as corpus:
            for point in QUICK if quick else GRID:
                rows.append(row := waiting(corpus, point, 1.0 if quick else 5.0))
                times = [row[f"{name}_ms"] for name in ("step", "preparing_alone", "waiting")]
                shown = "  ".join(f"{ms:6.2f}ms" for ms in times)
                print(f"{', '.join(map(str, point)):>22}  {shown} {row['share']:7.2%}", flush=True)
        runs = [memory(path, updates) for path in (small, large)]
    for run in runs:
        shown = f"{run['after_a_tenth']:6.1f} -> {run['at_the_end']:6.1f} MiB"
        print(f"corpus of {run['corpus']:6.1f} MiB: {shown} from update {updates // 10} to {updates}")
    if not quick:
        record("feeding", {"rows": rows, "updates": updates, "resident_mebibytes": runs})


main = command(measure_all)
