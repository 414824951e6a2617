"""Settings from presets and TOML files: what wins, what is refused, and what each preset promises."""

import dataclasses

import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs import presets
from rnnaudio.runs.codes.config import CodesConfig, fitted
from rnnaudio.runs.config import as_toml, read_toml, to_dict
from rnnaudio.runs.defects import present_in
from rnnaudio.runs.frames.cells import MemoryLSTMOptions
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.recipes import RECIPES, config_class, recipe_named
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.settings import chosen


@pytest.fixture
def written(tmp_path):
    """Writes a TOML file; its path."""

    def write(text, name="mine.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


# ---------------------------------------------------------------- which settings win


def test_without_a_word_they_are_the_defaults_of_frames():
    assert chosen() == ("frames", FramesConfig())


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_alone_has_its_defaults(name):
    assert chosen(name) == (name, config_class(name)())


def test_a_file_names_its_recipe(written):
    assert chosen(config=written('recipe = "codes"\nn_codes = 64')) == ("codes", CodesConfig(n_codes=64))
    file = written("n_units = 64\nframes = [64, 8]")
    assert chosen("samples", config=file) == ("samples", SamplesConfig(n_units=64, frames=(64, 8)))


def test_a_file_wins_over_a_preset_setting_by_setting(written):
    file = written("batch_size = 8\nminutes = 5\n\n[model]\nn_layers = 2\npeepholes = true")
    preset, both = chosen(preset="lstm-small").config, chosen(preset="lstm-small", config=file).config
    assert (both.batch_size, both.minutes) == (8, 5.0) and isinstance(both.minutes, float)
    assert both.model.n_layers == 2 and both.model.options.peepholes
    assert (both.optimizer, both.model.n_units, both.model.linear_skip) == ("adam", 200, 2)  # still the preset's
    model = dataclasses.replace(preset.model, n_layers=2, options=both.model.options)
    assert both == dataclasses.replace(preset, batch_size=8, minutes=5.0, model=model)


def test_a_cell_that_is_named_wins_over_the_file(written):
    assert chosen(config=written("[model]\nn_units = 24"), cell="gru").config.model == ModelConfig("gru", n_units=24)
    file = written(as_toml(to_dict(FramesConfig(model=ModelConfig(n_units=24)))))
    assert chosen(config=file, cell="gru").config.model == ModelConfig("gru", n_units=24)
    with pytest.raises(RnnaudioError, match="peepholes is an option of the lstm only, not of the gru: leave it out"):
        chosen(config=written("[model.options]\npeepholes = true"), cell="gru")
    assert (
        chosen("samples", cell="lstm").config == SamplesConfig()
    )  # which has no model of its own: tyro reads its cell


@pytest.mark.parametrize(
    "settings", ["peepholes = true\nforget_bias = 2", "options = {peepholes = true, forget_bias = 2}"]
)
def test_options_of_a_cell_stand_in_a_table_or_beside_it(written, settings):
    expected = ModelConfig.of(peepholes=True, forget_bias=2.0)
    assert chosen(config=written(f"[model]\n{settings}")).config.model == expected


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_sise = 3", "unknown setting 'batch_sise' of FramesConfig; did you mean 'batch_size'?"),
        ("[model]\nn_unit = 3", "unknown setting 'n_unit' of ModelConfig; did you mean 'n_units'?"),
        ("[model.options]\npeephole = true", "unknown setting 'peephole' of LSTMOptions; did you mean 'peepholes'?"),
        ('[model]\ncell = "gru"\noptions = {size = 3}', "unknown setting 'size' of CellOptions; there are none"),
        ("n_units = 300", "unknown setting 'n_units' of FramesConfig"),
        ('batch_size = "64"', "batch_size is '64'; expected a whole number"),
        ("batch_size = 64.5", "batch_size is 64.5; expected a whole number"),
        ("batch_size = true", "batch_size is True; expected a whole number"),
        ('minutes = "long"', "minutes is 'long'; expected a number"),
        ("minutes = false", "minutes is False; expected a number"),
        ("generation_noise = 1", "generation_noise is 1; expected true or false"),
        ("validate_every = 0.5", "validate_every is 0.5; expected a whole number or none"),
        ("max_gradient_norm = true", "max_gradient_norm is True; expected a number or none"),
        ('optimizer = "adan"', "optimizer is 'adan'; expected one of rmsprop, adam, momentum, sgd, rmsprop_2016"),
        ("batches = 3", "batches is 3; expected a text"),
        ('[model]\nunits = [7, "x"]', "units[1] is 'x'; expected a whole number"),
        ("[model]\nunits = 7", "units is 7; expected a list, each a whole number"),
        ("[model]\ncell = 3", "cell is 3; expected a text"),
        ("[model]\noptions = 3", "options is 3; expected a table of settings of CellOptions"),
        ("model = 3", "model is 3; expected a table of settings of ModelConfig"),
        ('batches = "shift"', "unknown batcher 'shift'; did you mean 'shifted'?"),
        ('[model]\ncell = "lstmm"', "unknown cell 'lstmm'; did you mean 'lstm'?"),
        ('recipe = "code"', "unknown recipe 'code'; did you mean 'codes'?"),
        ("recipe = 3", "unknown recipe 3; known are frames, codes, samples"),
        ("batch_size = 0", "batch_size is 0; expected more than 0"),
        ("batch_size = " + "[" * 100_000, "mine.toml is not a TOML file ("),
        ("batch_size = " + "9" * 100_000, "mine.toml is not a TOML file ("),
        ("batch_size = " + "9" * 4000, "batch_size is a number of many digits; expected a whole number"),
        ("learning_rate = inf", "learning_rate is inf; expected more than 0, and finite"),
        ("learning_rate = nan", "learning_rate is nan; expected a number"),
        ("#" * 1_000_001, "mine.toml has more than 1000000 bytes; expected a TOML file of settings"),
        ("batch_size =", "mine.toml is not a TOML file (Invalid value (at end of document)); correct it"),
    ],
)
def test_a_mistake_in_a_file_is_named(written, command, text, message):
    file = written(text)
    with pytest.raises(RnnaudioError) as error:
        chosen(config=file)
    assert message in str(error.value)
    status, _, err = command("train", "corpus.h5", "run", "--config", file)
    assert status == 2 and message in err and len(err.splitlines()) == 1


