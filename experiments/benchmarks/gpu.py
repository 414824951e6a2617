"""Training on a GPU: every recipe in mode jax, and the same models in PyTorch with cuDNN.

    rnnaudio experiment run bench-gpu [--smoke]

Needs an NVIDIA GPU, JAX with its plugin (pip install 'jax[cuda13]<0.11') and PyTorch with CUDA. First every recipe is
trained for 20 updates by the command ``rnnaudio train``, on the piano in the package. Then steps of the models are
timed in turns. Our parameters stay on the device, and so does everything that PyTorch needs; our batch is copied to
the device at each step, as in training. --smoke: tiny models and three updates, without a GPU (JAX runs on its default
device, and PyTorch, if it is installed, on the CPU); nothing is recorded.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.benchmarks import bench_models
from experiments.shared.options import command
from experiments.shared.records import record
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError

RECIPES = ("frames", "codes", "samples")
OURS, THEIRS = "rnnaudio-jax", "torch"
SMALL = {
    "frames": ("--frame-size", "16", "--n-steps", "4", "--n-units", "4", "--batch-size", "2"),
    "codes": ("--n-codes", "8", "--n-components", "8", "--n-units", "4", "--n-steps", "8", "--batch-size", "2",
              "--transpose"),
    "samples": ("--frames", "8", "2", "--n-units", "4", "--n-steps", "16", "--n-valid", "16", "--batch-size", "2"),
}  # fmt: skip


def devices_of_jax() -> list[str]:
    """Names of the devices that JAX finds, in a separate process, as this one may have another mode.

    RnnaudioError if JAX is not installed or does not start.
    """
    code = "from rnnaudio import engine; print(*engine.devices(), sep='\\n')"
    environment = os.environ | {"RNNAUDIO_MODE": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RnnaudioError(f"JAX does not start ({last}): pip install 'rnnaudio[jax]' and 'jax[cuda13]<0.11'")
    return done.stdout.split("\n")[:-1]


def require_gpu(devices: Sequence[str]) -> None:
    """Raise RnnaudioError unless JAX finds a GPU, and PyTorch is installed and finds one, too."""
    if all(device == "cpu" for device in devices):
        raise RnnaudioError(
            f"JAX finds no GPU, only {', '.join(devices) or 'nothing'}: run this on a machine with an NVIDIA GPU, "
            "with pip install 'jax[cuda13]<0.11'; --smoke is a tiny form for the processor"
        )
    if importlib.util.find_spec("torch") is None:
        raise RnnaudioError("PyTorch is not installed: pip install torch==2.13.0, with CUDA")
    import_and_ask = "import torch, sys; sys.exit(not torch.cuda.is_available())"
    if subprocess.run([sys.executable, "-c", import_and_ask], check=False).returncode:
        raise RnnaudioError("PyTorch finds no GPU: install it with CUDA (https://pytorch.org/get-started)")


def train(recipe: str, folder: Path, n_updates: int, extra: Sequence[str] = ()) -> None:
    """Train a few updates of a recipe in mode jax on the piano in the package; RnnaudioError if that fails."""
    corpus = build_demo_corpus(folder / f"{recipe}.h5")
    arguments = ["train", str(corpus), str(folder / recipe), "--recipe", recipe, "--max-updates", str(n_updates)]
    environment = os.environ | {"RNNAUDIO_MODE": "jax"}
    command_line = [sys.executable, "-m", "rnnaudio", *arguments, "--no-diagnose", *extra]
    if subprocess.run(command_line, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
        raise RnnaudioError(f"recipe {recipe} does not train in mode jax; its errors are printed above")
    print(f"{recipe}: {n_updates} updates, and a report", flush=True)


def compare(models: Sequence[str], *, tiny: bool) -> list[dict[str, Any]]:
    """Time steps of all models, ours and PyTorch's in turns; returns the rows of the table.

    tiny: tiny models, PyTorch's on the CPU and only if it is installed.
    """
    names = [OURS, THEIRS] if not tiny or importlib.util.find_spec("torch") else [OURS]
    turns, size, device = ((1, 0.01), "tiny", "cpu") if tiny else ((7, 0.5), "full", "cuda")
    rows = []
    for model in models:
        rows.append(bench_models.compare(model, *turns, size=size, names=names, device=device))
        print(bench_models.line(rows[-1], names), flush=True)
    return rows


def measure_all(smoke: bool = False, models: tuple[str, ...] = tuple(bench_models.NAMES)) -> None:
    """Train, measure, print and, unless smoke, record.

    Args:
        smoke: tiny models, no GPU needed, nothing recorded.
        models: which models to time.
    """
    bench_models.check(models)
    devices = devices_of_jax()
    if not smoke:
        require_gpu(devices)
    print(f"devices: {', '.join(devices)}")
    with TemporaryDirectory() as folder:
        for recipe in RECIPES:
            train(recipe, Path(folder), 3 if smoke else 20, SMALL[recipe] if smoke else ())
    rows = compare(models, tiny=smoke)
    if not smoke:
        record("bench-gpu", {"devices": devices, "rows": rows})


main = command(measure_all)
