"""Long-term prediction against its equation in NumPy; models of codes that use it, unrolled and in free run."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from rnnaudio import engine
from rnnaudio.data.code_past import BeatReader, PastBatch, SequencePast, fixed_past_windows
from rnnaudio.diagnostics import check_gradients
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper
from rnnaudio.generation.codes import CodePlayer
from rnnaudio.generation.sampling import Sampling
from rnnaudio.nn import LSTM, CodeModel, Context, Dense, LongTermPrediction
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import NextCodesByBeat
from rnnaudio.training import Evaluation
from tests.support.codes import beating, long_term_model, tiny_codec

CODEC = tiny_codec()
READER = BeatReader(CODEC)
PLACES = ["body", "head", "both"]
IN_MODES = [*PLACES[:2], pytest.param("both", marks=pytest.mark.modes)]


def by_equation(values, v, b):
    """y of one step: v (J, M, n), b (J, 3)."""
    there = b[:, 0] > 0.0
    powers = np.exp(b @ values["w_candidate"] + values["b_candidate"]) * there
    shares = powers / powers.sum() if there.any() else powers
    x = np.zeros(v.shape[1:])
    for j in range(len(b)):
        for m in range(v.shape[1]):
            gate = expit(b[j] @ values["w_gate"][m] + values["b_gate"][m])
            x[m] += shares[j] * gate * v[j, m]
    return np.concatenate([x.ravel(), b.ravel()])


def outputs(layer, x):
    variable = engine.tensor("x", 3)
    return engine.function([variable], layer.unroll(variable, (), Context.evaluation())[0])(x)


@pytest.mark.jax
def test_the_layer_is_its_equation():
    rng = np.random.default_rng(0)
    with engine.precision("float64"):
        layer = LongTermPrediction(4, n_candidates=3, n_back=2)
        layer.set_values({name: rng.normal(size=v.shape) for name, v in layer.get_values().items()})
        v, b = rng.normal(size=(5, 6, 3, 2, 4)), rng.uniform(-1, 1, size=(5, 6, 3, 3))
        b[..., 0] = np.abs(b[..., 0]) * (rng.random((5, 6, 3)) < 0.6)  # candidates that there are not, in any places
        b[0, 0], b[0, 1] = 0.0, 0.0
        b[1, 1] *= 1e3  # no overflow
        y = outputs(layer, np.concatenate([v.reshape(5, 6, -1), b.reshape(5, 6, -1)], axis=2))
    values = layer.get_values()
    assert y.shape == (5, 6, layer.n_out) == (5, 6, 2 * 4 + 9) and layer.n_in == 3 * 2 * 4 + 9
    for t in range(5):
        for k in range(6):
            if (t, k) != (1, 1):
                np.testing.assert_allclose(y[t, k], by_equation(values, v[t, k], b[t, k]), atol=1e-12)
    assert np.isfinite(y).all()


def test_before_training_the_gate_is_half_open_at_a_confidence_of_a_half():
    layer = LongTermPrediction(1, n_candidates=1, n_back=1)
    x = np.array([[[1.0, c, 0.0, 0.0] for c in (0.0, 0.1, 0.5, 0.9)]], "float32")
    np.testing.assert_allclose(outputs(layer, x)[0, :, 0], [0.0, expit(-1.6), 0.5, expit(1.6)], atol=1e-6)


def test_dropout_leaves_out_whole_frames():
    layer = LongTermPrediction(50, n_candidates=1, n_back=3, dropout=0.5)
    x, key = engine.tensor("x", 3), engine.tensor("key", 1, "int64")
    train = engine.function([x, key], layer.unroll(x, (), Context.training_with(key))[0])
    frames = np.concatenate([np.ones((40, 5, 150)), np.tile([0.5, 0.0, 0.0], (40, 5, 1))], axis=2)
    y = train(frames.astype("float32"), [1, 2])[..., :150].reshape(40, 5, 3, 50)
    assert (y == y[..., :1]).all()  # a frame, or nothing of it
    np.testing.assert_allclose(np.unique(y), [0.0, 0.5 / 0.5], atol=1e-6)
    assert 0.4 < (y[..., 0] == 0).mean() < 0.6
    with pytest.raises(ValueError, match="dropout rate is 1.5"):
        LongTermPrediction(5, dropout=1.5)


# ---------------------------------------------------------------- in a model of codes


def batch(n=60, n_steps=20):
    """Windows in which the beat is known of some of the frames."""
    windows = fixed_past_windows((beating(CODEC, 100, 16), beating(CODEC, n, 11, 3)), n_steps, 3, READER)
    return next(window for window in windows if (window.past >= 0).any() and (window.past < 0).any())


def in_numpy(model, codes, past, beat, lags_to):
    """Bits of each stage, from the equations."""
    centres = [c.get_value() for c in model.centres]
    first, lstm = model.body._children.values()
    w, d = lstm.get_values(), first.get_values()
    h = c = np.zeros((codes.shape[1], lstm.n_out))
    bits = np.zeros(model.n_stages)

    def features(frames):
        total = sum(e[np.maximum(frames[..., k], 0)] for k, e in enumerate(centres[: frames.shape[-1]]))
        return np.where(frames[..., :1] < 0, 0.0, total)

    for t, (now, then) in enumerate(pairwise(codes)):
        v = features(past[t].reshape(len(now), 3, 3, model.n_stages))
        b = beat[t].reshape(len(now), 3, 3).astype(float)
        y = np.stack([by_equation(model.long_term.get_values(), *row) for row in zip(v, b, strict=True)])
        x = features(now)
        x = np.concatenate([x, y], axis=1) if lags_to != "head" else x
        z = np.tanh(x @ d["weight"] + d["bias"]) @ w["w_input"] + h @ w["w_hidden"] + w["bias"]
        i, f, g, o = np.split(z, 4, axis=1)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
        for k, head in enumerate(model.heads):
            beside = features(then[:, :k]) if k else y if lags_to != "body" else h[:, :0]
            said = np.concatenate([h, beside], axis=1)
            hidden, last = (layer.get_values() for _, layer in head.layers() if isinstance(layer, Dense))
            said = np.maximum(said @ hidden["weight"] + hidden["bias"], 0.0)
            logits = said @ last["weight"] + last["bias"]
            bits[k] -= log_softmax(logits, axis=1)[np.arange(len(then)), then[:, k]].sum() / np.log(2.0)
    return bits / (len(codes) - 1) / codes.shape[1]


@pytest.mark.jax
@pytest.mark.parametrize("lags_to", IN_MODES)
def test_bits_are_those_of_the_equations(lags_to):
    with engine.precision("float64"):
        model, window = long_term_model(CODEC, lags_to), batch()
        found = Evaluation(model, NextCodesByBeat())([window])
    first, second = in_numpy(model, window.codes, window.past, window.beat, lags_to)
    assert found["bits_1"] == pytest.approx(first, rel=1e-9)
    assert found["bits_2"] == pytest.approx(second, rel=1e-9)


@pytest.mark.parametrize(
    "lags_to",
    [pytest.param("both", marks=pytest.mark.modes), *(pytest.param(p, marks=pytest.mark.slow) for p in PLACES[:2])],
)
def test_gradients(lags_to):
    """With a confidence above 0 throughout: at 0 a candidate vanishes, and there are no differences."""
    window = batch(n_steps=5)
    window = window._replace(beat=np.random.default_rng(1).uniform(0.2, 0.9, size=window.beat.shape))
    with engine.precision("float64"):
        model = long_term_model(CODEC, lags_to, dropout=0.3)
        report = check_gradients(model, NextCodesByBeat(), window, rng=np.random.default_rng(0))
    assert report.largest < 1e-6
    assert {"long_term.w_gate", "long_term.b_candidate"} <= {array.name for array in report.arrays}


def played_bits(model, codes):
    """Bits of each stage by the step of the free run, fed with the true codes: the player's own parts."""
    player = CodePlayer(model, CODEC, codes[:, :1], Sampling(1.0))
    bits = np.zeros(model.n_stages)
    for now, then in pairwise(codes.swapaxes(0, 1)):
        hidden = player._hidden(player._input(now)).copy()
        for k, head in enumerate(player._heads):
            before = sum((e[then[:, j]] for j, e in enumerate(player._centres[:k])), np.zeros(()))
            x = np.concatenate([hidden[:, : player._n_hidden], before], axis=1) if k else hidden
            logits = head(x.astype(hidden.dtype))
            bits[k] -= log_softmax(logits.astype(float), axis=1)[np.arange(len(then)), then[:, k]].sum()
    return bits / np.log(2.0) / (codes.shape[1] - 1) / len(codes)


