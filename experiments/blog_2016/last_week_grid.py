"""The grid of sizes of the last week: the cost of all points, and training of some of them.

    rnnaudio experiment run last-week-grid [--smoke]

Before any training, the parameters and the multiplications of a training step are computed for every point of the
grid, and the bytes for the points that are trained. Settings and claims: last-week-grid.toml.
"""

import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.blog_2016 import reproduce
from experiments.shared import settings
from rnnaudio.runs.frames.build import build_model, build_optimizer, build_strategy
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.training.memory import in_bytes, step_memory

RANGES = {
    "n_layers": (1, 3, 5),
    "n_units": (200, 600, 2000),
    "frame_size": (200, 2000, 32_000),
    "n_steps": (6, 20, 60),
}
BATCH_SIZE = 8


def main(path: Path) -> None:
    """Print the costs, then train and measure the variants of the settings file."""
    reproduce.main(path, functools.partial(print_costs, settings.load(path).variants))


def multiplications(point: Mapping[str, int]) -> float:
    """Multiplications of a training step: three for each weight that a timestep uses, per sequence and timestep."""
    n, frame = point["n_units"], point["frame_size"]
    weights = 3 * n * (n + frame) + (point["n_layers"] - 1) * 6 * n * n + n * frame
    return 3.0 * weights * BATCH_SIZE * point["n_steps"]


def every_point() -> list[dict[str, Any]]:
    """Parameters and multiplications of every point of the grid."""
    rows = []
    for values in itertools.product(*RANGES.values()):
        point = dict(zip(RANGES, values, strict=True))
        n, frame, layers = point["n_units"], point["frame_size"], point["n_layers"]
        n_parameters = 3 * n * (n + frame + 1) + (layers - 1) * 3 * n * (2 * n + 1) + (n + 1) * frame
        rows.append({**point, "parameters": n_parameters, "multiplications": multiplications(point)})
    return rows


def print_costs(variants: Mapping[str, FramesConfig]) -> None:
    """Print the range of the costs over the grid, and multiplications and memory of the points that are trained."""
    rows = sorted(every_point(), key=lambda row: row["multiplications"])
    print(f"{len(rows)} points; multiplications of a step from {rows[0]['multiplications']:.1e} to ", end="")
    print(f"{rows[-1]['multiplications']:.1e}, parameters up to {rows[-1]['parameters'] / 1e6:.0f} million")
    for name, config in variants.items():
        point, kind = name.rsplit("-", 1)
        if kind == "faithful":
            print(f"{point:18s} {cost(config)}")


def cost(config: FramesConfig) -> str:
    """Format the sizes, the multiplications and the memory of a training step of a config."""
    point = {name: getattr(config, name, None) or getattr(config.model, name) for name in RANGES}
    sizes = {"n_steps": config.n_steps, "batch_size": config.batch_size}
    memory = step_memory(build_model(config), build_strategy(config), build_optimizer(config), **sizes)
    return f"{point}: {multiplications(point):.1e} multiplications, {in_bytes(memory.total)} a step"
