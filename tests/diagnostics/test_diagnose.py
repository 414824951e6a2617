"""The measurements behind a diagnosis against closed forms and planted faults, and diagnoses of whole small runs."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.proofs.fault_parts import Masked, Size, padded
from experiments.proofs.faults import FAULTS, Plan, subject_of
from rnnaudio.data import Batch, ConsecutiveWindows, RandomWindows, ShiftedWindows
from rnnaudio.data.corpus import ArrayPiece, Split
from rnnaudio.diagnostics import causes as causes_module
from rnnaudio.diagnostics.cost import Cost, cost_coverage, measured_target_shift, noise_figures
from rnnaudio.diagnostics.diagnose import diagnose, kept_per_step, late_growth
from rnnaudio.diagnostics.dynamics import Stepped, constant_share, distance, dynamics_figures, unrolled
from rnnaudio.diagnostics.excerpt import copied, excerpt
from rnnaudio.diagnostics.free_run import half_life, health, levels_db, repetition, unrest_db
from rnnaudio.diagnostics.rules_model import saturated_gates, vanishing_gradient
from rnnaudio.diagnostics.signal import (
    continuity,
    distinct_size,
    effective_batch_size,
    scale_figures,
    share_found,
    state_figures,
)
from rnnaudio.diagnostics.subject import Figures, Measurements
from rnnaudio.diagnostics.updates import promised, update_figures
from rnnaudio.metrics import Alive
from rnnaudio.nn import GRU, LSTM, Dense, GaussianNoise, LinearPredictor, Noisy, Sequential
from rnnaudio.nn.recurrent import Cell, GRUState
from rnnaudio.objectives import Strategy, predict_next, reconstruct_current
from rnnaudio.optimizers import SGD, Adam, RMSprop, RMSprop2016
from rnnaudio.training.step import TrainStep

SMALL = Size(frame=16, units=12, steps=16, items=8, seconds=1.0, updates=40)


class Leaky(Cell):
    """s' = a s + b x: a linear recurrence whose figures are known in closed form."""

    def __init__(self, n, a, b):
        super().__init__()
        self.n_in = self.n_out = n
        self.state_sizes = GRUState(n)
        self._a, self._b = a, b

    def sequences(self, x, context):
        return x

    def recur(self, inputs, state):
        return GRUState(np.float32(self._a) * state.hidden + np.float32(self._b) * inputs)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def batch(n_steps=12, items=4, n=3, seed=0):
    return SimpleNamespace(frames=noise(n_steps + 1, items, n, seed=seed), resets=np.ones(items, bool))


def split(n_samples=4000, n_pieces=3, seed=0):
    rng = np.random.default_rng(seed)
    pieces = [rng.standard_normal(n_samples).astype("float32") for _ in range(n_pieces)]
    return Split("train", [ArrayPiece(piece) for piece in pieces], 8000)


# ---------------------------------------------------------------- memory


def test_echo_growth_and_flip_of_a_linear_recurrence():
    """Two states come closer by a each step; zero input leaves a^t; a flipped x moves s by 2 b x."""
    a, x = 0.9, noise(64, 4, 3)
    figures = dynamics_figures(Stepped(Leaky(3, a, 0.0)), x, np.random.default_rng(0))
    np.testing.assert_allclose(figures.growth_without[1:] / figures.growth_without[:-1], a, rtol=1e-4)
    assert late_growth(figures.growth_without) == pytest.approx(a**31, rel=1e-3)
    figures = dynamics_figures(Stepped(Leaky(3, a, 1.0)), x, np.random.default_rng(0))
    heard = np.zeros((4, 3))
    for frame in x:
        before, heard = heard, a * heard + frame
    assert figures.flip == pytest.approx(np.linalg.norm(2 * x[-1]) / np.linalg.norm(heard), rel=1e-4)
    assert figures.growth_with_input[-1] == pytest.approx(np.sqrt(np.mean(heard**2)), rel=1e-4)
    assert figures.echo[-1] < 0.02 < figures.echo[0]
    assert not np.array_equal(before, heard) and figures.constant_units == 0.0


def test_a_memory_that_grows_is_seen_with_and_without_input():
    figures = dynamics_figures(Stepped(Leaky(3, 1.05, 0.01)), noise(64, 4, 3), np.random.default_rng(0))
    assert late_growth(figures.growth_without) == pytest.approx(1.05**31, rel=1e-3)
    assert late_growth(figures.growth_with_input) > 2 and figures.echo[-1] > 0.3 and figures.flip < 0.1


