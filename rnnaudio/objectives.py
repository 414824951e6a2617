"""What a model is trained to do: how a batch becomes an input, a target and a loss."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from rnnaudio import losses, ops
from rnnaudio.engine import tensor, tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.draw import Draw
from rnnaudio.readouts import GAUSSIAN, FrameReadout


class Terms(NamedTuple):
    """A mean over a data set in two sums, so that batches of any size add up: value = numerator / denominator."""

    numerator: Any
    denominator: Any


class Outcome(NamedTuple):
    loss: Any  # what the gradient is taken of
    terms: dict[str, Terms]  # what is reported; the first one decides early stopping
    state: Any  # the final state


class Objective(Protocol):
    """A task. ``fields`` names the arrays of a batch that it uses."""

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    def variables(self) -> list[Any]:
        """Symbolic inputs, one per field."""
        ...

    def batch_size(self, *variables: Any) -> Any:
        """How many sequences the batch holds."""
        ...

    def outcome(self, model: Layer, variables: list[Any], state: Any, context: Context) -> Outcome:
        """The graph from a batch to its loss."""
        ...


class Segment(NamedTuple):
    """A part of a batch in time."""

    arrays: list[np.ndarray]  # one per field of the objective
    weight: float  # the loss of the batch is the sum of weight * loss of its segments


@runtime_checkable
class Divisible(Objective, Protocol):
    """An objective whose loss is a mean over time steps, so that a batch can be cut in time."""

    def segments(self, segment_steps: int, *arrays: np.ndarray) -> list[Segment]:
        """The batch in segments of so many steps, the last one shorter where they do not fit."""
        ...


@dataclass(frozen=True)
class Strategy:
    """Frames (T+1, batch, n) -> input x_1..x_T and target, by mean squared error.

    shift = 1: the target is the next frame (predict). shift = 0: the target is the input itself (reconstruct).
    The cost is the mean over the steps from ``first_scored`` on: 0 all of them, n after a burn-in of n steps, -1 the
    last step alone (as in 2016). Reported is always, whatever the cost counts: ``normalised_mse`` = sum of squared
    errors / sum of squared targets, of all T steps.
    """

    name: str
    shift: int
    fields: tuple[str, ...] = ("frames",)
    first_scored: int = 0

    def variables(self) -> list[Any]:
        return [tensor("frames", 3)]

    def batch_size(self, frames: Any) -> Any:
        return frames.shape[1]

    def split(self, frames: Any) -> tuple[Any, Any]:
        """Input and target; slices, so it works on NumPy arrays and symbolic variables alike."""
        n_steps = frames.shape[0] - 1
        return frames[:n_steps], frames[self.shift : n_steps + self.shift]

    def activations(self, model: Layer) -> Activations:
        """What a training step holds beside the model's: the gradient at its output."""
        return Activations(widths(), widths(model.n_out))

    def segments(self, segment_steps: int, frames: np.ndarray) -> list[Segment]:
        """Views, adjoining ones with a frame in common: the last target of one is the first input of the next."""
        if self.first_scored:
            raise RnnaudioError("a cost that leaves out steps cannot be cut in time: train without segments")
        n = frames.shape[0] - 1
        bounds = [(first, min(first + segment_steps, n)) for first in range(0, n, segment_steps)]
        return [Segment([frames[first : last + 1]], (last - first) / n) for first, last in bounds]

    def outcome(self, model: Layer, variables: list[Any], state: Any, context: Context) -> Outcome:
        x, target = self.split(variables[0])
        prediction, state = model.unroll(x, state, context)
        terms = Terms(*ops.squared_errors(prediction, target))
        if self.first_scored:
            prediction, target = prediction[self.first_scored :], target[self.first_scored :]
        return Outcome(losses.mean_squared_error(prediction, target), {"normalised_mse": terms}, state)


predict_next = Strategy("predict_next", shift=1)
reconstruct_current = Strategy("reconstruct_current", shift=0)
STRATEGIES = {strategy.name: strategy for strategy in (predict_next, reconstruct_current)}


