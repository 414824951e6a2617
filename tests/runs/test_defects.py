"""The switchboard of defects: each is planted, found and repaired by settings alone, and does what it says."""

import ast
import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.blog_2016 import fourier_2016, mnist
from rnnaudio import engine
from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.cli import main
from rnnaudio.data import ArrayPiece, Split
from rnnaudio.data.corpus_build import Recording, build_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper
from rnnaudio.nn import Context, Dense
from rnnaudio.optimizers import SGD
from rnnaudio.registry import resolve
from rnnaudio.runs import defects
from rnnaudio.runs.config import to_dict
from rnnaudio.runs.defects import DEFECTS, named, present_in, that_apply_to, with_defect, without
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames import recipe as frames_recipe
from rnnaudio.runs.frames.batchers import BATCHERS
from rnnaudio.runs.frames.build import build_judging, build_model, build_optimizer, build_strategy
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES, FramesRun, open_corpus, train_and_valid
from rnnaudio.runs.load import load
from rnnaudio.runs.outcome import write_outcome
from rnnaudio.training import EarlyStopping
from rnnaudio.training import checkpoint as checkpoints

RATE_HZ, FRAME = 8000, 16
OTHERS = {"raw-fourier-frames": "fourier", "product-cross-entropy": "mnist", "noise-on-logits": "mnist"}
GRU = FramesConfig(
    frame_size=FRAME, n_steps=4, batch_size=3, batches="consecutive", generation_noise=True, preflight=True,
    model=ModelConfig(cell="gru", n_units=FRAME, n_layers=2, shared_depth=False),
)  # fmt: skip
MEMORY = dataclasses.replace(
    GRU,
    model=ModelConfig.of(
        cell="memory-lstm", n_layers=2, shared_depth=False, bounded_memory=True, learn_initial_state=True,
        forget_bias_hidden=0.0,
    ),
)  # fmt: skip
FAITHFUL = FramesConfig(
    frame_size=FRAME, n_steps=4, batch_size=3, max_updates=6, validate_every=2, target_shift=0, cost="last_step",
    scaling="min_max_2016", batches="shifted", optimizer="rmsprop_2016", max_gradient_norm=None,
    validation="same_pieces", judged_by="train", noise_in_evaluation=True, saved_history="until_best",
    generation="two_functions_2016",
    model=ModelConfig.of(
        cell="memory-lstm", n_layers=2, layer_noise=0.005, readout_units=2 * FRAME, readout_noise=0.05,
        readout_weights="rand_2016", initial_state_noise=0.01,
    ),
)  # fmt: skip


DIGITS = mnist.Setting((10,), 10, SGD(0.1), 1, EarlyStopping(1))
FOURIER = fourier_2016.Options(frames="samples")


def base(defect):
    """A config that may have the defect and has no other."""
    if defect.of != "audio":
        return {"mnist": DIGITS, "fourier": FOURIER}[defect.of]
    return MEMORY if "model.cell" in defect.where else GRU


@pytest.fixture(scope="module")
def corpus_path(tmp_path_factory):
    """Two seconds of two sines in each split, in the training set with a click."""
    t, rng = np.arange(2 * RATE_HZ) / RATE_HZ, np.random.default_rng(0)
    audio = {
        name: (0.1 * np.sin(2 * np.pi * f * t) + 0.05 * np.sin(5 * f * t) + 0.001 * rng.standard_normal(t.size))
        for name, f in {"train": 220.0, "valid": 330.0, "test": 440.0}.items()
    }
    audio["train"][5000] = 0.9
    path = tmp_path_factory.mktemp("defects") / "corpus.h5"
    recordings = [
        Recording(name, "made", "CC0", name, lambda sound=sound: (sound.astype("float32"), RATE_HZ))
        for name, sound in audio.items()
    ]
    build_corpus(recordings, path, sample_rate_hz=RATE_HZ, progress=False, cleaning=AS_IT_IS)
    return path


