"""Codes: the codec against its definition, batches that go on, bits against NumPy, sampling, the free run."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from rnnaudio import engine
from rnnaudio.audio.phase import OnlineGriffinLim, PhaseGradient, streamed
from rnnaudio.audio.scaling import spread_magnitudes
from rnnaudio.audio.stft import STFT
from rnnaudio.data.code_batches import CodeStreams, fixed_code_windows
from rnnaudio.data.codec import MOST_FRAMES, RIDGE_FRAMES, Codec
from rnnaudio.data.demo import embedded_recordings
from rnnaudio.diagnostics import check_gradients
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.codes import CodePlayer, SoundStream, continue_audio, decoded_audio, ending_frames
from rnnaudio.generation.sampling import Sampling, SamplingSchedule
from rnnaudio.metrics.spectra import spectral_convergence_db
from rnnaudio.nn import LSTM, CodeModel, Context, Dense, Sequential, mlp
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import NextCodes
from rnnaudio.optimizers import Adam
from rnnaudio.training import EarlyStopping, Evaluation, Limits, train
from tests.support.sounds import RATE_HZ, music, spoilt


class Piece:
    def __init__(self, audio):
        self.audio, self.n_samples = np.asarray(audio, np.float32), len(audio)

    def read(self, start, stop):
        return self.audio[start:stop]


class Pieces:
    sample_rate_hz = RATE_HZ

    def __init__(self, *audio):
        self.pieces = tuple(map(Piece, audio))


MUSIC = [20.0 * music(8.0, seed) for seed in (3, 4)]
TRANSFORM = STFT(512, 256, padding="none", sample_rate_hz=RATE_HZ)


@pytest.fixture(scope="module")
def codec():
    return Codec.fit(Pieces(*MUSIC), TRANSFORM, n_codes=12, n_stages=2, n_components=10)


# ---------------------------------------------------------------- the codec


def test_a_frame_is_the_nearest_centre_of_what_is_left(codec):
    spectra = np.abs(TRANSFORM.forward(MUSIC[0]))
    features = codec.scale.scaled(spectra)
    codes = codec.encode(MUSIC[0])
    assert codes.shape == (len(spectra), 2) and codes.dtype == np.int64
    left = features.astype(np.float64)
    for k, centres in enumerate(codec.stages.astype(np.float64)):
        distances = ((left[:, None] - centres) ** 2).sum(axis=2)
        assert (np.take_along_axis(distances, codes[:, k : k + 1], 1)[:, 0] <= distances.min(axis=1) + 1e-4).all()
        left = left - centres[codes[:, k]]
    np.testing.assert_allclose(codec.features(codes), features - left, atol=1e-4)


def test_a_frame_is_told_by_its_neighbours_too(codec):
    """Ridge regression as least squares with rows for the ridge added; then the definition, frame by frame."""
    x, y = [], []
    for part in spread_magnitudes(Pieces(*MUSIC), TRANSFORM, MOST_FRAMES):
        true = codec.scale.scaled(part).astype(np.float64)
        told = codec.features(codec.nearest(true)).astype(np.float64)
        for t in range(1, len(told) - 1):
            x.append(np.concatenate([told[t - 1], told[t], told[t + 1], [1.0]]))
            y.append(true[t] - told[t])
    ridge = np.sqrt(RIDGE_FRAMES) * np.eye(31)
    expected = np.linalg.lstsq(np.concatenate([x, ridge]), np.concatenate([y, np.zeros((31, 10))]), rcond=None)[0]
    np.testing.assert_allclose(codec.neighbours, expected, atol=1e-4 * np.abs(expected).max())
    codes = codec.encode(MUSIC[1])[:5]
    told = codec.features(codes)
    rows = [np.concatenate([told[max(t - 1, 0)], told[t], told[min(t + 1, 4)], [1.0]]) for t in range(5)]
    expected = codec.gain * codec.scale.magnitudes(told + np.stack(rows) @ codec.neighbours)
    np.testing.assert_allclose(codec.magnitudes(codes), expected, rtol=1e-4, atol=1e-5)


def test_neighbours_help_with_music_that_was_not_heard(codec):
    unseen = 20.0 * music(8.0, 5)
    true = codec.scale.scaled(np.abs(TRANSFORM.forward(unseen)))
    codes = codec.encode(unseen)
    told = codec.features(codes)
    better = codec.scale.scaled(codec.magnitudes(codes) / codec.gain)
    assert np.sum((better - true) ** 2) < 0.98 * np.sum((told - true) ** 2)


def test_decoded_music_is_as_loud_as_it_was():
    """Of four codes; without the gain it is softer, as the logarithms are averaged."""
    few = Codec.fit(Pieces(*MUSIC), TRANSFORM, n_codes=4, n_components=10)
    true = sum(np.sum(np.abs(TRANSFORM.forward(audio)) ** 2) for audio in MUSIC)
    decoded = sum(np.sum(few.magnitudes(few.encode(audio)) ** 2) for audio in MUSIC)
    assert 10 * np.log10(decoded / true) == pytest.approx(0.0, abs=0.05)  # of all frames but those between the pieces
    assert 20 * np.log10(few.gain) > 1.0


def test_a_codec_of_before_tells_each_frame_alone(codec):
    arrays = {name: array for name, array in codec.as_arrays().items() if name != "neighbours"}
    record = {name: value for name, value in codec.as_record().items() if name != "gain"}
    before, codes = Codec.from_arrays(arrays, record), codec.encode(MUSIC[1])
    np.testing.assert_array_equal(before.magnitudes(codes), codec.scale.magnitudes(codec.features(codes)))


def test_more_codes_and_stages_lose_less():
    lost = {
        (n, k): Codec.fit(Pieces(*MUSIC), TRANSFORM, n_codes=n, n_stages=k, n_components=10).lost
        for n, k in ((4, 1), (32, 1), (32, 2))
    }
    assert 0.0 < lost[32, 2] < lost[32, 1] < lost[4, 1] < 1.0


@pytest.mark.filterwarnings("error")
def test_codes_that_no_frame_uses_are_no_warning():
    """Two kinds of frames and eight codes: clusters run empty."""
    steps = np.repeat(np.tile([0.0, 1.0], 20), 1024) * np.sin(np.arange(40 * 1024) / 3)
    codec = Codec.fit(Pieces(steps.astype(np.float32)), TRANSFORM, n_codes=8, n_stages=2, n_components=2)
    assert np.isfinite(codec.lost)


def test_a_codec_survives_saving(codec):
    again = Codec.from_arrays(codec.as_arrays(), codec.as_record())
    codes = again.encode(MUSIC[1])
    assert (codes == codec.encode(MUSIC[1])).all() and again.lost == codec.lost
    np.testing.assert_array_equal(again.magnitudes(codes), codec.magnitudes(codes))
    with pytest.raises(RnnaudioError, match="no codec"):
        Codec.from_arrays({}, {})


@pytest.mark.parametrize("name", ["mean", "basis", "stages", "neighbours"])
def test_a_codec_of_other_sizes_is_refused(codec, name):
    arrays, axis = codec.as_arrays(), 2 if name == "stages" else 0
    for wrong in (arrays[name][..., None], np.repeat(arrays[name], 2, axis)):
        with pytest.raises(RnnaudioError, match=f"no codec.*{name}"):
            Codec.from_arrays(arrays | {name: wrong}, codec.as_record())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_codes": 1}, "n_codes: got 1, expected 2"),
        ({"n_stages": 0}, "n_stages: got 0"),
        ({"n_codes": 10_000}, "too few for 10000 codes"),
    ],
)
def test_sizes_that_are_refused(options, message):
    with pytest.raises(RnnaudioError, match=message):
        Codec.fit(Pieces(*MUSIC), TRANSFORM, n_components=10, **options)


def test_sounds_and_codes_that_are_refused(codec):
    with pytest.raises(RnnaudioError, match="hold no frame"):
        codec.encode(np.zeros(100, np.float32))
    with pytest.raises(RnnaudioError, match="NaN"):
        codec.encode(spoilt(1000).astype(np.float32))
    with pytest.raises(RnnaudioError, match="expected 0 to 11"):
        codec.features(np.array([[3, 12]]))
    with pytest.raises(RnnaudioError, match="whole numbers"):
        codec.features(np.array([[0.5, 1.0]]))
    with pytest.raises(RnnaudioError, match="silent"):
        Codec.fit(Pieces(np.zeros(20_000)), TRANSFORM, n_codes=4, n_components=10)


# ---------------------------------------------------------------- batches


def numbered(*lengths):
    """Sequences whose codes say where they are from: 1000 x sequence + frame."""
    return tuple(1000 * k + np.arange(n)[:, None] for k, n in enumerate(lengths))


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=4), st.integers(1, 6), st.integers(1, 5), st.integers(0, 9),
    st.integers(1, 5),
)  # fmt: skip
def test_streams_go_on_where_they_ended_or_reset(lengths, n_steps, batch_size, seed, n_context):
    if max(lengths) < n_context + n_steps:
        return
    batches = CodeStreams(numbered(*lengths), n_steps, batch_size, seed, n_context)
    before = None
    for index in range(2 * batches.batches_per_epoch):
        codes, resets = batches.batch(index)
        assert codes.shape == (n_context + n_steps, batch_size, 1)
        assert (np.diff(codes[..., 0], axis=0) == 1).all()  # within one sequence, frame by frame
        goes_on = np.zeros(batch_size, bool) if before is None else before[-1, :, 0] == codes[n_context - 1, :, 0]
        assert (goes_on | resets).all()
        assert resets.all() == (index % batches.batches_per_epoch == 0) or resets.all()
        before = codes
        assert (batches.batch(index).codes == codes).all()


def test_an_epoch_goes_through_all_windows_once():
    batches = CodeStreams(numbered(41, 81), n_steps=4, batch_size=1, seed=0)
    seen = np.concatenate([batches.batch(k).codes[1:, 0, 0] for k in range(batches.batches_per_epoch)])
    assert len(seen) - len(set(seen)) <= 2 * 4  # a phase may cost a piece one window; the walk then begins again
    assert len(set(seen)) >= 40 + 80 - 2 * 2 * 4
    resets = [batches.batch(k).resets[0] for k in range(batches.batches_per_epoch)]
    assert sum(resets) <= 3  # the beginning, the other piece, and where the walk was begun in the middle


def test_fixed_windows_hold_all_of_the_split():
    batches = fixed_code_windows(numbered(21, 9), 4, 3)
    seen = [tuple(item) for codes, _ in batches for item in codes[..., 0].T]
    assert seen == [tuple(range(s, s + 5)) for s in (0, 4, 8, 12, 16, 1000, 1004)]  # none of them twice
    assert [len(resets) for _, resets in batches] == [3, 3, 1]
    with pytest.raises(RnnaudioError, match="lower n_steps"):
        fixed_code_windows(numbered(3), 4, 3)
    too_long = "n_steps is 4, which with 5 of context makes 9 frames, but the longest {} has 8: lower n_steps"
    with pytest.raises(RnnaudioError, match=too_long.format("validation piece")):
        fixed_code_windows(numbered(8), 4, 3, n_context=5)
    with pytest.raises(RnnaudioError, match=too_long.format("piece")):
        CodeStreams(numbered(8), n_steps=4, batch_size=2, seed=0, n_context=5)
    (heard,) = fixed_code_windows(numbered(13), 4, 3, n_context=5)
    assert heard.codes[..., 0].T.tolist() == [list(range(s, s + 9)) for s in (0, 4)]
    with pytest.raises(RnnaudioError, match="lower n_steps"):
        CodeStreams(numbered(3), n_steps=4, batch_size=2, seed=0)


# ---------------------------------------------------------------- the model


def code_model(n_codes=12, n_features=10, n_stages=2, n_units=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_stages, n_codes, n_features)).astype(np.float32)
    body = Sequential([Dense(n_features, 7, rng=rng, activation="relu"), LSTM(7, n_units, rng=rng)])
    heads = [mlp([n_units + (n_features if k else 0), 5, n_codes], rng=rng) for k in range(n_stages)]
    return CodeModel(body, heads, centres=centres, deviations=centres[0].std(axis=0))


class Codes:
    fields = ("codes",)

    def __init__(self, codes):
        self.codes, self.resets = codes, np.ones(codes.shape[1], bool)


def some_codes(n_steps=6, batch_size=3, n_stages=2, n_codes=12):
    return np.random.default_rng(1).integers(0, n_codes, (n_steps + 1, batch_size, n_stages))


def dense(x, layer, bend):
    w = layer.get_values()
    return bend(x @ w["weight"] + w["bias"])


def in_numpy(model, codes):
    """Bits of each stage, from the equations."""
    relu, same, sigmoid = (lambda x: np.maximum(x, 0.0)), (lambda x: x), (lambda x: 1.0 / (1.0 + np.exp(-x)))
    centres = [c.get_value() for c in model.centres]
    first, lstm = model.body._children.values()
    w = lstm.get_values()
    h = c = np.zeros((codes.shape[1], lstm.n_out))
    bits = np.zeros(model.n_stages)
    for now, then in pairwise(codes):
        x = dense(sum(e[now[:, k]] for k, e in enumerate(centres)), first, relu)
        z = x @ w["w_input"] + h @ w["w_hidden"] + w["bias"]
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        said = h
        for k, head in enumerate(model.heads):
            hidden, last = (layer for _, layer in head.layers() if isinstance(layer, Dense))
            logits = dense(dense(said, hidden, relu), last, same)
            bits[k] -= log_softmax(logits, axis=1)[np.arange(len(then)), then[:, k]].sum() / np.log(2.0)
            said = np.concatenate([h, sum(e[then[:, j]] for j, e in enumerate(centres[: k + 1]))], axis=1)
    return bits / (len(codes) - 1) / codes.shape[1]


@pytest.mark.modes
@pytest.mark.jax
def test_bits_are_those_of_the_equations(kernel):
    with engine.precision("float64"):
        model, codes = code_model(), some_codes()
        said = Evaluation(model, NextCodes())([Codes(codes)])
    first, second = in_numpy(model, codes)
    assert said["bits_1"] == pytest.approx(first, rel=1e-9)
    assert said["bits_2"] == pytest.approx(second, rel=1e-9)
    assert said["bits"] == pytest.approx(first + second, rel=1e-9)


def test_uniform_heads_need_log2_of_the_codes():
    model = code_model(n_stages=1)
    for _, layer in model.heads[0].layers():
        if isinstance(layer, Dense):
            layer.set_values({name: np.zeros_like(v) for name, v in layer.get_values().items()})
    reported = Evaluation(model, NextCodes())([Codes(some_codes(n_stages=1))])
    assert reported.keys() == {"bits"}  # one stage is the whole
    assert reported["bits"] == pytest.approx(np.log2(12), rel=1e-6)


@pytest.mark.modes
def test_gradients_through_stages(kernel):
    with engine.precision("float64"):
        report = check_gradients(code_model(), NextCodes(), Codes(some_codes()), rng=np.random.default_rng(0))
    assert report.largest < 1e-6


class Sure:
    """A code model that is sure of one code for each stage, whatever its input."""

    def __init__(self, codes):
        self.model = code_model()
        for head, code in zip(self.model.heads, codes, strict=True):
            *_, last = (layer for _, layer in head.layers() if isinstance(layer, Dense))
            values = {name: np.zeros_like(v) for name, v in last.get_values().items()}
            values["bias"][code] = 100.0
            last.set_values(values)


def states_after(model, own_share, **rise):
    """(codes, update) -> all that the body keeps after a training window."""
    variable, key = engine.tensor("codes", 3, "int64"), engine.tensor("key", 1, "int64")
    state = model.initial_state(variable.shape[1])
    objective = NextCodes(own_share=own_share, **rise)
    outcome = objective.outcome(model, [variable], state, Context.training_with(key))
    used = key.sum() * 0.0  # without draws nothing else depends on it
    function = engine.function([variable, key], [a + used for a in flatten(outcome.state)])
    return lambda codes, update=0: np.concatenate(function(codes, [0, update]))


@pytest.mark.modes
def test_own_samples_are_the_input_in_training(kernel):
    """A sure model whose input is its own samples throughout has the state of one that was given its codes."""
    with engine.precision("float64"):
        model, codes = Sure([3, 7]).model, some_codes()
        given = codes.copy()
        given[1:-1] = [3, 7]
        teacher_forced, rising = states_after(model, 0.0), states_after(model, 0.999999, own_rise=10)
        plain, true = teacher_forced(given), teacher_forced(codes)
        early, late = rising(codes), rising(codes, update=10)
    assert np.abs(late - true).max() > 1e-3
    np.testing.assert_allclose(early, true, rtol=1e-12)  # the share rises from none
    np.testing.assert_allclose(late, plain, rtol=1e-12)


def test_own_samples_are_the_input_from_the_first_update_where_their_share_does_not_rise():
    with engine.precision("float64"):
        model, codes = Sure([3, 7]).model, some_codes()
        given = codes.copy()
        given[1:-1] = [3, 7]
        own, plain = states_after(model, 0.999999)(codes), states_after(model, 0.0)(given)
    np.testing.assert_allclose(own, plain, rtol=1e-12)


def test_draws_of_the_graph_have_the_models_probabilities():
    model = code_model(n_stages=1)
    codes, uniform = engine.tensor("codes", 3, "int64"), engine.tensor("u", 3)
    hidden, _ = model.unroll(model.features(codes), model.initial_state(codes.shape[1]), Context.evaluation())
    logits, _ = model.heads[0].unroll(hidden, model.heads[0].initial_state(1), Context.evaluation())
    function = engine.function([codes, uniform], [model.sample(hidden, uniform), logits])
    n = 4000
    u = np.random.default_rng(5).random((1, n, 1)).astype(engine.float_type())
    drawn, said = function(np.repeat(some_codes(0, 1, 1), n, axis=1), u)
    found = np.bincount(drawn[0, :, 0], minlength=12) / n
    assert np.abs(found - softmax(said[0, 0].astype(float))).max() < 5.0 * np.sqrt(0.25 / n)


def test_phases_by_the_gradient_are_nearer_to_what_the_codes_say():
    """Of real piano, against a stream of Griffin-Lim that begins from nothing, with as many iterations."""
    audio, _ = embedded_recordings()[0].load()
    rate = 16_000
    piano = np.asarray(audio[rate : 5 * rate], np.float32) / np.std(audio)
    stft = STFT(1024, 256, sample_rate_hz=rate)
    codec = Codec.fit(SimpleNamespace(pieces=[Piece(piano)], sample_rate_hz=rate), stft, n_codes=32, n_components=40)
    codes = codec.encode(piano)
    wanted = codec.magnitudes(codes)

    def off(samples):
        found = np.abs(stft.forward(samples))
        n = min(len(found), len(wanted)) - 8
        return spectral_convergence_db(wanted[8:n], found[8:n])  # ends lie under fewer windows

    assert off(decoded_audio(codec, codes)) < off(streamed(wanted, stft, look_ahead=2, n_iterations=2)) - 3.0


def test_shapes_that_do_not_fit_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="heads are"):
        CodeModel(LSTM(10, 6, rng=rng), [], centres=np.zeros((1, 12, 10)), deviations=np.ones(10))


def test_a_model_learns_a_cycle_of_codes_and_plays_it(tmp_path, codec):
    """Codes that go round: after training the next one is certain, and the free run goes on with them."""
    cycle = np.tile(np.array([[1, 5], [2, 6], [3, 7], [4, 8]]), (40, 1))
    model = code_model(n_units=16)
    train(
        model,
        NextCodes(),
        CodeStreams((cycle,), n_steps=8, batch_size=4, seed=0),
        fixed_code_windows((cycle,), 8, 4),
        optimizer=Adam(3e-2),
        stopping=EarlyStopping(50),
        run_dir=tmp_path,
        limits=Limits(80, validate_every=80),
        on_validation=lambda row: None,
    )
    assert Evaluation(model, NextCodes())(fixed_code_windows((cycle,), 8, 4))["bits"] < 0.1
    seeds = np.stack([cycle[:9], cycle[2:11]])
    played = CodePlayer(model, codec, seeds, Sampling(0.5), seed=1).frames(20)
    np.testing.assert_array_equal(played[0], cycle[9:29])
    np.testing.assert_array_equal(played[1], cycle[11:31])


# ---------------------------------------------------------------- the free run


def test_streams_play_what_each_plays_alone(codec):
    model = code_model()
    seeds = some_codes(8, 3).swapaxes(0, 1)
    together = CodePlayer(model, codec, seeds, Sampling(1.0), seed=7).frames(15)
    np.testing.assert_array_equal(together, CodePlayer(model, codec, seeds, Sampling(1.0), seed=7).frames(15))
    alone = CodePlayer(model, codec, seeds[:1], Sampling(1.0), seed=7).frames(15)
    np.testing.assert_array_equal(together[0], alone[0])
    assert (CodePlayer(model, codec, seeds, Sampling(1.0), seed=8).frames(15) != together).any()


def test_codes_are_drawn_with_the_models_probabilities(codec):
    """The first drawn frame of many streams of one seed, against the softmax of the graph."""
    model = code_model(n_stages=1, n_units=6)
    one = replace(codec, stages=codec.stages[:1])
    seed = some_codes(4, 1, 1)
    n = 4000
    drawn = CodePlayer(model, one, np.repeat(seed.swapaxes(0, 1), n, axis=0), Sampling(0.7), seed=3).frames(1)[:, 0, 0]
    codes = engine.tensor("codes", 3, "int64")
    hidden, _ = model.unroll(model.features(codes), model.initial_state(codes.shape[1]), Context.evaluation())
    said, _ = model.heads[0].unroll(hidden, model.heads[0].initial_state(1), Context.evaluation())
    logits = engine.function([codes], said)(seed)[-1, 0]
    expected = softmax(np.asarray(logits, np.float64) / 0.7)
    found = np.bincount(drawn, minlength=12) / n
    assert np.abs(found - expected).max() < 5.0 * np.sqrt(0.25 / n)


def test_seeds_that_are_refused(codec):
    with pytest.raises(RnnaudioError, match="at least one"):
        CodePlayer(code_model(), codec, np.zeros((1, 0, 2), int), Sampling())
    with pytest.raises(RnnaudioError, match="expected 0 to 11"):
        CodePlayer(code_model(), codec, np.full((1, 3, 2), 99), Sampling())
    with pytest.raises(RnnaudioError, match="1 or more"):
        CodePlayer(code_model(), codec, np.zeros((1, 3, 2), int), Sampling()).frames(0)


def test_detail_has_a_temperature_of_its_own(codec):
    """From one frame on, in a thousand streams: nearly without one, the detail follows from the first stage's code."""
    seeds = np.zeros((1000, 1, 2), int)

    def pairs(**options):
        drawn = next(CodePlayer(code_model(), codec, seeds, Sampling(2.0), seed=3, **options))
        return {tuple(frame) for frame in drawn.tolist()}

    firsts = {first for first, _ in pairs()}
    cold, hot = pairs(detail_temperature=1e-4), pairs(detail_temperature=9.0)
    assert {first for first, _ in cold} == {first for first, _ in hot} == firsts and len(firsts) > 6
    assert len(cold) == len(firsts) and len(hot) > 4 * len(firsts)
    assert pairs(detail_temperature=2.0) == pairs() == pairs(detail_temperature=None)


