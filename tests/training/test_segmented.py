"""Training in segments: the gradient of the uncut sequence, for every layer that can be cut, by either kernel."""

import zlib
from typing import ClassVar

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data import Batch
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import noise
from rnnaudio.nn import GRU, LSTM, Context, Dense, LearntInitialState, Sequential
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import Classification, Outcome, Segment, Terms, predict_next, reconstruct_current
from rnnaudio.optimizers import SGD, Adam
from rnnaudio.training import Evaluation, SegmentedTrainStep, TrainStep
from tests.support.gradient_cases import LAYERS, STACKS, randomise

N_STEPS, N_BATCH = 7, 3


def says_it_cannot_be_cut(build):
    return any(layer.needs_whole_sequence for _, layer in build(np.random.default_rng(0)).layers())


CAN_BE_CUT = {
    name: build
    for name, build in (LAYERS | STACKS).items()
    if not says_it_cannot_be_cut(build) and build(np.random.default_rng(0)).parameters()  # else there is no gradient
}
NOISE = ("noisy", "noise", "dropout", "linear path")
DRAWS = {name for name in CAN_BE_CUT if name == "draw" or any(word in name for word in NOISE)}


class Pairs:
    """Inputs and targets (time, batch, n) of any widths, by mean squared error; cut in time."""

    name = "pairs"
    fields = ("inputs", "targets")

    def variables(self):
        return [engine.tensor("inputs", 3), engine.tensor("targets", 3)]

    def batch_size(self, inputs, targets):
        return inputs.shape[1]

    def outcome(self, model, variables, state, context):
        inputs, targets = variables
        y, final = model.unroll(inputs, state, context)
        error = ((y - targets) ** 2).sum()
        size = engine.tt.cast(targets.size, error.dtype)
        return Outcome(error / size, {"mse": Terms(error, size)}, final)

    def segments(self, segment_steps, inputs, targets):
        parts = [slice(k, k + segment_steps) for k in range(0, len(inputs), segment_steps)]
        return [Segment([inputs[p], targets[p]], len(inputs[p]) / len(inputs)) for p in parts]


class PairBatch:
    def __init__(self, rng, model, resets=True):
        self.inputs = rng.standard_normal((N_STEPS, N_BATCH, model.n_in))
        self.targets = rng.standard_normal((N_STEPS, N_BATCH, model.n_out))
        self.resets = np.array([resets] * N_BATCH)


@pytest.fixture(autouse=True)
def float64():
    with engine.precision("float64"):
        yield


def twins(build, name):
    """The same model twice, float64."""
    return [randomise(build(rng := np.random.default_rng(zlib.crc32(name.encode()))), rng) for _ in range(2)]


def close(a, b, tolerance=1e-10):
    scale = max(np.abs(b).max(), 1e-3)
    assert np.abs(a - b).max() <= tolerance * scale


def check_against_uncut(name, segment_steps):
    """The uncut step's gradient is read off an update by plain descent at a rate of one."""
    cut, uncut = twins(CAN_BE_CUT[name], name)
    batch = PairBatch(np.random.default_rng(1), cut)
    before = uncut.get_values()
    expected = TrainStep(uncut, Pairs(), SGD(), seed=0)(batch, None, learning_rate=1.0, update=0)
    step = SegmentedTrainStep(cut, Pairs(), SGD(), seed=0, segment_steps=segment_steps)
    got = step.gradients(batch, None, update=0)
    assert got.loss == pytest.approx(expected.loss, rel=1e-12)
    assert got.values["mse"] == pytest.approx(expected.values["mse"], rel=1e-12)
    for one, other in zip(got.state, expected.state, strict=True):
        close(one, other)
    for parameter, gradient in got.gradients.items():
        close(gradient, before[parameter] - uncut.get_values()[parameter])


@pytest.mark.parametrize("name", sorted(CAN_BE_CUT.keys() - DRAWS))
def test_the_gradient_is_that_of_the_uncut_sequence(name, kernel):
    check_against_uncut(name, 3)


