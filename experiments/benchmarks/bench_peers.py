"""The training steps that ``experiments.benchmarks.bench`` compares; each peer is a server process.

    python -m experiments.benchmarks.bench_peers PEER CELL I H T B LAYERS

Each line of standard input is a number of steps; the peer runs them and prints their durations, in s, as a JSON list.
A step is forward and backward pass, clipping by the global norm and RMSprop, float32. The model has LAYERS layers of H
units, lstm or gru, and a Dense read-out; its cost is the mean squared error on T frames of I samples in B sequences.
The memory-lstm of 2016 has I units and LAYERS memories, noise in all its layers, and the blog's read-out, an MLP with
one hidden layer.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Point(NamedTuple):
    n_in: int
    n_units: int
    n_steps: int
    n_batch: int
    n_layers: int

    def sizes(self) -> list[int]:
        """Widths of the input and of each layer."""
        return [self.n_in, *[self.n_units] * self.n_layers]

    def frames(self) -> np.ndarray:
        """Standard normal frames (T + 1, B, I), from which input and target are taken."""
        rng = np.random.default_rng(2016)
        return rng.standard_normal((self.n_steps + 1, self.n_batch, self.n_in)).astype("float32")


Step = Callable[[], float]  # does one step, returns the loss


NOISE_STD = 0.005  # of the memory LSTM, as in 2016


def rnnaudio_step(point: Point, cell: str) -> Step:
    from rnnaudio.data import Batch
    from rnnaudio.nn import GRU, LSTM, Dense, Layer, MemoryLSTM, Sequential
    from rnnaudio.objectives import predict_next
    from rnnaudio.optimizers import RMSprop
    from rnnaudio.training import TrainStep

    rng, n = np.random.default_rng(0), point.n_units
    layers: list[Layer]
    if cell == "memory-lstm":
        layers = [MemoryLSTM(n, point.n_layers, rng=rng, noise_std=NOISE_STD)]
        layers.append(Dense(point.n_layers * n, 2 * n, rng=rng, activation="relu"))
        n = 2 * n
    else:
        make = {"lstm": LSTM, "gru": GRU}[cell]
        layers = [make(n_in, n_out, rng=rng) for n_in, n_out in pairwise(point.sizes())]
    model = Sequential([*layers, Dense(n, point.n_in, rng=rng)])
    step = TrainStep(model, predict_next, RMSprop(1e-3, max_gradient_norm=1.0), seed=0)
    batch = Batch(point.frames(), np.ones(point.n_batch, bool))
    return lambda: step(batch, None, learning_rate=1e-3, update=0).loss


def torch_step(point: Point, cell: str, *, compiled: bool = False) -> Step:
    import torch

    from experiments.benchmarks.torch_models import MemoryLSTM, Recurrent

    torch.manual_seed(0)
    if cell == "memory-lstm":
        model: torch.nn.Module = MemoryLSTM(point.n_units, point.n_layers, NOISE_STD, compiled)
    else:
        model = Recurrent(cell, point.n_in, point.n_units, point.n_layers)
    parameters = list(model.parameters())
    optimizer = torch.optim.RMSprop(parameters, 1e-3, 0.9, foreach=True)  # faster than its default
    frames = torch.from_numpy(point.frames())
    x, target = frames[:-1], frames[1:]

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(model(x), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def jax_step(point: Point, cell: str) -> Step:
    from experiments.benchmarks.bench_jax import prepare

    return prepare(point.sizes(), point.frames(), cell)


PEERS: dict[str, Callable[[Point, str], Step]] = {
    "rnnaudio": rnnaudio_step, "torch": torch_step, "torch-compiled": partial(torch_step, compiled=True),
    "jax": jax_step,
}  # fmt: skip


def serve(step: Step, *words: str) -> None:
    """Run as many steps as each line of standard input requests, and print their durations, in s, as a JSON list.

    Before that, one step is run, which compiles, and a line with ``ready`` and the words is printed.
    """
    step()
    print("ready", *words, flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            started = time.perf_counter()
            step()
            times.append(time.perf_counter() - started)
        print(json.dumps(times), flush=True)


def main() -> None:
    """Build the model named on the command line, and run its steps on demand."""
    peer, cell, *numbers = sys.argv[1:]
    serve(PEERS[peer](Point(*map(int, numbers)), cell))


if __name__ == "__main__":
    main()
