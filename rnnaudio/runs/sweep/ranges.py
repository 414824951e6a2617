"""Ranges of settings: numbers between two ends, and lists of choices."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Protocol, TypeAlias, Union, get_args, get_origin

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import nearest
from rnnaudio.schema import Finite, Plain, checked, in_words, shown

KEYS = ("low", "high", "step", "log")
FORM = "a range, { low = 1, high = 8 }, or a list of choices"
NEAR = 1e-6  # share of a step by which the high end of a range may miss a whole number of steps


class Suggesting(Protocol):
    """Interface of Optuna's trials: methods that choose a value, and return the same value when called again."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Floats:
    """Real numbers from ``low`` to ``high``: in steps of ``step`` if set, on a logarithmic scale if ``log`` is set."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def suggest(self, trial: Suggesting, name: str) -> float:
        """Choose a value of the setting ``name`` for a trial."""
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    @property
    def ends(self) -> tuple[Plain, ...]:
        """The lowest and the highest value."""
        return self.low, self.high

    @property
    def points(self) -> tuple[Plain, ...]:
        """All values; empty without a step."""
        if self.step is None:
            return ()
        n = round((self.high - self.low) / self.step)
        return tuple(float(f"{self.low + k * self.step:.12g}") for k in range(n + 1))


@dataclass(frozen=True)
class Integers:
    """Whole numbers from ``low`` to ``high``: in steps of ``step``, or on a logarithmic scale if ``log`` is set."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def suggest(self, trial: Suggesting, name: str) -> int:
        """Choose a value of the setting ``name`` for a trial."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    @property
    def ends(self) -> tuple[Plain, ...]:
        """The lowest and the highest value."""
        return self.low, self.high

    @property
    def points(self) -> Sequence[Plain]:
        """All values of the range."""
        return range(self.low, self.high + 1, self.step)


@dataclass(frozen=True)
class Choices:
    """A list of values to choose from. They have no order, so ``log`` is always False."""

    values: tuple[Plain, ...]
    log: bool = field(default=False, init=False)

    def suggest(self, trial: Suggesting, name: str) -> Plain:
        """Choose a value of the setting ``name`` for a trial."""
        labels = [label_of(value) for value in self.values]
        return self.values[labels.index(trial.suggest_categorical(name, labels))]

    @property
    def ends(self) -> tuple[Plain, ...]:
        """All values: without an order there are no ends, so each value is checked like an end of a range."""
        return self.values

    @property
    def points(self) -> tuple[Plain, ...]:
        """All values."""
        return self.values


Range: TypeAlias = Floats | Integers | Choices


def label_of(value: Plain) -> Plain:
    """Convert a value for storage in a study: lists become JSON, since Optuna's choices cannot be lists."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def is_range(value: Plain) -> bool:
    """Return whether a value in the table ``[search]`` is a range or a list of choices, not a nested table."""
    return isinstance(value, list) or (isinstance(value, Mapping) and bool({*value} & {*KEYS}))


def first_of(value: Plain, name: str) -> Plain:
    """Return the low end, or first choice, of a range in a space file; RnnaudioError for a wrong form or unknown key.

    value: the range as read from the file. name: name of the setting, for the message.
    """
    if isinstance(value, list) and value:
        return value[0]
    if isinstance(value, Mapping):
        for key in value:
            if key not in KEYS:
                raise RnnaudioError(f"{name} has a {key!r}; {nearest(key, KEYS)}")
        if "low" in value and "high" in value:
            return value["low"]
    raise RnnaudioError(f"{name} is {shown(value)}; expected {FORM}")


def range_of(value: Plain, kind: Any, name: str) -> Range:
    """Make the range of a setting from its value in a space file, which :func:`first_of` has accepted.

    kind: type of the setting, as in :mod:`rnnaudio.schema`. name: name of the setting, for messages. RnnaudioError for
    values of another type, a range without values, or steps that do not lead exactly from ``low`` to ``high``.
    """
    if isinstance(value, list):
        return _choices(value, kind, name)
    kinds = _alternatives(kind)
    if float in kinds:
        return _floats(value, name)
    if int in kinds:
        return _integers(value, name)
    raise RnnaudioError(f"{name} is {shown(value)}; expected a list of choices, for the setting is {in_words(kind)}")


def _alternatives(kind: Any) -> set[Any]:
    """Return the types that a value of a kind may have; unions and annotated types are resolved."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {one for alternative in arguments for one in _alternatives(alternative)}
    return _alternatives(arguments[0]) if origin is Annotated else {kind}


def _choices(values: list[Plain], kind: Any, name: str) -> Choices:
    for value in values:
        checked(value, kind, name)
    repeated = next((value for k, value in enumerate(values) if value in values[:k]), None)
    if repeated is not None:
        raise RnnaudioError(f"{name} has {shown(repeated)} twice; expected different choices")
    return Choices(tuple(values))


def _floats(table: Mapping[str, Plain], name: str) -> Floats:
    low, high = (checked(table[key], Finite, f"{name}.{key}") for key in ("low", "high"))
    step = checked(table["step"], Finite, f"{name}.step") if "step" in table else None
    _check_ends(low, high, step, log := _is_log(table, name), name)
    return Floats(low, high, step, log)


def _integers(table: Mapping[str, Plain], name: str) -> Integers:
    low, high = (checked(table[key], int, f"{name}.{key}") for key in ("low", "high"))
    step = checked(table["step"], int, f"{name}.step") if "step" in table else None
    _check_ends(low, high, step, log := _is_log(table, name), name)
    return Integers(low, high, step or 1, log)


def _is_log(table: Mapping[str, Plain], name: str) -> bool:
    return bool(checked(table.get("log", False), bool, f"{name}.log"))


def _check_ends(low: float, high: float, step: float | None, log: bool, name: str) -> None:
    if not low < high:
        raise RnnaudioError(f"{name} is empty: from {low:g} to {high:g}; expected a low end below the high one")
    if log and low <= 0:
        raise RnnaudioError(f"{name}.low is {low:g}; expected more than 0, for log = true")
    if step is None:
        return
    if log:
        raise RnnaudioError(f"{name} has a step and log = true; leave out one of them")
    if step <= 0:
        raise RnnaudioError(f"{name}.step is {step:g}; expected more than 0")
    n = (high - low) / step
    if abs(n - round(n)) > NEAR:
        reached = low + math.floor(n) * step
        raise RnnaudioError(
            f"{name}.high is {high:g}, which no whole number of steps of {step:g} reaches from {low:g}; "
            f"expected {reached:g} or {reached + step:g}"
        )
