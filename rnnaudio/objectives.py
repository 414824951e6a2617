"""Training objectives: each defines how a batch becomes an input, a target and a loss."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from rnnaudio import losses, ops
from rnnaudio.engine import Array, Symbolic, tensor, tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import CodeModel, Context, Layer, SampleModel
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.draw import Draw, DrawState
from rnnaudio.nn.state import State
from rnnaudio.readouts import GAUSSIAN, FrameReadout


class Terms(NamedTuple):
    """Two sums whose ratio, numerator / denominator, is a mean.

    Added up over batches of any size, they give the mean over a data set.
    """

    numerator: Symbolic
    denominator: Symbolic


class Outcome(NamedTuple):
    """The symbolic results of a batch.

    loss
        scalar to be minimised.
    terms
        the reported values by name; the first one decides early stopping.
    state
        final state of the model.
    weight
        number of elements of which the loss is the mean, or the sum of their weights.
    """

    loss: Symbolic  # a scalar to be minimised
    terms: dict[str, Terms]  # the reported values by name; the first one decides early stopping
    state: State  # the final state of the model
    weight: Symbolic | None = None
    """A scalar for training on several processes: the number of elements over which the loss is averaged, or the sum
    of their weights. The loss of a batch is the mean of the losses of its parts, weighted by this scalar. None:
    unknown."""


class Objective(Protocol):
    """Interface of the tasks for which a model is trained.

    ``fields`` names the arrays of a batch; where methods take one argument or variable per field, it gives their
    order.
    """

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    def variables(self) -> list[Symbolic]:
        """Make the symbolic inputs of :meth:`outcome`, one per field, and return them."""
        ...

    def batch_size(self, *variables: Any) -> Any:
        """Return the number of sequences or images in a batch, given one symbolic variable or array per field."""
        ...

    def outcome(self, model: Layer, variables: list[Symbolic], state: State, context: Context) -> Outcome:
        """Build the graph of a batch; return its loss, reported values and final state.

        variables: one symbolic array per field. state: the model's initial state. context: training or evaluation
        mode, and the source of noise.
        """
        ...


class Segment(NamedTuple):
    """The part of a batch between two time steps, with all its sequences.

    ``arrays`` has one array per field of the objective. The loss of the batch is the sum of ``weight`` * loss over its
    segments.
    """

    arrays: list[np.ndarray]  # one per field of the objective
    weight: float  # the loss of the batch is the sum of weight * loss over its segments


@runtime_checkable
class Divisible(Objective, Protocol):
    """Interface of objectives whose loss is a mean over time steps: their batches can be cut along time."""

    def segments(self, segment_steps: int, *arrays: np.ndarray) -> list[Segment]:
        """Cut a batch, one array per field, into segments of ``segment_steps`` time steps; the last may be shorter."""
        ...


class Counted(Objective, Protocol):
    """Interface of objectives that count the arrays which a training update holds for them, to estimate its memory."""

    def activations(self, model: Layer) -> Activations:
        """Count the arrays that a training update of ``model`` holds besides those of the model itself."""
        ...


@dataclass(frozen=True)
class Strategy:
    """Mean squared error of a model's outputs for the input frames x_1..x_T; batches are frames (T+1, batch, n).

    With ``shift`` 1 the target is the next frame (predict), with ``shift`` 0 the input itself (reconstruct). The loss
    is the mean over the steps from index ``first_scored`` on: 0 for all steps, k to leave out the first k steps, -1
    for the last step only (as in 2016). Reported, always over all T steps: ``normalised_mse`` = sum of squared errors
    / sum of squared targets.
    """

    name: str
    shift: int
    fields: tuple[str, ...] = ("frames",)
    first_scored: int = 0

    def variables(self) -> list[Symbolic]:
        return [tensor("frames", 3)]

    def batch_size(self, frames: Array) -> Any:
        return frames.shape[1]

    def split(self, frames: Array) -> tuple[Array, Array]:
        """Slice frames (T+1, batch, n), NumPy or symbolic; returns input and target, (T, batch, n) each."""
        n_steps = frames.shape[0] - 1
        return frames[:n_steps], frames[self.shift : n_steps + self.shift]

    def activations(self, model: Layer) -> Activations:
        """Count the arrays that a training update holds besides the model's: one, the gradient of the output."""
        return Activations(widths(), widths(model.n_out))

    def segments(self, segment_steps: int, frames: np.ndarray) -> list[Segment]:
        """Cut frames (T+1, batch, n) into segments (views) of ``segment_steps`` steps; the last one may be shorter.

        Adjoining segments share a frame: the last target of a segment, with shift 1, is the first input of the next.
        RnnaudioError unless ``first_scored`` is 0.
        """
        if self.first_scored:
            raise RnnaudioError(
                f"first_scored is {self.first_scored}: a loss that leaves out steps cannot be cut in time; train "
                "without segments"
            )
        n = frames.shape[0] - 1
        bounds = [(first, min(first + segment_steps, n)) for first in range(0, n, segment_steps)]
        return [Segment([frames[first : last + 1]], (last - first) / n) for first, last in bounds]

    def outcome(self, model: Layer, variables: list[Symbolic], state: State, context: Context) -> Outcome:
        x, target = self.split(variables[0])
        prediction, state = model.unroll(x, state, context)
        terms = Terms(*ops.squared_errors(prediction, target))
        if self.first_scored:
            prediction, target = prediction[self.first_scored :], target[self.first_scored :]
        weight = tt.cast(target.size, prediction.dtype)
        return Outcome(losses.mean_squared_error(prediction, target), {"normalised_mse": terms}, state, weight)


