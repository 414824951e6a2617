"""The training loop: it learns, it resumes to the same bits, it stops cleanly."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data import ArrayPiece, Batch, ConsecutiveWindows, RandomWindows, Split, fixed_windows
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import threads
from rnnaudio.nn import GRU, LSTM, Dense, LinearPredictor, Noisy, Sequential, mlp
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import predict_next, reconstruct_current
from rnnaudio.optimizers import SGD, Adam, RMSprop
from rnnaudio.runs.fit import describe_row
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES, annealing
from rnnaudio.training import EarlyStopping, Evaluation, Limits, TrainStep, WarmupCosine, loop, train
from rnnaudio.training import checkpoint as checkpoints

SIZES = {"frame_size": 4, "n_steps": 5, "batch_size": 3}


def sines():
    t = np.arange(4000)
    return Split("train", (ArrayPiece(np.sin(t / 5).astype("float32") + np.sin(t / 13).astype("float32")),), 16000)


def noisy_model(state_std=0.0):
    """Noise on the input alone is computed by the kernels; on the state too, by scan, slow to compile."""
    rng = np.random.default_rng(0)
    return Sequential([Noisy(LSTM(4, 6, rng=rng), std=0.1, state_std=state_std), Dense(6, 4, rng=rng)])


def run(
    folder, n_updates, *, resume=False, model=None, batches=None, optimizer=None, schedule=None, on_update=None,
    patience=100, segment_steps=0, save_every_seconds=300.0,
):  # fmt: skip
    model = model or noisy_model()
    split = sines()
    result = train(
        model,
        predict_next,
        batches or ConsecutiveWindows(split, seed=1, **SIZES),
        fixed_windows(split, **SIZES)[:3],
        optimizer=optimizer or Adam(0.01, max_gradient_norm=1.0),
        stopping=EarlyStopping(patience),
        run_dir=folder,
        limits=Limits(n_updates, validate_every=7, save_every_seconds=save_every_seconds),
        schedule=schedule,
        seed=3,
        segment_steps=segment_steps,
        resume=resume,
        on_update=on_update,
        on_validation=lambda row: None,
    )
    return model, result


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(max_updates=0), "0 updates"), (Limits(max_seconds=0.0), "0 minutes"), (Limits(0, 0.0), "0 updates")],
)
def test_limits_of_nothing_end_a_run_before_its_first_update(tmp_path, limits, reason):
    model = noisy_model()
    before = model.get_values()
    done = train(
        model, predict_next, ConsecutiveWindows(sines(), seed=1, **SIZES), [], optimizer=Adam(),
        stopping=EarlyStopping(1), run_dir=tmp_path, limits=limits,
    )  # fmt: skip
    assert done.n_updates == 0 and done.is_complete and done.reason == f"the limit of {reason} is reached"
    for name, value in checkpoints.load(checkpoints.path_in(tmp_path)).group("model").items():
        np.testing.assert_array_equal(value, before[name])


@pytest.fixture(scope="module")
def run_of_two_updates(tmp_path_factory):
    """The folder of a run of two updates."""
    folder = tmp_path_factory.mktemp("two-updates")
    run(folder, 2)
    return folder


@pytest.fixture
def two_updates(run_of_two_updates):
    """The checkpoint of a run of two updates, as bytes."""
    return (run_of_two_updates / "checkpoint.safetensors").read_bytes()


@pytest.fixture
def broken_off(run_of_two_updates, tmp_path):
    """The checkpoint's path in ``tmp_path``, where a run goes on."""
    shutil.copytree(run_of_two_updates, tmp_path, dirs_exist_ok=True)
    return tmp_path / "checkpoint.safetensors"


def last_arrays(folder):
    return checkpoints.load(folder / "checkpoint.safetensors").arrays


def test_training_beats_predicting_zero_on_sines(tmp_path):
    _, result = run(tmp_path, 140)
    assert result.stopping.best_loss < 0.5
    assert [row["updates"] for row in result.history] == list(range(7, 141, 7))


def carried_and_noisy():
    return {"model": noisy_model(state_std=0.05)}


