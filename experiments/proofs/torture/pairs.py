"""Two processes started together on one run folder or one corpus: one must win, and all files must come from it."""

import json
from pathlib import Path

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count
from rnnaudio.data import AudioCorpus
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.record import SavedRun


def pairs(source: Path, folder: Path, n: int) -> Count:
    """Start ``n`` pairs of runs, both in the same folder, and ``n // 5`` pairs of builds of the same corpus file."""
    count = Count("pairs")
    for k in range(n):
        count.add(f"pair {k + 1} of runs", _of_runs(toys.copied(source, folder / "pair", "corpus.h5")))
    for k in range(n // 5):
        count.add(f"pair {k + 1} of builds", _of_builds(toys.copied(source, folder / "pair", "sounds")))
    return count


def _both(first: list[object], second: list[object], folder: Path) -> tuple[list[toys.Ended], str]:
    """Run two commands at once; returns how they ended, and a fault, "" if one succeeded and one was refused."""
    processes = [toys.Process(words, folder) for words in (first, second)]
    ended = [process.end() for process in processes]
    statuses = sorted(one.status for one in ended)
    if statuses != [0, 2]:
        return ended, f"statuses {statuses}: {' | '.join(one.output[-200:] for one in ended)}"
    loser = next(one for one in ended if one.status)
    return ended, f"traceback: {loser.output[-300:]}" if loser.has_traceback else ""


def _of_runs(folder: Path) -> str:
    first, second = (toys.train_words("frames", "run", "--seed", seed) for seed in (1, 2))
    ended, fault = _both(first, second, folder)
    if fault:
        return fault
    winner = 1 + next(k for k, one in enumerate(ended) if one.status == 0)
    saved = SavedRun.read(folder / "run")
    seeds = {
        "checkpoint": saved.record["identity"]["seed"],
        "config.json": json.loads((folder / "run" / "config.json").read_text())[recipe_named("frames").key]["seed"],
        "summary.json": json.loads((folder / "run" / "summary.json").read_text())["config"]["seed"],
    }
    return "" if set(seeds.values()) == {winner} else f"seed {winner} won, but {seeds}"


def _of_builds(folder: Path) -> str:
    _, fault = _both(toys.build_words("corpus.h5", "--seed", 1), toys.build_words("corpus.h5", "--seed", 2), folder)
    if fault:
        return fault
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        corpus.verify()
    left = toys.names_in(folder) - {"corpus.h5", "sounds/0.wav", "sounds/1.wav", "sounds/2.wav"}
    return f"left behind: {left}" if left else ""
