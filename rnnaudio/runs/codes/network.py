"""Networks of a run over codes, for export: sampling and decoding of a frame, and the encoder."""

import functools
import operator
from collections.abc import Sequence

import numpy as np

from rnnaudio.data.codec import Codec
from rnnaudio.engine import Symbolic, tt
from rnnaudio.export import Graph, Network, State, Value, applied
from rnnaudio.export.network import STREAMS, network_of, state_inputs, state_outputs, stepped
from rnnaudio.export.sampling import sampled
from rnnaudio.nn import CodeModel, Context

BEFORE = "codes_before"


def step_network(model: CodeModel, codec: Codec) -> Network:
    """Make the network that samples the codes of the next frame; K is the number of stages.

    Inputs: ``codes`` (streams, K), int64, of the last frame; ``codes_before``, of the frame before it, a state;
    ``uniform`` (streams, K), float64, random numbers U(0, 1); ``temperatures`` (K,), float64, one for each stage; the
    state of the body. Outputs: ``next_codes`` (streams, K); ``magnitudes`` (streams, n_bins), |X| of the last frame,
    decoded with the frames before and after it; the new states.
    """
    network, n_stages = network_of(model), model.n_stages
    graph = network.graph
    codes = graph.input("codes", "int64", (STREAMS, n_stages))
    before = graph.input(BEFORE, "int64", (STREAMS, n_stages))
    uniform = graph.input("uniform", "float64", (STREAMS, n_stages))
    temperatures = graph.input("temperatures", "float64", (n_stages,))
    network.states.append(State(BEFORE, f"{BEFORE}_after", np.zeros(n_stages, np.int64)))
    old = state_inputs(network, model.body, "state")
    (features,) = applied(graph, lambda c: [model.features(c)], codes)
    hidden, new = stepped(network, model.body, features, old)
    sampled_codes = _sampled_codes(network, model, hidden, uniform, temperatures)
    (magnitudes,) = applied(graph, lambda *c: [decoded(codec, c)], before, codes, sampled_codes)
    graph.output("next_codes", sampled_codes, (STREAMS, n_stages))
    graph.output("magnitudes", magnitudes, (STREAMS, codec.stft.n_bins))
    state_outputs(network, [BEFORE, *(value.name for value in old)], [codes, *new])
    return network


def _sampled_codes(network: Network, model: CodeModel, hidden: Value, uniform: Value, temperatures: Value) -> Value:
    """Sample the code of each stage in turn, given those of the stages before it; return the codes, (streams, K)."""

    def sample(hidden: Symbolic, uniform: Symbolic, temperatures: Symbolic) -> list[Symbolic]:
        codes: list[Symbolic] = []
        for k, head in enumerate(model.heads):
            x = hidden
            if k:
                x = tt.concatenate([hidden, model.features(tt.stack(codes, axis=1), k)], axis=1)
            logits, _ = head.step(x, head.initial_state(hidden.shape[0]), Context.evaluation())
            codes.append(sampled(logits, uniform[:, k], temperatures[k]))
        return [tt.stack(codes, axis=1)]

    return applied(network.graph, sample, hidden, uniform, temperatures)[0]


def decoded(codec: Codec, codes: Sequence[Symbolic]) -> Symbolic:
    """Decode the middle one of three frames, codes (n, K) each, as :meth:`Codec.magnitudes_between` does.

    The result, (n, n_bins), is float32. The sum of centres and its smoothing are computed in float32, all else in
    float64.
    """
    scale = codec.scale
    stages = [_constant(centres, f"codec.stage_{k + 1}") for k, centres in enumerate(codec.stages)]
    before, at, after = (
        functools.reduce(operator.add, [stage[c[:, k]] for k, stage in enumerate(stages)]) for c in codes
    )
    neighbours = _constant(codec.neighbours, "codec.neighbours")
    joined = tt.concatenate([before, at, after], axis=1)
    features = tt.cast(at + (tt.dot(joined, neighbours[:-1]) + neighbours[-1]), "float64") * scale.deviation
    logs = features if scale.basis is None else tt.dot(features, _constant(scale.basis, "codec.basis").T)
    logs = tt.maximum(logs + _constant(scale.mean, "codec.mean"), np.float64(0.0))
    factor = codec.gain * np.sqrt(scale.stft.window_samples) / scale.compression
    return tt.cast(tt.expm1(logs) * np.float64(factor), "float32")


def encoder_network(codec: Codec) -> Network:
    """Make the network of the encoder: ``magnitudes`` |X| (frames, n_bins) -> ``codes`` (frames, K), int64."""
    network = Network(Graph())
    magnitudes = network.graph.input("magnitudes", "float32", ("frames", codec.stft.n_bins))
    (codes,) = applied(network.graph, lambda x: [nearest(codec, scaled(codec, x))], magnitudes)
    network.graph.output("codes", codes, ("frames", codec.n_stages))
    return network


def scaled(codec: Codec, magnitudes: Symbolic) -> Symbolic:
    """Scale magnitudes, as :meth:`LogScale.scaled` does: (n, n_bins) -> (n, n_features), float32."""
    scale = codec.scale
    factor = np.float64(scale.compression / np.sqrt(scale.stft.window_samples))
    centred = tt.log1p(factor * tt.cast(magnitudes, "float64")) - _constant(scale.mean, "codec.mean")
    projected = centred if scale.basis is None else tt.dot(centred, _constant(scale.basis, "codec.basis"))
    return tt.cast(projected / np.float64(scale.deviation), "float32")


def nearest(codec: Codec, features: Symbolic) -> Symbolic:
    """Quantise features to the nearest centres, as :meth:`Codec.nearest` does: (n, n_features) -> (n, K)."""
    codes = []
    for k, array in enumerate(codec.stages):
        centres = _constant(array, f"codec.stage_{k + 1}")
        squares = np.sum(np.square(array, dtype=np.float64), axis=1)
        # The square of the features themselves is the same for all centres.
        closeness = 2.0 * tt.dot(tt.cast(features, "float64"), tt.cast(centres, "float64").T) - squares
        codes.append(tt.argmax(closeness, axis=1))
        features = features - centres[codes[-1]]
    return tt.stack(codes, axis=1)


def _constant(array: np.ndarray, name: str) -> Symbolic:
    return tt.as_tensor_variable(array, name=name)
