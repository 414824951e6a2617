"""Loading of trained runs of any recipe."""

from pathlib import Path
from typing import Any, TypeVar, overload

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.recipe import C, Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import SavedRun

LEAST_LIMIT = 1000  # sizes up to this always pass, as unused settings keep their defaults

R = TypeVar("R", bound=LoadedRun)


@overload
def load(run_dir: Path) -> LoadedRun: ...


@overload
def load(run_dir: Path, kind: type[R]) -> R: ...


def load(run_dir: Path, kind: type[LoadedRun] = LoadedRun) -> LoadedRun:
    """Load the run in a folder, ready to continue sound; kind: the class of runs that is expected.

    RnnaudioError if the folder has no run, or the run is damaged or of another class.
    """
    saved = SavedRun.read(run_dir)
    recipe = recipe_in(saved.settings, saved.path)
    config = saved_config(recipe, saved)
    _check_sizes(recipe, saved)
    try:
        run = recipe.load(config, saved)
    except (KeyError, TypeError, MemoryError) as error:
        raise RnnaudioError(f"{saved.path} is damaged: {type(error).__name__} {error}; take another run") from error
    if not isinstance(run, kind):
        raise RnnaudioError(f"{saved.path} is a run over {recipe.name}; expected a {kind.__name__}")
    return run


def _check_sizes(recipe: Recipe[C], saved: SavedRun) -> None:
    """Raise RnnaudioError if sizes in the settings exceed the stored arrays, as such a model could exhaust memory."""
    shapes = [array.shape for array in saved.checkpoint.arrays.values()]
    most = max((side for shape in shapes for side in shape), default=0)
    limits = {"n_units": most, "head_units": most, "readout_units": most, "n_layers": len(shapes)}
    settings = saved.settings[recipe.key]
    for table in (settings, settings.get("model") or {}):
        for name, limit in limits.items():
            size = table.get(name, 0) if isinstance(table, dict) else 0
            if isinstance(size, int) and size > max(limit, LEAST_LIMIT):
                raise RnnaudioError(f"{saved.path} is damaged: {name} is more than its arrays have; take another run")


def saved_config(recipe: Recipe[C], saved: SavedRun) -> C:
    """The config of a saved run; RnnaudioError if the run has another recipe."""
    try:
        return recipe.saved_config(saved.settings[recipe.key])
    except (KeyError, TypeError) as error:
        raise RnnaudioError(f"{saved.path} holds no settings of a run over {recipe.key} ({error})") from error


def saved_recipe(run_dir: Path) -> tuple[Recipe[Any], Any]:
    """Read the run in a folder without building its model; returns its recipe and its config."""
    saved = SavedRun.read(run_dir)
    recipe = recipe_in(saved.settings, saved.path)
    return recipe, saved_config(recipe, saved)
