"""Train the variants of an experiment, generate with each, and measure all in the same way.

The run of each variant has its own folder, with report, sound and pictures. A finished run is not computed again, and
an interrupted one is continued.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.shared.records import versions
from experiments.shared.settings import Figures
from rnnaudio.atomic import write_atomically
from rnnaudio.data import AudioCorpus, fixed_windows
from rnnaudio.errors import RnnaudioError
from rnnaudio.objectives import STRATEGIES
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.defects import present_in
from rnnaudio.runs.diagnosis.diagnose import diagnose_run
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.frames.recipe import FRAMES, FramesRun
from rnnaudio.runs.judging import judge
from rnnaudio.runs.load import load
from rnnaudio.runs.outcome import write_outcome
from rnnaudio.training import Evaluation, checkpoint

SMOKE: dict[str, Any] = {"n_steps": 4, "batch_size": 2, "max_updates": 2, "validate_every": 1, "schedule": "constant"}
NARROW = 50  # units, and samples a frame


def tiny(config: FramesConfig) -> FramesConfig:
    """The config with at most 50 units and samples per frame, and two updates, for a run that takes seconds."""
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
    variants: Mapping[str, FramesConfig], corpus: Path, folder: Path, *, quick: bool = False
) -> dict[str, Figures]:
    """Train and measure each variant; returns the figures of each, by the variant's name.

    Each variant has its run in the folder ``folder / NAME``. 10 s of sound are generated; ``quick``: 1 s, and no
    report or diagnosis. Errors are those of :func:`run_one`.
    """
    figures: dict[str, Figures] = {}
    measure, seconds = (errors, 1.0) if quick else (errors_and_diagnosis, 10.0)
    for variant, config in variants.items():
        print(f"---- {variant}", flush=True)
        figures[variant] = run_one(config, corpus, folder / variant, seconds, measure, report=not quick)
        print(in_a_line(figures[variant]), flush=True)
    return figures


def settings_before(figures: Figures) -> Figures:
    """The settings of a finished run, in the current form of the config, and the size of its corpus in bytes."""
    config = from_dict(FramesConfig, figures["settings"])
    before: Figures = json.loads(json.dumps({"settings": dataclasses.asdict(config), "corpus": figures["corpus"]}))
    return before


def run_one(
    config: FramesConfig,
    corpus: Path,
    run_dir: Path,
    seconds: float,
    measure: Callable[[Path, Path], Figures],
    *,
    report: bool,
) -> Figures:
    """Train a run, or continue the one in ``run_dir``; returns its figures.

    The figures are written to ``figures.json`` in ``run_dir``. If that file exists, it is only read.

    seconds
        duration of the generated sound.
    measure
        function (run_dir, corpus) -> figures to record in addition to those of the free run.
    report
        whether to write a report.

    RnnaudioError if ``corpus`` is no corpus, or if ``figures.json`` is from other settings or another corpus.
    KeyboardInterrupt if training was interrupted; the run is then saved.
    """
    done = run_dir / "figures.json"
    AudioCorpus.open(corpus).close()  # refuses a file that is no corpus
    settings = json.loads(json.dumps({"settings": dataclasses.asdict(config), "corpus": corpus.stat().st_size}))
    if done.exists() and settings_before(json.loads(done.read_text())) != settings:
        raise RnnaudioError(f"{done} is of other settings or another corpus: remove {run_dir} to run it anew")
    if not done.exists():
        run = fit(FRAMES, config, corpus, run_dir, resume=checkpoint.path_in(run_dir).exists())
        if run.is_interrupted:
            raise KeyboardInterrupt  # the run is saved; the same command continues it
        if checkpoint.path_in(run_dir).exists():
            if report:
                write_outcome(run_dir, corpus, seconds=seconds)
            figures = {**measure(run_dir, corpus), **free_run(load(run_dir, FramesRun), corpus, seconds)}
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


def errors(run_dir: Path, corpus: Path) -> Figures:
    """The errors of :func:`equal_terms` on both tasks."""
    return equal_terms(load(run_dir, FramesRun), corpus)


def errors_and_diagnosis(run_dir: Path, corpus: Path) -> Figures:
    """The errors of :func:`equal_terms` on both tasks, and the diagnosis."""
    return {**errors(run_dir, corpus), "diagnosis": diagnosis(run_dir, corpus)}


def free_run(run: FramesRun, corpus_path: Path, seconds: float) -> Figures:
    """Continue the first prime of the test split and measure how long the sound stays within the limits of music.

    seconds: duration of the continuation. Returns ``alive_seconds`` and ``death``, the reason of its end.
    """
    with run.open_corpus(corpus_path) as corpus:
        seed = corpus.test.first(FRAMES.prime_seconds(run.config, corpus.sample_rate_hz))
        (played,) = run.continue_primes([seed], round(seconds * corpus.sample_rate_hz))
        prime, generated = np.split(corpus.restore(played.audio), [played.n_prime])
        alive = judge(generated, corpus, played.stopped, prime)
    return {"alive_seconds": alive.seconds, "death": alive.reason}


def diagnosis(run_dir: Path, corpus: Path) -> list[str]:
    """The names of the causes found by `rnnaudio diagnose`, most severe first."""
    return [cause.name for cause in diagnose_run(run_dir, corpus).causes]


def equal_terms(
    run: FramesRun, corpus_path: Path, tasks: Sequence[str] = tuple(STRATEGIES), most_batches: int = 32
) -> dict[str, float | None]:
    """Squared error over variance on the validation split, without noise, for each of the tasks.

        sum (y - target)^2 / sum (target - mean)^2        in units of the recording; mean: that of the training data

    Thus the error does not depend on how the run scaled its data, and always predicting the mean has an error of 1.
    ``predict_mse`` is the error against the next frame, ``reconstruct_mse`` against the current one, each with four
    digits; None if it is not finite.

    tasks: names of strategies. most_batches: at most so many validation batches, evenly spaced, are used.
    """
    c = run.config
    sizes = {"frame_size": c.frame_size, "n_steps": c.n_steps, "batch_size": c.batch_size}
    with AudioCorpus.open(corpus_path) as standard:
        mean = standard.mean
    with run.open_corpus(corpus_path) as corpus:
        windows = fixed_windows(corpus.valid, **sizes)
        windows = windows[:: -(-len(windows) // most_batches)]
    by_task = {}
    for strategy in [STRATEGIES[task] for task in tasks]:
        targets = [strategy.split(batch.frames)[1].astype(np.float64) for batch in windows]
        scaled = sum(float(np.sum(target**2)) for target in targets)
        true = sum(float(np.sum((target * run.scale.std + run.scale.mean - mean) ** 2)) for target in targets)
        value = Evaluation(run.model, strategy, c.segment_steps)(windows)["normalised_mse"]
        mse = value * scaled * run.scale.std**2 / true
        by_task[f"{strategy.name.split('_')[0]}_mse"] = float(f"{mse:.4g}") if np.isfinite(mse) else None
    return by_task


def in_a_line(figures: Figures) -> str:
    """The figures of a variant as one line of text."""
    causes = f"; diagnosis: {', '.join(figures['diagnosis'])}" if figures.get("diagnosis") else ""
    return (
        f"normalised MSE: predict {figures['predict_mse']}, reconstruct {figures['reconstruct_mse']}; "
        f"kept sounding {figures['alive_seconds']:.1f} s ({figures['death'] or 'to the end'}); "
        f"{figures['updates']} updates, {figures['minutes']} min{causes}"
    )
