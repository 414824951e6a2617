"""What every layer, wrapper and stack promises, one suite over all of them."""

from typing import NamedTuple

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.nn import (
    BatchNorm,
    Context,
    Draw,
    Dropout,
    GaussianNoise,
    Layer,
    MemoryLSTM,
    Noisy,
)
from rnnaudio.nn.layer import flatten, unflatten
from tests.support.gradient_cases import LAYERS, N_BATCH, N_STEPS, STACKS, randomise

BUILDERS = LAYERS | STACKS


KEY, OTHER_UPDATE, OTHER_SEED = [2016, 3], [2016, 4], [2017, 3]


class Built(NamedTuple):
    """A float32 model with random parameters and its compiled functions; ``state`` is random and non-zero."""

    model: Layer
    x: np.ndarray
    state: list[np.ndarray]
    evaluate: object  # (x, *state) -> y, *final state
    evaluate_masked: object  # (x, mask, *state) -> y, *final state
    step: object  # (x_t, *state) -> y_t, *new state
    train: object  # (key, x, *state) -> y


@pytest.fixture(scope="module", params=BUILDERS)
def built(request, kernel_name) -> Built:
    with engine.using_kernel(kernel_name):
        return build(request.param)


def build(name) -> Built:
    rng = np.random.default_rng(2016)
    model = randomise(BUILDERS[name](rng), rng)
    x, x_t, mask = engine.tensor("x", 3), engine.tensor("x_t", 2), engine.tensor("mask", 2, "int8")
    key = engine.tensor("key", 1, "int64")
    leaves = flatten(model.initial_state(N_BATCH))
    states = [engine.tensor(f"state_{k}", 2) for k in range(len(leaves))]
    state = unflatten(model.initial_state(N_BATCH), states)

    def outputs(result):
        return [result[0], *flatten(result[1])]

    return Built(
        model,
        rng.standard_normal((N_STEPS, N_BATCH, model.n_in)).astype("float32"),
        [rng.standard_normal((N_BATCH, width)).astype("float32") for width in flatten(model.state_sizes)],
        engine.function([x, *states], outputs(model.unroll(x, state, Context.evaluation()))),
        engine.function([x, mask, *states], outputs(model.unroll(x, state, Context.evaluation(), mask))),
        engine.function([x_t, *states], outputs(model.step(x_t, state, Context.evaluation()))),
        engine.function([key, x, *states], model.unroll(x, state, Context.training_with(key))[0]),
    )


def test_shapes_and_dtypes(built):
    y, *final = built.evaluate(built.x, *built.state)
    assert y.shape == (N_STEPS, N_BATCH, built.model.n_out) and y.dtype == "float32"
    assert [leaf.shape for leaf in final] == [leaf.shape for leaf in built.state]
    assert {leaf.dtype for leaf in final} <= {np.dtype("float32")}
    assert built.train(KEY, built.x, *built.state).dtype == "float32"
    assert {v.dtype for v in (built.model.parameters() | built.model.statistics()).values()} <= {"float32"}


def test_state_sizes_are_those_of_the_initial_state(built):
    state = built.model.initial_state(N_BATCH)
    leaves = flatten(state)
    values = engine.function([], leaves, mode="python")() if leaves else []
    assert unflatten(state, [value.shape for value in values]) == shapes_of(built.model.state_sizes)


def shapes_of(sizes):
    """Each width n as the shape (N_BATCH, n), the nesting kept."""
    return unflatten(sizes, [(N_BATCH, n) for n in flatten(sizes)])


def test_no_float64_enters_a_float32_graph(built, kernel):
    x, mask = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
    context = Context.training_with(np.array(KEY))
    y, final = built.model.unroll(x, built.model.initial_state(x.shape[1]), context, mask)
    loss = tt.mean(tt.sqr(y))
    gradients = engine.gradient(loss, [x, *built.model.parameters().values()])
    outputs = [loss, *flatten(final), *gradients, *[new for _, new in context.updates]]
    assert "float64" not in {getattr(variable, "dtype", "") for variable in everything_below(outputs)}


def everything_below(variables):
    """All variables that these are computed from, themselves included."""
    seen, waiting = set(), list(variables)
    while waiting:
        variable = waiting.pop()
        if variable not in seen:
            seen.add(variable)
            waiting += variable.owner.inputs if variable.owner else []
    return seen


def test_one_step_is_an_unroll_of_one(built):
    step, unroll = built.step(built.x[0], *built.state), built.evaluate(built.x[:1], *built.state)
    for one, other in zip(step, unroll, strict=True):
        np.testing.assert_allclose(one, other[0] if other.ndim == 3 else other, atol=1e-6)