@dataclass(frozen=True)
class NextCodes:
    """Codes (T+1, batch, stages) -> the probabilities of the next frame's, by :class:`rnnaudio.nn.CodeModel`.

    Loss: bits a frame, all stages together. Reported: ``bits``, and ``bits_<k>`` of each of several stages.

    own_share
        in training, the share of frames after the first of a window that are heard not as they are but as the model,
        having heard the true frames before, would have drawn them: scheduled sampling (Bengio et al. 2015) in two
        passes instead of step by step (Duckworth et al. 2019). What is to be foretold stays true.
    own_rise
        updates over which the share rises from none, along a line; 0: it is there from the beginning.
    """

    name: str = "next_codes"
    fields: tuple[str, ...] = ("codes",)
    own_share: float = 0.0
    own_rise: int = 0

    def variables(self) -> list[Any]:
        return [tensor("codes", 3, "int64")]

    def batch_size(self, codes: Any) -> Any:
        return codes.shape[1]

    def outcome(self, model: Any, variables: list[Any], state: Any, context: Context) -> Outcome:
        codes = variables[0]
        heard = self._heard(model, codes[:-1], state, context) if context.training and self.own_share else codes[:-1]
        hidden, state = model.unroll(model.heard(heard), state, context)
        stages = [nats / np.asarray(np.log(2.0), nats.dtype) for nats in model.nats(hidden, codes[1:], context)]
        bits = sum(stages[1:], stages[0])
        n = tt.cast((codes.shape[0] - 1) * codes.shape[1], bits.dtype)
        terms = {"bits": Terms(bits * n, n)}
        if len(stages) > 1:
            terms |= {f"bits_{k}": Terms(stage * n, n) for k, stage in enumerate(stages, 1)}
        return Outcome(bits, terms, state)

    def _heard(self, model: Any, codes: Any, state: Any, context: Context) -> Any:
        """Some of the codes (T, batch, stages), but the first frame's, replaced by draws of the model's own."""
        shape = [codes.shape[0] - 1, codes.shape[1]]
        hidden, _ = model.unroll(model.heard(codes[:-1]), state, Context.evaluation())
        own = model.drawn(hidden, context.uniform([*shape, model.n_stages]))
        uniform = context.uniform(shape)
        risen = tt.minimum(tt.cast(context.update, uniform.dtype) / self.own_rise, 1.0) if self.own_rise else 1.0
        is_own = (uniform < self.own_share * risen).dimshuffle(0, 1, "x")
        return tt.concatenate([codes[:1], tt.switch(is_own, own, codes[1:])], axis=0)


@dataclass(frozen=True)
class NextFrameDistribution(Strategy):
    """Frames (T+1, batch, n) -> a distribution of each value of the next frame, by its likelihood.

    The model says ``readout.n_parameters`` n numbers. Reported: ``nats`` a value, by which early stopping goes, and
    the means' ``normalised_mse``.
    """

    name: str = "next_frame_distribution"
    shift: int = 1
    readout: FrameReadout = GAUSSIAN

    def outcome(self, model: Layer, variables: list[Any], state: Any, context: Context) -> Outcome:
        x, target = self.split(variables[0])
        said, state = model.unroll(x, state, context)
        loss = self.readout.nats(said, target)
        n = tt.cast(target.size, loss.dtype)
        mse = Terms(*ops.squared_errors(self.readout.mean(said), target))
        return Outcome(loss, {"nats": Terms(loss * n, n), "normalised_mse": mse}, state)


@dataclass(frozen=True)
class NextSamples:
    """Levels (n_context + T, batch, 1) -> the probability of each of the last T, by :class:`rnnaudio.nn.SampleModel`.

    n_context is the model's. Loss, and reported: ``bits`` a sample.
    """

    n_context: int
    name: str = "next_samples"
    fields: tuple[str, ...] = ("codes",)

    def variables(self) -> list[Any]:
        return [tensor("codes", 3, "int64")]

    def batch_size(self, codes: Any) -> Any:
        return codes.shape[1]

    def segments(self, segment_steps: int, codes: np.ndarray) -> list[Segment]:
        """Views, each with the samples before it that are only heard."""
        n = len(codes) - self.n_context
        bounds = [(first, min(first + segment_steps, n)) for first in range(0, n, segment_steps)]
        return [Segment([codes[first : self.n_context + last]], (last - first) / n) for first, last in bounds]

    def outcome(self, model: Any, variables: list[Any], state: Any, context: Context) -> Outcome:
        codes = variables[0]
        said, state = model.unroll(codes, state, context)
        nats = model.samples.readout.nats(said, codes[self.n_context :])
        bits = nats / np.asarray(np.log(2.0), nats.dtype)
        n = tt.cast((codes.shape[0] - self.n_context) * codes.shape[1], bits.dtype)
        return Outcome(bits, {"bits": Terms(bits * n, n)}, state)


