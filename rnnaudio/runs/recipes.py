"""Registry of recipes: one line each, as text, because they take seconds to import."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import Registry, resolve


class Entry(NamedTuple):
    """A recipe and the class of its settings, or where to import them from; key: of the settings in a record."""

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
    """The recipe of that name; RnnaudioError names the nearest known one."""
    return resolve(RECIPES[name].recipe)


def config_class(name: str) -> Any:
    """The class of the settings of that recipe."""
    return resolve(RECIPES[name].Config)


def recipe_in(settings: Mapping[str, Any], path: Path) -> Any:
    """The recipe whose key these settings of a record have; RnnaudioError if there is none."""
    for _, entry in RECIPES.items():
        if entry.key in settings:
            return resolve(entry.recipe)
    raise RnnaudioError(f"{path} holds no run that this version knows; name a run of `rnnaudio train`")
