"""A process that trains a model of the benchmark: started by :mod:`experiments.benchmarks.peers`, not by hand.

    python -m experiments.benchmarks.model_peers PEER MODEL SIZE SETUP.npz DEVICE

It prints ``ready`` and the loss. Then each line of standard input is a number of steps; it runs them and prints the
seconds of each step as a JSON list. The peer ``rnnaudio`` writes SETUP.npz, and ``torch`` builds its model from that
file, on DEVICE.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.benchmarks.bench_peers import serve


def rnnaudio_model(model: str, size: str, setup: Path, device: str) -> tuple[Callable[[], float], float]:
    """Build our model and write its setup; returns (step, loss). ``device`` has no effect: the mode decides."""
    from experiments.benchmarks.models import MODELS

    ours = MODELS[model]("tiny" if size == "tiny" else "full")
    np.savez(setup, **ours.setup)  # type: ignore[arg-type]
    return ours.step, ours.loss()


def torch_model(model: str, size: str, setup: Path, device: str) -> tuple[Callable[[], float], float]:
    """Build the peer in PyTorch from the setup; returns (step, loss)."""
    import torch

    from experiments.benchmarks.torch_peers import PEERS

    torch.manual_seed(0)
    with np.load(setup) as saved, torch.device(device):
        theirs = PEERS[model](dict(saved), "tiny" if size == "tiny" else "full")

    def step() -> float:
        with torch.device(device):
            return theirs.step()

    with torch.device(device):
        return step, theirs.loss()


PEERS = {"rnnaudio": rnnaudio_model, "torch": torch_model}


def main() -> None:
    """Build the model named on the command line, and run its steps on demand."""
    peer, model, size, setup, device = sys.argv[1:]
    step, loss = PEERS[peer](model, size, Path(setup), device)
    serve(step, str(loss))


if __name__ == "__main__":
    main()