@pytest.mark.parametrize("detail", [0.0, -1.0, np.nan])
def test_a_detail_temperature_that_is_not_positive_is_refused_at_once(codec, detail):
    with pytest.raises(RnnaudioError, match="the temperature is .*: expected more than 0"):
        CodePlayer(code_model(), codec, np.zeros((1, 1, 2), int), Sampling(), detail_temperature=detail)


def test_a_stream_sounds_the_codecs_magnitudes(codec):
    codes = codec.encode(MUSIC[0])[:20]
    phases, mended = PhaseGradient(TRANSFORM), OnlineGriffinLim(TRANSFORM, look_ahead=2, n_iterations=2)
    frames = [f for frame in codec.magnitudes(codes) for f in phases.push(frame)] + phases.flush()
    expected = np.concatenate([*(mended.push(f.magnitudes, f.phases) for f in frames), mended.flush()])
    np.testing.assert_allclose(decoded_audio(codec, codes), expected, atol=1e-4 * np.abs(expected).max())


def test_sound_comes_as_it_is_played_and_is_the_same_at_the_end(codec):
    codes = codec.encode(MUSIC[0])[:40]
    stream = SoundStream(codec)
    parts = [stream.push(frame) for frame in codes]
    assert sum(map(len, parts[:8])) > 0  # after a few frames, not at the end
    whole = np.concatenate([*parts, stream.flush()])
    np.testing.assert_array_equal(whole, decoded_audio(codec, codes))
    assert len(whole) == TRANSFORM.n_samples(40) and whole.dtype == np.float32


