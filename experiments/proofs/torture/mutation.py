"""Random mutations of bytes, text and JSON records."""

import json
import random
from typing import Any

EXTREMES = [
    0, -1, 1, 2**31, 2**62, -(2**63), 10**30, 1e308, 1e-320, float("nan"), float("inf"), "", "x" * 5000, None, True,
]  # fmt: skip
ODD = [[], {}, [[]], {"a": {"b": []}}, [0] * 1000, "\x1b[2J", "\ud800", "../../etc"]


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Mutate bytes one to eight times: flip a bit, set, overwrite, remove or insert bytes, or cut off the end."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        if not data:
            break
        at, other = rng.randrange(len(data)), rng.randrange(len(data))
        n = min(rng.choice((1, 2, 4, 8, 64, 512)), len(data) - max(at, other))
        match rng.randrange(8):
            case 0 | 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 3:
                data[at : at + n] = bytes(n)
            case 4:
                data[at : at + n] = data[other : other + n]
            case 5:
                data[at : at + n] = b"\xff" * n
            case 6:
                del data[at : at + n]
            case 7:
                del data[at if rng.random() < 0.3 else len(data) :]
                data[at:at] = data[other : other + n]
    return bytes(data)


def mutated_text(text: str, rng: random.Random) -> bytes:
    """Mutate a text of lines ``key = value``, or its bytes; returns the mutated bytes.

    A value is replaced, even by deep nesting or by 50,000 digits, or a line is added or dropped.
    """
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    match rng.randrange(7):
        case 0:
            values = ["nan", "inf", "-1", "1e400", "'x'", "[]", "{}", "true"]
            lines[at] = lines[at].split("=")[0] + "= " + rng.choice(values)
        case 1:
            lines.insert(at, rng.choice(lines))
        case 2:
            del lines[at]
        case 3:
            lines[at] = lines[at].split("=")[0] + "= " + "[" * 5000
        case 4:
            lines[at] = lines[at].split("=")[0] + "= " + "9" * 50_000
        case _:
            return mutated_bytes(text.encode(), rng)
    return "\n".join(lines).encode()


def mutated_record(record: dict[str, Any], rng: random.Random) -> str:
    """JSON of the record, with one entry, at any depth, removed or given another value, type or depth."""
    copy = json.loads(json.dumps(record))
    place, key = _somewhere(copy, rng)
    match rng.randrange(6):
        case 0:
            if isinstance(place, dict):
                del place[key]
            else:
                place.pop(key)
        case 1 | 2:
            place[key] = rng.choice(EXTREMES)
        case 3:
            place[key] = rng.choice(ODD)
        case 4:
            place[key] = "@"
            deep = "[" * 200_000 + "]" * 200_000 if rng.random() < 0.5 else "9" * 100_000
            return json.dumps(copy).replace('"@"', deep, 1)
        case 5:
            place[key] = -place[key] if isinstance(place[key], int | float) else str(place[key])
    return json.dumps(copy)


def _somewhere(record: Any, rng: random.Random) -> tuple[Any, Any]:
    """A container at any depth, and the key of one of its entries."""
    places = [(record, key) for key in record]
    for place, key in places:  # it grows
        value = place[key]
        if isinstance(value, dict):
            places += [(value, inner) for inner in value]
        elif isinstance(value, list):
            places += [(value, k) for k in range(min(len(value), 3))]
    return rng.choice(places)
