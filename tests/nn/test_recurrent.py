"""Cells and their unrolling against loops in NumPy: outputs, states and back-propagated gradients."""

from functools import partial

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.nn import GRU, LSTM, Context, LearntInitialState, LinearPredictor, MemoryLSTM, Noisy
from rnnaudio.nn.layer import flatten, unflatten
from tests.support import agreement, oracles
from tests.support.agreement import KINDS, Sizes, recurrence
from tests.support.gradient_cases import randomise

pytestmark = pytest.mark.usefixtures("kernel")
TOLERANCE = 1e-10
in_full = partial(pytest.param, marks=pytest.mark.slow)
MASK = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 1], [1, 0, 1]], "int8")  # a gap, a missing end, a missing beginning


@pytest.mark.both_kernels
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("kind", KINDS)
def test_unrolled_equals_the_numpy_loop(kind, masked):
    errors = recurrence(kind, masked=masked)
    n_parameters = {"lstm": 3, "lstm peepholes": 6, "gru": 3, "memory lstm": 4}[kind]
    n_states = 2 if kind.startswith("lstm") else 1
    assert len(errors) == 1 + n_states + 1 + n_states + n_parameters  # outputs, final states; x, initial states, ...
    assert max(errors.values()) <= TOLERANCE, errors


@pytest.mark.both_kernels
@pytest.mark.parametrize("padding", [np.nan, np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_of_any_kind_reaches_no_gradient(kind, padding):
    errors = recurrence(kind, masked=True, padding=padding)
    assert max(errors.values()) <= TOLERANCE, errors


@pytest.mark.parametrize("sizes", [(1, 3, 2, 4), (5, 1, 2, 4), (5, 3, 2, 1), (1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("kind", ["lstm peepholes", "gru", "memory lstm"])
def test_sizes_of_one(kind, sizes):
    n_steps = sizes[0]
    assert max(recurrence(kind, Sizes(*sizes), masked=n_steps > 1).values()) <= TOLERANCE


@pytest.mark.parametrize("truncate", [*map(in_full, (1, 6)), 3])
@pytest.mark.parametrize("kind", ["lstm peepholes", "gru", "memory lstm"])
def test_truncated_gradient_equals_the_truncated_numpy_loop(kind, truncate):
    errors = recurrence(kind, masked=True, truncate=truncate)
    assert max(errors.values()) <= TOLERANCE, errors


def test_a_planted_mistake_is_found(monkeypatch):
    step = oracles.gru_step
    monkeypatch.setattr(oracles, "gru_step", lambda x, h, p: step(x, 1.0001 * h, p))
    errors = recurrence("gru")
    assert errors["outputs"] > 1e-6 and errors["w_hidden"] > 1e-6


def test_noise_enters_every_layer_of_a_memory_lstm_scaled_and_fresh():
    rng = np.random.default_rng(11)
    with engine.precision("float64"):
        cell = MemoryLSTM(2, 2, rng=rng, noise_std=0.3)
        x, m0 = rng.standard_normal((4, 3, 2)), rng.standard_normal((3, 4))
        x_v, m0_v = engine.tensor("x", 3), engine.tensor("m0", 2)
        outputs = []
        for context in (Context.training_with(np.array([7, 9])), Context.evaluation()):
            y, _ = cell.unroll(x_v, type(cell.state_sizes)(m0_v), context, engine.tt.as_tensor_variable(MASK))
            outputs.append(y)
        training, evaluation = engine.function([x_v, m0_v], outputs)(x, m0)
    noise = tuple(
        0.3 * np.random.default_rng([7, 9, stream, 1]).standard_normal((4, 3, width))
        for stream, width in ((0, 2 * 12), (1, 2 * 6))
    )
    p = {name: value.get_value() for name, value in cell.parameters().items()}
    np.testing.assert_allclose(training, oracles.memory_forward(x, m0, p, MASK, noise)[0], rtol=TOLERANCE)
    np.testing.assert_allclose(evaluation, oracles.memory_forward(x, m0, p, MASK)[0], rtol=TOLERANCE)


@pytest.mark.parametrize("wrap", [None, LearntInitialState], ids=["zero", "learnt"])
def test_the_initial_state_is_one_row_for_every_sequence(wrap):
    rng = np.random.default_rng(3)
    cell = LSTM(2, 3, rng=rng)
    expected = [np.zeros(3), np.zeros(3)]
    if wrap:
        cell = randomise(wrap(cell), rng)
        expected = [cell.get_values()[name] for name in ("initial_hidden", "initial_cell")]
    values = engine.function([], flatten(cell.initial_state(4)))()
    for value, row in zip(values, expected, strict=True):
        np.testing.assert_array_equal(value, np.tile(row, (4, 1)))


def test_linear_predictor_equals_a_sum_over_past_frames():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((5, 3, 2))
    with engine.precision("float64"):
        cell = randomise(LinearPredictor(2, 4, n_frames=3), rng)
        before = [rng.standard_normal((3, 2)) for _ in range(3)]  # x_0, x_-1, x_-2
        y, final = _run(cell, x, before)
    weight, bias = (cell.get_values()[name] for name in ("weight", "bias"))
    history = np.stack([*before[::-1], *x])  # x_-2 .. x_5
    expected = sum(history[3 - k : 8 - k] @ weight[2 * k : 2 * k + 2] for k in range(3)) + bias
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    for k in range(3):
        np.testing.assert_array_equal(final[k], x[4 - k])


def test_masked_steps_keep_output_state_and_frames():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, 3, 2))
    with engine.precision("float64"):
        cell = randomise(LinearPredictor(2, 4, n_frames=2), rng)
        y, final = _run(cell, x, [np.zeros((3, 2))] * 2, MASK)
        short, _ = _run(cell, x[[0, 3]], [np.zeros((3, 2))] * 2)
    # sequence 0 sees steps 0 and 3 only, sequence 1 ends after step 2
    np.testing.assert_allclose(y[[0, 3], 0], short[:, 0], rtol=1e-12)
    np.testing.assert_array_equal(y[1, 0], y[0, 0])
    np.testing.assert_array_equal(final[0][1], x[2, 1])
    # padding is never looked at
    padded = np.where(MASK[:, :, None], x, 1e6)
    with engine.precision("float64"):
        again, _ = _run(cell, padded, [np.zeros((3, 2))] * 2, MASK)
    np.testing.assert_array_equal(again, y)


def noisy_gru_in_numpy(p, x, h, key, std, state_std, mask):
    """Noisy(GRU): stream 0 goes to the input, stream 1 to the state, at every step."""
    draws = [np.random.default_rng([*key, stream, 1]).standard_normal for stream in (0, 1)]
    x = x + std * draws[0](x.shape)
    noise = state_std * draws[1]((len(x), *h.shape))
    hidden = []
    for t in range(len(x)):
        m = mask[t][:, None]
        h = m * oracles.gru_step(x[t], h + noise[t], p).h + (1 - m) * h
        hidden.append(h)
    return np.stack(hidden)


def test_noisy_equals_a_numpy_loop_with_the_same_draws():
    rng = np.random.default_rng(6)
    x, h = rng.standard_normal((4, 3, 2)), rng.standard_normal((3, 5))
    with engine.precision("float64"):
        cell = randomise(Noisy(GRU(2, 5, rng=rng), std=0.3, state_std=0.2), rng)
        training, _ = _run(cell, x, [h], MASK, Context.training_with(np.array([7, 9])))
        evaluation, _ = _run(cell, x, [h], MASK)
    p = {name.removeprefix("gru."): value for name, value in cell.get_values().items()}
    np.testing.assert_allclose(training, noisy_gru_in_numpy(p, x, h, (7, 9), 0.3, 0.2, MASK), rtol=TOLERANCE)
    np.testing.assert_allclose(evaluation, oracles.gru_forward(x, h, p, MASK), rtol=TOLERANCE)


def test_annealed_noise_takes_effect_without_compiling_again():
    rng = np.random.default_rng(7)
    cell = Noisy(GRU(2, 3, rng=rng), std=0.5)
    x = engine.tensor("x", 3)
    y, _ = cell.unroll(x, cell.initial_state(x.shape[1]), Context.training_with(np.array([1, 1])))
    function = engine.function([x], y)
    value = rng.standard_normal((4, 2, 2))
    loud = function(value)
    cell.set_std(0.0, 0.0)
    p = {name.removeprefix("gru."): v.astype(float) for name, v in cell.get_values().items()}
    clean = oracles.gru_forward(value, np.zeros((2, 3)), p)
    np.testing.assert_allclose(function(value), clean, atol=1e-6)
    assert np.abs(loud - clean).max() > 0.01
    with pytest.raises(ValueError, match="built with 0"):
        cell.set_std(0.1, 0.1)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_taps_show_the_gates_of_every_step(kind):
    rng = np.random.default_rng(8)
    x = rng.standard_normal((3, 2, 2))
    with engine.precision("float64"):
        cell = randomise(kind(2, 3, rng=rng), rng)
        taps = []
        x_v = engine.tensor("x", 3)
        cell.unroll(x_v, cell.initial_state(2), Context.evaluation(taps=taps))
        [(owner, gates)] = taps
        values = dict(zip(gates, engine.function([x_v], list(gates.values()))(x), strict=True))
    assert owner is cell
    p, h, c = cell.get_values(), np.zeros((2, 3)), np.zeros((2, 3))
    for t in range(3):
        if kind is LSTM:
            step = oracles.lstm_step(x[t], h, c, p)
            c = step.c
            expected = {"input": step.i, "forget": step.f, "candidate": step.g, "output": step.o}
        else:
            step = oracles.gru_step(x[t], h, p)
            expected = {"reset": step.r, "update": step.u, "candidate": step.k}
        h = step.h
        for name, value in expected.items():
            np.testing.assert_allclose(values[name][t], value, rtol=1e-10)


@pytest.mark.modes
@pytest.mark.parametrize(("kind", "truncate"), [("lstm peepholes", 3), ("gru", None)])
def test_this_mode_equals_the_numpy_loop(kind, truncate):
    """One graph of each kind of gradient: cut after three steps, and through the whole sequence."""
    errors = recurrence(kind, Sizes(5, 2, 3, 4), masked=True, truncate=truncate)
    assert max(errors.values()) <= TOLERANCE, errors


@pytest.mark.modes
def test_this_mode_runs_noise_and_linear_prediction_as_python_mode_does():
    """One graph of the two state patterns that the oracles' gradients do not cover; python mode is checked above."""
    rng = np.random.default_rng(9)
    arrays = [rng.standard_normal((4, 3, 2)), rng.standard_normal((3, 3)), *rng.standard_normal((2, 3, 2)), MASK]
    with engine.precision("float64"):
        noisy = randomise(Noisy(GRU(2, 3, rng=rng), std=0.3, state_std=0.2), rng)
        linear = randomise(LinearPredictor(2, 3, n_frames=2), rng)
        x, mask = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
        states = [engine.tensor(f"state_{k}", 2) for k in range(3)]
        context = Context.training_with(np.array([7, 9]))
        y_1, final_1 = noisy.unroll(x, unflatten(noisy.state_sizes, states[:1]), context, mask)
        y_2, final_2 = linear.unroll(x, unflatten(linear.state_sizes, states[1:]), context, mask)
        outputs = [y_1, y_2, *flatten((final_1, final_2))]
        wanted = [x, *states, *noisy.parameters().values(), *linear.parameters().values()]
        outputs += engine.gradient(tt.sum(tt.sqr(y_1 + y_2)), wanted)
        inputs = [x, *states, mask]
        here, reference = (engine.function(inputs, outputs, mode=mode)(*arrays) for mode in (None, "python"))
    p = {name.removeprefix("gru."): value for name, value in noisy.get_values().items()}
    expected = noisy_gru_in_numpy(p, arrays[0], arrays[1], (7, 9), 0.3, 0.2, MASK)
    np.testing.assert_allclose(here[0], expected, rtol=TOLERANCE)
    for got, value in zip(here, reference, strict=True):
        assert oracles.max_relative_error(got, value) <= TOLERANCE


def _run(cell, x, state, mask=None, context=None):
    """Outputs and final state leaves of one unroll in float64."""
    x_v, mask_v = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
    states = [engine.tensor(f"state_{k}", 2) for k in range(len(state))]
    y, final = cell.unroll(
        x_v,
        unflatten(cell.state_sizes, states),
        context or Context.evaluation(),
        None if mask is None else mask_v,
    )
    values = engine.function([x_v, mask_v, *states], [y, *flatten(final)])(
        x, np.ones(x.shape[:2], "int8") if mask is None else mask, *state
    )
    return values[0], values[1:]


def test_the_comparison_is_not_of_zeros_with_zeros():
    rng = np.random.default_rng(10)
    with engine.precision("float64"):
        values = randomise(LSTM(2, 3, rng=rng, peepholes=True), rng).get_values()
    assert all(np.abs(value).min() > 0 for value in values.values())
    assert agreement.recurrence("lstm peepholes", Sizes(3, 2, 2, 3)).keys() >= set(values)


@pytest.mark.parametrize("masked", [False, True])
def test_wrapped_noise_is_drawn_once_and_the_same_by_both_kernels(masked):
    values = []
    for kernel in engine.KERNELS:
        with engine.using_kernel(kernel), engine.precision("float64"):
            rng = np.random.default_rng(4)
            inner = Noisy(LearntInitialState(GRU(2, 3, rng=rng)), state_std=0.2)
            cell = Noisy(inner, std=0.3)
            x = engine.tt.as_tensor_variable(np.random.default_rng(5).standard_normal((4, 3, 2)))
            mask = engine.tt.as_tensor_variable(MASK) if masked else None
            y, _ = cell.unroll(x, cell.initial_state(3), Context.training_with(np.array([7, 9])), mask)
            values.append(engine.function([], y)())
    np.testing.assert_allclose(*values, rtol=TOLERANCE)