class Exact:
    """A codec that loses nothing: a code is the number of a true frame."""

    def __init__(self, stft, spectra):
        self.stft, self._spectra, self.asked = stft, np.abs(spectra), []

    def encode(self, audio):
        return np.full((1, 1), -len(audio))

    def magnitudes_between(self, codes):
        self.asked.append(codes[:, 0].tolist())
        return self._spectra[codes[1, 0]]


@pytest.mark.parametrize("padding", ["full", "none"])
def test_the_stream_goes_on_from_what_was_heard_without_a_seam(padding):
    """A chirp, which is like itself nowhere else: true frames in their own phases, then the true magnitudes."""
    stft = STFT(512, 128, padding=padding, sample_rate_hz=RATE_HZ)
    t, n_seed, n = np.arange(6000) / RATE_HZ, 3000, 256
    audio = np.sin(2 * np.pi * (300.0 * t + 300.0 * t**2))
    first = n_seed - stft.window_samples + stft.hop_samples  # where the first frame begins that was not heard whole
    frames = np.lib.stride_tricks.sliding_window_view(audio[first:], stft.window_samples)[:: stft.hop_samples]
    exact = Exact(stft, stft.of_frames(frames))
    stream = SoundStream(exact, audio[:n_seed])
    said = np.concatenate([*(stream.push(np.array([k])) for k in range(len(frames))), stream.flush()])
    n_codes = len(frames)
    wanted = [[k - 1, k, k + 1] for k in range(n_codes)]
    wanted[0][0], wanted[-1][2] = -512, n_codes - 1  # before the first: the last whole frame that was heard
    assert exact.asked == wanted
    np.testing.assert_array_equal(ending_frames(audio[:n_seed], stft)[-1], audio[first - 128 : n_seed])
    alike = {lag: np.corrcoef(said[:n], audio[n_seed + lag :][:n])[0, 1] for lag in (0, -384, -128, 128, 384)}
    assert alike.pop(0) > 0.98 > 0.9 > max(alike.values())  # but for lags that would be a frame wrong, or a window
    np.testing.assert_allclose(len(said), len(audio) - n_seed, atol=stft.window_samples)


