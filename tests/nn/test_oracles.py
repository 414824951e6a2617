"""The oracles themselves: gradients against differences, equations against PyTorch and against numbers by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support import oracles

N_STEPS, N_BATCH, N_IN, N_UNITS = 5, 3, 2, 4
PEEPHOLES = ("peephole_input", "peephole_forget", "peephole_output")


def _rng():
    return np.random.default_rng(2016)


def _recurrent_case(n_gates, peepholes=False):
    """Non-zero input, state and parameters, large enough that the gates leave their linear range."""
    rng = _rng()
    p = {
        "w_input": rng.normal(size=(N_IN, n_gates * N_UNITS)),
        "w_hidden": rng.normal(size=(N_UNITS, n_gates * N_UNITS)),
        "bias": rng.normal(size=n_gates * N_UNITS),
    }
    if peepholes:
        p.update({name: rng.normal(size=N_UNITS) for name in PEEPHOLES})
    x = rng.normal(size=(N_STEPS, N_BATCH, N_IN))
    h0, c0, d_final_cell = rng.normal(size=(3, N_BATCH, N_UNITS))
    d_hidden = rng.normal(size=(N_STEPS, N_BATCH, N_UNITS))
    return x, h0, c0, p, d_hidden, d_final_cell


# A gap in the middle, an end and a beginning left out: each item of the batch another.
MASK = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 1]], dtype=float)


def _assert_gradients(gradients, cost, values, tolerance=1e-8):
    """gradients against differences of cost(**values), by name."""
    assert set(gradients) == set(values)
    expected = oracles.central_difference(lambda *a: cost(**dict(zip(values, a, strict=True))), list(values.values()))
    for name, difference in zip(values, expected, strict=True):
        assert np.abs(difference).max() > 1e-4, f"{name}: a zero gradient would prove nothing"
        assert oracles.max_relative_error(gradients[name], difference) <= tolerance, name


@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
@pytest.mark.parametrize("peepholes", [False, True], ids=["plain", "peepholes"])
def test_lstm_backward_equals_differences(mask, peepholes):
    x, h0, c0, p, d_hidden, d_final_cell = _recurrent_case(4, peepholes)

    def cost(x, h0, c0, **p):
        hidden, cell = oracles.lstm_forward(x, h0, c0, p, mask)
        return (d_hidden * hidden).sum() + (d_final_cell * cell[-1]).sum()

    gradients = oracles.lstm_backward(x, h0, c0, p, d_hidden, d_final_cell, mask)
    _assert_gradients(gradients, cost, {"x": x, "h0": h0, "c0": c0, **p})


@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
def test_gru_backward_equals_differences(mask):
    x, h0, _, p, d_hidden, _ = _recurrent_case(3)

    def cost(x, h0, **p):
        return (d_hidden * oracles.gru_forward(x, h0, p, mask)).sum()

    gradients = oracles.gru_backward(x, h0, p, d_hidden, mask)
    _assert_gradients(gradients, cost, {"x": x, "h0": h0, **p})


def test_truncated_lstm_gradient_is_that_of_the_last_steps_alone():
    x, h0, c0, p, d_hidden, d_final_cell = _recurrent_case(4, peepholes=True)
    hidden, cell = oracles.lstm_forward(x, h0, c0, p, MASK)
    whole = oracles.lstm_backward(x, h0, c0, p, d_hidden, d_final_cell, MASK, truncate=2)
    last = oracles.lstm_backward(x[3:], hidden[2], cell[2], p, d_hidden[3:], d_final_cell, MASK[3:])
    for name in p:
        np.testing.assert_allclose(whole[name], last[name], rtol=1e-13)
    np.testing.assert_allclose(whole["x"][3:], last["x"], rtol=1e-13)
    assert not whole["x"][:3].any() and not whole["h0"].any() and not whole["c0"].any()


def test_truncated_gru_gradient_is_that_of_the_last_steps_alone():
    x, h0, _, p, d_hidden, _ = _recurrent_case(3)
    hidden = oracles.gru_forward(x, h0, p)
    whole = oracles.gru_backward(x, h0, p, d_hidden, truncate=2)
    last = oracles.gru_backward(x[3:], hidden[2], p, d_hidden[3:])
    for name in p:
        np.testing.assert_allclose(whole[name], last[name], rtol=1e-13)
    np.testing.assert_allclose(whole["x"][3:], last["x"], rtol=1e-13)
    assert not whole["x"][:3].any() and not whole["h0"].any()


@pytest.mark.parametrize("truncate", [N_STEPS, N_STEPS + 10])
def test_truncation_beyond_the_sequence_changes_nothing(truncate):
    x, h0, c0, p, d_hidden, _ = _recurrent_case(4)
    whole = oracles.lstm_backward(x, h0, c0, p, d_hidden)
    for name, value in oracles.lstm_backward(x, h0, c0, p, d_hidden, truncate=truncate).items():
        np.testing.assert_array_equal(value, whole[name])


def test_one_lstm_step_by_hand():
    # One unit, all pre-activations zero but for the candidate's bias: gates 1/2, so c' = c/2 + tanh(1)/2.
    p = {"w_input": np.zeros((1, 4)), "w_hidden": np.zeros((1, 4)), "bias": np.array([0.0, 0.0, 1.0, 0.0])}
    hidden, cell = oracles.lstm_forward(np.ones((1, 1, 1)), np.zeros((1, 1)), np.full((1, 1), 3.0), p)
    assert cell[0, 0, 0] == pytest.approx(1.5 + 0.38079707797788, abs=1e-13)
    assert hidden[0, 0, 0] == pytest.approx(0.5 * np.tanh(1.88079707797788), abs=1e-13)


def test_the_output_peephole_sees_the_new_cell():
    # Forget gate shut, input gate open, candidate 0: c' = 0 whatever c was, so the output gate stays at 1/2.
    p = {"w_input": np.zeros((1, 4)), "w_hidden": np.zeros((1, 4)), "bias": np.array([50.0, -50.0, 50.0, 0.0])}
    p.update(peephole_input=np.zeros(1), peephole_forget=np.zeros(1), peephole_output=np.ones(1))
    step = oracles.lstm_step(np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), -9.0), p)
    assert step.o[0, 0] == pytest.approx(1 / (1 + np.exp(-1.0)), abs=1e-12)  # c' = i g = 1, not c = -9


def test_one_gru_step_by_hand():
    # Reset 1/2, update 1/4: h' = 3/4 h + 1/4 tanh(h/2) with h = 2.
    p = {"w_input": np.zeros((1, 3)), "w_hidden": np.array([[0.0, 0.0, 1.0]]), "bias": np.array([0, -np.log(3), 0])}
    hidden = oracles.gru_forward(np.ones((1, 1, 1)), np.full((1, 1), 2.0), p)
    assert hidden[0, 0, 0] == pytest.approx(1.5 + 0.25 * np.tanh(1.0), abs=1e-14)


def test_masked_steps_carry_the_state_and_hide_the_input():
    x, h0, c0, p, _, _ = _recurrent_case(4)
    hidden, cell = oracles.lstm_forward(x, h0, c0, p, MASK)
    np.testing.assert_array_equal(hidden[:2, 2], [h0[2], h0[2]])
    np.testing.assert_array_equal(cell[4, 1], cell[2, 1])
    visible = x[MASK[:, 0] == 1][:, :1]
    np.testing.assert_allclose(hidden[4, 0], oracles.lstm_forward(visible, h0[:1], c0[:1], p)[0][-1, 0], rtol=1e-14)


def _assert_equals_torch(gradients, tensors, tolerance=1e-12):
    for name, tensor in tensors.items():
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=tolerance, atol=tolerance, err_msg=name)


def test_lstm_equals_torch():
    torch = pytest.importorskip("torch")
    x, h0, c0, p, d_hidden, d_final_cell = _recurrent_case(4)
    layer = torch.nn.LSTM(N_IN, N_UNITS, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.tensor(p["w_input"].T))
        layer.weight_hh_l0.copy_(torch.tensor(p["w_hidden"].T))
        layer.bias_ih_l0.copy_(torch.tensor(p["bias"]))
        layer.bias_hh_l0.zero_()
    t = {name: torch.tensor(value, requires_grad=True) for name, value in {"x": x, "h0": h0, "c0": c0}.items()}
    out, (_, final_cell) = layer(t["x"], (t["h0"][None], t["c0"][None]))
    ((out * torch.tensor(d_hidden)).sum() + (final_cell[0] * torch.tensor(d_final_cell)).sum()).backward()

    hidden, cell = oracles.lstm_forward(x, h0, c0, p)
    np.testing.assert_allclose(hidden, out.detach().numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(cell[-1], final_cell[0].detach().numpy(), rtol=0, atol=1e-13)
    gradients = oracles.lstm_backward(x, h0, c0, p, d_hidden, d_final_cell)
    _assert_equals_torch(gradients, {**t, "bias": layer.bias_ih_l0})
    np.testing.assert_allclose(gradients["w_input"].T, layer.weight_ih_l0.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(gradients["w_hidden"].T, layer.weight_hh_l0.grad.numpy(), atol=1e-12)


def test_gru_equals_torch_autograd():
    """Against the equations typed again in torch: torch.nn.GRU itself resets after the candidate's product."""
    torch = pytest.importorskip("torch")
    x, h0, _, p, d_hidden, _ = _recurrent_case(3)
    t = {name: torch.tensor(value, requires_grad=True) for name, value in {"x": x, "h0": h0, **p}.items()}
    n = N_UNITS
    h, hidden = t["h0"], []
    for frame in t["x"]:
        from_input = frame @ t["w_input"] + t["bias"]
        gates = torch.sigmoid(from_input[:, : 2 * n] + h @ t["w_hidden"][:, : 2 * n])
        candidate = torch.tanh(from_input[:, 2 * n :] + (h * gates[:, :n]) @ t["w_hidden"][:, 2 * n :])
        h = torch.lerp(h, candidate, gates[:, n:])
        hidden.append(h)
    out = torch.stack(hidden)
    (out * torch.tensor(d_hidden)).sum().backward()

    np.testing.assert_allclose(oracles.gru_forward(x, h0, p), out.detach().numpy(), rtol=0, atol=1e-13)
    _assert_equals_torch(oracles.gru_backward(x, h0, p, d_hidden), t)


