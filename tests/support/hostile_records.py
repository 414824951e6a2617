"""Records that are wrong but well-formed JSON: systematic changes of those of real runs, determined by a seed."""

import copy
import json
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rnnaudio.errors import RnnaudioError

DEEP = 200_000
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 1000, 10**7, 2**31, 2**63, 10**18, 10**39, -(10**18), 0.0, -0.5, 1e-300, 1e300,
    float("nan"), float("inf"), -float("inf"), "", "none", "x", "best", "lstm", "\x1b[2J\nfake",
    "x" * 10_000, [], {}, [1], [[]], {"a": 1}, [None] * 3, [float("nan")], {"": {}}, ["x"] * 1000,
)  # fmt: skip


class TooSlow(BaseException):
    """A call took longer than it may; no Exception, so that nothing catches it on the way."""


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All keys and positions in a record, as paths."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in items:
        yield (*place, key)
        yield from places(member, (*place, key))


def mutated(record: dict[str, Any], seed: int) -> tuple[str, str]:
    """Change one entry of a record; returns a description and the record as JSON text."""
    rng = np.random.default_rng(seed)
    changed, where = copy.deepcopy(record), list(places(record))
    place = where[rng.integers(len(where))]
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    before, how = holder[place[-1]], rng.integers(8)
    if how == 0:
        del holder[place[-1]]
        return f"without {place}", json.dumps(changed)
    if how == 1:
        holder[place[-1]] = "@@"
        deep = rng.choice(["[" * DEEP + "]" * DEEP, "9" * 100_000, '{"a":' * DEEP + "1" + "}" * DEEP, "1e999"])
        return f"{place} deep or long", json.dumps(changed).replace('"@@"', deep, 1)
    if how == 2 and isinstance(before, int | float):
        holder[place[-1]] = before * 10 ** int(rng.integers(-3, 9)) * int(rng.choice([-1, 1]))
    elif how == 3 and isinstance(before, list | dict):
        holder[place[-1]] = before[:-1] if isinstance(before, list) else {**before, "another": 1}
    elif how == 4:
        holder[place[-1]] = [before]
    elif how == 5:
        other = where[rng.integers(len(where))]
        source = record
        for key in other:
            source = source[key]
        holder[place[-1]] = copy.deepcopy(source)
    else:
        holder[place[-1]] = VALUES[rng.integers(len(VALUES))]
    return f"{place} = {str(holder[place[-1]])[:60]}", json.dumps(changed)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the block after so many seconds of processor time, which other work does not take."""

    def stop(*_: object) -> None:
        raise TooSlow

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, previous)


def fault_of(call: Callable[[], object], seconds: float = 5.0) -> str:
    """What is wrong with how ``call`` ends: a traceback, or too late; empty if it returns or raises RnnaudioError."""
    try:
        with limited(seconds):
            call()
    except RnnaudioError as error:
        return "" if len(str(error)) < 2000 and "\n" not in str(error) else f"no line: {str(error)[:200]!r}"
    except TooSlow:
        return f"took over {seconds:g} s:\n{traceback.format_exc()[-1500:]}"
    except Exception:
        return traceback.format_exc()[-1500:]
    return ""