def test_blocks_hold_all_samples_whatever_their_length(codec):
    seeds = np.stack([MUSIC[0][:5000], MUSIC[1][:5000]]).astype(np.float32)
    one, many = (
        list(continue_audio(code_model(), codec, seeds, 3000, SamplingSchedule().at, seed=4, n_at_once=n))
        for n in (1, 7)
    )
    whole = [np.concatenate([block.audio for block in blocks], axis=1) for blocks in (one, many)]
    np.testing.assert_array_equal(*whole)
    assert whole[0].shape == (2, 3000) and len(one) > len(many)
    with pytest.raises(RnnaudioError, match="expected 1 or more"):
        next(continue_audio(code_model(), codec, seeds, 0, SamplingSchedule().at))


# ---------------------------------------------------------------- sampling


def test_probabilities_of_a_small_example():
    logits = np.log([[0.5, 0.3, 0.15, 0.05]])
    np.testing.assert_allclose(Sampling().probabilities(logits), [[0.5, 0.3, 0.15, 0.05]])
    squared = np.array([0.25, 0.09, 0.0225, 0.0025])
    np.testing.assert_allclose(Sampling(0.5).probabilities(logits)[0], squared / squared.sum())
    np.testing.assert_allclose(Sampling(top_k=2).probabilities(logits), [[0.625, 0.375, 0.0, 0.0]])
    np.testing.assert_allclose(Sampling(nucleus=0.6).probabilities(logits), [[0.625, 0.375, 0.0, 0.0]])
    np.testing.assert_allclose(Sampling(nucleus=0.01).probabilities(logits), [[1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(Sampling(nucleus=1.0, top_k=9).probabilities(logits), [[0.5, 0.3, 0.15, 0.05]])


@given(
    st.lists(st.floats(-800, 800), min_size=2, max_size=9), st.floats(0.05, 5.0), st.integers(0, 9), st.floats(0.05, 1)
)
@example([-5.4e-116, 0.0], 1.0, 0, 0.5)
def test_probabilities_sum_to_one_and_keep_the_order(logits, temperature, top_k, nucleus):
    p = Sampling(temperature, top_k, nucleus).probabilities(np.array([logits]))[0]
    assert p.sum() == pytest.approx(1.0) and (p >= 0.0).all()
    # Logits closer than rounding are equal once divided and shifted.
    assert logits[np.argmax(p)] == pytest.approx(max(logits), rel=1e-12, abs=1e-12)


def test_codes_are_drawn_by_inversion():
    logits = np.log([[0.5, 0.3, 0.2]]).repeat(5, axis=0)
    drawn = Sampling().sample(logits, np.array([0.0, 0.499, 0.501, 0.81, 0.9999999]))
    assert drawn.tolist() == [0, 0, 1, 2, 2]
    assert Sampling(top_k=1).sample(logits, np.array([0.1, 0.5, 0.9, 0.99, 0.0])).tolist() == [0] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "more than 0"),
        ({"temperature": -1.0}, "more than 0"),
        ({"temperature": np.nan}, "more than 0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"nucleus": 0.0}, "nucleus 0"),
    ],
)
def test_sampling_that_is_refused(options, message):
    with pytest.raises(RnnaudioError, match=message):
        Sampling(**options)


def test_the_temperature_goes_through_its_values():
    course = SamplingSchedule((0.8, 1.2, 1.0), top_k=3)
    assert [course.at(s).temperature for s in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([0.8, 1.0, 1.2, 1.1, 1.0])
    assert SamplingSchedule((0.7,)).at(0.4) == Sampling(0.7) and course.at(0.3).top_k == 3
    for temperatures in ((), (1.0, 0.0), (-1.0,)):
        with pytest.raises(RnnaudioError, match="temperature"):
            SamplingSchedule(temperatures)


def test_logits_that_are_not_finite_are_refused():
    with pytest.raises(RnnaudioError, match="training diverged"):
        Sampling().probabilities(np.array([[0.0, np.nan]]))
