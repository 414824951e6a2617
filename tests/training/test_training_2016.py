"""Training of 2016: its costs and judging by the training loss."""

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data import ArrayPiece, Batch, ConsecutiveWindows, Split, fixed_windows
from rnnaudio.diagnostics.gradient_check import check_gradients
from rnnaudio.nn import LSTM, Context, Dense, Layer, LinearPredictor, Noisy, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.runs.frames.build import build_strategy
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.training import EarlyStopping, Evaluation, Judging, Limits, SegmentedTrainStep, TrainStep, train
from rnnaudio.training import checkpoint as checkpoints
from tests.support.models_2016 import B, N, T, built, frames


def strategy(**settings):
    return build_strategy(FramesConfig(n_steps=T, **settings))


COSTS = {"last step": {"cost": "last_step"}, "burn-in": {"burn_in": 3}, "all steps": {}}
SCORED = {"last step": [T - 1], "burn-in": [3, 4], "all steps": list(range(T))}


class Says(Layer):
    """Its output is its parameter, whatever its input."""

    n_in = n_out = N

    def __init__(self):
        super().__init__()
        self.y = self._parameter("y", frames())

    def unroll(self, x, state, context, mask=None):
        return self.y + 0.0, ()


def a_batch(seed=4, n=N, n_steps=T):
    sound = np.random.default_rng(seed).standard_normal((n_steps + 1, B, n)).astype(engine.float_type())
    return Batch(sound, np.ones(B, bool))


@pytest.mark.parametrize("kind", COSTS)
def test_the_cost_counts_its_steps_alone(kind):
    with engine.precision("float64"):
        model, batch, objective = Says(), a_batch(), strategy(**COSTS[kind])
        variables = objective.variables()
        loss, terms = objective.outcome(model, variables, (), Context.evaluation())[:2]
        (gradient,) = engine.gradient(loss, [model.y])
        got, d_y, *sums = engine.function(variables, [loss, gradient, *terms["normalised_mse"]])(batch.frames)
    difference = model.y.get_value() - batch.frames[1:]
    scored = SCORED[kind]
    assert got == pytest.approx(np.mean(difference[scored] ** 2), rel=1e-12)
    expected = np.zeros((T, B, N))
    expected[scored] = 2 * difference[scored] / difference[scored].size
    np.testing.assert_allclose(d_y, expected, atol=1e-14)
    # what is reported is of all steps, whatever the cost counts
    np.testing.assert_allclose(sums, [np.sum(difference**2), np.sum(batch.frames[1:] ** 2)], rtol=1e-12)


@pytest.mark.parametrize("kind", ["last step", "burn-in"])
def test_its_gradient_equals_differences(kind):
    with engine.precision("float64"):
        rng = np.random.default_rng(0)
        model, batch = built(cell="gru", n_units=4), a_batch()
    report = check_gradients(model, strategy(**COSTS[kind]), batch, rng=rng, training=True, n_entries=3)
    assert report.largest < 1e-6, report


def test_target_shift():
    sound = a_batch().frames
    x, target = strategy(target_shift=0).split(sound)
    np.testing.assert_array_equal(x, target)
    x, target = strategy().split(sound)
    np.testing.assert_array_equal(x[1:], target[:-1])


RATE_HZ = 8000


def noisy_model():
    rng = np.random.default_rng(0)
    return Sequential([Noisy(LSTM(4, 6, rng=rng), std=0.5, state_std=0.2), Dense(6, 4, rng=rng)])


def test_evaluation_with_noise_is_the_training_graph():
    batches = [a_batch(seed, n=4) for seed in (1, 2)]
    model = noisy_model()
    silent, noisy = (Evaluation(model, predict_next, noise_seed=seed)(batches) for seed in (None, 9))
    step = TrainStep(model, predict_next, SGD(), seed=9)
    parts = [step(b, None, learning_rate=0.0, update=k).values["normalised_mse"] for k, b in enumerate(batches)]
    numerator, denominator = np.sum(parts, axis=0)
    assert noisy["normalised_mse"] == pytest.approx(numerator / denominator, rel=1e-5)
    assert noisy["normalised_mse"] != pytest.approx(silent["normalised_mse"], rel=1e-2)
    assert Evaluation(model, predict_next, noise_seed=9)(batches) == noisy
    assert Evaluation(model, predict_next, noise_seed=8)(batches) != noisy


