"""Free run in frames, deterministic and sampled, against loops written out; the likelihood as an objective."""

import numpy as np
import pytest
import scipy.stats

from rnnaudio.data import Batch
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper, continue_frames
from rnnaudio.losses import LEAST_VARIANCE, gaussian_parts
from rnnaudio.nn import LSTM, Dense, LinearPredictor, Sequential
from rnnaudio.objectives import NextFrameDistribution
from rnnaudio.training import Evaluation
from tests.support.sounds import spoilt

TRUE = np.random.default_rng(7).standard_normal((5, 3, 2)).astype(np.float32)


def linear(n_out, seed=1):
    model = LinearPredictor(2, n_out)
    rng = np.random.default_rng(seed)
    model.weight.set_value((0.3 * rng.standard_normal((4, n_out))).astype("float32"))
    model.bias.set_value(rng.standard_normal(n_out).astype("float32"))
    return model


def test_the_free_run_is_the_recursion():
    model = linear(2)
    frames = list(TRUE.astype(float))
    for _ in range(6):
        frames.append(np.concatenate(frames[:-3:-1], axis=1) @ model.weight.get_value() + model.bias.get_value())
    np.testing.assert_allclose(continue_frames(Stepper(model), TRUE, 6), frames[5:], atol=1e-5)
    assert continue_frames(Stepper(model), TRUE, 0).shape == (0, 3, 2)


def test_states_go_on_from_the_true_frames():
    rng = np.random.default_rng(3)
    stepper = Stepper(Sequential([LSTM(2, 4, rng=rng), Dense(4, 2, rng=rng)]))
    six = continue_frames(stepper, TRUE, 6)
    extended = np.concatenate([TRUE, six[:2]])
    np.testing.assert_allclose(continue_frames(stepper, extended, 4), six[2:], atol=1e-6)


def test_samples_have_the_mean_and_variance_that_are_said():
    model = linear(4)
    model.weight.set_value(np.zeros((4, 4), "float32"))
    model.bias.set_value(np.array([1.0, -2.0, np.log(0.25), np.log(4.0)], "float32"))
    true = np.zeros((1, 4000, 2), np.float32)
    for temperature in (0.0, 0.5, 1.0):
        frames = continue_frames(Stepper(model), true, 2, temperature=temperature, seed=5).reshape(-1, 2)
        deviation = temperature * np.sqrt(np.array([0.25, 4.0]) + LEAST_VARIANCE)
        np.testing.assert_allclose(frames.mean(axis=0), [1.0, -2.0], atol=0.1)
        np.testing.assert_allclose(frames.std(axis=0), deviation, rtol=0.03, atol=1e-6)
        if temperature == 1.0:
            assert scipy.stats.kstest((frames[:, 0] - 1.0) / deviation[0], "norm").pvalue > 1e-3
    first, again, other = (continue_frames(Stepper(model), true, 2, temperature=1.0, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1.0


def test_the_objective_reports_nats_and_the_error_of_the_mean():
    frames = np.random.default_rng(2).standard_normal((6, 5, 2)).astype(np.float32)
    model = linear(4)
    values = Evaluation(model, NextFrameDistribution())([Batch(frames, np.ones(5, bool))])
    said, _ = Stepper(model).prime(frames[:-1])
    mean, log_variance = gaussian_parts(said.astype(float))
    nats = -scipy.stats.norm.logpdf(frames[1:], mean, np.sqrt(np.exp(log_variance) + LEAST_VARIANCE))
    assert list(values) == ["nats", "normalised_mse"]
    assert values["nats"] == pytest.approx(nats.mean(), rel=1e-5)
    assert values["normalised_mse"] == pytest.approx(
        np.sum((mean - frames[1:]) ** 2) / np.sum(frames[1:] ** 2), rel=1e-5
    )


def test_what_is_refused():
    plain, gaussian = Stepper(linear(2)), Stepper(linear(4))
    for call, message in [
        (
            lambda: continue_frames(plain, TRUE, 2, temperature=1.0),
            "temperature is 1.0, but the model predicts no variances",
        ),
        (lambda: continue_frames(gaussian, TRUE, 2, temperature=-1.0), "predicts variances: expected 0 or more"),
        (lambda: continue_frames(plain, TRUE[:0], 2), r"got true frames \(0, 3, 2\), expected \(time, batch, 2\)"),
        (lambda: continue_frames(plain, spoilt((2, 3, 2)), 2), "all finite"),
    ]:
        with pytest.raises(RnnaudioError, match=message):
            call()
    with pytest.raises(ValueError, match="3 outputs for 2 inputs; expected 2, or 4"):
        continue_frames(Stepper(Dense(2, 3, rng=np.random.default_rng(0))), TRUE, 1)