# ---------------------------------------------------------------- the list


def test_names_numbers_and_kinds():
    assert [d.number for d in DEFECTS] == list(range(1, 25))
    assert len({d.name for d in DEFECTS}) == 24
    assert {d.name: d.of for d in DEFECTS if d.of != "audio"} == OTHERS
    assert sorted({d.weight for d in DEFECTS}) == [1, 2, 3]
    assert [d.number for d in DEFECTS if d.weight == 3] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: d.name)
def test_a_defect_is_declared(defect):
    assert defect.faithful and defect.faithful != defect.repaired
    assert set(defect.faithful) <= set(defect.repaired)
    assert defect.mechanism and defect.evidence and named(defect.name) is defect


def test_a_defect_is_settings_and_nothing_else():
    """No layer or loop exists for one: the switchboard knows only settings."""
    tree = ast.parse(Path(defects.__file__).read_text())
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [m for m in modules if m.startswith("rnnaudio")] == ["rnnaudio.errors"]


def test_an_unknown_name():
    with pytest.raises(RnnaudioError, match="unknown defect 'target'; known are target-is-input, unscaled-rmsprop"):
        named("target")


def test_the_command_prints_them_all(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rnnaudio", "defects"])
    main()
    printed = capsys.readouterr().out
    for d in DEFECTS:
        assert f"{d.number:2d} {d.name} {'*' * d.weight}\n   {d.mechanism}\n" in printed


# ---------------------------------------------------------------- planting, finding, repairing


def test_the_repaired_configs_have_no_defect():
    assert present_in(GRU) == present_in(MEMORY) == present_in(DIGITS) == present_in(FOURIER) == []


def flat(config):
    """Settings by path, as the declarations of defects name them."""
    values = to_dict(config)
    model = values.pop("model", {})
    options = {f"model.options.{name}": value for name, value in model.pop("options", {}).items()}
    return values | {f"model.{name}": value for name, value in model.items()} | options


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: d.name)
def test_planting_and_repairing(defect):
    config = base(defect)
    assert defect in that_apply_to(config)
    planted = with_defect(config, defect.name)
    repaired = without(planted, defect.name)
    before, after = flat(planted), flat(repaired)
    assert {name for name in before if before[name] != after[name]} == {
        name for name in defect.repaired if before[name] != defect.repaired[name]
    }
    assert all(before[name] == value for name, value in defect.faithful.items())
    assert all(after[name] == value for name, value in defect.repaired.items())
    assert defect in present_in(planted) and defect not in present_in(repaired)
    others = [d.name for d in present_in(planted) if d is not defect]
    assert others == (["always-reset"] if defect.name == "shifted-batch" else [])  # all but one are independent


@pytest.mark.parametrize("name", OTHERS)
def test_a_defect_of_other_runs(name):
    assert named(name) not in that_apply_to(GRU)
    for change in (with_defect, without):
        with pytest.raises(RnnaudioError, match=f"{name} is a defect of .* runs, not of FramesConfig"):
            change(GRU, name)


def test_defects_of_any_strength_are_found():
    def names(**model):
        config = dataclasses.replace(MEMORY, model=ModelConfig.of(cell="memory-lstm", **model))
        return [d.name for d in present_in(config)]

    bounded = {"bounded_memory": True, "learn_initial_state": True}
    assert names(forget_bias_hidden=0.5, n_layers=2, **bounded) == ["forget-bias-in-hidden", "shared-depth"]
    assert names(forget_bias_hidden=0.0, readout_noise=0.005, **bounded) == ["noise-in-readout"]
    assert names(forget_bias_hidden=0.0) == ["unbounded-memory"]
    assert names(forget_bias_hidden=0.0, learn_initial_state=True) == ["unbounded-memory"]
    assert names(forget_bias_hidden=0.0, readout_weights="rand_2016", **bounded) == ["small-readout"]
    for batches in ("random", "offsets", "shifted"):
        assert "always-reset" in [d.name for d in present_in(dataclasses.replace(GRU, batches=batches))]