def annealed():
    """The noise falls to zero over 30 updates, as ``--anneal-noise-over 30`` makes it."""
    model = Sequential([Noisy(LinearPredictor(4, 4), std=0.1, state_std=0.05)])
    config = FramesConfig(model=ModelConfig(input_noise=0.1, state_noise=0.05), anneal_noise_over=30)
    return {"model": model, "on_update": annealing(model, config)}


def cosine():
    return {"model": Sequential([Dense(4, 4, rng=np.random.default_rng(0))]), "schedule": WarmupCosine(0.01, 10, 35)}


def normalised():
    return {"model": mlp([4, 6, 4], rng=np.random.default_rng(0), batch_norm=True)}


@pytest.mark.jax
@pytest.mark.parametrize(
    "kind", [pytest.param(carried_and_noisy, marks=pytest.mark.slow), annealed, cosine, normalised]
)
def test_resumed_run_is_bit_equal_in_the_middle_of_an_epoch(tmp_path, kind):
    """Noise, Adam's memory, carried state, schedules and running statistics go on as if nothing had happened."""
    model, _ = run(tmp_path / "whole", 35, **kind())
    for n_updates, resume in ((13, False), (14, True), (35, True)):
        run(tmp_path / "parts", n_updates, resume=resume, **kind())
    whole, parts = last_arrays(tmp_path / "whole"), last_arrays(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert any(name.startswith("carried/") for name in whole) == bool(flatten(model.state_sizes))
    for name in whole:
        if not name.startswith("best/"):  # the break at 13 validated once more
            np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


@pytest.mark.parametrize("number, name", [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, number, name):
    def interrupt(update):
        if update == 10:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    _, whole = run(tmp_path / "whole", 21)
    _, first = run(tmp_path / "parts", 21, on_update=interrupt)
    assert first.n_updates == 11 and first.reason == f"interrupted ({name})" and signal.getsignal(number) is before
    _, second = run(tmp_path / "parts", 21, resume=True)
    assert second.n_updates == 21
    a, b = last_arrays(tmp_path / "whole"), last_arrays(tmp_path / "parts")
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    for one, other in zip(whole.history, second.history, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {k: v for k, v in other.items() if k != "seconds"}


class Killed(Exception):
    """The end of a process that writes nothing more."""


def test_a_checkpoint_by_the_clock_resumes_to_the_same_bits(tmp_path):
    """Killed at update 12, between validations at 7 and 14; the clock of five minutes has not struck by then."""

    def kill(update):
        if update == 12:
            raise Killed

    _, whole = run(tmp_path / "whole", 21)
    for seconds, saved_at in ((300.0, 7), (0.0, 12)):
        folder = tmp_path / str(seconds)
        with pytest.raises(Killed):
            run(folder, 21, on_update=kill, save_every_seconds=seconds)
        assert checkpoints.load(checkpoints.path_in(folder)).record["n_updates"] == saved_at
        _, second = run(folder, 21, resume=True)
        a, b = last_arrays(tmp_path / "whole"), last_arrays(folder)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        for one, other in zip(whole.history, second.history, strict=True):
            assert {k: v for k, v in one.items() if k != "seconds"} == {
                k: v for k, v in other.items() if k != "seconds"
            }


def test_a_run_is_saved_by_the_clock_before_its_first_validation(tmp_path):
    def kill(update):
        if update == 3:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, 21, on_update=kill, save_every_seconds=0.0)
    assert checkpoints.load(checkpoints.path_in(tmp_path)).record["n_updates"] == 3


def test_the_ctrl_c_handler_is_put_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    run(tmp_path, 2, model=Sequential([Dense(4, 4, rng=np.random.default_rng(0))]))
    assert signal.getsignal(signal.SIGINT) is before


def test_model_is_left_with_its_best_parameters(tmp_path):
    """A learning rate that ruins the model after its first validations."""
    split = sines()
    model = noisy_model()
    validation = fixed_windows(split, **SIZES)[:3]
    result = train(
        model,
        predict_next,
        RandomWindows(split, seed=1, **SIZES),
        validation,
        optimizer=SGD(0.1),
        schedule=lambda update: 0.1 if update < 40 else 5.0,
        stopping=EarlyStopping(100),
        run_dir=tmp_path,
        limits=Limits(60, validate_every=10),
        on_validation=lambda row: None,
    )
    assert result.history[-1]["valid"] > result.stopping.best_loss
    value = Evaluation(model, predict_next)(validation)["normalised_mse"]
    assert value == pytest.approx(result.stopping.best_loss, rel=1e-6)


def test_early_stopping_ends_the_run(tmp_path):
    _, result = run(tmp_path, 10_000, optimizer=SGD(1e-12), patience=3)
    assert "has not improved" in result.reason
    assert len(result.history) < 12


@pytest.mark.jax
def test_divergence_ends_the_run_and_the_checkpoint_stays_finite(tmp_path):
    """A gentle start that is saved, then a learning rate that ends in infinity."""
    split = sines()
    result = train(
        Sequential([Dense(4, 4, rng=np.random.default_rng(0))]),
        predict_next,
        RandomWindows(split, seed=1, **SIZES),
        fixed_windows(split, **SIZES)[:3],
        optimizer=SGD(0.01),
        schedule=lambda update: 0.01 if update < 8 else 1e6,
        stopping=EarlyStopping(100),
        run_dir=tmp_path,
        limits=Limits(500, validate_every=7),
        on_validation=lambda row: None,
    )
    assert "not finite" in result.reason and not result.is_complete
    saved = checkpoints.load(tmp_path / "checkpoint.safetensors")
    assert saved.record["n_updates"] == 7
    assert all(np.isfinite(array).all() for array in saved.arrays.values())


class Steep(Dense):
    """Where its bias is 0 the gradient of the bias is infinite, and everything else is not."""

    def apply(self, x, context):
        return super().apply(x, context) + np.float32(1e-9) * engine.tt.sqrt(self.bias)


def test_one_gradient_that_is_not_finite_ends_the_run(tmp_path):
    model = Sequential([Steep(4, 4, rng=np.random.default_rng(0))])
    _, result = run(tmp_path, 5, model=model, optimizer=SGD(0.1))
    assert result.reason.endswith("or its gradient is not finite at update 1, first that of steep.bias (inf)")
    assert re.search(r"the loss \([0-9.]+\)", result.reason)
    assert result.n_updates == 0 and not result.is_complete


def test_an_existing_run_is_never_overwritten(tmp_path, broken_off, two_updates):
    with pytest.raises(RnnaudioError, match="--resume"):
        run(tmp_path, 2)
    assert broken_off.read_bytes() == two_updates


@pytest.mark.parametrize("what", ["name", "version", "mode"])
def test_resuming_with_another_engine_says_that_bits_may_differ(tmp_path, capsys, what):
    def go_on(n_updates):
        run(tmp_path, n_updates, resume=True, model=Sequential([Dense(4, 4, rng=np.random.default_rng(0))]))
        return capsys.readouterr().err

    assert go_on(1) == go_on(2) == ""
    saved = checkpoints.load(tmp_path / "checkpoint.safetensors")
    saved.record["engine"][what] = "other"
    checkpoints.save(tmp_path / "checkpoint.safetensors", saved)
    (line,) = go_on(3).splitlines()
    now = f"now {engine.NAME} {engine.VERSION}, mode {engine.MODE}, kernel {engine.kernel()}"
    assert "other" in line and now in line and "bits" in line
    assert go_on(4) == ""  # the checkpoint is now this engine's


@pytest.mark.usefixtures("broken_off")
def test_another_architecture_is_named(tmp_path):
    rng = np.random.default_rng(0)
    wider = Sequential([Noisy(LSTM(4, 7, rng=rng), std=0.1), Dense(7, 4, rng=rng)])
    with pytest.raises(RnnaudioError, match=r"noisy\.lstm\.w_input.*\(4, 24\).*\(4, 28\)"):
        run(tmp_path, 4, resume=True, model=wider)
    with pytest.raises(RnnaudioError, match=r"'gru\.w_input' \(4, 18\) is missing"):
        run(tmp_path, 4, resume=True, model=Sequential([GRU(4, 6, rng=rng), Dense(6, 4, rng=rng)]))


@pytest.mark.usefixtures("broken_off")
def test_another_optimizer_is_named(tmp_path):
    with pytest.raises(RnnaudioError, match="another optimizer"):
        run(tmp_path, 4, resume=True, optimizer=RMSprop(0.1))


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "version", "overwritten", "record"])
def test_damaged_checkpoints(broken_off, two_updates, damage):
    path, content = broken_off, two_updates
    if damage == "version":
        content = content.replace(checkpoints.FORMAT.encode(), b"rnnaudio-checkpoint-0")
    damaged = {"truncated": content[: len(content) // 2], "garbage": b"x" * 100, "empty": b"", "version": content}
    damaged["overwritten"] = content[:-8] + b"\0\0\0\x40\0\0\0\x40"
    damaged["record"] = content.replace(b'n_updates\\": 2', b'n_updates\\": 3')
    assert damaged["record"] != content or damage != "record"
    path.write_bytes(damaged[damage])
    with pytest.raises(RnnaudioError, match="checkpoint"):
        checkpoints.load(path)


def test_no_space_left_keeps_the_earlier_checkpoint(tmp_path, monkeypatch, broken_off, two_updates):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RnnaudioError, match="No space left"):
        run(tmp_path, 9, resume=True)
    monkeypatch.undo()
    assert broken_off.read_bytes() == two_updates
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "history.jsonl"]


