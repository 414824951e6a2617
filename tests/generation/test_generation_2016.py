"""Generation of 2016: two functions, output noise, drawn initial states; against the loops written out."""

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.generation import OutputNoise, Stepper, generate_streams
from rnnaudio.generation.stepper import TwoFunctions
from rnnaudio.kernels.step import Step
from rnnaudio.nn import Dense, Sequential
from tests.support import oracles_2016
from tests.support.models_2016 import N, below, built, gru_gates


class Remembers(Step):
    """Consumes one number a step and answers the next one; its memory is all it has seen, as digits."""

    def __init__(self):
        super().__init__(1, 1, "float64", state=[1])
        self.saw = []

    def advance(self, x):
        self.state[0][...] = 10 * self.state[0] + x
        self.saw.append(int(self.state[0][0, 0]))
        return x + 1


def test_what_the_memory_has_seen_under_two_functions():
    """The memory is a frame ahead when f speaks: f sees the frame a second time."""
    right, wrong = Remembers(), Remembers()
    for frame in ([[1.0]], [[2.0]]):
        right(np.array(frame)), wrong(np.array(frame))
    both = TwoFunctions(wrong)
    x = y = np.array([[3.0]])
    for _ in range(3):
        x, y = right(x), both(y)
        np.testing.assert_array_equal(x, y)
    assert right.saw == [1, 12, 123, 1234, 12345]
    assert wrong.saw == [1, 12, *(123, 1233), *(1234, 12344), *(12345, 123455)]
    assert int(wrong.state[0][0, 0]) == 12345


def seeds(n_streams, n_frames=3):
    return np.random.default_rng(3).standard_normal((n_streams, n_frames * N))


@pytest.mark.parametrize("std", [0.0, 0.3], ids=["silent", "noisy"])
def test_two_functions_against_the_loop_written_out(kernel, std):
    model = built(cell="gru", n_units=N, n_layers=2, learn_initial_state=True, readout="none")
    values = model.get_values()
    paths = ("learnt_initial_state", "learnt_initial_state_2")
    gates = [gru_gates(below(values, f"{path}.gru.")) for path in paths]

    def f2(k, h):
        low = oracles_2016.gru(k[None, None], h[None, 0], gates[0])[0, 0]
        return np.stack([low, oracles_2016.gru(low[None, None], h[None, 1], gates[1])[0, 0]])

    with engine.precision("float64"):
        true, noise = seeds(2), OutputNoise(std, 5)
        got = generate_streams(Stepper(model), true, n_samples=6 * N, noise=noise, two_functions=True)
        once = generate_streams(Stepper(model), true, n_samples=6 * N, noise=noise)
    for stream, result in enumerate(got):
        h = np.stack([values[f"{path}.initial_hidden"] for path in paths])
        for frame in true[stream].reshape(-1, N):
            h = f2(frame, h)
        e = std * np.random.default_rng((5, stream, 3)).standard_normal((6, N))
        expected = oracles_2016.two_functions(lambda k, h: f2(k, h)[1], f2, true[stream, -N:], h, e)
        np.testing.assert_allclose(result.audio[3 * N :], expected.ravel(), atol=1e-6)  # sound is float32
        assert np.abs(result.audio - once[stream].audio).max() > 0.01


def says_nothing():
    """A model whose output is zero: what is heard is the noise."""
    model = Sequential([Dense(N, N, rng=np.random.default_rng(0))])
    model.set_values({"dense.weight": np.zeros((N, N)), "dense.bias": np.zeros(N)})
    return model


def test_output_noise_has_its_variance_and_streams_are_independent():
    heard = [r.audio[3 * N :] for r in generate_streams(
        Stepper(says_nothing()), seeds(3), n_samples=12_000, noise=OutputNoise(0.2, 1)
    )]  # fmt: skip
    covariance = np.cov(heard) / 0.2**2
    np.testing.assert_allclose(covariance, np.eye(3), atol=0.05)
    assert np.abs(np.mean(heard, axis=1)).max() < 0.01
    later = np.mean(heard[0][N:] * heard[0][:-N]) / 0.2**2
    assert abs(later) < 0.05


def test_output_noise_is_added_before_a_frame_is_fed_back():
    """With y = x a generated frame is the last one and the sum of all noise since."""
    model = Sequential([Dense(N, N, rng=np.random.default_rng(0))])
    model.set_values({"dense.weight": np.eye(N), "dense.bias": np.zeros(N)})
    (result,) = generate_streams(Stepper(model), seeds(1), n_samples=50 * N, noise=OutputNoise(0.2, 1))
    e = np.random.default_rng((1, 0, 3)).standard_normal((50, N), "float32")
    expected = result.audio[2 * N : 3 * N] + np.cumsum(0.2 * e, axis=0)
    np.testing.assert_allclose(result.audio[3 * N :].reshape(50, N), expected, atol=1e-5)


@pytest.mark.skipif(engine.MODE == "jax", reason="XLA rounds products of other numbers of rows otherwise")
@pytest.mark.parametrize("two_functions", [False, True])
def test_noise_of_a_stream_is_the_same_in_any_company_and_on_any_threads(use_threads, two_functions):
    stepper = Stepper(built(cell="gru", n_units=4, linear_skip=2))
    options = {"n_samples": 40, "noise": OutputNoise(0.2, 1), "two_functions": two_functions}
    use_threads(1)
    first = [r.audio.tobytes() for r in generate_streams(stepper, seeds(5), **options)]
    for n_threads, n_streams in ((1, 5), (2, 5), (5, 5), (2, 3), (1, 1)):
        use_threads(n_threads)
        again = [r.audio.tobytes() for r in generate_streams(stepper, seeds(5)[:n_streams], **options)]
        assert again == first[:n_streams]
    other = generate_streams(stepper, seeds(5), **options | {"noise": OutputNoise(0.2, 2)})
    assert all(r.audio.tobytes() != audio for r, audio in zip(other, first, strict=True))


def test_a_drawn_initial_state_of_a_stream_is_the_same_in_any_company():
    stepper = Stepper(built(cell="gru", n_units=4, initial_state_noise=1.0))
    many = generate_streams(stepper, seeds(4), n_samples=20)
    few = generate_streams(stepper, seeds(4)[:2], n_samples=20)
    for one, other in zip(few, many, strict=False):
        np.testing.assert_allclose(one.audio, other.audio, atol=1e-6)
