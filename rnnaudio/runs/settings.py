"""Choice of a recipe and its settings, from the names of a recipe, a preset and a cell, and from a settings file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import from_dict, read_toml
from rnnaudio.runs.presets import path_of
from rnnaudio.runs.recipes import RECIPES, config_class

DEFAULT_RECIPE = "frames"


class Chosen(NamedTuple):
    """The name of a recipe, and a config of the recipe's class."""

    recipe: str
    config: Any


def chosen(
    recipe: str | None = None,
    preset: str | None = None,
    config: Path | None = None,
    cell: str | None = None,
    start: Mapping[str, Any] | None = None,
) -> Chosen:
    """Choose a recipe and make its config from several sources of settings; None leaves a source out.

    recipe
        name of the recipe; None: the one that ``start``, the preset or the file names, or else ``frames``.
    start
        settings of the run from which a training starts, with its recipe's name under ``recipe``. The options of its
        cell are left out if ``cell`` is another one.
    preset
        name of a preset, whose settings override those of ``start``.
    config
        path of a TOML file, whose settings override those of the preset.
    cell
        name of a cell, which overrides all other sources; recipes without a choice of cells ignore it.

    Settings that no source has get their defaults. RnnaudioError for unknown names and keys, for values that do not
    fit, and if two sources name different recipes.
    """
    values = _without_options_of_another_cell(start or {}, cell)
    files = {path: read_toml(path) for path in [*([path_of(preset)] if preset else []), *([config] if config else [])]}
    if start:
        _check_start(
            start["recipe"], {"--recipe": recipe, **{str(path): t.get("recipe") for path, t in files.items()}}
        )
    for path, table in files.items():
        values = over(values, table, path)
    named = values.pop("recipe", None)
    if recipe and named and recipe != named:
        raise RnnaudioError(f"the settings are of the recipe {named!r}, but --recipe is {recipe!r}: leave out one")
    name = recipe or named or DEFAULT_RECIPE
    RECIPES.check(name)
    kind = config_class(name)
    model = values.get("model", {})
    if cell and "model" in kind.__dataclass_fields__ and isinstance(model, Mapping):
        values["model"] = {**model, "cell": cell}
    return Chosen(name, from_dict(kind, values))


def _without_options_of_another_cell(settings: Mapping[str, Any], cell: str | None) -> dict[str, Any]:
    """Copy settings, without the options of their cell if ``cell`` names another cell; None: copy all settings."""
    model = settings.get("model")
    if cell is None or not isinstance(model, Mapping) or model.get("cell") == cell:
        return dict(settings)
    return {**settings, "model": {name: value for name, value in model.items() if name != "options"}}


def _check_start(recipe: str, named: Mapping[str, Any]) -> None:
    """Raise RnnaudioError if a source of settings names another recipe than ``recipe``, that of the run to start from.

    named: the recipes by source, such as ``--recipe`` or the path of a file; None: the source names no recipe.
    """
    for source, other in named.items():
        if other not in (None, recipe):
            raise RnnaudioError(
                f"--from is a run over {recipe}, whose parameters mean nothing to another recipe, but {source} names "
                f"{other!r}: leave one of the two out"
            )


def over(below: Mapping[str, Any], above: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Merge two nested tables of settings, ``above`` (read from ``path``) overriding ``below``; returns a new table.

    RnnaudioError if they name different recipes.
    """
    recipe = above.get("recipe")
    if not isinstance(recipe, str | None):
        raise RnnaudioError(f"{path}: unknown recipe {recipe!r}; known are {', '.join(RECIPES)}")
    if below and recipe not in (None, below.get("recipe")):
        raise RnnaudioError(f"{path} is of the recipe {recipe!r}, the preset of {below.get('recipe')!r}")
    return _merged(below, above)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for key, value in above.items():
        within = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = _merged(both[key], value) if within else value
    return both
