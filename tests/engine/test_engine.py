"""The engine: random numbers as a pure function, precision, scan, and what it says about a wrong environment."""

import numpy as np
import pytest

from experiments.catalogue import ALL, GROUPS
from rnnaudio import engine
from rnnaudio.engine import compiling, tt
from rnnaudio.kernels import noise
from rnnaudio.nn import GRU, LSTM, Context, Dense, MemoryLSTM
from tests.support.processes import HERE, IMPORT, interpreter, run_python


@pytest.fixture(scope="module")
def draws():
    """f(key, n) -> N(0,1) stream 0, N(0,1) stream 1, U(0,1) stream 0; each (n, 3) float32."""
    key, n = engine.tensor("key", 1, "int64"), engine.tensor("n", 0, "int64")
    return engine.function(
        [key, n], [engine.normal(key, 0, (n, 3)), engine.normal(key, 1, (n, 3)), engine.uniform(key, 0, (n, 3))]
    )


@pytest.mark.modes
def test_draws_are_numpys_for_the_same_seed_update_and_stream(draws):
    got = draws([7, 9], 4)
    expected = [
        np.random.default_rng([7, 9, 0, 1]).standard_normal((4, 3), dtype="float32"),
        np.random.default_rng([7, 9, 1, 1]).standard_normal((4, 3), dtype="float32"),
        np.random.default_rng([7, 9, 0, 1]).random((4, 3), dtype="float32"),
    ]
    for value, reference in zip(got, expected, strict=True):
        assert value.dtype == "float32"
        np.testing.assert_array_equal(value, reference)


def test_many_draws_are_blocks_of_generators_whatever_the_number_of_threads(use_threads):
    n = 2 * noise.BLOCK + 5
    seeds = ([7, 9, 3, 1], [7, 9, 3, 1, 1], [7, 9, 3, 1, 2])
    expected = [np.random.default_rng(seed).random(noise.BLOCK, dtype="float32") for seed in seeds]
    for n_threads in (1, 3):
        use_threads(n_threads)
        got = noise.sample("uniform", [7, 9], 3, (n, 1), "float32")
        np.testing.assert_array_equal(got[:, 0], np.concatenate(expected)[:n])


def test_same_key_same_draws_and_other_key_or_stream_other_draws(draws):
    first, again, update, seed = draws([7, 9], 5), draws([7, 9], 5), draws([7, 10], 5), draws([8, 9], 5)
    for k in range(3):
        np.testing.assert_array_equal(first[k], again[k])
        assert not np.intersect1d(first[k], update[k]).size and not np.intersect1d(first[k], seed[k]).size
    assert not np.intersect1d(first[0], first[1]).size