predict_next = Strategy("predict_next", shift=1)
reconstruct_current = Strategy("reconstruct_current", shift=0)
STRATEGIES = {strategy.name: strategy for strategy in (predict_next, reconstruct_current)}


@dataclass(frozen=True)
class NextCodes:
    """Cross-entropy of the next frame's codes under a :class:`rnnaudio.nn.CodeModel`; codes (T+1, batch, stages).

    The loss is in bits per frame, summed over stages. Reported: ``bits``, the loss; with several stages also
    ``bits_<k>`` for stage k = 1, 2, ...

    own_share
        probability, in training, that an input frame is replaced by a sample from the model, given the true frames
        before it: scheduled sampling (Bengio et al. 2015) in two passes instead of step by step (Duckworth et al.
        2019). The first frame of a batch is never replaced, and targets are always the true codes.
    own_rise
        number of updates over which that probability rises linearly from 0 to ``own_share``; 0: it is constant.
    """

    name: str = "next_codes"
    fields: tuple[str, ...] = ("codes",)
    own_share: float = 0.0
    own_rise: int = 0

    def variables(self) -> list[Symbolic]:
        return [tensor("codes", 3, "int64")]

    def batch_size(self, codes: Array) -> Any:
        return codes.shape[1]

    def activations(self, model: Layer) -> Activations:
        """Count the arrays that a training update holds besides the model's: probabilities of all codes, per stage.

        For sampled inputs these are the arrays of a second forward pass, and those of the samples.
        """
        codec = cast("CodeModel", model)
        probabilities = widths(*(head.n_out for head in codec.heads))
        held = Activations(probabilities, probabilities)
        if not self.own_share:
            return held
        forward = functools.reduce(Activations.beside, (part.activations() for part in (codec.body, *codec.heads)))
        sampling = probabilities + probabilities  # their sums, and the comparison with random numbers
        return held.beside(Activations(forward.kept + sampling, sampling))

    def outcome(self, model: Layer, variables: list[Symbolic], state: State, context: Context) -> Outcome:
        (codes, *past), codec = variables, cast("CodeModel", model)
        inputs = codes[:-1]
        if context.training and self.own_share:
            inputs = self._with_own(codec, inputs, past, state, context)
        hidden, state = codec.unroll(self._input(codec, inputs, past), state, context)
        stages = [nats / np.asarray(np.log(2.0), nats.dtype) for nats in codec.nats(hidden, codes[1:], context)]
        bits = sum(stages[1:], stages[0])
        n = tt.cast((codes.shape[0] - 1) * codes.shape[1], bits.dtype)
        terms = {"bits": Terms(bits * n, n)}
        if len(stages) > 1:
            terms |= {f"bits_{k}": Terms(stage * n, n) for k, stage in enumerate(stages, 1)}
        return Outcome(bits, terms, state, n)

    def _input(self, model: CodeModel, codes: Symbolic, past: list[Symbolic]) -> Symbolic:
        """Compute the model's input (T, batch, n_in) from codes (T, batch, stages) and the other fields of the batch.

        past: the other fields, with T steps or more.
        """
        return model.features(codes)

    def _with_own(
        self, model: CodeModel, codes: Symbolic, past: list[Symbolic], state: State, context: Context
    ) -> Symbolic:
        """Replace a random share of the frames of codes (T, batch, stages), never the first, by model samples."""
        shape = [codes.shape[0] - 1, codes.shape[1]]
        hidden, _ = model.unroll(self._input(model, codes[:-1], past), state, Context.evaluation())
        own = model.sample(hidden, context.uniform([*shape, model.n_stages]))
        uniform = context.uniform(shape, batch_axis=1)
        rise = tt.minimum(tt.cast(context.update, uniform.dtype) / self.own_rise, 1.0) if self.own_rise else 1.0
        is_own = (uniform < self.own_share * rise).dimshuffle(0, 1, "x")
        return tt.concatenate([codes[:1], tt.switch(is_own, own, codes[1:])], axis=0)


