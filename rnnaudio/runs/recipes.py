"""Registry of recipes. It holds import paths instead of recipes, because importing the recipes takes seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import Registry, resolve


class Entry(NamedTuple):
    """A recipe and its config class, each as an object or as ``"module:name"``.

    key: the key of the settings in a run's record, see :class:`rnnaudio.runs.recipe.Recipe`.
    """

    key: str
    recipe: Any
    Config: Any


RECIPES: Registry[Entry] = Registry("recipe")
RECIPES.add("frames", Entry("train", "rnnaudio.runs.frames.recipe:FRAMES", "rnnaudio.runs.frames.config:FramesConfig"))
RECIPES.add("codes", Entry("music", "rnnaudio.runs.codes.recipe:CODES", "rnnaudio.runs.codes.config:CodesConfig"))
RECIPES.add(
    "samples",
    Entry("samples", "rnnaudio.runs.samples.recipe:SAMPLES", "rnnaudio.runs.samples.config:SamplesConfig"),
)


def recipe_named(name: str) -> Any:
    """Import and return the recipe called ``name``; RnnaudioError, with the nearest known name, if there is none."""
    return resolve(RECIPES[name].recipe)


def config_class(name: str) -> Any:
    """Import and return the config class of the recipe called ``name``; raises the errors of :func:`recipe_named`."""
    return resolve(RECIPES[name].Config)


def recipe_in(settings: Mapping[str, Any], path: Path) -> Any:
    """Import and return the recipe whose key is among the settings of a run's record.

    path: the file that holds the record, for the message. RnnaudioError if there is no key of a known recipe.
    """
    for _, entry in RECIPES.items():
        if entry.key in settings:
            return resolve(entry.recipe)
    raise RnnaudioError(f"{path} holds no run that this version knows; name a run of `rnnaudio train`")
