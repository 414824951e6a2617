"""Free run: the same step as the unrolled graph, fed with its own output."""

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper, continued_blocks, generate, generate_streams
from rnnaudio.nn import GRU, LSTM, Context, Dense, LearntInitialState, LinearPredictor, Noisy, Sequential, Sum
from tests.support.sounds import spoilt

FRAME = 3


def stack():
    """Every kind of state at once: noisy (silent in evaluation), learnt initial, several frames, skips."""
    rng = np.random.default_rng(0)
    layers = [
        Noisy(LSTM(FRAME, 4, rng=rng, peepholes=True), std=0.5, state_std=0.5),
        LearntInitialState(GRU(FRAME + 4, 5, rng=rng)),
        Dense(9, FRAME, rng=rng),
    ]
    model = Sum(stack=Sequential(layers, skip=True), linear=LinearPredictor(FRAME, FRAME))
    values = {name: 0.3 * rng.standard_normal(v.shape) for name, v in model.get_values().items() if "std" not in name}
    model.set_values(model.get_values() | values)
    return model


@pytest.mark.modes
def test_free_run_fed_with_true_frames_equals_the_unrolled_graph():
    with engine.precision("float64"):
        model = stack()
        x = np.random.default_rng(1).standard_normal((9, 2, FRAME))
        variable = engine.tensor("x", 3)
        y, _ = model.unroll(variable, model.initial_state(variable.shape[1]), Context.evaluation())
        unrolled = engine.function([variable], y)(x)
        stepped, _ = Stepper(model).prime(x)
    np.testing.assert_allclose(stepped, unrolled, rtol=0, atol=1e-12)


@pytest.mark.jax
def test_free_run_is_the_recursion_written_out():
    """y_n = f(y_{n-1}) with the state carried: each generated frame is the step of the one before, consumed once."""
    model = stack()
    stepper = Stepper(model)
    seed = np.random.default_rng(2).standard_normal(4 * FRAME).astype("float32")
    result = generate(stepper, seed, n_samples=5 * FRAME)
    frames = result.audio.reshape(-1, 1, FRAME)
    outputs, _ = stepper.prime(frames)  # unroll over seed and generated sound as if both were given
    np.testing.assert_allclose(outputs[3:-1], frames[4:], atol=1e-6)
    assert result.n_prime == len(seed) and result.stopped == ""


def test_length_in_samples_is_kept_and_the_seed_stands_in_front():
    stepper = Stepper(stack())
    seed = np.random.default_rng(3).standard_normal(4 * FRAME + 2).astype("float32")
    result = generate(stepper, seed, n_samples=10)
    assert len(result.audio) == len(seed) + 10
    np.testing.assert_array_equal(result.audio[: len(seed)], seed)


def test_generation_is_deterministic():
    stepper = Stepper(stack())
    seed = np.random.default_rng(4).standard_normal(4 * FRAME)
    one, other = (generate(stepper, seed, n_samples=30).audio for _ in range(2))
    assert one.tobytes() == other.tobytes()


@pytest.mark.jax
def test_an_exploding_model_stops_and_says_so():
    rng = np.random.default_rng(0)
    model = Sequential([Dense(FRAME, FRAME, rng=rng)])
    model.set_values({"dense.weight": 1e20 * np.eye(FRAME), "dense.bias": np.zeros(FRAME)})
    result = generate(Stepper(model), np.ones(FRAME), n_samples=100)
    assert "not finite after 1 frames" in result.stopped
    assert np.isfinite(result.audio).all() and len(result.audio) == 2 * FRAME
    endless = generate(Stepper(model), np.ones(FRAME), n_samples=10**12)  # when all have stopped nothing is left to do
    assert endless.audio.tobytes() == result.audio.tobytes()


@pytest.mark.parametrize(("seed", "message"), [(np.ones(FRAME - 1), "less than one frame"), (spoilt(FRAME), "NaN")])
def test_bad_primes(seed, message):
    with pytest.raises(RnnaudioError, match=message):
        generate(Stepper(stack()), seed, n_samples=3)


