"""Initial values against what defines them."""

import itertools

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import initializers as init

SHAPES = [(40, 40), (30, 50), (50, 30)]


def rng():
    return np.random.default_rng(2016)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_glorot_keeps_to_its_bound_and_variance(shape):
    w = init.glorot_uniform(rng(), shape)
    bound = np.sqrt(6.0 / sum(shape))
    assert 0.99 * bound < np.abs(w).max() <= bound
    # variance 2 / (n_in + n_out); the sample's relative deviation is about sqrt(0.8 / n)
    assert w.var() == pytest.approx(2.0 / sum(shape), rel=5 * np.sqrt(0.8 / w.size))


@pytest.mark.parametrize("draw", [init.orthogonal, init.iso_2016])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_orthogonal_has_orthonormal_rows_or_columns(draw, shape):
    w = draw(rng(), shape)
    product = w @ w.T if shape[0] < shape[1] else w.T @ w
    assert w.shape == shape
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-13)


def test_orthogonal_draws_have_no_preferred_sign():
    diagonal = np.array([np.diag(init.orthogonal(np.random.default_rng(k), (4, 4))) for k in range(200)])
    assert abs(diagonal.mean()) < 5 * 0.5 / np.sqrt(diagonal.size)  # without the sign correction: clearly below zero


def test_iso_is_the_orthonormal_factor_of_the_draw():
    draw, w = rng().standard_normal((6, 4)), init.iso_2016(rng(), (6, 4))
    stretch = w.T @ draw  # the polar decomposition: draw = w stretch, stretch symmetric and positive
    np.testing.assert_allclose(w @ stretch, draw, atol=1e-12)
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-12)
    assert np.linalg.eigvalsh(stretch).min() > 0


def test_rand_2016_is_glorot_divided_by_root_24():
    small, glorot = init.rand_2016(rng(), (40, 60)), init.glorot_uniform(rng(), (40, 60))
    np.testing.assert_allclose(np.sqrt(24.0) * small, glorot, rtol=1e-10, atol=1e-15)


def test_rand_february_2016():
    w = init.rand_february_2016(rng(), (784, 100))
    assert np.abs(w).max() == pytest.approx(0.5 / 884, rel=1e-3)
    assert np.array_equal(init.rand_mnist_2016(rng(), (784, 100)), w / 1000)


def test_rand_mnist_2016():
    w = init.rand_mnist_2016(rng(), (784, 100))
    bound = 0.5 / 884 / 1000
    assert 0.99 * bound < np.abs(w).max() <= bound and abs(w.mean()) < 0.01 * bound


@pytest.mark.parametrize(
    ("draw", "mean", "std"), [(init.uniform(-1.0, 3.0), 1.0, 4 / np.sqrt(12)), (init.gaussian(0.1), 0.0, 0.1)]
)
def test_moments(draw, mean, std):
    w = draw(rng(), (200, 200))
    assert w.mean() == pytest.approx(mean, abs=5 * std / 200)
    assert w.std() == pytest.approx(std, rel=0.02)


def test_uniform_keeps_to_its_range_and_constant_to_its_value():
    w = init.uniform(-1.0, 3.0)(rng(), (50, 50))
    assert w.min() >= -1.0 and w.max() <= 3.0
    np.testing.assert_array_equal(init.constant(2)(rng(), (3,)), [2.0, 2.0, 2.0])


def test_gates_are_initialised_apart():
    w = init.side_by_side(init.orthogonal, 4)(rng(), (5, 20))
    blocks = np.split(w, 4, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block.T @ block, np.eye(5), atol=1e-13)
    assert all(np.abs(a - b).max() > 0.1 for a, b in itertools.pairwise(blocks))


@pytest.mark.parametrize(
    "draw",
    [
        init.glorot_uniform,
        init.orthogonal,
        init.rand_2016,
        init.iso_2016,
        init.rand_february_2016,
        init.rand_mnist_2016,
    ],
)
def test_same_generator_same_values_in_float64(draw):
    a, b, other = draw(rng(), (6, 4)), draw(rng(), (6, 4)), draw(np.random.default_rng(1), (6, 4))
    assert a.dtype == "float64" and np.array_equal(a, b) and not np.array_equal(a, other)


def test_a_sparing_generator_gives_as_many_values_as_are_saved_and_takes_no_memory_for_more():
    rng = init.Sparing(4 * 6 + 6 * 6)
    assert init.glorot_uniform(rng, (4, 6)).shape == (4, 6)
    assert init.orthogonal(rng, (6, 6)).shape == (6, 6)
    with pytest.raises(RnnaudioError, match="a larger model than the 60 values that it holds"):
        init.gaussian(0.1)(rng, (1,))
    for shape in ((10**7, 4 * 10**7), (2**40, 2**40)):
        with pytest.raises(RnnaudioError, match="a larger model"):
            init.Sparing(1000).uniform(-1.0, 1.0, shape)


def test_a_matrix_is_decomposed_by_one_thread_whatever_their_number(monkeypatch):
    """Threads of BLAS wait for each other in loops; and with another number of them the last bits would differ."""
    qr, seen = np.linalg.qr, []

    def watched(a):
        seen.append({library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"})
        return qr(a)

    monkeypatch.setattr(np.linalg, "qr", watched)
    with threadpool_limits(2):
        two = init.orthogonal(rng(), (300, 300))
        assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {2}
    with threadpool_limits(1):
        np.testing.assert_array_equal(init.orthogonal(rng(), (300, 300)), two)
    assert seen == [{1}, {1}]
