"""Compiled kernels against NumPy, against raw scan, and against themselves on other numbers of threads."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from rnnaudio import engine, ops, optimizers
from rnnaudio.engine import tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import activations, buffers, dense, elementwise, gru, lstm, memory_lstm, threads
from rnnaudio.kernels.micro import BLOCK_ROWS
from rnnaudio.kernels.product import column_sums, product
from rnnaudio.nn import GRU, LSTM, Context, LinearPredictor, MemoryLSTM, Noisy
from rnnaudio.nn.layer import flatten, unflatten
from tests.support import oracles
from tests.support.agreement import KINDS, Sizes, recurrence
from tests.support.gradient_cases import randomise

ODD = [(1, 1, 3, 1), (2, 3, 2, 7), (500, 1, 2, 7), (3, 33, 5, 129), (2, 3, 1, 129), (4, 33, 2, 1)]  # T, B, in, units
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (7, 9, 33), (13, 20, 65), (32, 200, 800), (9, 2100, 70)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("add", [False, True], ids=["replaced", "added"])
def test_product_equals_numpy(shape, dtype, add):
    m, k, n = shape
    rng = np.random.default_rng(1)
    a, b, c = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (m, n)))
    exact = a.astype("float64") @ b.astype("float64") + (c if add else 0)
    tolerance = 5e-6 if dtype == "float32" else 1e-13
    for a_view, b_view in ((a, b), (np.asfortranarray(a), np.asfortranarray(b)), (np.repeat(a, 2, 1)[:, ::2], b)):
        out = c.copy()
        product(a_view, b_view, out, add=add)
        np.testing.assert_allclose(out, exact, atol=tolerance * np.abs(exact).max())


def test_product_writes_only_its_own_columns():
    rng = np.random.default_rng(2)
    wide = np.full((5, 90), 7.0, "float32")
    a, b = rng.standard_normal((5, 3)).astype("float32"), rng.standard_normal((3, 41)).astype("float32")
    product(a, b, wide[:, 20:61])
    np.testing.assert_allclose(wide[:, 20:61], a @ b, atol=1e-5)
    assert (wide[:, :20] == 7).all() and (wide[:, 61:] == 7).all()


def test_column_sums_equal_numpy():
    a = np.random.default_rng(3).standard_normal((50, 37))
    np.testing.assert_allclose(column_sums(a), a.sum(axis=0), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 3e-16)])
def test_activations_equal_numpy(dtype, tolerance):
    x = np.concatenate([np.linspace(-30, 30, 40_001), [-1e30, 1e30, 0.0, 1e-30]]).astype(dtype)
    exact = x.astype("float64")
    zero, out = np.zeros_like(x), np.empty_like(x)
    activations.tanh_row(x, zero, out)
    np.testing.assert_allclose(out, np.tanh(exact), atol=tolerance)
    with np.errstate(over="ignore"):
        activations.sigmoid_row(x, zero, out)
        np.testing.assert_allclose(out, 1 / (1 + np.exp(-exact)), atol=tolerance)


def test_activations_do_not_hide_nan():
    for place in (0, 40, 66):  # in a vector, and in the rest after the last whole one
        x = np.ones(67, "float32")
        x[place] = np.nan
        for row in (activations.tanh_row, activations.sigmoid_row):
            out = np.empty_like(x)
            row(x, np.zeros_like(x), out)
            assert np.flatnonzero(np.isnan(out)).tolist() == [place]


@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("sizes", ODD, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_fused_equals_the_numpy_loop_at_odd_sizes(dtype, kind, sizes, masked):
    with engine.using_kernel("fused"):
        errors = recurrence(kind, Sizes(*sizes), masked=masked, dtype=dtype)
    assert max(errors.values()) <= TOLERANCE[dtype], errors


N_UNITS = 37  # more than a panel, and not a multiple of one


def _cells(rng):
    yield "lstm", LSTM(2, N_UNITS, rng=rng)
    yield "lstm peepholes", LSTM(2, N_UNITS, rng=rng, peepholes=True)
    yield "gru", GRU(2, N_UNITS, rng=rng)
    yield "noisy", Noisy(LSTM(2, N_UNITS, rng=rng), std=0.3)
    yield "noisy state", Noisy(GRU(2, N_UNITS, rng=rng), std=0.3, state_std=0.2)
    yield "memory lstm", MemoryLSTM(2, 3, rng=rng)
    yield "memory lstm of an odd width", MemoryLSTM(N_UNITS, 2, rng=rng)
    yield "noisy memory lstm", MemoryLSTM(3, 2, rng=rng, noise_std=0.3)
    yield "noisy linear predictor", Noisy(LinearPredictor(2, N_UNITS, n_frames=2), std=0.3)


def _outputs_and_gradients(cell, kernel, x, state, mask):
    """All outputs, and the gradients of a cost that weighs each, by the given kernel."""
    with engine.using_kernel(kernel):
        x_v, mask_v = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
        state_v = [engine.tensor(f"state_{k}", 2) for k in range(len(state))]
        context = Context.training_with(np.array([3, 4]))
        y, final = cell.unroll(x_v, unflatten(cell.state_sizes, state_v), context, None if mask is None else mask_v)
        weights = np.random.default_rng(9).standard_normal((*x.shape[:2], cell.n_out)).astype(x.dtype)
        leaves = flatten(final)
        cost = tt.sum(y * weights) + sum(tt.sum(tt.sqr(leaf)) for leaf in leaves)
        gradients = engine.gradient(cost, [x_v, *state_v, *cell.parameters().values()])
        function = engine.function([x_v, mask_v, *state_v], [y, *leaves, *gradients])
        return function(x, np.ones(x.shape[:2], "int8") if mask is None else mask, *state)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("name", [name for name, _ in _cells(np.random.default_rng())])
def test_fused_equals_scan(name, masked, dtype):
    rng = np.random.default_rng(5)
    with engine.precision(dtype):
        cell = dict(_cells(rng))[name]
        randomise(cell, rng, std=0.5 / np.sqrt(cell.n_in))  # wide relu layers of larger weights are chaotic
        batch = 2 * BLOCK_ROWS + 3
        x = rng.standard_normal((11, batch, cell.n_in)).astype(dtype)
        state = [rng.standard_normal((batch, n)).astype(dtype) for n in flatten(cell.state_sizes)]
        mask = rng.integers(0, 2, (11, batch)).astype("int8") if masked else None
        fused = _outputs_and_gradients(cell, "fused", x, state, mask)
        scan = _outputs_and_gradients(cell, "scan", x, state, mask)
    for one, other in zip(fused, scan, strict=True):
        assert one.dtype == dtype
        assert oracles.max_relative_error(one, other, floor=1e-1) <= TOLERANCE[dtype]


def test_fused_is_in_the_graph_and_scan_is_not():
    rng = np.random.default_rng(0)
    for cell in (LSTM(2, 3, rng=rng), GRU(2, 3, rng=rng), Noisy(LSTM(2, 3, rng=rng), std=0.1)):
        for kernel, expected in (("fused", True), ("scan", False)):
            with engine.using_kernel(kernel):
                x = engine.tensor("x", 3)
                y, _ = cell.unroll(x, cell.initial_state(x.shape[1]), Context.evaluation())
                assert ("Sequence" in engine.describe(y)) == expected  # the name of the kernels' operations


def test_a_cell_of_another_equation_does_not_inherit_the_kernel():
    class Halved(LSTM):
        def equations(self, inputs, state):
            gates, new = super().equations(inputs, state)
            return gates, type(new)(0.5 * new.hidden, new.cell)

    class Half:
        def equations(self, inputs, state):
            gates, new = super().equations(inputs, state)
            return gates, type(new)(0.5 * new.hidden, new.cell)

    class Mixed(Half, LSTM):
        pass

    rng = np.random.default_rng(0)
    x, state = rng.standard_normal((3, 2, 2)).astype("float32"), [np.zeros((2, N_UNITS), "float32")] * 2
    assert LSTM(2, 3, rng=rng).has_kernel
    for kind in (Halved, Mixed):
        cell = kind(2, N_UNITS, rng=rng)
        assert not cell.has_kernel
        fused, scan = (_outputs_and_gradients(cell, kernel, x, state, None)[0] for kernel in ("fused", "scan"))
        np.testing.assert_allclose(fused, scan, atol=1e-6)


def test_results_do_not_depend_on_the_number_of_threads(use_threads, monkeypatch):
    """Of every kernel, to the last bit: however little the work, it is shared out."""
    monkeypatch.setattr(threads, "LEAST_WORK", 1)
    rng = np.random.default_rng(7)
    n, batch = 37, 29

    def f(*shape):
        return rng.standard_normal(shape).astype("float32")

    x, h0, c0, dh, narrow = f(5, batch, 11), f(batch, n), f(batch, n), f(5, batch, n), f(5, batch, n)
    mask, nothing = rng.integers(0, 2, (5, batch)).astype("int8"), np.zeros((0, 0, 0), "float32")
    of_lstm, of_gru = (f(11, 4 * n), f(n, 4 * n), f(4 * n)), (f(11, 3 * n), f(n, 3 * n), f(3 * n))
    p, m0, dm = f(3, n), f(batch, 2 * n), f(5, batch, 2 * n)
    of_memory = 0.1 * f(2 * n, 6 * n), f(6 * n), 0.1 * f(2 * n, 3 * n), f(3 * n)
    noise = f(5, batch, 12 * n), f(5, batch, 6 * n)
    a, b, wide = f(64, 300), f(300, 400), f(70, 400)

    def everything():
        c, y, dz = np.empty((64, 400), "float32"), np.empty_like(wide), np.empty_like(wide)
        product(a, b, c)
        dense.add_bias("tanh", wide, b[0], y)
        dense.activation_gradient("tanh", y, wide, dz)
        one = lstm.forward(x, *of_lstm, p, h0, c0, mask)
        two = gru.forward(x, *of_gru, h0, mask)
        three = memory_lstm.forward(narrow, *of_memory, m0, mask, *noise, 0.1)
        return [
            *(c, y, dz, column_sums(wide), *one, *two, *three),
            *lstm.backward(of_lstm[1], p, h0, c0, mask, one, dh, nothing),
            *gru.backward(of_gru[1], h0, mask, two, dh),
            *memory_lstm.backward(narrow, of_memory[0], of_memory[2], m0, mask, three, dm),
        ]

    use_threads(1)
    alone = [array.copy() for array in everything()]
    for n_threads in (2, 3, 2):
        use_threads(n_threads)
        for one, other in zip(alone, everything(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_work_is_shared_out_once_and_completely(use_threads):
    use_threads(3)
    assert len(threads.split(100, work=2 * threads.LEAST_WORK)) == 2
    assert len(threads.split(100, work=threads.LEAST_WORK - 1)) == 1
    for n, multiple in ((1, 8), (8, 8), (9, 8), (64, 8), (7, 1), (100, 6)):
        shares = threads.split(n, multiple)
        assert [i for first, last in shares for i in range(first, last)] == list(range(n))
        assert len(shares) <= 3 and all(first % multiple == 0 for first, _ in shares)


def test_an_error_in_a_thread_is_raised(use_threads):
    use_threads(2)

    def work(k):
        if k == 1:
            raise ValueError("one share failed")

    with pytest.raises(ValueError, match="one share failed"):
        threads.run(work, [(0,), (1,)])


@pytest.mark.parametrize("value", ["none", "0", "-1", "1.5"])
def test_a_bad_number_of_threads_is_refused(monkeypatch, value):
    monkeypatch.setenv("RNNAUDIO_THREADS", value)
    with pytest.raises(RnnaudioError, match="RNNAUDIO_THREADS is .* expected a number of threads"):
        threads._chosen()


LARGE = 3 * elementwise.BLOCK + 17


def test_sums_equal_numpy_and_do_not_depend_on_the_number_of_threads(use_threads):
    rng = np.random.default_rng(8)
    p, t = rng.standard_normal((2, LARGE)).astype("float32")
    p64, t64 = p.astype("float64"), t.astype("float64")
    results = []
    for n_threads in (1, 2, 3):
        use_threads(n_threads)
        results.append([elementwise.sum_of_squares(p), *elementwise.squared_errors(p, t)])
    np.testing.assert_allclose(results[0], [(p64**2).sum(), ((p - t).astype("float64") ** 2).sum(), (t64**2).sum()])
    assert results[0] == results[1] == results[2]


def test_sums_do_not_hide_nan_or_infinity():
    for bad in (np.nan, np.inf):
        x = np.ones(LARGE, "float32")
        x[-3] = bad
        assert not np.isfinite(elementwise.sum_of_squares(x))
        assert not np.isfinite(elementwise.squared_errors(x, np.ones_like(x))[0])


def test_squared_errors_have_the_gradient_of_both_sums():
    rng = np.random.default_rng(9)
    with engine.precision("float64"), engine.using_kernel("fused"):
        p, t = engine.tensor("p", 2), engine.tensor("t", 2)
        error, power = ops.squared_errors(p, t)
        function = engine.function([p, t], engine.gradient(3 * error + tt.sqr(power), [p, t]))
    a, b = rng.standard_normal((2, 4, 5))
    d_p, d_t = function(a, b)
    np.testing.assert_allclose(d_p, 6 * (a - b))
    np.testing.assert_allclose(d_t, -6 * (a - b) + 2 * (b**2).sum() * 2 * b)


def test_memory_is_used_again_only_when_nobody_refers_to_it():
    buffers.clear()
    shape = (buffers.LEAST_BYTES // 4, 2)
    first = buffers.empty(shape, "float32")
    address = first.ctypes.data
    assert buffers.empty(shape, "float32").ctypes.data != address
    part = first[3:7, 1]
    del first
    assert buffers.empty(shape, "float32").ctypes.data != address  # a view still refers to it
    del part
    assert buffers.empty(shape, "float32").ctypes.data == address
    assert len(buffers._buffers) == 2
    buffers.clear()
    assert len(buffers._buffers) == 0


def test_memory_stays_flat_whatever_sizes_are_asked_for(monkeypatch):
    buffers.clear()
    monkeypatch.setattr(buffers, "MOST_UNUSED_BYTES", 10 * buffers.LEAST_BYTES)
    for extra in range(100):
        buffers.empty((buffers.LEAST_BYTES + extra,), "uint8")
        assert sum(buffer.size for buffer in buffers._buffers) <= 10 * buffers.LEAST_BYTES
    buffers.clear()


def test_parameters_in_another_memory_order_are_updated_too():
    value = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    p = {"w": engine.shared(value, "w")}
    rule = optimizers.SGD()
    with engine.using_kernel("fused"):
        step = optimizers.updates(rule, tt.sum(p["w"]), p, optimizers.OptimizerState(rule, p), np.float32(0.5))
        engine.function([], [], step.pairs)()
    np.testing.assert_array_equal(p["w"].get_value(), value - 0.5)
    with pytest.raises(ValueError, match="C-contiguous"):
        elementwise.update(rule.kernel, value, np.ones_like(value), [], 1.0, 0.5, ())


def test_a_step_that_is_lost_to_rounding_is_reported_as_none():
    p, g = np.ones(100, "float32"), np.full(100, 1e-9, "float32")
    assert elementwise.update(optimizers.SGD.kernel, p, g, [], 1.0, 1.0, ()) == [0.0, 100.0]


def test_shapes_that_do_not_fit_are_refused():
    f = np.zeros
    with pytest.raises(ValueError, match=r"expected a \(m, k\), b \(k, n\) and c \(m, n\) of one type"):
        product(f((4, 5)), f((2, 3)), f((4, 3)))
    with pytest.raises(ValueError, match="of one type"):
        product(f((4, 2), "float32"), f((2, 3)), f((4, 3)))
    with pytest.raises(ValueError, match=r"target is \(4, 3\); expected \(3, 4\)"):
        elementwise.squared_errors(f((3, 4)), f((4, 3)))
    nothing = f((0, 0))
    with pytest.raises(ValueError, match=r"h0 is \(2, 3\); expected \(8, 3\)"):
        lstm.forward(f((5, 8, 2)), f((2, 12)), f((3, 12)), f(12), nothing, f((2, 3)), f((8, 3)), nothing)
    with pytest.raises(ValueError, match=r"mask is \(8, 5\); expected \(5, 8\)"):
        gru.forward(f((5, 8, 2)), f((2, 9)), f((3, 9)), f(9), f((8, 3)), f((8, 5), "int8") + 1)


def test_inputs_of_mixed_types_are_brought_to_one():
    w = np.arange(6.0).reshape(2, 3)
    x64, x_int = engine.tensor("x", 2, "float64"), engine.tensor("i", 2, "int64")
    with engine.using_kernel("fused"):
        function = engine.function(
            [x64, x_int], [ops.dot(x, tt.as_tensor_variable(w.astype("float32"))) for x in (x64, x_int)]
        )
    values = np.array([[1, 2], [3, 4]])
    for y, dtype in zip(function(values.astype("float64"), values), ("float64", "float32"), strict=True):
        assert y.dtype == dtype
        np.testing.assert_allclose(y, values @ w)


def test_padding_of_a_masked_gru_may_hold_any_finite_number():
    rng = np.random.default_rng(3)
    x, mask = rng.standard_normal((3, 2, 2)).astype("float32"), np.array([[1, 1], [0, 1], [1, 1]], "int8")
    w, r, bias = (rng.standard_normal(s).astype("float32") for s in ((2, 9), (3, 9), 9))
    results = []
    for padding in (0.0, np.float32(3e38)):
        x[1, 0] = padding
        states = gru.forward(x, w, r, bias, np.zeros((2, 3), "float32"), mask)
        results.append(
            [
                states.hidden,
                *gru.backward(
                    r, np.zeros((2, 3), "float32"), mask, states, np.ones_like(x[..., :1]) + 0 * states.hidden
                ),
            ]
        )
    for clean, dirty in zip(*results, strict=True):
        np.testing.assert_array_equal(clean, dirty)


def test_all_shares_are_done_before_an_error_is_raised(use_threads):
    use_threads(2)
    done = []

    def work(k):
        if k == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        done.append(k)

    with pytest.raises(KeyboardInterrupt):
        threads.run(work, [(0,), (1,)])
    assert done == [1]


def test_a_forked_child_has_working_threads(use_threads):
    use_threads(2)
    code = (
        "import os, sys; from rnnaudio.kernels import threads; threads.set_n_threads(2);"
        "threads.run(print, [('',), ('',)]);"
        "child = os.fork();"
        "child or (threads.run(print, [('',), ('',)]), os._exit(0));"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=False).returncode == 0


def test_kernels_work_where_nothing_can_be_cached(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    code = (
        "import numpy as np; from rnnaudio.kernels import compile, product; assert compile.CACHE_FOLDER is None;"
        "c = np.empty((2, 2)); product.product(np.eye(2), np.eye(2), c); assert (c == np.eye(2)).all()"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(blocked)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=False).returncode == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ops.ACTIVATIONS)
def test_a_dense_layer_and_its_gradients_equal_the_engines(kind, dtype):
    rng = np.random.default_rng(12)
    values = [rng.standard_normal(shape).astype(dtype) for shape in ((5, 3, 2), (2, 37), (37,))]
    results = []
    for name in engine.KERNELS:
        with engine.precision(dtype), engine.using_kernel(name):
            x, w, bias = engine.tensor("x", 3), engine.tensor("w", 2), engine.tensor("bias", 1)
            y = ops.affine(x, w, bias, kind)
            gradients = engine.gradient(tt.sum(tt.sqr(y)), [x, w, bias])
            results.append(engine.function([x, w, bias], [y, *gradients])(*values))
    for one, other in zip(*results, strict=True):
        assert one.dtype == dtype
        assert oracles.max_relative_error(one, other, floor=1e-1) <= TOLERANCE[dtype]


@pytest.mark.parametrize("kind", ops.ACTIVATIONS)
def test_a_dense_layer_does_not_hide_nan(kind):
    z = np.ones((3, 37), "float32")
    z[1, 20] = np.nan
    dense.add_bias(kind, z, np.zeros(37, "float32"), z)
    assert np.argwhere(np.isnan(z)).tolist() == [[1, 20]]
