"""Last week: "I tried a lot of things", the whole grid told in memory and time, a part of it run.

    python -m experiments.blog_2016.last_week_grid [--smoke]

Layers 1 to 5, units 200 to 2000, inputs of 200 to 32000 samples, sequences of 6 to 60 steps. Parameters and
multiplications of a training step are computed for every point of the grid before anything runs, bytes for those
that are run: one centre and the ends of each range with the rest at the centre, the GRU of 2016 as it was and
repaired, each for the same number of updates.
"""

import dataclasses
import itertools
from typing import Any

from experiments.blog_2016.models_2016 import gru_2016, repaired
from experiments.shared.claims import Claim, reproduce
from rnnaudio.errors import run_command
from rnnaudio.runs.frames.build import build_model, build_optimizer, build_strategy
from rnnaudio.runs.frames.config import TrainConfig
from rnnaudio.training.memory import in_bytes, step_memory

RANGES = {
    "n_layers": (1, 3, 5),
    "n_units": (200, 600, 2000),
    "frame_size": (200, 2000, 32_000),
    "n_steps": (6, 20, 60),
}
CENTRE = {"n_layers": 3, "n_units": 200, "frame_size": 2000, "n_steps": 20}
UPDATES = 60
BATCH_SIZE = 8


def setting(n_layers: int, n_units: int, frame_size: int, n_steps: int) -> TrainConfig:
    """The GRU of 2016 with a read-out, for its top layer is seldom as wide as a frame here."""
    faithful = gru_2016(n_units, n_layers, n_steps, BATCH_SIZE, max_updates=UPDATES, validate_every=20, minutes=20.0)
    model = dataclasses.replace(faithful.model, readout="tanh", readout_weights="rand_2016")
    return dataclasses.replace(faithful, model=model, frame_size=frame_size)


def star() -> dict[str, dict[str, int]]:
    """The centre and the ends of each range, by name."""
    points = {"centre": CENTRE}
    for name, (low, _, high) in RANGES.items():
        points |= {f"{name}-{end}": {**CENTRE, name: end} for end in (low, high) if end != CENTRE[name]}
    return points


def multiplications(point: dict[str, int]) -> float:
    """Of a training step: three products for each weight that a step uses, for each sequence and step."""
    n, frame = point["n_units"], point["frame_size"]
    weights = 3 * n * (n + frame) + (point["n_layers"] - 1) * 6 * n * n + n * frame
    return 3.0 * weights * BATCH_SIZE * point["n_steps"]


def predicted() -> list[dict[str, Any]]:
    """Parameters and multiplications of every point of the grid."""
    rows = []
    for values in itertools.product(*RANGES.values()):
        point = dict(zip(RANGES, values, strict=True))
        n, frame, layers = point["n_units"], point["frame_size"], point["n_layers"]
        n_parameters = 3 * n * (n + frame + 1) + (layers - 1) * 3 * n * (2 * n + 1) + (n + 1) * frame
        rows.append({**point, "parameters": n_parameters, "multiplications": multiplications(point)})
    return rows


def show_grid() -> None:
    """The extremes of the grid, and the memory of those that are run."""
    rows = sorted(predicted(), key=lambda row: row["multiplications"])
    print(f"{len(rows)} points; multiplications of a step from {rows[0]['multiplications']:.1e} to ", end="")
    print(f"{rows[-1]['multiplications']:.1e}, parameters up to {rows[-1]['parameters'] / 1e6:.0f} million")
    for name, point in star().items():
        config = setting(**point)
        sizes = {"n_steps": config.n_steps, "batch_size": config.batch_size}
        memory = step_memory(build_model(config), build_strategy(config), build_optimizer(config), **sizes)
        print(f"{name:18s} {point}: {multiplications(point):.1e} multiplications, {in_bytes(memory.total)} a step")


VARIANTS = {
    f"{name}-{kind}": config
    for name, point in star().items()
    for kind, config in (("faithful", setting(**point)), ("repaired", repaired(setting(**point))))
}
CLAIMS = [
    Claim(
        "layers 1 to 5, units 200 to 2000, inputs 200 to 32000, sequences 6 to 60: nothing, noise, a note and noise",
        "no figures",
        lambda f: "; ".join(
            f"{name}: {f[f'{name}-faithful']['predict_mse']}, {f[f'{name}-repaired']['predict_mse']} repaired"
            for name in star()
        ),
        "no size mends a step that is too small, or a cost of one step: the same defects were in all of them",
    )
]


if __name__ == "__main__":
    run_command(lambda: reproduce("last-week-grid", VARIANTS, CLAIMS, show_grid), "last_week_grid")
