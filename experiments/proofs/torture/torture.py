"""Torture tests of the command line; the cases that hold are counted.

    rnnaudio experiment run torture                     everything, more than three hours; recorded
    rnnaudio experiment run torture --share 0.2         a fifth of the cases; recorded
    rnnaudio experiment run torture --short             a few cases, minutes; nothing is recorded
    rnnaudio experiment run torture --parts kills fuzz  some parts; their counts replace those in the record

The parts: ``kills`` (kill -9 at random moments), ``interruptions`` (signals, and resuming to equal bits), ``pairs``
(two processes on one run or one corpus), ``numbers`` (NaN), ``fuzz`` (mutated files), ``guided`` (mutations guided by
coverage; needs the extra ``fuzz``), ``disk`` (no space), ``flips`` (single bits), ``soak`` (memory, descriptors and
threads over time).
"""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from experiments.proofs.torture import toys
from experiments.proofs.torture.flips import flips
from experiments.proofs.torture.full_disk import full_disk
from experiments.proofs.torture.fuzz import fuzz
from experiments.proofs.torture.guided import WITHOUT_ATHERIS, guided, has_atheris
from experiments.proofs.torture.interruptions import interruptions
from experiments.proofs.torture.kills import kills
from experiments.proofs.torture.not_a_number import MODES, not_a_number
from experiments.proofs.torture.outcome import Count
from experiments.proofs.torture.pairs import pairs
from experiments.proofs.torture.soak import soak
from experiments.runner import typed_command
from experiments.shared.records import FOLDER, record
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import nearest

# A function of (folder of the toys, folder to work in, share of all cases), by the name of the part.
PARTS: dict[str, Callable[[Path, Path, float], Count]] = {
    "kills": lambda source, folder, share: kills(source, folder, part_of(203, share, least=7)),
    "interruptions": lambda source, folder, share: interruptions(source, folder, part_of(63, share, least=3)),
    "pairs": lambda source, folder, share: pairs(source, folder, part_of(50, share, least=2)),
    "numbers": lambda source, folder, share: not_a_number(source, folder, part_of(len(MODES), share)),
    "fuzz": lambda source, folder, share: fuzz(source, share),
    "guided": guided,
    "disk": lambda source, folder, share: full_disk(source, folder, part_of(20, share)),
    "flips": lambda source, folder, share: flips(source, folder, part_of(100, share)),
    "soak": lambda source, folder, share: soak(source, folder, max(30.0, 1200.0 * share), plot=share > SHORT),
}
SHORT = 0.01


def part_of(n: int, share: float, least: int = 1) -> int:
    """Number of cases: ``share`` times ``n``, rounded, but never below ``least``."""
    return max(least, round(n * share))


@dataclasses.dataclass(frozen=True)
class Options:
    """Run torture tests of the command line and count the cases that hold."""

    parts: tuple[str, ...] = ()  # which parts; without it: all, but guided only if Atheris is installed
    share: float = 1.0  # of all cases
    short: bool = False  # a few cases of each part; nothing is recorded

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise RnnaudioError(f"share is {self.share:g}; expected more than 0, and 1 at most")


def main() -> None:
    """Run the parts, print their counts, and record them; exit with status 1 if a case failed."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    parts = _chosen(options.parts)
    with tempfile.TemporaryDirectory() as folder:
        source = toys.make_toys(Path(folder) / "toys")
        held = [_holds(name, source, Path(folder) / name, options) for name in parts]
    if not all(held):
        raise SystemExit(1)


def _chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    """The parts to run; RnnaudioError if one is unknown or lacks what it needs."""
    for name in names:
        if name not in PARTS:
            raise RnnaudioError(f"unknown part {name!r}; {nearest(name, sorted(PARTS))}")
    if has_atheris():
        return names or tuple(PARTS)
    if "guided" in names:
        raise RnnaudioError(WITHOUT_ATHERIS)
    if not names:
        print(f"part guided is left out: {WITHOUT_ATHERIS}")
    return names or tuple(name for name in PARTS if name != "guided")


def _holds(name: str, source: Path, folder: Path, options: Options) -> bool:
    """Run a part, print its counts and record them, except with --short; returns True if all its cases held."""
    folder.mkdir()
    count = PARTS[name](source, folder, SHORT if options.short else options.share)
    print(f"{name}: {count.in_short()}", flush=True)
    if not options.short:
        how = {"command": typed_command(), "share": options.share}
        record("torture", {"parts": _recorded() | {name: how | count.as_record()}})
    return not count.failures


def _recorded() -> dict[str, Any]:
    path = FOLDER / "torture.json"
    parts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.exists() else {}
    return parts
