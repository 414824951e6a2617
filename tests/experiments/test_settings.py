"""Settings files: the configs that they make are those that Python code made before, and claims are as recorded."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from experiments.catalogue import RESULTS
from experiments.shared.settings import load
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.frames.config import FramesConfig

FOLDER = Path(__file__).parents[2] / "experiments" / "blog_2016"
CONFIGS = json.loads(Path(__file__).with_name("configs_2016.json").read_text())


def test_every_settings_file_is_compared():
    assert {path.stem for path in FOLDER.glob("*.toml")} == CONFIGS.keys()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configs_are_those_of_the_code_before(name):
    """In the same order, too: a tiny form takes the first and the last."""
    variants = {variant: dataclasses.asdict(c) for variant, c in load(FOLDER / f"{name}.toml").variants.items()}
    assert list(variants) == list(CONFIGS[name])
    before = {
        variant: dataclasses.asdict(from_dict(FramesConfig, values)) for variant, values in CONFIGS[name].items()
    }
    assert variants == before


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in ("predict", "reconstruct")])
def test_claims_read_the_recorded_figures_as_recorded(name):
    recorded = json.loads((RESULTS / f"{name}.json").read_text())
    assert [claim.row(recorded["variants"]) for claim in load(FOLDER / f"{name}.toml").claims] == recorded["claims"]


def test_none_is_a_word_where_the_field_has_it_and_no_value_elsewhere(tmp_path):
    (tmp_path / "a.toml").write_text('max_gradient_norm = "none"\n[model]\ncell = "gru"\nreadout = "none"\n')
    (config,) = load(tmp_path / "a.toml").variants.values()
    assert config.max_gradient_norm is None and config.model.readout == "none"


def test_a_variant_changes_what_its_base_has(tmp_path):
    (tmp_path / "a.toml").write_text(
        "n_steps = 5\n[model]\nn_units = 4\n[variants.one]\nmodel.n_layers = 2\n"
        '[variants.other]\nbase = "one"\nn_steps = 6\nmodel.n_units = 3\n'
    )
    one, other = load(tmp_path / "a.toml").variants.values()
    assert (one.n_steps, one.model.n_units, one.model.n_layers) == (5, 4, 2)
    assert (other.n_steps, other.model.n_units, other.model.n_layers) == (6, 3, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_step = 5\n", "a.toml: unknown setting 'n_step' of FramesConfig; did you mean 'n_steps'?"),
        ('[[claims]]\nfigure = "3"\n', "got an unexpected keyword argument 'figure'"),
        ("[model]\nunits_ = 5\n", "a.toml: unknown setting 'units_' of ModelConfig; did you mean 'units'?"),
        ("n_steps = -5\n", "a.toml: n_steps is -5; expected more than 0"),
        ('[variants.one]\nbase = "two"\n', "a.toml: a base is 'two'; expected one of the variants one"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(RnnaudioError, match=re.escape(message)):
        load(tmp_path / "a.toml")
