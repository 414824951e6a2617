"""The interface of recipes: everything that differs between runs over frames, codes and samples.

A recipe defines the model, its objective and batches, how a trained run continues sound, and a part of the report. The
functions for training, resuming, generation, reports, diagnosis and toy problems, in :mod:`rnnaudio.runs`, are common
to all recipes. To add a recipe, subclass :class:`Recipe` and register it by one line in :mod:`rnnaudio.runs.recipes`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from rnnaudio.audio.sources import Samples
from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import LEAST_PRIME_SECONDS, Scale, Split
from rnnaudio.diagnostics.subject import Subject
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective
from rnnaudio.optimizers import Optimizer
from rnnaudio.runs.config import RunConfig, from_dict
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.judging import Sound, judge
from rnnaudio.runs.lengths import Need, Needs
from rnnaudio.runs.record import Record, SavedRun
from rnnaudio.runs.remedies import RATE_CAUSES, other_rate
from rnnaudio.runs.toys import PROBLEMS, ToyProblem
from rnnaudio.schema import Plain
from rnnaudio.training import Judging, Limits, SegmentedTrainStep, TrainStep, training_step
from rnnaudio.training.checkpoint import Checkpoint
from rnnaudio.training.run import Batches, StoppingRule, planned_updates

TOY_FRAME = 200  # samples per frame, if the model has no frames of its own
Rows = Sequence[Mapping[str, object]]


C = TypeVar("C", bound=RunConfig)


@dataclass(frozen=True)
class Fitting:
    """Optimizer, limits and rules of a training: arguments of :func:`rnnaudio.training.train` of the same names."""

    optimizer: Optimizer
    stopping: StoppingRule
    limits: Limits
    seed: int
    schedule: Callable[[int], float] | None = None
    segment_steps: int = 0
    judging: Judging = field(default_factory=Judging)
    on_update: Callable[[int], None] | None = None

    def step(self, model: Layer, objective: Objective) -> TrainStep | SegmentedTrainStep:
        """Compile and return the training step of a model; unless ``segment_steps`` is 0, it works in segments."""
        return training_step(model, objective, self.optimizer, seed=self.seed, segment_steps=self.segment_steps)


@dataclass(frozen=True)
class Prepared:
    """Everything needed to train a run.

    model, objective, batches
        the model to train, its loss, and the source of training batches.
    validation
        the fixed validation batches.
    fitting
        optimizer, limits and rules of the training.
    pieces
        the training pieces from which the batches are read.
    blank_loss
        the validation loss of a model that has learnt nothing; toy problems compare with it.
    measured
        measurements of the data, saved in the run's record.
    files
        contents of files to save beside the checkpoint, by name.
    promised
        the objective by which toy problems judge the model, if a setting (such as ``target_shift`` 0, as in 2016)
        makes ``objective`` differ from what the run is meant to learn; None: ``objective``.
    """

    model: Layer
    objective: Objective
    batches: Batches
    validation: Sequence[Any]
    fitting: Fitting
    pieces: Sequence[Samples]
    blank_loss: float
    measured: Record = field(default_factory=dict)
    files: Mapping[str, Checkpoint] = field(default_factory=dict)
    promised: Objective | None = None


@dataclass(frozen=True)
class Page:
    """A recipe's part of the report on a run.

    title, figure, about
        title of the page; the validation result as text for the headline; a paragraph that follows the headline.
    summary
        the recipe's entries of ``summary.json``.
    tables
        rows by heading.
    pictures, explanations
        paths of PNG files, and texts shown below pictures, sounds or tables, by caption or heading.
    sounds
        (n,) samples on the scale of the recording, by caption; written as ``<caption>.wav``, with underscores in place
        of spaces.
    baselines
        losses of simple predictors by name, which the learning curve shows as lines.
    last_loss
        validation loss of the last parameters, if the run plays with these; None: it plays with the parameters of the
        lowest validation loss.
    """

    title: str
    figure: str
    about: str = ""
    summary: Record = field(default_factory=dict)
    tables: Mapping[str, Rows] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)
    sounds: Mapping[str, np.ndarray] = field(default_factory=dict)
    explanations: Mapping[str, str] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    last_loss: float | None = None


class Recipe(ABC, Generic[C]):
    """A kind of run: frames, codes or samples. A recipe object has no state: methods get everything as arguments.

    name
        the name registered in :mod:`rnnaudio.runs.recipes`, which ``--recipe`` takes.
    key
        the key of the settings in a checkpoint's record. It must not change, or old runs cannot be loaded.
    Config
        the class of the settings, a frozen dataclass.
    quantity
        name of the loss in reports, with its unit if it has one.
    decibel
        True if losses are errors over the power of the signal, which curves show in decibels.
    seconds
        length in seconds of the sound generated for the report.
    problems
        toy problems of the preflight.
    files
        names of all files beside the checkpoint that loading a run may read; a pack includes those that exist.
    fixed
        reasons why settings cannot change when a run is resumed, by their names in ``config.toml`` (or the name of
        their table); see :mod:`rnnaudio.runs.reasons`.
    meaning
        names of settings that must be the same in a new run and in the run from whose parameters it starts, since the
        parameters would otherwise mean something else. Settings that change shapes need not be included.
    of_earlier_versions
        values of settings that saved runs lack, where earlier versions behaved differently from today's default.
    """

    name: ClassVar[str]
    key: ClassVar[str]
    Config: ClassVar[type[Any]]
    quantity: ClassVar[str] = "loss"
    decibel: ClassVar[bool] = False
    seconds: ClassVar[float] = 10.0
    problems: ClassVar[tuple[ToyProblem, ...]] = PROBLEMS
    files: ClassVar[tuple[str, ...]] = ()
    fixed: ClassVar[Mapping[str, str]] = {}
    meaning: ClassVar[Set[str]] = frozenset()
    of_earlier_versions: ClassVar[Mapping[str, Plain]] = {}

    def saved_config(self, settings: Mapping[str, Plain]) -> C:
        """Make the config of a saved run; settings that it lacks get the values of the version that saved it."""
        config: C = from_dict(self.Config, {**self.of_earlier_versions, **settings})
        return config

    @abstractmethod
    def prepare(self, config: C, corpus: AudioCorpus, run_dir: Path | None = None) -> Prepared:
        """Make the model, objective, training batches, validation batches and optimizer of a config.

        run_dir: the folder of a run that is resumed, diagnosed or started from. Data fitted to its music on which the
        meaning of its parameters depends, such as a codec, are loaded from there instead of fitted anew. None: a new
        run that starts from no other. RnnaudioError if training with this config on this corpus is impossible.
        """

    @abstractmethod
    def load(self, config: C, saved: SavedRun) -> LoadedRun:
        """Build the model of a saved run and load its trained parameters; returns the run, ready to continue sound."""

    def open_corpus(self, path: Path, config: C) -> AudioCorpus:
        """Open the corpus at ``path`` with samples on the scale that the config sets; by default: standardised."""
        return AudioCorpus.open(path)

    def completed(self, config: C, corpus: AudioCorpus) -> C:
        """Return the config after filling in the settings that depend on the corpus; by default, the config itself."""
        return config

    def may_change(self, config: C) -> Set[str]:
        """Return the names of the settings that may differ when a run is resumed.

        They are its limits, and settings without effect on its updates.
        """
        return {"minutes", "max_updates", "checkpoint_minutes", "preflight", "back_off"}

    def more_patience(self, config: C) -> str:
        """Return the option of `train` that doubles the patience of early stopping; empty if there is no patience."""
        patience = getattr(config, "patience", 0)
        return f"--patience {2 * patience}" if patience else ""

    def in_words(self, loss: float) -> str:
        """Format a loss, with its unit if it has one."""
        return f"{loss:.5g}"

    def needs(self, config: C, corpus: AudioCorpus) -> Needs:
        """Return the lengths that pieces must have for training and for validation; by default, one sample."""
        return Needs(Need(corpus.train, 1, ""), Need(corpus.valid, 1, ""))

    def prime_seconds(self, config: C, sample_rate_hz: int) -> float:
        """Return the length in seconds of primes for report and diagnosis, if pieces are long enough."""
        return 1.0

    def least_prime_samples(self, config: C) -> int:
        """Return the length in samples of the shortest prime that the model can continue."""
        return 1

    def prime_length(self, config: C, split: Split) -> float:
        """Return the length in seconds of primes from a split: :meth:`prime_seconds`, or less if no piece is as long.

        It is then the length of the longest piece; RnnaudioError if that is shorter than .2 s, or has fewer than
        :meth:`least_prime_samples` samples.
        """
        rate = split.sample_rate_hz
        least = max(LEAST_PRIME_SECONDS, self.least_prime_samples(config) / rate)
        return split.prime_length(self.prime_seconds(config, rate), least)

    def finish(self, run_dir: Path, corpus: AudioCorpus) -> None:
        """Make the choices that follow training, such as sampling temperatures, and save them in the run's folder.

        The default makes no choices and saves nothing.
        """

    def page(self, run: LoadedRun, corpus: AudioCorpus, sound: Sound, folder: Path) -> Page:
        """Make the part of the report that only this kind of run has, and plot its pictures into ``folder``."""
        best = run.best_validation_loss
        figure = "never validated" if best is None else f"{self.quantity} on validation music: {self.in_words(best)}"
        return Page(title=f"A run over {self.name}", figure=figure)

    def subject(self, run: LoadedRun, corpus: AudioCorpus, run_dir: Path | None = None) -> Subject:
        """Make the subject of a diagnosis: the model, and everything that trains it and generates with it.

        run_dir: the folder of the run, as in :meth:`prepare`.
        """
        prepared = self.prepare(run.config, corpus, run_dir)
        return subject_of(run, prepared, corpus, self.prime_seconds(run.config, run.sample_rate_hz))

    def remedy(self, cause: str, config: C, rate_factor: float = 1.0) -> str:
        """Return the options of `train` that repair a cause found by the diagnosis; empty if no setting does.

        cause: name of the cause. rate_factor: factor by which to multiply the learning rate, for a cause that another
        learning rate repairs.
        """
        return other_rate(config.learning_rate, rate_factor) if cause in RATE_CAUSES else ""

    def toy(self, config: C) -> C:
        """Return the config for toy problems, reduced so that each takes minutes at most; by default, unchanged."""
        return config

    def toy_sizes(self, config: C) -> tuple[int, int]:
        """Return (samples per frame, least number of samples of sound) for toy problems with these settings."""
        return TOY_FRAME, 0

    def toy_scale(self, config: C, audio: np.ndarray) -> Scale:
        """Return the mean and deviation by which to standardise a toy problem's audio, (n,) samples."""
        return Scale(float(audio.mean()), float(audio.std()))