def test_distance_and_constant_units():
    assert distance([np.ones((2, 3))], [np.ones((2, 3))]) == 0.0
    assert distance([np.array([[1.0, 0.0]])], [np.array([[0.0, 1.0]])]) == pytest.approx(np.sqrt(2.0))
    moving = [[np.array([[k, 5.0, -k]])] for k in range(4)]
    assert constant_share(moving) == pytest.approx(1 / 3)


def test_the_compiled_step_and_the_graph_of_a_model_say_the_same():
    rng = np.random.default_rng(0)
    model = Sequential([LSTM(3, 5, rng=rng), Dense(5, 3, rng=rng)])
    x, graph = noise(6, 2, 3), Stepped(model, noisy=True)
    np.testing.assert_allclose(Stepped(model).outputs(x), graph.outputs(x), atol=1e-5)
    np.testing.assert_allclose(Stepped(model).outputs(x), unrolled(model)(x), atol=1e-5)


# ---------------------------------------------------------------- cost


@pytest.mark.parametrize("strategy, shift", [(predict_next, 1), (reconstruct_current, 0)])
def test_target_shift_is_measured_through_the_loss(strategy, shift):
    part, rng = batch(), np.random.default_rng(0)
    cost = Cost(GRU(3, 3, rng=rng), strategy)
    assert measured_target_shift(cost, part, cost_coverage(cost, part, rng)) == shift


def test_coverage_is_the_derivative_of_the_mean_square():
    """d/dy mean (y - target)^2 = 2 (y - target) / size where the cost counts, and zero elsewhere."""
    part, model = batch(), GRU(3, 3, rng=np.random.default_rng(0))
    cost = Cost(model, Strategy("predict_next", 1, first_scored=-1))
    said = cost.look(part).y
    gradient = cost.look(part, said + 1.0).gradient
    assert not gradient[:-1].any()
    np.testing.assert_allclose(gradient[-1], 2 * (said[-1] + 1 - part.frames[-1]) / said[-1].size, rtol=1e-4)
    assert (cost_coverage(cost, part, np.random.default_rng(0)).max(axis=1) > 0).tolist() == [False] * 11 + [True]
    assert measured_target_shift(cost, part, cost_coverage(cost, part, np.random.default_rng(0))) == 1


def test_an_inverted_mask_covers_what_is_silent():
    given = padded(Batch(noise(13, 4, 3), np.ones(4, bool)), 0)
    for inverted in (False, True):
        cost = Cost(GRU(3, 3, rng=np.random.default_rng(0)), Masked("predict_next", 1, inverted=inverted))
        covered = cost_coverage(cost, given, np.random.default_rng(0)) > 0
        assert np.array_equal(covered, given.mask == (0 if inverted else 1))


def test_noise_behind_the_last_weights_is_told_from_noise_before_them():
    """Of N(0, s) after the read-out the floor is s^2; of noise at the input it is zero."""
    rng, x = np.random.default_rng(0), noise(50, 16, 4)
    model = Sequential([GRU(4, 6, rng=rng), Dense(6, 4, rng=rng), GaussianNoise(4, 0.1)])
    floor = noise_figures(model, x)
    assert floor.after_weights == pytest.approx(0.01, rel=0.1) and floor.total == pytest.approx(0.01, rel=0.1)
    at_input = noise_figures(Sequential([Noisy(GRU(4, 6, rng=rng), std=0.5), Dense(6, 4, rng=rng)]), x)
    assert at_input.total > 1e-4 and at_input.after_weights == 0.0
    assert noise_figures(Dense(4, 4, rng=rng), x) == (0.0, 0.0)
    assert model.get_values()["dense.weight"].any()  # the model itself is left as it was


# ---------------------------------------------------------------- updates


def stepping(optimizer):
    return lambda model: TrainStep(model, predict_next, optimizer, seed=0)


@pytest.mark.parametrize("optimizer, kept", [(SGD(), 1.0), (RMSprop(), 0.8), (Adam(), 0.8)])
def test_rules_keep_their_promise(optimizer, kept):
    rng = np.random.default_rng(0)
    model = Sequential([GRU(3, 6, rng=rng), Dense(6, 3, rng=rng)])
    before = model.get_values()
    figures = update_figures(model, stepping(optimizer), optimizer, 1e-3, [batch(seed=k) for k in range(3)])
    assert np.median(list(figures.kept_promise.values())) == pytest.approx(kept, abs=0.5 if kept < 1 else 1e-3)
    assert figures.rise < 1.0 and figures.leak == 0.0
    assert all(np.array_equal(before[name], value) for name, value in model.get_values().items())


