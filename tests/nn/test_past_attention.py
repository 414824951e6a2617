"""Attention over the past: against loops in NumPy, by all ways to compute it, carried, causal, step by step."""

import tracemalloc

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data import Batch
from rnnaudio.diagnostics.dynamics import Stepped, dynamics_figures
from rnnaudio.engine import tt
from rnnaudio.kernels import buffers, past
from rnnaudio.nn import GRU, LSTM, Context, Dense, Layer, PastAttention, Sequential
from rnnaudio.nn.layer import flatten, unflatten
from rnnaudio.nn.model import Composite
from rnnaudio.nn.past_attention import PastState
from rnnaudio.nn.state import stored_leaves
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.training import TrainStep
from rnnaudio.training.memory import step_memory
from tests.support import oracles
from tests.support.gradient_cases import randomise

TOLERANCE = {"float64": 1e-12, "float32": 5e-6}
N_X, N_UNITS, N_KEYS, N_BATCH = 2, 3, 4, 3
LONG = past.BLOCK + 9  # more than a block of queries
WAYS = ("fused", "engine", "loop")


class Looped(PastAttention):
    """The equation, step after step: what the products of whole sequences must equal."""

    def unroll(self, x, state, context, mask=None):
        mask = tt.ones_like(x[..., 0]) if mask is None else mask  # under a mask the equation is unrolled by scan
        return Composite.unroll(self, x, state, context, mask)


def attention(n_past, rng, *, kind=PastAttention, body=None, dtype="float64"):
    with engine.precision(dtype):
        body = body or Dense(N_X, N_UNITS, rng=rng, activation="tanh")
        return randomise(kind(body, n_past, n_keys=N_KEYS, rng=rng), rng)


def ways(model, wanted=WAYS):
    """Functions x, *state -> y, *final state: by the kernel, by the engine's products, by its loop."""
    looped = Looped(model._children[""], model.recall.n_past, n_keys=N_KEYS, rng=np.random.default_rng())
    looped.recall = looped._child("recall", model.recall)
    for way, kernel, layer in zip(WAYS, ("fused", "scan", "scan"), (model, model, looped), strict=True):
        if way in wanted and (way != "fused" or engine.MODE != "jax"):
            yield way, function(layer, kernel)


def function(model, kernel="scan"):
    dtype = str(next(iter(model.parameters().values())).dtype)
    with engine.using_kernel(kernel), engine.precision(dtype):
        x = engine.tensor("x", 3)
        leaves = [engine.tensor(f"state_{k}", 2) for k in flatten(model.state_sizes)]
        y, final = model.unroll(x, unflatten(model.state_sizes, leaves), Context.evaluation())
        return engine.function([x, *leaves], [y, *flatten(final)])


def zeros(model, n=N_BATCH, dtype="float64"):
    return [np.zeros((n, width), dtype) for width in flatten(model.state_sizes)]


def filled(model, rng, counts):
    """A state with so many states of each sequence, and the same as the oracle has it."""
    n_past, m = model.recall.n_past, N_X + N_UNITS
    entries = [rng.standard_normal((min(n_past, max(n - 1, 0)), m)) for n in counts]
    latest = rng.standard_normal((len(counts), N_UNITS)) * (np.array(counts) > 0)[:, None]
    rows = [np.concatenate([np.zeros((n_past - len(e), m)), e]).ravel() for e in entries]
    known = [[*e, row if n else None] for e, row, n in zip(entries, latest, counts, strict=True)]
    return [latest, np.array(rows), np.array(counts, float)[:, None]], known


def oracle(model, x, known=()):
    values = model.get_values()
    h = np.tanh(x @ values["weight"] + values["bias"])
    return oracles.past_attention(x, h, {name[7:]: v for name, v in values.items() if name[:7] == "recall."}, known)


# ---------------------------------------------------------------- the equation


IN_JAX = pytest.param(5, 3, marks=pytest.mark.jax)
# The case that every mode compiles again, its gradients with it; of longer ones compiling takes minutes in mode numba.
IN_MODES = pytest.param(3, 5, marks=[pytest.mark.modes, pytest.mark.jax])


