"""The rules against PyTorch's recorded paths, against the oracles, and the shape of a symbolic step."""

import numpy as np
import pytest

from rnnaudio import engine, optimizers
from rnnaudio.engine import tt
from tests.support import agreement, oracles, oracles_2016
from tests.support.agreement import descend, golden_optimizers, optimizer_errors, rule

pytestmark = [pytest.mark.usefixtures("kernel"), pytest.mark.both_kernels, pytest.mark.jax]
GOLDEN = golden_optimizers()
ORACLES = {
    "sgd": (optimizers.SGD(0.03), oracles.sgd, {}),
    "momentum": (optimizers.Momentum(0.01, momentum=0.8), oracles.momentum, {"momentum": 0.8}),
    "rmsprop": (optimizers.RMSprop(0.01, rho=0.8, epsilon=1e-2), oracles.rmsprop, {"decay": 0.8, "epsilon": 1e-2}),
    "adam": (
        optimizers.Adam(0.05, beta1=0.8, beta2=0.99, epsilon=1e-2),
        oracles.adam,
        {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-2},
    ),
}


def gradient(problem, w, b):
    """d cost / d (w, b) by hand."""
    x, y, stiffness = (np.asarray(problem[name]) for name in ("x", "y", "stiffness"))
    z = np.tanh(x @ w + b)
    d = (z - y) * (1 - z**2)
    return [stiffness * w + x.T @ d, d.sum(axis=0)]


