"""How layers are put together: modes, noise, norms, perceptrons, skip connections, names."""

import numpy as np
import pytest

from rnnaudio import engine, losses
from rnnaudio.engine import tt
from rnnaudio.nn import (
    GRU,
    LSTM,
    BatchNorm,
    Context,
    Dense,
    DrawnInitialState,
    Dropout,
    GaussianNoise,
    Layer2016,
    LearntInitialState,
    LinearPredictor,
    MemoryLSTM,
    Noisy,
    Sequential,
    Sum,
    mlp,
    mlp_2016,
)
from rnnaudio.nn.feedforward import FeedForward
from rnnaudio.nn.layer import flatten
from tests.support import oracles
from tests.support.gradient_cases import randomise


class Recorder(FeedForward):
    """y = x, and notes the mode it was built in."""

    def __init__(self, n):
        super().__init__()
        self.n_in = self.n_out = n
        self.seen = []

    def apply(self, x, context):
        self.seen.append(context.training)
        return x


def deep(rng, recorders, norms):
    """A noisy cell, dropout, batch norm and a recorder at every depth of Sequential and Sum."""
    inner = Sum(
        a=Sequential([recorders[0], Noisy(GRU(2, 2, rng=rng), std=0.5), norms[0], recorders[1]]),
        b=Sequential([LearntInitialState(Noisy(LSTM(2, 2, rng=rng), state_std=0.5)), Dropout(2, 0.5)]),
    )
    return Sequential([inner, Sequential([norms[1], Sum(only=recorders[2])])])


@pytest.mark.parametrize("how", ["step", "unroll"])
def test_the_mode_reaches_every_child(how):
    rng = np.random.default_rng(3)
    recorders, norms = [Recorder(2) for _ in range(3)], [BatchNorm(2) for _ in range(2)]
    model = deep(rng, recorders, norms)
    x = engine.tensor("x", 2 if how == "step" else 3)
    key = engine.tensor("key", 1, "int64")
    training, evaluation = Context.training_with(key), Context.evaluation()
    outputs = [getattr(model, how)(x, model.initial_state(4), context)[0] for context in (training, evaluation)]
    assert [recorder.seen for recorder in recorders] == [[True, False]] * 3
    moved = [variable for variable, _ in training.updates]
    assert moved == [v for norm in norms for v in (norm.running_mean, norm.running_variance)]
    assert evaluation.updates == []
    # and the numbers: three sources of noise, each alone enough to make training differ
    function = engine.function([key, x], outputs)
    value = rng.standard_normal((4, 2) if how == "step" else (3, 4, 2))
    (noisy_1, clean_1), (noisy_2, clean_2) = function([1, 1], value), function([1, 2], value)
    np.testing.assert_array_equal(clean_1, clean_2)
    assert np.abs(noisy_1 - noisy_2).max() > 1e-3


def test_evaluation_refuses_to_draw_noise():
    for draw in (Context.evaluation().normal, Context.evaluation().uniform):
        with pytest.raises(ValueError, match="evaluation"):
            draw([2, 2])


def test_two_noise_layers_draw_apart_and_a_later_layer_changes_nothing():
    x = engine.tensor("x", 2)
    key = np.array([5, 5])

    def noise(model):
        return engine.function([x], model.step(x, model.initial_state(1), Context.training_with(key))[0] - x)

    zeros = np.zeros((4, 3))
    first = noise(GaussianNoise(3, 1.0))(zeros)
    both = noise(Sequential([GaussianNoise(3, 1.0), GaussianNoise(3, 1.0)]))(zeros)
    assert not np.intersect1d(both - first, first).size  # the second draw is another one
    rng = np.random.default_rng(0)
    dense = Dense(3, 3, rng=rng)
    dense.weight.set_value(np.eye(3, dtype="float32"))
    followed = noise(Sequential([GaussianNoise(3, 1.0), dense, Dropout(3, 0.0)]))(zeros)
    np.testing.assert_allclose(followed, first, atol=1e-6)


def test_dropout_keeps_its_share_and_its_mean():
    x = engine.tensor("x", 2)
    y, _ = Dropout(100, 0.3).step(x, (), Context.training_with(np.array([1, 1])))
    value = engine.function([x], y)(np.ones((300, 100)))
    assert set(np.unique(value)) == {np.float32(0.0), np.float32(1 / 0.7)}
    assert (value == 0).mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.3 * 0.7 / value.size))


