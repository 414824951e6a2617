"""The models of 2016 as `build_model` makes them of settings, against their equations in plain NumPy."""

import dataclasses

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data import ArrayPiece, Batch, ConsecutiveWindows, Split, fixed_windows
from rnnaudio.data.corpus import AudioCorpus, Stretch
from rnnaudio.data.corpus_build import Recording, build_corpus
from rnnaudio.diagnostics.gradient_check import check_gradients
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import OutputNoise, Stepper, generate_streams
from rnnaudio.generation.stepper import TwoFunctions
from rnnaudio.kernels.step import Step
from rnnaudio.nn import LSTM, Context, Dense, Layer, LinearPredictor, Noisy, Sequential
from rnnaudio.nn.initializers import gaussian, glorot_uniform, iso_2016, rand_2016
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD, RMSprop2016
from rnnaudio.runs.frames.build import build_model, build_strategy
from rnnaudio.runs.frames.config import ModelConfig, TrainConfig
from rnnaudio.training import EarlyStopping, Evaluation, Judging, Limits, SegmentedTrainStep, TrainStep, train
from rnnaudio.training import checkpoint as checkpoints
from tests.support import oracles_2016
from tests.support.agreement import descend, golden_optimizers
from tests.support.gradient_cases import randomise

N, T, B = 3, 5, 2
KEY = (7, 4)


def built(**model):
    """The model of these settings in float64, every parameter random, biases and initial states too."""
    with engine.precision("float64"):
        config = TrainConfig(frame_size=N, model=ModelConfig.of(**model))
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


# ---------------------------------------------------------------- the memory-only LSTM, whole

OF_2016 = {"cell": "memory-lstm", "readout_units": 2 * N, "readout_weights": "rand_2016"}


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
    model = build_model(TrainConfig(frame_size=64, model=ModelConfig(cell="memory-lstm", readout_weights="rand_2016")))
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
    return build_model(TrainConfig(frame_size=N, model=ModelConfig.of(**model)))


# ---------------------------------------------------------------- GRU stacks


def gru_gates(p):
    """{gate: (W of [h, x], b)} of a GRU's parameters."""
    blocks = [np.split(p[name], 3, axis=-1) for name in ("w_hidden", "w_input", "bias")]
    return {gate: (np.concatenate([r, w]), b) for gate, r, w, b in zip("ruc", *blocks, strict=True)}


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
    values = build_model(TrainConfig(frame_size=n_in, model=model)).get_values()
    for w, b in gru_gates(below(values, "gru.")).values():
        assert w.shape == (20 + n_in, 20) and not b.any()
        np.testing.assert_allclose(w.T @ w, np.eye(20), atol=1e-5)
        assert 0.05 < np.linalg.norm(w[:20]) ** 2 / 20 < 0.95  # neither part alone is orthogonal


# ---------------------------------------------------------------- the last try

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
    config = TrainConfig(model=ModelConfig.of(**LAST_TRY | {"units": (200, 100, 100)}))
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


# ---------------------------------------------------------------- rand and iso


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


# ---------------------------------------------------------------- generation


class Remembers(Step):
    """Consumes one number a step and answers the next one; its memory is all it has seen, as digits."""

    def __init__(self):
        super().__init__(1, 1, "float64", state=[1])
        self.saw = []

    def advance(self, x):
        self.state[0][...] = 10 * self.state[0] + x
        self.saw.append(int(self.state[0][0, 0]))
        return x + 1


def test_what_the_memory_has_seen_under_two_functions():
    """The memory is a frame ahead when f speaks: f sees the frame a second time."""
    right, wrong = Remembers(), Remembers()
    for frame in ([[1.0]], [[2.0]]):
        right(np.array(frame)), wrong(np.array(frame))
    both = TwoFunctions(wrong)
    x = y = np.array([[3.0]])
    for _ in range(3):
        x, y = right(x), both(y)
        np.testing.assert_array_equal(x, y)
    assert right.saw == [1, 12, 123, 1234, 12345]
    assert wrong.saw == [1, 12, *(123, 1233), *(1234, 12344), *(12345, 123455)]
    assert int(wrong.state[0][0, 0]) == 12345


def seeds(n_streams, n_frames=3):
    return np.random.default_rng(3).standard_normal((n_streams, n_frames * N))