def test_a_table_is_expected_where_a_cell_is_named_too(written):
    with pytest.raises(RnnaudioError, match="model is 3; expected a table of settings of ModelConfig"):
        chosen(config=written("model = 3"), cell="gru")


def test_a_file_that_cannot_be_read(tmp_path, written):
    with pytest.raises(RnnaudioError, match="cannot read .*none.toml: No such file or directory; name a TOML file"):
        chosen(config=tmp_path / "none.toml")
    with pytest.raises(RnnaudioError, match="cannot read .*: Is a directory"):
        chosen(config=tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\x00")
    with pytest.raises(RnnaudioError, match="binary.toml is not a TOML file"):
        chosen(config=tmp_path / "binary.toml")


def test_another_recipe_is_refused(written):
    codes = written('recipe = "codes"')
    with pytest.raises(RnnaudioError, match="are of the recipe 'codes', but --recipe is 'samples': leave out one"):
        chosen("samples", config=codes)
    with pytest.raises(RnnaudioError, match="are of the recipe 'frames', but --recipe is 'codes': leave out one"):
        chosen("codes", preset="lstm")
    with pytest.raises(RnnaudioError, match="mine.toml is of the recipe 'codes', the preset of 'frames'"):
        chosen(preset="lstm", config=codes)
    assert chosen("codes", preset="music", config=codes).recipe == "codes"
    with pytest.raises(RnnaudioError, match="unknown recipe 'frame'; did you mean 'frames'"):
        chosen("frame")


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(RnnaudioError, match="unknown preset 'gru-2015'; did you mean 'gru-2016'?"):
        chosen(preset="gru-2015")
    known = "unknown preset '../x'; known are gru-2016, lstm, lstm-small, music, samplernn"
    with pytest.raises(RnnaudioError, match=known):
        chosen(preset="../x")


# ---------------------------------------------------------------- the resolved settings of a run


@pytest.mark.parametrize(
    ("recipe", "config"),
    [
        ("frames", FramesConfig()),
        (
            "frames",
            FramesConfig(
                target_shift=0, max_gradient_norm=None, validate_every=3, schedule="cosine", max_updates=7,
                model=ModelConfig(
                    "memory-lstm", MemoryLSTMOptions(0.005, True, 0.0), n_layers=2, shared_depth=False,
                    readout="none",
                ),
            ),
        ),
        ("frames", FramesConfig(model=ModelConfig("gru", n_layers=2, units=(7, 5), readout="tanh"))),
        ("codes", fitted(CodesConfig(transpose=(), dropout=0.0), 60.0, 16_000)),
        ("samples", SamplesConfig(frames=(64,), n_steps=64, n_valid=64, preflight=True)),
    ],
)  # fmt: skip
def test_resolved_settings_are_read_back(written, recipe, config):
    """As a run writes them into its folder as config.toml; a text "none" and a None are told apart by their types."""
    file = written(as_toml({"recipe": recipe, **to_dict(config)}))
    assert chosen(config=file) == (recipe, config)
    assert type(read_toml(file)["seed"]) is int


# ---------------------------------------------------------------- presets


def names_in(config):
    return [defect.name for defect in present_in(config)]


def test_every_preset_says_what_it_is_and_names_its_recipe():
    assert presets.names() == ["gru-2016", "lstm", "lstm-small", "music", "samplernn"]
    for name in presets.names():
        text = presets.path_of(name).read_text(encoding="utf-8")
        recipe, config = chosen(preset=name)
        assert text.startswith("# ") and f'\nrecipe = "{recipe}"\n' in text
        assert isinstance(config, recipe_named(recipe).Config)


def test_lstm_small_is_small():
    """'One LSTM layer beside a linear predictor, two minutes.'"""
    config = FramesConfig(
        batch_size=32, optimizer="adam", learning_rate=1e-3, minutes=2.0, validate_every=20, patience=15,
        model=ModelConfig(n_units=200, linear_skip=2),
    )  # fmt: skip
    assert chosen(preset="lstm-small") == ("frames", config)


def test_gru_2016_is_as_it_was():
    """'The "last week" of the blog as it was: three GRU layers without a read-out, their top state being the
    prediction.' The settings of the experiment of that name, but for its limits."""
    config = FramesConfig(
        cost="last_step", scaling="min_max_2016", frame_size=400, n_steps=40, batch_size=16,
        optimizer="rmsprop_2016", max_gradient_norm=None, validation="same_pieces", judged_by="train",
        noise_in_evaluation=True, saved_history="until_best", generation="two_functions_2016",
        model=ModelConfig(
            "gru", n_units=400, n_layers=3, learn_initial_state=True, input_noise=0.01, weights="iso_2016",
            readout="none",
        ),
    )  # fmt: skip
    assert chosen(preset="gru-2016") == ("frames", config)
    assert names_in(config) == [
        "unscaled-rmsprop", "last-step-cost", "noiseless-feedback", "judged-by-training-cost", "two-functions",
        "no-end-layer", "min-max-scaling", "no-clipping", "always-reset", "same-piece-validation", "history-cut",
        "noise-in-evaluation", "no-toy-problem",
    ]  # fmt: skip


def test_lstm_has_no_defect():
    """'Two LSTM layers beside a linear predictor, half an hour: a regressor over frames that no defect of 2016 holds
    back.' Toy problems are left to `rnnaudio preflight`: they would come before each run."""
    config = FramesConfig(
        minutes=30.0, optimizer="adam", batches="consecutive", generation_noise=True,
        model=ModelConfig("lstm", n_layers=2, linear_skip=2),
    )  # fmt: skip
    assert chosen(preset="lstm") == ("frames", config)
    assert names_in(config) == ["no-toy-problem"]


def test_music_follows_from_the_length_of_the_corpus():
    """'Codes of spectra: music that plays on for minutes. Sizes follow from the length of the corpus.'"""
    recipe, config = chosen(preset="music")
    assert (recipe, config) == ("codes", CodesConfig())
    assert {getattr(config, name) for name in ("n_codes", "n_units", "n_components", "max_updates", "n_stages")} == {0}
    short, long = (fitted(config, seconds, 16_000) for seconds in (60.0, 3600.0))
    assert short.n_codes < long.n_codes and short.n_units < long.n_units and short.n_stages < long.n_stages


def test_samplernn_has_three_tiers_and_an_hour():
    """'A model in three tiers that samples one sample at a time, an hour.'"""
    recipe, config = chosen(preset="samplernn")
    assert (recipe, config) == ("samples", SamplesConfig(minutes=60.0, max_updates=12_800))
    assert len(config.frames) + 1 == 3