def test_a_rule_that_forgets_to_divide_and_a_frozen_layer_are_seen():
    rng = np.random.default_rng(0)
    model = Sequential([GRU(3, 6, rng=rng), Dense(6, 3, rng=rng)])
    figures = update_figures(model, stepping(RMSprop2016()), RMSprop(), 1e-3, [batch()])
    gradients = [figures.gradients[name] / np.sqrt(v.get_value().size) for name, v in model.parameters().items()]
    np.testing.assert_allclose(list(figures.kept_promise.values()), gradients, rtol=0.5)  # it steps by rate * g

    def frozen(model):
        step, fixed = TrainStep(model, predict_next, RMSprop(), seed=0), model.parameters()["dense.weight"]

        def restored(*arguments, **options):
            value = fixed.get_value()
            result = step(*arguments, **options)
            fixed.set_value(value)
            return result

        return restored

    figures = update_figures(model, frozen, RMSprop(), 1e-3, [batch()])
    assert [name for name, ratio in figures.ratios.items() if ratio == 0.0] == ["dense.weight"]


def test_promises_in_closed_form():
    """SGD: rate * g; clipped to a norm of 1; RMSprop after n equal gradients: rate / sqrt(1 - rho^n)."""
    weights = {"w": np.zeros((2, 2))}
    assert promised(SGD(), {"w": 4.0}, weights, 0.1, 9)["w"] == pytest.approx(0.1 * 4.0 / 2)
    assert promised(SGD(max_gradient_norm=1.0), {"w": 4.0}, weights, 0.1, 9)["w"] == pytest.approx(0.1 / 2)
    assert promised(RMSprop(), {"w": 4.0}, weights, 0.1, 9)["w"] == pytest.approx(0.1 / np.sqrt(1 - 0.9**9), rel=1e-3)
    assert promised(RMSprop2016(), {"w": 4.0}, weights, 0.1, 9)["w"] == pytest.approx(0.2)


# ---------------------------------------------------------------- the batches


def test_effective_batch_size_of_copies_and_of_orthogonal_items():
    item = noise(5, 1, 8)
    assert effective_batch_size(np.repeat(item, 6, axis=1)) == pytest.approx(1.0, rel=1e-5)
    orthogonal = np.eye(8)[:4] - np.eye(8)[4:]  # four items of mean 0
    assert effective_batch_size(orthogonal.reshape(4, 2, 4).swapaxes(0, 1)) == pytest.approx(4.0)
    assert effective_batch_size(np.zeros((5, 6, 8))) == 0.0


def test_distinct_size_counts_what_items_have_in_common():
    sizes = {"frame_size": 8, "n_steps": 20, "batch_size": 12, "seed": 0}
    assert distinct_size(RandomWindows(split(40_000), **sizes).batch(0).frames) > 10
    n_runs = 21 * 8 - 15  # of 16 samples in a window
    expected = (n_runs + 11) / n_runs
    assert distinct_size(ShiftedWindows(split(), **sizes).batch(0).frames) == pytest.approx(expected)
    assert distinct_size(np.zeros((5, 6, 8))) == 0.0


def test_effective_size_of_the_shifted_batch_of_a_sine():
    """Shifted sines of one pitch span two dimensions, whatever their number."""
    sine = np.sin(0.3 * np.arange(4000)).astype("float32")
    sizes = {"frame_size": 8, "n_steps": 20, "batch_size": 12, "seed": 0}
    shifted = ShiftedWindows(Split("train", [ArrayPiece(sine)], 8000), **sizes)
    assert effective_batch_size(shifted.batch(0).frames) < 2.2
    assert effective_batch_size(RandomWindows(split(), **sizes).batch(0).frames) > 9


def test_continuity_finds_the_axis_that_sound_runs_along():
    audio = np.cumsum(noise(5 * 9 * 16).reshape(5, -1), axis=1)  # five walks
    frames = audio.reshape(5, 9, 16).swapaxes(0, 1)
    right = continuity(frames, np.random.default_rng(0))
    assert right.along_time < 0.3 < right.along_batch
    wrong = continuity(frames.swapaxes(0, 1), np.random.default_rng(0))
    assert (wrong.along_batch, wrong.along_time) == pytest.approx((right.along_time, right.along_batch), rel=0.3)


