"""Compiled steps against NumPy, the engine's step and the unrolled graph; and against themselves, side by side."""

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.generation import Stepper
from rnnaudio.generation.stepper import GraphStep
from rnnaudio.kernels import threads
from rnnaudio.kernels.few_rows import multiply_few
from rnnaudio.kernels.micro import BLOCK_ROWS
from rnnaudio.kernels.product import At, multiply, pack, padded
from rnnaudio.nn import GRU, LSTM, Context, Dense, LearntInitialState, LinearPredictor, Noisy, Sequential, Sum
from rnnaudio.nn.layer import flatten
from tests.support import agreement, oracles
from tests.support.gradient_cases import LAYERS, STACKS, randomise

N_FRAMES = 6
TOLERANCE = {"float64": 1e-12, "float32": 2e-6}
BY_GRAPH = {"draw", "drawn initial state", "early gru of 2016", "painter"}
ODD = [(1, 1), (3, 7), (5, 129), (33, 37)]  # n_in, units


def run(step, x):
    """All outputs (time, streams, n_out)."""
    return np.stack([step(frame).copy() for frame in x])


def unrolled(model):
    """x -> outputs and final state, by the graph of whole sequences."""
    x = engine.tensor("x", 3)
    y, final = model.unroll(x, model.initial_state(x.shape[1]), Context.evaluation())
    return engine.function([x], [y, *flatten(final)])


@pytest.mark.parametrize("name", sorted(BY_GRAPH))
def test_layers_whose_equation_has_no_kernel_have_no_compiled_step(name):
    assert LAYERS[name](np.random.default_rng(0)).compiled_step(2) is None


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sorted((LAYERS | STACKS).keys() - BY_GRAPH))
def test_a_compiled_step_is_the_graphs(name, dtype):
    """That of one step, and that of whole sequences, both by the engine alone; outputs and final state."""
    rng = np.random.default_rng(len(name))
    with engine.precision(dtype), engine.using_kernel("scan"):
        model = randomise((LAYERS | STACKS)[name](rng), rng)
        whole, stepper = unrolled(model), Stepper(model)
        for n_streams in (1, 3, 17):
            x = rng.standard_normal((N_FRAMES, n_streams, model.n_in)).astype(dtype)
            step = model.compiled_step(n_streams)
            got = [run(step, x), *step.state]
            outputs, state = stepper.prime(x)
            for expected in ([outputs, *state], whole(x)):
                assert [(a.shape, a.dtype) for a in got] == [(a.shape, np.dtype(dtype)) for a in expected]
                for a, b in zip(got, expected, strict=True):
                    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("n_streams", [1, 2, 3, 17])
@pytest.mark.parametrize("sizes", ODD, ids=str)
@pytest.mark.parametrize("kind", agreement.KINDS)
def test_a_recurrent_step_is_the_numpy_loop_at_odd_sizes(kind, sizes, n_streams):
    rng = np.random.default_rng(5)
    with engine.precision("float64"):
        cell = agreement.KINDS[kind](*sizes, rng)
        randomise(cell, rng, std=min(0.5, 2 / np.sqrt(sizes[1])))
        step = cell.compiled_step(n_streams)
    x = rng.standard_normal((N_FRAMES, n_streams, cell.n_in))
    for leaf in step.state:
        leaf[...] = rng.standard_normal(leaf.shape)
    start = [leaf.copy() for leaf in step.state]
    parameters = {name: value.get_value() for name, value in cell.parameters().items()}
    if kind == "memory lstm":
        states = [oracles.memory_forward(x, *start, parameters)[0]]
    elif kind == "gru":
        states = [oracles.gru_forward(x, *start, parameters)]
    else:
        states = list(oracles.lstm_forward(x, *start, parameters))
    np.testing.assert_allclose(run(step, x), states[0], rtol=0, atol=1e-12)
    for leaf, all_steps in zip(step.state, states, strict=True):
        np.testing.assert_allclose(leaf, all_steps[-1], rtol=0, atol=1e-12)


def everything(rng):
    """Every kind of state, and widths that are no multiples of a vector."""
    stack = [
        Noisy(LSTM(5, 37, rng=rng, peepholes=True), std=0.5, state_std=0.5),
        LearntInitialState(GRU(5 + 37, 33, rng=rng)),
        Dense(37 + 33, 5, rng=rng, activation="tanh"),
    ]
    model = Sum(stack=Sequential(stack, skip=True), linear=LinearPredictor(5, 5, n_frames=3))
    return randomise(model, rng, std=0.2)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_stream_gets_the_same_bits_alone_and_beside_others(dtype):
    rng = np.random.default_rng(6)
    with engine.precision(dtype):
        model = everything(rng)
        x = rng.standard_normal((N_FRAMES, 2 * BLOCK_ROWS + 5, 5)).astype(dtype)
        together = run(model.compiled_step(x.shape[1]), x)
        for n in (1, 2, 3, 7, 8):
            apart = run(model.compiled_step(n), x[:, :n])
            assert apart.tobytes() == together[:, :n].tobytes(), n