@pytest.mark.parametrize("n_axes", [2, 3])
def test_batch_norm_equals_the_oracle(n_axes):
    rng = np.random.default_rng(8)
    with engine.precision("float64"):
        norm = randomise(BatchNorm(3, momentum=0.2), rng)
        before = norm.get_values()
        x = engine.tensor("x", n_axes)
        training = Context.training_with(np.array([0, 0]))
        graphs = [norm.apply(x, training), norm.apply(x, Context.evaluation())]
        function = engine.function([x], graphs, training.updates)
    value = 3 + 2 * rng.standard_normal((5, 4, 3)[3 - n_axes :])
    trained, evaluated = function(value)
    arguments = [before[name] for name in ("gain", "shift", "running_mean", "running_variance")]
    expected = oracles.batch_norm_forward(value, *arguments, momentum=0.2)
    np.testing.assert_allclose(trained, expected.output, rtol=1e-10, atol=1e-12)
    after = norm.get_values()
    np.testing.assert_allclose(after["running_mean"], expected.running_mean, rtol=1e-12)
    np.testing.assert_allclose(after["running_variance"], expected.running_variance, rtol=1e-12)
    plain = oracles.batch_norm_forward(value, *arguments, training=False).output
    np.testing.assert_allclose(evaluated, plain, rtol=1e-10, atol=1e-12)


def test_an_untrained_batch_norm_passes_its_input():
    x = engine.tensor("x", 2)
    value = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")
    passed = engine.function([x], BatchNorm(3).apply(x, Context.evaluation()))(value)
    np.testing.assert_allclose(passed, value, rtol=1e-4)


@pytest.mark.parametrize("size", [1.0, 1e6, 1e30])
def test_what_stands_in_the_padding_does_not_reach_batch_norm(size):
    """Valid steps and running statistics are those of the oracle, which sees the valid steps alone."""
    rng = np.random.default_rng(14)
    norm = randomise(BatchNorm(3, momentum=0.2), rng)
    before = norm.get_values()
    x, mask = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
    context = Context.training_with(np.array([0, 0]))
    y, _ = norm.unroll(x, (), context, mask)
    gradient = engine.gradient(tt.sum(tt.switch(mask[..., None], y, 0) ** 3), [x])
    function = engine.function([x, mask], [y, *gradient], context.updates)
    value, valid = rng.standard_normal((5, 4, 3)).astype("float32"), rng.integers(0, 2, (5, 4)).astype("int8")
    padded = np.where(valid[..., None], value, size * rng.standard_normal(value.shape)).astype("float32")
    trained, pulled = function(padded, valid)
    is_valid = valid.astype(bool)
    arguments = [before[name].astype(float) for name in ("gain", "shift", "running_mean", "running_variance")]
    expected = oracles.batch_norm_forward(value[is_valid].astype(float), *arguments, momentum=0.2)
    np.testing.assert_allclose(trained[is_valid], expected.output, rtol=1e-4, atol=1e-5)
    after = norm.get_values()
    np.testing.assert_allclose(after["running_mean"], expected.running_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after["running_variance"], expected.running_variance, rtol=1e-5)
    np.testing.assert_array_equal(pulled[~is_valid], 0.0)
    assert np.isfinite(pulled).all()


@pytest.mark.parametrize("std", [-0.1, np.nan, np.inf])
def test_noise_of_a_negative_or_infinite_deviation_is_refused(std):
    rng = np.random.default_rng(1)
    made = [GaussianNoise(3, 0.5), Noisy(LSTM(2, 3, rng=rng), std=0.5), MemoryLSTM(2, 2, rng=rng, noise_std=0.5)]
    for build in (
        lambda: GaussianNoise(3, std),
        lambda: Noisy(LSTM(2, 3, rng=rng), std=std),
        lambda: Noisy(LSTM(2, 3, rng=rng), state_std=std),
        lambda: MemoryLSTM(2, 2, rng=rng, noise_std=std),
        lambda: DrawnInitialState(LSTM(2, 3, rng=rng), std=std),
        lambda: made[0].set_std(std),
        lambda: made[1].set_std(std, 0.0),
        lambda: made[2].set_std(std),
    ):
        with pytest.raises(ValueError, match=rf"std of {std}; expected 0 or more"):
            build()
    kept = [
        layer.statistics()[name].get_value() for layer, name in zip(made, ("std", "std", "noise_std"), strict=True)
    ]
    assert kept == [0.5] * 3


@pytest.mark.parametrize("padding", [np.nan, np.inf])
def test_padding_of_any_kind_reaches_no_gradient_of_a_stack(padding):
    """Dense layers before the cell and beside it see the padding, too; the oracle is a padding of zeros."""
    rng = np.random.default_rng(16)
    layers = [Dense(3, 4, rng=rng), BatchNorm(4), GRU(4, 4, rng=rng)]
    model = randomise(Sum(stack=Sequential(layers), skip=Dense(3, 4, rng=rng)), rng)
    x, mask = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
    context = Context.training_with(np.array([0, 0]))
    y, final = model.unroll(x, model.initial_state(x.shape[1]), context, mask)
    loss = losses.mean_squared_error(y, tt.ones_like(y), mask)
    gradients = engine.gradient(loss, [x, *model.parameters().values()])
    function = engine.function([x, mask], [loss, *flatten(final), *gradients])
    value, valid = rng.standard_normal((5, 4, 3)).astype("float32"), rng.integers(0, 2, (5, 4)).astype("int8")
    clean, dirty = (function(np.where(valid[..., None], value, other), valid) for other in (0.0, padding))
    for one, other in zip(clean, dirty, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)