@pytest.mark.parametrize(("n_past", "n_steps"), [(1, 4), IN_JAX, (5, 12), (7, LONG), (LONG + 20, LONG)])
def test_it_equals_loops_in_numpy(n_past, n_steps):
    """From no state, one, some, and as many as there can be, side by side."""
    rng = np.random.default_rng(n_past)
    model = attention(n_past, rng)
    x, (state, known) = (
        rng.standard_normal((n_steps, 4, N_X)),
        filled(model, rng, [0, 1, (n_past + 1) // 2, n_past + 1]),
    )
    expected = oracle(model, x, known)
    for way, run in ways(model, WAYS if n_steps < 4 else WAYS[:2]):  # compiling a loop takes seconds
        y, latest, after, counted = run(x, *state)
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12, err_msg=way)
        assert (counted[:, 0] == np.minimum(state[2][:, 0] + n_steps, n_past + 1)).all()
        h = np.tanh(x @ model.get_values()["weight"] + model.get_values()["bias"])
        np.testing.assert_allclose(latest, h[-1], atol=1e-12)
        entries = np.concatenate([x[1:], h[:-1]], axis=2)[-n_past:]
        width = entries[..., 0].size // 4 * entries.shape[2]
        np.testing.assert_allclose(after[:, -width:], entries.swapaxes(0, 1).reshape(4, -1), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_all_ways_agree_over_a_recurrent_stack(dtype):
    rng = np.random.default_rng(1)
    with engine.precision(dtype):
        body = Sequential([LSTM(N_X, 4, rng=rng), GRU(4, N_UNITS, rng=rng)])
        model = attention(3, rng, body=body, dtype=dtype)
    x = rng.standard_normal((9, N_BATCH, N_X)).astype(dtype)
    (_, one), *others = ways(model)
    expected = one(x, *zeros(model, dtype=dtype))
    for way, run in others:
        for a, b in zip(run(x, *zeros(model, dtype=dtype)), expected, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype], err_msg=way)


def test_before_training_it_is_its_body_and_it_begins_without_a_past():
    rng = np.random.default_rng(2)
    model = PastAttention(Dense(N_X, N_UNITS, rng=rng, activation="tanh"), 5, n_keys=N_KEYS, rng=rng)
    x = rng.standard_normal((4, N_BATCH, N_X)).astype("float32")
    np.testing.assert_allclose(np.exp(model.get_values()["recall.bias"]), [1 / 25, 1 / 16, 1 / 9, 1 / 4, 1], rtol=1e-6)
    h = np.tanh(x @ model.get_values()["weight"])
    np.testing.assert_allclose(function(model)(x, *zeros(model, dtype="float32"))[0], h, atol=1e-6)
    randomise(model, rng)
    h = np.tanh(x @ model.get_values()["weight"] + model.get_values()["bias"])
    y = function(model, engine.kernel())(x, *zeros(model, dtype="float32"))[0]
    np.testing.assert_allclose(y[0], h[0], atol=1e-6)
    assert (np.abs(y[1:] - h[1:]) > 1e-3).any(axis=2).all()


def test_scores_beyond_any_exponential_are_weights():
    rng = np.random.default_rng(3)
    model = attention(4, rng)
    values = model.get_values()
    model.set_values(values | {"recall.w_query": 1e4 * values["recall.w_query"]})
    x = rng.standard_normal((6, 1, N_X))
    for way, run in ways(model, WAYS[:2]):
        y = run(x, *zeros(model, 1))[0]
        np.testing.assert_allclose(y, oracle(model, x), atol=1e-9, err_msg=way)


@pytest.mark.parametrize("sizes", [{"n_past": 0}, {"n_past": 3, "n_keys": 0}])
def test_a_size_below_one_is_refused(sizes):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="expected 1 or more of each"):
        PastAttention(Dense(2, 2, rng=rng), rng=rng, **sizes)


# ---------------------------------------------------------------- gradients


def gradients(model, kernel, x, state, weights):
    """Gradients of a cost that weighs each output and each entry of the final state."""
    with engine.using_kernel(kernel), engine.precision("float64"):
        given = [engine.tensor("x", 3), *(engine.tensor(f"state_{k}", 2) for k in range(len(state)))]
        y, final = model.unroll(
            given[0], unflatten(model.state_sizes, given[1:]), Context.training_with(np.array([1, 2]))
        )
        cost = tt.sum(y * weights[0]) + sum(tt.sum(s * w) for s, w in zip(flatten(final), weights[1:], strict=True))
        wanted = [*given[:-1], *model.parameters().values()]  # not that of the count
        return engine.function(given, engine.gradient(cost, wanted))(x, *state)


