"""Gradient checkpointing in time: the exact gradient over a long sequence in the memory of a short one.

The sequence is divided into segments. A forward pass over all segments keeps only the state at the start of each
segment. A second pass processes the segments in reverse order. It computes each segment forwards again, now keeping
the intermediate results, and then backwards. This gives the gradient with respect to the segment's initial state, from
which the backward pass continues in the preceding segment. With x_k the frames of segment k, s_k the state at its
start, w_k its share of the steps, and the loss L = sum_k w_k loss_k of the whole sequence:

    s_{k+1}, loss_k = run(x_k, s_k)
    d_k = dL / ds_k,  g_k = contribution of segment k to dL / d parameters:
    (g_k, d_k) = d [w_k loss_k + <d_{k+1}, s_{k+1}>] / d (parameters, s_k),  d_{k+1} a constant, 0 for the last

The sum of all g_k is the exact gradient of L. The cost is a second forward pass. For sequences of T steps, segments of
sqrt(T) steps need the least memory. Chen et al., Training Deep Nets with Sublinear Memory Cost (2016).
"""

from itertools import islice

import numpy as np

from rnnaudio import engine, optimizers
from rnnaudio.audio.arrays import Array
from rnnaudio.engine import tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import Divisible, Objective, Segment
from rnnaudio.training.gradients import Backward, Update, known_weight
from rnnaudio.training.step import BatchArrays, Graph, StepResult, Totals, TrainStep, continued, copies, pairs


class SegmentedGradients:
    """The :class:`rnnaudio.training.gradients.Gradients` of batches cut into segments of ``segment_steps`` steps.

    Noise is a function of (seed, update, segment), so that both passes over a segment sample the same values.

    RnnaudioError if the objective or a layer of the model needs the whole sequence at once, or if ``segment_steps`` is
    below 1.
    """

    statistics: list[str] = []  # noqa: RUF012 (there are none: models that have some are refused)

    def __init__(self, model: Layer, objective: Objective, *, seed: int, segment_steps: int):
        if segment_steps < 1:
            raise RnnaudioError(f"segment_steps is {segment_steps}; expected 1 or more")
        self._objective = divisible(model, objective)
        self._segment_steps, self._seed = segment_steps, seed
        self.parameters = model.parameters()
        self.mode = self._compile_passes(model)

    def _compile_passes(self, model: Layer) -> str:
        """Compile the forward and the backward pass in one engine mode, and return that mode."""
        key, weight = tt.vector("key", dtype="int64"), engine.tensor("weight", 0)
        context = Context.training_with(key)
        self._graph = graph = Graph(model, self._objective, context)
        if context.updates:
            names = ", ".join(str(variable.name) for variable, _ in context.updates)
            raise RnnaudioError(
                f"{names}: statistics of whole sequences cannot be updated in segments; train without segments"
            )
        loss, terms, final, of_loss = graph.outcome
        self.has_weight, of_loss = known_weight(of_loss)
        states, self._terms = flatten(final), list(terms)
        self._n_states = len(states)
        towards = [engine.tensor(f"state_gradient_{k}", 2) for k in range(len(states))]
        cost = weight * loss + sum(tt.sum(d * s) for d, s in zip(towards, states, strict=True))
        gradients = engine.gradient(cost, [*graph.carried, *self.parameters.values()])
        inputs, mode = [*graph.inputs, key], engine.mode_for([loss])
        self._forward = engine.function(inputs, states, mode=mode)
        outputs = [loss, of_loss, *flatten(tuple(tuple(t) for t in terms.values())), *states, *gradients]
        self._backward = engine.function([*inputs, weight, *towards], outputs, mode=mode)
        return mode

    def __call__(self, batch: BatchArrays, state: list[Array] | None, *, update: int) -> Backward:
        segments = self._objective.segments(self._segment_steps, *self._graph.arrays(batch))
        inputs = self._forwards(segments, self._graph.start(batch, state), update)
        sums = {name: np.zeros_like(p.get_value(borrow=True)) for name, p in self.parameters.items()}
        towards = [np.zeros_like(s) for s in inputs[0][-1 - self._n_states : -1]]
        loss, weight, total, final = 0.0, 0.0, Totals(), None
        for segment, given in zip(reversed(segments), reversed(inputs), strict=True):
            part = iter(self._backward(*given, segment.weight, *towards))
            loss += segment.weight * float(next(part))
            weight += float(next(part))
            total.add(pairs(self._terms, list(islice(part, 2 * len(self._terms)))))
            end = copies(list(islice(part, self._n_states)))
            final = end if final is None else final
            towards = copies(list(islice(part, self._n_states)))
            for array, gradient in zip(sums.values(), part, strict=True):
                array += gradient
        values = {name: (n, d) for name, (n, d) in total.sums.items()}
        return Backward(loss, values, final or [], sums, weight)

    def _forwards(self, segments: list[Segment], start: list[Array], update: int) -> list[list[Array]]:
        """Run the forward pass, and return the inputs of each segment: arrays, resets, initial state and noise key.

        ``start`` is [resets, *initial state] of the first segment.
        """
        inputs: list[list[Array]] = []
        for k, segment in enumerate(segments):
            inputs.append([*segment.arrays, *start, np.asarray([self._seed, update, k], "int64")])
            if k + 1 < len(segments):
                start = continued(self._forward(*inputs[-1]), start)
        return inputs


