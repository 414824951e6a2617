"""The models of 2016 as `build_model` makes them of settings, against their equations in plain NumPy."""

import numpy as np
import pytest

from rnnaudio.nn.initializers import gaussian, glorot_uniform, iso_2016, rand_2016
from rnnaudio.runs.frames.build import build_model
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from tests.support import oracles_2016
from tests.support.models_2016 import (
    B,
    N,
    agree,
    below,
    built,
    draws,
    frames,
    gru_gates,
    initial_state,
    memory_gates,
    memory_noise,
    readout_layers,
    unrolled,
)

OF_2016 = {"cell": "memory-lstm", "readout_units": 2 * N, "readout_weights": "rand_2016"}


@pytest.mark.parametrize("depth", [1, 3])
def test_memory_lstm_in_evaluation(kernel, depth):
    model, x = built(n_layers=depth, layer_noise=0.1, readout_noise=0.1, **OF_2016), frames()
    values = model.get_values()
    zero = [np.zeros((B, N))] * depth
    memory = oracles_2016.memories(x, zero, [memory_gates(below(values, "memory_lstm."))] * depth)
    assert [w.shape for w, _ in readout_layers(values)] == [(depth * N, 2 * N), (2 * N, N)]
    agree(unrolled(model, x), oracles_2016.readout(memory, readout_layers(values)))


def test_memory_lstm_in_training_has_noise_in_all_eight_layers(kernel):
    model, x = built(n_layers=2, layer_noise=0.3, readout_noise=0.2, **OF_2016), frames()
    values = model.get_values()
    gates = [memory_gates(below(values, "memory_lstm."))] * 2
    memory = oracles_2016.memories(x, [np.zeros((B, N))] * 2, gates, memory_noise(0.3, 0, 2))
    of_readout = [0.2 * draws(2, 2 * N), 0.2 * draws(3, N)]
    expected = oracles_2016.readout(memory, readout_layers(values), noise=of_readout.__getitem__)
    agree(unrolled(model, x, training=True), expected)
    assert np.abs(unrolled(model, x) - expected).max() > 0.05


def test_memory_lstm_of_unshared_depth():
    model, x = built(n_layers=2, layer_noise=0.3, shared_depth=False, **OF_2016), frames()
    values = model.get_values()
    gates = [memory_gates(below(values, name)) for name in ("memory_lstm.", "memory_lstm_2.")]
    assert not np.array_equal(gates[0]["f"][0][0], gates[1]["f"][0][0])
    zero = [np.zeros((B, N))] * 2
    agree(unrolled(model, x), oracles_2016.readout(oracles_2016.memories(x, zero, gates), readout_layers(values)))
    each = memory_noise(0.3, 0, 1), memory_noise(0.3, 2, 1)
    memory = oracles_2016.memories(x, zero, gates, lambda layer, i, d, name: each[d](layer, i, 0, name))
    agree(unrolled(model, x, training=True), oracles_2016.readout(memory, readout_layers(values)))


def test_bounded_memory_is_a_mean():
    model, x = built(n_layers=2, bounded_memory=True, learn_initial_state=True, **OF_2016), frames()
    values = model.get_values()
    gates = [memory_gates(below(values, "learnt_initial_state.memory_lstm."), "fc")] * 2
    row = values["learnt_initial_state.initial_memory"]
    m_0 = [np.tile(part, (B, 1)) for part in np.split(row, 2)]
    memory = oracles_2016.memories(x, m_0, gates, bounded=True)
    agree(unrolled(model, x), oracles_2016.readout(memory, readout_layers(values)))
    assert np.abs(memory).max() <= max(1.0, np.abs(row).max())


def test_drawn_initial_state():
    model, x = built(n_layers=2, initial_state_noise=0.5, **OF_2016), frames()
    (m_0,) = initial_state(model)
    assert m_0.shape == (B, 2 * N) and 0.1 < np.std(m_0) < 1.0
    values = model.get_values()
    gates = [memory_gates(below(values, "drawn_initial_state.memory_lstm."))] * 2
    memory = oracles_2016.memories(x, np.split(m_0, 2, axis=1), gates)
    agree(unrolled(model, x), oracles_2016.readout(memory, readout_layers(values)))


def test_layers_draw_initial_states_of_their_own():
    one, other = initial_state(built(n_layers=2, initial_state_noise=0.5, shared_depth=False, **OF_2016))
    assert one.shape == other.shape == (B, N) and not np.any(one == other)


def test_weights_of_the_memory_lstm_as_2016():
    model = build_model(
        FramesConfig(frame_size=64, model=ModelConfig(cell="memory-lstm", readout_weights="rand_2016"))
    )
    values = model.get_values()
    gates = memory_gates(below(values, "memory_lstm."))
    for name, forget in (("f", 2.0), ("g", 0.0), ("c", 0.0)):
        for (w, b), shape in zip(gates[name], ((128, 128), (128, 64)), strict=True):
            assert w.shape == shape
            np.testing.assert_allclose(w.T @ w, np.eye(shape[1]), atol=1e-5)
            assert np.all(b == forget)  # on both layers
    (w, b), = readout_layers(values)  # fmt: skip
    assert np.abs(w).max() <= 0.5 / np.sqrt(128) and not b.any()


def test_the_hidden_forget_bias_is_a_setting():
    values = built_as_it_is(cell="memory-lstm", forget_bias_hidden=0.0).get_values()
    (_, hidden), (_, output) = memory_gates(below(values, "memory_lstm."))["f"]
    assert not hidden.any() and np.all(output == 2.0)


def built_as_it_is(**model):
    return build_model(FramesConfig(frame_size=N, model=ModelConfig.of(**model)))


