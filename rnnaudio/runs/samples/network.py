"""The network of a run over samples, for export: it samples one frame of the top tier, sample by sample, in loops."""

from typing import Any, NamedTuple

import numpy as np

from rnnaudio.data.quantize import Quantizer
from rnnaudio.engine import Symbolic, softplus, tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.export import Graph, Network, State, Value, applied
from rnnaudio.export.network import STREAMS, network_of, state_inputs, state_outputs
from rnnaudio.export.sampling import chosen, sampled
from rnnaudio.kernels.samples import SAMPLERS
from rnnaudio.nn import Context, SampleModel
from rnnaudio.nn.layer import flatten, unflatten
from rnnaudio.nn.sample_model import FrameTier

HISTORY = "history"
LEAST_UNIFORM = 1e-300  # of a random number whose logarithm is taken


class Given(NamedTuple):
    """Inputs of the exported network: known levels and random numbers, for the samples of a frame or a part of one.

    known
        (streams, n), levels; -1 for a level to be sampled.
    uniform
        (streams, n, k), random numbers U(0, 1), k for each sample.
    """

    known: Value
    uniform: Value


def step_network(model: SampleModel, quantizer: Quantizer) -> Network:
    """Make the network that samples one frame of the top tier, n samples.

    Inputs:

    known
        (streams, n) int64, levels of the frame that are known, as in a prime; -1 for a level to be sampled.
    uniform
        (streams, n, k) float64, random numbers U(0, 1), k for each sample.
    temperature
        () float64.
    history
        (streams, n_context) int64, a state: the levels before the frame. The states of the tiers are further inputs.

    Outputs:

    levels
        (streams, n) int64, the levels of the frame.
    samples
        (streams, n) float32, the same as standardised audio. The new states are further outputs.

    RnnaudioError for a read-out from which an exported network cannot sample.
    """
    readout, top = model.samples.readout, model.tiers[0]
    if readout.kernel not in SAMPLERS:
        raise RnnaudioError(f"the read-out {type(readout).__name__} cannot be exported: use {' or '.join(SAMPLERS)}")
    network = network_of(model)
    graph, n = network.graph, top.n_samples
    known = graph.input("known", "int64", (STREAMS, n))
    uniform = graph.input("uniform", "float64", (STREAMS, n, SAMPLERS[readout.kernel]))
    temperature = graph.input("temperature", "float64", ())
    middle = np.full(model.n_context, readout.n_levels // 2)
    network.states.append(State(HISTORY, f"{HISTORY}_after", middle))
    history = graph.input(HISTORY, "int64", (STREAMS, model.n_context))
    states = [state_inputs(network, tier, f"tier_{k}") for k, tier in enumerate(model.tiers, 1)]
    player = _Player(model, temperature)
    levels, history_after, after = player.frame(graph, 0, None, history, states, Given(known, uniform))
    graph.output("levels", levels, (STREAMS, n))
    (samples,) = applied(graph, lambda x: [as_samples(quantizer, x)], levels)
    graph.output("samples", samples, (STREAMS, n))
    names = [HISTORY, *(value.name for tier in states for value in tier)]
    state_outputs(network, names, [history_after, *(value for tier in after for value in tier)])
    return network


class _Player:
    """Builder of nested loops over the tiers of a model: a frame of a tier holds several frames of the tier below."""

    def __init__(self, model: SampleModel, temperature: Value):
        self._model, self._temperature = model, temperature

    def frame(
        self, graph: Graph, k: int, above: Value | None, history: Value, states: list[list[Value]], given: Given
    ) -> tuple[Value, Value, list[list[Value]]]:
        """Add a frame of tier ``k`` to a graph; returns its levels (streams, n), the history and all states after it.

        above: (streams, n_units), the output of the tier above for this frame; None for the top tier. states: those of
        tier ``k`` and of the tiers below it. given: inputs for the n samples of the frame.
        """
        tiers = self._model.tiers
        if k == len(tiers):
            levels, history = self._sample(graph, above, history, given)
            return levels, history, []
        tier = tiers[k]
        c, new = self._tier_step(graph, tier, above, history, states[0])
        levels, history, below = self._parts(graph, k, c, history, states[1:], given)
        return levels, history, [new, *below]

    def _parts(
        self, graph: Graph, k: int, c: Value, history: Value, states: list[list[Value]], given: Given
    ) -> tuple[Value, Value, list[list[Value]]]:
        """Add a loop over the parts of a frame of tier ``k``, each a frame of the tier below.

        c: (streams, parts, n_units), the output of tier ``k`` for each part. states: those of the tiers below. Returns
        what :meth:`frame` returns, with the states of the tiers below.
        """
        tier = self._model.tiers[k]
        n = tier.n_samples // tier.ratio
        flat = [value for leaves in states for value in leaves]
        parts = applied(graph, lambda *arrays: [_cut(array, tier.ratio) for array in arrays], *given)
        body = graph.body()
        own_history, *own = [body.input("", value.dtype, [None] * value.ndim) for value in (history, *flat)]
        above, known, uniform = [body.input("", v.dtype, [None] * (v.ndim - 1)) for v in (c, *parts)]
        own_states = _nested(own, states)
        levels, after, new = self.frame(body, k + 1, above, own_history, own_states, Given(known, uniform))
        for value in (after, *(leaf for leaves in new for leaf in leaves), levels):
            body.output("", value, [None] * value.ndim)
        (history, *ended), (stacked,) = graph.scan(body, [history, *flat], [c, *parts], axis=1)
        (joined,) = applied(graph, lambda x: [x.reshape((x.shape[0], tier.ratio * n))], stacked)
        return joined, history, _nested(ended, states)

    def _tier_step(
        self, graph: Graph, tier: FrameTier, above: Value | None, history: Value, old: list[Value]
    ) -> tuple[Value, list[Value]]:
        """Add a step of a tier to a graph; returns its output c (streams, ratio, n_below) and its new state.

        above: output of the tier above; None for the top tier. old: the state of the tier.
        """

        def step(history: Symbolic, *arrays: Symbolic) -> list[Symbolic]:
            conditioning, leaves = (arrays[:1], arrays[1:]) if above else ((), arrays)
            context, u = Context.evaluation(), self._values(history[:, -tier.n_samples :])
            z, _ = tier.input_layer.step(u, (), context)
            for c in conditioning:
                z = z + c
            h, new = tier.cell.step(z, unflatten(tier.state_sizes, leaves), context)
            c, _ = tier.output_layer.step(h, (), context)
            return [c.reshape((c.shape[0], tier.ratio, tier.n_out)), *flatten(new)]

        c, *new = applied(graph, step, history, *([above] if above else []), *old)
        return c, new

    def _values(self, levels: Symbolic) -> Symbolic:
        """Convert levels to the model's inputs u = v / deviation, float32; see :class:`SampleModel`."""
        n_levels = self._model.samples.readout.n_levels
        v = 2.0 * tt.cast(levels, "float64") / np.float64(n_levels - 1) - 1.0
        return tt.cast(v / np.float64(self._model.deviation), "float32")

    def _sample(self, graph: Graph, above: Value | None, history: Value, given: Given) -> tuple[Value, Value]:
        """Add the sampling of one level to a graph; returns the level (streams, 1) and the new history.

        The new history has the level as its last one, and lacks the oldest. A known level is not sampled.
        """
        assert above is not None, "the model has no tiers"

        def step(
            above: Symbolic, history: Symbolic, known: Symbolic, uniform: Symbolic, temperature: Symbolic
        ) -> list[Symbolic]:
            prediction = self._prediction(self._values(history)[:, ::-1], above)
            level = level_of(self._model.samples.readout, prediction, uniform[:, 0], temperature)[:, None]
            level = tt.switch(tt.lt(known, 0), level, known)
            return [level, tt.concatenate([history[:, 1:], level], axis=1)]

        level, after = applied(graph, step, above, history, *given, self._temperature)
        return level, after

    def _prediction(self, latest_first: Symbolic, above: Symbolic) -> Symbolic:
        """Compute the parameters of the next sample's distribution, (streams, n_out).

        latest_first: (streams, n_context), the values of the history, the latest first. above: output of the lowest
        tier of frames.
        """
        model = self._model
        prediction = model.samples.predict(latest_first[:, : model.samples.n_samples], above, Context.evaluation())
        if model.taps is None:
            return prediction
        taps = tt.cast(model.taps, "float64")
        past = tt.cast(latest_first[:, : model.n_taps], "float64")
        centre = tt.dot(past, taps[:-1]) * np.float64(model.deviation) + taps[-1]
        places = np.repeat([0.0, 1.0 / model.samples.readout.kernel_constants[0], 0.0], model.n_out // 3)
        return tt.cast(tt.cast(prediction, "float64") + centre[:, None] * places[None, :], "float32")


def level_of(readout: Any, prediction: Symbolic, uniform: Symbolic, temperature: Symbolic) -> Symbolic:
    """Sample levels from predicted distributions, as the read-out's ``sample`` does.

    prediction: (n, n_out), parameters of the distributions. uniform: (n, k), random numbers U(0, 1). temperature: ().
    Returns levels (n,), int64.
    """
    if readout.kernel == "categorical":
        return sampled(prediction, uniform[:, 0], temperature)
    unit, least_scale = readout.kernel_constants
    n = readout.n_components
    rows = tt.cast(prediction, "float64")
    component = sampled(rows[:, :n], uniform[:, 0], temperature)
    mean, raw_scale = chosen(rows[:, n : 2 * n], component), chosen(rows[:, 2 * n :], component)
    scale = temperature * (softplus(raw_scale) + np.float64(least_scale))
    u = tt.maximum(uniform[:, 1], np.float64(LEAST_UNIFORM))
    value = np.float64(unit) * (mean + scale * (tt.log(u) - tt.log1p(-u)))
    value = tt.minimum(tt.maximum(value, np.float64(-1.0)), np.float64(1.0))
    return tt.cast(tt.floor((value + 1.0) / 2.0 * np.float64(readout.n_levels - 1) + 0.5), "int64")


def as_samples(quantizer: Quantizer, levels: Symbolic) -> Symbolic:
    """Dequantise levels to standardised samples, float32 of the same shape, as :meth:`Quantizer.samples` does."""
    mu = np.float64(quantizer.n_levels - 1)
    v = 2.0 * tt.cast(levels, "float64") / mu - 1.0
    if quantizer.law == "mu":
        v = tt.sign(v) * tt.expm1(tt.abs(v) * np.log1p(mu)) / mu
    return tt.cast(v * np.float64(quantizer.peak), "float32")


def _cut(x: Symbolic, n_parts: int) -> Symbolic:
    """Cut the second axis into equal parts: (streams, n, ...) -> (streams, n_parts, n / n_parts, ...)."""
    rest = [x.shape[axis] for axis in range(2, x.ndim)]
    return x.reshape((x.shape[0], n_parts, -1, *rest))


def _nested(flat: list[Value], like: list[list[Value]]) -> list[list[Value]]:
    """Divide a flat list into lists as long as those in ``like``."""
    remaining = iter(flat)
    return [[next(remaining) for _ in leaves] for leaves in like]