def test_reconstruction_wants_the_input():
    config = dataclasses.replace(GRU, strategy="reconstruct_current", target_shift=0)
    assert named("target-is-input") not in present_in(config)


# ---------------------------------------------------------------- each does what it says


def both(name):
    """(planted, repaired) configs."""
    config = base(named(name))
    return with_defect(config, name), without(config, name)


def on_both(name, measure):
    return tuple(measure(config) for config in both(name))


def values_of(config, end):
    """The one parameter or statistic whose name ends so."""
    (value,) = (v for name, v in build_model(config).get_values().items() if name.endswith(end))
    return value


def test_target_is_input():
    frames = np.arange(5)
    planted, repaired = on_both("target-is-input", lambda c: build_strategy(c).split(frames)[1].tolist())
    assert (planted, repaired) == ([0, 1, 2, 3], [1, 2, 3, 4])


def test_unscaled_rmsprop():
    def first_step(config):
        p, g = np.zeros(3), np.array([1e-5, 1e-4, 1e-3])
        return build_optimizer(config).step(p, g, (np.zeros(3),), 1e-3, 1)[0]

    planted, repaired = on_both("unscaled-rmsprop", first_step)
    np.testing.assert_allclose(planted, [-1e-8, -1e-7, -1e-6])
    assert np.all(repaired < -5e-5)


def test_last_step_cost():
    assert on_both("last-step-cost", lambda c: build_strategy(c).first_scored) == (-1, 0)


def generated(config):
    """What a model of this config generates; its validation error is 0.04 of sound of power 1."""
    model = build_model(config)
    corpus = {"sample_rate_hz": 16_000, "mean": 0.0, "std": 1.0}
    record = {
        "history": [{"is_best": True, "valid": 0.04}],
        "config": {"validation_power": 1.0, "corpus": corpus},
    }
    seeds = np.random.default_rng(1).standard_normal((1, 3 * FRAME))
    (result,) = FramesRun(config, model, record).continue_primes(seeds, 6 * FRAME)
    return result.audio[3 * FRAME :]


def test_noiseless_feedback():
    planted, repaired = on_both("noiseless-feedback", generated)
    assert 0.1 < np.std((repaired - planted)[:FRAME]) < 0.3  # noise of deviation 0.2 in the first frame


def test_unbounded_memory():
    def largest_memory(config):
        loud = 3 * np.random.default_rng(0).standard_normal((100, 2, FRAME)).astype("float32")
        return max(np.abs(leaf).max() for leaf in Stepper(build_model(config)).prime(loud)[1])

    planted, repaired = on_both("unbounded-memory", largest_memory)
    assert planted > 1.5 and repaired <= 1.0


def test_forget_bias_in_hidden():
    planted, repaired = on_both("forget-bias-in-hidden", lambda c: values_of(c, "state.memory_lstm.bias_hidden"))
    assert np.all(planted[: 2 * FRAME] == 2.0) and not repaired.any()


def squared_error_in_training(config):
    """Of a model that is silent but for its noise, against silence."""
    model = build_model(config)
    model.set_values({k: v if k.endswith("std") else 0 * v for k, v in model.get_values().items()})
    x = engine.tensor("x", 3)
    y, _ = model.unroll(x, model.initial_state(x.shape[1]), Context.training_with(np.array([0, 0])))
    return float(np.mean(engine.function([x], y)(np.zeros((50, 10, FRAME), "float32")) ** 2))


def test_noise_in_readout_is_a_floor_under_the_cost():
    planted, repaired = on_both("noise-in-readout", squared_error_in_training)
    assert planted == pytest.approx(0.05**2, rel=0.1) and repaired == 0.0


