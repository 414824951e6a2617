"""One experiment a claim of the blog: variants are trained, played on and judged alike, and told in one table.

Each experiment calls :func:`reproduce` with its variants' frozen settings. A variant's run lies in
``runs/<experiment>/<variant>`` with report, sound and pictures; what is finished there is not computed again.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tyro

from experiments.shared.on_corpus import CORPUS
from experiments.shared.records import record, versions
from rnnaudio.atomic import write_atomically
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data import AudioCorpus, fixed_windows
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.objectives import STRATEGIES
from rnnaudio.runs.diagnosis.defects import present_in
from rnnaudio.runs.diagnosis.diagnose import diagnose_run
from rnnaudio.runs.frames.config import TrainConfig
from rnnaudio.runs.frames.outcome import judge, write_outcome
from rnnaudio.runs.frames.recipe import LoadedRun, load_run, seed_seconds, train_on_corpus
from rnnaudio.training import Evaluation, checkpoint

SMOKE: dict[str, Any] = {"n_steps": 4, "batch_size": 2, "max_updates": 2, "validate_every": 1, "schedule": "constant"}
NARROW = 50  # units, and samples a frame
Figures = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Claim:
    """What the blog says, its figure, and how ours is read off the figures of the variants."""

    says: str
    figure_2016: str
    ours: Callable[[Mapping[str, Figures]], str]
    why: str  # where they differ, or what explains it


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run the experiment; its settings are frozen in its file."""

    corpus: Path = CORPUS
    runs: Path = Path("runs")
    smoke: bool = False  # two updates of two variants on the piano in the package; no claims, nothing is recorded


def reproduce(
    name: str, variants: Mapping[str, TrainConfig], claims: list[Claim], show: Callable[[], None] = lambda: None
) -> None:
    """The command of an experiment: train and judge all variants, print and record figures and claims.

    show
        what is told before the runs.
    """
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    if options.smoke:
        with TemporaryDirectory() as folder:
            corpus = build_demo_corpus(Path(folder) / "corpus.h5")
            ends = list(variants)[:: max(1, len(variants) - 1)]
            run_all({variant: tiny(variants[variant]) for variant in ends}, corpus, Path(folder), quick=True)
        return
    show()
    figures = run_all(variants, options.corpus, options.runs / name)
    told = tell(figures, claims)
    if options.corpus == CORPUS:
        record(name, {"claims": told, "variants": figures})


def tiny(config: TrainConfig) -> TrainConfig:
    """The same in seconds: a few steps of a narrow model."""
    m = config.model
    narrow: dict[str, Any] = {"readout_units": min(m.readout_units, NARROW), "units": tuple(NARROW for _ in m.units)}
    if m.cell != "memory-lstm" and not m.units:  # a memory-lstm is as wide as a frame
        narrow["n_units"] = min(m.n_units, NARROW)
    return dataclasses.replace(
        config,
        **SMOKE,
        model=dataclasses.replace(m, **narrow),
        frame_size=min(config.frame_size, NARROW),
        segment_steps=min(config.segment_steps, 2),
        burn_in=min(config.burn_in, 1),
    )


def run_all(
    variants: Mapping[str, TrainConfig], corpus: Path, folder: Path, *, quick: bool = False
) -> dict[str, Figures]:
    """The figures of each variant; ``quick``: a second of sound, no report and no diagnosis."""
    figures: dict[str, Figures] = {}
    measure, seconds = (on_equal_terms, 1.0) if quick else (measured, 10.0)
    for variant, config in variants.items():
        print(f"---- {variant}", flush=True)
        figures[variant] = run_one(config, corpus, folder / variant, seconds, measure, report=not quick)
        print(in_a_line(figures[variant]), flush=True)
    return figures