def test_moments_and_independence(draws):
    n = 30_000
    a, b, u = (value.ravel().astype(float) for value in draws([1, 2], n // 3))
    deviation = 5 / np.sqrt(n)
    for z in (a, b):
        assert abs(z.mean()) < deviation and abs(z.var() - 1) < deviation * np.sqrt(2)
        assert abs((z**4).mean() - 3) < deviation * np.sqrt(96)
    assert abs((a * b).mean()) < deviation
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 1 / 2) < deviation * np.sqrt(1 / 12) and abs(u.var() - 1 / 12) < deviation * np.sqrt(1 / 180)


def test_draws_in_float64_are_fresh_not_widened():
    with engine.precision("float64"):
        value = engine.function([], engine.normal(np.array([1, 2]), 0, (50, 2)))()
    assert value.dtype == "float64"
    assert not np.array_equal(value, value.astype("float32"))


@pytest.mark.jax
def test_no_gradient_runs_through_a_draw_and_none_is_lost_beside_it():
    w = engine.tensor("w", 1)
    z = engine.normal(np.array([3, 4]), 0, (w.shape[0],))
    gradient, noise = engine.function([w], [*engine.gradient(tt.sum(w * z), [w]), z])([1.0, 2.0])
    np.testing.assert_array_equal(gradient, noise)


def test_precision_holds_inside_and_is_restored_after_an_error():
    assert engine.float_type() == "float32"
    with pytest.raises(KeyError), engine.precision("float64"):
        assert engine.float_type() == "float64"
        assert engine.tensor("x", 2).dtype == engine.shared(np.zeros(2), "s").dtype == "float64"
        raise KeyError
    assert engine.float_type() == "float32"
    assert engine.tensor("x", 2).dtype == engine.shared(np.zeros(2), "s").dtype == "float32"
    assert engine.shared(np.arange(2), "s").dtype == "int64"
    with pytest.raises(ValueError, match="float16"), engine.precision("float16"):
        pass


@pytest.mark.jax
def test_scan_carries_in_order_and_returns_every_step():
    """Two states, one of them the other's past: s' = a s + x, p' = s."""
    x, s_0, p_0, a = engine.tensor("x", 2), engine.tensor("s", 1), engine.tensor("p", 1), engine.tensor("a", 0)
    outputs = engine.scan(lambda x, s, p, a: [a * s + x, s], [x], [s_0, p_0], [a])
    s, p = engine.function([x, s_0, p_0, a], outputs)(np.array([[1, 2], [3, 4], [5, 6]]), [1, 1], [8, 9], 10)
    np.testing.assert_array_equal(s, [[11, 12], [113, 124], [1135, 1246]])
    np.testing.assert_array_equal(p, [[1, 1], [11, 12], [113, 124]])


def test_scan_with_one_output_returns_a_list():
    x, s_0 = engine.tensor("x", 2), engine.tensor("s", 1)
    outputs = engine.scan(lambda x, s: [s + x], [x], [s_0], [])
    assert isinstance(outputs, list) and len(outputs) == 1
    values = engine.function([x, s_0], outputs[0])(np.ones((3, 2)), [0, 5])
    np.testing.assert_array_equal(values, [[1, 6], [2, 7], [3, 8]])


def test_scan_is_strict():
    x, s_0, forgotten = engine.tensor("x", 2), engine.tensor("s", 1), engine.shared(np.ones(2), "forgotten")
    with pytest.raises(Exception, match="forgotten|strict|non_sequences"):
        engine.scan(lambda x, s: [s + x * forgotten], [x], [s_0], [])


@pytest.mark.jax
def test_operations_equal_their_closed_forms():
    x = engine.tensor("x", 2)
    relu = engine.relu(x)
    outputs = [engine.sigmoid(x), relu, *engine.gradient(tt.sum(relu), [x]), engine.log_softmax(x)]
    value = np.array([[-2.0, 0.0, 3.0], [500.0, -500.0, 0.0]], "float32")
    sigmoid, relu, slope, log_softmax = engine.function([x], outputs)(value)
    np.testing.assert_allclose(sigmoid, 0.5 * (1 + np.tanh(value / 2)), atol=1e-6)
    np.testing.assert_array_equal(relu, np.maximum(value, 0))
    np.testing.assert_array_equal(slope, value > 0)
    np.testing.assert_allclose(np.exp(log_softmax).sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(log_softmax[1], [0.0, -1000.0, -500.0])
    np.testing.assert_allclose(log_softmax[0] - log_softmax[0, 0], value[0] - value[0, 0], rtol=1e-6)


def test_gradient_of_what_the_loss_does_not_see_is_zero():
    x, y = engine.tensor("x", 1), engine.tensor("y", 1)
    gradients = engine.function([x, y], engine.gradient(tt.sum(x**2), [x, y]))([1.0, 2.0], [3.0])
    np.testing.assert_array_equal(gradients[0], [2.0, 4.0])
    np.testing.assert_array_equal(gradients[1], [0.0])


def test_functions_take_wider_floats_without_widening_the_graph():
    x = engine.tensor("x", 1)
    assert engine.function([x], 2 * x)(np.ones(2)).dtype == "float32"


NO_COMPILER = {"THEANO_FLAGS": "cxx=", "PYTENSOR_FLAGS": "cxx="}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"RNNAUDIO_ENGINE": "torch"}, "error: RNNAUDIO_ENGINE is 'torch'; expected one of pytensor, theano"),
        (HERE | {"RNNAUDIO_MODE": "fast"}, "error: RNNAUDIO_MODE is 'fast'; expected one of auto, c,"),
        (HERE | NO_COMPILER | {"RNNAUDIO_MODE": "c"}, "error: RNNAUDIO_MODE=c needs a C++"),
        (HERE | NO_COMPILER, f"runs: {engine.NAME} python False"),
    ],
    ids=["engine", "mode", "c without a compiler", "default without a compiler"],
)
def test_the_environment_is_read_and_checked(environment, expected):
    status, output = run_python(IMPORT, **environment)
    assert status == 0 and expected in output, output


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "1.24.0", reason="this NumPy suits Theano")
def test_theano_beside_a_new_numpy_says_what_to_do():
    status, output = run_python(IMPORT, RNNAUDIO_ENGINE="theano")
    assert status == 0 and "error: RNNAUDIO_ENGINE=theano needs" in output, output