def test_scale_and_clipping():
    x = noise(20000)
    plain = scale_figures([ArrayPiece(3 * x + 6)])
    assert plain.std == pytest.approx(3, rel=0.02) and plain.dc == pytest.approx(2, rel=0.05)
    assert plain.at_ends == pytest.approx(2 / 20000) and plain.used == pytest.approx(2 * 2.576 / np.ptp(x), rel=0.05)
    assert scale_figures([ArrayPiece(np.clip(x, -1, 1))]).at_ends == pytest.approx(0.317, abs=0.02)


def test_validation_is_found_in_training_to_the_bit():
    train, other = split(), split(seed=1)
    windows = {"frame_size": 16, "n_steps": 10, "batch_size": 4, "seed": 0}
    assert share_found([RandomWindows(train, **windows).batch(0)], train.pieces) == 1.0
    assert share_found([RandomWindows(other, **windows).batch(0)], train.pieces) == 0.0
    assert np.isnan(share_found([Batch(np.zeros((11, 4, 16), "float32"), np.ones(4, bool))], train.pieces))


def test_starts_without_reset_are_counted():
    sizes = {"frame_size": 16, "n_steps": 10, "batch_size": 4, "seed": 0}
    consecutive = ConsecutiveWindows(split(), **sizes)
    assert state_figures(consecutive) == (True, state_figures(consecutive).n_starts, 0.0)

    class Never:
        carries_state, batches_per_epoch = True, consecutive.batches_per_epoch

        def batch(self, index):
            return consecutive.batch(index)._replace(resets=np.zeros(4, bool))

    assert state_figures(Never()).unmarked == 1.0 and state_figures(Never()).n_starts > 0
    assert state_figures(RandomWindows(split(), **sizes)).carried is False


# ---------------------------------------------------------------- the free run


def test_half_life_of_an_exponential():
    """Amplitude exp(-a t): energy exp(-2 a t), half-life ln 2 / 2 a, whatever the sound below it."""
    frames = np.exp(-0.01 * np.arange(300))[:, None] * np.ones(8)
    assert half_life(levels_db(frames)) == pytest.approx(np.log(2) / 0.02, rel=1e-6)
    assert half_life(levels_db(np.ones((50, 8)))) == float("inf")


def test_cycles_and_fixed_points():
    cycle = np.tile(noise(7, 4), (20, 1))
    assert repetition(cycle) == (7, 0.0)
    assert repetition(np.concatenate([noise(30, 4, seed=1), np.ones((60, 4))])) == (1, 30.0)
    assert repetition(noise(100, 4)) == (0, float("inf"))


def test_noise_begins_where_the_sound_dies_of_it():
    frames = noise(100, 200)
    assert health(frames, Alive(0.5, "turned into noise", 1.0, "noise"), 16_000).noise_from == 40.0
    assert health(frames, Alive(0.5, "froze", 1.0, "standstill"), 16_000).noise_from == float("inf")
    assert np.isnan(health(frames, None, 16_000).noise_from)


def test_unrest():
    t = np.arange(64 * 64)
    tone = np.sin(0.2 * t)
    assert unrest_db(tone.reshape(-1, 64)) < 0.1
    assert unrest_db((np.exp(-t / 2000) * tone).reshape(-1, 64)) > 1.0


# ---------------------------------------------------------------- figures, excerpts, rules


def test_what_a_step_keeps_of_the_gradient():
    assert kept_per_step(0.4 ** np.arange(20)) == pytest.approx(0.4)
    assert np.isnan(kept_per_step(np.ones(5))) and np.isnan(kept_per_step(np.zeros(20)))


def test_excerpts_and_copies_leave_the_original_alone():
    model = LinearPredictor(3, 3)
    copied(model).parameters()["weight"].set_value(np.ones((6, 3), "float32"))
    assert not model.get_values()["weight"].any()
    large = SimpleNamespace(frames=noise(101, 20, 3), resets=np.ones(20, bool), mask=np.ones((100, 20), "float32"))
    cut = excerpt(large, Masked("predict_next", 1))
    assert (cut.frames.shape, cut.resets.shape, cut.mask.shape) == ((65, 16, 3), (16,), (64, 16))


