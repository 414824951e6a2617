"""Choice of the pairs of a listening test: equally many for every two conditions, with equal use of the sounds."""

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

ANSWER_SECONDS = 5.0  # to decide, beside listening to both sounds once


class Side(NamedTuple):
    """One sound of a pair: its condition, and its name within the condition."""

    condition: str
    sound: str


class Pair(NamedTuple):
    """Two sounds to be compared, on side A and on side B."""

    a: Side
    b: Side


Kind: TypeAlias = tuple[str, str]  # two conditions
Names: TypeAlias = Mapping[str, Sequence[str]]  # names of the sounds by condition


def most_pairs(minutes: float, seconds: float) -> int:
    """Return how many pairs of sounds of ``seconds`` a listener can judge in ``minutes``, hearing each sound once."""
    return int(60.0 * minutes / (2.0 * seconds + ANSWER_SECONDS))


def candidates(names: Names) -> dict[Kind, list[Pair]]:
    """Return all pairs of sounds with the same name, for every two conditions.

    If some two conditions have no name in common, all conditions are paired by order instead: the first sound with the
    first, the second with the second, and so on.
    """
    kinds = list(itertools.combinations(names, 2))
    by_name = {(c, d): [Pair(Side(c, n), Side(d, n)) for n in names[c] if n in names[d]] for c, d in kinds}
    if all(by_name.values()):
        return by_name
    places = {(c, d): zip(names[c], names[d], strict=False) for c, d in kinds}
    return {(c, d): [Pair(Side(c, m), Side(d, n)) for m, n in places[c, d]] for c, d in kinds}


def are_matched(names: Names) -> bool:
    """Return whether :func:`candidates` pairs sounds by their names."""
    return all(set(names[c]) & set(names[d]) for c, d in itertools.combinations(names, 2))


def chosen(of_kinds: Mapping[Kind, Sequence[Pair]], n_most: int, seed: int) -> list[Pair]:
    """Choose at most ``n_most`` pairs, in random order, as a pure function of the arguments.

    of_kinds: the candidates by kind, a pair of conditions. All kinds get the same number of pairs. If there are more
    kinds than ``n_most``, some are left out, so that each condition occurs about as often as the others. Within a
    kind, sounds that were used least so far come first; the two conditions are on side A equally often or, for an odd
    number of pairs, one of them once more.
    """
    chance = random.Random(seed)
    n_kinds, n_least = len(of_kinds), min(map(len, of_kinds.values()))
    kinds = list(of_kinds) * min(n_most // n_kinds, n_least) if n_most >= n_kinds else _some(of_kinds, n_most, chance)
    left = {kind: chance.sample(list(pairs), len(pairs)) for kind, pairs in of_kinds.items()}
    used: Counter[Side] = Counter()
    flipped = {kind: chance.random() < 0.5 for kind in of_kinds}
    pairs = []
    for kind in kinds:
        pair = min(left[kind], key=lambda pair: used[pair.a] + used[pair.b])
        left[kind].remove(pair)
        used.update(pair)
        flipped[kind] = not flipped[kind]
        pairs.append(Pair(pair.b, pair.a) if flipped[kind] else pair)
    chance.shuffle(pairs)
    return pairs


def _some(kinds: Mapping[Kind, object], n: int, chance: random.Random) -> list[Kind]:
    """Choose ``n`` of the kinds of pairs, such that each condition occurs about as often."""
    left = chance.sample(list(kinds), len(kinds))
    used: Counter[str] = Counter()
    some = []
    for _ in range(n):
        kind = min(left, key=lambda kind: (used[kind[0]] + used[kind[1]], max(used[kind[0]], used[kind[1]])))
        left.remove(kind)
        used.update(kind)
        some.append(kind)
    return some


def in_order(names: Sequence[str]) -> list[str]:
    """Sort names with their numbers in numerical order, 2 before 10; numbers come before letters."""
    return sorted(names, key=lambda name: list(_parts(name)))


def _parts(name: str) -> Iterator[tuple[bool, int, str]]:
    for part in re.findall(r"\d+|\D+", name):
        is_number = part.isdecimal()
        yield not is_number, int(part) if is_number else 0, part
