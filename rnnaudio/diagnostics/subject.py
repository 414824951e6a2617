"""Input and result of a diagnosis. Neither holds settings: a cause is named only if it was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Audio, Floats, Frames
from rnnaudio.audio.sources import Samples
from rnnaudio.diagnostics.dynamics import Stepped
from rnnaudio.diagnostics.updates import MakeStep
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective
from rnnaudio.optimizers import Optimizer
from rnnaudio.records import Record


@dataclass(frozen=True)
class Subject:
    """A model and everything that trains it and generates with it, as black boxes.

    objective, optimizer
        as declared: the name of a strategy implies a target, that of a rule a step size.
    batches, validation
        the batcher of training, and the fixed batches of validation, of frames or of what the objective takes.
    pieces
        the training pieces as read by the batcher.
    make_step
        (model) -> a training step ``step(batch, state, learning_rate=, update=)`` of that model; called with copies.
    play
        (true frames (time, n), n_frames) -> generated frames (n_frames, n), in the run's own way; None: it generates
        no frames one by one.
    continued, prime, sample_rate_hz
        ((n,) samples, n_samples) -> the continuation, in the run's own way; the sound to continue; its rate. For runs
        without ``play``; None: not played.
    learning_rate, late_rate
        the highest rate of the run, and that of the update that led to these parameters, if a schedule lowers it.
    history, best_loss
        as recorded by the run: rows of validation, and the loss by which its parameters were selected.
    """

    model: Layer
    objective: Objective
    optimizer: Optimizer
    learning_rate: float
    batches: Any
    validation: Sequence[Any]
    pieces: Sequence[Samples]
    make_step: MakeStep
    play: Callable[[Frames, int], Frames] | None = None
    history: Sequence[Record] = ()
    best_loss: float | None = None
    late_rate: float | None = None
    continued: Callable[[Audio, int], Audio] | None = None
    prime: Callable[[], Audio] | None = None
    sample_rate_hz: int = 16_000

    @cached_property
    def stepped(self) -> Stepped:
        """One step of the model, compiled once."""
        return Stepped(self.model)

    @property
    def rate_now(self) -> float:
        """Current learning rate of the parameters, at least a thousandth of the highest."""
        return self.learning_rate if self.late_rate is None else max(self.late_rate, 1e-3 * self.learning_rate)


class Unanswerable(Exception):
    """A question that a subject cannot answer; the message says why."""


class Figures(dict[str, float]):
    """Figures by name; one that was not measured is NaN."""

    def __missing__(self, name: str) -> float:
        return float("nan")


class Cause(NamedTuple):
    """A cause of bad results.

    name
        one of the known causes.
    severity
        0 to 1; causes are ranked by it.
    evidence
        a sentence with the measured numbers.
    advice
        the change to make.
    """

    name: str
    severity: float
    evidence: str
    advice: str


@dataclass
class Measurements:
    """All measurements, for the picture and the record; missing ones are empty or NaN.

    gradient_by_lag
        |d loss_T / d x_{T-lag}| by lag, root mean square over the batch.
    growth_with_input, growth_without
        (steps,): root mean square of all states after 1, 2, .. steps, with true input and with zeros.
    echo
        (steps,): distance of two runs from different initial states under the same input, relative to their size.
    flip
        relative change of the next state when one input frame is negated.
    coverage
        (steps,): norm of d loss / d output of each step.
    noise_floor, loss
        mean squared difference of the outputs with and without training noise; the mean squared error of the model.
    step_sizes
        by parameter: (|update| / |parameter|, size of the update over that expected of the rule).
    saturation
        by activation: share of values at the ends of their range, or of units that are dead.
    level_db, n_seed_frames, frame_size
        (frames,): level of each frame of prime and free run; number of frames of the prime; samples per frame.
    errors
        normalised mean squared errors of the model and the baselines on the validation batches, by name.
    figures
        all other figures by name.
    unanswered
        by examination: why it could not be made.
    """

    gradient_by_lag: Floats = field(default_factory=lambda: np.empty(0))
    growth_with_input: Floats = field(default_factory=lambda: np.empty(0))
    growth_without: Floats = field(default_factory=lambda: np.empty(0))
    echo: Floats = field(default_factory=lambda: np.empty(0))
    flip: float = float("nan")
    coverage: Floats = field(default_factory=lambda: np.empty(0))
    noise_floor: float = float("nan")
    loss: float = float("nan")
    step_sizes: dict[str, tuple[float, float]] = field(default_factory=dict)
    saturation: dict[str, float] = field(default_factory=dict)
    level_db: Floats = field(default_factory=lambda: np.empty(0))
    n_seed_frames: int = 0
    frame_size: int = 0
    errors: dict[str, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    unanswered: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """Causes, most severe first and upstream ones before their symptoms (none for a healthy run), and measurements."""

    causes: tuple[Cause, ...]
    measured: Measurements