class SegmentedTrainStep:
    """A training step on batches cut into segments of ``segment_steps`` steps, which needs less memory.

    Without noise the update is the same as that of :class:`TrainStep`, up to rounding. With noise it differs, because
    the noise of a segment is a function of (seed, update, segment).

    RnnaudioError if the objective or a layer of the model needs the whole sequence at once, or if ``segment_steps`` is
    below 1.
    """

    def __init__(
        self, model: Layer, objective: Objective, optimizer: optimizers.Optimizer, *, seed: int, segment_steps: int
    ):
        self.gradients = SegmentedGradients(model, objective, seed=seed, segment_steps=segment_steps)
        self.parameters = self.gradients.parameters
        self._update = Update(optimizer, self.parameters, self.gradients.mode)
        self.optimizer_state = self._update.state

    def __call__(
        self, batch: BatchArrays, state: list[Array] | None, *, learning_rate: float, update: int
    ) -> StepResult:
        """Update the parameters in place. Arguments and result are those of :class:`TrainStep`."""
        found = self.gradients(batch, state, update=update)
        norms, ratios = self._update(found.gradients, learning_rate)
        return StepResult(found.loss, found.values, norms, ratios, found.state)


def divisible(model: Layer, objective: Objective) -> Divisible:
    """Return ``objective`` if it and all layers of the model can be computed in segments; RnnaudioError otherwise."""
    if not isinstance(objective, Divisible):
        raise RnnaudioError(
            f"the objective {objective.name!r} cannot be divided in time, as it is not a mean over steps: train "
            "without segments"
        )
    for path, layer in model.layers():
        if layer.needs_whole_sequence:
            raise RnnaudioError(
                f"the layer {path or layer.kind!r} ({type(layer).__name__}) needs the whole sequence at once and "
                "cannot be trained in segments: remove it, or train without segments (segment_steps 0)"
            )
    return objective


def training_step(
    model: Layer, objective: Objective, optimizer: optimizers.Optimizer, *, seed: int, segment_steps: int
) -> TrainStep | SegmentedTrainStep:
    """Compile the training step of a model, on segments of ``segment_steps`` steps; 0: on whole sequences."""
    if segment_steps == 0:
        return TrainStep(model, objective, optimizer, seed=seed)
    return SegmentedTrainStep(model, objective, optimizer, seed=seed, segment_steps=segment_steps)