def test_causes_have_names_of_their_own_and_upstream_ones_a_higher_place():
    places = {name: place for name, _, place in causes_module.CAUSES}
    above = places["axes-swapped"], places["unscaled-rmsprop"], places["saturated-gates"], places["noiseless-feedback"]
    assert len(places) == len(causes_module.CAUSES)
    assert sorted(above, reverse=True) == list(above)
    assert min(places, key=places.__getitem__) == "worse-than-baseline"


def test_words_on_gates_and_on_vanishing_gradients():
    """What saturation was measured on, as the report measures it elsewhere; no forget bias that the run may have."""
    found = saturated_gates(Measurements(saturation={"a.forget": 0.9, "a.input": 0.5, "b.relu": 1.0}))
    assert found.evidence.startswith(
        "on the loudest of some training sequences 70 % of all gate values are within 5 %"
    )
    assert found.evidence.endswith("most in a.forget (90 %)")
    advice = vanishing_gradient(Measurements(figures=Figures(gradient_kept_per_step=0.3, promised_shift=1.0))).advice
    assert "forget bias" in advice and not any(letter.isdigit() for letter in advice)


def test_a_rate_is_not_called_too_low_where_the_rule_makes_updates_small():
    small = {"update_ratio_at_peak": 1e-7}
    one = causes_module.causes(Measurements(figures=Figures(small), errors={"this model": 1.0, "predict zero": 1.0}))
    assert [cause.name for cause in one] == ["learning-rate-too-low"]
    both = Figures(small | {"kept_promise": 1e-4})
    assert [cause.name for cause in causes_module.causes(Measurements(figures=both))] == ["unscaled-rmsprop"]


# ---------------------------------------------------------------- whole runs, blind


def planted(name):
    return next(fault for fault in FAULTS if fault.name == name)


def test_a_healthy_run_raises_no_alarm_and_is_left_as_it_was():
    subject = subject_of(Plan(), SMALL, 3)
    before = subject.model.get_values()
    diagnosis = diagnose(subject)
    assert [cause.name for cause in diagnosis.causes] == []
    assert all(np.array_equal(before[name], value) for name, value in subject.model.get_values().items())
    measured = diagnosis.measured
    assert len(measured.echo) == 64 and len(measured.coverage) == SMALL.steps and measured.loss > 0
    assert len(measured.level_db) > measured.n_prime_frames > 0 and measured.frame_size == SMALL.frame
    assert measured.unanswered == {}


def test_what_a_subject_cannot_answer_is_left_out_and_the_rest_goes_on():
    """A run that plays nothing, and one that continues sound but not frame by frame."""
    subject = dataclasses.replace(subject_of(Plan(), SMALL, 3), play=None)
    silent = diagnose(subject)
    frame_by_frame = "its output is sampled, and equals no prediction"
    assert silent.measured.unanswered == {"what is played": frame_by_frame, "free run": "it was not played"}
    assert silent.causes == () and not len(silent.measured.level_db) and silent.measured.loss > 0
    assert all(np.isnan(silent.measured.figures[name]) for name in ("play_against_unrolled", "half_life", "period"))

    prime, faded = noise(3200), 1e-4 * noise(80_000, seed=1)
    continued = dataclasses.replace(subject, prime=lambda: prime, continued=lambda sound, n: faded[:n])
    assert diagnose(continued).measured.life is None
    hiss = Alive(0.5, "turned into noise", 0.9, "noise")
    measured = diagnose(dataclasses.replace(continued, judge=lambda generated, prime: hiss)).measured
    assert measured.life == hiss and measured.figures["alive_seconds"] == 0.5 and measured.figures["of_seconds"] == 5.0
    assert measured.unanswered == {"what is played": frame_by_frame}
    assert len(measured.level_db) == 16 + 400  # 12.5 ms each
    assert measured.figures["level_fall_db"] == pytest.approx(80.0, abs=1.0)
    assert measured.figures["noise_from"] == 40.0  # frames of 12.5 ms


def test_a_figure_that_was_not_measured_is_no_number():
    figures = Figures(half_life=3.0)
    assert figures["half_life"] == 3.0 and np.isnan(figures["period"]) and dict(figures) == {"half_life": 3.0}


@pytest.mark.parametrize(
    "name", ["target is the input", "RMSprop that does not divide", "cost on the last step", "axes swapped"]
)
def test_a_planted_fault_is_ranked_first(name):
    fault = planted(name)
    diagnosis = diagnose(subject_of(fault.plan, SMALL, 4))
    assert diagnosis.causes[0].name == fault.cause
    assert diagnosis.causes[0].evidence and diagnosis.causes[0].advice
