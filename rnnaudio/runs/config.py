"""Settings of runs: frozen dataclasses made from JSON or TOML, with every key and value checked."""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import tomli_w

from rnnaudio.errors import RnnaudioError
from rnnaudio.schema import NONE, Plain, Settings
from rnnaudio.schema import from_dict as from_dict

MOST_TOML_BYTES = 1_000_000
WITHOUT_LIMIT = ("minutes", "max_gradient_norm")  # infinity means that there is no limit


class RunConfig(Settings, Protocol):
    """Protocol of the settings that every recipe has.

    ``seed``: seed of all random numbers. ``learning_rate``: the learning rate; the highest one if it varies.
    ``minutes``, ``max_updates``: limits on the training time, in minutes, and on the number of updates.
    ``checkpoint_minutes``: training time between checkpoints, in minutes. ``preflight``: True to try toy problems
    before training.
    """

    @property
    def seed(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...

    @property
    def minutes(self) -> float: ...

    @property
    def max_updates(self) -> int: ...

    @property
    def checkpoint_minutes(self) -> float: ...

    @property
    def preflight(self) -> bool: ...


def to_dict(config: Settings) -> dict[str, Plain]:
    """Convert a config to a nested dictionary of plain values by name; :func:`from_dict` is the inverse."""
    return dataclasses.asdict(config)


def read_toml(path: Path) -> dict[str, Plain]:
    """Read a TOML file into nested dictionaries; RnnaudioError if it cannot be read, is not TOML, or exceeds 1 MB."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_TOML_BYTES + 1)  # a device may have no end
    except OSError as error:
        raise RnnaudioError(f"cannot read {path}: {error.strerror}; name a TOML file") from error
    if len(content) > MOST_TOML_BYTES:
        raise RnnaudioError(f"{path} has more than {MOST_TOML_BYTES} bytes; expected a TOML file of settings")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, numbers of too many digits
        raise RnnaudioError(f"{path} is not a TOML file ({error}); correct it") from error


def as_toml(values: Mapping[str, Plain]) -> str:
    """Format plain values as TOML text; None becomes the string ``"none"``, since TOML has no null."""

    def plain(value: Plain) -> Plain:
        if isinstance(value, Mapping):
            return {key: plain(member) for key, member in value.items()}
        return NONE if value is None else value

    return tomli_w.dumps(plain(values))


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a nested mapping: ``{"model": {"cell": "lstm"}}`` becomes ``{"model.cell": "lstm"}``."""
    rows: dict[str, Any] = {}
    for key, value in nested.items():
        rows |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return rows


def shown(value: Any, digits: int = 6) -> str:
    """Format the value of a setting as users type it: lists with commas, floats with ``digits`` significant digits."""
    if isinstance(value, list | tuple):
        return ",".join(shown(one, digits) for one in value)
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def require_more_than_zero(config: Settings, *names: str) -> None:
    """Check that each of the settings ``names`` is None, or more than 0 and finite; RnnaudioError if one is not.

    ``minutes`` and ``max_gradient_norm`` may also be infinite, which means no limit.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and not (value > 0 and (name in WITHOUT_LIMIT or value < math.inf)):
            raise RnnaudioError(f"{name} is {value}; expected more than 0{_finite(value)}")


def require_zero_or_more(config: Settings, *names: str) -> None:
    """Check that each of the settings ``names`` is 0 or more, and finite; RnnaudioError for the first that is not."""
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < math.inf:
            raise RnnaudioError(f"{name} is {value}; expected 0 or more{_finite(value)}")


MOST_HALVINGS = 100  # of the learning rate, beyond which nothing of it is left


def require_at_most(config: Settings, most: int, *names: str) -> None:
    """Check that none of the settings ``names`` exceeds ``most``; RnnaudioError for the first that does."""
    for name in names:
        if getattr(config, name) > most:
            raise RnnaudioError(f"{name} is {getattr(config, name)}; expected {most} at most")


def _finite(value: float) -> str:
    return ", and finite" if value == math.inf else ""