def test_judging():
    assert on_both("judged-by-training-cost", lambda c: build_judging(c).by) == ("train", "valid")
    assert on_both("history-cut", lambda c: build_judging(c).keep_all) == (False, True)
    assert on_both("noise-in-evaluation", lambda c: build_judging(c).with_noise) == (True, False)


def test_noise_in_evaluation_changes_what_is_generated():
    noisy = dataclasses.replace(GRU, generation_noise=False, model=ModelConfig("gru", n_units=8, state_noise=0.5))
    planted, repaired = (generated(change(noisy, "noise-in-evaluation")) for change in (with_defect, without))
    assert np.abs(planted - repaired).max() > 0.01


def titles(split):
    return [getattr(piece, "title", None) or piece.piece.title for piece in split.pieces]


def test_validation_is_training(corpus_path):
    planted, repaired = both("validation-is-training")
    with open_corpus(corpus_path, planted) as corpus:
        to_train, to_validate = train_and_valid(corpus, planted)
        assert [p.n_samples for p in to_train.pieces] == [p.n_samples for p in to_validate.pieces]
        assert titles(to_validate) == titles(to_train) == ["train"]
        assert [titles(split) for split in train_and_valid(corpus, repaired)] == [["train"], ["valid"]]


def test_same_piece_validation(corpus_path):
    planted, _ = both("same-piece-validation")
    with open_corpus(corpus_path, planted) as corpus:
        to_train, to_validate = train_and_valid(corpus, planted)
        assert titles(to_validate) == titles(to_train) == ["train"]
        assert to_validate.n_samples == pytest.approx(0.1 * corpus.train.n_samples, abs=1)
        assert to_train.n_samples + to_validate.n_samples == corpus.train.n_samples


def test_two_functions():
    planted, repaired = on_both("two-functions", generated)
    assert np.abs(planted - repaired).max() > 0.01


def test_no_end_layer():
    planted, repaired = (build_model(config) for config in both("no-end-layer"))
    assert [any(isinstance(layer, Dense) for _, layer in m.layers()) for m in (planted, repaired)] == [False, True]
    loud = 100 * np.random.default_rng(0).standard_normal((9, 2, FRAME)).astype("float32")
    assert np.abs(Stepper(planted).prime(loud)[0]).max() <= 1.0


def test_no_end_layer_needs_a_layer_as_wide_as_a_frame():
    for model in (ModelConfig("gru", n_units=8), ModelConfig("memory-lstm", n_layers=2)):
        narrow = with_defect(dataclasses.replace(GRU, model=model), "no-end-layer")
        with pytest.raises(RnnaudioError, match=r"the top layer is the output: got (8|32) units for frames of 16"):
            build_model(narrow)
    separate = ModelConfig("memory-lstm", n_layers=2, shared_depth=False, readout="none")
    assert build_model(dataclasses.replace(GRU, model=separate)).n_out == FRAME


def test_small_readout():
    planted, repaired = on_both("small-readout", lambda c: values_of(c, "dense.weight"))
    assert repaired.std() / planted.std() == pytest.approx(np.sqrt(24), rel=0.15)
    model = build_model(both("small-readout")[0])
    model.set_values({k: v + 100 * (k.endswith("dense.bias")) for k, v in model.get_values().items()})
    loud = Stepper(model).prime(np.zeros((1, 1, FRAME), "float32"))[0]
    np.testing.assert_allclose(loud, 1.0, atol=1e-6)  # through a tanh


def test_min_max_scaling(corpus_path):
    def level(config):
        with open_corpus(corpus_path, config) as corpus:
            (piece,) = corpus.train.pieces
            return piece.read(0, piece.n_samples)

    planted, repaired = on_both("min-max-scaling", level)
    assert planted.max() == pytest.approx(1.0, abs=1e-6) and planted.std() < 0.2  # a click sets the scale
    assert repaired.std() == pytest.approx(1.0, rel=1e-3)
    assert abs(np.median(planted)) > 0.3 and abs(np.median(repaired)) < 0.1