@pytest.mark.parametrize("cell", [LSTM, GRU])
def test_training_gives_the_same_bits_again_on_any_number_of_threads(cell, use_threads, monkeypatch):
    """Whole updates: forward, backward, products, loss, optimiser; wide enough and shared out, however little."""
    monkeypatch.setattr(threads, "LEAST_WORK", 1)
    frames = np.random.default_rng(0).standard_normal((6, 33, 20)).astype(engine.float_type())

    def trained(n_threads):
        use_threads(n_threads)
        rng = np.random.default_rng(1)
        model = Sequential([Noisy(cell(20, 37, rng=rng), std=0.1), Dense(37, 20, rng=rng)])
        step = TrainStep(model, predict_next, Adam(1e-2, max_gradient_norm=1.0), seed=5)
        for update in range(4):
            step(Batch(frames, np.ones(33, bool)), None, learning_rate=1e-2, update=update)
        return {name: value.tobytes() for name, value in model.get_values().items()}

    first = trained(2)
    assert trained(2) == first
    assert trained(1) == trained(3) == first


@pytest.mark.jax
def test_carried_state_reaches_the_next_batch():
    """Two batches in a row with carried state give the outputs of one long batch: compared through the losses."""
    frames = sines().pieces[0].read(0, 4 * 3 * 21).reshape(3, 21, 4).transpose(1, 0, 2)
    model = Sequential([LSTM(4, 6, rng=np.random.default_rng(0)), Dense(6, 4, rng=np.random.default_rng(1))])
    step = TrainStep(model, predict_next, SGD(1e-30), seed=0)
    fresh, going = np.ones(3, bool), np.zeros(3, bool)
    whole = step(Batch(frames, fresh), None, learning_rate=0.0, update=0)
    first = step(Batch(frames[:11], fresh), None, learning_rate=0.0, update=0)
    second = step(Batch(frames[10:], going), first.state, learning_rate=0.0, update=0)
    restarted = step(Batch(frames[10:], fresh), first.state, learning_rate=0.0, update=0)
    assert (first.loss + second.loss) / 2 == pytest.approx(whole.loss, rel=1e-5)
    assert abs((first.loss + restarted.loss) / 2 - whole.loss) > 1e-5 * whole.loss
    np.testing.assert_allclose(second.state[0], whole.state[0], atol=1e-6)


