"""Settings of runs: frozen dataclasses made from JSON or TOML, with every key and value checked."""

import dataclasses
import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import nearest

Plain = Any  # what JSON and TOML hold: numbers, strings, booleans, None, lists and dictionaries of these
MOST_SHOWN = 80  # characters of a wrong value that an error message quotes
NONE = "none"  # TOML has no null
WORDS: dict[object, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "none",
}  # fmt: skip


class Settings(Protocol):
    """A dataclass of settings."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


class RunConfig(Settings, Protocol):
    """The settings that every recipe has."""

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


Config = TypeVar("Config", bound=Settings)


def from_dict(kind: type[Config], values: Mapping[str, Plain]) -> Config:
    """Make a config of class ``kind`` from plain values; missing keys get their defaults.

    A config class may define ``upgraded(values)``, which converts values of earlier versions to the current form.
    RnnaudioError for an unknown key (it suggests the nearest known one) or a value of a wrong type.
    """
    if not isinstance(values, Mapping):
        raise RnnaudioError(f"the settings of {kind.__name__} are {shown(values)}; expected names and values")
    upgraded: Callable[[Mapping[str, Plain]], Mapping[str, Plain]] | None = getattr(kind, "upgraded", None)
    values = upgraded(values) if upgraded else values
    types = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    for key in values:
        if key not in names:
            raise RnnaudioError(f"unknown setting {key!r} of {kind.__name__}; {nearest(key, names)}")
    return kind(**{key: _converted(key, value, types[key]) for key, value in values.items()})


def to_dict(config: Settings) -> dict[str, Plain]:
    """Convert a config to plain values, from which :func:`from_dict` restores it."""
    return dataclasses.asdict(config)


def _converted(name: str, value: Plain, kind: object) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, kind):
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise RnnaudioError(f"{name} is {shown(value)}; expected a table of settings of {kind.__name__}")
        return from_dict(kind, value)
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if NoneType in options and value in (None, NONE):
        return None
    for option in options:
        fits, converted = _fit(value, option)
        if fits:
            return converted
    raise RnnaudioError(f"{name} is {shown(value)}; expected {' or '.join(map(_in_words, options))}")


def _fit(value: Plain, kind: object) -> tuple[bool, Any]:
    """Test whether a value fits a type, and convert it to that type: (fits, converted)."""
    if get_origin(kind) is Literal:
        return value in get_args(kind), value
    if get_origin(kind) is tuple:
        members = [_fit(member, get_args(kind)[0]) for member in value] if isinstance(value, list | tuple) else []
        return isinstance(value, list | tuple) and all(fits for fits, _ in members), tuple(m for _, m in members)
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number, as_float(value) if is_number else value
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    return (isinstance(value, kind), value) if isinstance(kind, type) else (True, value)


def as_float(number: float) -> float:
    """Convert a number to float; infinity of its sign for a whole number beyond the range of floats."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def shown(value: Plain) -> str:
    """Format a value for an error message, truncated if it is long."""
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a number of hundreds of digits"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _in_words(kind: object) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) is tuple:
        return f"a list, each {_in_words(get_args(kind)[0])}"
    return WORDS.get(kind, str(kind))


def read_toml(path: Path) -> dict[str, Plain]:
    """Read a TOML file as nested dictionaries; RnnaudioError if it cannot be read or is not TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RnnaudioError(f"cannot read {path}: {error.strerror}; name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RnnaudioError(f"{path} is not a TOML file ({error}); correct it") from error


def as_toml(values: Mapping[str, Plain]) -> str:
    """Format plain values as TOML, with None as ``"none"``, since TOML has no null."""

    def plain(value: Plain) -> Plain:
        if isinstance(value, Mapping):
            return {key: plain(member) for key, member in value.items()}
        return NONE if value is None else value

    return tomli_w.dumps(plain(values))


def require_more_than_zero(config: Settings, *names: str) -> None:
    """Check that each of the settings ``names`` is None or more than 0. RnnaudioError for the first that is not."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise RnnaudioError(f"{name} is {value}; expected more than 0")


def require_zero_or_more(config: Settings, *names: str) -> None:
    """Check that each of the settings ``names`` is 0 or more. RnnaudioError for the first that is not."""
    for name in names:
        if not getattr(config, name) >= 0:
            raise RnnaudioError(f"{name} is {getattr(config, name)}; expected 0 or more")
