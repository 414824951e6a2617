"""What a diagnosis is made of and what it says. Neither knows of settings: a cause has to be measured to be named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.diagnostics.memory import Stepped
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective
from rnnaudio.optimizers import Optimizer


@dataclass(frozen=True)
class Subject:
    """A model and everything that trains and plays it, as black boxes.

    objective, optimizer
        what they claim to be: the name of a strategy promises a target, that of a rule a size of step.
    batches, validation
        the batcher of training, and the fixed batches of validation (``frames`` (time + 1, batch, n), ``resets``).
    pieces
        the training pieces as the batcher reads them (``n_samples``, ``read(start, stop)``).
    make_step
        (model) -> a training step ``step(batch, state, learning_rate=, update=)`` of that model; it is given copies.
    play
        (true frames (time, n), n_frames) -> generated frames (n_frames, n), in the run's own way; None: it generates
        no frames one by one.
    continued, prime, sample_rate_hz
        ((n,) samples, n_samples) -> the continuation, in the run's own way; the sound to continue; its rate. For runs
        without ``play``; None: not played.
    learning_rate, late_rate
        the highest of the run, and that of the update that made these parameters, where a schedule lowers it.
    history, best_loss
        what the run recorded: rows of validation, and the loss by which its parameters were chosen.
    """

    model: Layer
    objective: Objective
    optimizer: Optimizer
    learning_rate: float
    batches: Any
    validation: Sequence[Any]
    pieces: Sequence[Any]
    make_step: Callable[[Layer], Any]
    play: Callable[[np.ndarray, int], np.ndarray] | None = None
    history: Sequence[dict[str, Any]] = ()
    best_loss: float | None = None
    late_rate: float | None = None
    continued: Callable[[np.ndarray, int], np.ndarray] | None = None
    prime: np.ndarray | None = None
    sample_rate_hz: int = 16_000

    @cached_property
    def stepped(self) -> Stepped:
        """One step of the model, compiled once."""
        return Stepped(self.model)

    @property
    def rate_now(self) -> float:
        """The learning rate that the parameters are used to; not less than a thousandth of the highest."""
        return self.learning_rate if self.late_rate is None else max(self.late_rate, 1e-3 * self.learning_rate)


class Unanswerable(Exception):
    """A question that a subject cannot answer; the message says why."""


class Figures(dict[str, float]):
    """Figures by name; one that was not measured is NaN."""

    def __missing__(self, name: str) -> float:
        return float("nan")


class Cause(NamedTuple):
    """name: one of the known causes; severity: 0 to 1, ranked by it; evidence: a sentence with the numbers measured;
    advice: what to change."""

    name: str
    severity: float
    evidence: str
    advice: str


@dataclass
class Measurements:
    """What was measured, for the picture and the record; what could not be is empty or not a number.

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
        mean squared difference of the outputs with and without training noise; the mean squared error it is under.
    step_sizes
        by parameter: (|update| / |parameter|, size of the update over what the rule promises).
    saturation
        by activation: share of values at the ends of their range, or of units that are dead.
    level_db, n_seed_frames, frame_size
        (frames,): level of each frame of seed and free run, and where the free run begins.
    errors
        normalised mean squared error on the validation batches of the model and of the baselines, by name.
    figures
        all other figures by name.
    unanswered
        by examination: why it could not be made.
    """

    gradient_by_lag: np.ndarray = field(default_factory=lambda: np.empty(0))
    growth_with_input: np.ndarray = field(default_factory=lambda: np.empty(0))
    growth_without: np.ndarray = field(default_factory=lambda: np.empty(0))
    echo: np.ndarray = field(default_factory=lambda: np.empty(0))
    flip: float = float("nan")
    coverage: np.ndarray = field(default_factory=lambda: np.empty(0))
    noise_floor: float = float("nan")
    loss: float = float("nan")
    step_sizes: dict[str, tuple[float, float]] = field(default_factory=dict)
    saturation: dict[str, float] = field(default_factory=dict)
    level_db: np.ndarray = field(default_factory=lambda: np.empty(0))
    n_seed_frames: int = 0
    frame_size: int = 0
    errors: dict[str, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    unanswered: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """causes: most severe first, upstream ones before their symptoms; none for a run that nothing is wrong with."""

    causes: tuple[Cause, ...]
    measured: Measurements
