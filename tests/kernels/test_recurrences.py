"""Compiled recurrences against loops in NumPy and against the engine's own loop (kernel `scan`), at odd sizes."""

from functools import partial

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.kernels import elementwise, gru, lstm
from rnnaudio.kernels.micro import BLOCK_ROWS
from rnnaudio.kernels.product import product
from rnnaudio.nn import GRU, LSTM, Context, LinearPredictor, MemoryLSTM, Noisy
from rnnaudio.nn.layer import flatten, unflatten
from tests.support import oracles
from tests.support.agreement import KINDS, Sizes, recurrence
from tests.support.gradient_cases import randomise

ODD = [(1, 1, 3, 1), (2, 3, 2, 7), (500, 1, 2, 7), (3, 33, 5, 129), (2, 3, 1, 129), (4, 33, 2, 1)]  # T, B, in, units
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("sizes", ODD, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_fused_equals_the_numpy_loop_at_odd_sizes(dtype, kind, sizes, masked):
    with engine.using_kernel("fused"):
        errors = recurrence(kind, Sizes(*sizes), masked=masked, dtype=dtype)
    assert max(errors.values()) <= TOLERANCE[dtype], errors


N_UNITS = 37  # more than a panel, and not a multiple of one


def _cells(rng):
    yield "lstm", LSTM(2, N_UNITS, rng=rng)
    yield "lstm peepholes", LSTM(2, N_UNITS, rng=rng, peepholes=True)
    yield "gru", GRU(2, N_UNITS, rng=rng)
    yield "noisy", Noisy(LSTM(2, N_UNITS, rng=rng), std=0.3)
    yield "noisy state", Noisy(GRU(2, N_UNITS, rng=rng), std=0.3, state_std=0.2)
    yield "memory lstm", MemoryLSTM(2, 3, rng=rng)
    yield "memory lstm of an odd width", MemoryLSTM(N_UNITS, 2, rng=rng)
    yield "noisy memory lstm", MemoryLSTM(3, 2, rng=rng, noise_std=0.3)
    yield "noisy linear predictor", Noisy(LinearPredictor(2, N_UNITS, n_frames=2), std=0.3)


def _outputs_and_gradients(cell, kernel, x, state, mask):
    """All outputs, and the gradients of a cost that weighs each, by the given kernel."""
    with engine.using_kernel(kernel):
        x_v, mask_v = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
        state_v = [engine.tensor(f"state_{k}", 2) for k in range(len(state))]
        context = Context.training_with(np.array([3, 4]))
        y, final = cell.unroll(x_v, unflatten(cell.state_sizes, state_v), context, None if mask is None else mask_v)
        weights = np.random.default_rng(9).standard_normal((*x.shape[:2], cell.n_out)).astype(x.dtype)
        leaves = flatten(final)
        cost = tt.sum(y * weights) + sum(tt.sum(tt.sqr(leaf)) for leaf in leaves)
        gradients = engine.gradient(cost, [x_v, *state_v, *cell.parameters().values()])
        function = engine.function([x_v, mask_v, *state_v], [y, *leaves, *gradients])
        return function(x, np.ones(x.shape[:2], "int8") if mask is None else mask, *state)


in_full = partial(pytest.param, marks=pytest.mark.slow)
# The others are compared with loops in NumPy above, at these sizes too; noise, by scan alone.
NAMES = [name if name == "noisy memory lstm" else in_full(name) for name, _ in _cells(np.random.default_rng())]


@pytest.mark.parametrize("dtype", [in_full("float32"), "float64"])
@pytest.mark.parametrize("masked", [in_full(False, id="unmasked"), pytest.param(True, id="masked")])
@pytest.mark.parametrize("name", NAMES)
def test_fused_equals_scan(name, masked, dtype):
    rng = np.random.default_rng(5)
    with engine.precision(dtype):
        cell = dict(_cells(rng))[name]
        randomise(cell, rng, std=0.5 / np.sqrt(cell.n_in))  # wide relu layers of larger weights are chaotic
        batch = 2 * BLOCK_ROWS + 3
        x = rng.standard_normal((11, batch, cell.n_in)).astype(dtype)
        state = [rng.standard_normal((batch, n)).astype(dtype) for n in flatten(cell.state_sizes)]
        mask = rng.integers(0, 2, (11, batch)).astype("int8") if masked else None
        fused = _outputs_and_gradients(cell, "fused", x, state, mask)
        scan = _outputs_and_gradients(cell, "scan", x, state, mask)
    for one, other in zip(fused, scan, strict=True):
        assert one.dtype == dtype
        assert oracles.max_relative_error(one, other, floor=1e-1) <= TOLERANCE[dtype]


def test_fused_is_in_the_graph_and_scan_is_not():
    rng = np.random.default_rng(0)
    for cell in (LSTM(2, 3, rng=rng), GRU(2, 3, rng=rng), Noisy(LSTM(2, 3, rng=rng), std=0.1)):
        for kernel, expected in (("fused", True), ("scan", False)):
            with engine.using_kernel(kernel):
                x = engine.tensor("x", 3)
                y, _ = cell.unroll(x, cell.initial_state(x.shape[1]), Context.evaluation())
                assert ("Sequence" in engine.describe(y)) == expected  # the name of the kernels' operations


def test_a_cell_of_another_equation_does_not_inherit_the_kernel():
    class Halved(LSTM):
        def equations(self, inputs, state):
            gates, new = super().equations(inputs, state)
            return gates, type(new)(0.5 * new.hidden, new.cell)

    class Half:
        def equations(self, inputs, state):
            gates, new = super().equations(inputs, state)
            return gates, type(new)(0.5 * new.hidden, new.cell)

    class Mixed(Half, LSTM):
        pass

    rng = np.random.default_rng(0)
    x, state = rng.standard_normal((3, 2, 2)).astype("float32"), [np.zeros((2, N_UNITS), "float32")] * 2
    assert LSTM(2, 3, rng=rng).has_kernel
    for kind in (Halved, Mixed):
        cell = kind(2, N_UNITS, rng=rng)
        assert not cell.has_kernel
        fused, scan = (_outputs_and_gradients(cell, kernel, x, state, None)[0] for kernel in ("fused", "scan"))
        np.testing.assert_allclose(fused, scan, atol=1e-6)


def test_shapes_that_do_not_fit_are_refused():
    f = np.zeros
    got = r"got float64 \(4, 5\), float64 \(2, 3\), float64 \(4, 3\); "
    with pytest.raises(ValueError, match=got + r"expected a \(m, k\), b \(k, n\) and c \(m, n\) of one type"):
        product(f((4, 5)), f((2, 3)), f((4, 3)))
    with pytest.raises(ValueError, match="of one type"):
        product(f((4, 2), "float32"), f((2, 3)), f((4, 3)))
    with pytest.raises(ValueError, match=r"target is \(4, 3\); expected \(3, 4\)"):
        elementwise.squared_errors(f((3, 4)), f((4, 3)))
    nothing = f((0, 0))
    with pytest.raises(ValueError, match=r"h0 is \(2, 3\); expected \(8, 3\)"):
        lstm.forward(f((5, 8, 2)), f((2, 12)), f((3, 12)), f(12), nothing, f((2, 3)), f((8, 3)), nothing)
    with pytest.raises(ValueError, match=r"mask is \(8, 5\); expected \(5, 8\)"):
        gru.forward(f((5, 8, 2)), f((2, 9)), f((3, 9)), f(9), f((8, 3)), f((8, 5), "int8") + 1)


def test_padding_of_a_masked_gru_may_hold_any_finite_number():
    rng = np.random.default_rng(3)
    x, mask = rng.standard_normal((3, 2, 2)).astype("float32"), np.array([[1, 1], [0, 1], [1, 1]], "int8")
    w, r, bias = (rng.standard_normal(s).astype("float32") for s in ((2, 9), (3, 9), 9))
    results = []
    for padding in (0.0, np.float32(3e38)):
        x[1, 0] = padding
        states = gru.forward(x, w, r, bias, np.zeros((2, 3), "float32"), mask)
        results.append(
            [
                states.hidden,
                *gru.backward(
                    r, np.zeros((2, 3), "float32"), mask, states, np.ones_like(x[..., :1]) + 0 * states.hidden
                ),
            ]
        )
    for clean, dirty in zip(*results, strict=True):
        np.testing.assert_array_equal(clean, dirty)