@dataclass(frozen=True)
class NextCodesByBeat(NextCodes):
    """The objective :class:`NextCodes` for a :class:`rnnaudio.nn.CodeModel` with long-term prediction.

    A batch has two further fields for the T frames to predict, past (T, batch, n) and beat (T, batch, n); see
    :class:`rnnaudio.data.code_past.Past`. Frames replaced according to ``own_share`` do not change the past.
    """

    fields: tuple[str, ...] = ("codes", "past", "beat")

    def variables(self) -> list[Symbolic]:
        return [*super().variables(), tensor("past", 3, "int64"), tensor("beat", 3)]

    def batch_size(self, codes: Array, *others: Array) -> Any:
        return codes.shape[1]

    def _input(self, model: CodeModel, codes: Symbolic, past: list[Symbolic]) -> Symbolic:
        known = model.past_features(*(field[: codes.shape[0]] for field in past))
        return tt.concatenate([model.features(codes), known], axis=2)


@dataclass(frozen=True)
class NextFrameDistribution(Strategy):
    """Negative log-likelihood of the next frame, with a distribution for each of its n values; frames (T+1, batch, n).

    The model outputs ``readout.n_parameters`` * n numbers per frame, the parameters of the distributions of
    ``readout``. Reported: ``nats``, the loss in nats per value, which decides early stopping, and the
    ``normalised_mse`` of the distributions' means.
    """

    name: str = "next_frame_distribution"
    shift: int = 1
    readout: FrameReadout = GAUSSIAN

    def outcome(self, model: Layer, variables: list[Symbolic], state: State, context: Context) -> Outcome:
        x, target = self.split(variables[0])
        prediction, state = model.unroll(x, state, context)
        loss = self.readout.nats(prediction, target)
        n = tt.cast(target.size, loss.dtype)
        mse = Terms(*ops.squared_errors(self.readout.mean(prediction), target))
        return Outcome(loss, {"nats": Terms(loss * n, n), "normalised_mse": mse}, state, n)


@dataclass(frozen=True)
class NextSamples:
    """Negative log-likelihood of sample levels (n_context + T, batch, 1) under a :class:`rnnaudio.nn.SampleModel`.

    A level is the integer value of a quantised sample. The last T levels are predicted, each from those before it;
    ``n_context`` must equal the model's ``n_context``. The loss, reported as ``bits``, is in bits per sample.
    """

    n_context: int
    name: str = "next_samples"
    fields: tuple[str, ...] = ("codes",)

    def variables(self) -> list[Symbolic]:
        return [tensor("codes", 3, "int64")]

    def batch_size(self, codes: Array) -> Any:
        return codes.shape[1]

    def activations(self, model: Layer) -> Activations:
        """Count the arrays that a training update holds besides the model's, for the distributions."""
        return Activations(widths(model.n_out, model.n_out), widths(model.n_out))

    def segments(self, segment_steps: int, codes: np.ndarray) -> list[Segment]:
        """Cut levels (n_context + T, batch, 1) into segments (views) in which ``segment_steps`` samples are predicted.

        Each segment also holds the ``n_context`` samples before the predicted ones. The last segment may be shorter.
        """
        n = len(codes) - self.n_context
        bounds = [(first, min(first + segment_steps, n)) for first in range(0, n, segment_steps)]
        return [Segment([codes[first : self.n_context + last]], (last - first) / n) for first, last in bounds]

    def outcome(self, model: Layer, variables: list[Symbolic], state: State, context: Context) -> Outcome:
        codes, readout = variables[0], cast("SampleModel", model).samples.readout
        prediction, state = model.unroll(codes, state, context)
        nats = readout.nats(prediction, codes[self.n_context :])
        bits = nats / np.asarray(np.log(2.0), nats.dtype)
        n = tt.cast((codes.shape[0] - self.n_context) * codes.shape[1], bits.dtype)
        return Outcome(bits, {"bits": Terms(bits * n, n)}, state, n)