@pytest.mark.jax
def test_evaluation_is_a_mean_over_batches_of_any_size():
    model = Sequential([Dense(4, 4, rng=np.random.default_rng(0))])
    frames = np.random.default_rng(0).standard_normal((6, 7, 4)).astype("float32")
    evaluate = Evaluation(model, reconstruct_current)
    parts = [Batch(frames[:, :2], np.ones(2, bool)), Batch(frames[:, 2:], np.ones(5, bool))]
    weight, bias = model.get_values().values()
    x = frames[:-1].astype("float64")
    expected = np.sum((x @ weight + bias - x) ** 2) / np.sum(x**2)
    assert evaluate(parts)["normalised_mse"] == pytest.approx(expected, rel=1e-5)


def test_silence_is_trained_on_without_harm_and_its_error_is_nan(tmp_path):
    silence = Split("train", (ArrayPiece(np.zeros(400, "float32")),), 16000)
    model = Sequential([Dense(4, 4, rng=np.random.default_rng(0))])
    _, result = run(tmp_path, 14, model=model, batches=RandomWindows(silence, seed=0, **SIZES))
    assert all(np.isnan(row["train"]) and np.isfinite(row["valid"]) for row in result.history)
    assert all(np.isfinite(value).all() for value in model.get_values().values())
    assert "train nan (silence)  valid" in describe_row(FRAMES, result.history[0])
    assert np.isnan(Evaluation(model, predict_next)(fixed_windows(silence, **SIZES))["normalised_mse"])


