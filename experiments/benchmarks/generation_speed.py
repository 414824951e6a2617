"""The speed of generation: one stream on one thread, and 16 streams on all threads.

    rnnaudio experiment run bench-generation [--quick] [--cells lstm gru]

The model has 3 layers of 300 units and a Dense read-out, float32, with frames of 200 samples at 16 kHz: real time is
80 frames per second and stream. The compiled loop of `rnnaudio generate` is compared with a graph of the same step,
with the products of the kernels (graph) or of the engine (scan), and, if PyTorch is installed, with PyTorch's layers
stepped in inference mode, all on the same number of threads. They take turns, so that other load on the machine
affects all of them. A figure is the median over the turns; the slowest and fastest turns are recorded, too.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from experiments.shared.options import command
from experiments.shared.records import record
from rnnaudio import engine
from rnnaudio.generation import Stepper, generate_streams
from rnnaudio.kernels import threads
from rnnaudio.nn import GRU, LSTM, Dense, Layer, Sequential

FRAME, SIZES = 200, (200, 300, 300, 300)
FRAMES_PER_SECOND = 80  # 16 kHz / 200
MANY = 16

Play = Callable[[int], float]  # generates so many frames; the seconds they took


def build(cell: str) -> Layer:
    """The model with its initial weights, as speed does not depend on training."""
    rng = np.random.default_rng(2016)
    make = {"lstm": LSTM, "gru": GRU}[cell]
    layers: list[Layer] = [make(n_in, n_out, rng=rng) for n_in, n_out in pairwise(SIZES)]
    return Sequential([*layers, Dense(SIZES[-1], FRAME, rng=rng)])


def first_frames(n_streams: int) -> np.ndarray:
    """Standard normal frames (n_streams, FRAME)."""
    return np.random.default_rng(0).standard_normal((n_streams, FRAME)).astype("float32")


def compiled_play(cell: str, n_streams: int) -> Play:
    """The compiled loop that `rnnaudio generate` uses."""
    stepper, seeds = Stepper(build(cell)), first_frames(n_streams)
    return lambda n_frames: generate_streams(stepper, seeds, n_samples=n_frames * FRAME)[0].seconds


def graph_play(cell: str, n_streams: int, kernel: str) -> Play:
    """A graph of the engine that is called once per frame and returns the new state."""
    with engine.using_kernel(kernel):
        stepper = Stepper(build(cell))

    def play(n_frames: int) -> float:
        x, state = first_frames(n_streams), stepper.start(n_streams)
        frames = np.empty((n_frames, n_streams, FRAME), "float32")
        started = time.perf_counter()
        for frame in frames:
            x, state = stepper(x, state)
            frame[...] = x
        return time.perf_counter() - started

    return play


def torch_play(cell: str, n_streams: int) -> Play:
    """The layers of torch.nn, called once per frame."""
    import torch

    recurrent = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](FRAME, SIZES[-1], len(SIZES) - 1)
    readout = torch.nn.Linear(SIZES[-1], FRAME)

    def play(n_frames: int) -> float:
        torch.set_num_threads(threads.n_threads())
        frames, state = torch.empty(n_frames, n_streams, FRAME), None
        x = torch.from_numpy(first_frames(n_streams))[None]
        started = time.perf_counter()
        with torch.inference_mode():
            for k in range(n_frames):
                y, state = recurrent(x, state)
                x = readout(y)
                frames[k] = x[0]
        return time.perf_counter() - started

    return play


@contextmanager
def _on_threads(n: int) -> Iterator[None]:
    before = threads.n_threads()
    threads.set_n_threads(n)
    try:
        with threadpool_limits(n):
            yield
    finally:
        threads.set_n_threads(before)


def measure(cell: str, n_streams: int, n_threads: int, turns: int, turn_seconds: float) -> dict[str, Any]:
    """Measure the speed of each way to generate, in turns of about ``turn_seconds``; returns a row of the table.

    For each way the row has the median, lowest and highest seconds per step of all streams, frames per second of all
    streams together, and these as a multiple of one stream in real time.
    """
    makers: dict[str, Callable[[str, int], Play]] = {
        "rnnaudio": compiled_play,
        "graph": partial(graph_play, kernel="fused"),
        "scan": partial(graph_play, kernel="scan"),
    }
    if importlib.util.find_spec("torch"):
        makers["torch"] = torch_play
    row: dict[str, Any] = {"cell": cell, "streams": n_streams, "threads": n_threads}
    with _on_threads(n_threads):
        players = {name: make(cell, n_streams) for name, make in makers.items()}
        lengths = {}
        for name, play in players.items():
            play(5)
            lengths[name] = max(5, round(5 * turn_seconds / play(5)))
        rounds = [{name: play(lengths[name]) / lengths[name] for name, play in players.items()} for _ in range(turns)]
    for name in players:
        seconds = [times[name] for times in rounds]  # of one step of all streams
        row[name] = {"step_seconds": float(np.median(seconds)), "lowest": min(seconds), "highest": max(seconds)}
        row[name]["frames_per_second"] = n_streams / row[name]["step_seconds"]
        row[name]["times_real_time"] = row[name]["frames_per_second"] / FRAMES_PER_SECOND
    return row


def described(row: dict[str, Any], name: str) -> str:
    """Text: speed as a multiple of real time, and microseconds per step in the fastest and the slowest turn."""
    figures = row[name]
    low, high = 1e6 * figures["lowest"], 1e6 * figures["highest"]
    return f"{name} x{figures['times_real_time']:.0f} ({low:.0f} to {high:.0f} us)"


def measure_all(cells: tuple[str, ...] = ("lstm", "gru"), quick: bool = False) -> None:
    """Measure; print a table and, unless quick, record it.

    Args:
        cells: lstm, gru.
        quick: few and short turns; a few seconds.
    """
    rows = []
    print("cell streams threads  times real time, median (microseconds a step, fastest to slowest turn)")
    for cell in cells:
        for n_streams, n_threads in ((1, 1), (MANY, threads.n_threads())):
            row = measure(cell, n_streams, n_threads, 5 if quick else 25, 0.05 if quick else 0.2)
            rows.append(row)
            figures = [described(row, name) for name in ("rnnaudio", "graph", "scan", "torch") if name in row]
            print(f"{cell:4} {n_streams:7} {n_threads:7}  " + "  ".join(figures), flush=True)
    if not quick:
        record("generation-speed", {"rows": rows})


main = command(measure_all)
