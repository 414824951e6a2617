"""Read-outs: sums and integrals, likelihoods against scipy, draws against probabilities, gradients, extremes."""

from functools import lru_cache

import numpy as np
import pytest
import scipy.stats
from scipy.special import expit, logsumexp, softmax

from rnnaudio import engine, ops, readouts
from rnnaudio.data import Batch
from rnnaudio.diagnostics import check_gradients
from rnnaudio.engine import tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper, continue_frames
from rnnaudio.generation.sampling import Sampling
from rnnaudio.losses import LEAST_VARIANCE
from rnnaudio.nn import GRU, Dense, LinearPredictor, Sequential
from rnnaudio.objectives import NextFrameDistribution
from rnnaudio.readouts import Categorical, Gaussian, GaussianMixture, LogisticMixture
from rnnaudio.readouts.logistic import LEAST_SCALE
from rnnaudio.training import Evaluation

N_LEVELS = 7
FRAMES = {"gaussian": Gaussian(), "gaussian mixture": GaussianMixture(3)}
LEVELS = {
    "categorical": Categorical(N_LEVELS),
    "logistic mixture": LogisticMixture(3, N_LEVELS, 0.4),
    "one logistic": LogisticMixture(1, N_LEVELS, 0.1),
}
EVERY = FRAMES | LEVELS


def rng():
    return np.random.default_rng(2016)


def nats(readout, said, target, dtype="float64"):
    """The mean likelihood as the graph has it."""
    kind = "int64" if target.dtype.kind == "i" else dtype
    return float(compiled(readout, said.ndim, kind, dtype, engine.kernel())(said, target))


@lru_cache
def compiled(readout, ndim, kind, dtype, kernel, with_gradient=False):
    """The likelihood of (said, target), or it and its gradient."""
    with engine.precision(dtype):
        s, t = engine.tensor("said", ndim), engine.tensor("target", ndim, kind)
        loss = readout.nats(s, t)
        return engine.function([s, t], [loss, tt.grad(loss, s)] if with_gradient else loss)


def gaussian_nats(said, target):
    mean, log_variance = np.split(said, 2, axis=-1)
    return -scipy.stats.norm.logpdf(target, mean, np.sqrt(np.exp(log_variance) + LEAST_VARIANCE))


def gaussian_mixture_nats(said, target):
    logits, means, logs = (part.reshape(*said.shape[:-1], 3, -1) for part in np.split(said, 3, axis=-1))
    log_density = scipy.stats.norm.logpdf(target[..., None, :], means, np.sqrt(np.exp(logs) + LEAST_VARIANCE))
    return -logsumexp(np.log(softmax(logits, axis=-2)) + log_density, axis=-2)


def categorical_nats(said, target):
    p = softmax(said.reshape(*said.shape[:-1], N_LEVELS, -1), axis=-2)
    return -np.log(np.take_along_axis(p, target[..., None, :], axis=-2)[..., 0, :])


def logistic_nats(readout):
    """By differences of scipy's logistic function."""

    def of(said, target):
        logits, m, raw = (
            part.reshape(*said.shape[:-1], readout.n_components, -1) for part in np.split(said, 3, axis=-1)
        )
        half = 1.0 / (N_LEVELS - 1)
        s = readout.unit * np.log1p(np.exp(raw)) + LEAST_SCALE * 2 * half
        v = 2.0 * target[..., None, :] / (N_LEVELS - 1) - 1.0
        upper = np.where(v > 1 - half, 1.0, scipy.stats.logistic.cdf(v + half, readout.unit * m, s))
        lower = np.where(v < half - 1, 0.0, scipy.stats.logistic.cdf(v - half, readout.unit * m, s))
        return -np.log(np.sum(softmax(logits, axis=-2) * (upper - lower), axis=-2))

    return of


ORACLES = {
    "gaussian": gaussian_nats,
    "gaussian mixture": gaussian_mixture_nats,
    "categorical": categorical_nats,
    "logistic mixture": logistic_nats(LEVELS["logistic mixture"]),
    "one logistic": logistic_nats(LEVELS["one logistic"]),
}


