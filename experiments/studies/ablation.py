"""Ablation of the 24 defects: each is repaired alone in the models of 2016, and planted alone in repaired models.

    rnnaudio experiment run ablation [--seeds 3] [--smoke]

A GRU (3 x 200, frames of 200, top h the output) and a memory-LSTM (n 64, depth 2) are trained from three starting
points: the settings of 2016; the same with the right RMSprop, because the unscaled one moves no parameter and so hides
every other repair; and the settings with all defects repaired. At each starting point, one defect at a time is
repaired or planted, as far as the settings allow it.

Each run is measured by its squared error over the variance of the next frame on validation windows (without noise and
on the standard scale, whatever the run was trained with), the seconds that it stays alive after a test prime, and the
cause that `rnnaudio diagnose` ranks first. The table has medians over the seeds; the second starting point is trained
with seed 0 only, and the diagnosis is that of seed 0.

Finished runs stay in RUNS/ablation, and the same command continues the rest. A second command with a higher --first
begins at a later seed, so that two commands can share the work.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from experiments.blog_2016.models_2016 import gru_2016, memory_lstm_2016, repaired, switchable
from experiments.shared.on_corpus import CORPUS
from experiments.shared.options import command, require_one_or_more
from experiments.shared.records import record
from experiments.shared.settings import Figures
from experiments.shared.variants import diagnosis, equal_terms, run_one, tiny
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.defects import present_in, with_defect, without
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.frames.recipe import FramesRun
from rnnaudio.runs.load import load
from rnnaudio.seeds import check_seed

BUDGET: dict[str, Any] = {"max_updates": 200, "validate_every": 100, "minutes": 5.0}
FAITHFUL = {
    "gru": gru_2016(200, 3, 32, 16, **BUDGET),
    "memory-lstm": memory_lstm_2016(64, 64, 16, **BUDGET),
}
COMES_WITH = {"shifted-batch": ("always-reset",)}
NOT_SEEN_IN_A_RUN = ("no-toy-problem", "history-cut")  # these change what is known of a run, not the run


class Variant(NamedTuple):
    model: str
    start: str  # faithful, moving (faithful but for the right RMSprop) or repaired
    change: str  # the defect that is repaired or planted; "" for none
    config: FramesConfig

    @property
    def name(self) -> str:
        return f"{self.model}-{self.start}{'-' if self.change else ''}{self.change}"


def variants() -> Iterator[Variant]:
    """Iterate over the starting points of both models, each followed by its changes that remove or add one defect.

    Defects that the settings do not allow to be changed alone are left out (:func:`is_single`).
    """
    for model, faithful in FAITHFUL.items():
        starts = {
            "faithful": (faithful, without),
            "moving": (without(faithful, "unscaled-rmsprop"), without),
            "repaired": (repaired(faithful), with_defect),
        }
        for start, (config, change) in starts.items():
            yield Variant(model, start, "", config)
            for name in switchable(faithful):
                with suppress(RnnaudioError):  # no read-out, and noise in it
                    changed = change(config, name)
                    if is_single(config, changed, name):
                        yield Variant(model, start, name, changed)


def is_single(before: FramesConfig, after: FramesConfig, name: str) -> bool:
    """True if the two configs differ in the named defect, and otherwise only in those that it entails.

    False for a defect that has no effect on the training of a run.
    """
    one, other = ({defect.name for defect in present_in(config)} for config in (before, after))
    return name not in NOT_SEEN_IN_A_RUN and {name} <= one ^ other <= {name, *COMES_WITH.get(name, ())}


def predicted(run_dir: Path, corpus: Path) -> Figures:
    """The error of :func:`equal_terms` for predicting the next frame, on at most eight validation batches."""
    return equal_terms(load(run_dir, FramesRun), corpus, ["predict_next"], most_batches=8)


def predicted_and_diagnosed(run_dir: Path, corpus: Path) -> Figures:
    """The error of :func:`predicted` and the diagnosis; for seed 0 only, because the diagnosis takes longer."""
    return {**predicted(run_dir, corpus), "diagnosis": diagnosis(run_dir, corpus)}


def middle(values: list[float | None]) -> float | None:
    """Median of the values to three significant digits; None, of a run that broke down, counts as infinite.

    Returns None if the median is infinite.
    """
    value = float(np.median([np.inf if v is None else v for v in values]))
    return float(f"{value:.3g}") if np.isfinite(value) else None


def as_row(variant: Variant, seeds: list[Figures], base: list[Figures] | None) -> dict[str, Any]:
    """A row of the table. seeds: figures of the variant by seed. base: those of its starting point, if it is another.

    ``gain_db`` is the reduction of the error by the change, in dB; it is left out if either error is None.
    """
    errors = [figures["predict_mse"] for figures in seeds]
    row: dict[str, Any] = {
        "model": variant.model,
        "start": variant.start,
        "change": variant.change,
        "predict_mse": middle(errors),
        "of_seeds": errors,
        "alive_seconds": middle([figures["alive_seconds"] for figures in seeds]),
        "diagnosis": named_first(seeds[0]),
    }
    before = middle([figures["predict_mse"] for figures in base]) if base else None
    if before and row["predict_mse"]:
        row["gain_db"] = round(float(10.0 * np.log10(before / row["predict_mse"])), 2)
    return row


def named_first(figures: Figures) -> str:
    """The first cause of the diagnosis; ``none`` if it found none, ``not diagnosed`` if there was no diagnosis."""
    if "diagnosis" not in figures:
        return "not diagnosed"  # broke down, or not the first seed
    return figures["diagnosis"][0] if figures["diagnosis"] else "none"


def in_a_line(row: dict[str, Any]) -> str:
    """A row of the table as text."""
    verb = "plant" if row["start"] == "repaired" else "repair"
    change = f"{verb} {row['change']}" if row["change"] else "as it is"
    return (
        f"{row['model']:12s} {row['start']:9s} {change:34s} {row['predict_mse']!s:>9} {row.get('gain_db', ''):>7} "
        f"{row['alive_seconds']:>6.1f} s  {row['diagnosis']}"
    )


def ablate(
    seeds: int = 3, first: int = 0, corpus: Path = CORPUS, runs: Path = Path("runs"), smoke: bool = False
) -> None:
    """Run the variants that are not finished, print the table and record it.

    Args:
        seeds: each variant is run with the seeds from first to seeds - 1.
        first: the first seed; the table is recorded only if it is 0.
        corpus: the piano corpus.
        runs: the folder of the runs.
        smoke: two updates of four variants on the piano in the package; nothing is recorded.
    """
    require_one_or_more(seeds=seeds)
    check_seed(first, "first")
    if first >= seeds:
        raise RnnaudioError(f"--first is {first}; expected less than --seeds, which is {seeds}")
    if smoke:
        with TemporaryDirectory() as folder:
            some = [v._replace(config=tiny(v.config)) for v in list(variants())[:4]]
            table(some, 1, 0, build_demo_corpus(Path(folder) / "corpus.h5"), Path(folder), quick=True)
        return
    rows = table(list(variants()), seeds, first, corpus, runs / "ablation")
    if first == 0 and corpus == CORPUS:
        record("ablation", {"claims": [claim(rows)], "rows": rows, "seeds": seeds})


def claim(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Row of the claims table: for each model, the four defects that raise the error of the repaired model most."""
    ours = []
    for model in FAITHFUL:
        planted = [row for row in rows if row["model"] == model and row["start"] == "repaired"]
        base = next(row["predict_mse"] for row in planted if not row["change"])
        worst = sorted((row for row in planted if row["change"]), key=lambda row: -(row["predict_mse"] or np.inf))[:4]
        costs = ", ".join(f"{row['change']} {row['predict_mse']}" for row in worst)
        ours.append(f"{model} with every repair {base}; with one defect: {costs}")
    return {
        "says": "I tried the following to see where is the problem; and everything seems fine",
        "2016": "no figures",
        "ours": "; ".join(ours),
        "why": "several decisive defects at once: while one of them stands, repairing another shows little",
    }