def test_a_batch_that_is_all_padding_leaves_the_statistics_as_they_are():
    norm = BatchNorm(3)
    x, mask = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
    context = Context.training_with(np.array([0, 0]))
    y, _ = norm.unroll(x, (), context, mask)
    gradients = engine.gradient(losses.mean_squared_error(y, tt.ones_like(y), mask), [x, *norm.parameters().values()])
    before = norm.get_values()
    function = engine.function([x, mask], [y, *gradients], context.updates)
    results = function(np.full((5, 4, 3), np.nan), np.zeros((5, 4), "int8"))
    assert np.isfinite(results[0]).all() and not any(gradient.any() for gradient in results[1:])
    for name, value in norm.get_values().items():
        np.testing.assert_array_equal(value, before[name])


def test_padding_does_not_change_a_stack_with_batch_norm():
    rng = np.random.default_rng(15)
    model = randomise(Sequential([Dense(3, 4, rng=rng), BatchNorm(4), LSTM(4, 2, rng=rng)]), rng)
    before = model.get_values()
    x, mask = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
    context = Context.training_with(np.array([0, 0]))
    y, final = model.unroll(x, model.initial_state(x.shape[1]), context, mask)
    function = engine.function([x, mask], [y, *flatten(final)], context.updates)
    value, valid = rng.standard_normal((5, 4, 3)), rng.integers(0, 2, (5, 4)).astype("int8")
    results = []
    for padding in (0.0, 1e30):
        model.set_values(before)
        outputs, *state = function(np.where(valid[..., None], value, padding), valid)
        results.append([outputs[valid.astype(bool)], *state, *model.get_values().values()])
    for clean, dirty in zip(*results, strict=True):
        np.testing.assert_array_equal(clean, dirty)


def test_mlp_equals_the_oracle_and_leaves_its_last_layer_bare():
    rng = np.random.default_rng(9)
    with engine.precision("float64"):
        model = randomise(mlp([4, 6, 5, 3], rng=rng, activation="tanh"), rng)
        x = engine.tensor("x", 2)
        y = engine.function([x], model.step(x, model.initial_state(1), Context.evaluation())[0])
    values = list(model.get_values().values())
    layers = [(values[2 * k], values[2 * k + 1], "linear" if k == 2 else "tanh") for k in range(3)]
    value = rng.standard_normal((7, 4))
    np.testing.assert_allclose(y(value), oracles.mlp_forward(value, layers), rtol=1e-12)
    full = mlp([4, 6, 5, 3], rng=rng, batch_norm=True, dropout=0.5, noise=0.1)
    kinds = [layer.kind for layer in full._children.values()]
    hidden = ["dense", "batch_norm", "activation", "dropout"]
    assert kinds == ["gaussian_noise", *hidden, *hidden, "dense"]


