"""Toy problems before a real run: can this model, with this optimizer, loss and batches, learn something easy?

For each toy problem, a new model with the run's own settings is trained on a simple sound, and its loss is compared
with that of a model that has learnt nothing. The loss of a model over frames is always measured on the target that the
name of its strategy implies, at all steps, without noise. So a passed problem confirms target, loss, optimizer and
model together, and a failed problem can be diagnosed on a sound as simple as a sine. (In 2016 no toy problem was
tried, although the code had a generator of sines.)
"""

import dataclasses
import io
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rnnaudio.atomic import temporary_folder
from rnnaudio.data.corpus import ArrayPiece, AudioCorpus, Split
from rnnaudio.diagnostics.diagnose import diagnose
from rnnaudio.diagnostics.subject import Diagnosis
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import to_dict
from rnnaudio.runs.diagnosis.diagnose import as_text
from rnnaudio.runs.recipe import C, Prepared, Recipe
from rnnaudio.runs.record import SavedRun, description
from rnnaudio.runs.toys import RATE_HZ, ToyProblem
from rnnaudio.training import Evaluation, Limits, Run, checkpoint, train
from rnnaudio.training.stopping import StoppingState

T = TypeVar("T")
LEAST_SECONDS = 4.0  # shortest sound of a toy problem
VALIDATE_EVERY = 20
MOST_VALIDATION_BATCHES = 4


class Attempt(NamedTuple):
    """Result of a toy problem.

    loss, blank_loss
        validation loss of the trained model, and of a model that has learnt nothing.
    n_updates, seconds
        number of updates, and duration of the training in seconds.
    in_words
        function that formats a loss with its unit.
    diagnosis
        the diagnosis of the model, if it failed; None if it passed.
    """

    problem: ToyProblem
    loss: float
    blank_loss: float
    n_updates: int
    seconds: float
    in_words: Callable[[float], str]
    diagnosis: Diagnosis | None

    @property
    def wanted(self) -> float:
        """The highest loss at which the problem counts as passed."""
        return self.problem.pass_share * self.blank_loss

    @property
    def passed(self) -> bool:
        return self.loss <= self.wanted

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        reached = f"{self.in_words(self.loss)}, expected {self.in_words(self.wanted)} or less"
        return f"{self.problem.name:10s} {verdict}: {reached} ({self.n_updates} updates, {self.seconds:.0f} s)"


# ---------------------------------------------------------------- training on them


@dataclass(frozen=True)
class Reached:
    """Stopping rule: stop once the validation loss is ``loss`` or less; the best parameters have the lowest loss."""

    loss: float

    def initial(self) -> StoppingState:
        return StoppingState()

    def update(self, state: StoppingState, loss: float) -> StoppingState:
        """Return the state after one more validation, with the loss ``loss``."""
        improved = loss < state.best_loss
        should_stop = loss <= self.loss
        return state._replace(
            epoch=state.epoch + 1,
            best_loss=min(loss, state.best_loss),
            improved=improved,
            should_stop=should_stop,
            reason="the toy problem is solved" if should_stop else "",
        )


def attempts(recipe: Recipe[C], config: C, problems: tuple[ToyProblem, ...] | None = None) -> Iterator[Attempt]:
    """Try toy problems in turn; yields the result of each, and ends after the first failure.

    problems: the toy problems; None: those of the recipe. RnnaudioError for settings from which no model can be built,
    and for a training step that does not fit into memory.
    """
    for problem in recipe.problems if problems is None else problems:
        print(f"{problem.name}: {problem.max_updates} updates at most ...", file=sys.stderr, flush=True)
        made = attempt(recipe, config, problem)
        yield made
        if not made.passed:
            return


def attempt(recipe: Recipe[C], config: C, problem: ToyProblem) -> Attempt:
    """Train a new model on one toy problem and evaluate it; returns the result, with a diagnosis if it failed."""
    config = recipe.toy(config)
    corpus = toy_corpus(recipe, config, problem)
    config = recipe.completed(config, corpus)
    with redirect_stdout(io.StringIO()):  # messages about a corpus do not apply to toy sounds
        prepared = recipe.prepare(config, corpus)
    validation = spread(prepared.validation, MOST_VALIDATION_BATCHES)
    with temporary_folder() as folder:
        run = _trained(prepared, validation, problem, folder)
        fitting = prepared.fitting
        judge = Evaluation(prepared.model, prepared.promised or prepared.objective, fitting.segment_steps)
        loss = next(iter(judge(validation).values()))
        made = Attempt(problem, loss, prepared.blank_loss, run.n_updates, run.seconds, recipe.in_words, None)
        if made.passed:
            return made
        saved = saved_toy(recipe, config, corpus, prepared, run, folder)
        with redirect_stdout(io.StringIO()):
            subject = recipe.subject(recipe.load(config, saved), corpus, saved.run_dir)
        # Two sines are no music: how long they stay alive is not asked.
        found = diagnose(dataclasses.replace(subject, validation=validation, judge=None))
    causes = tuple(cause for cause in found.causes if cause.name not in problem.by_design)
    return made._replace(diagnosis=dataclasses.replace(found, causes=causes))