def test_no_clipping():
    assert on_both("no-clipping", lambda c: build_optimizer(c).max_gradient_norm) == (None, 1.0)


def batches_of(config):
    audio = np.random.default_rng(0).standard_normal(4000).astype("float32")
    split = Split("train", (ArrayPiece(audio),), RATE_HZ)
    return resolve(BATCHERS[config.batches])(split, frame_size=FRAME, n_steps=4, batch_size=3, seed=1)


def test_always_reset():
    planted, repaired = on_both("always-reset", batches_of)
    assert not planted.carries_state and repaired.carries_state
    assert planted.batch(1).resets.all() and not repaired.batch(1).resets.all()


def test_shifted_batch():
    planted, repaired = on_both("shifted-batch", lambda c: batches_of(c).batch(0).frames)
    windows = planted.transpose(1, 0, 2).reshape(3, -1)
    np.testing.assert_array_equal(windows[1:, :-1], windows[:-1, 1:])  # each the one before, a sample on
    windows = repaired.transpose(1, 0, 2).reshape(3, -1)
    assert not np.any(windows[1:, :-1] == windows[:-1, 1:])


def test_shared_depth():
    for config in (GRU, MEMORY):
        one, two = (build_model(change(config, "shared-depth")) for change in (with_defect, without))
        recurrent = [sum(k.endswith(("w_hidden", "w_gates")) for k in m.parameters()) for m in (one, two)]
        assert recurrent[1] == 2 * recurrent[0]


# ---------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def plain(corpus_path, tmp_path_factory):
    """A run with settings that earlier versions had."""
    run_dir = tmp_path_factory.mktemp("plain")
    model = ModelConfig(cell="gru", n_units=8)
    config = FramesConfig(frame_size=FRAME, n_steps=4, batch_size=3, max_updates=4, validate_every=2, model=model)
    fit(FRAMES, config, corpus_path, run_dir)
    return run_dir, config


def test_a_faithful_run_trains_and_records_its_defects(corpus_path, tmp_path, capsys):
    fit(FRAMES, FAITHFUL, corpus_path, tmp_path)
    wrong_target = "predict_next wants target = input shifted by +1; found +0"
    assert f"batch check FAILED: {wrong_target}" in capsys.readouterr().out
    summary = write_outcome(tmp_path, corpus_path, seconds=0.5)
    expected = [
        "target-is-input", "unscaled-rmsprop", "last-step-cost", "noiseless-feedback", "unbounded-memory",
        "forget-bias-in-hidden", "noise-in-readout", "judged-by-training-cost", "two-functions", "small-readout",
        "min-max-scaling",
        "no-clipping", "always-reset", "shifted-batch", "same-piece-validation", "history-cut",
        "noise-in-evaluation", "shared-depth", "no-toy-problem",
    ]  # fmt: skip
    for record in (summary, json.loads((tmp_path / "config.json").read_text())):
        assert record["defects"] == expected
    assert json.loads((tmp_path / "summary.json").read_text())["defects"] == expected
    run = load(tmp_path)
    assert run.config == FAITHFUL
    (best,) = run.record["history"][-1:]
    assert best["is_best"] and summary["best_validation_normalised_mse"] == best["valid"] != best["train"]


def test_the_command_prints_those_of_a_run(plain, monkeypatch, capsys):
    run_dir, config = plain
    monkeypatch.setattr(sys, "argv", ["rnnaudio", "defects", str(run_dir)])
    main()
    printed = capsys.readouterr().out
    assert [line.split()[1] for line in printed.splitlines() if "*" in line] == [d.name for d in present_in(config)]


@pytest.mark.parametrize("name", ["target-is-input", "last-step-cost", "judged-by-training-cost", "history-cut"])
def test_a_run_cannot_be_resumed_with_another_defect(plain, corpus_path, name):
    run_dir, config = plain
    with pytest.raises(RnnaudioError, match=r"cannot go on so: \w+ was .*, now it is "):
        fit(FRAMES, with_defect(config, name), corpus_path, run_dir, resume=True)


