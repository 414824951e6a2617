"""Test of the advice that a diagnosis gives: plant a fault, diagnose the run, follow the advice, and train again.

    rnnaudio experiment run advice            all causes, recorded
        --quick     a few causes; nothing is recorded
        --only overfitting limit-too-soon

For each cause a fault is planted (:mod:`experiments.proofs.recorded_faults`), and `diagnose` has to name the cause.
The options that it prints are applied to the settings, by the parser of `train`, or to the corpus. The quantity that
the advice promises to improve is measured before and after in the same way, and on the same sound, unless the advice
is to change the corpus (--normalise, --drop-silence, pieces left out, more music). Some quantities improve by
construction: for example, the number of pieces that stand apart falls when those pieces are left out.

The sound consists of the synthetic notes of the blind test, so the experiment needs no data.
"""

import dataclasses
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from tyro.conf import OmitArgPrefixes

from experiments.proofs.blind_test_recordings import notes
from experiments.proofs.recorded_faults import OF_CODES, OF_FRAMES, RECIPES, Planted
from experiments.proofs.recorded_runs import RATE_HZ, Parts, quietly, write
from experiments.shared.records import record
from rnnaudio.audio.cleaning import Cleaning, cleaned
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data import remove_from_corpus
from rnnaudio.diagnostics.free_run import course
from rnnaudio.diagnostics.pieces import outliers
from rnnaudio.diagnostics.subject import Cause, Diagnosis
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.diagnosis.actions import actions
from rnnaudio.runs.diagnosis.diagnose import diagnose_run
from rnnaudio.runs.fit import fit, resumed_config
from rnnaudio.runs.load import saved_config
from rnnaudio.runs.record import SavedRun

Measure = Callable[[Diagnosis], float]


@dataclass(frozen=True)
class Case:
    """A fault, the quantity that the advice promises to improve, its measure, and whether lower values are better."""

    planted: Planted
    quantity: str
    measure: Measure
    lower_is_better: bool = True

    @property
    def name(self) -> str:
        return f"{self.planted.cause}, {self.planted.recipe}"


@dataclasses.dataclass(frozen=True)
class Options:
    """Plant faults, follow the advice that the diagnosis prints, and record what it improved."""

    quick: bool = False  # every seventh case; nothing is recorded
    only: tuple[str, ...] = ()  # causes with one of these words in their name; nothing is recorded
    seed: int = 700


