"""Models, frames and draws of the tests of 2016."""

import numpy as np

from rnnaudio import engine
from rnnaudio.nn import Context
from rnnaudio.runs.frames.build import build_model
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from tests.support.gradient_cases import randomise

N, T, B = 3, 5, 2
KEY = (7, 4)


def built(**model):
    """The model of these settings in float64, every parameter random, biases and initial states too."""
    with engine.precision("float64"):
        config = FramesConfig(frame_size=N, model=ModelConfig.of(**model))
        return randomise(build_model(config), np.random.default_rng(1))


def frames(n_steps=T):
    return np.random.default_rng(2).standard_normal((n_steps, B, N))


def unrolled(model, x, *, training=False):
    """The outputs of the model, (T, B, n), in evaluation or with the noise of KEY."""
    with engine.precision("float64"):
        variable = engine.tensor("x", 3)
        context = Context.training_with(np.array(KEY)) if training else Context.evaluation()
        y, _ = model.unroll(variable, model.initial_state(variable.shape[1]), context)
        return engine.function([variable], y)(x)


def draws(stream, width):
    """N(0, 1) of a stream of KEY, (T, B, width)."""
    with engine.precision("float64"):
        return engine.function([], engine.normal(np.array(KEY), stream, [T, B, width]))()


def initial_state(model):
    with engine.precision("float64"):
        leaves = [leaf for item in model.initial_state(B) for leaf in _leaves(item)]
        return engine.function([], leaves)()


def _leaves(state):
    return [leaf for item in state for leaf in _leaves(item)] if isinstance(state, tuple) else [state]


def agree(got, expected):
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    assert np.abs(expected).max() > 1e-2


def memory_gates(p, names="fgc"):
    """{gate: [(W, b), (W, b)]} out of the blocks of a memory-LSTM's parameters."""
    blocks = [np.split(p[name], len(names), axis=-1) for name in ("w_hidden", "bias_hidden", "w_gates", "bias_gates")]
    return {gate: [(w, b), (v, a)] for gate, w, b, v, a in zip(names, *blocks, strict=True)}


def below(values, prefix):
    """The values below a path, without it."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def readout_layers(values):
    """[(W, b), ..] of the read-out."""
    p = below(values, "sequential.")
    names = [name for name in p if name.endswith(".weight")]
    return [(p[name], p[name.replace("weight", "bias")]) for name in names]


def memory_noise(std, first_stream, depth):
    """The noise of a memory-LSTM, cut out of its draws by (layer, step, depth, gate)."""
    drawn = [draws(first_stream, 6 * depth * N), draws(first_stream + 1, 3 * depth * N)]

    def noise(layer, i, d, name):
        width = (2 * N, N)[layer]
        start = (3 * d + "fgc".index(name)) * width
        return std * drawn[layer][i, :, start : start + width]

    return noise


def gru_gates(p):
    """{gate: (W of [h, x], b)} of a GRU's parameters."""
    blocks = [np.split(p[name], 3, axis=-1) for name in ("w_hidden", "w_input", "bias")]
    return {gate: (np.concatenate([r, w]), b) for gate, r, w, b in zip("ruc", *blocks, strict=True)}
