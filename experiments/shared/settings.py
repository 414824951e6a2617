"""Experiments that consist of settings alone: a flat TOML file each, read into configs and claims.

The keys at the top of a file are fields of :class:`rnnaudio.runs.frames.config.FramesConfig`, those of ``[model]``
fields of its ModelConfig. A field that is absent has its default, and ``"none"`` is None where a field may be None. A
table ``[variants.NAME]`` holds the fields that a variant changes, starting from those at the top or from the variant
that its ``base`` names. ``[[claims]]`` are the sentences of the blog that the variants test; ``here`` is a format
string over their figures.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig

Figures = dict[str, Any]


class Claim(NamedTuple):
    """A sentence of the blog, its figure of 2016, ours as a format string, and why they differ."""

    blog: str
    figure_2016: str
    here: str
    why: str

    def row(self, figures: Mapping[str, Figures]) -> dict[str, str]:
        """The claim as records keep it.

        figures
            those of each variant, by name. ``here`` may also name two that follow from them: ``first_causes``, the
            first three of the diagnosis, and ``ending``, how the free run ended, in short.
        """
        ours = self.here.format_map({name: {**_in_short(row), **row} for name, row in figures.items()})
        return {"says": self.blog, "2016": self.figure_2016, "ours": ours, "why": self.why}


class Settings(NamedTuple):
    """A settings file; without variants there is one, whose name is that of the file."""

    variants: dict[str, FramesConfig]
    claims: list[Claim]


def load(path: Path) -> Settings:
    """Read a settings file; RnnaudioError that names it for an unknown field, variant or value."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    changes = content.pop("variants", {path.stem: {}})
    claims = [Claim(**claim) for claim in content.pop("claims", [])]
    try:
        return Settings({name: _config(_merged(name, changes, content)) for name in changes}, claims)
    except RnnaudioError as error:
        raise RnnaudioError(f"{path}: {error}") from error


def _merged(name: str, changes: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a variant: those of its base, or the common ones, with its own in their place."""
    if name not in changes:
        raise RnnaudioError(f"a base is {name!r}; expected one of the variants {', '.join(changes)}")
    own = dict(changes[name])
    below = _merged(own.pop("base"), changes, common) if "base" in own else common
    model = {**below.get("model", {}), **own.get("model", {})}
    return {**below, **own, "model": model}


def _config(fields: dict[str, Any]) -> FramesConfig:
    model = _with_none(ModelConfig, fields["model"])
    config: FramesConfig = from_dict(FramesConfig, {**_with_none(FramesConfig, fields), "model": model})
    return config


def _with_none(kind: type[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: "none" is None, but where it is one of a field's own words (``readout``)."""
    hints = get_type_hints(kind)
    return {k: None if v == "none" and type(None) in get_args(hints.get(k)) else v for k, v in fields.items()}


def _in_short(figures: Figures) -> Figures:
    return {
        "first_causes": ", ".join(figures.get("diagnosis", [])[:3]),
        "ending": (figures.get("death") or "").split(" (")[0],
    }