def old_version_of(run_dir, folder):
    """The run as a version before the defects wrote it, in which options of cells were settings of every model."""
    path = checkpoints.path_in(run_dir)
    saved = checkpoints.load(path)
    settings = saved.record["config"]
    del settings["defects"], settings["validation_power"]
    known = [f.name for f in dataclasses.fields(ModelConfig)]
    later_of_model = [*known[known.index("weights") : known.index("skip_connections")], "units"]
    later = [
        "target_shift", "cost", "burn_in", "scaling", "validation", "judged_by", "noise_in_evaluation",
        "saved_history", "generation", "generation_noise", "preflight",
    ]  # fmt: skip
    for name in later:
        del settings["train"][name]
    model = settings["train"]["model"]
    for name in later_of_model:
        del model[name]
    assert model.pop("options") == {}
    model |= {"peepholes": False, "forget_bias": 1.0, "layer_noise": 0.0}
    folder.mkdir()
    checkpoints.save(checkpoints.path_in(folder), saved)
    return folder


def test_a_run_of_an_earlier_version_plays_and_goes_on(plain, corpus_path, tmp_path):
    run_dir, config = plain
    old = old_version_of(run_dir, tmp_path / "old")
    run = load(old)
    assert run.config == config
    seeds = np.random.default_rng(0).standard_normal((1, 2 * FRAME))
    played, again = (r.continue_primes(seeds, 40)[0].audio for r in (run, load(run_dir)))
    np.testing.assert_array_equal(played, again)
    noisy = dataclasses.replace(run, config=dataclasses.replace(config, generation_noise=True))
    with pytest.raises(RnnaudioError, match="has no record of how loud its validation windows are"):
        noisy.continue_primes(seeds, 40)
    resumed = fit(FRAMES, dataclasses.replace(config, max_updates=6), corpus_path, old, resume=True)
    assert resumed.n_updates == 6


def test_the_noise_of_generation_has_the_power_of_the_validation_error(plain, corpus_path):
    run = load(plain[0])
    best = min(row["valid"] for row in run.record["history"])
    with run.open_corpus(corpus_path) as corpus:
        windows = frames_recipe.fixed_windows(corpus.valid, frame_size=FRAME, n_steps=4, batch_size=3)
        power = np.mean([np.square(w.frames[1:]) for w in windows])
    assert run.output_noise_std == pytest.approx(np.sqrt(best * power), rel=1e-4)
    never = FramesRun(run.config, run.model, {"history": [], "config": {"validation_power": 1.0}})
    assert never.output_noise_std == 0.0 and never.best_validation_loss is None


def test_annealing_reaches_every_noise():
    model = ModelConfig.of(cell="memory-lstm", input_noise=0.4, layer_noise=0.2, readout_noise=0.1, readout_units=8)
    config = FramesConfig(frame_size=FRAME, model=model, anneal_noise_over=10)
    built = build_model(config)
    anneal = frames_recipe.annealing(built, config)

    def stds():
        found = SimpleNamespace(noisy=[], layer=[], readout=[])
        for name, value in built.statistics().items():
            kind = "readout" if "gaussian" in name else "layer" if "noise_std" in name else "noisy"
            getattr(found, kind).append(float(value.get_value()))
        return found

    for update, factor in ((0, 1.0), (5, 0.5), (10, 0.0), (20, 0.0)):
        anneal(update)
        now = stds()
        np.testing.assert_allclose(now.noisy, [0.4 * factor, 0.0], atol=1e-7)
        np.testing.assert_allclose(now.layer, [0.2 * factor], atol=1e-7)
        np.testing.assert_allclose(now.readout, [0.1 * factor] * 2, atol=1e-7)