@pytest.mark.parametrize("std", [0.0, 0.3], ids=["silent", "noisy"])
def test_two_functions_against_the_loop_written_out(kernel, std):
    model = built(cell="gru", n_units=N, n_layers=2, learn_initial_state=True, readout="none")
    values = model.get_values()
    paths = ("learnt_initial_state", "learnt_initial_state_2")
    gates = [gru_gates(below(values, f"{path}.gru.")) for path in paths]

    def f2(k, h):
        low = oracles_2016.gru(k[None, None], h[None, 0], gates[0])[0, 0]
        return np.stack([low, oracles_2016.gru(low[None, None], h[None, 1], gates[1])[0, 0]])

    with engine.precision("float64"):
        true, noise = seeds(2), OutputNoise(std, 5)
        got = generate_streams(Stepper(model), true, n_samples=6 * N, noise=noise, two_functions=True)
        once = generate_streams(Stepper(model), true, n_samples=6 * N, noise=noise)
    for stream, result in enumerate(got):
        h = np.stack([values[f"{path}.initial_hidden"] for path in paths])
        for frame in true[stream].reshape(-1, N):
            h = f2(frame, h)
        e = std * np.random.default_rng((5, stream, 3)).standard_normal((6, N))
        expected = oracles_2016.two_functions(lambda k, h: f2(k, h)[1], f2, true[stream, -N:], h, e)
        np.testing.assert_allclose(result.audio[3 * N :], expected.ravel(), atol=1e-6)  # sound is float32
        assert np.abs(result.audio - once[stream].audio).max() > 0.01


def says_nothing():
    """A model whose output is zero: what is heard is the noise."""
    model = Sequential([Dense(N, N, rng=np.random.default_rng(0))])
    model.set_values({"dense.weight": np.zeros((N, N)), "dense.bias": np.zeros(N)})
    return model


def test_output_noise_has_its_variance_and_streams_are_independent():
    heard = [r.audio[3 * N :] for r in generate_streams(
        Stepper(says_nothing()), seeds(3), n_samples=12_000, noise=OutputNoise(0.2, 1)
    )]  # fmt: skip
    covariance = np.cov(heard) / 0.2**2
    np.testing.assert_allclose(covariance, np.eye(3), atol=0.05)
    assert np.abs(np.mean(heard, axis=1)).max() < 0.01
    later = np.mean(heard[0][N:] * heard[0][:-N]) / 0.2**2
    assert abs(later) < 0.05


def test_output_noise_is_added_before_a_frame_is_fed_back():
    """With y = x a generated frame is the last one and the sum of all noise since."""
    model = Sequential([Dense(N, N, rng=np.random.default_rng(0))])
    model.set_values({"dense.weight": np.eye(N), "dense.bias": np.zeros(N)})
    (result,) = generate_streams(Stepper(model), seeds(1), n_samples=50 * N, noise=OutputNoise(0.2, 1))
    e = np.random.default_rng((1, 0, 3)).standard_normal((50, N), "float32")
    expected = result.audio[2 * N : 3 * N] + np.cumsum(0.2 * e, axis=0)
    np.testing.assert_allclose(result.audio[3 * N :].reshape(50, N), expected, atol=1e-5)


@pytest.mark.skipif(engine.MODE == "jax", reason="XLA rounds products of other numbers of rows otherwise")
@pytest.mark.parametrize("two_functions", [False, True])
def test_noise_of_a_stream_is_the_same_in_any_company_and_on_any_threads(use_threads, two_functions):
    stepper = Stepper(built(cell="gru", n_units=4, linear_skip=2))
    options = {"n_samples": 40, "noise": OutputNoise(0.2, 1), "two_functions": two_functions}
    use_threads(1)
    first = [r.audio.tobytes() for r in generate_streams(stepper, seeds(5), **options)]
    for n_threads, n_streams in ((1, 5), (2, 5), (5, 5), (2, 3), (1, 1)):
        use_threads(n_threads)
        again = [r.audio.tobytes() for r in generate_streams(stepper, seeds(5)[:n_streams], **options)]
        assert again == first[:n_streams]
    other = generate_streams(stepper, seeds(5), **options | {"noise": OutputNoise(0.2, 2)})
    assert all(r.audio.tobytes() != audio for r, audio in zip(other, first, strict=True))