def table(
    every: list[Variant], seeds: int, first: int, corpus: Path, folder: Path, *, quick: bool = False
) -> list[dict[str, Any]]:
    """Compute the figures of all variants, print the table and return its rows.

    The seeds are ``first`` to ``seeds`` - 1, one after the other, so that seed 0 alone gives a complete table.
    Variants of the second starting point are run with seed 0 only. quick: 1 s of sound in place of 3, no diagnosis.
    """
    figures: dict[str, list[Figures]] = {variant.name: [] for variant in every}
    seconds = 1.0 if quick else 3.0
    for seed in range(first, seeds):
        for variant in every:
            if seed and variant.start == "moving":
                continue
            config = dataclasses.replace(variant.config, seed=2016 + seed)
            run_dir = folder / f"{variant.name}-{seed}"
            print(f"---- {run_dir.name}", flush=True)
            measure = predicted_and_diagnosed if seed == 0 and not quick else predicted
            figures[variant.name].append(run_one(config, corpus, run_dir, seconds, measure, report=False))
    base = {(v.model, v.start): figures[v.name] for v in every if not v.change}
    rows = [as_row(v, figures[v.name], base[v.model, v.start] if v.change else None) for v in every if figures[v.name]]
    for row in rows:
        print(in_a_line(row))
    return rows


main = command(ablate)
