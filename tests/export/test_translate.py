"""Each translated operation computes what NumPy does; each layer what its kernel does, or its equation in NumPy."""

import numpy as np
import pytest
from scipy.special import erf, expit, log_softmax, softmax

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.export import Graph, Network, applied, layer_network
from rnnaudio.export.elementwise import ELEMENTWISE
from rnnaudio.export.operations import OPERATIONS
from rnnaudio.generation import Stepper
from rnnaudio.nn import Dropout, Sequential
from tests.support import leaky_cell, oracles
from tests.support.gradient_cases import LAYERS, STACKS, randomise

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from tests.support.onnx_player import Player, session

pytestmark = pytest.mark.skipif(engine.NAME != "pytensor", reason="graphs of PyTensor alone are exported")
RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 4)).astype(np.float32)
Y = RNG.standard_normal((3, 4)).astype(np.float32)
CUBE = RNG.standard_normal((2, 3, 4)).astype(np.float32)
ROUNDED = np.array([[-1.5, -0.5, 0.5, 1.5], [2.5, 0.0, -3.0, 7.2]], np.float32)
INTEGERS = np.array([[3, -2, 0, 5]], np.int64)


def computed(function, *arrays):
    """The results of a function, exported, for these arrays."""
    graph = Graph()
    values = [graph.input(f"in_{k}", str(a.dtype), [None] * a.ndim) for k, a in enumerate(arrays)]
    for k, value in enumerate(applied(graph, function, *values)):
        graph.output(f"out_{k}", value, [None] * value.ndim)
    return session(Network(graph)).run(None, {f"in_{k}": a for k, a in enumerate(arrays)})


def check(function, arrays, *expected, tolerance=2e-7):
    for got, wanted in zip(computed(function, *arrays), map(np.asarray, expected), strict=True):
        assert got.shape == wanted.shape and got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


ONE = {  # function of one argument: by the engine, by NumPy, of which array
    "Neg": (lambda x: -x, np.negative, X), "Abs": (tt.abs, np.abs, X), "Sign": (tt.sign, np.sign, ROUNDED),
    "Sqr": (tt.sqr, np.square, X), "Sqrt": (tt.sqrt, np.sqrt, np.abs(X)),
    "Reciprocal": (tt.reciprocal, lambda x: 1 / x, X),
    "Exp": (tt.exp, np.exp, X), "Log": (tt.log, np.log, np.abs(X)), "Log1p": (tt.log1p, np.log1p, np.abs(1e-6 * X)),
    "Expm1": (tt.expm1, np.expm1, 1e-6 * X), "Sigmoid": (engine.sigmoid, expit, X), "Tanh": (tt.tanh, np.tanh, X),
    "Softplus": (engine.softplus, lambda x: np.logaddexp(np.float32(0.0), x), 40 * X),
    "Sin": (tt.sin, np.sin, X), "Cos": (tt.cos, np.cos, X), "Floor": (tt.floor, np.floor, ROUNDED),
    "Ceil": (tt.ceil, np.ceil, ROUNDED), "RoundHalfToEven": (tt.round, np.round, ROUNDED),
    "Erf": (tt.erf, erf, X), "Cast": (lambda x: tt.cast(x, "float64"), np.float64, X),
    "Identity": (tt.tensor_copy, np.copy, X),
    "Invert": (lambda x: ~(x > 0), lambda x: x <= 0, X),
}  # fmt: skip
TWO = {
    "Add": (lambda x, y: x + y, np.add), "Sub": (lambda x, y: x - y, np.subtract),
    "Mul": (lambda x, y: tt.mul(x, y, x), lambda x, y: x * y * x), "TrueDiv": (lambda x, y: x / y, np.divide),
    "Pow": (lambda x, y: tt.abs(x) ** y, lambda x, y: np.abs(x) ** y),
    "Maximum": (tt.maximum, np.maximum), "Minimum": (tt.minimum, np.minimum),
    "LT": (tt.lt, np.less), "LE": (tt.le, np.less_equal), "GT": (tt.gt, np.greater), "GE": (tt.ge, np.greater_equal),
    "EQ": (lambda x, y: tt.eq(x, tt.floor(x)), lambda x, y: x == np.floor(x)),
    "NEQ": (lambda x, y: tt.neq(x, tt.floor(x)), lambda x, y: x != np.floor(x)),
    "AND": (lambda x, y: (x > 0) & (y > 0), lambda x, y: (x > 0) & (y > 0)),
    "OR": (lambda x, y: (x > 0) | (y > 0), lambda x, y: (x > 0) | (y > 0)),
    "XOR": (lambda x, y: (x > 0) ^ (y > 0), lambda x, y: (x > 0) ^ (y > 0)),
    "Switch": (lambda x, y: tt.switch(x > 0, y, 2.0), lambda x, y: np.where(x > 0, y, np.float32(2.0))),
    "Second": (lambda x, y: tt.fill(x, y[:1]), lambda x, y: np.broadcast_to(y[:1], x.shape)),
}  # fmt: skip
SAME = {"ScalarMaximum", "ScalarMinimum"}  # the names of earlier versions of the engine


