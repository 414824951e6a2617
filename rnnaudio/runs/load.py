"""Loading of trained runs of any recipe."""

from pathlib import Path
from typing import Any, TypeVar, overload

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.recipe import C, Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import SavedRun

# Errors in a recipe that a record may cause although it passed all checks: what it describes cannot be built.
UNBUILDABLE = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)

R = TypeVar("R", bound=LoadedRun)


@overload
def load(run_dir: Path) -> LoadedRun: ...


@overload
def load(run_dir: Path, kind: type[R]) -> R: ...


def load(run_dir: Path, kind: type[LoadedRun] = LoadedRun) -> LoadedRun:
    """Load the run in a folder, ready to continue sound.

    kind: the class that the result must have. RnnaudioError if the folder has no run, or the run is damaged or of
    another class.
    """
    saved = SavedRun.read(run_dir)
    recipe = recipe_in(saved.settings, saved.path)
    config = saved_config(recipe, saved)
    try:
        run = recipe.load(config, saved)
    except RnnaudioError as error:
        if str(saved.run_dir) in str(error):
            raise
        raise RnnaudioError(f"{saved.path} cannot be loaded: {error}; take another run") from error
    except UNBUILDABLE as error:
        raise RnnaudioError(f"{saved.path} is damaged: {type(error).__name__} {error}; take another run") from error
    if not isinstance(run, kind):
        raise RnnaudioError(f"{saved.path} is a run over {recipe.name}; expected a {kind.__name__}")
    return run


def saved_config(recipe: Recipe[C], saved: SavedRun) -> C:
    """Return the config of a saved run; RnnaudioError if the run is of another recipe or its settings are invalid."""
    if recipe.key not in saved.settings:
        raise RnnaudioError(f"{saved.path} holds no settings of a run over {recipe.key}; name another run")
    try:
        return recipe.saved_config(saved.settings[recipe.key])
    except (RnnaudioError, *UNBUILDABLE) as error:
        raise RnnaudioError(f"{saved.path} holds settings that cannot be used: {error}") from error


def saved_recipe(run_dir: Path) -> tuple[Recipe[Any], Any]:
    """Return the recipe and the config of the run in a folder, without building its model.

    RnnaudioError if there is no run, or if the run is damaged.
    """
    saved = SavedRun.read(run_dir)
    recipe = recipe_in(saved.settings, saved.path)
    return recipe, saved_config(recipe, saved)
