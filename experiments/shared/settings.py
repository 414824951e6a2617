"""Experiments that consist of settings only: each is a flat TOML file, read into configs and claims.

The keys at the top of a file are fields of :class:`rnnaudio.runs.frames.config.FramesConfig`, those of ``[model]``
fields of its ModelConfig. An absent field has its default, and ``"none"`` is None if the field may be None. A table
``[variants.NAME]`` holds the fields in which a variant differs from the top of the file, or from the variant named by
its ``base``. ``[[claims]]`` are the sentences of the blog that the variants test; their ``here`` is a format string
that is filled in with the variants' figures.
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
    """A sentence of the blog, the figure it gave in 2016, a format string for ours, and why the two differ."""

    blog: str
    figure_2016: str
    here: str
    why: str

    def row(self, figures: Mapping[str, Figures]) -> dict[str, str]:
        """The claim as a row of a record.

        figures
            the figures of each variant, by name. ``here`` may also use two derived figures: ``first_causes``, the
            first three causes of the diagnosis, and ``ending``, a short form of how the free run ended.
        """
        ours = self.here.format_map({name: {**_in_short(row), **row} for name, row in figures.items()})
        return {"says": self.blog, "2016": self.figure_2016, "ours": ours, "why": self.why}


class Settings(NamedTuple):
    """Contents of a settings file; a file without variants gives a single one, named after the file."""

    variants: dict[str, FramesConfig]
    claims: list[Claim]


def load(path: Path) -> Settings:
    """Read a settings file; RnnaudioError, with the path of the file, for an unknown field, variant or value."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    changes = content.pop("variants", {path.stem: {}})
    try:
        claims = [Claim(**claim) for claim in content.pop("claims", [])]
        return Settings({name: _config(_merged(name, changes, content)) for name in changes}, claims)
    except (RnnaudioError, TypeError) as error:  # TypeError: an unknown field of a claim
        raise RnnaudioError(f"{path}: {error}") from error


def _merged(name: str, changes: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a variant: those of its base, or else the common ones, updated with its own."""
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
    """Replace "none" by None, as TOML has no null, in fields that may be None; in ``readout``, say, it is a value."""
    hints = get_type_hints(kind)
    return {k: None if v == "none" and type(None) in get_args(hints.get(k)) else v for k, v in fields.items()}


def _in_short(figures: Figures) -> Figures:
    return {
        "first_causes": ", ".join(figures.get("diagnosis", [])[:3]),
        "ending": (figures.get("death") or "").split(" (")[0],
    }
