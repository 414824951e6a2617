"""Baselines, batch check and probe, each against a closed form or a planted fault."""

import sys

import numpy as np
import pytest

from rnnaudio.data import Batch
from rnnaudio.diagnostics import baselines, check_batch, linear_prediction, measured_shifts, probe
from rnnaudio.diagnostics.baselines import contexts
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import scores_in_decibel
from rnnaudio.nn import GRU, LSTM, Dense, LinearPredictor, Sequential, Sum, mlp
from rnnaudio.objectives import Strategy, predict_next, reconstruct_current
from rnnaudio.runs.frames.page import rounded_decibel


def frames(n_steps=8, batch=3, n=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n_steps + 1, batch, n)).astype("float32")


def test_contexts_put_the_latest_frame_first_and_zeros_before_the_start():
    x = np.arange(6.0).reshape(3, 1, 2)
    assert contexts(x, 2)[:, 0].tolist() == [[0, 1, 0, 0], [2, 3, 0, 1], [4, 5, 2, 3]]


def test_linear_prediction_recovers_a_linear_recursion():
    """x_t = A x_{t-1} + B x_{t-2} + noise, at rest before the start: the coefficients are found."""
    rng = np.random.default_rng(0)
    a, b = 0.5 * np.linalg.qr(rng.standard_normal((2, 2)))[0], 0.3 * np.linalg.qr(rng.standard_normal((2, 2)))[0]
    x = np.zeros((200, 40, 2))
    for t in range(200):
        x[t] = x[t - 1] @ a + x[t - 2] @ b + rng.standard_normal((40, 2))  # x[-1] and x[-2] are still zero at t = 0, 1
    linear = linear_prediction([(x[:-1], x[1:])], n_frames=2, ridge=1e-12)
    np.testing.assert_allclose(linear.weight, np.vstack([a, b]), atol=0.05)


def test_baselines_of_a_known_signal():
    """Period-2 alternation: persistence doubles the amplitude of the error (4 times the energy), linear is exact."""
    x = np.tile(np.array([[[1.0]], [[-1.0]]]), (10, 1, 1))
    pairs = [(x[:-1], x[1:])]
    scores = baselines(pairs, linear_prediction(pairs, ridge=1e-12))
    assert scores["predict zero"] == 1.0
    assert scores["persistence"] == pytest.approx(4.0)
    assert scores["linear prediction"] == pytest.approx(0.0, abs=1e-12)


def test_silence_has_no_baselines_but_breaks_nothing():
    silence = np.zeros((9, 3, 2), "float32")
    pairs = [(silence[:-1], silence[1:])]
    linear = linear_prediction(pairs)
    assert not linear.weight.any() and not linear.bias.any()
    scores = baselines(pairs, linear)
    assert len(scores) == 3 and np.isnan(list(scores.values())).all()
    assert scores_in_decibel(scores).count("nan (silence)") == 3
    sound = frames()
    expected = baselines([(sound[:-1], sound[1:])], linear)
    assert baselines([*pairs, (sound[:-1], sound[1:])], linear) == expected  # silent windows beside others add nothing


def test_no_decibels_of_minus_zero():
    assert scores_in_decibel({"a": 0.9999, "b": 1.0001, "c": 0.5}) == "a 0.00 dB, b 0.00 dB, c -3.01 dB"
    assert (str(rounded_decibel(0.9999)), rounded_decibel(0.5), rounded_decibel(None)) == ("0.0", -3.01, None)


def test_batch_check_passes_both_strategies():
    batch = Batch(frames(), np.ones(3, bool))
    assert check_batch(predict_next, batch).passed
    assert check_batch(reconstruct_current, batch).passed