def subject_of(run: LoadedRun, prepared: Prepared, corpus: AudioCorpus, prime_seconds: float) -> Subject:
    """Make the subject of a diagnosis from a run and everything with which it was trained.

    prime_seconds: length in seconds of the validation prime that the run continues in the diagnosis. If all validation
    pieces are shorter, the prime is as long as the longest of them.
    """
    fitting = prepared.fitting

    def continued(prime: np.ndarray, n_samples: int) -> np.ndarray:
        (result,) = run.continue_primes([prime], n_samples)
        return result.audio[result.n_prime :]

    return Subject(
        model=run.model,
        objective=prepared.objective,
        optimizer=fitting.optimizer,
        learning_rate=run.config.learning_rate,
        batches=prepared.batches,
        validation=prepared.validation,
        pieces=prepared.pieces,
        make_step=lambda model: fitting.step(model, prepared.objective),
        continued=continued,
        prime=lambda: corpus.valid.prime_at(0, corpus.valid.prime_length(prime_seconds)),
        judge=lambda generated, prime: judge(corpus.restore(generated), corpus, "", corpus.restore(prime)),
        sample_rate_hz=run.sample_rate_hz,
        history=run.history,
        best_loss=run.record["stopping"]["best_loss"],
        baselines=prepared.measured.get("baselines", {}),
        late_rate=late_rate(run),
        held_out=corpus.valid.pieces,
        full_scale=1.0 / corpus.std,
        blank_loss=prepared.blank_loss,
        stopped_early=bool(run.record["stopping"].get("should_stop")),
        n_updates=run.record["n_updates"],
        n_planned=planned_updates(run.config.max_updates),
    )


def late_rate(run: LoadedRun) -> float | None:
    """Return the learning rate of the update that gave the best parameters; None if the run was never validated."""
    return next((row["learning_rate"] for row in reversed(run.history) if row["is_best"]), None)