@dataclass(frozen=True)
class PhaseDifferences:
    """Weighted :func:`rnnaudio.losses.phase_distance` of two predicted phase differences per bin.

    A row of the batch is one bin of one spectrogram. The fields are

    * inputs (T, rows, n): scaled log-magnitudes around the bin;
    * differences (T, rows, 2): the targets in radians, the phase differences from the frame before and from the bin
      below; see :class:`rnnaudio.audio.phase.Differences`;
    * weights (T, rows, 2): larger for louder bins.

    Reported: ``phase_distance``, the loss, 0 to 1.
    """

    name: str = "phase_differences"
    fields: tuple[str, ...] = ("inputs", "differences", "weights")

    def variables(self) -> list[Symbolic]:
        return [tensor(field, 3) for field in self.fields]

    def batch_size(self, inputs: Array, *others: Array) -> Any:
        return inputs.shape[1]

    def outcome(self, model: Layer, variables: list[Symbolic], state: State, context: Context) -> Outcome:
        inputs, differences, weights = variables
        prediction, state = model.unroll(inputs, state, context)
        loss = losses.phase_distance(prediction, differences, weight=weights)
        n = tt.sum(weights)
        return Outcome(loss, {"phase_distance": Terms(loss * n, n)}, state, n)


@dataclass(frozen=True)
class Classification:
    """Cross-entropy in nats of labels (batch,) for images (batch, n).

    ``loss`` is a name in :data:`rnnaudio.losses.CROSS_ENTROPIES`. Reported: ``cross_entropy``, the value of that loss,
    and ``error_rate``, 0 to 1; ``judged_by`` is the name of the value that decides early stopping.
    """

    name: str = "classification"
    fields: tuple[str, ...] = ("images", "labels")
    judged_by: str = "cross_entropy"
    loss: str = "cross_entropy"

    def variables(self) -> list[Symbolic]:
        return [tensor("images", 2), tensor("labels", 1, "int64")]

    def batch_size(self, images: Array, labels: Array) -> Any:
        return images.shape[0]

    def outcome(self, model: Layer, variables: list[Symbolic], state: State, context: Context) -> Outcome:
        images, labels = variables
        logits, state = model.step(images, state, context)
        loss = losses.CROSS_ENTROPIES[self.loss](logits, labels)
        n = tt.cast(labels.shape[0], loss.dtype)
        wrong = tt.sum(tt.cast(tt.neq(tt.argmax(logits, axis=1), labels), loss.dtype))
        terms = {"cross_entropy": Terms(loss * n, n), "error_rate": Terms(wrong, n)}
        first = {self.judged_by: terms[self.judged_by]}
        return Outcome(loss, first | terms, state, n)


@dataclass(frozen=True)
class Bound:
    """Negative variational bound of a :class:`rnnaudio.nn.Draw` after T = ``n_steps`` steps, in nats per image.

        E_q[-log p(x | c_T)] + sum_t KL(q(z_t) || N(0, 1)) >= -log p(x)

    x is one of the images (batch, n), values from 0 to 1; c_T is the final canvas, in logits; z_t are the latent codes
    of step t, and q is their distribution according to the encoder. The bound is estimated with one sample of the
    codes. With the ``likelihood`` ``bernoulli`` a pixel is 1 with probability sigmoid(c_T); with ``gaussian`` it has a
    Gaussian distribution of mean sigmoid(c_T), whose standard deviation is a trained parameter of the model. Reported:
    ``bound``, and its parts ``reconstruction`` and ``kl``.

    ValueError in evaluation mode, where codes are not sampled and the value would not be a bound: validate with
    ``Judging(with_noise=True)`` and evaluate with ``Evaluation(..., noise_seed=...)``. RnnaudioError if the model is
    not a Draw.
    """

    n_steps: int
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    fields: ClassVar[tuple[str, ...]] = ("images",)

    @property
    def name(self) -> str:
        return f"bound, {self.n_steps} steps, {self.likelihood}"

    def variables(self) -> list[Symbolic]:
        return [tensor("images", 2)]

    def batch_size(self, images: Array) -> Any:
        return images.shape[0]

    def outcome(self, model: Layer, variables: list[Symbolic], state: State, context: Context) -> Outcome:
        if not context.training:
            raise ValueError("a bound needs sampled codes, and evaluation has no noise: give a noise seed")
        if not isinstance(model, Draw):
            raise RnnaudioError(f"got a bound of {type(model).__name__}; expected a Draw")
        (images,) = variables
        states = model.paint(images, self.n_steps, cast("DrawState[Symbolic]", state), context)
        canvas, kl = ops.last(states.painter.canvas), tt.sum(ops.last(states.nats))
        if self.likelihood == "bernoulli":
            reconstruction = tt.sum(losses.bernoulli_nats(canvas, images))
        else:
            reconstruction = tt.sum(losses.pixel_nats(canvas, cast("Symbolic", model.log_std), images))
        n = tt.cast(images.shape[0], canvas.dtype)
        parts = {"bound": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}
        # The final state is left out, because no other batch continues from it.
        return Outcome(parts["bound"] / n, {name: Terms(value, n) for name, value in parts.items()}, (), n)