@pytest.mark.parametrize("lags_to", IN_MODES)
def test_bits_of_the_free_run_are_those_of_the_unrolled_graph(lags_to):
    """Fed with true codes from the beginning of two pieces on, each frame once."""
    codes = np.stack([beating(CODEC, 121, 16), beating(CODEC, 121, 11, 3)])
    with engine.precision("float64"):
        model = long_term_model(CODEC, lags_to)
        windows = fixed_past_windows(tuple(codes), 120, 2, READER)
        unrolled = Evaluation(model, NextCodesByBeat())(windows)
        found = played_bits(model, codes)
    assert found == pytest.approx([unrolled["bits_1"], unrolled["bits_2"]], rel=1e-9)


def test_streams_play_what_each_plays_alone_and_know_their_own_beat(use_threads):
    model = long_term_model(CODEC, "both")
    primes = np.stack([beating(CODEC, 90, 16), beating(CODEC, 90, 11, 3), beating(CODEC, 90, 16, 5)])
    player = CodePlayer(model, CODEC, primes, Sampling(1.0), seed=7)
    together = player.frames(30)
    assert len(player.pulses) == 3
    use_threads(1)
    for k in range(2):
        alone = CodePlayer(model, CODEC, primes[: k + 1], Sampling(1.0), seed=7)
        np.testing.assert_array_equal(together[k], alone.frames(30)[k])
        assert player.pulses[k].period.tobytes() == alone.pulses[k].period.tobytes()