def test_evaluation_with_noise_by_segments_has_the_draws_of_training_by_segments():
    model, batch = noisy_model(), a_batch(n=4, n_steps=6)
    step = SegmentedTrainStep(model, predict_next, SGD(), seed=9, segment_steps=2)
    numerator, denominator = step.gradients(batch, None, update=0).values["normalised_mse"]
    got = Evaluation(model, predict_next, 2, noise_seed=9)([batch])["normalised_mse"]
    assert got == pytest.approx(numerator / denominator, rel=1e-5)


SIZES = {"frame_size": 4, "n_steps": 5, "batch_size": 3}


def judged(folder, n_updates, judging, *, resume=False):
    """A run that climbs from its 28th update on."""
    t = np.arange(4000)
    sines, noise = np.sin(t / 5) + np.sin(t / 13), np.random.default_rng(0).standard_normal(4000)
    split, other = (Split("train", (ArrayPiece(a.astype("float32")),), RATE_HZ) for a in (sines, noise))
    model = Noisy(LinearPredictor(4, 4), std=0.5)
    run = train(
        model,
        predict_next,
        ConsecutiveWindows(split, seed=1, **SIZES),
        fixed_windows(other, **SIZES)[:3],
        optimizer=SGD(0.1),
        schedule=lambda update: 0.1 if update < 28 else -0.1,
        stopping=EarlyStopping(100),
        run_dir=folder,
        limits=Limits(n_updates, validate_every=7),
        judging=judging,
        seed=3,
        resume=resume,
        on_validation=lambda row: None,
    )
    return run, checkpoints.load(folder / "checkpoint.safetensors").record


def test_judged_by_the_training_loss(tmp_path):
    run, record = judged(tmp_path, 56, Judging(by="train"))
    for name in ("train", "valid"):
        losses = [row[name] for row in run.history]
        bests = [loss < min(losses[:k], default=np.inf) for k, loss in enumerate(losses)]
        assert ([row["is_best"] for row in run.history] == bests) == (name == "train")
    assert record["stopping"]["best_loss"] == min(row["train"] for row in run.history)
    assert len(record["history"]) == 8


def test_a_history_cut_at_its_best_row_and_resumed(tmp_path):
    judging = Judging(by="train", keep_all=False)
    run, record = judged(tmp_path / "parts", 42, judging)
    assert len(run.history) == 6 and not run.history[-1]["is_best"]
    assert record["history"][-1]["is_best"] and len(record["history"]) < 6
    resumed, later = judged(tmp_path / "parts", 56, judging, resume=True)
    whole, _ = judged(tmp_path / "whole", 56, judging)
    assert resumed.n_updates == whole.n_updates == 56
    assert resumed.stopping == whole.stopping
    assert later["history"][-1]["is_best"] and later["n_updates"] == 56
    assert resumed.history[-1]["updates"] == 56  # the rows between are gone


def test_validation_that_is_not_finite_ends_a_run_with_a_reason(tmp_path, monkeypatch):
    from rnnaudio.training import loop

    monkeypatch.setattr(loop.Evaluation, "__call__", lambda *_: {"normalised_mse": float("inf")})
    path = tmp_path / "checkpoint.safetensors"
    monkeypatch.setattr(checkpoints, "load", lambda _: type("Saved", (), {"record": {}}))
    run, _ = judged(tmp_path, 14, Judging(by="train"))
    assert run.reason == "the validation loss is not finite at update 7"
    assert not run.is_complete and not path.exists()
