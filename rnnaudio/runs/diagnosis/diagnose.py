"""Why a run does not play: everything that trained and plays it, measured; the causes in words, JSON and a picture."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from rnnaudio import plots
from rnnaudio.runs.frames.recipe import (
    BATCHERS,
    LoadedRun,
    annealing,
    in_words,
    load_run,
    train_and_valid,
)
from rnnaudio.runs.frames.build import build_optimizer
from rnnaudio.runs.frames.config import TrainConfig
from rnnaudio.runs.diagnosis.defects import in_words as in_options
from rnnaudio.runs.diagnosis.defects import present_in
from rnnaudio.runs.frames.explanations import OF_A_DIAGNOSIS
from rnnaudio.atomic import replacing
from rnnaudio.data import Batch, Batches, fixed_windows
from rnnaudio.audio.sources import Samples
from rnnaudio.diagnostics.diagnose import diagnose
from rnnaudio.diagnostics.subject import Cause, Diagnosis, Measurements, Subject
from rnnaudio.nn import Layer
from rnnaudio.optimizers import Optimizer
from rnnaudio.report.page import extend_report
from rnnaudio.training import SegmentedTrainStep, TrainStep

LINE = 100  # characters
# Beside the repairs of :mod:`rnnaudio.runs.diagnosis.defects`: what to change for causes that the blog's models did not have.
REMEDIES: dict[str, Callable[[TrainConfig], dict[str, Any]]] = {
    "learning-rate-too-high": lambda config: {"learning_rate": config.learning_rate / 10.0},
    "learning-rate-too-low": lambda config: {"learning_rate": config.learning_rate * 10.0},
    "exploding-gradient": lambda config: {"max_gradient_norm": 1.0} if config.max_gradient_norm is None else {},
    "bounded-output": lambda config: {"model.readout": "linear"},
    "free-run-explodes": lambda config: {"model.input_noise": 0.1} if not config.model.input_noise else {},
    "worse-than-baseline": lambda config: {"model.linear_skip": 2} if not config.model.linear_skip else {},
}
NOTHING_FOUND = (
    "no mistake was found in how it was trained; if it does not play all the same, look at its errors (more\n"
    "training, a larger model) and remember that a squared error fed back fades or freezes by itself"
)


def diagnose_run(run_dir: Path, corpus_path: Path | None = None) -> Diagnosis:
    """What is wrong with a finished or broken-off run; ``corpus_path``: where its corpus is, if it was moved.

    RnnaudioError if there is no run, its checkpoint is damaged, or the corpus is another one.
    """
    run = load_run(run_dir)
    c = run.config
    with run.open_corpus(corpus_path) as corpus:
        to_train, to_validate = train_and_valid(corpus, c)
        sizes = {"frame_size": c.frame_size, "n_steps": c.n_steps, "batch_size": c.batch_size}
        batches: Batches = BATCHERS[c.batches](to_train, seed=c.seed, **sizes)
        return diagnose(subject_of(run, batches, fixed_windows(to_validate, **sizes), to_train.pieces))


def subject_of(run: LoadedRun, batches: Batches, validation: Sequence[Batch], pieces: Sequence[Samples]) -> Subject:
    """A run as the diagnosis sees it: the parts that trained and play it, under the names that they claim."""
    c = run.config
    set_noise = annealing(run.model, c)
    if set_noise:
        set_noise(run.record.get("n_updates", 0))
    return Subject(
        model=run.model,
        objective=run.strategy,
        optimizer=claimed_optimizer(c),
        learning_rate=c.learning_rate,
        batches=batches,
        validation=validation,
        pieces=pieces,
        make_step=step_maker(run),
        play=player(run),
        history=run.record["history"],
        best_loss=run.record["stopping"]["best_loss"],
        late_rate=next((row["learning_rate"] for row in reversed(run.record["history"]) if row["is_best"]), None),
    )


def claimed_optimizer(config: TrainConfig) -> Optimizer:
    """The rule that the run believes in: that of 2016 which does not divide was called, and thought to be, RMSprop."""
    claimed = "rmsprop" if config.optimizer == "rmsprop_2016" else config.optimizer
    return build_optimizer(dataclasses.replace(config, optimizer=claimed))


def step_maker(run: LoadedRun) -> Callable[[Layer], Any]:
    """(model) -> a training step of that model by the run's rule, objective and seed."""
    c = run.config
    options: dict[str, Any] = {"seed": c.seed}
    if c.segment_steps:
        return lambda model: SegmentedTrainStep(
            model, run.strategy, build_optimizer(c), segment_steps=c.segment_steps, **options
        )
    return lambda model: TrainStep(model, run.strategy, build_optimizer(c), **options)