@pytest.mark.skipif(engine.MODE == "jax", reason="XLA rounds products of other numbers of rows otherwise")
def test_many_streams_are_the_single_ones_to_the_last_bit_on_any_number_of_threads(use_threads):
    stepper = Stepper(stack())
    seeds = np.random.default_rng(5).standard_normal((7, 4 * FRAME + 1)).astype("float32")
    alone = [generate(stepper, seed, n_samples=251 * FRAME).audio for seed in seeds]  # more than threads play at once
    for n_threads in (1, 2, 5):
        use_threads(n_threads)
        together = generate_streams(stepper, list(seeds), n_samples=251 * FRAME)
        assert [result.audio.tobytes() for result in together] == [audio.tobytes() for audio in alone]


def test_the_graph_plays_many_streams_too():
    seeds = np.random.default_rng(6).standard_normal((3, 4 * FRAME)).astype("float32")
    model = stack()
    with engine.using_kernel("scan"):
        by_graph = Stepper(model)
    played = [generate_streams(stepper, seeds, n_samples=20) for stepper in (by_graph, Stepper(model))]
    for one, other in zip(*played, strict=True):
        assert len(one.audio) == len(other.audio) == 4 * FRAME + 20
        np.testing.assert_allclose(one.audio, other.audio, atol=1e-5)


def test_a_stream_that_explodes_stops_alone_and_the_others_go_on():
    model = Sequential([Dense(FRAME, FRAME, rng=np.random.default_rng(0))])
    model.set_values({"dense.weight": np.diag([1e20, 1.0, 1.0]), "dense.bias": np.zeros(FRAME)})
    seeds = np.array([[0, 1, 2], [1, 1, 1], [1e-20, 3, 4]], "float32")
    quiet, exploding, later = generate_streams(Stepper(model), seeds, n_samples=300 * FRAME)
    assert quiet.stopped == "" and len(quiet.audio) == 301 * FRAME
    np.testing.assert_array_equal(quiet.audio.reshape(-1, FRAME), np.tile(seeds[0], (301, 1)))
    for result, n_frames in ((exploding, 1), (later, 2)):
        assert result.stopped == f"not finite after {n_frames} frames"
        assert len(result.audio) == (1 + n_frames) * FRAME and np.isfinite(result.audio).all()


def test_blocks_are_the_streams_in_parts():
    """Two streams of 250 frames and a sample; one explodes, and is NaN from its first frame that is not finite."""
    model = Sequential([Dense(FRAME, FRAME, rng=np.random.default_rng(0))])
    model.set_values({"dense.weight": np.diag([1e20, 1.0, 0.9]), "dense.bias": np.zeros(FRAME)})
    seeds, n = np.array([[0, 1, 2], [1e-20, 3, 4]], "float32"), 250 * FRAME + 1
    whole = generate_streams(Stepper(model), seeds, n_samples=n)
    blocks = list(continued_blocks(Stepper(model), seeds, n_samples=n))
    assert [block.shape for block in blocks] == [(2, 100 * FRAME), (2, 100 * FRAME), (2, 50 * FRAME + 1)]
    for result, stream in zip(whole, np.concatenate(blocks, axis=1), strict=True):
        played = result.audio[result.n_prime :]
        np.testing.assert_array_equal(stream[: len(played)], played)
        assert np.isnan(stream[len(played) :]).all()
    assert len(whole[1].audio) == 3 * FRAME  # it exploded
    assert len(list(continued_blocks(Stepper(model), seeds[1:], n_samples=10**12))) == 1  # nothing is left to do


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([], "no primes"),
        ([np.ones(FRAME), np.ones(FRAME + 1)], "3 to 4 samples; cut them to equal length"),
        ([np.ones(FRAME), spoilt(FRAME, np.inf)], "prime 2 of 2 holds NaN"),
        ([np.ones(FRAME - 1), np.ones(FRAME)], "prime 1 of 2 has 2 samples, less than one frame of 3"),
        (np.ones((2, 2, FRAME)), r"has the shape \(2, 3\)"),
    ],
)
def test_bad_primes_of_many_streams(seeds, message):
    with pytest.raises(RnnaudioError, match=message):
        generate_streams(Stepper(stack()), seeds, n_samples=3)


def test_a_model_that_cannot_be_fed_what_it_says_is_refused():
    with pytest.raises(ValueError, match="3 inputs and 2 outputs"):
        generate(Stepper(Dense(3, 2, rng=np.random.default_rng(0))), np.ones(3), n_samples=3)
