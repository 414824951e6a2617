"""Symbolic gradients against central differences, and the check itself against planted mistakes."""

import numpy as np
import pytest

from rnnaudio import engine, nn
from rnnaudio.diagnostics.gradient_check import check_gradients, relative_error
from tests.support import gradient_cases
from tests.support.gradient_cases import CASES, LAYERS, Batch, Supervised, randomise

TOLERANCE = 1e-6
# Structural zeros: the oldest frame of a linear predictor leaves its state unused; batch norm takes away any bias.
UNHEARD = {
    "linear predictor": {"state_2"},
    "linear path beside a stack": {"state_2"},
    "mlp": {"dense.bias", "dense_2.bias"},
}


def in_mode_jax(case):
    """Marks every layer and loss once, masked and in training, and the stack of most kinds of layers."""
    is_loss = case.name.endswith(("error", "entropy", "distance", "likelihood"))
    is_one = is_loss or case.name in LAYERS or case.name == "normalised dropped stack"
    marks = [pytest.mark.jax] if is_one and case.training and case.objective.masked else []
    return pytest.param(case, marks=marks, id=case.label)


MASKED = [case for case in CASES if case.training and case.objective.masked]
OTHERS = [case for case in CASES if case not in MASKED]
SLOW = ("draw", "draw with attention", "past attention")  # 6 to 14 s each; masked they are in the fast tier


@pytest.mark.parametrize("case", [in_mode_jax(case) for case in MASKED])
def test_gradient_equals_differences(case, kernel):
    assert_that_it_equals_differences(case)


def slow_if_large(case):
    return pytest.param(case, marks=[pytest.mark.slow] if case.name in SLOW else [], id=case.label)


@pytest.mark.parametrize("case", [slow_if_large(case) for case in OTHERS])
def test_gradient_without_a_mask_or_in_evaluation_equals_differences(case):
    """By the kernels alone, whose gradients equal those of scan with and without a mask: kernels/test_recurrences."""
    assert_that_it_equals_differences(case)


def assert_that_it_equals_differences(case):
    report = gradient_cases.check(case)
    assert report.largest <= TOLERANCE, f"\n{report}"
    silent = {array.name for array in report.arrays if array.largest_gradient < 1e-4}
    assert silent <= UNHEARD.get(case.name, set()), f"zero gradients prove nothing:\n{report}"


def test_every_layer_has_a_case():
    used = set()
    for case in CASES:
        used |= {type(layer) for _, layer in case.build(np.random.default_rng(0)).layers()}
    exported = {getattr(nn, name) for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    # Models of codes and of samples are checked with their objectives: tests/runs/test_codes.py,
    # tests/runs/test_samples.py.
    of_samples = {nn.FrameTier, nn.SampleModel, nn.SampleTier}
    assert exported - used - of_samples == {nn.Cell, nn.CodeModel, nn.Context, nn.Layer}


def test_parameters_inputs_targets_and_initial_states_are_all_checked():
    case = next(case for case in CASES if case.name == "learnt initial state")
    names = [array.name for array in gradient_cases.check(case).arrays]
    weights = [f"lstm.{name}" for name in ("w_input", "w_hidden", "bias")]
    peepholes = [f"lstm.peephole_{gate}" for gate in ("input", "forget", "output")]
    expected = ["initial_hidden", "initial_cell", *weights, *peepholes, "inputs", "targets", "state_0", "state_1"]
    assert names == expected


class WrongGradient(nn.Dense):
    """Its values are right; its symbolic gradient is a thousandth too large."""

    def apply(self, x, context):
        return engine.backend.gradient.grad_scale(super().apply(x, context), 1.001)


class ForgottenPath(nn.GRU):
    """Its gradient does not run back through the reset gate."""

    def recur(self, inputs, state):
        right = super().recur(inputs, state)
        gates = self.gates(inputs, state)
        stopped = engine.backend.gradient.disconnected_grad(gates["update"])
        return type(right)((1 - stopped) * state.hidden + stopped * gates["candidate"])


@pytest.mark.parametrize(("layer", "least"), [(WrongGradient, 9e-4), (ForgottenPath, 1e-2)])
def test_a_planted_mistake_is_found(layer, least):
    report = _check_one(layer)
    assert report.largest > least
    worst = max(report.arrays, key=lambda array: array.error)
    assert abs(worst.symbolic - worst.difference) > 1e-6


def test_the_model_is_checked_in_float64_and_left_as_it_was():
    rng = np.random.default_rng(1)
    model = randomise(nn.LSTM(2, 3, rng=rng), rng)
    before = model.get_values()
    batch = Batch(rng.standard_normal((3, 2, 2)), rng.standard_normal((3, 2, 3)), np.ones((3, 2)))
    assert check_gradients(model, Supervised(), batch, rng=rng).largest <= TOLERANCE
    after = model.get_values()
    assert engine.float_type() == "float32"
    assert all(after[name].dtype == "float32" and np.array_equal(after[name], before[name]) for name in before)


def test_the_report_says_where():
    text = str(_check_one(WrongGradient))
    assert "weight[" in text and "of 6" in text and "inputs[" in text


def test_nan_is_reported_not_swallowed():
    rng = np.random.default_rng(3)
    model = nn.Dense(2, 3, rng=rng)
    batch = Batch(np.full((3, 2, 2), np.nan), rng.standard_normal((3, 2, 3)), np.ones((3, 2)))
    assert np.isnan(check_gradients(model, Supervised(), batch, rng=rng).largest)


def test_relative_error():
    assert relative_error(1.0, 1.001, floor=0.1) == pytest.approx(1e-3 / 1.001)
    assert relative_error(1e-12, -1e-12, floor=1e-3) == pytest.approx(2e-9)


def _check_one(layer):
    rng = np.random.default_rng(2)
    model = randomise(layer(2, 3, rng=rng), rng)
    batch = Batch(rng.standard_normal((3, 2, 2)), rng.standard_normal((3, 2, 3)), np.ones((3, 2)))
    return check_gradients(model, Supervised(), batch, rng=rng, training=False)