@pytest.mark.parametrize("with_norm", [False, True], ids=["plain", "normalised"])
@pytest.mark.parametrize("dropped", [False, True], ids=["kept", "dropped"])
def test_the_perceptron_of_2016_equals_its_transcription(with_norm, dropped, kernel):
    """Two layers, the last one disturbed like the first, in training and evaluation, with the draws that it made."""
    sizes, n_rows, std, key = [4, 6, 3], 7, 0.3, np.array([5, 5])

    def between(n):
        norm, dropout = [BatchNorm(n, shift=False)] * with_norm, [Dropout(n, 0.5)] * dropped
        return [*norm, GaussianNoise(n, std), *dropout]

    rng = np.random.default_rng(16)
    with engine.precision("float64"):
        model = randomise(mlp_2016(sizes, rng=rng, between=between), rng)
        x, context, draws = engine.tensor("x", 2), Context.training_with(key), Context.training_with(key)
        graphs = [model.step(x, model.initial_state(1), c)[0] for c in (context, Context.evaluation())]
        for n in sizes[1:]:  # the same streams in the same order
            graphs.append(draws.normal([n_rows, n]))
            graphs += [draws.uniform([n_rows, n])] if dropped else []
        values = model.get_values()
        x_value = rng.standard_normal((n_rows, sizes[0]))
        trained, evaluated, *drawn = engine.function([x], graphs)(x_value)
    expected, plain = x_value, x_value
    for name, activation in (("layer2016", "relu"), ("layer2016_2", "linear")):
        w, bias = values[f"{name}.weight"], values[f"{name}.bias"]
        noise, gain, stored, keep = std * drawn.pop(0), None, None, None
        if with_norm:
            gain = values[f"{name}.batch_norm.gain"]
            stored = values[f"{name}.batch_norm.running_mean"], values[f"{name}.batch_norm.running_variance"]
        if dropped:
            keep = drawn.pop(0) >= 0.5
        expected = oracles.layer_2016(expected, w, bias, gain=gain, noise=noise, keep=keep, activation=activation)
        plain = oracles.layer_2016(plain, w, bias, gain=gain, statistics=stored, activation=activation)
    np.testing.assert_allclose(trained, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(evaluated, plain, rtol=1e-10, atol=1e-12)


def test_skip_connections_are_wired_as_documented():
    """f_1(x), f_2([x, y_1]), f_3([y_1, y_2]) with layers that show their input: y = x W."""
    rng = np.random.default_rng(10)
    layers = [Dense(2, 3, rng=rng), Dense(5, 2, rng=rng), Dense(5, 4, rng=rng)]
    with engine.precision("float64"):
        model = Sequential([Dense(2, 3, rng=rng), Dense(5, 2, rng=rng), Dense(5, 4, rng=rng)], skip=True)
        x = engine.tensor("x", 3)
        y = engine.function([x], model.unroll(x, model.initial_state(1), Context.evaluation())[0])
    w = model.get_values()
    value = rng.standard_normal((3, 2, 2))
    y_1 = value @ w["dense.weight"]
    y_2 = np.concatenate([value, y_1], axis=2) @ w["dense_2.weight"]
    expected = np.concatenate([y_1, y_2], axis=2) @ w["dense_3.weight"]
    np.testing.assert_allclose(y(value), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"layer 1 \(dense_2\) takes 5 inputs, but 3 reach it"):
        Sequential(layers)


def test_sum_adds_its_paths():
    rng = np.random.default_rng(11)
    paths = {"a": Dense(2, 3, rng=rng), "b": Dense(2, 3, rng=rng, activation="tanh")}
    model = Sum(**paths)
    x = engine.tensor("x", 2)
    total, *parts = engine.function(
        [x],
        [model.step(x, model.initial_state(1), Context.evaluation())[0]]
        + [path.step(x, (), Context.evaluation())[0] for path in paths.values()],
    )(rng.standard_normal((4, 2)))
    np.testing.assert_allclose(total, sum(parts), rtol=1e-6)
    assert list(model.parameters()) == ["a.weight", "a.bias", "b.weight", "b.bias"]


def test_names_of_a_deep_model():
    rng = np.random.default_rng(12)
    noisy = Noisy(GRU(3, 2, rng=rng), std=0.1)
    model = Sequential([LSTM(2, 3, rng=rng), LSTM(3, 3, rng=rng), LearntInitialState(noisy)])
    names = ["lstm.w_input", "lstm.w_hidden", "lstm.bias", "lstm_2.w_input", "lstm_2.w_hidden", "lstm_2.bias"]
    wrapped = "learnt_initial_state.noisy.gru"
    gru = [f"{wrapped}.{name}" for name in ("w_input", "w_hidden", "bias")]
    assert list(model.parameters()) == [*names, "learnt_initial_state.initial_hidden", *gru]
    assert list(model.statistics()) == [f"learnt_initial_state.noisy.{name}" for name in ("std", "state_std")]


def test_forget_bias_and_initial_values():
    rng = np.random.default_rng(13)
    values = LSTM(2, 3, rng=rng, peepholes=True, forget_bias=2.0).get_values()
    np.testing.assert_array_equal(values["bias"], [0] * 3 + [2] * 3 + [0] * 6)
    assert not any(values[f"peephole_{gate}"].any() for gate in ("input", "forget", "output"))
    for block in np.split(values["w_hidden"].astype(float), 4, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(3), atol=1e-6)
    assert not any(value.any() for value in LinearPredictor(2, 3).get_values().values())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda rng: Dense(2, 3, rng=rng, activation="swish"), "activation is 'swish'; expected one of"),
        (lambda rng: Dropout(2, 1.0), "dropout rate is 1.0"),
        (lambda rng: Sequential([]), "no layers"),
        (lambda rng: Layer2016(2, 3, rng=rng, between=[Dropout(2, 0.5)]), "dropout between is 2 -> 2; expected 3"),
        (lambda rng: Sum(a=Dense(2, 3, rng=rng), b=Dense(2, 4, rng=rng)), "the paths of a Sum have widths"),
        (lambda rng: mlp([3], rng=rng), "input and an output size"),
    ],
)
def test_wrong_arguments_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build(np.random.default_rng(0))