def run_one(
    config: TrainConfig,
    corpus: Path,
    run_dir: Path,
    seconds: float,
    measure: Callable[[Path, Path], Figures],
    *,
    report: bool,
) -> Figures:
    """Train, or go on with what is there; figures of the finished run.

    seconds
        of sound that is generated.
    measure
        (run_dir, corpus) -> figures beside those of the free run.
    """
    done = run_dir / "figures.json"  # with the date and versions that they are of
    AudioCorpus.open(corpus).close()  # refuses what is none
    settings = json.loads(json.dumps({"settings": dataclasses.asdict(config), "corpus": corpus.stat().st_size}))
    if done.exists() and {name: json.loads(done.read_text()).get(name) for name in settings} != settings:
        raise RnnaudioError(f"{done} is of other settings or another corpus: remove {run_dir} to run it anew")
    if not done.exists():
        run = train_on_corpus(config, corpus, run_dir, resume=checkpoint.path_in(run_dir).exists())
        if run.reason.startswith("interrupted"):
            raise KeyboardInterrupt  # the run is saved; called again, it goes on
        if checkpoint.path_in(run_dir).exists():
            if report:
                write_outcome(run_dir, corpus, seconds=seconds)
            figures = {**measure(run_dir, corpus), **free_run(load_run(run_dir), corpus, seconds)}
        else:  # it broke down before the first validation
            figures = {"predict_mse": None, "reconstruct_mse": None, "alive_seconds": 0.0, "death": run.reason}
        figures |= {
            "updates": run.n_updates,
            "minutes": round(run.seconds / 60, 1),
            "ended": run.reason,
            "defects": [defect.name for defect in present_in(config)],
            "date": time.strftime("%Y-%m-%d"),
            "versions": versions(),
        }
        write_atomically(done, json.dumps({**figures, **settings}, indent=2).encode() + b"\n")
    return {name: value for name, value in json.loads(done.read_text()).items() if name not in settings}


def on_equal_terms(run_dir: Path, corpus: Path) -> Figures:
    """Errors on equal terms alone."""
    return equal_terms(load_run(run_dir), corpus)


def measured(run_dir: Path, corpus: Path) -> Figures:
    """Errors on equal terms and the diagnosis."""
    return {**on_equal_terms(run_dir, corpus), "diagnosis": diagnosis(run_dir, corpus)}


def free_run(run: LoadedRun, corpus_path: Path, seconds: float) -> Figures:
    """For how long what it plays after the first seed of the test split stays within real music's limits."""
    with run.open_corpus(corpus_path) as corpus:
        seed = corpus.test.first(seed_seconds(run.config, corpus.sample_rate_hz))
        (played,) = run.continue_seeds([seed], round(seconds * corpus.sample_rate_hz))
        alive = judge(corpus.restore(played.audio[played.n_prime :]), corpus, played.stopped)
    return {"alive_seconds": alive.seconds, "death": alive.reason}


def diagnosis(run_dir: Path, corpus: Path) -> list[str]:
    """The causes that `rnnaudio diagnose` names, most severe first."""
    return [cause.name for cause in diagnose_run(run_dir, corpus).causes]


def equal_terms(
    run: LoadedRun, corpus_path: Path, tasks: Sequence[str] = tuple(STRATEGIES), most_batches: int = 32
) -> dict[str, float | None]:
    """Squared error over variance on the validation split, noise off, for both tasks, however the run was scaled.

    ``predict_mse``: against the next frame, ``reconstruct_mse``: against the current one. 1 is what predicting silence
    scores.
    """
    c = run.config
    sizes = {"frame_size": c.frame_size, "n_steps": c.n_steps, "batch_size": c.batch_size}
    with AudioCorpus.open(corpus_path) as standard:
        mean = standard.mean
    with run.open_corpus(corpus_path) as corpus:
        windows = fixed_windows(corpus.valid, **sizes)
        windows = windows[:: -(-len(windows) // most_batches)]
    errors = {}
    for strategy in [STRATEGIES[task] for task in tasks]:
        targets = [strategy.split(batch.frames)[1].astype(np.float64) for batch in windows]
        scaled = sum(float(np.sum(target**2)) for target in targets)
        true = sum(float(np.sum((target * run.scale.std + run.scale.mean - mean) ** 2)) for target in targets)
        value = Evaluation(run.model, strategy, c.segment_steps)(windows)["normalised_mse"]
        mse = value * scaled * run.scale.std**2 / true
        errors[f"{strategy.name.split('_')[0]}_mse"] = float(f"{mse:.4g}") if np.isfinite(mse) else None
    return errors


def in_a_line(figures: Figures) -> str:
    """The figures of a variant."""
    causes = f"; diagnosis: {', '.join(figures['diagnosis'])}" if figures.get("diagnosis") else ""
    return (
        f"normalised MSE: predict {figures['predict_mse']}, reconstruct {figures['reconstruct_mse']}; "
        f"kept sounding {figures['alive_seconds']:.1f} s ({figures['death'] or 'to the end'}); "
        f"{figures['updates']} updates, {figures['minutes']} min{causes}"
    )


def tell(figures: Mapping[str, Figures], claims: list[Claim]) -> list[dict[str, str]]:
    """Print what the blog said and what was measured."""
    told = []
    for claim in claims:
        row = {"says": claim.says, "2016": claim.figure_2016, "ours": claim.ours(figures), "why": claim.why}
        print(f'"{claim.says}"\n  2016: {row["2016"]}\n  ours: {row["ours"]}\n  {row["why"]}', flush=True)
        told.append(row)
    return told
