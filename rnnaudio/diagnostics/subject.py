"""Classes for a diagnosis: its input, its measurements, and its result, the causes of bad results.

None of them contains the settings of the run, so that causes are found by measurement only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Audio, Floats, Frames
from rnnaudio.audio.sources import Samples
from rnnaudio.diagnostics.dynamics import Stepped
from rnnaudio.diagnostics.pieces import PieceFigures
from rnnaudio.diagnostics.updates import MakeStep
from rnnaudio.metrics import Alive
from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective
from rnnaudio.optimizers import Optimizer
from rnnaudio.records import Record


@dataclass(frozen=True)
class Subject:
    """A model, and everything that trains it or generates with it, as black boxes.

    objective, optimizer
        as declared by the run; the target that the objective's name implies, and the size of updates that the
        optimizer implies, are compared with the measured ones.
    batches, validation
        the training batcher, and the fixed validation batches. A batch has ``frames`` (time + 1, batch, n), or
        else only the fields of the objective.
    pieces, held_out
        the training pieces, and those of the validation split, on the scale on which the batcher reads them.
    full_scale
        the sample value, on the same scale, that corresponds to full scale (0 dBFS); None if unknown.
    make_step
        function (model) -> training step ``step(batch, state, learning_rate=, update=)``; called with copies of the
        model.
    play
        the run's own generation: function (prime (time, n), n_frames) -> generated frames (n_frames, n); None if the
        run does not generate frame by frame.
    continued, prime
        for runs without ``play``: the run's own generation, a function (prime (n,), n_samples) -> continuation
        (n_samples,); and a function () -> prime (n,). Without ``play``, the free run is examined only if both are
        given.
    sample_rate_hz
        sample rate of the pieces and of generated audio.
    judge
        function (generated (n,), prime (m,)) -> survival time of the free run, and the fault that ends it, as in the
        report; None: neither is measured.
    learning_rate, late_rate
        the highest learning rate of the run, and the rate of the last update of ``model``; None: the highest.
    history, best_loss, stopped_early
        as recorded by the run: one row per validation, the loss by which the parameters were selected, and whether
        early stopping ended the training.
    n_updates, n_planned
        number of updates, and how many were planned; 0: no plan.
    baselines
        normalised mean squared errors of the baselines on the validation windows by name, as recorded by the run;
        empty: they are measured.
    blank_loss
        the validation loss of a model that has learnt nothing; None if unknown.
    through_codec
        for a model of codes, a function () -> two shares, 0 to 1, of the windows of validation music that are within
        the limits of real music: as recorded, and after coding and decoding without a model; None for other models.
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
    baselines: Mapping[str, float] = field(default_factory=dict)
    late_rate: float | None = None
    continued: Callable[[Audio, int], Audio] | None = None
    prime: Callable[[], Audio] | None = None
    judge: Callable[[Audio, Audio], Alive] | None = None
    sample_rate_hz: int = 16_000
    held_out: Sequence[Samples] = ()
    full_scale: float | None = None
    blank_loss: float | None = None
    stopped_early: bool = False
    n_updates: int = 0
    n_planned: int = 0
    through_codec: Callable[[], tuple[float, float]] | None = None

    @cached_property
    def stepped(self) -> Stepped:
        """The step function of the model, compiled once."""
        return Stepped(self.model)

    @property
    def rate_now(self) -> float:
        """Learning rate of the last update, but at least a thousandth of the highest rate."""
        return self.learning_rate if self.late_rate is None else max(self.late_rate, 1e-3 * self.learning_rate)


class Unanswerable(Exception):
    """Error for a measurement that a subject does not allow; the message gives the reason."""


class Figures(dict[str, float]):
    """Measured numbers by name; a number that was not measured is NaN."""

    def __missing__(self, name: str) -> float:
        return float("nan")


class Cause(NamedTuple):
    """A cause of bad results.

    name
        one of the names in ``rnnaudio.diagnostics.causes.CAUSES``.
    severity
        0 to 1; determines the ranking of causes.
    evidence
        a sentence with the measured numbers.
    advice
        the change to make.
    rate_factor
        factor by which to multiply the learning rate; 1 if another rate is not the remedy.
    rebuild, outliers
        options of `corpus build` that repair the corpus, and titles of pieces to remove from the corpus; each is empty
        if it is not the remedy.
    """

    name: str
    severity: float
    evidence: str
    advice: str
    rate_factor: float = 1.0
    rebuild: str = ""
    outliers: tuple[str, ...] = ()


@dataclass
class Measurements:
    """All measurements of a diagnosis; arrays that were not measured are empty, numbers NaN or 0.

    gradient_by_lag
        (steps,): norm of the gradient of the last step's loss with respect to the input frame ``lag`` steps before it,
        root mean square over the batch.
    growth_with_input, growth_without
        (steps,): root mean square of all state units after 1, 2, .. steps, with recorded input and with zeros.
    echo
        (steps,): distance between the states reached from two different initial states with the same input, relative
        to the rms of the states.
    flip
        relative change of the next state when one input frame is negated.
    coverage
        (steps,): norm of d loss / d output at each step, root mean square over the batch.
    noise_floor, loss
        variance of the outputs due to training noise; mean squared error of the model on the validation batches.
    step_sizes
        by parameter: (|update| / |parameter|, |update| / the size that the update rule implies).
    saturation
        by activation: share of values close to the ends of their range; for relu, share of units that are never
        active.
    level_db, n_prime_frames, frame_size
        (frames,): level in dB of each frame of prime and free run; number of frames of the prime; samples per frame.
    life
        survival time of the free run, and the fault that ends it; None if not measured.
    pieces
        one row per measured piece of training and validation music.
    errors
        by name: normalised mean squared errors of the model and the baselines on the validation batches.
    figures
        by name: all other measured numbers.
    unanswered
        by name of an examination that was not possible: the reason.
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
    n_prime_frames: int = 0
    frame_size: int = 0
    life: Alive | None = None
    pieces: tuple[PieceFigures, ...] = ()
    errors: dict[str, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    unanswered: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """Result of a diagnosis: the causes found, most severe first (none for a healthy run), and all measurements."""

    causes: tuple[Cause, ...]
    measured: Measurements