def test_a_drawn_initial_state_of_a_stream_is_the_same_in_any_company():
    stepper = Stepper(built(cell="gru", n_units=4, initial_state_noise=1.0))
    many = generate_streams(stepper, seeds(4), n_samples=20)
    few = generate_streams(stepper, seeds(4)[:2], n_samples=20)
    for one, other in zip(few, many, strict=False):
        np.testing.assert_allclose(one.audio, other.audio, atol=1e-6)


# ---------------------------------------------------------------- optimiser and cost


@pytest.mark.usefixtures("kernel")
def test_rmsprop_2016_against_its_loop_and_against_the_right_rule():
    problem = golden_optimizers()["problem"]
    x, y, stiffness = (np.asarray(problem[name]) for name in ("x", "y", "stiffness"))
    rule, n = RMSprop2016(0.01, rho=0.8), 60
    parameters = [np.asarray(problem[name]) for name in ("w", "b")]
    memory, kept = [np.zeros_like(p) for p in parameters], [(np.zeros_like(p),) for p in parameters]
    for step in range(1, n + 1):
        z = np.tanh(x @ parameters[0] + parameters[1])
        d = (z - y) * (1 - z**2)
        for k, g in enumerate((stiffness * parameters[0] + x.T @ d, d.sum(axis=0))):
            own, kept[k] = rule.step(parameters[k], g, kept[k], 0.01, step)
            parameters[k], memory[k] = oracles_2016.rmsprop_2016(
                parameters[k], g, memory[k], learning_rate=0.01, rho=0.8
            )
            np.testing.assert_allclose(own, parameters[k], rtol=1e-13)
            np.testing.assert_allclose(kept[k][0], memory[k], rtol=1e-13)
    got = descend(rule, problem, n)[n]
    for name, expected in zip(("w", "b"), parameters, strict=True):
        np.testing.assert_allclose(got[name], expected, rtol=1e-10, atol=1e-13)
        # it is plain descent
        np.testing.assert_allclose(got[name], descend(SGD(0.01), problem, n)[n][name], rtol=1e-12)
    golden = golden_optimizers()["cases"]["rmsprop"]
    settings = golden["settings"]
    wrong = descend(RMSprop2016(settings["learning_rate"], settings["decay"]), problem, 10)[10]
    right = golden["parameters_after"]["10"]
    assert np.abs(wrong["w"] - right["w"]).max() > 1e-3


def strategy(**settings):
    return build_strategy(TrainConfig(n_steps=T, **settings))


COSTS = {"last step": {"cost": "last_step"}, "burn-in": {"burn_in": 3}, "all steps": {}}
SCORED = {"last step": [T - 1], "burn-in": [3, 4], "all steps": list(range(T))}


class Says(Layer):
    """Its output is its parameter, whatever it hears."""

    n_in = n_out = N

    def __init__(self):
        super().__init__()
        self.y = self._parameter("y", frames())

    def unroll(self, x, state, context, mask=None):
        return self.y + 0.0, ()


def a_batch(seed=4, n=N, n_steps=T):
    sound = np.random.default_rng(seed).standard_normal((n_steps + 1, B, n)).astype(engine.float_type())
    return Batch(sound, np.ones(B, bool))


@pytest.mark.parametrize("kind", COSTS)
def test_the_cost_counts_its_steps_alone(kind):
    with engine.precision("float64"):
        model, batch, objective = Says(), a_batch(), strategy(**COSTS[kind])
        variables = objective.variables()
        loss, terms, _ = objective.outcome(model, variables, (), Context.evaluation())
        (gradient,) = engine.gradient(loss, [model.y])
        got, d_y, *sums = engine.function(variables, [loss, gradient, *terms["normalised_mse"]])(batch.frames)
    difference = model.y.get_value() - batch.frames[1:]
    scored = SCORED[kind]
    assert got == pytest.approx(np.mean(difference[scored] ** 2), rel=1e-12)
    expected = np.zeros((T, B, N))
    expected[scored] = 2 * difference[scored] / difference[scored].size
    np.testing.assert_allclose(d_y, expected, atol=1e-14)
    # what is reported is of all steps, whatever the cost counts
    np.testing.assert_allclose(sums, [np.sum(difference**2), np.sum(batch.frames[1:] ** 2)], rtol=1e-12)