@pytest.mark.parametrize("mask", [None, MASK], ids=["unmasked", "masked"])
def test_memory_backward_equals_differences(mask):
    x, m0, p, noise, weights = _memory_case()

    def cost(x, m0, **p):
        return (weights * oracles.memory_forward(x, m0, p, mask, noise)[0]).sum()

    gradients = oracles.memory_backward(x, m0, p, weights, mask, noise)
    _assert_gradients(gradients, cost, {"x": x, "m0": m0, **p}, tolerance=1e-7)


def test_memory_lstm_equals_torch_autograd():
    """Against the equations typed again in torch, one gate at a time."""
    torch = pytest.importorskip("torch")
    x, m0, p, noise, weights = _memory_case()
    t = {name: torch.tensor(value, requires_grad=True) for name, value in {"x": x, "m0": m0, **p}.items()}
    n = 2
    before, outputs = list(t["m0"].split(n, dim=1)), []
    for i, frame in enumerate(t["x"]):
        below = frame
        for d in range(2):
            gates = []
            for k, (inner, outer) in enumerate([(torch.relu, torch.sigmoid)] * 2 + [(torch.tanh, torch.tanh)]):
                wide, narrow = slice(2 * n * k, 2 * n * (k + 1)), slice(n * k, n * (k + 1))
                e_1 = torch.tensor(noise[0][i, :, 6 * n * d : 6 * n * (d + 1)][:, wide])
                e_2 = torch.tensor(noise[1][i, :, 3 * n * d : 3 * n * (d + 1)][:, narrow])
                w, v = t["w_hidden"][:, wide], t["w_gates"][:, narrow]
                h = inner(before[d] @ w[:n] + below @ w[n:] + e_1 + t["bias_hidden"][wide])
                gates.append(outer(h @ v + e_2 + t["bias_gates"][narrow]))
            below = before[d] = gates[0] * before[d] + gates[1] * gates[2]
        outputs.append(torch.cat(before, dim=1))
    out = torch.stack(outputs)
    (out * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(oracles.memory_forward(x, m0, p, None, noise)[0], out.detach().numpy(), atol=1e-13)
    _assert_equals_torch(oracles.memory_backward(x, m0, p, weights, None, noise), t)


def _memory_case():
    """Width 2, depth 2, noise in every layer; no relu near its kink, or differences would cross it."""
    rng = np.random.default_rng(1)
    x, m0 = rng.normal(size=(N_STEPS, N_BATCH, 2)), rng.normal(size=(N_BATCH, 4))
    shapes = {"w_hidden": (4, 12), "bias_hidden": (12,), "w_gates": (4, 6), "bias_gates": (6,)}
    p = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    noise = 0.3 * rng.normal(size=(N_STEPS, N_BATCH, 24)), 0.3 * rng.normal(size=(N_STEPS, N_BATCH, 12))
    return x, m0, p, noise, rng.normal(size=(N_STEPS, N_BATCH, 4))


def test_mlp_and_dense_by_hand():
    x = np.array([[[1.0, -2.0]]])
    w1, b1 = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([0.5, 0.0])
    w2, b2 = np.array([[7.0], [0.25]]), np.array([-1.0])
    np.testing.assert_allclose(oracles.dense(x, w1, b1), [[[-4.5, 4.0]]])
    np.testing.assert_allclose(oracles.mlp_forward(x, [(w1, b1, "relu"), (w2, b2, "linear")]), [[[0.0]]])
    np.testing.assert_allclose(oracles.mlp_forward(x, [(w1, b1, "tanh")]), np.tanh([[[-4.5, 4.0]]]))


def test_batch_norm_by_hand():
    x = np.array([[[1.0, 10.0]], [[3.0, 10.0]]])  # (time 2, batch 1, features 2): means 2 and 10, variances 1 and 0
    y, mean, variance = oracles.batch_norm_forward(
        x, np.array([2.0, 5.0]), np.array([1.0, -1.0]), np.zeros(2), np.ones(2)
    )
    unit = 1 / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(y, [[[1 - 2 * unit, -1.0]], [[1 + 2 * unit, -1.0]]], rtol=1e-14)
    np.testing.assert_allclose(mean, [0.2, 1.0], rtol=1e-14)
    np.testing.assert_allclose(variance, [1.0, 0.9], rtol=1e-14)


def test_batch_norm_equals_torch():
    torch = pytest.importorskip("torch")
    rng = _rng()
    x = rng.normal(3.0, 2.0, size=(8, 5))
    gain, shift = rng.normal(size=(2, 5))
    mean, variance = rng.normal(size=5), rng.uniform(0.5, 2.0, size=5)
    for training in (True, False):
        ours = oracles.batch_norm_forward(x, gain, shift, mean, variance, training=training)
        running = torch.tensor(mean), torch.tensor(variance)
        theirs = torch.nn.functional.batch_norm(
            torch.tensor(x), *running, torch.tensor(gain), torch.tensor(shift), training, 0.1, 1e-5
        )
        np.testing.assert_allclose(ours.output, theirs.numpy(), rtol=1e-11)
        np.testing.assert_allclose(ours.running_mean, running[0].numpy(), rtol=1e-12)
        # PyTorch stores the unbiased variance n/(n-1): take that factor out of what it added.
        added = (running[1].numpy() - 0.9 * variance) * 7 / 8 if training else variance - 0.9 * variance
        np.testing.assert_allclose(ours.running_variance, 0.9 * variance + added, rtol=1e-12)


def test_cross_entropy_by_hand_and_far_out():
    logits = np.log([[1.0, 3.0], [9.0, 1.0]])
    assert oracles.softmax_cross_entropy(logits, np.array([1, 1])) == pytest.approx(
        (np.log(4 / 3) + np.log(10)) / 2, rel=1e-14
    )
    assert oracles.softmax_cross_entropy(logits, np.array([1, 1]), np.array([1, 0])) == pytest.approx(
        np.log(4 / 3), rel=1e-14
    )
    assert oracles.softmax_cross_entropy(np.array([[0.0, 2000.0]]), np.array([0])) == 2000.0


def test_squared_errors_by_hand():
    prediction = np.array([[[1.0, 2.0]], [[5.0, 5.0]]])
    target = np.array([[[0.0, 4.0]], [[2.0, 1.0]]])
    mask = np.array([[1.0], [0.0]])
    assert oracles.squared_error(prediction, target) == (1 + 4 + 9 + 16) / 4
    assert oracles.squared_error(prediction, target, mask) == (1 + 4) / 2
    assert oracles.normalised_squared_error(prediction, target) == 30 / 21
    assert oracles.normalised_squared_error(prediction, target, mask) == 5 / 16
    assert oracles.normalised_squared_error(0 * target, target) == 1.0


def test_optimisers_first_two_updates_by_hand():
    p, g = np.array([1.0]), np.array([4.0])
    assert oracles.sgd(p, g, learning_rate=0.5)[0] == -1.0
    p1, v = oracles.momentum(p, g, learning_rate=0.5, momentum=0.25)
    p2, _ = oracles.momentum(p1, g, v, learning_rate=0.5, momentum=0.25)
    assert (p1, p2) == (-1.0, -3.5)  # v = -2, then -2/4 - 2
    p1, r = oracles.rmsprop(p, g, learning_rate=0.5, decay=0.75, epsilon=12.0)
    p2, _ = oracles.rmsprop(p1, g, r, learning_rate=0.5, decay=0.75, epsilon=9.0)
    assert (p1, p2) == (0.5, 0.0)  # r = 4, then 3 + 4: both roots are 4


def test_adam_first_updates_by_hand():
    # A constant gradient g: the corrected means are g and g^2 at every update, so each step is -eta g/(|g| + epsilon).
    p, state = np.array([1.0, 1.0]), None
    for _ in range(3):
        g = np.array([4.0, -1e-3])
        p, state = oracles.adam(p, g, state, learning_rate=0.1, beta1=0.9, beta2=0.99, epsilon=1e-3)
    np.testing.assert_allclose(p, [1 - 0.3 * 4 / 4.001, 1 + 0.3 / 2], rtol=1e-12)
    assert state.t == 3
    # A first gradient and then none: m = .9*.1 g, v = .99*.01 g^2, corrected by 1 - .9^2 = .19 and 1 - .99^2 = .0199.
    p, state = oracles.adam(np.zeros(1), np.ones(1), None, learning_rate=1.0, beta1=0.9, beta2=0.99, epsilon=0.0)
    p, state = oracles.adam(p, np.zeros(1), state, learning_rate=1.0, beta1=0.9, beta2=0.99, epsilon=0.0)
    assert p[0] == pytest.approx(-1 - (0.09 / 0.19) / np.sqrt(0.0099 / 0.0199), rel=1e-14)


def test_momentum_is_torchs_form_for_a_constant_rate():
    """v' <- mu v' + g; p <- p - eta v' written out beside ours."""
    rng = _rng()
    p = q = rng.normal(size=3)
    ours, theirs = None, np.zeros(3)
    for _ in range(20):
        g = rng.normal(size=3)
        p, ours = oracles.momentum(p, g, ours, learning_rate=0.1, momentum=0.9)
        theirs = 0.9 * theirs + g
        q = q - 0.1 * theirs
    np.testing.assert_allclose(p, q, rtol=1e-13)


def test_clip_global_norm_counts_all_arrays():
    gradients = [np.array([3.0]), np.array([[0.0, 4.0]])]
    clipped = oracles.clip_global_norm(gradients, 1.0)
    np.testing.assert_allclose(clipped[0], [0.6], rtol=1e-15)
    np.testing.assert_allclose(clipped[1], [[0.0, 0.8]], rtol=1e-15)
    for limit in (5.0, 9.0):
        np.testing.assert_array_equal(oracles.clip_global_norm(gradients, limit)[1], gradients[1])
    assert oracles.clip_global_norm([np.zeros(2)], 1.0)[0].tolist() == [0.0, 0.0]


def test_central_difference_of_a_known_function():
    a, b = np.array([0.3, -1.2]), np.array([[2.0]])
    gradients = oracles.central_difference(lambda a, b: np.sin(a).sum() * b.item() ** 3, [a, b])
    np.testing.assert_allclose(gradients[0], 8 * np.cos(a), rtol=1e-11)
    np.testing.assert_allclose(gradients[1], [[12 * np.sin(a).sum()]], rtol=1e-11)
    assert a.tolist() == [0.3, -1.2]


def test_max_relative_error():
    assert oracles.max_relative_error(np.array([1.0, 100.0]), np.array([1.1, 100.0])) == pytest.approx(0.1 / 1.1)
    assert oracles.max_relative_error(np.array([1e-9, 100.0]), np.array([0.0, 100.0])) == pytest.approx(1e-8)
    assert oracles.max_relative_error(np.zeros(3), np.zeros(3)) == 0.0
    assert not oracles.max_relative_error(np.array([np.nan, 1.0]), np.ones(2)) <= 1.0
    with pytest.raises(ValueError, match="shapes differ"):
        oracles.max_relative_error(np.zeros(3), np.zeros((3, 1)))


GOLDEN = json.loads((Path(__file__).parents[1] / "support" / "golden" / "optimizers.json").read_text())


def _golden_cost_and_gradient(w, b):
    problem = {name: np.array(value) for name, value in GOLDEN["problem"].items()}
    z = np.tanh(problem["x"] @ w + b)
    d = (z - problem["y"]) * (1 - z**2)
    cost = 0.5 * (problem["stiffness"] * w**2).sum() + 0.5 * ((z - problem["y"]) ** 2).sum()
    return cost, [problem["stiffness"] * w + problem["x"].T @ d, d.sum(axis=0)]


def _golden_start():
    return [np.array(GOLDEN["problem"][name]) for name in ("w", "b")]


def test_golden_problem_is_what_the_file_says():
    cost, gradient = _golden_cost_and_gradient(*_golden_start())
    assert cost == pytest.approx(GOLDEN["first"]["cost"], rel=1e-14)
    differences = oracles.central_difference(lambda *p: _golden_cost_and_gradient(*p)[0], _golden_start())
    for name, ours, difference in zip(("w", "b"), gradient, differences, strict=True):
        np.testing.assert_allclose(ours, GOLDEN["first"]["gradient"][name], rtol=1e-12)
        assert oracles.max_relative_error(ours, difference) <= 1e-9


@pytest.mark.parametrize("n_updates", [1, 10, 100])
@pytest.mark.parametrize("case", ["sgd", "sgd_clipped", "momentum", "rmsprop", "adam"])
def test_optimisers_equal_pytorch(case, n_updates):
    settings = dict(GOLDEN["cases"][case]["settings"])
    if case == "rmsprop":
        settings["epsilon"] = settings.pop("epsilon_inside_root")
        del settings["epsilon_outside_root"]
    step = getattr(oracles, case.removesuffix("_clipped"))
    ours = oracles.descend(step, lambda *p: _golden_cost_and_gradient(*p)[1], _golden_start(), n_updates, **settings)
    expected = GOLDEN["cases"][case]["parameters_after"][str(n_updates)]
    for name, value, initial in zip(("w", "b"), ours, _golden_start(), strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-10)
        assert np.abs(value - initial).min() > 1e-9, "an element that never moved would prove nothing"