def main() -> None:
    """Read the options and follow the advice on each case."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    words = options.only or ("",)
    cases = [case for case in CASES if any(word in case.name for word in words)][:: 7 if options.quick else 1]
    rows = []
    for case in cases:
        rows.append(followed(case, options.seed))
        print(in_words(rows[-1]), flush=True)
    n_better = sum(row["improved"] for row in rows)
    print(f"the advice improved what it promises in {n_better} of {len(rows)} cases")
    if not (options.quick or options.only):
        record("advice", {"n_cases": len(rows), "n_improved": n_better, "seed": options.seed, "rows": rows})


def followed(case: Case, seed: int) -> dict[str, Any]:
    """Train a run with a fault, follow the advice of its diagnosis, and train again; returns the row of the record.

    RnnaudioError if the diagnosis does not name the cause, or prints no option or command against it.
    """
    planted = case.planted
    recipe, _ = RECIPES[planted.recipe]
    with tempfile.TemporaryDirectory() as folder:
        corpus, run_dir = Path(folder) / "corpus.h5", Path(folder) / "run"
        write(planted.sound(notes()), corpus)
        quietly(fit, recipe, planted.config(seed), corpus, run_dir)
        before = quietly(diagnose_run, run_dir)
        cause = next((cause for cause in before.causes if cause.name == planted.cause), None)
        if cause is None:
            raise RnnaudioError(f"{case.name}: the diagnosis named {[c.name for c in before.causes]} instead")
        lines = printed(cause, planted, run_dir)
        if not lines:
            raise RnnaudioError(f"{case.name}: the diagnosis prints nothing to do")
        line = lines[0]
        after = quietly(diagnose_run, done(line, planted, corpus, run_dir))
        values = [case.measure(found) for found in (before, after)]
        typed = line.replace(folder, "...")
    gain = values[0] - values[1] if case.lower_is_better else values[1] - values[0]
    return {
        "cause": planted.cause, "recipe": planted.recipe, "planted": planted.name, "typed": typed,
        "quantity": case.quantity, "before": rounded(values[0]), "after": rounded(values[1]),
        "improved": bool(gain > 0), "named_before": [c.name for c in before.causes],
        "named_after": [c.name for c in after.causes],
    }  # fmt: skip


def printed(cause: Cause, planted: Planted, run_dir: Path) -> list[str]:
    """Lines with the options and commands that `diagnose` prints against a cause of a run."""
    recipe, saved = RECIPES[planted.recipe][0], SavedRun.read(run_dir)
    return actions(cause, recipe, saved_config(recipe, saved), saved)


def done(line: str, planted: Planted, corpus: Path, run_dir: Path) -> Path:
    """Follow a line of advice; returns the folder of the new run, or of the run itself if that is resumed."""
    how, _, typed = line.partition(": ")
    recipe, config = RECIPES[planted.recipe][0], saved_config(RECIPES[planted.recipe][0], SavedRun.read(run_dir))
    again = run_dir.with_name("again")
    words = shlex.split(typed)
    if how == "go on":
        limits = {k.removeprefix("--").replace("-", "_"): float(v) for k, v in pairs(words[3:]).items()}
        _, config = resumed_config(run_dir, **{k: int(v) if k == "max_updates" else v for k, v in limits.items()})
        quietly(fit, recipe, config, corpus, run_dir, resume=True)
        return run_dir
    if how == "build the corpus with":
        rebuilt = Cleaning(None, normalise="--normalise" in words, drop_silence="--drop-silence" in words)
        corpus = write(clean(planted.sound(notes()), rebuilt), corpus.with_name("rebuilt.h5"))
    elif how == "add music":
        corpus = write(notes(), corpus.with_name("more.h5"))
    elif how == "leave out":
        corpus = remove_from_corpus(corpus, words[4:-2], out=corpus.with_name(words[-1])).path
    elif words[:2] == ["--recipe", "codes"]:
        recipe, config = RECIPES["codes"]
    else:
        config = with_options(config, words)
    quietly(fit, recipe, config, corpus, again)
    return again


def with_options(config: Any, words: list[str]) -> Any:
    """Apply options of `train`, ``words``, to the settings, with the parser of `train`; returns the new settings."""
    kind: Any = type(config)

    def train(settings: OmitArgPrefixes[kind] = config) -> Any:
        return settings

    return tyro.cli(train, args=words, registry=REGISTRY)


def pairs(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


def clean(parts: Parts, cleaning: Cleaning) -> Parts:
    """Clean the parts as `corpus build` does with these options."""
    return Parts(*([cleaned(audio, RATE_HZ, cleaning)[0] for audio in pieces] for pieces in parts))


def rounded(value: float) -> float:
    return float(f"{value:.4g}")


def in_words(row: dict[str, Any]) -> str:
    """The result of a case as a line of text."""
    verdict = "better" if row["improved"] else "NOT BETTER"
    change = f"{row['quantity']} {row['before']:g} -> {row['after']:g}"
    return f"{row['cause']:30s} {row['recipe']:7s} {verdict:10s} {change} ({row['typed']})"


# ---------------------------------------------------------------- the cases


def error(found: Diagnosis) -> float:
    """Normalised error on the validation windows; for a run that predicts no frames, the best validation loss."""
    return found.measured.errors.get("this model", found.measured.figures["best_loss"])


def figure(name: str) -> Measure:
    return lambda found: found.measured.figures[name]


def goes_on(found: Diagnosis) -> float:
    return float(course(found.measured.figures).startswith("it goes on"))


def furthest_db(found: Diagnosis) -> float:
    """Largest distance, in dB, of the level of a piece from the median level."""
    levels = np.array([row.level for row in found.measured.pieces])
    return float(np.abs(levels - np.median(levels)).max())


def number_apart(found: Diagnosis) -> float:
    return float(len(outliers(found.measured.pieces)))


def noise_in_record(found: Diagnosis) -> float:
    """Ratio of the lowest recorded validation loss to the validation loss without noise."""
    return found.measured.figures["history_lowest_valid"] / found.measured.figures["validation_loss"]


ERROR, FALL = "error on validation", "fall of the free run, dB"
BY_NAME = {(fault.name, fault.recipe): fault for fault in (*OF_FRAMES, *OF_CODES)}


def known(name: str, recipe: str = "frames") -> Planted:
    return BY_NAME[name, recipe]


SHORT = {"max_updates": 200}
PLAIN = {"model.linear_skip": 0, **SHORT}
CASES = (
    Case(known("target is the input"), ERROR, error),
    Case(known("RMSprop that does not divide"), ERROR, error),
    Case(Planted("cost on the last step", "last-step-cost", {"cost": "last_step"} | PLAIN), ERROR, error),
    Case(known("learning rate x 250"), ERROR, error),
    Case(Planted("learning rate / 20000", "learning-rate-too-low", {"learning_rate": 1e-7} | PLAIN), ERROR, error),
    Case(Planted("noise after the read-out", "noise-in-readout", {"model.readout_noise": 1.0} | PLAIN), ERROR, error),
    Case(Planted("min/max scaling", "min-max-scaling", {"scaling": "min_max_2016"} | PLAIN), ERROR, error),
    Case(Planted("one window, shifted", "shifted-batch", {"batches": "shifted"} | PLAIN), ERROR, error),
    Case(
        Planted(
            "small tanh read-out", "bounded-output",
            {"model.readout": "tanh", "model.readout_weights": "rand_2016"} | PLAIN,
        ),
        ERROR, error,
    ),
    Case(
        Planted("forget bias -5", "vanishing-gradient", {"model.options.forget_bias": -5.0, "max_updates": 400}),
        "gradient kept per step", figure("gradient_kept_per_step"), lower_is_better=False,
    ),
    Case(
        Planted("validation from training", "validation-is-training", {"validation": "training"} | SHORT),
        "share of validation found in training", figure("validation_in_training"),
    ),
    Case(
        Planted(
            "noise in evaluation", "noise-in-evaluation",
            {"noise_in_evaluation": True, "model.input_noise": 1.0} | PLAIN,
        ),
        "recorded loss over that without noise", noise_in_record,
    ),
    Case(
        Planted("two functions", "two-functions", {"generation": "two_functions_2016"} | SHORT),
        "way towards a frame consumed twice", figure("play_towards_twice"),
    ),
    Case(Planted("a mean, fed back", "noiseless-feedback", SHORT), "the free run goes on", goes_on, False),
    Case(Planted("no linear path", "worse-than-baseline", PLAIN | {"max_updates": 40}), ERROR, error),
    Case(known("a soft piece"), "furthest level, dB", furthest_db),
    Case(known("a dull piece"), "pieces apart", number_apart),
    Case(known("half of it silent"), FALL, figure("level_fall_db")),
    Case(known("a second of music"), ERROR, error),
    Case(known("a large model for long"), ERROR, error),
    Case(known("a short training"), ERROR, error),
    Case(known("two units"), ERROR, error),
    Case(known("noise at the input"), ERROR, error),
    Case(known("half of it silent", "codes"), FALL, figure("level_fall_db")),
    Case(known("a second of music", "codes"), ERROR, error),
    Case(known("a large model for long", "codes"), ERROR, error),
    Case(known("a short training", "codes"), ERROR, error),
    Case(known("noise at the input", "codes"), ERROR, error),
)  # fmt: skip