def test_an_unroll_is_its_steps_carried(built):
    y, *final = built.evaluate(built.x, *built.state)
    state = built.state
    for t in range(N_STEPS):
        y_t, *state = built.step(built.x[t], *state)
        np.testing.assert_allclose(y_t, y[t], atol=2e-6)
    for carried, leaf in zip(state, final, strict=True):
        np.testing.assert_allclose(carried, leaf, atol=2e-6)


def test_an_unroll_is_two_halves_carried(built):
    whole = built.evaluate(built.x, *built.state)
    first, *state = built.evaluate(built.x[:2], *built.state)
    second, *final = built.evaluate(built.x[2:], *state)
    for half, other in zip([np.concatenate([first, second]), *final], whole, strict=True):
        np.testing.assert_allclose(half, other, atol=2e-6)


def test_a_full_mask_changes_nothing_and_an_empty_one_keeps_the_state(built):
    ones, zeros = np.ones((N_STEPS, N_BATCH), "int8"), np.zeros((N_STEPS, N_BATCH), "int8")
    for masked, plain in zip(
        built.evaluate_masked(built.x, ones, *built.state), built.evaluate(built.x, *built.state), strict=True
    ):
        np.testing.assert_allclose(masked, plain, rtol=1e-6, atol=1e-7)  # a compiler may round another graph otherwise
    for kept, before in zip(built.evaluate_masked(built.x, zeros, *built.state)[1:], built.state, strict=True):
        np.testing.assert_array_equal(kept, before)


def test_padding_may_be_anything(built):
    mask = np.array([[k % 2, 1, *[(k + 1) % 2] * (N_BATCH - 2)][:N_BATCH] for k in range(N_STEPS)], "int8")
    shown = mask[..., None] == 1
    clean, dirty = (
        built.evaluate_masked(np.where(shown, built.x, padding).astype(built.x.dtype), mask, *built.state)
        for padding in (0, np.nan)
    )
    for one, other in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(one, other)


def test_sequences_of_a_batch_do_not_touch_each_other_in_evaluation(built):
    whole = built.evaluate(built.x, *built.state)[0]
    alone = built.evaluate(built.x[:, 1:2], *[leaf[1:2] for leaf in built.state])[0]
    np.testing.assert_allclose(alone, whole[:, 1:2], atol=1e-6)


def test_evaluation_is_deterministic(built):
    for one, other in zip(built.evaluate(built.x, *built.state), built.evaluate(built.x, *built.state), strict=True):
        np.testing.assert_array_equal(one, other)


def draws_noise(layer):
    of_2016 = isinstance(layer, MemoryLSTM) and layer.noise_std.get_value() > 0
    return of_2016 or isinstance(layer, Draw | Dropout | GaussianNoise | Noisy)


def test_training_noise_is_decided_by_the_key(built):
    y = built.train(KEY, built.x, *built.state)
    np.testing.assert_array_equal(built.train(KEY, built.x, *built.state), y)
    noisy = any(draws_noise(layer) for _, layer in built.model.layers())
    for key in (OTHER_UPDATE, OTHER_SEED):
        assert np.array_equal(built.train(key, built.x, *built.state), y) != noisy
    if not noisy and not any(isinstance(layer, BatchNorm) for _, layer in built.model.layers()):
        np.testing.assert_allclose(y, built.evaluate(built.x, *built.state)[0], atol=1e-6)


def test_parameter_names_are_unique_full_paths(built):
    declared = [
        f"{path}.{name}".lstrip(".")
        for path, layer in built.model.layers()
        for name in [*layer._parameters, *layer._statistics]
    ]
    assert len(set(declared)) == len(declared)
    assert sorted(declared) == sorted([*built.model.parameters(), *built.model.statistics()])
    assert list(built.model.get_values()) == [*built.model.parameters(), *built.model.statistics()]
    n_trained = sum(built.model.get_values()[name].size for name in built.model.parameters())
    assert built.model.n_parameters == n_trained


def test_values_round_trip_into_another_model(built, request):
    values = built.model.get_values()
    other = BUILDERS[request.node.callspec.params["built"]](np.random.default_rng(1))
    other.set_values(values)
    for name, value in other.get_values().items():
        np.testing.assert_array_equal(value, values[name])
        assert value.dtype == "float32"


def test_values_that_do_not_fit_are_named_and_change_nothing(built):
    values = built.model.get_values()
    if not values:
        pytest.skip("nothing stored")
    first = next(iter(values))
    with pytest.raises(ValueError, match=f"'{first}'.*missing"):
        built.model.set_values({name: value for name, value in values.items() if name != first})
    with pytest.raises(ValueError, match=f"'{first}' is \\(7, 7\\)"):
        built.model.set_values(values | {first: np.zeros((7, 7))})
    with pytest.raises(ValueError, match="'surplus'.*unknown"):
        built.model.set_values(values | {"surplus": np.zeros(2)})
    for name, value in built.model.get_values().items():
        np.testing.assert_array_equal(value, values[name])
