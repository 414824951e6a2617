"""Products, activations and dense layers against NumPy and the engine."""

import numpy as np
import pytest

from rnnaudio import engine, ops
from rnnaudio.engine import tt
from rnnaudio.kernels import activations, dense
from rnnaudio.kernels.product import column_sums, product
from tests.support import oracles

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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_of_every_kind_of_number_is_numpys(dtype):
    x = np.array([[-np.inf, -1.0, -0.0, 0.0, 1e-45, 1.0, np.inf, np.nan]], dtype)
    y = np.empty_like(x)
    dense.add_bias("relu", x, np.zeros(x.size, dtype), y)
    np.testing.assert_array_equal(y, np.maximum(x, 0))


@pytest.mark.parametrize("kind", activations.KINDS)
def test_gradient_of_each_activation_equals_differences(kind):
    rng = np.random.default_rng(7)
    z, dy = rng.standard_normal((2, 5, 4))
    function = {
        "linear": lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": oracles.sigmoid
    }[kind]  # fmt: skip
    dz = np.empty_like(z)
    dense.activation_gradient(kind, function(z), dy, dz)
    h = 1e-6
    np.testing.assert_allclose(dz, dy * (function(z + h) - function(z - h)) / (2 * h), rtol=1e-7, atol=1e-9)


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


def test_shapes_that_do_not_fit_are_refused():
    z = np.ones((3, 37), "float32")
    with pytest.raises(ValueError, match="bias"):
        dense.add_bias("tanh", z, np.zeros(36, "float32"), z)
    with pytest.raises(ValueError, match="y"):
        dense.add_bias("tanh", z, np.zeros(37, "float32"), np.empty((2, 37), "float32"))
    with pytest.raises(ValueError, match="dz"):
        dense.activation_gradient("tanh", z, z, np.empty((3, 36), "float32"))


@pytest.mark.parametrize("kind", ops.ACTIVATIONS)
def test_a_dense_layer_does_not_hide_nan(kind):
    z = np.ones((3, 37), "float32")
    z[1, 20] = np.nan
    dense.add_bias(kind, z, np.zeros(37, "float32"), z)
    assert np.argwhere(np.isnan(z)).tolist() == [[1, 20]]
