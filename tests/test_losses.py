"""Losses against the oracles, their closed forms and their edges."""

import numpy as np
import pytest
import scipy.stats

from rnnaudio import engine, losses
from rnnaudio.engine import tt
from tests.support import oracles

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


def test_phase_distance_is_half_the_chord_squared(rng):
    prediction, target = 10.0 * rng.standard_normal((2, 4, 3, 5))
    mask = rng.integers(0, 2, (4, 3)).astype("int8")
    chords = np.abs(np.exp(1j * prediction) - np.exp(1j * target))
    assert evaluate(losses.phase_distance, prediction, target) == pytest.approx(np.mean(chords**2) / 4, rel=1e-12)
    counted = chords[mask == 1] ** 2 / 4
    assert evaluate(losses.phase_distance, prediction, target, mask) == pytest.approx(np.mean(counted), rel=1e-12)
    weights = rng.uniform(0.0, 2.0, (4, 3, 5))

    def weighted(p, t, m=None):
        return losses.phase_distance(p, t, m, weight=tt.as_tensor_variable(weights))

    value = evaluate(weighted, prediction, target)
    assert value == pytest.approx(np.average(chords**2 / 4, weights=weights), rel=1e-12)
    value = evaluate(weighted, prediction, target, mask)
    assert value == pytest.approx(np.average(counted, weights=weights[mask == 1]), rel=1e-12)


def test_the_likelihood_is_scipy_s_and_least_at_the_truth(rng):
    mean, target = rng.standard_normal((2, 4, 3, 5))
    log_variance = rng.uniform(-3.0, 1.0, (4, 3, 5))
    mask = rng.integers(0, 2, (4, 3)).astype("int8")
    prediction = np.concatenate([mean, log_variance], axis=-1)
    nats = -scipy.stats.norm.logpdf(target, mean, np.sqrt(np.exp(log_variance) + 1e-4))
    assert evaluate(losses.gaussian_likelihood, prediction, target) == pytest.approx(nats.mean(), rel=1e-12)
    value = evaluate(losses.gaussian_likelihood, prediction, target, mask)
    assert value == pytest.approx(nats[mask == 1].mean(), rel=1e-12)
    # With one m and v for all targets the least is at their mean and variance: log(2 pi e v) / 2.
    best = np.log(target.var() - 1e-4)
    flat = np.concatenate([np.full(target.shape, target.mean()), np.full(target.shape, best)], axis=-1)
    least = evaluate(losses.gaussian_likelihood, flat, target)
    assert least == pytest.approx(np.log(2 * np.pi * np.e * target.var()) / 2, rel=1e-12)
    for shift in (-0.1, 0.1):
        for part in (slice(0, 5), slice(5, 10)):
            other = flat.copy()
            other[..., part] += shift
            assert evaluate(losses.gaussian_likelihood, other, target) > least


def test_silence_foretold_exactly_has_a_finite_likelihood():
    prediction = np.concatenate([np.zeros((1, 5)), np.full((1, 5), -1e6)], axis=-1)
    assert evaluate(losses.gaussian_likelihood, prediction, np.zeros((1, 5))) == pytest.approx(
        np.log(2 * np.pi * 1e-4) / 2
    )


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
    graphs += [losses.phase_distance(p, t, mask, weight) for mask in (None, m) for weight in (None, t)]
    graphs += [losses.gaussian_likelihood(p, t, mask) for mask in (None, m)]
    graphs += [loss(p, labels, mask) for loss in losses.CROSS_ENTROPIES.values() for mask in (None, m)]
    assert {graph.dtype for graph in graphs} == {"float32"}
    assert {tt.grad(graph, p).dtype for graph in graphs} == {"float32"}


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_likelihood_and_its_gradient_are_the_same_by_kernel_and_graph(rng, ndim):
    shape = (4, 3, 5)[:ndim]
    prediction, target = rng.standard_normal((*shape[:-1], 2 * shape[-1])), rng.standard_normal(shape)
    results = []
    for kernel in engine.KERNELS:
        if kernel == "fused" and engine.MODE == "jax":
            continue
        with engine.using_kernel(kernel), engine.precision("float64"):
            p, t = engine.tensor("p", ndim), engine.tensor("t", ndim)
            loss = losses.gaussian_likelihood(p, t)
            results.append(engine.function([p, t], [loss, *tt.grad(loss, [p, t])])(prediction, target))
    for one, other in zip(results[0], results[-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


# ---------------------------------------------------------------- masks: what is left out may be anything


def every_loss(rng, shape=(4, 3, 5)):
    """(loss, its arguments before the mask) for each loss that takes one."""
    n = shape[-1]
    prediction, target = rng.standard_normal((2, *shape))
    labels = rng.integers(0, n, shape[:-1])
    yield losses.mean_squared_error, (prediction, target)
    yield losses.normalised_mean_squared_error, (prediction, target)
    yield losses.phase_distance, (prediction, target)
    yield weighted_phase_distance, (prediction, target)
    yield losses.gaussian_likelihood, (np.concatenate([prediction, prediction], axis=-1), target)
    yield losses.cross_entropy, (prediction, labels)
    yield losses.cross_entropy_2016, (prediction, labels)
    yield losses.cross_entropy_2016, (prediction, rng.dirichlet(np.ones(n), shape[:-1]))


def weighted_phase_distance(prediction, target, mask):
    return losses.phase_distance(prediction, target, mask, weight=tt.sqr(target))


def with_gradient(loss, prediction, target, mask):
    """A masked loss and its gradient at the prediction, in float64."""
    with engine.precision("float64"):
        p, t = engine.tensor("p", prediction.ndim), engine.tensor("t", target.ndim, str(target.dtype))
        m = engine.tensor("m", mask.ndim, str(mask.dtype))
        value = loss(p, t, m)
        return engine.function([p, t, m], [value, tt.grad(value, p)])(prediction, target, mask)


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("mask_type", ["int8", "float64"])
def test_if_nothing_counts_the_loss_is_zero_and_so_is_its_gradient(rng, kernel, number, mask_type):
    loss, arguments = list(every_loss(rng))[number]
    value, gradient = with_gradient(loss, *arguments, np.zeros((4, 3), mask_type))
    assert value == 0.0 and gradient.shape == arguments[0].shape and not gradient.any()


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("wild", [np.nan, np.inf, 1e300])
def test_nothing_that_the_mask_leaves_out_reaches_the_gradient(rng, kernel, number, wild):
    """The oracle leaves the elements out of the arrays, so that no mask is needed."""
    loss, (prediction, target) = list(every_loss(rng))[number]
    mask = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]], "int8")
    counted = mask == 1
    shown = prediction[counted], target[counted], mask[counted]
    expected_value, expected = with_gradient(loss, *shown)
    prediction, target = prediction.copy(), target.copy()
    prediction[~counted] = wild
    target[~counted] = 999 if target.dtype.kind == "i" else wild
    value, gradient = with_gradient(loss, prediction, target, mask)
    assert value == pytest.approx(expected_value, rel=1e-13)
    np.testing.assert_allclose(gradient[counted], expected, rtol=1e-12, atol=1e-15)
    assert not gradient[~counted].any()
