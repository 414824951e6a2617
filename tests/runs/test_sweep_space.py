"""The space of a sweep: what a file says is what is searched, and what is wrong in it is named before all else."""

import itertools

import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs import presets
from rnnaudio.runs.config import read_toml
from rnnaudio.runs.frames.cells import LSTMOptions
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.sweep.objectives import OBJECTIVES, objective_of
from rnnaudio.runs.sweep.ranges import Choices, Floats, Integers
from rnnaudio.runs.sweep.space import Space, SweepConfig, read_space
from tests.support.processes import ROOT

GOOD = """
recipe = "frames"
frame_size = 40
n_steps = 5

[model]
cell = "lstm"

[search]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
batch_size = { low = 2, high = 8, step = 2 }
optimizer = ["adam", "rmsprop"]
max_gradient_norm = [1.0, "none"]
burn_in = { low = 0, high = 4 }
model.n_units = { low = 4, high = 12 }

[sweep]
n_trials = 7
"""


@pytest.fixture
def space(tmp_path):
    """``space(old, new, ...)``: the space of GOOD, with texts replaced."""

    def read(*replaced):
        text = GOOD
        for old, new in zip(replaced[::2], replaced[1::2], strict=True):
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "space.toml").write_text(text)
        return read_space(tmp_path / "space.toml")

    return read


def refused(space, *replaced):
    with pytest.raises(RnnaudioError) as error:
        space(*replaced)
    assert str(error.value).count("space.toml") == 1
    return str(error.value).partition("space.toml")[2].removeprefix(": ")


class Recording:
    """A trial that takes the high end of numbers and the last choice, and writes down what it was asked."""

    def __init__(self):
        self.asked = {}

    def suggest_float(self, name, low, high, *, step, log):
        self.asked[name] = (low, high, step, log)
        return high

    suggest_int = suggest_float

    def suggest_categorical(self, name, choices):
        self.asked[name] = tuple(choices)
        return choices[-1]


def test_what_is_searched_and_what_is_fixed(space):
    one = space()
    assert (one.recipe, one.n_trials, one.sweep.objective) == ("frames", 7, "validation")
    assert one.fixed == {"frame_size": 40, "n_steps": 5, "model": {"cell": "lstm"}}
    assert one.ranges["learning_rate"] == Floats(1e-4, 1e-1, None, log=True)
    assert one.ranges["batch_size"] == Integers(2, 8, 2)
    assert one.ranges["optimizer"] == Choices(("adam", "rmsprop"))
    trial = Recording()
    values = {name: each.suggest(trial, name) for name, each in one.ranges.items()}
    assert trial.asked == {
        "learning_rate": (1e-4, 1e-1, None, True), "batch_size": (2, 8, 2, False), "optimizer": ("adam", "rmsprop"),
        "max_gradient_norm": (1.0, "none"), "burn_in": (0, 4, 1, False), "model.n_units": (4, 12, 1, False),
    }  # fmt: skip
    config = one.config(values)
    assert isinstance(config, FramesConfig) and config.model.n_units == 12 and config.model.cell == "lstm"
    assert (config.frame_size, config.batch_size, config.learning_rate) == (40, 8, 0.1)
    assert config.max_gradient_norm is None and one.fixed["model"] == {"cell": "lstm"}


def test_lists_are_searched_as_texts_and_become_lists_again(space):
    changed = ("n_units = { low = 4, high = 12 }", "units = [[4, 3], [5, 6]]", 'cell = "lstm"', "n_layers = 2")
    one, trial = space(*changed), Recording()
    assert one.ranges["model.units"].suggest(trial, "model.units") == [5, 6]
    assert trial.asked == {"model.units": ("[4, 3]", "[5, 6]")}
    assert one.config({"model.units": [5, 6]}).model.units == (5, 6)


@pytest.mark.parametrize("name", ["model.options.peepholes", "model.peepholes"])
def test_options_of_a_cell(space, name):
    one = space("[search]", f"[search]\n{name} = [false, true]")
    assert one.config({name: True}).model.options == LSTMOptions(peepholes=True)


def test_ranges_override_a_preset_and_other_settings_of_it_stay(space):
    preset = read_toml(presets.path_of("lstm-small"))
    one = space("frame_size", 'preset = "lstm-small"\nframe_size')
    values = dict.fromkeys(one.ranges, 5) | {"model.n_units": 9, "optimizer": "adam", "burn_in": 0}
    config = one.config(values)
    assert preset["model"]["n_units"] != 9 and config.model.n_units == 9
    assert config.model.linear_skip == preset["model"]["linear_skip"] and config.minutes == preset["minutes"]