def _trained(prepared: Prepared, validation: Sequence[Any], problem: ToyProblem, folder: Path) -> Run:
    fitting = prepared.fitting
    run = train(
        prepared.model,
        prepared.objective,
        prepared.batches,
        validation,
        optimizer=fitting.optimizer,
        stopping=Reached(problem.pass_share * prepared.blank_loss),
        run_dir=folder,
        limits=Limits(problem.max_updates, validate_every=VALIDATE_EVERY),
        seed=fitting.seed,
        segment_steps=fitting.segment_steps,
        judging=fitting.judging,
        on_update=fitting.on_update,
        on_validation=lambda row: None,
    )
    if run.is_interrupted:
        raise KeyboardInterrupt
    return run


def saved_toy(
    recipe: Recipe[C], config: C, corpus: AudioCorpus, prepared: Prepared, run: Run, folder: Path
) -> SavedRun:
    """Make a saved run of the model trained on a toy problem, and write the files of ``prepared`` to ``folder``.

    The parameters are taken from the model, not from a checkpoint: training writes none if no loss was finite.
    """
    for name, content in prepared.files.items():
        checkpoint.save(folder / name, content)
    best_loss = run.stopping.best_loss
    settings = {recipe.key: to_dict(config), "corpus": description(corpus), **prepared.measured}
    record = {
        "config": settings,
        "stopping": {"best_loss": best_loss if math.isfinite(best_loss) else None},
        "history": run.history,
        "n_updates": run.n_updates,
    }
    arrays = {f"model/{name}": value for name, value in prepared.model.get_values().items()}
    return SavedRun(folder, checkpoint.Checkpoint(arrays, record))


@dataclass(frozen=True, eq=False)
class ToyCorpus(AudioCorpus):
    """A corpus in memory. ``splits``: its splits by name: train, valid and test."""

    splits: Mapping[str, Split]

    def _split(self, name: str) -> Split:
        return self.splits[name]


def toy_corpus(recipe: Recipe[C], config: C, problem: ToyProblem) -> ToyCorpus:
    """Make a corpus of a toy problem's sound, standardised by :meth:`Recipe.toy_scale`.

    Its splits test and valid are equal.
    """
    frame_size, n_samples = recipe.toy_sizes(config)
    trained, validated = problem.sound(frame_size, max(round(LEAST_SECONDS * RATE_HZ), n_samples))
    scale = recipe.toy_scale(config, trained)
    sounds = {"train": trained, "valid": validated, "test": validated}
    splits = {name: Split(name, (ArrayPiece(scale.standardise(audio)),), RATE_HZ) for name, audio in sounds.items()}
    return ToyCorpus(scale.mean, scale.std, Path(problem.name), RATE_HZ, (), None, splits)


def spread(batches: Sequence[T], n: int) -> list[T]:
    """Choose at most ``n`` batches, spread evenly over the sequence."""
    return [batches[k * len(batches) // n] for k in range(n)] if len(batches) > n else list(batches)


# ---------------------------------------------------------------- in words


def preflight(recipe: Recipe[C], config: C, report: Callable[[str], None] = print) -> bool:
    """Try the recipe's toy problems until one fails; returns True if all were passed.

    report: function that gets each text: the result of each problem, and the diagnosis of the one that failed.
    """
    report("preflight: toy problems with these settings")
    for made in attempts(recipe, config):
        report(str(made))
        if made.diagnosis is not None:
            report(f"needed because: {made.problem.why}\n{as_text(made.diagnosis, recipe, config)}")
            return False
    report("preflight passed")
    return True


def require(recipe: Recipe[C], config: C) -> None:
    """Try the recipe's toy problems by :func:`preflight`; RnnaudioError unless all are passed."""
    if not preflight(recipe, config):
        raise RnnaudioError("preflight failed, so nothing was trained: change what it names, or leave out --preflight")
