"""Losses against the oracles, their closed forms and their edges."""

import numpy as np
import oracles
import pytest

from rnnaudio import engine, losses
from rnnaudio.engine import tt

pytestmark = pytest.mark.jax
PAIRS = [
    (losses.mean_squared_error, oracles.squared_error),
    (losses.normalised_mean_squared_error, oracles.normalised_squared_error),
]


def evaluate(loss, prediction, target, mask=None):
    """A loss in float64 on arrays of any number of axes."""
    with engine.precision("float64"):
        p = engine.tensor("p", prediction.ndim)
        t = engine.tensor("t", target.ndim, str(target.dtype))
        m = engine.tensor("m", prediction.ndim - 1, "int8")
        function = engine.function([p, t, m], loss(p, t) if mask is None else loss(p, t, m))
    return float(function(prediction, target, np.zeros(prediction.shape[:-1], "int8") if mask is None else mask))


@pytest.fixture
def rng():
    return np.random.default_rng(2016)


@pytest.mark.parametrize("shape", [(3, 5), (4, 3, 5), (1, 1, 1)], ids=str)
@pytest.mark.parametrize(("loss", "oracle"), PAIRS)
def test_squared_errors_equal_the_oracle(loss, oracle, shape, rng):
    prediction, target = rng.standard_normal((2, *shape))
    mask = rng.integers(0, 2, shape[:-1]).astype("int8")
    mask.flat[0] = 1
    assert evaluate(loss, prediction, target) == pytest.approx(oracle(prediction, target), rel=1e-13)
    assert evaluate(loss, prediction, target, mask) == pytest.approx(oracle(prediction, target, mask), rel=1e-13)


@pytest.mark.parametrize("shape", [(3, 5), (4, 3, 5), (1, 2)], ids=str)
def test_cross_entropy_equals_the_oracle(shape, rng):
    logits, labels = 3 * rng.standard_normal(shape), rng.integers(0, shape[-1], shape[:-1])
    mask = rng.integers(0, 2, shape[:-1]).astype("int8")
    mask.flat[0] = 1
    for arguments in ((logits, labels), (logits, labels, mask)):
        expected = oracles.softmax_cross_entropy(*arguments)
        assert evaluate(losses.cross_entropy, *arguments) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("shape", [(3, 5), (4, 3, 5)], ids=str)
def test_cross_entropy_of_2016_equals_the_oracle_and_is_wrong_for_soft_labels(shape, rng):
    logits, labels = 3 * rng.standard_normal(shape), rng.integers(0, shape[-1], shape[:-1])
    value = evaluate(losses.cross_entropy_2016, logits, labels)
    assert value == pytest.approx(oracles.cross_entropy_2016(logits, np.eye(shape[-1])[labels]), rel=1e-13)
    assert value == pytest.approx(evaluate(losses.cross_entropy, logits, labels), rel=1e-13)  # equal for hard labels
    soft = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    value = evaluate(losses.cross_entropy_2016, logits, soft)
    assert value == pytest.approx(oracles.cross_entropy_2016(logits, soft), rel=1e-13)
    e = np.exp(logits)
    right = -np.mean(np.sum(soft * np.log(e / e.sum(axis=-1, keepdims=True)), axis=-1))
    assert abs(value - right) > 0.1


def test_cross_entropy_of_2016_breaks_where_the_probability_underflows():
    p = engine.tensor("p", 2)
    loss = losses.cross_entropy_2016(p, np.array([0]))
    value, gradient = engine.function([p], [loss, tt.grad(loss, p)])(np.array([[-200.0, 200.0]], "float32"))
    assert np.isposinf(value) and np.isnan(gradient).any()
    logits = np.array([[-200.0, 200.0]])
    assert evaluate(losses.cross_entropy, logits, np.array([0])) == pytest.approx(400.0)


def test_closed_forms():
    zeros, twos = np.zeros((4, 3, 5)), np.full((4, 3, 5), 2.0)
    assert evaluate(losses.mean_squared_error, zeros, twos) == 4.0
    assert evaluate(losses.normalised_mean_squared_error, zeros, twos) == 1.0  # predicting zero
    labels = np.arange(12).reshape(4, 3) % 5
    assert evaluate(losses.cross_entropy, zeros, labels) == pytest.approx(np.log(5), rel=1e-15)


@pytest.mark.parametrize("size", [1e9, 1e200])  # squared, the second is infinite
def test_what_the_mask_leaves_out_does_not_count(rng, size):
    prediction, target = rng.standard_normal((2, 4, 3, 5))
    mask = np.ones((4, 3), "int8")
    mask[2:] = 0
    wild = prediction.copy()
    wild[2:] = size
    for loss, _ in PAIRS:
        assert evaluate(loss, wild, target, mask) == evaluate(loss, prediction, target, mask)
        without = evaluate(loss, prediction[:2], target[:2])
        assert evaluate(loss, wild, target, mask) == pytest.approx(without, rel=1e-14)


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_cross_entropy_of_huge_logits_is_finite(size):
    logits = np.array([[size, -size], [-size, size]])
    assert evaluate(losses.cross_entropy, logits, np.array([0, 1])) == 0.0
    assert evaluate(losses.cross_entropy, logits, np.array([0, 0])) == pytest.approx(size)


@pytest.mark.parametrize("mask_type", ["int8", "int64", "float32"])
def test_float32_losses_are_float32(mask_type):
    p, t, m = engine.tensor("p", 3), engine.tensor("t", 3), engine.tensor("m", 2, mask_type)
    labels = engine.tensor("labels", 2, "int64")
    graphs = [loss(p, t, mask) for loss, _ in PAIRS for mask in (None, m)]
    graphs += [loss(p, labels, mask) for loss in losses.CROSS_ENTROPIES.values() for mask in (None, m)]
    assert {graph.dtype for graph in graphs} == {"float32"}
    assert {tt.grad(graph, p).dtype for graph in graphs} == {"float32"}