def test_history_is_plain_json(tmp_path):
    _, result = run(tmp_path, 14)
    assert json.loads(json.dumps(result.history)) == result.history
    row = result.history[-1]
    assert set(row["update_ratios"]) == set(row["gradient_norms"]) == set(noisy_model().parameters())
    assert all(0 < ratio < 1 for ratio in row["update_ratios"].values())


def test_a_run_in_segments_learns_the_same_and_resumes_to_the_same_bits(tmp_path):
    """Noise included for the bits; without noise the same losses as the uncut run."""
    segments = {"segment_steps": 2}
    run(tmp_path / "whole", 21, **segments)
    for n_updates, resume in ((10, False), (21, True)):
        run(tmp_path / "parts", n_updates, resume=resume, **segments)
    whole, parts = last_arrays(tmp_path / "whole"), last_arrays(tmp_path / "parts")
    for name in whole:
        if not name.startswith("best/"):  # the break at 10 validated once more
            np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)

    def quiet():
        rng = np.random.default_rng(0)
        return Sequential([LSTM(4, 6, rng=rng), Dense(6, 4, rng=rng)])

    (_, cut), (_, uncut) = run(tmp_path / "a", 21, model=quiet(), **segments), run(tmp_path / "b", 21, model=quiet())
    for one, other in zip(cut.history, uncut.history, strict=True):
        assert (one["train"], one["valid"]) == pytest.approx((other["train"], other["valid"]), rel=1e-4)


def test_resuming_with_other_segments_is_refused(tmp_path):
    shallow = lambda: Sequential([Dense(4, 4, rng=np.random.default_rng(0))])  # noqa: E731
    run(tmp_path, 2, segment_steps=2, model=shallow())
    with pytest.raises(RnnaudioError, match="another segment_steps: 2, now 0"):
        run(tmp_path, 4, resume=True, model=shallow())


def test_a_checkpoint_from_before_there_were_segments_is_gone_on_with(tmp_path, broken_off):
    saved = checkpoints.load(broken_off)
    del saved.record["identity"]["segment_steps"]
    checkpoints.save(broken_off, saved)
    _, result = run(tmp_path, 4, resume=True)
    assert result.n_updates == 4


def test_the_progress_bar_has_the_speed_and_the_share_of_the_limit_that_is_nearer():
    class Bar:
        n, text = 0.1, ""

        def set_description_str(self, text, refresh):
            self.text = text

        def update(self, share):
            self.n += share

    bar, run = Bar(), loop.Run(EarlyStopping(3).initial(), n_updates=30, seconds=12.0)
    loop.advance(bar, run, Limits(max_updates=100, max_seconds=20.0))
    assert bar.text == "update 30, 2.5/s" and bar.n == pytest.approx(0.6)
    loop.advance(bar, loop.Run(EarlyStopping(3).initial()), Limits(max_updates=100))
    assert bar.text == "update 0, 0.0/s"