def start():
    return [np.asarray(GOLDEN["problem"][name]) for name in ("w", "b")]


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_symbolic_updates_follow_pytorch(case):
    errors = optimizer_errors(case)
    assert set(errors) == {1, 10, 100}
    assert max(errors.values()) <= 1e-6, errors


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_rules_on_numpy_arrays_follow_pytorch(case):
    settings = GOLDEN["cases"][case]["settings"]
    optimizer = rule(case, settings)
    p, memories = start(), [[np.zeros_like(v) for _ in optimizer.slots] for v in start()]
    for n in range(1, 101):
        g = gradient(GOLDEN["problem"], *p)
        if optimizer.max_gradient_norm:
            g = oracles.clip_global_norm(g, optimizer.max_gradient_norm)
        for k in range(2):
            p[k], memories[k] = optimizer.step(p[k], g[k], tuple(memories[k]), optimizer.learning_rate, n)
    for got, expected in zip(p, GOLDEN["cases"][case]["parameters_after"]["100"].values(), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("max_gradient_norm", [None, 2.0])
@pytest.mark.parametrize("case", ORACLES)
def test_symbolic_updates_equal_the_oracle_rules_where_epsilon_matters(case, max_gradient_norm):
    optimizer, oracle, settings = ORACLES[case]
    optimizer = type(optimizer)(**{**vars(optimizer), "max_gradient_norm": max_gradient_norm})
    got = descend(optimizer, GOLDEN["problem"], 30)[30]
    expected = oracles.descend(
        oracle,
        lambda w, b: gradient(GOLDEN["problem"], w, b),
        start(),
        30,
        max_gradient_norm,
        learning_rate=optimizer.learning_rate,
        **settings,
    )
    for value, name in zip(expected, ("w", "b"), strict=True):
        np.testing.assert_allclose(got[name], value, rtol=1e-10, atol=1e-12)
    assert np.abs(expected[0] - start()[0]).max() > 0.05


def test_a_wrong_epsilon_would_be_seen():
    # the 2016 rule has epsilon inside the root; outside, the path is another
    settings = dict(GOLDEN["cases"]["rmsprop"]["settings"])
    settings["epsilon_inside_root"] = 1e-2
    path = descend(rule("rmsprop", settings), GOLDEN["problem"], 1)
    assert np.abs(path[1]["w"] - GOLDEN["cases"]["rmsprop"]["parameters_after"]["1"]["w"]).max() > 1e-4


def test_rmsprop_2016_against_its_loop_and_against_the_right_rule():
    problem = GOLDEN["problem"]
    x, y, stiffness = (np.asarray(problem[name]) for name in ("x", "y", "stiffness"))
    rule, n = optimizers.RMSprop2016(0.01, rho=0.8), 60
    parameters = [np.asarray(problem[name]) for name in ("w", "b")]
    memory, kept = [np.zeros_like(p) for p in parameters], [(np.zeros_like(p),) for p in parameters]
    for step in range(1, n + 1):
        z = np.tanh(x @ parameters[0] + parameters[1])
        d = (z - y) * (1 - z**2)
        for k, g in enumerate((stiffness * parameters[0] + x.T @ d, d.sum(axis=0))):
            own, kept[k] = rule.step(parameters[k], g, kept[k], 0.01, step)
            parameters[k], memory[k] = oracles_2016.rmsprop_2016(
                parameters[k], g, memory[k], learning_rate=0.01, rho=0.8
            )
            np.testing.assert_allclose(own, parameters[k], rtol=1e-13)
            np.testing.assert_allclose(kept[k][0], memory[k], rtol=1e-13)
    got = descend(rule, problem, n)[n]
    for name, expected in zip(("w", "b"), parameters, strict=True):
        np.testing.assert_allclose(got[name], expected, rtol=1e-10, atol=1e-13)
        # it is plain descent
        np.testing.assert_allclose(got[name], descend(optimizers.SGD(0.01), problem, n)[n][name], rtol=1e-12)
    golden = GOLDEN["cases"]["rmsprop"]
    settings = golden["settings"]
    wrong = descend(optimizers.RMSprop2016(settings["learning_rate"], settings["decay"]), problem, 10)[10]
    right = golden["parameters_after"]["10"]
    assert np.abs(wrong["w"] - right["w"]).max() > 1e-3


@pytest.fixture(scope="module")
def one_step(kernel_name):
    """A step of clipped momentum on the golden problem: what it reports, and the memory afterwards."""
    with engine.precision("float64"), engine.using_kernel(kernel_name):
        p = {name: engine.shared(value, name) for name, value in zip(("w", "b"), start(), strict=True)}
        optimizer = optimizers.Momentum(0.1, momentum=0.9, max_gradient_norm=0.5)
        memory = optimizers.OptimizerState(optimizer, p)
        step = optimizers.updates(optimizer, agreement.symbolic_cost(GOLDEN["problem"], *p.values()), p, memory, 0.1)
        outputs = [*step.gradient_norms.values(), *step.update_ratios.values()]
        reported = engine.function([], outputs, step.pairs)()
    return reported, {name: v.get_value() for name, v in (p | memory.variables()).items()}


def test_a_step_reports_norms_before_clipping_and_the_size_of_the_update(one_step):
    reported, values = one_step
    g = gradient(GOLDEN["problem"], *start())
    np.testing.assert_allclose(reported[:2], [np.linalg.norm(v) for v in g], rtol=1e-12)
    change = [values[name] - old for name, old in zip(("w", "b"), start(), strict=True)]
    ratios = [np.linalg.norm(d) / np.linalg.norm(old) for d, old in zip(change, start(), strict=True)]
    np.testing.assert_allclose(reported[2:], ratios, rtol=1e-10)
    assert np.sqrt(sum((d**2).sum() for d in change)) == pytest.approx(0.1 * 0.5)  # rate times the limit


def test_memory_holds_slots_by_parameter_and_counts(one_step):
    _, values = one_step
    assert list(values) == ["w", "b", "w/velocity", "b/velocity", "n_updates"]
    assert values["n_updates"] == 1
    np.testing.assert_allclose(values["w/velocity"], values["w"] - start()[0])


def test_a_gradient_below_the_limit_is_left_alone():
    with engine.precision("float64"):
        g = [engine.tensor("a", 1), engine.tensor("b", 1)]
        norm = optimizers.global_norm(g)
        function = engine.function(g, [norm, *[v * optimizers.clipping_factor(norm, 5.0) for v in g]])
    norm, a, b = function([3.0], [4.0, 0.0])
    assert norm == 5.0 and a == [3.0] and list(b) == [4.0, 0.0]
    norm, a, b = function([30.0], [40.0, 0.0])
    assert norm == 50.0
    np.testing.assert_allclose([*a, *b], [3.0, 4.0, 0.0], rtol=1e-15)
    assert [*function([0.0], [0.0, 0.0])[1:]] == [[0.0], pytest.approx([0.0, 0.0])]


@pytest.mark.parametrize("case", ORACLES)
def test_float32_parameters_stay_float32(case):
    p = {"w": engine.shared(np.ones((2, 3)), "w")}
    memory = optimizers.OptimizerState(ORACLES[case][0], p)
    rate = engine.tensor("rate", 0)
    step = optimizers.updates(ORACLES[case][0], tt.sum(tt.sqr(p["w"])), p, memory, rate)
    assert {new.dtype for v, new in step.pairs if v is not memory.n_updates} == {"float32"}
    assert {norm.dtype for norm in [*step.gradient_norms.values(), *step.update_ratios.values()]} == {"float32"}


def test_a_rule_of_another_equation_does_not_inherit_the_kernel():
    class Backwards(optimizers.SGD):
        def step(self, p, g, memory, learning_rate, n):
            return p + learning_rate * g, ()

    p = {"w": engine.shared(np.ones(3), "w")}
    rule = Backwards()
    step = optimizers.updates(rule, tt.sum(p["w"]), p, optimizers.OptimizerState(rule, p), np.float32(0.5))
    engine.function([], [], step.pairs)()
    np.testing.assert_array_equal(p["w"].get_value(), [1.5, 1.5, 1.5])


def test_live_pytorch_gives_the_recorded_numbers():
    pytest.importorskip("torch")
    from tests.support.golden import make_optimizers

    for case, settings in make_optimizers.CASES.items():
        live = make_optimizers.run(make_optimizers.make_problem(), case, settings)
        path = descend(rule(case, settings), GOLDEN["problem"], 100)
        for name, value in live["100"].items():
            np.testing.assert_allclose(path[100][name], value, atol=1e-6)