def test_parts_on_any_number_of_threads_give_the_same_bits(use_threads):
    rng = np.random.default_rng(7)
    model = everything(rng)
    x = rng.standard_normal((N_FRAMES, 7, 5)).astype("float32")
    whole = model.compiled_step(7)
    expected = run(whole, x)
    for n_threads in (1, 2, 3, 9):
        use_threads(n_threads)
        step = model.compiled_step(7)
        parts = step.parts()
        bounds = np.cumsum([part.n_streams for part in parts])
        got = [np.empty((N_FRAMES, part.n_streams, 5), "float32") for part in parts]

        def play(part, inputs, outputs):
            for frame, output in zip(inputs, outputs, strict=True):
                output[...] = part(frame)

        threads.run(play, list(zip(parts, np.split(x, bounds[:-1], axis=1), got, strict=True)))
        assert len(parts) == min(n_threads, 7)
        assert np.concatenate(got, axis=1).tobytes() == expected.tobytes()
        for leaf, other in zip(step.state, whole.state, strict=True):  # parts write to the state of the whole
            assert leaf.tobytes() == other.tobytes()


def test_a_state_is_carried_on_and_start_goes_back():
    rng = np.random.default_rng(8)
    model = everything(rng)
    x = rng.standard_normal((N_FRAMES, 2, 5)).astype("float32")
    step, other = model.compiled_step(2), model.compiled_step(2)
    expected = run(step, x)
    run(other, x[:4])
    fresh = model.compiled_step(2)
    for leaf, reached in zip(fresh.state, other.state, strict=True):
        leaf[...] = reached
    assert run(fresh, x[4:]).tobytes() == expected[4:].tobytes()
    fresh.start()
    assert run(fresh, x).tobytes() == expected.tobytes()
    initial = Stepper(model).start(2)
    for leaf, value in zip(model.compiled_step(2).state, initial, strict=True):
        np.testing.assert_array_equal(leaf, value)


def test_what_is_not_finite_stays_in_its_stream():
    rng = np.random.default_rng(9)
    model = everything(rng)
    x = rng.standard_normal((N_FRAMES, 9, 5)).astype("float32")
    expected = run(model.compiled_step(9), x)
    x[2, 4] = np.nan
    got = run(model.compiled_step(9), x)
    others = np.arange(9) != 4
    assert got[:, others].tobytes() == expected[:, others].tobytes()
    assert np.isnan(got[2:, 4]).all() and np.isfinite(got[:2]).all()


class Doubled(LSTM):
    """Another equation than the LSTM's compiled step computes."""

    def equations(self, inputs, state):
        return super().equations(2 * inputs, state)


class StartsAtOne(GRU):
    def initial_state(self, batch_size):
        return type(self.state_sizes)(1 + super().initial_state(batch_size)[0])


class Renamed(GRU):
    """The same equation."""


def test_a_layer_with_another_equation_has_no_compiled_step_and_neither_has_a_stack_with_it():
    rng = np.random.default_rng(10)
    assert Renamed(2, 2, rng=rng).compiled_step(1) is not None
    for layer in (Doubled(2, 2, rng=rng), StartsAtOne(2, 2, rng=rng)):
        for model in (layer, Noisy(layer), Sequential([layer, Dense(2, 2, rng=rng)]), LearntInitialState(layer)):
            assert model.compiled_step(1) is None
        stepper = Stepper(Sequential([layer, Dense(2, 2, rng=rng)]))
        x = rng.standard_normal((N_FRAMES, 3, 2)).astype("float32")
        step = stepper.streams(3)
        assert isinstance(step, GraphStep) and len(step.parts()) == 1
        np.testing.assert_array_equal(run(step, x), stepper.prime(x)[0])


@pytest.mark.skipif(engine.MODE == "jax", reason="the only kernel is scan")
def test_the_kernel_chooses_and_parameters_are_those_of_the_moment():
    rng = np.random.default_rng(11)
    model = Dense(2, 2, rng=rng)
    with engine.using_kernel("scan"):
        by_graph = Stepper(model)
    by_kernel = Stepper(model)
    assert isinstance(by_graph.streams(1), GraphStep) and not isinstance(by_kernel.streams(1), GraphStep)
    model.set_values({"weight": np.eye(2), "bias": np.ones(2)})
    for stepper in (by_graph, by_kernel):
        np.testing.assert_array_equal(stepper.streams(1)(np.array([[2.0, 3.0]])), [[3.0, 4.0]])


def test_input_of_another_shape_is_refused():
    step = Dense(2, 3, rng=np.random.default_rng(12)).compiled_step(4)
    for shape in ((4, 3), (3, 2), (4, 2, 1)):
        with pytest.raises(ValueError, match=r"expected \(4, 2\)"):
            step(np.zeros(shape))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_few_rows_are_multiplied_as_many_to_the_last_bit(dtype):
    rng = np.random.default_rng(13)
    like = np.zeros(1, dtype)[0]
    for n in (1, 15, 16, 17, 33, 70, 129):
        k = 1 + n // 3
        b = rng.standard_normal((k, n)).astype(dtype)
        panels = pack(b)
        for m in [*range(1, 2 * BLOCK_ROWS + 5), 40]:
            a = rng.standard_normal((m, k)).astype(dtype)
            c, d = (np.full((m, padded(n, a.itemsize)), np.nan, dtype) for _ in range(2))
            a_at, c_at, d_at = (At(array.ctypes.data, *array.strides) for array in (a, c, d))
            multiply_few(a_at, m, k, panels.ctypes.data, n, c_at, like)
            multiply(a_at, m, k, panels.ctypes.data, n, d_at, 0, like)
            assert c[:, :n].tobytes() == d[:, :n].tobytes(), (m, n)
            np.testing.assert_allclose(c[:, :n], a @ b, atol=1e-5 if dtype == "float32" else 1e-13)
