"""Checks and conversion of values read from JSON and TOML, for records and settings.

The expected type of a value is called its kind. A kind is one of bool, int, float, str, None, ``Literal``, a union,
``list[T]``, ``tuple[T, ...]``, ``dict[str, T]``, ``Annotated[T, Between(low, high)]``, a ``TypedDict`` (a table that
may have undeclared entries, too), and a dataclass of settings (a table without undeclared entries).
"""

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import nearest

Plain: TypeAlias = Any  # what JSON and TOML hold: numbers, strings, booleans, None, lists and dictionaries of these
MOST_SHOWN = 80  # characters of a wrong value that an error message quotes
MOST_WHOLE = 2**64  # magnitude of whole numbers
NONE = "none"  # TOML has no null
WORDS: dict[object, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "none",
}  # fmt: skip


class Settings(Protocol):
    """Protocol of all dataclasses of settings, for type checkers."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


Config = TypeVar("Config", bound=Settings)
Converter: TypeAlias = Callable[[Plain], Any]


class Between(NamedTuple):
    """Limits of a number, low <= number <= high; the number must also be finite."""

    low: float = -math.inf
    high: float = math.inf


Finite: TypeAlias = Annotated[float, Between()]
NotNegative: TypeAlias = Annotated[float, Between(0.0)]
Count: TypeAlias = Annotated[int, Between(0, 2**63 - 1)]


class _Unfit(Exception):
    """Error for a value that does not fit its kind.

    ``place`` holds the keys and positions that lead to the value, from the outermost on.
    """

    def __init__(self, value: Plain, expected: str, *, is_missing: bool = False):
        super().__init__()
        self.value, self.expected, self.is_missing, self.place = value, expected, is_missing, ""

    def within(self, place: str) -> "_Unfit":
        self.place = place + self.place
        return self


def from_dict(kind: type[Config], values: Mapping[str, Plain]) -> Config:
    """Make a config of class ``kind`` from plain values by name; missing keys get their defaults.

    A config class may define ``upgraded(values)``, which converts values of earlier versions to the current form.
    RnnaudioError if ``values`` is not a mapping, for an unknown key (the message suggests the nearest known one), for
    a value of a wrong type or out of its limits, and for NaN.
    """
    if not isinstance(values, Mapping):
        raise RnnaudioError(f"the settings of {kind.__name__} are {shown(values)}; expected names and values")
    upgraded: Callable[[Mapping[str, Plain]], Mapping[str, Plain]] | None = getattr(kind, "upgraded", None)
    values = upgraded(values) if upgraded else values
    types = get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    for key in values:
        if key not in names:
            raise RnnaudioError(f"unknown setting {shown(key)} of {kind.__name__}; {nearest(str(key), names)}")
    converted = {key: checked(value, types[key], key) for key, value in values.items()}
    for key, value in converted.items():
        if isinstance(value, float) and math.isnan(value):
            raise RnnaudioError(f"{key} is nan; expected a number")
    return kind(**converted)


def checked(value: Plain, kind: Any, name: str) -> Any:
    """Check that ``value`` is of the kind ``kind``, and return it converted.

    Numbers of kind float become float; where None is allowed, the text "none" becomes None; a table becomes a config
    if the kind is a dataclass. RnnaudioError if the value, or a value inside it, does not fit; name: what the message
    calls the value.
    """
    try:
        return _converter(kind)(value)
    except _Unfit as wrong:
        where = f"{name}{wrong.place}".removeprefix(".") or "it"
        got = "missing" if wrong.is_missing else shown(wrong.value)
        raise RnnaudioError(f"{where} is {got}; expected {wrong.expected}") from None


@functools.cache
def _converter(kind: Any) -> Converter:
    """Make a function that converts a value to ``kind``, or raises _Unfit if the value does not fit."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _of_union(arguments)
    if origin is Annotated:
        return _limited(_converter(arguments[0]), arguments[1], in_words(kind))
    if origin in (list, tuple):
        return _of_list(origin, arguments[0], in_words(kind))
    if origin is dict:
        return _of_dict(arguments[1])
    if typing.is_typeddict(kind):
        return _of_table(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _of_dataclass(kind)
    fits, expected = _test(kind), in_words(kind)

    def convert(value: Plain) -> Any:
        if not fits(value):
            raise _Unfit(value, expected)
        return as_float(value) if kind is float else None if kind is NoneType else value

    return convert


def _test(kind: Any) -> Callable[[Plain], bool]:
    if get_origin(kind) is Literal:
        return lambda value: value in get_args(kind)
    if kind is float:
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST_WHOLE
    if kind is None or kind is NoneType:
        return lambda value: value is None or value == NONE
    if kind is Any or not isinstance(kind, type):
        return lambda value: True
    return lambda value: isinstance(value, kind)


def _of_union(kinds: tuple[Any, ...]) -> Converter:
    """Make a converter to the first kind that fits; None is tried first, since TOML writes it as the text "none"."""
    ordered = sorted(kinds, key=lambda kind: kind is not NoneType)
    converters, expected = [_converter(kind) for kind in ordered], " or ".join(map(in_words, kinds))

    def convert(value: Plain) -> Any:
        for converter in converters:
            try:
                return converter(value)
            except _Unfit as wrong:
                if wrong.place:  # the kind was right, what is in it is not
                    raise
        raise _Unfit(value, expected)

    return convert


def _limited(converter: Converter, limits: Between, expected: str) -> Converter:
    def convert(value: Plain) -> Any:
        number = converter(value)
        if not (math.isfinite(number) and limits.low <= number <= limits.high):
            raise _Unfit(value, expected)
        return number

    return convert


def _of_list(kind: type[list[Any]] | type[tuple[Any, ...]], member: Any, expected: str) -> Converter:
    converter = _converter(member)

    def convert(value: Plain) -> Any:
        if not isinstance(value, list | tuple):
            raise _Unfit(value, expected)
        return kind(_entries(converter, enumerate(value), "[{}]").values())

    return convert


def _of_dict(member: Any) -> Converter:
    converter = _converter(member)

    def convert(value: Plain) -> Any:
        if not isinstance(value, Mapping):
            raise _Unfit(value, "a table")
        return _entries(converter, value.items(), ".{}")

    return convert


def _entries(converter: Converter, items: Any, place: str) -> dict[Any, Any]:
    done = {}
    try:
        for key, value in items:
            done[key] = converter(value)
    except _Unfit as wrong:
        raise wrong.within(place.format(key)) from None
    return done


def _of_table(kind: Any) -> Converter:
    """Make a converter to a TypedDict, which leaves undeclared entries unchanged."""
    kinds = {name: _declared(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}
    members = {name: _converter(member) for name, member in kinds.items()}
    needed = {name: in_words(kinds[name]) for name in kinds if name in kind.__required_keys__}

    def convert(value: Plain) -> Any:
        if not isinstance(value, Mapping):
            raise _Unfit(value, "a table")
        for name, expected in needed.items():
            if name not in value:
                raise _Unfit(None, expected, is_missing=True).within(f".{name}")
        table = dict(value)
        for name, converter in members.items():
            if name in table:
                try:
                    table[name] = converter(table[name])
                except _Unfit as wrong:
                    raise wrong.within(f".{name}") from None
        return table

    return convert


def _declared(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) in (typing.Required, typing.NotRequired) else kind


def _of_dataclass(kind: Any) -> Converter:
    def convert(value: Plain) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise _Unfit(value, f"a table of settings of {kind.__name__}")
        return from_dict(kind, value)

    return convert


def as_float(number: float) -> float:
    """Convert a number to float; a whole number beyond the range of floats becomes infinity of the same sign."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def shown(value: Plain) -> str:
    """Format a value for an error message, in at most 83 characters; long values are truncated or described."""
    if isinstance(value, int) and value.bit_length() >= 200:
        return "a number of many digits"
    if isinstance(value, list | dict) and len(value) > MOST_SHOWN:
        return f"a {'list' if isinstance(value, list) else 'table'} of {len(value)} entries"
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def in_words(kind: Any) -> str:
    """Describe a kind in words for an error message, such as "a whole number of 0 or more"."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, UnionType):
        return " or ".join(map(in_words, arguments))
    if origin is Annotated:
        return f"{in_words(arguments[0])}{_limits_in_words(arguments[1])}"
    if origin in (list, tuple):
        return f"a list, each {in_words(arguments[0])}"
    if origin is dict or typing.is_typeddict(kind):
        return "a table"
    return WORDS.get(kind, str(kind))


def _limits_in_words(limits: Between) -> str:
    low, high = limits
    if math.isinf(low) and math.isinf(high):
        return ", not infinite"
    return f" of {low:.4g} or more" if math.isinf(high) or high >= 2**63 - 1 else f" from {low:.4g} to {high:.4g}"