@pytest.mark.parametrize("kind", ["last step", "burn-in"])
def test_its_gradient_equals_differences(kind):
    with engine.precision("float64"):
        rng = np.random.default_rng(0)
        model, batch = built(cell="gru", n_units=4), a_batch()
    report = check_gradients(model, strategy(**COSTS[kind]), batch, rng=rng, training=True, n_entries=3)
    assert report.largest < 1e-6, report


def test_target_shift():
    sound = a_batch().frames
    x, target = strategy(target_shift=0).split(sound)
    np.testing.assert_array_equal(x, target)
    x, target = strategy().split(sound)
    np.testing.assert_array_equal(x[1:], target[:-1])


# ---------------------------------------------------------------- scaling and splits

RATE_HZ = 8000


def corpus_of(path, **audio):
    recordings = [
        Recording(name, "made", "CC0", name, lambda sound=sound: (sound, RATE_HZ)) for name, sound in audio.items()
    ]
    build_corpus(recordings, path, sample_rate_hz=RATE_HZ, progress=False, trim_silence_db=None)
    return AudioCorpus.open(path)


def test_min_max_scaling(tmp_path):
    rng = np.random.default_rng(0)
    audio = {name: rng.uniform(-0.1, 0.1, RATE_HZ).astype("float32") for name in ("train", "valid", "test")}
    audio["valid"][100] = 0.5  # one click, in the validation set, sets the scale
    audio["test"][200] = -0.3
    audio["train"][300] = 0.0
    with corpus_of(tmp_path / "c.h5", **audio) as corpus:
        stored = {piece.split: piece.dataset[:].astype(float) for piece in corpus.pieces}
        scaled = corpus.min_max_2016()
        read = {piece.split: piece.read(0, piece.n_samples) for piece in scaled.pieces}
        expected = oracles_2016.min_max(np.concatenate(list(stored.values())))
        got = np.concatenate([read[name] for name in stored])
        np.testing.assert_allclose(got, expected, atol=1e-6)
        assert got.min() == pytest.approx(-1.0, abs=1e-6) and got.max() == pytest.approx(1.0, abs=1e-6)
        assert read["train"][300] == pytest.approx(-0.25, abs=1e-3)  # silence is not 0
        np.testing.assert_allclose(scaled.restore(read["valid"]), stored["valid"] / 32768, atol=1e-6)
        np.testing.assert_allclose(scaled.standardise(stored["test"] / 32768), read["test"], atol=1e-6)
        (piece,) = corpus.train.pieces  # the corpus itself is as before
        assert piece.read(0, RATE_HZ).std() == pytest.approx(1.0, rel=1e-3)


def test_min_max_scaling_of_nothing_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    with corpus_of(tmp_path / "c.h5", **{n: rng.uniform(-1, 1, 900) for n in ("train", "valid", "test")}) as corpus:
        flat = dataclasses.replace(corpus.pieces[0], n_samples=1)  # one sample: the lowest is the highest
        with pytest.raises(RnnaudioError, match="all samples are .*; min/max scaling needs sound"):
            dataclasses.replace(corpus, pieces=(flat,)).min_max_2016()


def test_a_split_is_cut_at_the_end_of_each_piece():
    a, b = np.arange(10, dtype="float32"), np.arange(100, 120, dtype="float32")
    begun, ends = Split("train", (ArrayPiece(a), ArrayPiece(b)), RATE_HZ).cut(0.2)
    read = [[piece.read(0, piece.n_samples).tolist() for piece in part.pieces] for part in (begun, ends)]
    assert read == [[a[:8].tolist(), b[:16].tolist()], [a[8:].tolist(), b[16:].tolist()]]
    assert begun.n_samples + ends.n_samples == 30 and begun.seconds == 24 / RATE_HZ
    assert ends.pieces[1].read(1, 3).tolist() == [117.0, 118.0]


def test_a_stretch_reads_no_further_than_it_goes():
    stretch = Stretch(ArrayPiece(np.arange(10, dtype="float32")), 4, 7)
    assert stretch.n_samples == 3 and stretch.read(0, 3).tolist() == [4.0, 5.0, 6.0]
    for start, stop in ((0, 4), (-1, 2), (2, 1)):
        with pytest.raises(IndexError):
            stretch.read(start, stop)


# ---------------------------------------------------------------- judging


def noisy_model():
    rng = np.random.default_rng(0)
    return Sequential([Noisy(LSTM(4, 6, rng=rng), std=0.5, state_std=0.2), Dense(6, 4, rng=rng)])