@pytest.mark.parametrize(("n_past", "n_steps"), [IN_MODES, (LONG + 5, LONG), (4, LONG)])
def test_gradients_by_kernel_and_engine_are_equal(n_past, n_steps):
    """Those of the carried state, too, of which some is not there."""
    rng = np.random.default_rng(4)
    model = attention(n_past, rng)
    x, (state, _) = rng.standard_normal((n_steps, 3, N_X)), filled(model, rng, [0, 3, n_past + 1])
    weights = [rng.standard_normal((n_steps, 3, N_UNITS)), *(rng.standard_normal(leaf.shape) for leaf in state)]
    engines = gradients(model, "scan", x, state, weights)
    for one, other in zip(gradients(model, engine.kernel(), x, state, weights), engines, strict=True):
        assert np.abs(other).max() > 1e-3
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


def test_gradients_equal_differences_of_the_loops_in_numpy():
    rng = np.random.default_rng(5)
    model = attention(3, rng)
    x, (state, _) = rng.standard_normal((4, 2, N_X)), filled(model, rng, [4, 2])
    weights = [rng.standard_normal((4, 2, N_UNITS)), *(np.zeros_like(leaf) for leaf in state)]
    names, before = list(model.get_values()), model.get_values()

    def cost(x, latest, entries, *values):
        model.set_values(dict(zip(names, values, strict=True)))
        rows = entries.reshape(2, 3, -1)
        known = [[*rows[0], latest[0]], [*rows[1, 2:], latest[1]]]
        return float(np.sum(oracle(model, x, known) * weights[0]))

    arrays = [x, *state[:2], *before.values()]
    expected = oracles.central_difference(cost, arrays)
    model.set_values(before)
    for name, one, other in zip(
        ["x", "latest", "past", *names], gradients(model, engine.kernel(), x, state, weights), expected, strict=True
    ):
        assert oracles.max_relative_error(one, other) < 1e-7, name


def test_a_truncated_gradient_of_all_steps_is_the_whole_one():
    rng = np.random.default_rng(6)
    model = attention(3, rng)
    x_v = engine.tensor("x", 3, "float64")
    found = []
    for steps in (-1, 4):
        context = Context.training_with(np.array([1, 2]), truncate_gradient=steps)
        with engine.precision("float64"):
            y, _ = model.unroll(x_v, model.initial_state(x_v.shape[1]), context)
            found.append(engine.function([x_v], engine.gradient(tt.sum(tt.sqr(y)), list(model.parameters().values()))))
    x = rng.standard_normal((4, 2, N_X))
    for one, other in zip(*(f(x) for f in found), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


# ---------------------------------------------------------------- causality, and what is carried


def test_later_input_changes_nothing_and_input_beyond_the_past_nothing_but_through_the_body():
    """To the bit. The body has no memory, so that all that reaches back is attention."""
    rng = np.random.default_rng(7)
    n_past, at = 6, 5
    model = attention(n_past, rng)
    x = rng.standard_normal((LONG, 2, N_X))
    other = x.copy()
    other[at] += 1.0
    for way, run in ways(model, WAYS[:2]):
        one, changed = (run(inputs, *zeros(model, 2))[0] for inputs in (x, other))
        same = (one == changed).all(axis=(1, 2))
        assert same[:at].all() and same[at + n_past + 1 :].all(), way
        assert not same[at : at + n_past + 1].any(), way


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_carried_it_is_the_whole_and_its_steps(dtype):
    rng = np.random.default_rng(8)
    with engine.precision(dtype):
        model = attention(5, rng, body=LSTM(N_X, N_UNITS, rng=rng), dtype=dtype)
    x = rng.standard_normal((LONG + 14, N_BATCH, N_X)).astype(dtype)
    run = function(model, engine.kernel())
    whole = run(x, *zeros(model, dtype=dtype))
    for bounds in ((3, 4, 4 + LONG), range(1, len(x))):
        state, parts = zeros(model, dtype=dtype), []
        for part in np.split(x, list(bounds)):
            y, *state = run(part, *state)
            parts.append(y)
        for a, b in zip([np.concatenate(parts), *state], whole, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype])


