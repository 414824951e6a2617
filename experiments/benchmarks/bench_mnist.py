"""Seconds per epoch of the blog's MNIST network (784-100-10 relu, SGD, batches of 1000), compared with PyTorch.

    rnnaudio experiment run bench-mnist

``torch``: batches are slices of one tensor, the fastest possible way. ``torch-loader``: batches come from a DataLoader
over a TensorDataset. Each peer runs in a separate process; they take turns. An epoch has 50 updates. Ours also compute
errors, gradient norms and update ratios, as in all training.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from experiments.blog_2016.mnist import DATA, SETTINGS
from experiments.shared.options import command
from experiments.shared.records import record
from rnnaudio.data import fetch_mnist, load_mnist

PEERS = ("rnnaudio", "torch", "torch-loader")
Epoch = Callable[[], float]  # trains for an epoch, returns the last loss


def rnnaudio_epoch(images: np.ndarray, labels: np.ndarray) -> Epoch:
    from rnnaudio.data.minibatches import Minibatches
    from rnnaudio.objectives import Classification
    from rnnaudio.training import TrainStep

    setting = SETTINGS["blog"]
    batches = Minibatches(images, labels, setting.batch_size, seed=0, shuffle=setting.shuffle)
    step = TrainStep(setting.model(np.random.default_rng(0)), Classification(), setting.optimizer, seed=0)

    def epoch() -> float:
        for index in range(batches.batches_per_epoch):
            loss = step(batches.batch(index), None, learning_rate=0.3, update=index).loss
        return loss

    return epoch


def torch_epoch(images: np.ndarray, labels: np.ndarray, *, loader: bool) -> Epoch:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(784, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    tensors = torch.from_numpy(images), torch.from_numpy(labels)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=1000)

    def epoch() -> float:
        for x, y in data if loader else zip(*(t.split(1000) for t in tensors), strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            value = float(loss.detach())
        return value

    return epoch


def serve(peer: str) -> None:
    """Train an epoch, then another for each line of standard input, whose duration in seconds is printed."""
    data = load_mnist(fetch_mnist(DATA)).train
    images, labels = data.images, data.labels.astype("int64")
    loader = peer == "torch-loader"
    epoch = rnnaudio_epoch(images, labels) if peer == "rnnaudio" else torch_epoch(images, labels, loader=loader)
    epoch()
    for _ in sys.stdin:
        started = time.perf_counter()
        epoch()
        print(json.dumps(time.perf_counter() - started), flush=True)


class Peer:
    """A process that trains epochs on demand. name: one of PEERS."""

    def __init__(self, name: str):
        command = [sys.executable, "-c", f"from experiments.benchmarks.bench_mnist import serve; serve({name!r})"]
        self._process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def seconds(self) -> float:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def measure_all(turns: int = 15) -> None:
    """Measure, print and record.

    Args:
        turns: the number of timed epochs of each peer.
    """
    peers = {name: Peer(name) for name in PEERS}
    for peer in peers.values():
        peer.seconds()
    rounds = [{name: peer.seconds() for name, peer in peers.items()} for _ in range(turns)]
    for peer in peers.values():
        peer.close()
    rows = {}
    for name in PEERS:
        ratio = float(np.median([times[name] / times["rnnaudio"] for times in rounds]))
        seconds = [times[name] for times in rounds]
        rows[name] = {"seconds": float(np.median(seconds)), "lowest": min(seconds), "ratio": ratio}
        print(f"{name:12} {1e3 * rows[name]['seconds']:7.1f} ms an epoch, x {ratio:.2f}")
    record("bench-mnist", {"rows": rows})


main = command(measure_all)