def test_the_graph_plays_what_the_compiled_step_plays():
    model = long_term_model(CODEC, "both")
    x = np.random.default_rng(2).normal(size=(6, 3, model.n_in)).astype("float32")
    step = Stepper(model).streams(3)
    expected, _ = Stepper(model).prime(x)
    np.testing.assert_allclose(np.stack([step(frame).copy() for frame in x]), expected, atol=1e-5)


def test_a_played_frame_becomes_a_part_of_the_past():
    """The past in a free run is that of prime and played frames as one sequence."""
    model, prime = long_term_model(CODEC), beating(CODEC, 90, 16)[None]
    player = CodePlayer(model, CODEC, prime, Sampling(1.0), seed=1)
    played = player.frames(60)
    whole = SequencePast(np.concatenate([prime[0], played[0]]), READER)
    player._input(played[:, -1])  # the last one is the next input
    known = player._pasts[0].next()
    expected = whole.rows(149, 1)
    frame = SequencePast(np.concatenate([prime[0], played[0], played[0, :1]]), READER).rows(150, 1)
    assert known.codes.tobytes() == frame.codes.tobytes() and known.beat.tobytes() == frame.beat.tobytes()
    assert expected.codes.shape == known.codes.shape


def test_own_samples_are_trained_on_with_the_true_past():
    """A sure model: its state after training on its own samples is that of a model given its codes, past unchanged."""
    with engine.precision("float64"):
        model, window = long_term_model(CODEC), batch()
        for head, code in zip(model.heads, (3, 7), strict=True):
            *_, last = (layer for _, layer in head.layers() if isinstance(layer, Dense))
            bias = np.zeros(CODEC.n_codes)
            bias[code] = 100.0
            last.set_values({"weight": np.zeros((5, CODEC.n_codes)), "bias": bias})

        def states(share, codes):
            objective = NextCodesByBeat(own_share=share)
            variables, key = objective.variables(), engine.tensor("key", 1, "int64")
            state = model.initial_state(variables[0].shape[1])
            outcome = objective.outcome(model, variables, state, Context.training_with(key))
            leaves = [leaf + 0.0 * key.sum() for leaf in flatten(outcome.state)]
            return np.concatenate(engine.function([*variables, key], leaves)(codes, window.past, window.beat, [0, 0]))

        given = window.codes.copy()
        given[1:-1] = [3, 7]
        np.testing.assert_allclose(states(0.999999, window.codes), states(0.0, given), rtol=1e-12)


def test_what_does_not_fit_is_refused():
    rng, n = np.random.default_rng(0), CODEC.n_features
    places = {"centres": CODEC.stages, "deviations": CODEC.deviations}
    heads = [Dense(6, 12, rng=rng), Dense(6 + n, 12, rng=rng)]
    lagged = LongTermPrediction(n)
    with pytest.raises(ValueError, match=f"the body takes {n} inputs .* expected {n + lagged.n_out}"):
        CodeModel(LSTM(n, 6, rng=rng), heads, **places, long_term=lagged)
    with pytest.raises(ValueError, match="heads are"):
        CodeModel(LSTM(n, 6, rng=rng), heads, **places, long_term=lagged, lags_to="head")
    with pytest.raises(ValueError, match="lags_to is 'tail'; expected body, head or both"):
        CodeModel(LSTM(n, 6, rng=rng), heads, **places, long_term=lagged, lags_to="tail")
    with pytest.raises(ValueError, match=f"long_term has {n + 1} features a frame; expected {n}"):
        CodeModel(LSTM(n, 6, rng=rng), heads, **places, long_term=LongTermPrediction(n + 1))


def test_codes_out_of_range_are_refused_as_without_a_beat():
    with pytest.raises(RnnaudioError, match="expected 0 to 11"):
        CodePlayer(long_term_model(CODEC), CODEC, np.full((1, 3, 2), 99), Sampling())


def test_fields_of_a_batch_are_those_of_the_objective():
    assert {*NextCodesByBeat().fields, "resets"} == set(PastBatch._fields)