def player(run: LoadedRun) -> Callable[[np.ndarray, int], np.ndarray]:
    """(true frames (time, n), n_frames) -> (n_frames, n), as the run generates; NaN after what overflowed."""

    def play(true: np.ndarray, n_frames: int) -> np.ndarray:
        n = true.shape[1]
        (result,) = run.continue_seeds([np.ravel(true)], n_frames * n)
        frames = np.full(n_frames * n, np.nan, np.float32)
        new = result.audio[result.n_seed :]
        frames[: len(new)] = new
        return frames.reshape(n_frames, n)

    return play


# ---------------------------------------------------------------- what is left of it


def write_diagnosis(run_dir: Path, diagnosis: Diagnosis) -> tuple[Path, Path]:
    """Write ``diagnosis.json`` and ``diagnosis.png`` into the run's folder, both or neither; their paths.

    The run's report, if there is one, shows them from then on.
    """
    targets = Path(run_dir) / "diagnosis.json", Path(run_dir) / "diagnosis.png"
    with ExitStack() as stack:
        text, picture = (stack.enter_context(replacing(target)) for target in targets)
        text.write_text(json.dumps(as_json(diagnosis), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        plots.diagnosis(diagnosis, picture)
    report = Path(run_dir) / "report.html"
    if report.exists():
        causes = [cause._asdict() for cause in diagnosis.causes] or [{"cause": NOTHING_FOUND}]
        extend_report(
            report, tables={"Causes": causes}, pictures={"Diagnosis": targets[1]}, explanations=OF_A_DIAGNOSIS
        )
    return targets


def as_json(diagnosis: Diagnosis) -> Any:
    """Causes and measurements as JSON can hold them: what is not a finite number is null."""
    measured = {field.name: getattr(diagnosis.measured, field.name) for field in dataclasses.fields(Measurements)}
    return _plain({"causes": [cause._asdict() for cause in diagnosis.causes], "measured": measured})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def as_text(diagnosis: Diagnosis, config: TrainConfig) -> str:
    """The causes, most severe first, each with its evidence, advice and options of `train`; what the free run did."""
    causes = [_described(k, cause, remedy(cause.name, config)) for k, cause in enumerate(diagnosis.causes, 1)]
    found = "\n".join(causes) or NOTHING_FOUND
    if len(causes) > 1:
        found += "\nthe first is furthest upstream: later ones may follow from it, so mend it first"
    errors = diagnosis.measured.errors
    scores = f"errors on validation windows: {in_words(errors)}" if errors else ""
    return "\n".join(line for line in (found, scores, free_run(diagnosis.measured)) if line)


def remedy(cause: str, config: TrainConfig) -> str:
    """The options of `train` that mend a cause; empty where it is no setting of this run."""
    for defect in present_in(config):
        if defect.name == cause:
            return in_options(defect.repaired)
    return in_options(REMEDIES[cause](config)) if cause in REMEDIES else ""


def _described(number: int, cause: Cause, options: str) -> str:
    lines = [f"{number}. {cause.name} (severity {cause.severity:.2f})"]
    for text in (cause.evidence, f"advice: {cause.advice}"):
        lines += wrap(text, LINE, initial_indent="   ", subsequent_indent="   ")
    return "\n".join([*lines, f"   train with: {options}"] if options else lines)


def free_run(measured: Measurements) -> str:
    """A sentence on the level of the free run against that of its seed; empty if it was not played."""
    seed, played = np.split(measured.level_db, [measured.n_seed_frames])
    if not len(seed) or not len(played):
        return ""
    n = max(1, len(played) // 10)
    parts = [float(np.median(part)) for part in (seed, played[:n], played[-n:])]
    levels = ["not finite" if not math.isfinite(level) else f"{level:.1f} dB" for level in parts]
    return (
        f"free run of {len(played)} frames: seed {levels[0]}, beginning {levels[1]}, end {levels[2]} "
        "(median level of a frame)"
    )
