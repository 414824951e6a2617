"""Mode jax: one compiled call per step, values on the device, the same noise, and what it says where it cannot run."""

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data import Batch
from rnnaudio.engine import tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import noise
from rnnaudio.nn import GRU, LSTM, BatchNorm, Dense, Dropout, Noisy, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import Adam
from rnnaudio.training import TrainStep
from tests.support.processes import HERE, IMPORT, run_python

in_this_mode = pytest.mark.skipif(engine.MODE != "jax", reason="RNNAUDIO_MODE is not jax")
pytestmark = [pytest.mark.jax, pytest.mark.skipif(engine.NAME == "theano", reason="PyTensor's mode")]

JAX = HERE | {"RNNAUDIO_MODE": "jax"}


def test_without_jax_the_extra_is_named():
    status, output = run_python("import sys; sys.modules['jax'] = None\n" + IMPORT, **JAX)
    assert status == 0 and "error: RNNAUDIO_MODE=jax, but JAX cannot be imported" in output, output
    assert "pip install 'rnnaudio[jax]'" in output


def test_fused_kernels_are_refused_from_the_environment():
    pytest.importorskip("jax")
    status, output = run_python(IMPORT, **JAX | {"RNNAUDIO_KERNEL": "fused"})
    assert status == 0 and "error: the kernel is 'fused' and the mode 'jax'" in output, output


@in_this_mode
def test_fused_kernels_are_refused_in_a_program_and_scan_is_the_default():
    assert engine.kernel() == "scan"
    with pytest.raises(RnnaudioError, match="cannot go together"), engine.using_kernel("fused"):
        pass
    assert engine.kernel() == "scan"


class OnTheHost(engine.Kernel):
    ndims = (1,)

    def compute(self, x):
        return [x]


@in_this_mode
def test_an_operation_of_the_host_is_refused():
    x = engine.tensor("x", 1)
    with pytest.raises(RnnaudioError, match="the graph holds OnTheHost"):
        engine.function([x], OnTheHost()(x))


@pytest.fixture(scope="module")
def compilations():
    """How often XLA has compiled something since the start of this module."""
    import jax

    events = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: events.append(name) if name.endswith("backend_compile_duration") else None
    )
    return lambda: len(events)


@pytest.fixture(scope="module")
def stack():
    """(model, its training step, a batch) of all that noise, statistics and both cells can ask of a step."""
    rng = np.random.default_rng(1)
    layers = [Noisy(LSTM(4, 5, rng=rng), std=0.1), BatchNorm(5), Dropout(5, 0.2), GRU(5, 3, rng=rng)]
    model = Sequential([*layers, Dense(3, 4, rng=rng)])
    step = TrainStep(model, predict_next, Adam(1e-3, max_gradient_norm=1.0), seed=7)
    return model, step, Batch(rng.standard_normal((6, 2, 4)).astype("float32"), np.ones(2, bool))


@in_this_mode
def test_steps_of_one_shape_are_compiled_once(stack, compilations):
    _, step, batch = stack
    state = step(batch, None, learning_rate=1e-3, update=0).state
    before = compilations()
    for update in range(1, 4):
        state = step(batch, state, learning_rate=1e-3 / update, update=update).state
    assert compilations() == before
    step(Batch(batch.frames[:-1], batch.resets), None, learning_rate=1e-3, update=4)
    assert compilations() > before


@in_this_mode
def test_what_comes_back_is_numpy_of_the_graphs_type_and_values_read_are_copies(stack):
    model, step, batch = stack
    before = model.get_values()
    kept = {name: value.copy() for name, value in before.items()}
    result = step(batch, None, learning_rate=1e-3, update=0)
    assert isinstance(result.loss, float)
    assert {type(leaf) for leaf in result.state} == {np.ndarray} and {leaf.dtype.name for leaf in result.state} == {
        "float32"
    }
    for name, value in model.get_values().items():
        assert type(value) is np.ndarray and value.dtype == "float32"
        np.testing.assert_array_equal(before[name], kept[name])
    assert not np.array_equal(model.get_values()["dense.weight"], kept["dense.weight"])
    assert step.optimizer_state.n_updates.get_value().dtype == "int64"


@in_this_mode
def test_values_stay_on_the_device_between_steps(stack):
    import jax

    model, step, batch = stack
    step(batch, None, learning_rate=1e-3, update=0)
    variables = [*model.parameters().values(), *step.optimizer_state.variables().values()]
    stored = [v.container.storage[0] for v in variables]
    assert all(isinstance(value, jax.Array) for value in stored)
    model.set_values(model.get_values())
    step(batch, None, learning_rate=1e-3, update=1)


@in_this_mode
def test_any_expression_of_shapes_is_a_size():
    x, n = engine.tensor("x", 2), engine.tensor("n", 0, "int64")
    rows = tt.minimum(x.shape[0] - 1, 2 * n)
    drawn = engine.normal(np.array([7, 9]), 0, (rows, x.size // x.shape[0]))
    outputs = [drawn + x[:rows], tt.arange(rows) * 2, x.reshape((x.shape[1], -1))]
    function = engine.function([x, n], outputs)
    for shape, size in (((5, 3), 1), ((5, 3), 9), ((2, 6), 9)):
        value = np.arange(np.prod(shape), dtype="float32").reshape(shape)
        n_rows = min(shape[0] - 1, 2 * size)
        noise = np.random.default_rng([7, 9, 0, 1]).standard_normal((n_rows, shape[1]), dtype="float32")
        got = function(value, size)
        np.testing.assert_array_equal(got[0], value[:n_rows] + noise)
        np.testing.assert_array_equal(got[1], 2 * np.arange(n_rows))
        np.testing.assert_array_equal(got[2], value.reshape(shape[1], -1))


@in_this_mode
def test_float64_is_computed_in_float64():
    with engine.precision("float64"):
        x = engine.tensor("x", 1)
        value = engine.function([x], tt.sum(x))([1.0, 1e-12])
    assert value.dtype == "float64" and value == 1.0 + 1e-12


@pytest.mark.slow
def test_a_program_in_this_mode_says_what_it_runs_on():
    pytest.importorskip("jax")
    code = "from rnnaudio.cli.engine_report import report; print(report())"
    status, output = run_python(code, **JAX | {"JAX_PLATFORMS": "cpu"})
    assert status == 0 and "\nmode       jax" in output and "\ndevices    cpu, found by JAX" in output, output
    assert "faster:    JAX finds no GPU" in output


@in_this_mode
def test_large_draws_of_one_step_do_not_share_memory():
    shape = (40, 64, 300)  # more than a block of numbers, and memory that is used again
    key = engine.tensor("key", 1, "int64")
    function = engine.function([key], [engine.normal(key, stream, shape) for stream in range(3)])
    for update in range(4):
        got = function([7, update])
        for stream, value in enumerate(got):
            np.testing.assert_array_equal(value, noise.sample("normal", [7, update], stream, shape, "float32"))