def test_batch_check_finds_the_fault_of_2016():
    """A predictor whose target is the current input, and other wrong shifts."""
    check = check_batch(Strategy("predict_next", shift=1), Batch(frames(), np.ones(3, bool)))
    assert check.passed
    x = frames()[:-1]
    assert measured_shifts(x, x) == (0,)
    assert measured_shifts(x[:-2], x[2:]) == (2,)
    assert measured_shifts(x, frames(seed=1)[1:]) == ()

    class Defective(Strategy):
        def split(self, whole):
            return whole[:-1], whole[:-1]

    check = check_batch(Defective("predict_next", shift=1), Batch(frames(), np.ones(3, bool)))
    assert not check.passed and "FAILED" in str(check) and "+0" in str(check)


def test_batch_check_refuses_silence():
    with pytest.raises(RnnaudioError, match="inconclusive"):
        check_batch(predict_next, Batch(np.zeros((9, 3, 2), "float32"), np.ones(3, bool)))


@pytest.mark.jax
def test_probe_sees_saturated_gates():
    """A huge forget bias saturates that gate and no other."""
    rng = np.random.default_rng(0)
    model = Sequential([LSTM(2, 5, rng=rng, forget_bias=50.0), Dense(5, 2, rng=rng)])
    histograms = probe(model, *predict_next.split(frames())).saturation
    assert histograms["lstm.forget"].saturated == 1.0
    assert histograms["lstm.input"].saturated < 0.2
    assert {name: h.counts.sum() for name, h in histograms.items()} == dict.fromkeys(
        ["lstm.input", "lstm.forget", "lstm.candidate", "lstm.output"], 8 * 3 * 5
    )


def test_probe_sees_dead_relu_units():
    rng = np.random.default_rng(0)
    model = Sequential([GRU(2, 5, rng=rng), mlp([5, 4, 2], rng=rng)])
    values = model.get_values()
    values["sequential.dense.bias"] = np.array([-100.0, 100.0, 100.0, 100.0])
    model.set_values(values)
    histograms = probe(model, *predict_next.split(frames())).saturation
    assert histograms["sequential.dense.relu"].saturated == 0.25
    assert {"gru.reset", "gru.update", "gru.candidate"} <= set(histograms)


@pytest.mark.jax
def test_gradient_through_time_of_a_linear_predictor_is_its_coefficients():
    """loss = sum_b mean_j (y_T - target)^2, y_T = x_T A + x_{T-1} B: gradients 2/n (y - t) A' and B', then zero."""
    model = Sum(linear=LinearPredictor(2, 2, n_frames=2))
    rng = np.random.default_rng(1)
    weight, bias = rng.standard_normal((4, 2)), rng.standard_normal(2)
    model.set_values({"linear.weight": weight, "linear.bias": bias})
    x, target = predict_next.split(frames())
    through_time = probe(model, x, target).gradient_through_time
    error = x[-1] @ weight[:2] + x[-2] @ weight[2:] + bias - target[-1]
    expected = [np.sqrt(np.mean(np.sum((error @ w.T) ** 2, axis=1))) for w in (weight[:2], weight[2:])]
    np.testing.assert_allclose(through_time[:2], expected, rtol=1e-4)
    np.testing.assert_array_equal(through_time[2:], 0.0)


def test_frames_too_wide_for_normal_equations_have_no_linear_baseline():
    wide = np.zeros((3, 1, 5000), np.float32)
    wide[:, :, 0] = 1.0
    linear = linear_prediction([(wide[:-1], wide[1:])])
    assert linear is None
    assert baselines([(wide[:-1], wide[1:])], linear) == {"predict zero": 1.0, "persistence": 0.0}


def test_wide_frames_are_not_all_gone_through(monkeypatch):
    """Rows beyond twice the inputs are left out once the products are many; the coefficients are those of the rest."""
    monkeypatch.setattr(sys.modules[contexts.__module__], "MOST_PRODUCTS", 1e3)
    pairs = [(x, x[::-1]) for x in np.random.default_rng(0).standard_normal((9, 10, 4, 5))]
    few = linear_prediction(pairs, n_frames=1)
    np.testing.assert_array_equal(few.weight, linear_prediction(pairs[:2], n_frames=1).weight)
    monkeypatch.undo()
    assert not np.allclose(few.weight, linear_prediction(pairs, n_frames=1).weight)
