"""Settings: checked, saved, and turned into the model they describe."""

import dataclasses
import json
import re

import numpy as np
import pytest

from rnnaudio.data import Batch
from rnnaudio.diagnostics import baselines, linear_prediction
from rnnaudio.errors import RnnaudioError
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import RMSprop
from rnnaudio.runs.config import from_dict, shown, to_dict
from rnnaudio.runs.fit import describe_row
from rnnaudio.runs.frames import recipe as audio_run
from rnnaudio.runs.frames.build import build_model, build_optimizer
from rnnaudio.runs.frames.cells import CellOptions, LSTMOptions, MemoryLSTMOptions
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.schema import as_float
from rnnaudio.training.progress import duration
from tests.support.command_line import typed


def test_round_trip_through_json():
    config = FramesConfig(model=ModelConfig(cell="gru", n_layers=3, skip_connections=True), validate_every=5)
    assert from_dict(FramesConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_layers_of_different_widths():
    config = FramesConfig(frame_size=8, model=ModelConfig(n_layers=3, units=(7, 5, 4), skip_connections=True))
    read = from_dict(FramesConfig, json.loads(json.dumps(dataclasses.asdict(config))))
    assert read == config
    assert read.model.units == (7, 5, 4)
    shapes = {name: v.get_value().shape for name, v in build_model(config).parameters().items()}
    assert shapes["lstm.w_input"] == (8, 28)
    assert shapes["lstm_2.w_input"] == (8 + 7, 20)
    assert shapes["lstm_3.w_input"] == (8 + 5, 16)
    assert shapes["sequential.dense.weight"] == (7 + 5 + 4, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": (7, 5)}, "units is (7, 5), for n_layers 1; expected one number a layer"),
        ({"units": (7, 0), "n_layers": 2}, "units is (7, 0); expected more than 0 for each layer"),
        ({"units": (7,), "n_units": 7}, "either n_units 7 or units (7,): leave out one"),
        ({"units": (7,), "cell": "memory-lstm"}, "all layers of the memory-lstm have one width"),
        ({"units": (7, 7), "n_layers": 2, "shared_depth": True}, "all layers of shared_depth have one width"),
    ],
)
def test_widths_that_do_not_fit(settings, message):
    with pytest.raises(RnnaudioError, match=re.escape(message)):
        ModelConfig(**settings)


def test_widths_on_the_command_line():
    words = ["--units", "200", "100", "100", "--n-layers", "3"]
    assert typed(words).model.units == (200, 100, 100)


def test_a_memory_lstm_shares_its_depth_however_its_settings_come_about():
    of_the_command_line = typed(["--cell", "memory-lstm", "--n-layers", "2"]).model
    changed = dataclasses.replace(ModelConfig(n_layers=2), cell="memory-lstm")
    read = from_dict(ModelConfig, {"cell": "memory-lstm", "n_layers": 2})
    assert of_the_command_line == changed == read and read.shares_depth
    gru = dataclasses.replace(read, cell="gru")
    assert not gru.shares_depth and type(gru.options) is CellOptions
    assert gru == typed(["--cell", "gru", "--n-layers", "2"]).model
    for shared in (True, False):
        assert dataclasses.replace(read, shared_depth=shared).shares_depth is shared
        assert typed(["--cell", "gru", "--shared-depth", str(shared)]).model.shares_depth is shared


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"options": 3}}, "options is 3; expected a table of settings of CellOptions"),
        ({"batch_sise": 3}, "unknown setting 'batch_sise' of FramesConfig; did you mean 'batch_size'"),
        ({"model": {"n_unit": 3}}, "unknown setting 'n_unit' of ModelConfig; did you mean 'n_units'"),
        ({"model": {"cell": 3}}, "cell is 3; expected a text"),
        ({"zzz": 3}, "known are"),
    ],
)
def test_unknown_keys_name_the_nearest_known_one(values, message):
    with pytest.raises(RnnaudioError, match=message):
        from_dict(FramesConfig, values)


@pytest.mark.parametrize("name", ["frame_size", "minutes", "learning_rate", "patience"])
def test_settings_that_make_no_sense(name):
    with pytest.raises(RnnaudioError, match=name):
        FramesConfig(**{name: 0})


@pytest.mark.parametrize("name", ["segment_steps", "anneal_noise_over", "min_improvement"])
def test_settings_that_may_be_zero_but_not_less(name):
    assert getattr(FramesConfig(**{name: 0}), name) == 0
    with pytest.raises(RnnaudioError, match=f"{name} is -1; expected 0 or more"):
        FramesConfig(**{name: -1})


@pytest.mark.parametrize(("number", "expected"), [(10**400, np.inf), (-(10**400), -np.inf), (-3, -3.0), (0, 0.0)])
def test_whole_numbers_beyond_floats_keep_their_sign(number, expected):
    assert as_float(number) == expected
    if number < 0:
        with pytest.raises(RnnaudioError, match="learning_rate is -"):
            from_dict(FramesConfig, {"learning_rate": number})


def test_model_widths_with_skip_connections_and_linear_skip():
    config = FramesConfig(
        frame_size=8,
        model=ModelConfig(n_units=5, n_layers=3, skip_connections=True, linear_skip=2, learn_initial_state=True),
    )
    shapes = {name: v.get_value().shape for name, v in build_model(config).parameters().items()}
    assert shapes["stack.learnt_initial_state.lstm.w_input"] == (8, 20)
    assert shapes["stack.learnt_initial_state_3.lstm.w_input"] == (8 + 5, 20)
    assert shapes["stack.sequential.dense.weight"] == (15, 8)
    assert shapes["linear.weight"] == (16, 8)