@pytest.mark.parametrize("segment_steps", [1, 2, 6, 7, 100])
def test_any_length_of_segments_gives_the_same_gradient(segment_steps):
    check_against_uncut("skip stack", segment_steps)


def in_full(name):
    """Layers without noise are compared with the uncut gradient above, by either kernel; its differences: tests/nn."""
    return name if name in DRAWS else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [in_full(name) for name in sorted(CAN_BE_CUT)])
def test_the_gradient_equals_central_differences_of_the_loss_noise_and_all(name):
    (model, _), rng = twins(CAN_BE_CUT[name], name), np.random.default_rng(2)
    batch = PairBatch(rng, model, resets=False)
    batch.resets[1] = True  # one sequence of three starts anew
    carried = [rng.standard_normal((N_BATCH, width)) for width in flatten(model.state_sizes)]
    step = SegmentedTrainStep(model, Pairs(), SGD(), seed=5, segment_steps=3)
    gradients = step.gradients(batch, carried, update=4).gradients
    for parameter, variable in model.parameters().items():
        value = variable.get_value()
        entry = tuple(rng.integers(size) for size in value.shape)
        losses = []
        for move in (1e-5, -1e-5):
            moved = value.copy()
            moved[entry] += move
            variable.set_value(moved)
            losses.append(step.gradients(batch, carried, update=4).loss)
        variable.set_value(value)
        difference = (losses[0] - losses[1]) / 2e-5
        assert gradients[parameter][entry] == pytest.approx(difference, rel=1e-5, abs=1e-8), parameter


@pytest.mark.parametrize("objective", [predict_next, reconstruct_current], ids=lambda objective: objective.name)
def test_updates_carried_on_equal_those_of_the_uncut_step(objective):
    """Adam, clipping, a learnt initial state, carried states and resets: parameters after four updates."""

    def build(rng):
        cell = LearntInitialState(LSTM(4, 5, rng=rng, peepholes=True))
        return Sequential([cell, GRU(5, 4, rng=rng), Dense(4, 4, rng=rng)])

    cut, uncut = twins(build, "carried")
    rule = Adam(0.05, max_gradient_norm=0.5)
    steps = [
        SegmentedTrainStep(cut, objective, rule, seed=0, segment_steps=4),
        TrainStep(uncut, objective, rule, seed=0),
    ]
    states = [None, None]
    rng = np.random.default_rng(3)
    for update in range(4):
        batch = Batch(rng.standard_normal((11, 3, 4)), rng.random(3) < 0.4)
        results = [step(batch, s, learning_rate=0.05, update=update) for step, s in zip(steps, states, strict=True)]
        states = [result.state for result in results]
        one, other = results
        assert one.loss == pytest.approx(other.loss, rel=1e-10)
        assert one.values["normalised_mse"] == pytest.approx(other.values["normalised_mse"], rel=1e-10)
        for told in ("gradient_norms", "update_ratios"):
            assert getattr(one, told) == pytest.approx(getattr(other, told), rel=1e-8)
    for name, value in uncut.get_values().items():
        close(cut.get_values()[name], value)
    assert cut.get_values()["learnt_initial_state.initial_hidden"].any()


class Recorded(engine.Kernel):
    """The identity; it keeps what went through it."""

    __props__ = ()
    ndims = (3,)
    seen: ClassVar[list] = []

    def compute(self, x):
        self.seen.append(x.copy())
        return [x.copy()]

    def gradients(self, inputs, outputs, output_gradients):
        return output_gradients


class NoiseOnly(Dense):
    """y = 0 x W + 0 b + noise: what is seen is the noise."""

    def apply(self, x, context):
        noise = context.normal([x.shape[axis] for axis in range(x.ndim)])
        return Recorded()(noise) + 0.0 * super().apply(x, context)