@pytest.mark.parametrize("name", ONE)
def test_functions_of_a_number(name):
    symbolic, function, x = ONE[name]
    check(lambda x: [symbolic(x)], [x], function(x))


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_numbers(name):
    symbolic, function = TWO[name]
    check(lambda x, y: [symbolic(x, y)], [X, Y], function(X, Y))


def test_all_functions_of_numbers_are_tested():
    assert ONE.keys() | TWO.keys() | SAME == ELEMENTWISE.keys()


def test_small_numbers_keep_their_digits():
    """log(1 + x) and exp(x) - 1 of 1e-6, relative to the result."""
    x = np.array([[1e-6, 3e-7]], np.float32)
    for function, expected in ((tt.log1p, np.log1p(x.astype(np.float64))), (tt.expm1, np.expm1(x.astype(np.float64)))):
        (got,) = computed(lambda x, function=function: [function(x)], x)
        np.testing.assert_allclose(got, expected, rtol=1e-7)


def test_numbers_of_several_kinds_are_converted_as_the_engine_does():
    check(lambda x, k: [x * k, x < k, 1 - x], [np.float64(X[:1]), INTEGERS], X[:1] * INTEGERS, X[:1] < INTEGERS,
          1 - np.float64(X[:1]))  # fmt: skip


PLACES = np.array([2, 0, -1])
ARRAYS = {  # by the engine, by NumPy, of which arrays
    "product": (lambda x, y: tt.dot(x, y.T), lambda x, y: x @ y.T, (X, Y)),
    "product with a vector": (lambda x, y: tt.dot(x, y[0]), lambda x, y: x @ y[0], (X, Y)),
    "product of many rows": (lambda a, y: tt.dot(a, y.T), lambda a, y: a @ y.T, (CUBE, Y)),
    "batched product": (lambda a, b: engine.batched_dot(a, b.transpose(0, 2, 1)), lambda a, b: a @ b.swapaxes(1, 2),
                        (CUBE, CUBE)),
    "axes": (lambda a: a.dimshuffle(2, "x", 0, 1), lambda a: a.transpose(2, 0, 1)[:, None], (CUBE,)),
    "dropped axis": (lambda x: x[:1].dimshuffle(1), lambda x: x[0], (X,)),
    "slices": (lambda a: a[1:, ::-1, 1:3], lambda a: a[1:, ::-1, 1:3], (CUBE,)),
    "slices backwards": (lambda a: a[:, 2:0:-1, -2:], lambda a: a[:, 2:0:-1, -2:], (CUBE,)),
    "positions": (lambda a: a[-1, :2, 3], lambda a: a[-1, :2, 3], (CUBE,)),
    "computed position": (lambda x: x[x.shape[0] - 2, : x.shape[1] - 1], lambda x: x[1, :3], (X,)),
    "rows": (lambda x, k: x[k], lambda x, k: x[k], (X, PLACES)),
    "columns": (lambda x, k: x[:, k], lambda x, k: x[:, k], (X, PLACES)),
    "joined": (lambda x, y: tt.concatenate([x, y, x], axis=1), lambda x, y: np.concatenate([x, y, x], 1), (X, Y)),
    "stacked": (lambda x, y: tt.stack([x, y], axis=1), lambda x, y: np.stack([x, y], 1), (X, Y)),
    "reshaped": (lambda a: a.reshape((a.shape[0], -1)), lambda a: a.reshape(2, -1), (CUBE,)),
    "flat": (lambda a: a.flatten(), lambda a: a.ravel(), (CUBE,)),
    "zeros": (lambda x: tt.zeros((x.shape[0], 2), x.dtype) + x[:, :2], lambda x: x[:, :2], (X,)),
    "count": (lambda x: tt.arange(x.shape[1]), lambda x: np.arange(4), (X,)),
    "sum": (lambda a: tt.sum(a, axis=(0, 2)), lambda a: a.sum(axis=(0, 2)), (CUBE,)),
    "sum of all": (lambda a: tt.sum(a), lambda a: a.sum(), (CUBE,)),
    "mean": (lambda x: x.mean(axis=0), lambda x: x.mean(axis=0), (X,)),
    "product of all": (lambda x: tt.prod(x, axis=1), lambda x: x.prod(axis=1), (X,)),
    "maximum": (lambda x: tt.max(x, axis=1, keepdims=True), lambda x: x.max(axis=1, keepdims=True), (X,)),
    "minimum": (lambda x: tt.min(x, axis=0), lambda x: x.min(axis=0), (X,)),
    "first maximum": (lambda x: tt.argmax(x, axis=1), lambda x: x.argmax(axis=1), (np.float32([[1, 3, 3]]),)),
    "sums up to each": (lambda x: tt.cumsum(x, axis=1), lambda x: x.cumsum(axis=1), (X,)),
    "softmax": (lambda x: tt.special.softmax(x, axis=1), lambda x: softmax(x, axis=1), (X,)),
    "log softmax": (lambda x: tt.special.log_softmax(x, axis=1), lambda x: log_softmax(x, axis=1), (X,)),
    "log softmax by its parts": (engine.log_softmax, lambda x: log_softmax(x, axis=1), (X,)),
    "constant to the gradient": (engine.constant_to_gradient, np.copy, (X,)),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_operations_on_arrays(name):
    symbolic, function, arrays = ARRAYS[name]
    check(lambda *symbols: [symbolic(*symbols)], arrays, function(*arrays), tolerance=1e-6)


# ---------------------------------------------------------------- what has no translation


REFUSED = {
    "Eigh": lambda x: tt.linalg.eigh(tt.dot(x, x.T))[0],
    "Gamma": lambda x: tt.gamma(x),
    "Join along a computed axis": lambda x: tt.join(tt.cast(x[0, 0], "int64"), x, x),
    "Argmax over several axes": lambda x: tt.argmax(x, axis=None),
    "Subtensor with a computed step": lambda x: x[:: tt.cast(x[0, 0], "int64")],
    "AdvancedSubtensor with more than one array": lambda x: x[tt.arange(3), tt.arange(3)],
    "cumulative product": lambda x: tt.cumprod(x, axis=0),
    "Softmax over several axes": lambda x: tt.special.softmax(x, axis=None),
    "Random": lambda x: x + engine.normal(np.array([1, 2]), 0, [3, 4]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_translation_is_refused_by_name(name):
    with pytest.raises(RnnaudioError, match=f"the network computes .*{name}.*add a translation to rnnaudio.export"):
        computed(lambda x: [REFUSED[name](x)], X)


def test_an_input_that_nobody_gives_is_named():
    with pytest.raises(RnnaudioError, match="depends on speed, which is neither an input nor a parameter"):
        computed(lambda x: [x * engine.tensor("speed", 2)], X)


def test_another_engine_is_refused(monkeypatch):
    monkeypatch.setattr(engine, "NAME", "theano")
    with pytest.raises(RnnaudioError, match="engine theano cannot be exported: leave RNNAUDIO_ENGINE out"):
        computed(lambda x: [x], X)


# ---------------------------------------------------------------- layers


def played(layer, x):
    """Outputs (time, streams, n_out) of an exported layer."""
    player = Player(layer_network(layer, "x", "y"), x.shape[1])
    return np.stack([player(x=frame)["y"] for frame in x])


@pytest.mark.parametrize("name", sorted((LAYERS | STACKS).keys() - {"drawn initial state"}))
def test_a_layer_computes_what_its_compiled_step_does(name):
    """Kernels have code of their own; layers without one are compared with the engine's graph."""
    rng = np.random.default_rng(len(name))
    layer = randomise((LAYERS | STACKS)[name](rng), rng)
    x = rng.standard_normal((6, 3, layer.n_in)).astype(np.float32)
    step = Stepper(layer).streams(3)
    expected = np.stack([step(frame).copy() for frame in x])
    np.testing.assert_allclose(played(layer, x), expected, rtol=0, atol=2e-6 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("name", ["lstm", "lstm peepholes", "gru"])
def test_a_cell_computes_its_equation(name):
    rng = np.random.default_rng(3)
    cell = randomise(LAYERS[name](rng), rng)
    p = {key: value.astype(np.float64) for key, value in cell.get_values().items()}
    x = rng.standard_normal((6, 2, cell.n_in)).astype(np.float32)
    zero = np.zeros((2, cell.n_out))
    if name == "gru":
        expected = oracles.gru_forward(x.astype(np.float64), zero, p)
    else:
        expected, _ = oracles.lstm_forward(x.astype(np.float64), zero, zero, p)
    np.testing.assert_allclose(played(cell, x), expected, rtol=0, atol=1e-6)


def test_a_sampled_initial_state_is_that_of_the_first_stream():
    cell = LAYERS["drawn initial state"](np.random.default_rng(0))
    x = RNG.standard_normal((4, 1, cell.n_in)).astype(np.float32)
    step = Stepper(cell).streams(1)
    np.testing.assert_allclose(played(cell, x), np.stack([step(f).copy() for f in x]), rtol=0, atol=1e-6)


def test_a_cell_of_ones_own_needs_no_line_more():
    cell = leaky_cell.Leaky(3, 2, rng=np.random.default_rng(0), leak=0.25)
    x = RNG.standard_normal((5, 4, 3)).astype(np.float32)
    h, expected = np.zeros((4, 2)), []
    for frame in x:
        h = 0.75 * h + 0.25 * np.tanh(frame @ cell.weight.get_value())
        expected.append(h)
    np.testing.assert_allclose(played(cell, x), expected, atol=1e-6)


def test_noise_and_dropout_are_left_out():
    x = RNG.standard_normal((2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(played(Sequential([Dropout(4, 0.5), Dropout(4, 0.9)]), x), x)


def test_parameters_have_their_names_and_are_stored_once():
    layer = LAYERS["lstm"](np.random.default_rng(0))
    constants = layer_network(layer, "x", "y").graph.constants
    for name, value in layer.get_values().items():
        np.testing.assert_array_equal(constants[name], value)
    assert sum(array.size for array in constants.values()) < layer.n_parameters + 100


def test_a_deep_graph_is_no_deep_recursion():
    def deep(x):
        for _ in range(1500):
            x = x + 1.0
        return [x]

    check(deep, [X], X + 1500, tolerance=1e-5)


# ---------------------------------------------------------------- loops


def test_a_loop_carries_values_and_stacks_outputs():
    """Sums of x along its second axis, from a start that lies outside; each sum is carried, and twice it stacked."""
    graph = Graph()
    x, start = graph.input("x", "float32", ["n", 4]), graph.input("start", "float32", ["n"])
    body = graph.body()
    total, part = body.input("", "float32", [None]), body.input("", "float32", [None])
    new, twice = applied(body, lambda t, p, outside: [t + p, 2.0 * (t + p) + 0.0 * outside], total, part, start)
    for value in (new, twice):
        body.output("", value, [None])
    (last,), (all_of_them,) = graph.scan(body, [start], [x], axis=1)
    graph.output("last", last, ["n"])
    graph.output("all", all_of_them, ["n", 4])
    begin = np.float32([1.0, 2.0, 3.0])
    last, stacked = session(Network(graph)).run(None, {"x": X, "start": begin})
    np.testing.assert_allclose(last, begin + X.sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(stacked, 2.0 * (begin[:, None] + X.cumsum(axis=1)), rtol=1e-6)


def test_all_operations_are_known_to_the_tests():
    """Those that change nothing, and older names, aside."""
    aside = {
        "AdvancedSubtensor1", "ZeroGrad", "ViewOp", "SpecifyShape", "CheckAndRaise", "Assert", "TensorFromScalar",
        "Shape_i", "Min",
    }  # fmt: skip
    seen = set()

    def note(name, translation):
        return lambda *arguments: seen.add(name) or translation(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        for name, translation in OPERATIONS.items():
            patch.setitem(OPERATIONS, name, note(name, translation))
        for symbolic, _, arrays in ARRAYS.values():
            computed(lambda *symbols, symbolic=symbolic: [symbolic(*symbols)], *arrays)
    assert seen >= OPERATIONS.keys() - aside
