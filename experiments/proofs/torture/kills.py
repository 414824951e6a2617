"""``kill -9`` at random moments of commands that write: nothing may be lost, torn or left behind."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count
from rnnaudio.audio import read_audio
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.record import SavedRun
from rnnaudio.training import checkpoint


class Victim(NamedTuple):
    """A command that is killed, and the command that follows.

    needs: files and folders in its folder at the start. words: the command. again: the command that is run after the
    kill and must succeed. difference: function (folder, folder of the undisturbed command) -> how the results differ,
    "" if they do not.
    """

    name: str
    needs: tuple[str, ...]
    words: list[object]
    again: list[object]
    difference: Callable[[Path, Path], str]


def kills(source: Path, folder: Path, n: int, seed: int = 0) -> Count:
    """Kill commands ``n`` times in total, in turn, each at a moment uniform over its undisturbed duration."""
    rng, count = random.Random(seed), Count("kills")
    every = list(victims())
    whole = {victim.name: _undisturbed(victim, source, folder) for victim in every}
    for k in range(n):
        victim = every[k % len(every)]
        result, seconds = whole[victim.name]
        at = rng.uniform(0.0, seconds)
        count.add(f"{victim.name} killed after {at:.2f} s", _killed(victim, source, folder / "victim", at, result))
    return count


def victims() -> Iterator[Victim]:
    """The commands: `train` with each recipe, `corpus build`, `generate`, and `report` on two runs."""
    for recipe in toys.SETTINGS:
        words = toys.train_words(recipe)
        yield Victim(f"train {recipe}", ("corpus.h5",), words, [*words, "--resume"], _runs_differ)
    rebuild = toys.build_words("corpus.h5", "--overwrite")
    yield Victim("corpus build", ("sounds",), toys.build_words(), rebuild, _corpora_differ)
    generate: list[object] = ["generate", "samples", "out.wav", "--seconds", 20, "--import", toys.SHORTENED]
    needs = ("corpus.h5", "samples")
    yield Victim("generate", needs, generate, [*generate, "--overwrite"], _sounds_differ)
    for recipe in ("frames", "codes"):
        report: list[object] = ["report", recipe, "--import", toys.SHORTENED]
        yield Victim(f"report {recipe}", ("corpus.h5", recipe), report, report, _reports_differ(recipe))


def _undisturbed(victim: Victim, source: Path, folder: Path) -> tuple[Path, float]:
    """Run the command undisturbed; returns its folder, and its duration in seconds. RnnaudioError if it fails."""
    result = toys.copied(source, folder / f"whole {victim.name}", *victim.needs)
    return result, toys.must(victim.words, result, environment=_environment(victim)).seconds


def _environment(victim: Victim) -> dict[str, str]:
    return {"TORTURE_PICTURES": "1"} if victim.name.startswith("report") else {}


def _killed(victim: Victim, source: Path, folder: Path, at: float, whole: Path) -> str:
    """Kill the command after ``at`` seconds, then run the one that follows; returns the faults, "" if none."""
    toys.copied(source, folder, *victim.needs)
    toys.Process(victim.words, folder, _environment(victim)).kill_after(at)
    torn = ", ".join(_torn(folder))
    ended = toys.run(victim.again, folder, environment=_environment(victim))
    if ended.status:
        return f"status {ended.status} afterwards: {ended.output[-300:]}"
    left = toys.names_in(folder) - toys.names_in(whole)
    faults = [torn, f"left behind: {', '.join(sorted(left))}" if left else "", victim.difference(folder, whole)]
    return "; ".join(filter(None, faults))


def _torn(folder: Path) -> Iterator[str]:
    """Yield a message for each file that exists but cannot be read."""
    for path in folder.rglob("*"):
        if path.name.startswith(".") or path.is_dir():
            continue
        try:
            _read(path)
        except (RnnaudioError, ValueError) as error:
            yield f"{path.name} is torn ({error})"


def _read(path: Path) -> None:
    if path.suffix == ".h5":
        with AudioCorpus.open(path) as corpus:
            corpus.verify()
    elif path.suffix == ".safetensors":
        checkpoint.load(path)
    elif path.suffix == ".wav":
        read_audio(path)
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))


def _runs_differ(folder: Path, whole: Path) -> str:
    return toys.difference_of_runs(folder / "run", whole / "run")


def _corpora_differ(folder: Path, whole: Path) -> str:
    with AudioCorpus.open(folder / "corpus.h5") as one, AudioCorpus.open(whole / "corpus.h5") as other:
        return "" if one.digest() == other.digest() else "another corpus"


def _sounds_differ(folder: Path, whole: Path) -> str:
    return "" if (folder / "out.wav").read_bytes() == (whole / "out.wav").read_bytes() else "another sound"


def _reports_differ(recipe: str) -> Callable[[Path, Path], str]:
    def differ(folder: Path, whole: Path) -> str:
        one, other = (json.loads((where / recipe / "summary.json").read_text()) for where in (folder, whole))
        SavedRun.read(folder / recipe)
        return "" if one["validation"] == other["validation"] else "another validation"

    return differ
