"""The three recorded settings of 2016 on MNIST against a plain NumPy transcription; the experiment itself, small."""

import sys

import numpy as np
import pytest

from experiments.blog_2016 import mnist as experiment
from experiments.blog_2016.mnist import RECORDED, SETTINGS, made_up_digits
from rnnaudio import engine
from rnnaudio.data.minibatches import LabelledBatch
from rnnaudio.nn import Context
from rnnaudio.objectives import Classification
from rnnaudio.training import Evaluation, TrainStep
from tests.support import oracles
from tests.support.gradient_cases import randomise

N_ROWS, SEED, N_UPDATES = 6, 3, 3
SIZES = [784, 4, 3, 10]


def small(name):
    """The setting with two hidden layers of 4 and 3 units."""
    setting = SETTINGS[name]
    return experiment.dataclasses.replace(setting, hidden=tuple(SIZES[1:-1]))


def transcription(values, images, labels, draws, has_norm):
    """The cost as a function of the parameters, in the names of `values`; the draws of a training graph."""
    x, draws = images, list(draws)
    for k in range(len(SIZES) - 1):
        name = ("layer2016", "layer2016_2", "layer2016_3")[k]
        x = oracles.layer_2016(
            x,
            values[f"{name}.weight"],
            values[f"{name}.bias"],
            gain=values[f"{name}.batch_norm.gain"] if has_norm else None,
            noise=0.08 * draws.pop(0) if draws else 0.0,
            activation="linear" if k == len(SIZES) - 2 else "relu",
        )
    return oracles.cross_entropy_2016(x, np.eye(10)[labels])


@pytest.mark.parametrize("name", ["february", pytest.param("march", marks=pytest.mark.slow)])
def test_training_is_that_of_a_transcription_in_numpy(name, kernel):
    """Three updates by SGD, the transcription's gradients by differences; then the test with the noise on."""
    setting, data = small(name), made_up_digits(N_ROWS).train
    has_norm, has_noise = setting.batch_norm, bool(setting.noise)
    batch = LabelledBatch(data.images.astype("float64"), data.labels)
    with engine.precision("float64"):
        model = randomise(setting.model(np.random.default_rng(1)), np.random.default_rng(2), 0.1)  # off relu's kinks
        ours = Classification(loss=setting.loss)
        step = TrainStep(model, ours, setting.optimizer, seed=SEED)
        key = engine.tensor("key", 1, "int64")
        context = Context.training_with(key)
        drawn = engine.function([key], [context.normal([N_ROWS, n]) for n in SIZES[1:]])
        noisy = Evaluation(model, ours, noise_seed=SEED)
        names = list(model.parameters())
        expected = {parameter: model.get_values()[parameter] for parameter in names}
        for update in range(N_UPDATES):
            draws = drawn([SEED, update]) if has_noise else []

            def cost(*arrays, draws=draws):
                return transcription(dict(zip(names, arrays, strict=True)), *batch, draws, has_norm)

            loss = step(batch, None, learning_rate=0.1, update=update).loss
            assert loss == pytest.approx(cost(*expected.values()), rel=1e-10)
            gradients = oracles.central_difference(cost, list(expected.values()), 1e-5)
            expected = {n: a - 0.1 * g for (n, a), g in zip(expected.items(), gradients, strict=True)}
        values = model.get_values()
        for parameter in names:
            np.testing.assert_allclose(values[parameter], expected[parameter], rtol=1e-6, atol=1e-8)
        with_noise = transcription(values, *batch, drawn([SEED, 0]) if has_noise else [], has_norm)
        assert noisy([batch])["cross_entropy"] == pytest.approx(with_noise, rel=1e-10)


def test_the_settings_are_those_of_the_record():
    for name in RECORDED:
        model = SETTINGS[name].model(np.random.default_rng(0))
        weights = [value for path, value in model.get_values().items() if path.endswith("weight")]
        assert [w.shape for w in weights] == list(zip((784, *SETTINGS[name].hidden), (*SETTINGS[name].hidden, 10)))  # noqa: B905
        assert not any(value.any() for path, value in model.get_values().items() if path.endswith("bias"))
    march = SETTINGS["march"].model(np.random.default_rng(0)).get_values()
    np.testing.assert_allclose(march["layer2016.weight"].T @ march["layer2016.weight"], np.eye(256), atol=1e-5)
    assert [float(v) for path, v in march.items() if path.endswith("std")] == pytest.approx([0.08] * 3)
    february = SETTINGS["february"].model(np.random.default_rng(0)).get_values()
    assert 0.5 / 884 * 0.99 < np.abs(february["layer2016.weight"]).max() <= 0.5 / 884


@pytest.mark.slow
def test_the_experiment_runs_on_made_up_digits(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mnist", "--setting", "recorded", "--smoke"])
    experiment.main()
    out = capsys.readouterr().out
    assert all(f"{name}: seed 0  test accuracy" in out for name in RECORDED)


def test_the_table_stands_beside_the_record(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(experiment, "FOLDER", tmp_path)
    (tmp_path / "pictures").mkdir()
    rows = [{"test_error_percent": {1: 5.0, 2: 3.0}}, {"test_error_percent": {1: 6.0, 2: 3.1}}]
    experiment.compare("march", rows)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [["1", "-", "5.50"], ["2", "2.88", "3.05"], ["5", "-", "-"]]
    assert "(5.00 to 6.00)" in lines[1]
    assert (tmp_path / "pictures" / "mnist-march.png").exists()