def test_a_grid_has_every_point_once(space):
    steps = (
        "log = true", "step = 0.0333", "n_trials = 7", 'sampler = "grid"', "burn_in = { low = 0, high = 4 }\n", ""
    )  # fmt: skip
    one = space(*steps)
    points = [one.point(k) for k in range(one.n_trials)]
    assert one.n_trials == one.n_points == 4 * 4 * 2 * 2 * 9
    expected = itertools.product(
        [0.0001, 0.0334, 0.0667, 0.1], [2, 4, 6, 8], ["adam", "rmsprop"], [1.0, "none"], range(4, 13)
    )
    assert sorted(map(str, (tuple(point.values()) for point in points))) == sorted(map(str, expected))


def test_the_number_of_trials(space):
    assert space("n_trials = 7", "").n_trials == 20
    for none in (-1, 0):
        assert f"n_trials is {none}; expected 1 to 10000" in refused(space, "n_trials = 7", f"n_trials = {none}")
    few = ("log = true", "step = 0.0999", 'n_trials = 7', 'sampler = "grid"\nn_trials = 9000')
    assert refused(space, *few).startswith("n_trials is 9000, but the grid has 1440 points; lower it")
    many = ("high = 12", "high = 12000", "log = true", "step = 0.0999", 'n_trials = 7', 'sampler = "grid"')
    assert "points; set n_trials, 10000 at most" in refused(space, *many)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("learning_rate", "learning_rat", "unknown setting 'learning_rat' of FramesConfig; did you mean 'le"),
        ("frame_size", "frame_siz", "unknown setting 'frame_siz' of FramesConfig; did you mean 'frame_size'?"),
        ("[search]", "[serach]", "unknown setting 'serach'; did you mean 'search'?"),
        ("n_trials", "n_trial", "unknown setting 'n_trial' of SweepConfig; did you mean 'n_trials'?"),
        ("n_units", "n_unit", "unknown setting 'n_unit' of ModelConfig; did you mean 'n_units'?"),
        ('"frames"', '"frame"', "unknown recipe 'frame'; did you mean 'frames'?"),
        ('"frames"', '"frames"\npreset = "lst"', "unknown preset 'lst'; did you mean 'lstm'?"),
        ('"frames"', '"frames"\npreset = 3', "preset is 3; expected the name of a preset"),
        ("log = true", "lg = true", "search.learning_rate has a 'lg'; did you mean 'log'?"),
        ("log = true", "log = 1", "search.learning_rate.log is 1; expected true or false"),
        ("log = true", "log = true, step = 0.1", "search.learning_rate has a step and log = true; leave o"),
        ("low = 1e-4", "low = 0.1", "search.learning_rate is empty: from 0.1 to 0.1; expected a low end below"),
        ("low = 1e-4, ", "", "search.learning_rate is {'high': 0.1, 'log': True}; expected a range, { low = 1, high"),
        ("high = 1e-1", "high = nan", "search.learning_rate.high is nan; expected a number, not infinite"),
        ("high = 1e-1", 'high = "x"', "search.learning_rate.high is 'x'; expected a number"),
        ("low = 0, high = 4 }", "low = 0, high = 4, log = true }", "search.burn_in.low is 0; expected more than 0,"),
        ("low = 0, high = 4 }", "low = 0, high = 5 }", "a burn_in of 5 of 5 steps leaves no cost: lower it"),
        ("low = 2, high = 8, step = 2", "low = 0, high = 8", "batch_size is 0; expected more than 0"),
        ("low = 2, high = 8", "low = 2.5, high = 8", "batch_size is 2.5; expected a whole number"),
        ("step = 2", "step = 1.5", "search.batch_size.step is 1.5; expected a whole number"),
        ("step = 2", "step = -2", "search.batch_size.step is -2; expected more than 0"),
        ("step = 2", "step = 4", "search.batch_size.high is 8, which no whole number of steps of 4 reaches from 2;"),
        ('["adam", "rmsprop"]', "[]", "search.optimizer is []; expected a range, { low = 1, high = 8 }, or a list"),
        ('["adam", "rmsprop"]', '["adam", "adma"]', "search.optimizer is 'adma'; expected one of rmsprop, adam, mo"),
        ('["adam", "rmsprop"]', '["adam", "adam"]', "search.optimizer has 'adam' twice; expected different choices"),
        ('["adam", "rmsprop"]', '"adam"', "search.optimizer is 'adam'; expected a range, { low = 1, high = 8 }, or"),
        ("[search]", "[search]\nn_steps = [5, 6]", "n_steps is both fixed and in [search]; leave out one"),
        ("[search]", '[search]\n"burn_in.x" = [1]', "search.burn_in is both a range and a table of ranges"),
        ("[search]", "[search]\njudged_by = { low = 1, high = 2 }", "judged_by is 1; expected one of valid, train"),
        ("[search]", "[search]\npreflight = { low = false, high = true }", "search.preflight is {'low': False, 'high"),
        ("n_trials = 7", 'n_trials = "x"', "n_trials is 'x'; expected a whole number"),
        ("n_trials = 7", "seed = -1", "seed is -1; expected a whole number from 0"),
        ("n_trials = 7", "startup_trials = -1", "startup_trials is -1; expected 0 or more"),
        ("n_trials = 7", 'sampler = "nsga"', "sampler is 'nsga'; expected one of tpe, random, grid"),
        ("n_trials = 7", 'sampler = "grid"', "search.learning_rate has no step; the sampler grid needs one, or a l"),
        ("n_trials = 7", 'objective = "beauty"', "unknown objective 'beauty'; known are validation, seco"),
        ("n_trials = 7", 'objective = "bits"', "objective 'bits' is one of the recipe codes, not of frames; for"),
        ("n_trials = 7", 'objective = "seconds_alive"\npruner = "median"', "pruner 'median' compares"),
        ("n_trials = 7", 'pruner = "worst"', "pruner is 'worst'; expected one of median, successive_halving or none"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(space, old, new, words):
    assert refused(space, old, new).startswith(words)


def test_what_is_no_space(tmp_path):
    path = tmp_path / "space.toml"
    for content, words in {
        "n_steps = 5": "there is nothing to search; expected a table [search] of settings",
        "search = 3": "search is 3; expected a table, [search]",
        "sweep = []\nsearch.n_steps = [3]": "sweep is []; expected a table, [sweep]",
    }.items():
        path.write_text(content)
        with pytest.raises(RnnaudioError) as error:
            read_space(path)
        assert str(error.value).startswith(f"{path}: {words}")
    with pytest.raises(RnnaudioError, match="is not a TOML file"):
        path.write_text("[search")
        read_space(path)


def test_the_identity_is_all_but_the_number_of_trials_and_the_layout_of_the_file(space):
    before = space().identity()
    assert space("n_trials = 7", "n_trials = 8", "[search]", "# a comment\n[search]").identity() == before
    for old, new in (("1e-4", "1e-5"), ("= 40", "= 41"), ("n_trials", "seed = 1\nn_trials"), ('"adam", ', "")):
        assert space(old, new).identity() != before


def test_objectives_of_recipes():
    assert [OBJECTIVES[name].direction for name in OBJECTIVES] == ["minimize", "maximize", "minimize"]
    summary = {"best_validation_loss": 0.5, "alive_seconds": 3, "valid_bits_a_frame": float("nan")}
    assert [OBJECTIVES[name].value_in(summary) for name in OBJECTIVES] == [0.5, 3.0, None]
    assert objective_of("bits", "codes").value_in({}) is None


def test_the_grid_of_the_last_week_is_a_space():
    """Its ends are those of the blog: layers, units, inputs, sequences."""
    one = read_space(ROOT / "docs/how-to/spaces/last-week.toml")
    assert isinstance(one, Space) and one.sweep == SweepConfig(objective="seconds_alive", n_trials=60)
    ends = {name: (one.ranges[name].ends[0], one.ranges[name].ends[-1]) for name in one.ranges}
    assert ends.pop("learning_rate") == (1e-4, 1e-2)
    assert ends == {
        "frame_size": (200, 32000), "n_steps": (6, 60), "model.cell": ("gru", "lstm"), "model.n_layers": (1, 5),
        "model.n_units": (200, 2000),
    }  # fmt: skip


def test_without_its_extra_the_command_names_it(space, tmp_path, command, monkeypatch):
    space()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, out, err = command("sweep", tmp_path / "space.toml", tmp_path / "a.h5", tmp_path / "out")
    assert (status, out) == (2, "") and not (tmp_path / "out").exists()
    assert err == "rnnaudio: `sweep` needs Optuna, which is not installed: pip install 'rnnaudio[sweep]'\n"