def some(readout, shape, scale=1.5):
    """said and target of n = 2 values."""
    said = scale * rng().standard_normal((*shape, 2 * readout.n_parameters))
    if readout in LEVELS.values():
        return said, rng().integers(0, N_LEVELS, (*shape, 2))
    return said, rng().standard_normal((*shape, 2))


@pytest.mark.skipif(engine.MODE == "jax", reason="JAX cannot call the compiled kernels")
def test_the_kernel_computes_the_gaussian_where_it_is_chosen_and_the_engine_otherwise():
    """The values agree, so that only the graph can tell; the kernel's gradient takes a tenth of the time to build."""
    with engine.using_kernel("fused"):
        fused = ops.gaussian_nats(engine.tensor("y", 2), engine.tensor("t", 2), 0.1)
    with engine.using_kernel("scan"):
        composed = ops.gaussian_nats(engine.tensor("y", 2), engine.tensor("t", 2), 0.1)
    assert isinstance(fused.owner.op, engine.Kernel) and not isinstance(composed.owner.op, engine.Kernel)


@pytest.mark.modes
@pytest.mark.jax
@pytest.mark.both_kernels
@pytest.mark.parametrize("name", EVERY)
def test_the_likelihood_is_scipys(name, kernel):
    said, target = some(EVERY[name], (4, 3))
    assert nats(EVERY[name], said, target) == pytest.approx(ORACLES[name](said, target).mean(), rel=1e-10)


@pytest.mark.parametrize("name", EVERY)
def test_the_likelihood_in_float32_is_scipys(name, kernel):
    said, target = some(EVERY[name], (4, 3))
    assert nats(EVERY[name], said, target, "float32") == pytest.approx(ORACLES[name](said, target).mean(), rel=1e-5)


@pytest.mark.parametrize("name", LEVELS)
def test_probabilities_sum_to_one(name):
    readout = LEVELS[name]
    said = np.repeat(rng().standard_normal((1, readout.n_parameters)), N_LEVELS, axis=0)
    each = [nats(readout, said[:1], np.array([[level]])) for level in range(N_LEVELS)]
    assert np.exp(-np.array(each)).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", FRAMES)