def wide_row(values, name):
    return np.tile(values[name], (B, 1))


@pytest.mark.parametrize("early", [False, True], ids=["DUGRU", "early"])
def test_a_stack_of_unshared_grus_whose_top_is_the_prediction(kernel, early):
    cell = "gru-early-2016" if early else "gru"
    model, x = built(cell=cell, units=(4, N), n_layers=2, learn_initial_state=True, readout="none"), frames()
    values, h = model.get_values(), x
    kind = "gruearly2016" if early else "gru"
    for path in ("learnt_initial_state", "learnt_initial_state_2"):
        gates = gru_gates(below(values, f"{path}.{kind}."))
        h = oracles_2016.gru(h, wide_row(values, f"{path}.initial_hidden"), gates, early)
    agree(unrolled(model, x), h)


def test_one_gru_shared_over_depth_with_noise_on_x_and_h():
    """DGRU: each depth has a state of its own, and draws of its own."""
    settings = {"cell": "gru", "n_units": N, "n_layers": 2, "shared_depth": True, "readout": "none"}
    model, x = built(learn_initial_state=True, input_noise=0.2, state_noise=0.1, **settings), frames()
    values = model.get_values()
    path = "repeated.learnt_initial_state."
    h_0, gates = wide_row(values, f"{path}initial_hidden"), gru_gates(below(values, f"{path}noisy.gru."))
    agree(unrolled(model, x), oracles_2016.gru(oracles_2016.gru(x, h_0, gates), h_0, gates))
    low = oracles_2016.gru(x, h_0, gates, noise_x=0.2 * draws(0, N), noise_h=0.1 * draws(1, N))
    top = oracles_2016.gru(low, h_0, gates, noise_x=0.2 * draws(2, N), noise_h=0.1 * draws(3, N))
    agree(unrolled(model, x, training=True), top)


def test_a_stack_of_grus_with_a_tanh_readout():
    """DUGRUL, and the range of the blog's `rand`."""
    settings = {"cell": "gru", "n_units": 4, "n_layers": 3, "readout": "tanh", "readout_weights": "rand_2016"}
    model, x = built(**settings), frames()
    values, h = model.get_values(), x
    for path in ("gru.", "gru_2.", "gru_3."):
        h = oracles_2016.gru(h, np.zeros((B, 4)), gru_gates(below(values, path)))
    agree(unrolled(model, x), oracles_2016.readout(h, readout_layers(values), np.tanh))
    ((w, b),) = readout_layers(built_as_it_is(**settings).get_values())
    assert np.abs(w).max() <= 0.5 / np.sqrt(4 + N) and not b.any()


@pytest.mark.parametrize("n_in", [5, 40])
def test_iso_draws_one_matrix_for_h_and_x(n_in):
    model = ModelConfig(cell="gru", n_units=20, weights="iso_2016")
    values = build_model(FramesConfig(frame_size=n_in, model=model)).get_values()
    for w, b in gru_gates(below(values, "gru.")).values():
        assert w.shape == (20 + n_in, 20) and not b.any()
        np.testing.assert_allclose(w.T @ w, np.eye(20), atol=1e-5)
        assert 0.05 < np.linalg.norm(w[:20]) ** 2 / 20 < 0.95  # neither part alone is orthogonal


LAST_TRY = {"units": (6, 4, 4), "n_layers": 3, "peepholes": True, "weights": "gaussian_2016", "forget_bias": 0.0}


def test_lstms_of_different_widths_with_peepholes():
    model, x = built(**LAST_TRY), frames()
    values, h = model.get_values(), x
    for path in ("lstm.", "lstm_2.", "lstm_3."):
        p = below(values, path)
        blocks = [np.split(p[name], 4, axis=-1) for name in ("w_input", "w_hidden", "bias")]
        gates = dict(zip("ifgo", zip(*blocks, strict=True), strict=True))
        h = oracles_2016.lstm(h, gates, {name[0]: p[f"peephole_{name}"] for name in ("input", "forget", "output")})
    agree(unrolled(model, x), oracles_2016.readout(h, readout_layers(values)))


def test_weights_of_the_last_try():
    config = FramesConfig(model=ModelConfig.of(**LAST_TRY | {"units": (200, 100, 100)}))
    values = build_model(config).get_values()
    shapes = [(200, 200), (200, 100), (100, 100)]
    for path, (n_in, n) in zip(("lstm.", "lstm_2.", "lstm_3."), shapes, strict=True):
        p = below(values, path)
        assert p["w_input"].shape == (n_in, 4 * n) and p["w_hidden"].shape == (n, 4 * n)
        for name, value in p.items():
            if name == "bias":
                assert not value.any()
            else:
                assert np.std(value) == pytest.approx(0.1, rel=0.25), name
    assert values["sequential.dense.weight"].shape == (100, 200)


@pytest.mark.parametrize("shape", [(400, 100), (100, 400), (200, 200)])
def test_rand_and_iso(shape):
    rng = np.random.default_rng(0)
    rand = rand_2016(rng, shape)
    bound = 0.5 / np.sqrt(sum(shape))
    assert 0.99 * bound < np.abs(rand).max() <= bound
    assert abs(rand.mean()) < 0.01 * bound and rand.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert glorot_uniform(rng, shape).std() / rand.std() == pytest.approx(np.sqrt(24), rel=0.02)  # 4.9
    iso = iso_2016(rng, shape)
    assert iso.shape == shape
    fewer = iso.T @ iso if shape[0] >= shape[1] else iso @ iso.T
    np.testing.assert_allclose(fewer, np.eye(min(shape)), atol=1e-10)
    assert gaussian(0.1)(rng, shape).std() == pytest.approx(0.1, rel=0.02)