def test_evaluation_with_noise_is_the_training_graph():
    batches = [a_batch(seed, n=4) for seed in (1, 2)]
    model = noisy_model()
    silent, noisy = (Evaluation(model, predict_next, noise_seed=seed)(batches) for seed in (None, 9))
    step = TrainStep(model, predict_next, SGD(), seed=9)
    parts = [step(b, None, learning_rate=0.0, update=k).values["normalised_mse"] for k, b in enumerate(batches)]
    numerator, denominator = np.sum(parts, axis=0)
    assert noisy["normalised_mse"] == pytest.approx(numerator / denominator, rel=1e-5)
    assert noisy["normalised_mse"] != pytest.approx(silent["normalised_mse"], rel=1e-2)
    assert Evaluation(model, predict_next, noise_seed=9)(batches) == noisy
    assert Evaluation(model, predict_next, noise_seed=8)(batches) != noisy


def test_evaluation_with_noise_by_segments_has_the_draws_of_training_by_segments():
    model, batch = noisy_model(), a_batch(n=4, n_steps=6)
    step = SegmentedTrainStep(model, predict_next, SGD(), seed=9, segment_steps=2)
    numerator, denominator = step.gradients(batch, None, update=0).values["normalised_mse"]
    got = Evaluation(model, predict_next, 2, noise_seed=9)([batch])["normalised_mse"]
    assert got == pytest.approx(numerator / denominator, rel=1e-5)


SIZES = {"frame_size": 4, "n_steps": 5, "batch_size": 3}


def judged(folder, n_updates, judging, *, resume=False):
    """A run that climbs from its 28th update on."""
    t = np.arange(4000)
    sines, noise = np.sin(t / 5) + np.sin(t / 13), np.random.default_rng(0).standard_normal(4000)
    split, other = (Split("train", (ArrayPiece(a.astype("float32")),), RATE_HZ) for a in (sines, noise))
    model = Noisy(LinearPredictor(4, 4), std=0.5)
    run = train(
        model,
        predict_next,
        ConsecutiveWindows(split, seed=1, **SIZES),
        fixed_windows(other, **SIZES)[:3],
        optimizer=SGD(0.1),
        schedule=lambda update: 0.1 if update < 28 else -0.1,
        stopping=EarlyStopping(100),
        run_dir=folder,
        limits=Limits(n_updates, validate_every=7),
        judging=judging,
        seed=3,
        resume=resume,
        on_validation=lambda row: None,
    )
    return run, checkpoints.load(folder / "checkpoint.safetensors").record


def test_judged_by_the_training_loss(tmp_path):
    run, record = judged(tmp_path, 56, Judging(by="train"))
    for name in ("train", "valid"):
        losses = [row[name] for row in run.history]
        bests = [loss < min(losses[:k], default=np.inf) for k, loss in enumerate(losses)]
        assert ([row["is_best"] for row in run.history] == bests) == (name == "train")
    assert record["stopping"]["best_loss"] == min(row["train"] for row in run.history)
    assert len(record["history"]) == 8


def test_a_history_cut_at_its_best_row_and_resumed(tmp_path):
    judging = Judging(by="train", keep_all=False)
    run, record = judged(tmp_path / "parts", 42, judging)
    assert len(run.history) == 6 and not run.history[-1]["is_best"]
    assert record["history"][-1]["is_best"] and len(record["history"]) < 6
    resumed, later = judged(tmp_path / "parts", 56, judging, resume=True)
    whole, _ = judged(tmp_path / "whole", 56, judging)
    assert resumed.n_updates == whole.n_updates == 56
    assert resumed.stopping == whole.stopping
    assert later["history"][-1]["is_best"] and later["n_updates"] == 56
    assert resumed.history[-1]["updates"] == 56  # the rows between are gone


def test_validation_that_is_not_finite_ends_a_run_with_a_reason(tmp_path, monkeypatch):
    from rnnaudio.training import loop

    monkeypatch.setattr(loop.Evaluation, "__call__", lambda *_: {"normalised_mse": float("inf")})
    path = tmp_path / "checkpoint.safetensors"
    monkeypatch.setattr(checkpoints, "load", lambda _: type("Saved", (), {"record": {}}))
    run, _ = judged(tmp_path, 14, Judging(by="train"))
    assert run.reason == "the validation loss is not finite at update 7"
    assert not run.is_complete and not path.exists()
