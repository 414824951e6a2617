"""Plain values are converted to declared types, or refused with the place, what was got and what was expected."""

import math
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.records import parsed
from rnnaudio.schema import Between, Count, Finite, checked


class Inner(TypedDict):
    size: Count
    name: NotRequired[str | None]


class Outer(TypedDict):
    inner: Inner
    rows: list[Inner]
    rates: NotRequired[dict[str, Finite]]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (10**400, float, math.inf),
        (True, bool, True),
        ("none", str | None, None),
        (None, int | None, None),
        ([1, 2], tuple[int, ...], (1, 2)),
        ((1, 2), list[float], [1.0, 2.0]),
        ("b", Literal["a", "b"], "b"),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ({"x": object}, Any, {"x": object}),
        (1.0, Annotated[float, Between(0.0, 1.0)], 1.0),
        ({"inner": {"size": 1, "more": 5}, "rows": []}, Outer, {"inner": {"size": 1, "more": 5}, "rows": []}),
    ],
)
def test_what_fits_is_converted(value, kind, expected):
    converted = checked(value, kind, "x")
    assert converted == expected and type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (True, int, "x is True; expected a whole number"),
        (1.0, int, "x is 1.0; expected a whole number"),
        (2**64, int, "x is 18446744073709551616; expected a whole number"),
        (10**4000, int, "x is a number of many digits; expected a whole number"),
        (False, float, "x is False; expected a number"),
        (1, bool, "x is 1; expected true or false"),
        (None, str, "x is None; expected a text"),
        ("c", Literal["a", "b"], "x is 'c'; expected one of a, b"),
        (3, str | None, "x is 3; expected a text or none"),
        (math.nan, Finite, "x is nan; expected a number, not infinite"),
        (math.inf, Finite, "x is inf; expected a number, not infinite"),
        (-1, Count, "x is -1; expected a whole number of 0 or more"),
        (1.5, Annotated[float, Between(0.0, 1.0)], "x is 1.5; expected a number from 0 to 1"),
        ({}, list[int], "x is {}; expected a list, each a whole number"),
        ([1, "2"], list[int], "x[1] is '2'; expected a whole number"),
        ([0] * 100, dict[str, int], "x is a list of 100 entries; expected a table"),
        ({"a": {"b": 1}}, dict[str, int], "x.a is {'b': 1}; expected a whole number"),
        ({"rows": []}, Outer, "x.inner is missing; expected a table"),
        ({"inner": {"size": 1}, "rows": [{"size": 1}, {"size": "1"}]}, Outer, "x.rows[1].size is '1'; expected a wh"),
        ({"inner": {"size": 1, "name": 7}, "rows": []}, Outer, "x.inner.name is 7; expected a text or none"),
        ("y" * 200, int, f"x is '{'y' * 79}...; expected a whole number"),
    ],
)
def test_what_does_not_fit_is_named(value, kind, message):
    with pytest.raises(RnnaudioError) as error:
        checked(value, kind, "x")
    assert str(error.value).startswith(message)


def test_brackets_in_texts_are_not_nesting():
    text = '{"a": "' + "[" * 500 + '\\"' + "{" * 500 + '", "b": [' + ", ".join(["[]"] * 200) + "]}"
    assert len(parsed(text)["b"]) == 200
    assert parsed("[" * 40 + "]" * 40) and parsed('{"a": ' * 40 + "1" + "}" * 40)
    for deep in ("[" * 41 + "]" * 41, '{"a": ' * 41 + "1" + "}" * 41, '{"a":"\\"",' + '"b":{' * 10**5):
        with pytest.raises(ValueError, match="tables and lists within each other, more than 40"):
            parsed(deep)
