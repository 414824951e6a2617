"""A blind test of the diagnosis on real recordings: causes are planted in runs trained as a user would train them.

    rnnaudio experiment run blind-test-recordings --recordings FOLDER
        --seeds 2       each fault, and each healthy run, twice
        --quick         one corpus, some faults; nothing is recorded
        --development   the folk song and the notes that thresholds were tuned on; nothing is recorded

Each fault is a setting of `train`, or a change to the corpus (:mod:`experiments.proofs.recorded_faults`). The name of
the fault is not passed to `rnnaudio diagnose`. FOLDER holds librosa's example recordings, which are not part of the
repository. Results are reported on six corpora of them: a string orchestra, a trumpet, a whale, three readers, a
vibraphone, and an orchestra with celesta. Thresholds were tuned on other sound: a folk song from the same folder, the
piano that comes with the package, and the synthetic notes of the other blind test.

Two attempts were broken off at the second corpus, the trumpet, because training on silence was diagnosed in all its
runs. After the first, the measure was changed to count what --drop-silence cuts: silences of a second or more. After
the second, the corpora were changed: the last third of that file is silence, which `corpus build` cuts but the test
had kept. No threshold was moved.

After the first complete attempt, rules were changed because of runs that had failed in it, and later also settings of
the runs over codes (docs/results/claims.md lists the changes). The record is of a later attempt on the same six
corpora, so it is not a fresh test: that would need other sound.

A regressor over frames without any fault generates a mean, which fades or freezes; the diagnosis then names
``noiseless-feedback``. For healthy runs over frames this is correct and not counted; any other cause is a false alarm.

The goals: the true cause is ranked first in at least 90 % of the faulty runs and among the first three in all of them,
and at most 5 % of the healthy runs raise an alarm.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments.proofs.blind_test import confusion_table, in_short, in_words, rank, summary
from experiments.proofs.fault_parts import music
from experiments.proofs.recorded_faults import HEALTHY, OF_CODES, OF_FRAMES, RECIPES, Planted
from experiments.proofs.recorded_runs import Parts, quietly, recorded, write
from experiments.shared.options import require_one_or_more
from experiments.shared.records import FOLDER, record
from rnnaudio import plots
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.diagnostics.causes import CAUSES
from rnnaudio.runs.diagnosis.diagnose import diagnose_run
from rnnaudio.runs.fit import fit

REPORTED = {
    "strings": ("Hungarian_Dance",),
    "trumpet": ("trumpet",),
    "whale": ("humpback",),
    "speech": ("198-209", "3436-172162", "5703-47212"),
    "vibraphone": ("Vibe_Ace",),
    "celesta": ("Sugar_Plum",),
}
FOLK_SONG = ("Lets_Go_Fishin",)
OF_A_REGRESSOR = "noiseless-feedback"
FIRST_SEED = 500


@dataclasses.dataclass(frozen=True)
class Options:
    """Plant faults in runs on recordings, diagnose them blind, print the confusion table and record it."""

    recordings: Path = Path("recordings")  # folder of the recordings, as .ogg files
    seeds: int = 1  # runs of each fault and each healthy run on each corpus
    quick: bool = False  # the first corpus, every fourth fault and healthy run; nothing is recorded
    development: bool = False  # the sound that thresholds were tuned on; nothing is recorded
    only: tuple[str, ...] = ()  # faults with one of these words in their name; nothing is recorded


def main() -> None:
    """Read the options and run the blind test."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    require_one_or_more(seeds=options.seeds)
    started = time.perf_counter()
    rows: list[dict[str, Any]] = []
    healthy: list[dict[str, Any]] = []
    for number, (name, parts) in enumerate(corpora(options)):
        for planted, seed in plan(options, number):
            row = {"corpus": name, "recipe": planted.recipe, "planted": planted.name, "cause": planted.cause}
            row |= diagnosed(planted, parts, seed)
            (rows if planted.cause else healthy).append(row)
            print(f"{name:11s} {planted.recipe:7s} {in_words(row)}", flush=True)
    figures = summary(rows, healthy) | by_corpus(rows, healthy)
    print(confusion_table(rows + healthy))
    print(in_short(figures))
    if not (options.quick or options.development or options.only):
        figures["minutes"] = round((time.perf_counter() - started) / 60.0, 1)
        causes = [name for name, _, _ in CAUSES]
        plots.confusion(rows + healthy, FOLDER / "pictures" / "blind-test-recordings.png")
        record("blind-test-recordings", {**figures, "causes": causes, "rows": rows, "healthy": healthy})


def corpora(options: Options) -> Iterator[tuple[str, Parts]]:
    """Yield (name, parts) of each corpus to be tested."""
    if options.development:
        yield "folk song", recorded(options.recordings, FOLK_SONG)
        yield "notes", notes()
        return
    for name in [*REPORTED][: 1 if options.quick else None]:
        yield name, recorded(options.recordings, REPORTED[name])


def notes(n_train: int = 8, seconds: float = 3.0) -> Parts:
    """Synthetic notes as in the blind test on synthetic sound, but softer, by a factor of .1.

    There are ``n_train`` pieces of ``seconds`` for training, and one each for validation and test, float32 at 8 kHz.
    """
    rng = np.random.default_rng(5)
    pieces = [(0.1 * music(rng, seconds)).astype(np.float32) for _ in range(n_train + 2)]
    return Parts(pieces[:n_train], [pieces[n_train]], [pieces[n_train + 1]])


def plan(options: Options, corpus: int) -> Iterator[tuple[Planted, int]]:
    """The faults and healthy runs of a corpus, each with its seed."""
    every = 4 if options.quick else 1
    words = options.only or ("",)
    wanted = [one for one in (*OF_FRAMES, *OF_CODES, *HEALTHY) if any(word in one.name for word in words)][::every]
    for k in range(options.seeds):
        for number, planted in enumerate(wanted):
            yield planted, FIRST_SEED * (not options.development) + 1000 * corpus + 100 * k + number


def diagnosed(planted: Planted, parts: Parts, seed: int) -> dict[str, Any]:
    """Train a run with a fault, and diagnose it blindly; returns a row of the result."""
    recipe, _ = RECIPES[planted.recipe]
    with tempfile.TemporaryDirectory() as folder:
        corpus, run_dir = write(planted.sound(parts), Path(folder) / "corpus.h5"), Path(folder) / "run"
        quietly(fit, recipe, planted.config(seed), corpus, run_dir)
        started = time.perf_counter()
        found = quietly(diagnose_run, run_dir).causes
    ranked = [cause for cause in found if planted.cause or cause.name != OF_A_REGRESSOR or planted.recipe == "codes"]
    return {
        "seed": seed,
        "ranked": [cause.name for cause in ranked],
        "evidence": [cause.evidence for cause in ranked],
        "seconds": round(time.perf_counter() - started, 2),
    }


def by_corpus(rows: list[dict[str, Any]], healthy: list[dict[str, Any]]) -> dict[str, Any]:
    """The counts for each corpus and each recipe."""
    table = {}
    for key in ("corpus", "recipe"):
        for name in dict.fromkeys(row[key] for row in rows + healthy):
            ranks = [rank(row) for row in rows if row[key] == name]
            alarms = [bool(row["ranked"]) for row in healthy if row[key] == name]
            table[name] = {
                "faults": len(ranks),
                "first": sum(r == 1 for r in ranks),
                "first_three": sum(1 <= r <= 3 for r in ranks),
                "healthy": len(alarms),
                "alarms": sum(alarms),
            }
    return {"by_group": table}