@dataclass(frozen=True)
class PhaseDifferences:
    """Magnitudes around bins, (T, rows, n) -> two differences of phases a row, by their distance, loud ones more.

    Reported: ``phase_distance``, 0 to 1, of both differences together.
    """

    name: str = "phase_differences"
    fields: tuple[str, ...] = ("inputs", "differences", "weights")

    def variables(self) -> list[Any]:
        return [tensor(field, 3) for field in self.fields]

    def batch_size(self, inputs: Any, *others: Any) -> Any:
        return inputs.shape[1]

    def outcome(self, model: Layer, variables: list[Any], state: Any, context: Context) -> Outcome:
        inputs, differences, weights = variables
        said, state = model.unroll(inputs, state, context)
        loss = losses.phase_distance(said, differences, weight=weights)
        n = tt.sum(weights)
        return Outcome(loss, {"phase_distance": Terms(loss * n, n)}, state)


@dataclass(frozen=True)
class Classification:
    """Images (batch, n) -> class labels (batch,), by cross-entropy in nats; ``loss`` is one of CROSS_ENTROPIES.

    Reported: ``cross_entropy`` and ``error_rate``; the one that ``judged_by`` names decides early stopping.
    """

    name: str = "classification"
    fields: tuple[str, ...] = ("images", "labels")
    judged_by: str = "cross_entropy"
    loss: str = "cross_entropy"

    def variables(self) -> list[Any]:
        return [tensor("images", 2), tensor("labels", 1, "int64")]

    def batch_size(self, images: Any, labels: Any) -> Any:
        return images.shape[0]

    def outcome(self, model: Layer, variables: list[Any], state: Any, context: Context) -> Outcome:
        images, labels = variables
        logits, state = model.step(images, state, context)
        loss = losses.CROSS_ENTROPIES[self.loss](logits, labels)
        n = tt.cast(labels.shape[0], loss.dtype)
        wrong = tt.sum(tt.cast(tt.neq(tt.argmax(logits, axis=1), labels), loss.dtype))
        terms = {"cross_entropy": Terms(loss * n, n), "error_rate": Terms(wrong, n)}
        first = {self.judged_by: terms[self.judged_by]}
        return Outcome(loss, first | terms, state)


@dataclass(frozen=True)
class Bound:
    """Images (batch, n) -> the negative variational bound of a :class:`Draw` after ``n_steps`` steps, nats an image.

        E_q[-log p(x | c_T)] + sum_t KL(q(z_t) || N(0, 1)) >= -log p(x)

    by one draw of the codes. ``bernoulli``: a pixel is 1 with probability sigmoid(c_T). ``gaussian``: a pixel is
    N(sigmoid(c_T), std), std being the model's and trained with it.
    Reported: ``bound``, and its parts ``reconstruction`` and ``kl``.

    ValueError in evaluation: without draws it is no bound. Validate with ``Judging(with_noise=True)`` and evaluate
    with ``Evaluation(..., noise_seed=...)``.
    """

    n_steps: int
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    fields: ClassVar[tuple[str, ...]] = ("images",)

    @property
    def name(self) -> str:
        return f"bound, {self.n_steps} steps, {self.likelihood}"

    def variables(self) -> list[Any]:
        return [tensor("images", 2)]

    def batch_size(self, images: Any) -> Any:
        return images.shape[0]

    def outcome(self, model: Layer, variables: list[Any], state: Any, context: Context) -> Outcome:
        if not context.training:
            raise ValueError("the bound was asked for without draws, of which it is the mean: give a noise seed")
        if not isinstance(model, Draw):
            raise RnnaudioError(f"the bound was asked of {type(model).__name__}; expected a Draw")
        (images,) = variables
        states = model.paint(images, self.n_steps, state, context)
        canvas, kl = ops.last(states.painter.canvas), tt.sum(ops.last(states.nats))
        if self.likelihood == "bernoulli":
            reconstruction = tt.sum(losses.bernoulli_nats(canvas, images))
        else:
            reconstruction = tt.sum(losses.pixel_nats(canvas, model.log_std, images))
        n = tt.cast(images.shape[0], canvas.dtype)
        parts = {"bound": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}
        # The final state is nothing that another batch could go on from.
        return Outcome(parts["bound"] / n, {name: Terms(value, n) for name, value in parts.items()}, ())
