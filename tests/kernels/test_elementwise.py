"""Sums, errors and parameter updates, element by element; memory used again; the cache of compiled kernels."""

import os
import subprocess
import sys

import numpy as np
import pytest

from rnnaudio import engine, ops, optimizers
from rnnaudio.engine import tt
from rnnaudio.kernels import buffers, elementwise

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


def test_kernels_work_where_the_cache_cannot_be_written(tmp_path):
    """They are kept in a temporary folder instead."""
    blocked = tmp_path / "file"
    blocked.touch()
    code = (
        "import numpy as np; from rnnaudio.kernels import compile, product;"
        f"assert {str(blocked)!r} not in str(compile.CACHE_FOLDER);"
        "c = np.empty((2, 2)); product.product(np.eye(2), np.eye(2), c); assert (c == np.eye(2)).all()"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(blocked)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=False).returncode == 0
