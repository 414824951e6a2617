"""Growth of the time of a training step, and of its matrix products, with timesteps, batch, units and layers.

    rnnaudio experiment run bench-growth [--cell lstm] [--quick]

One size is varied at a time, starting from one layer 200 -> 200, 32 timesteps and 32 sequences. The exponent is the
slope of log time against log size, by least squares; it is compared with that of the number of multiplications.
"""

from typing import Any

import numpy as np

from experiments.benchmarks.bench import PICTURES, Peer, gflop
from experiments.benchmarks.bench_peers import Point
from experiments.shared.options import command
from experiments.shared.records import record
from rnnaudio.plots import growth

BASE = Point(n_in=200, n_units=200, n_steps=32, n_batch=32, n_layers=1)
SIZES = {
    "n_steps": (16, 32, 64, 128, 256),
    "n_batch": (16, 32, 64, 128, 256),
    "n_units": (100, 200, 400, 800, 1600),
    "n_layers": (1, 2, 4, 8),
}
LABELS = {"n_steps": "time steps", "n_batch": "sequences", "n_units": "units of the layer", "n_layers": "layers"}


def exponent(sizes: tuple[int, ...], values: list[float]) -> float:
    """The slope of log value against log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def seconds(point: Point, cell: str, turns: int) -> float:
    """The duration of a training step in seconds: the median over the turns of the median within a turn."""
    peer = Peer("rnnaudio", cell, point)
    n_steps = max(2, round(0.3 / peer.seconds(3)))
    times = [peer.seconds(n_steps) for _ in range(turns)]
    peer.close()
    return float(np.median(times))


def measure_all(cell: str = "lstm", quick: bool = False) -> None:
    """Measure, print and, unless quick, record and plot.

    Args:
        cell: lstm or gru.
        quick: the first three values of each size, one turn; nothing is recorded.
    """
    series: dict[str, dict[str, Any]] = {}
    for name, sizes in SIZES.items():
        sizes = sizes[:3] if quick else sizes
        points = [BASE._replace(**{name: size}) for size in sizes]
        times = [seconds(point, cell, 1 if quick else 5) for point in points]
        predicted = exponent(sizes, [gflop(point, cell) for point in points])
        series[LABELS[name]] = {
            "values": list(sizes), "seconds": times, "exponent": exponent(sizes, times), "predicted": predicted,
        }  # fmt: skip
        shown = ", ".join(f"{size}: {1e3 * t:.1f} ms" for size, t in zip(sizes, times, strict=True))
        print(f"{LABELS[name]:20} {shown}; exponent {exponent(sizes, times):.2f}, multiplications {predicted:.2f}")
    if not quick:
        record(f"growth-{cell}", {"base": BASE._asdict(), "series": series})
        print(f"plotted {growth(series, PICTURES / f'growth-{cell}.png')}")


main = command(measure_all)