@pytest.mark.skipif(engine.MODE == "jax", reason="what records the noise computes on the host")
def test_both_passes_see_the_noise_of_seed_update_and_segment():
    class Remembering(NoiseOnly):
        """Its output is a state too, so that the first pass draws as well."""

        state_sizes = (4,)

        def initial_state(self, batch_size):
            return (engine.tt.zeros((batch_size, 4)),)

        def unroll(self, x, state, context, mask=None):
            y = self.apply(x, context)
            return y, (y[-1] + state[0],)

    model = Remembering(4, 4, rng=np.random.default_rng(0))
    step = SegmentedTrainStep(model, predict_next, SGD(), seed=11, segment_steps=2)
    Recorded.seen.clear()
    step.gradients(Batch(np.zeros((6, 3, 4)), np.ones(3, bool)), None, update=7)

    def drawn(segment, n_steps):
        return np.random.default_rng([11, 7, segment, 0, 0]).standard_normal((n_steps, 3, 4))

    order = [(0, 2), (1, 2), (2, 1), (1, 2), (0, 2)]  # two forwards, then three backwards
    for seen, (segment, n_steps) in zip(Recorded.seen, order, strict=True):
        np.testing.assert_array_equal(seen, drawn(segment, n_steps))


def test_no_two_draws_share_their_numbers():
    """Keys of an uncut run (seed, update) and of a run in segments, streams beside them."""
    keys = [(s, u) for s in range(3) for u in range(3)]
    keys += [(s, u, k) for s in range(3) for u in range(3) for k in range(3)]
    key = engine.tt.vector("key", dtype="int64")
    draw = engine.function([key], [engine.normal(key, stream, [noise.BLOCK + 4]) for stream in range(3)])
    drawn = [a for k in keys for a in draw(np.array(k, "int64"))]
    starts = {part.tobytes() for a in drawn for part in (a[:4], a[noise.BLOCK :])}  # of both blocks
    assert len(starts) == 2 * 3 * len(keys)


@pytest.mark.parametrize("model", ["mlp", "normalised dropped stack"])
def test_batch_normalisation_cannot_be_cut_and_is_named(model):
    with pytest.raises(RnnaudioError, match=r"'batch_norm' \(BatchNorm\) needs the whole sequence.*segment_steps 0"):
        SegmentedTrainStep(twins(STACKS[model], model)[0], Pairs(), SGD(), seed=0, segment_steps=3)


def test_segments_are_of_one_step_at_least():
    with pytest.raises(RnnaudioError, match="segment_steps is 0; expected 1 or more"):
        SegmentedTrainStep(Dense(4, 4, rng=np.random.default_rng(0)), predict_next, SGD(), seed=0, segment_steps=0)


def test_an_objective_without_time_cannot_be_cut():
    model = Dense(4, 3, rng=np.random.default_rng(0))
    with pytest.raises(RnnaudioError, match="'classification' cannot be divided in time.*train without segments"):
        SegmentedTrainStep(model, Classification(), SGD(), seed=0, segment_steps=3)


def test_every_layer_that_mixes_steps_in_training_says_so():
    """Changing the last input must not change an earlier output, but where a layer needs the whole sequence."""
    for name, build in (LAYERS | STACKS).items():
        model = twins(build, name)[0]
        x = engine.tensor("x", 3)
        y, _ = model.unroll(x, model.initial_state(x.shape[1]), Context.training_with(np.array([0, 0], "int64")))
        run = engine.function([x], y)
        first = np.random.default_rng(0).standard_normal((N_STEPS, N_BATCH, model.n_in))
        second = first.copy()
        second[-1] += 1.0
        mixes = not np.array_equal(run(first)[:-1], run(second)[:-1])
        assert mixes == says_it_cannot_be_cut(build), name


def test_evaluation_in_segments_reports_the_same_value():
    (model, _) = twins(STACKS["skip stack"], "evaluated")
    batches = [PairBatch(np.random.default_rng(k), model) for k in range(3)]
    whole = Evaluation(model, Pairs())(batches)
    assert Evaluation(model, Pairs(), 3)(batches) == pytest.approx(whole, rel=1e-12)
