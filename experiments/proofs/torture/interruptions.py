"""Signals during training: the run must end with status 128 + signal, and must resume to the same bits."""

import signal
from pathlib import Path

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interruptions(source: Path, folder: Path, n: int) -> Count:
    """Interrupt ``n`` runs, with recipes and signals in turn; resume each and compare it with an undisturbed run."""
    count = Count("interruptions")
    cases = [(recipe, number) for recipe in toys.SETTINGS for number in SIGNALS]
    for k in range(n):
        recipe, number = cases[k % len(cases)]
        at = 1 + (k // len(cases) * 5 + k) % (toys.N_UPDATES - 1)
        count.add(f"{recipe}, {number.name} at update {at}", _interrupted(source, folder / "run", recipe, number, at))
    return count


def _interrupted(source: Path, folder: Path, recipe: str, number: signal.Signals, at: int) -> str:
    toys.copied(source, folder, "corpus.h5")
    environment = {"TORTURE_SIGNAL": str(int(number)), "TORTURE_UPDATE": str(at)}
    ended = toys.run(toys.train_words(recipe), folder, environment=environment)
    if ended.status != 128 + number or ended.has_traceback:
        return f"status {ended.status}, expected {128 + number}: {ended.output[-300:]}"
    resumed = toys.run(["resume", "run", "--import", toys.SHORTENED], folder)
    if resumed.status:
        return f"it cannot be resumed: status {resumed.status}: {resumed.output[-300:]}"
    return toys.difference_of_runs(folder / "run", source / recipe)
