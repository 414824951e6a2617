"""Torture the command line, and count what held.

    rnnaudio experiment run torture                     everything, about two hours; recorded
    rnnaudio experiment run torture --short             a tenth or less of it; nothing is recorded
    rnnaudio experiment run torture --parts kills fuzz  some parts, whose counts replace those of the record

The parts: ``kills`` (kill -9 at random moments), ``interruptions`` (signals, and resuming to equal bits), ``pairs``
(two processes on one folder), ``numbers`` (NaN), ``fuzz`` (mutated files), ``disk`` (no space), ``flips`` (single
bits), ``soak`` (memory, descriptors and threads over time).
"""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from experiments.proofs.torture.flips import flips
from experiments.proofs.torture.full_disk import full_disk
from experiments.proofs.torture.fuzz import fuzz
from experiments.proofs.torture.interruptions import interruptions
from experiments.proofs.torture.kills import kills
from experiments.proofs.torture.not_a_number import not_a_number
from experiments.proofs.torture.outcome import Count
from experiments.proofs.torture.pairs import pairs
from experiments.proofs.torture.soak import soak
from experiments.shared.records import FOLDER, record
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import nearest

# A function of (folder, whether it is the short form), by the name of the part.
PARTS: dict[str, Callable[[Path, bool], Count]] = {
    "kills": lambda folder, short: kills(folder, 14 if short else 203),
    "interruptions": lambda folder, short: interruptions(folder, 9 if short else 60),
    "pairs": lambda folder, short: pairs(folder, 5 if short else 50),
    "numbers": lambda folder, short: not_a_number(folder, *([("fused, mode c",)] if short else [])),
    "fuzz": lambda folder, short: fuzz(folder, 0.02 if short else 1.0),
    "disk": lambda folder, short: full_disk(folder, 3 if short else 20),
    "flips": lambda folder, short: flips(folder, 10 if short else 100),
    "soak": lambda folder, short: soak(folder, 60.0 if short else 1200.0),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Torture the command line and count what held."""

    parts: tuple[str, ...] = tuple(PARTS)  # which parts
    short: bool = False  # a tenth or less of each; nothing is recorded


def main() -> None:
    """Run the parts, print their counts, and record them; exit with status 1 if anything did not hold."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    for name in options.parts:
        if name not in PARTS:
            raise RnnaudioError(f"unknown part {name!r}; {nearest(name, sorted(PARTS))}")
    held = True
    for name in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            count = PARTS[name](Path(folder), options.short)
        held &= not count.failures
        print(f"{name}: {count.in_short()}", flush=True)
        if not options.short:
            record("torture", {"parts": _recorded() | {name: count.as_record()}})
    if not held:
        raise SystemExit(1)


def _recorded() -> dict[str, Any]:
    path = FOLDER / "torture.json"
    parts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.exists() else {}
    return parts
