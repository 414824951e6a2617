"""Time from the start of a command to its end, or to its first update, by phase, with empty and with full caches.

    rnnaudio bench --start [--quick] [--before experiments/results/bench-start.json]

Each figure is measured in a new process. The time of imports is given by package, without that of the packages it
imports, and that of compiling or loading kernels by kernel, without that of the kernels it calls. "cold" means empty
caches of compiled code, "warm" the caches that the cold run has filled.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from experiments.benchmarks.start_probe import IMPORTS, KERNEL, REST
from experiments.shared.records import record
from rnnaudio.errors import RnnaudioError
from rnnaudio.records import parsed

LEAST_SECONDS = 0.02  # of a phase that gets a line of its own
FOLDER = "{folder}"  # in arguments: a temporary folder


class Start(NamedTuple):
    """A command whose start is measured.

    arguments: those of ``rnnaudio``; empty: the step of the experiment compile-times is run instead. goals: the most
    seconds that it should take, cold and warm; None: no goal. until: "end" or "update", where the measurement stops.
    """

    name: str
    arguments: tuple[str, ...]
    goals: tuple[float | None, float | None]
    until: str = "end"


STARTS = (
    Start("rnnaudio --help", ("--help",), (None, 0.3)),
    Start("rnnaudio info", ("info",), (None, 2.0)),
    Start("first update of an LSTM of 3 x 300 units", (), (8.0, 1.0), "update"),
    Start("rnnaudio generate piano, a second", ("generate", "piano", "-", "--seconds", "1"), (10.0, None)),
    Start("rnnaudio demo, to its first update", ("demo", "--run-dir", FOLDER), (None, None), "update"),
)
QUICK = (STARTS[0], STARTS[2])


def measure(start: Start, folder: Path) -> dict[str, Any]:
    """Run a command once, with its caches in ``folder``; returns the probe's figures. RnnaudioError if it fails."""
    outcome = folder / "outcome.json"
    outcome.unlink(missing_ok=True)
    caches = {name: f"base_compiledir={folder / 'engine'}" for name in ("PYTENSOR_FLAGS", "THEANO_FLAGS")}
    environment = os.environ | caches | {"NUMBA_CACHE_DIR": str(folder / "numba")}
    arguments = [argument.replace(FOLDER, str(folder / "run")) for argument in start.arguments]
    began = time.monotonic()
    command = [sys.executable, "-m", "experiments.benchmarks.start_probe", str(began), str(outcome), start.until]
    subprocess.run([*command, *arguments], env=environment, stdout=subprocess.DEVNULL, check=False)
    if not outcome.exists():
        raise RnnaudioError(f"{start.name} failed; its errors are printed above")
    found: dict[str, Any] = parsed(outcome.read_text())
    return found


def in_short(seconds: Mapping[str, float]) -> dict[str, float]:
    """The phases of LEAST_SECONDS or more, longest first, and the rest.

    Shorter imports are added up, and so are shorter kernels; all other short phases count as the rest.
    """
    short = {name: spent for name, spent in seconds.items() if spent >= LEAST_SECONDS and name != REST}
    for kind in (IMPORTS, KERNEL):
        others = [spent for name, spent in seconds.items() if name.startswith(f"{kind} ") and name not in short]
        if others:
            short[f"{kind}: {len(others)} others"] = sum(others)
    short = dict(sorted(short.items(), key=lambda item: -item[1]))
    return short | {REST: sum(seconds.values()) - sum(short.values())}


def by_kind(seconds: Mapping[str, float]) -> dict[str, float]:
    """The sums over all imports, and over all kernels; empty if there are none."""
    sums = {kind: sum(s for name, s in seconds.items() if name.startswith(f"{kind} ")) for kind in (IMPORTS, KERNEL)}
    return {f"all of: {kind}": spent for kind, spent in sums.items() if spent}


def as_table(name: str, found: Mapping[str, Any], goal: float | None, before: Mapping[str, Any] | None) -> str:
    """Format the phases of a start; before: the row of an earlier record, shown beside them, or None."""
    heading = f"{'':48} {'s':>8}" + (f" {'before':>8}" if before else "")
    rows = {"whole": found["whole"]} | by_kind(found["seconds"]) | in_short(found["seconds"])
    earlier = {}
    if before:
        earlier = {"whole": before["whole"]} | by_kind(before["seconds"]) | before["seconds"]
    lines = [name, heading]
    for phase, spent in rows.items():
        lines.append(f"  {phase:46} {spent:8.2f}" + (f" {earlier[phase]:8.2f}" if phase in earlier else ""))
    if goal is not None:
        lines.append(f"  goal: {goal:g} s, {'reached' if found['whole'] <= goal else 'missed'}")
    return "\n".join(lines)


def rows_before(path: Path | None) -> dict[tuple[str, str], Any]:
    """The rows of an earlier record, by name and caches; empty for None. RnnaudioError if it is no such record."""
    if path is None:
        return {}
    try:
        rows = parsed(path.read_text())["rows"]
        return {(row["name"], row["caches"]): {"whole": row["whole"], "seconds": row["seconds"]} for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RnnaudioError(f"{path} is no record of rnnaudio bench --start ({error!r})") from error


def measure_all(quick: bool, before: Path | None) -> None:
    """Measure, print the tables and, unless quick, record them.

    Args:
        quick: the help and the first update only.
        before: an earlier record, whose figures are shown beside.
    """
    earlier, rows = rows_before(before), []
    for start in QUICK if quick else STARTS:
        with TemporaryDirectory() as folder:
            for caches, goal in zip(("cold", "warm"), start.goals, strict=True):
                found = measure(start, Path(folder))
                title = f"{start.name}, {caches}"
                print(as_table(title, found, goal, earlier.get((start.name, caches))), flush=True)
                rows.append({"name": start.name, "caches": caches} | found)
    if not quick:
        record("bench-start", {"rows": rows})