def test_a_memory_lstm_is_as_wide_as_a_frame_and_read_at_all_depths():
    model = ModelConfig.of(cell="memory-lstm", n_layers=3, layer_noise=0.005, readout_units=16)
    parameters = build_model(FramesConfig(frame_size=8, model=model)).parameters()
    shapes = {name: v.get_value().shape for name, v in parameters.items()}
    assert shapes["memory_lstm.w_hidden"] == (16, 48)
    assert shapes["sequential.dense.weight"] == (3 * 8, 16)
    assert shapes["sequential.dense_2.weight"] == (16, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_noise": 0.1}, "layer_noise is an option of the memory-lstm only, not of the lstm: leave it out"),
        ({"bounded_memory": True}, "bounded_memory is an option of the memory-lstm only, not of the lstm"),
        ({"cell": "memory-lstm", "skip_connections": True}, "skip_connections join several layers"),
        ({"cell": "memory-lstm", "peepholes": True}, "peepholes is an option of the lstm only, not of the memory"),
        ({"cell": "memory-lstm", "forget_bias": 2.0}, "forget_bias is an option of the lstm only"),
        ({"cell": "gru", "options": {"peepholes": True}}, "peepholes is an option of the lstm only, not of the gru"),
        ({"cell": "gru", "options": {"peephole": True}}, "unknown setting 'peephole' of CellOptions; there are none"),
        ({"cell": "gru", "options": LSTMOptions(peepholes=True)}, "are no options of the gru"),
        ({"cell": "grue"}, "unknown cell 'grue'; did you mean 'gru'?"),
        ({"cell": "memory-lstm", "n_units": 200}, "n_units is 200, but is no option of the memory-lstm"),
        ({"cell": "memory-lstm", "layer_noise": -1.0}, "layer_noise is -1.0; expected 0 or more"),
    ],
)
def test_options_of_another_cell_are_refused(settings, message):
    with pytest.raises(RnnaudioError, match=message):
        ModelConfig.of(**settings)


def test_options_belong_to_the_cell_and_may_stand_beside_it():
    """Flat, as earlier versions saved them and as the command line takes them, with the defaults of other cells."""
    flat = {"cell": "memory-lstm", "peepholes": False, "forget_bias": 1.0, "layer_noise": 0.1, "bounded_memory": True}
    expected = ModelConfig(cell="memory-lstm", options=MemoryLSTMOptions(layer_noise=0.1, bounded_memory=True))
    words = ["--cell", "memory-lstm", "--layer-noise", "0.1", "--bounded-memory"]
    assert from_dict(ModelConfig, flat) == ModelConfig.of(**flat) == typed(words).model == expected
    assert from_dict(ModelConfig, json.loads(json.dumps(to_dict(expected)))) == expected
    assert ModelConfig.of(cell="gru", forget_bias=3.0) == ModelConfig(cell="gru")  # earlier versions ignored it
    for settings in ({}, {"options": LSTMOptions()}, {"peepholes": False}):
        assert ModelConfig.of(**settings).options == LSTMOptions()
    assert dataclasses.replace(expected, cell="lstm", options=LSTMOptions(peepholes=True)).options.peepholes
    with pytest.raises(RnnaudioError, match="are no options of the lstm, which has LSTMOptions: leave them out"):
        dataclasses.replace(expected, cell="lstm")


def test_equal_seeds_give_equal_models():
    config = FramesConfig(frame_size=8, model=ModelConfig(n_units=5, input_noise=0.1, readout_units=7))
    one, other = build_model(config).get_values(), build_model(config).get_values()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    changed = build_model(dataclasses.replace(config, seed=1)).get_values()
    assert not np.array_equal(one["noisy.lstm.w_input"], changed["noisy.lstm.w_input"])


def test_optimizer_takes_rate_and_clipping():
    assert build_optimizer(FramesConfig(learning_rate=0.5, max_gradient_norm=None)) == RMSprop(0.5)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.3, "0 s"), (7.6, "8 s"), (119.0, "119 s"), (120.0, "2.0 min"), (5400.0, "90.0 min")]
)
def test_short_times_are_shown_in_seconds(seconds, shown):
    assert duration(seconds) == shown
    row = {"epoch": 1.0, "updates": 7, "seconds": seconds, "train": 0.1, "valid": 0.01, "is_best": True}
    losses = "train -10.00 dB  valid -20.00 dB  * best"
    assert " ".join(describe_row(FRAMES, row).split()) == " ".join(f"epoch 1.00 7 updates {shown} {losses}".split())


def test_baselines_of_large_batches_are_measured_a_few_sequences_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    batches = [Batch(rng.standard_normal((9, 5, 4), np.float32), np.ones(5, bool)) for _ in range(2)]

    def measured():
        linear = linear_prediction(audio_run.pairs(predict_next, batches))
        return linear.weight, baselines(audio_run.pairs(predict_next, batches), linear)

    weight, scores = measured()
    monkeypatch.setattr(audio_run, "MOST_PAIR_SAMPLES", 80)
    parts = list(audio_run.pairs(predict_next, batches))
    assert [x.shape for x, _ in parts] == 2 * ([(8, 2, 4)] * 2 + [(8, 1, 4)])
    again, same = measured()
    np.testing.assert_allclose(again, weight, rtol=1e-9)
    assert same == pytest.approx(scores, rel=1e-9)


def test_values_of_settings_are_shown_as_they_are_typed():
    assert [shown(value) for value in (0.1234567, 2e-3, 100, True, None, "sgd")] == [
        "0.123457", "0.002", "100", "True", "None", "sgd",
    ]  # fmt: skip
    assert shown([0.1234567, (1, 2)], 4) == "0.1235,1,2"