def test_densities_integrate_to_one_and_have_the_mean_that_is_said(name):
    readout = FRAMES[name]
    said = rng().standard_normal(readout.n_parameters)
    grid = np.linspace(-12.0, 12.0, 4001)[:, None]
    with engine.precision("float64"):
        t = engine.tensor("t", 2)
        density = engine.function([t], tt.exp(-readout.nats(tt.as_tensor_variable(said[None]), t)))
    values = np.array([float(density(point[None])) for point in grid])
    area = np.sum(values) * 24.0 / 4000
    assert area == pytest.approx(1.0, abs=1e-6)
    assert np.sum(values * grid[:, 0]) * 24.0 / 4000 == pytest.approx(readout.mean(said[None])[0, 0], abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("name", LEVELS)
def test_levels_are_drawn_with_their_probabilities(name, temperature):
    readout, n = LEVELS[name], 20_000
    said = rng().standard_normal((1, readout.n_parameters))
    drawn = readout.sample(np.repeat(said, n, axis=0), Sampling(temperature), rng())
    assert drawn.shape == (n, 1) and drawn.dtype == np.int64
    if name == "categorical":
        expected = softmax(said[0] / temperature)
    else:
        hot = cooled(readout, said[0], temperature)
        expected = np.exp(-np.array([ORACLES[name](hot, np.array([level]))[0] for level in range(N_LEVELS)]))
    found = np.bincount(drawn[:, 0], minlength=N_LEVELS) / n
    assert np.abs(found - expected).max() < 5.0 * np.sqrt(0.25 / n)


def cooled(readout, said, temperature):
    """The parameters of what is drawn at a temperature: logits divided by it, scales times it."""
    logits, m, raw = np.split(said, 3)
    s = temperature * (np.log1p(np.exp(raw)) + readout.least_scale) - readout.least_scale
    return np.concatenate([logits / temperature, m, np.log(np.expm1(s))])


def test_values_are_drawn_from_the_mixture():
    readout, n = GaussianMixture(2), 20_000
    said = np.array([[0.3, -0.4, -1.0, 2.0, -1.0, -2.0]])
    for temperature in (1.0, 0.5):
        drawn = readout.sample(np.repeat(said, n, axis=0), Sampling(temperature), rng())[:, 0]
        weights = softmax(said[0, :2] / temperature)
        deviations = temperature * np.sqrt(np.exp(said[0, 4:]) + LEAST_VARIANCE)

        def cdf(x, weights=weights, deviations=deviations):
            return scipy.stats.norm.cdf(np.asarray(x)[:, None], said[0, 2:4], deviations) @ weights

        assert scipy.stats.kstest(drawn, cdf).pvalue > 1e-3


def test_draws_are_those_of_the_seed_and_top_k_reaches_them():
    readout = LEVELS["categorical"]
    said = rng().standard_normal((50, 2 * N_LEVELS))
    first, again = (readout.sample(said, Sampling(), np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    likeliest = readout.sample(said, Sampling(top_k=1), rng())
    np.testing.assert_array_equal(likeliest, said.reshape(50, N_LEVELS, 2).argmax(axis=1))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_likeliest_levels_of_a_mixture_are_levels_not_components(temperature):
    readout, n = LEVELS["logistic mixture"], 20_000
    said = rng().standard_normal((1, readout.n_parameters))
    hot = cooled(readout, said[0], temperature)
    p = np.exp(-np.array([ORACLES["logistic mixture"](hot, np.array([level]))[0] for level in range(N_LEVELS)]))
    np.testing.assert_allclose(readout.probabilities(said, temperature)[0, 0], p, rtol=1e-9, atol=1e-12)
    many = np.repeat(said, n, axis=0)
    (one,) = set(readout.sample(many, Sampling(temperature, top_k=1), rng())[:, 0])
    assert one == p.argmax()
    best = np.sort(np.argsort(-p)[:3])
    drawn = readout.sample(many, Sampling(temperature, top_k=3), rng())
    assert drawn.shape == (n, 1) and drawn.dtype == np.int64
    found = np.bincount(drawn[:, 0], minlength=N_LEVELS) / n
    assert set(np.flatnonzero(found)) == set(best)
    np.testing.assert_allclose(found[best], p[best] / p[best].sum(), atol=5.0 * np.sqrt(0.25 / n))


# ---------------------------------------------------------------- extremes


@pytest.mark.parametrize("size", [30.0, 1e4])
@pytest.mark.parametrize("name", LEVELS)
def test_float32_is_finite_and_right_where_sigmoids_saturate(name, size, kernel):
    """Far from the target and with scales from the least to huge: value and gradient."""
    readout = LEVELS[name]
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    said = size * np.repeat(signs, readout.n_parameters // 3 or 1, axis=1)
    said = np.resize(said, (len(signs), readout.n_parameters))
    both = compiled(readout, 2, "int64", "float32", kernel, with_gradient=True)
    for level in range(N_LEVELS):
        value, gradient = both(said, np.full((len(signs), 1), level))
        assert np.isfinite(value) and np.isfinite(gradient).all() and value.dtype == np.float32
        assert value == pytest.approx(nats(readout, said, np.full((len(signs), 1), level)), rel=1e-4)


def test_a_narrow_peak_between_levels_costs_no_more_than_a_bit_and_one_on_a_level_nothing():
    readout = LogisticMixture(1, 256)
    step = 2.0 / 255
    for offset, least in ((0.0, 0.0), (0.5, np.log(2.0))):
        said = np.array([[0.0, -1.0 + (100 + offset) * step, -50.0]])
        assert nats(readout, said, np.array([[100]])) == pytest.approx(least, abs=1e-3)


def test_about_moves_the_location():
    readout = LEVELS["logistic mixture"]
    said, _ = some(readout, (5,))
    centre = 0.3 * rng().standard_normal((5, 2))
    moved = said.reshape(5, 3, 3, 2).copy()
    moved[:, 1] += centre[:, None] / readout.unit
    np.testing.assert_allclose(readout.shifted(said, centre), moved.reshape(5, -1))
    with pytest.raises(ValueError, match="no location"):
        LEVELS["categorical"].shifted(said, centre)


# ---------------------------------------------------------------- gradients, and as an objective of frames


@pytest.mark.parametrize("name", LEVELS)
def test_gradients_equal_differences(name, kernel):
    readout = LEVELS[name]
    said, target = some(readout, (4,))
    both = compiled(readout, 2, "int64", "float64", kernel, with_gradient=True)
    gradient = both(said, target)[1]
    for index in np.ndindex(said.shape):
        values = []
        for step in (-2e-3, -1e-3, 1e-3, 2e-3):
            other = said.copy()
            other[index] += step
            values.append(nats(readout, other, target))
        difference = (8 * (values[2] - values[1]) - (values[3] - values[0])) / 12e-3
        assert gradient[index] == pytest.approx(difference, abs=1e-8 + 1e-6 * np.abs(gradient).max())


def test_gradients_of_frames_through_a_recurrence(kernel):
    """Of a Gaussian they are among those of all losses: tests/nn/test_gradients.py."""
    readout, r = GaussianMixture(2), rng()
    with engine.precision("float64"):
        model = Sequential([GRU(2, 2, rng=r), Dense(2, 2 * readout.n_parameters, rng=r)])
        batch = Batch(r.standard_normal((3, 2, 2)), np.ones(2, bool))
        assert check_gradients(model, NextFrameDistribution(readout=readout), batch, rng=r, n_entries=4).largest < 1e-6


def test_the_objective_reports_the_mixtures_nats_and_its_mean_s_error():
    readout, frames = FRAMES["gaussian mixture"], rng().standard_normal((6, 5, 2)).astype(np.float32)
    model = LinearPredictor(2, 2 * readout.n_parameters)
    model.weight.set_value(rng().standard_normal((4, 18)).astype("float32"))
    values = Evaluation(model, NextFrameDistribution(readout=readout))([Batch(frames, np.ones(5, bool))])
    said = Stepper(model).prime(frames[:-1])[0].astype(float)
    assert values["nats"] == pytest.approx(gaussian_mixture_nats(said, frames[1:]).mean(), rel=1e-5)
    logits, means, _ = np.split(said.reshape(5, 5, 9, 2), 3, axis=2)
    mean = np.sum(softmax(logits, axis=2) * means, axis=2)
    error = np.sum((mean - frames[1:]) ** 2) / np.sum(frames[1:] ** 2)
    assert values["normalised_mse"] == pytest.approx(error, rel=1e-4)


def test_frames_are_played_from_the_mixture():
    readout, model = GaussianMixture(2), LinearPredictor(1, 6)
    model.weight.set_value(np.zeros((2, 6), "float32"))
    said = np.array([0.0, 1.0, -3.0, 3.0, -4.0, -4.0], "float32")
    model.bias.set_value(said)
    true = np.zeros((1, 4000, 1), np.float32)
    drawn = continue_frames(Stepper(model), true, 1, temperature=1.0, readout=readout).reshape(-1)
    assert np.mean(drawn > 0) == pytest.approx(expit(1.0), abs=0.04)
    assert np.std(drawn[drawn > 0]) == pytest.approx(np.exp(-2.0), rel=0.1)
    still = continue_frames(Stepper(model), true, 1, readout=readout)
    np.testing.assert_allclose(still, 6.0 * expit(1.0) - 3.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LogisticMixture(0, 256), "0 components"),
        (lambda: LogisticMixture(2, 1), "1 levels"),
        (lambda: LogisticMixture(2, 256, 0.0), "unit of 0.0"),
        (lambda: GaussianMixture(0), "n_components is 0"),
    ],
)
def test_sizes_that_are_refused(build, message):
    with pytest.raises(RnnaudioError, match=message):
        build()


def test_every_readout_is_tested():
    kinds = {getattr(readouts, name) for name in readouts.__all__ if not name.endswith("Readout")}
    kinds -= {readouts.GAUSSIAN}
    assert kinds == {type(readout) for readout in EVERY.values()}