@pytest.mark.skipif(engine.NAME != "theano", reason="Theano has no numba mode")
def test_numba_is_not_a_mode_of_theano():
    status, output = run_python(IMPORT, RNNAUDIO_ENGINE="theano", RNNAUDIO_MODE="numba")
    assert status == 0 and "error: RNNAUDIO_MODE is 'numba'; expected one of auto, c, python" in output


RUN = "from rnnaudio.cli import main; main()", "experiment", "run"


@pytest.mark.parametrize("group", GROUPS)
def test_an_experiment_refuses_a_wrong_engine_in_one_line(group):
    name = next(e.name for e in ALL if e.group == group)
    status, output = interpreter("-c", *RUN, name, RNNAUDIO_ENGINE="torch")
    assert status == 2, output
    assert output == "rnnaudio: RNNAUDIO_ENGINE is 'torch'; expected one of pytensor, theano\n"


@pytest.mark.slow
def test_an_experiment_refuses_a_wrong_option_in_one_line():
    status, output = interpreter("-c", *RUN, "predict", "--minutes", "x", **HERE)
    assert status == 2 and "Traceback" not in output, output
    assert output.splitlines()[-1].startswith("rnnaudio: Error parsing --minutes: got 'x', expected a number"), output


def test_an_experiment_refuses_a_wrong_mode_in_one_line():
    status, output = interpreter("-c", *RUN, "predict", **HERE | {"RNNAUDIO_MODE": "fast"})
    assert status == 2 and "Traceback" not in output, output
    # Theano says something about BLAS before.
    assert output.splitlines()[-1].startswith("rnnaudio: RNNAUDIO_MODE is 'fast'; expected one of auto, c,"), output


def test_mode_auto_is_python_where_a_kernel_computes_a_recurrence_and_c_elsewhere(monkeypatch):
    rng = np.random.default_rng(0)
    x, frames = engine.tensor("x", 2), engine.tensor("frames", 3)
    perceptron, _ = Dense(2, 3, rng=rng).step(x, (), Context.evaluation())
    cells = (LSTM(2, 3, rng=rng), GRU(2, 3, rng=rng), MemoryLSTM(2, 1, rng=rng))
    with engine.using_kernel("fused"):
        unrolled = [cell.unroll(frames, cell.initial_state(4), Context.evaluation())[0] for cell in cells]
    with engine.using_kernel("scan"):
        scanned, _ = cells[0].unroll(frames, cells[0].initial_state(4), Context.evaluation())
    monkeypatch.setattr(compiling, "MODE", "auto")
    assert [engine.mode_for([tt.sum(y)]) for y in (perceptron, scanned)] == ["c", "c"]
    assert [engine.mode_for([perceptron, tt.sum(y)]) for y in unrolled] == ["python"] * 3
    monkeypatch.setattr(compiling, "MODE", "numba")
    assert engine.mode_for([perceptron]) == "numba"


def test_variables_do_not_record_the_line_that_made_them():
    """It takes a sixth of the time to build a graph; the flags of the engine bring it back."""
    assert not getattr((engine.tensor("x", 1) * 2).owner.tag, "trace", None)