def test_steps_that_a_mask_leaves_out_are_no_part_of_the_past():
    rng = np.random.default_rng(9)
    model = attention(3, rng)
    x, mask = rng.standard_normal((7, 1, N_X)), np.array([1, 0, 1, 1, 0, 1, 1], "int8")[:, None]
    with engine.precision("float64"):
        x_v, mask_v = engine.tensor("x", 3), engine.tensor("mask", 2, "int8")
        y, final = model.unroll(x_v, model.initial_state(x_v.shape[1]), Context.evaluation(), mask_v)
        got = engine.function([x_v, mask_v], [y, *flatten(final)])(x, mask)
    shown = mask[:, 0] == 1
    kept = next(ways(model))[1](x[shown], *zeros(model, 1))
    for a, b in zip([got[0][shown], *got[1:]], kept, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_a_reset_empties_the_past_of_its_sequence_alone():
    rng = np.random.default_rng(10)
    model = Sequential(
        [attention(9, rng, body=GRU(N_X, N_UNITS, rng=rng), dtype="float32"), Dense(N_UNITS, N_X, rng=rng)]
    )
    step = TrainStep(model, predict_next, SGD(), seed=0)
    frames = [rng.standard_normal((7, 2, N_X)).astype("float32") for _ in range(2)]

    def state_after(state, resets):
        return step(Batch(frames[1], np.array(resets)), state, learning_rate=0.0, update=0).state

    carried = step(Batch(frames[0], np.array([True, True])), None, learning_rate=0.0, update=0).state
    first_anew, fresh, on = (state_after(carried, r) for r in ([True, False], [True, True], [False, False]))
    for mixed, new, old in zip(first_anew, fresh, on, strict=True):
        np.testing.assert_array_equal(mixed[0], new[0])
        np.testing.assert_array_equal(mixed[1], old[1])
        assert not np.array_equal(new[1], old[1])


# ---------------------------------------------------------------- one step at a time


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_compiled_steps_are_the_whole_for_many_times_the_past(dtype):
    """The buffer comes round; reading the state in between changes nothing."""
    rng = np.random.default_rng(11)
    with engine.precision(dtype):
        model = attention(4, rng, body=GRU(N_X, N_UNITS, rng=rng), dtype=dtype)
        step, read = model.compiled_step(2), model.compiled_step(2)
    x = rng.standard_normal((23, 2, N_X)).astype(dtype)
    y, *final = function(model, engine.kernel())(x, *zeros(model, 2, dtype))
    np.testing.assert_allclose([step(frame).copy() for frame in x], y, rtol=0, atol=TOLERANCE[dtype])
    outputs = []
    for frame in x:
        outputs.append(read(frame).copy())
        assert [leaf.shape for leaf in read.state] == [leaf.shape for leaf in final]
    np.testing.assert_allclose(outputs, y, rtol=0, atol=TOLERANCE[dtype])
    for a, b, c in zip(step.state, read.state, final, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=0, atol=TOLERANCE[dtype])


def test_a_step_takes_up_a_state_and_begins_again():
    rng = np.random.default_rng(12)
    model = attention(4, rng, body=GRU(N_X, N_UNITS, rng=rng), dtype="float32")
    x = rng.standard_normal((15, 2, N_X)).astype("float32")
    step, other = model.compiled_step(2), model.compiled_step(2)
    expected = np.array([step(frame).copy() for frame in x])
    for frame in x[:9]:
        other(frame)
    fresh = model.compiled_step(2)
    for leaf, reached in zip(fresh.state, other.state, strict=True):
        leaf[...] = reached
    np.testing.assert_array_equal([fresh(frame).copy() for frame in x[9:]], expected[9:])
    fresh.start()
    np.testing.assert_array_equal([fresh(frame).copy() for frame in x], expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_stream_has_the_same_bits_alone_beside_others_and_in_parts(dtype):
    rng = np.random.default_rng(13)
    with engine.precision(dtype):
        model = attention(5, rng, body=LSTM(N_X, 19, rng=rng), dtype=dtype)
        x = rng.standard_normal((13, 17, N_X)).astype(dtype)
        whole = model.compiled_step(17)
        together = np.array([whole(frame).copy() for frame in x])
        for n in (1, 2, 5):
            alone = model.compiled_step(n)
            np.testing.assert_array_equal([alone(frame[:n]).copy() for frame in x], together[:, :n])
        divided = model.compiled_step(17)
    parts = [divided.part(0, 3), divided.part(3, 17)]
    for frame, y in zip(x, together, strict=True):
        np.testing.assert_array_equal(np.concatenate([parts[0](frame[:3]), parts[1](frame[3:])]), y)
    for leaf, other in zip(divided.state, whole.state, strict=True):
        np.testing.assert_array_equal(leaf, other)


# ---------------------------------------------------------------- the kernel


def test_the_kernel_has_the_same_bits_on_any_number_of_threads(use_threads):
    rng = np.random.default_rng(14)
    T, B, n, m, P = LONG, 5, 6, 9, 11
    arrays = [rng.standard_normal(shape).astype("float32") for shape in ((T, B, n), (B, P * m), (T, B, m), (P,))]
    counts, d_mean = np.full((B, 1), 4, "float32"), rng.standard_normal((T, B, m)).astype("float32")
    results = []
    for n_threads in (1, 2, 3):
        use_threads(n_threads)
        forward = past.forward(*arrays, counts)
        back = past.backward(arrays[1], arrays[2], forward.weights, d_mean, n)
        rows = [
            past.rows_backward(arrays[0], forward.weights, back.scores, d_mean, of_past=of) for of in (True, False)
        ]
        results.append(b"".join(a.tobytes() for a in (*forward, *back, *rows)))
    assert results[0] == results[1] == results[2]


def test_shapes_that_do_not_fit_are_refused():
    z = np.zeros
    good = [z((4, 2, 3)), z((2, 5 * 6)), z((4, 2, 6)), z(5), z((2, 1))]
    past.forward(*good)
    for k, wrong, message in ((1, z((2, 29)), "past is"), (2, z((4, 3, 6)), "new is"), (4, z((3, 1)), "filled is")):
        with pytest.raises(ValueError, match=message):
            past.forward(*good[:k], wrong, *good[k + 1 :])
    with pytest.raises(ValueError, match="d_mean is"):
        past.backward(good[1], good[2], z((4, 2, 5)), z((4, 2, 7)), 3)


def test_the_kernel_is_in_the_graph_of_the_fused_one_alone():
    rng = np.random.default_rng(0)
    model = attention(3, rng, dtype="float32")
    for kernel in ("scan",) if engine.MODE == "jax" else ("fused", "scan"):
        with engine.using_kernel(kernel):
            x = engine.tensor("x", 3)
            y, _ = model.unroll(x, model.initial_state(x.shape[1]), Context.evaluation())
            described = engine.describe(y)
            assert ("_PastAttention" in described) == (kernel == "fused") and "Scan" not in described


# ---------------------------------------------------------------- what the others see of it


def test_the_body_keeps_the_names_of_its_parameters():
    rng = np.random.default_rng(0)
    body = Sequential([Dense(2, 3, rng=rng), GRU(3, 3, rng=rng)])
    own = ["recall.w_query", "recall.w_key", "recall.w_value", "recall.bias"]
    assert list(PastAttention(body, 2, rng=rng).parameters()) == [*body.parameters(), *own]


def test_what_is_stored_is_told_from_what_is_computed():
    rng = np.random.default_rng(0)
    model = Sequential([PastAttention(LSTM(2, 3, rng=rng), 4, rng=rng), Dense(3, 3, rng=rng), GRU(3, 2, rng=rng)])
    assert stored_leaves(model.state_sizes) == [False, False, True, True, True, False]
    assert stored_leaves(Layer().state_sizes) == [] and stored_leaves(3) == [False]
    assert isinstance(model.state_sizes[0][1], PastState)


def test_the_dynamics_of_a_state_are_those_of_the_body():
    """Entries fill up whatever the input, and keep what they hold: neither is growth, nor a trace of the beginning."""
    rng = np.random.default_rng(15)
    model = attention(50, rng, body=GRU(N_X, N_UNITS, rng=rng), dtype="float32")
    x = rng.standard_normal((64, 2, N_X)).astype("float32")
    alone, whole = (
        dynamics_figures(Stepped(layer), x, np.random.default_rng(0)) for layer in (model._children[""], model)
    )
    for one, other in zip(alone, whole, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(engine.MODE not in ("auto", "python"), reason="arrays of compiled code are not traced")
def test_memory_is_predicted():
    """What NumPy allocates in an update, with a past much longer than a batch and with a shorter one."""
    rng = np.random.default_rng(0)
    for n_past, n_steps in ((400, 20), (20, 200)):
        body = GRU(30, 40, rng=rng)
        model = Sequential([PastAttention(body, n_past, rng=rng), Dense(40, 30, rng=rng)])
        step = TrainStep(model, predict_next, SGD(), seed=0)
        frames = rng.standard_normal((n_steps + 1, 16, 30)).astype("float32")
        state = step(Batch(frames, np.ones(16, bool)), None, learning_rate=0.1, update=0).state
        buffers.clear()
        tracemalloc.start()
        step(Batch(frames, np.zeros(16, bool)), state, learning_rate=0.1, update=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        told = step_memory(model, predict_next, SGD(), n_steps=n_steps, batch_size=16)
        state_in = 4 * 16 * sum(flatten(model.state_sizes))
        assert 0.7 < (told.activations + told.states - state_in) / peak < 2.0, (told, peak)
