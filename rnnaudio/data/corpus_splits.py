"""Assignment of pieces to the splits train, valid and test; related pieces go to the same split."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from rnnaudio.audio.arrays import Whole
from rnnaudio.corpus_file.layout import SPLITS
from rnnaudio.errors import RnnaudioError
from rnnaudio.seeds import check_seed

N_ORDERS = 200
LARGEST_SHARE = 0.7
# Matches the last part of the names of parts and copies: "song (2)", "song - part 3", "song copy", "song_04".
PARTS = re.compile(
    r"[\s_\-.]*(\(?(\b(part|pt|teil|take|copy|disc|cd|no|nr))?[\s_\-.]*(?<!\d)\d{1,3}\)?|\b(copy|part))\s*$",
    re.IGNORECASE,
)

Grouping: TypeAlias = Literal["name", "folder", "none"]


@dataclass(frozen=True)
class Splitting:
    """Rules for assigning pieces to train, valid and test.

    seed
        random seed of the assignment.
    fractions
        target shares of train, valid and test in the total duration; all positive, their sum is 1.
    group
        pieces that form a group, which goes to one split: all pieces of a folder (``folder``), or those of a folder
        whose names differ only in the number of a part or copy (``name``); ``none``: no such groups. Pieces that hold
        the same sound go to the same split in any case, unless different splits are given for them. Grouping by folder
        or name is dropped in two cases. One is that no split is given for any piece, and there are fewer than three
        groups, or a group has over 70 % of the sound. The other is that splits are given for some pieces, and too few
        groups without a given split are left to fill the splits that are given for no piece.
    valid, test
        files and folders whose pieces go to validation and to test.
    least_seconds
        shortest duration to aim for in validation and in test, at most a quarter of the total each.
    """

    seed: int = 0
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    group: Grouping = "name"
    valid: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    least_seconds: float = 2.0

    def named(self) -> dict[str, tuple[Path, ...]]:
        """Return the files and folders named for validation and for test, under the keys "valid" and "test"."""
        return {"valid": tuple(map(Path, self.valid)), "test": tuple(map(Path, self.test))}

    def check(self) -> None:
        """Raise RnnaudioError for a seed out of range, or fractions that are not three positive numbers of sum 1."""
        if len(self.fractions) != 3 or min(self.fractions) <= 0.0 or abs(sum(self.fractions) - 1.0) > 1e-6:
            raise RnnaudioError(
                f"fractions: got {self.fractions}, expected three positive numbers (train, valid, test) that sum to 1"
            )
        check_seed(self.seed)


def key_of(path: Path, group: Grouping) -> str:
    """Return the name of the group to which a file belongs; ``group``: see :class:`Splitting`."""
    if group == "folder":
        return str(path.parent)
    if group == "name":
        return str(path.parent / (PARTS.sub("", path.stem) or path.stem))
    return str(path)


def united(keys: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Group the pieces; returns for each piece the number of its group, counted from 0 in the order of the pieces.

    Pieces with equal ``keys`` are in one group, and so are the two pieces of each of the ``pairs`` of indices. Groups
    that share a piece are merged.
    """
    parent = list(range(len(keys)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    first: dict[str, int] = {}
    links = [(first.setdefault(key, k), k) for k, key in enumerate(keys)]
    for i, j in [*links, *pairs]:
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(k), len(numbers)) for k in range(len(keys))]


def assign_groups(
    n_samples: Sequence[int], given: Sequence[str | None], groups: Sequence[int], splitting: Splitting, least: int = 0
) -> list[str]:
    """Assign groups of pieces to the splits; returns the split (train, valid or test) of every piece.

    A group goes to one split: the first that is given for any of its pieces or, if none is given, the one that
    :func:`assign_splits` chooses. Only a piece for which a different split is given leaves its group and goes there.

    n_samples: length of each piece in samples. given: split given for each piece, or None. groups: number of each
    piece's group, from 0, as :func:`united` returns it. splitting: the fractions and the seed. least: the argument
    ``least_samples`` of :func:`assign_splits`. RnnaudioError if a split would be empty.
    """
    n_groups = max(groups, default=-1) + 1
    durations: list[int] = [0] * n_groups
    of_group: list[str | None] = [None] * n_groups
    for n, split, group in zip(n_samples, given, groups, strict=True):
        durations[group] += n
        of_group[group] = of_group[group] or split
    splits = assign_splits(durations, of_group, splitting.fractions, splitting.seed, least)
    return [split or splits[group] for split, group in zip(given, groups, strict=True)]


def uninformative(groups: Sequence[int], n_samples: Sequence[int], given: Sequence[str | None] = ()) -> str:
    """Return the reason why splitting by these groups is not sensible, as text; empty if there is none.

    If no piece has a given split, the reasons are: fewer than three groups, or a group with over 70 % of the sound. If
    some pieces have a given split, the reason is: the groups without a given split are fewer than the splits that are
    given for no piece, so that these splits cannot all be filled.

    groups: number of each piece's group. n_samples: length of each piece in samples. given: split given for each
    piece, or None; empty if none is given.
    """
    if any(given):
        has_split = {group for group, split in zip(groups, given, strict=True) if split}
        n_free, n_empty = len(set(groups) - has_split), len(set(SPLITS) - set(given))
        if n_free >= n_empty:
            return ""
        return f"they leave {_groups(n_free)} without a given split for {n_empty} splits"
    durations: Counter[int] = Counter()
    for group, n in zip(groups, n_samples, strict=True):
        durations[group] += n
    if len(durations) < len(SPLITS):
        return f"they form {_groups(len(durations))} and three are needed"
    share = max(durations.values()) / sum(durations.values())
    return f"one group has {share:.0%} of the sound" if share > LARGEST_SHARE else ""


def _groups(n: int) -> str:
    return f"{n} group{'s' * (n != 1)}"


def assign_splits(
    n_samples: Sequence[int],
    given: Sequence[str | None],
    fractions: Sequence[float],
    seed: int,
    least_samples: int = 0,
) -> list[str]:
    """Assign the pieces to the splits; returns the split (train, valid or test) of every piece.

    A piece keeps its given split; the others are assigned at random such that the durations approximate the fractions.

    n_samples: length of each piece in samples. given: split given for each piece, or None. fractions: shares of train,
    valid and test in the total duration. seed: determines the random orders. least_samples: shortest duration to aim
    for in validation and in test, at most a quarter of the total each.

    Tries 200 random orders of the pieces without a given split. Each order is cut into test, validation and training
    pieces at the places that come nearest to the durations still lacking in test and validation. The order chosen is
    the one with which validation and test fall least short of ``least_samples``; among equal orders, the one with the
    smallest deviation from the fractions. RnnaudioError if a split would be empty.
    """
    lacking = _lacking(n_samples, given, fractions, least_samples)
    least = {split: int(split not in given) for split in SPLITS}
    free = np.array([number for number, split in enumerate(given) if split is None], int)
    if free.size < sum(least.values()):
        empty = " and ".join(split for split in SPLITS if least[split])
        raise RnnaudioError(f"no piece is left for {empty}: give more pieces, or other splits")
    rng = np.random.default_rng(seed)
    best: tuple[tuple[float, float], Whole, int, int] | None = None
    for _ in range(N_ORDERS):
        order = rng.permutation(free)
        sums = np.concatenate([[0], np.cumsum(np.asarray(n_samples)[order])])
        n_test = _nearest(sums, lacking["test"], least["test"], free.size - least["valid"] - least["train"])
        n_both = _nearest(sums, sums[n_test] + lacking["valid"], n_test + least["valid"], free.size - least["train"])
        durations = {"test": sums[n_test], "valid": sums[n_both] - sums[n_test], "train": sums[-1] - sums[n_both]}
        short = sum(max(0.0, min(least_samples, lacking[s]) - durations[s]) for s in ("valid", "test"))
        deviation = float(sum(abs(durations[split] - lacking[split]) for split in SPLITS))
        if best is None or (short, deviation) < best[0]:
            best = (short, deviation), order, n_test, n_both
    assert best is not None
    _, order, n_test, n_both = best
    splits = {
        number: "test" if place < n_test else "valid" if place < n_both else "train"
        for place, number in enumerate(order)
    }
    return [split or splits[number] for number, split in enumerate(given)]


def _lacking(
    n_samples: Sequence[int], given: Sequence[str | None], fractions: Sequence[float], least_samples: int
) -> dict[str, float]:
    """Compute the number of samples that each split lacks in addition to its given pieces; returns them by split.

    Arguments are those of :func:`assign_splits`. A number is negative if the given pieces exceed the share of the
    split.
    """
    total = sum(n_samples)
    wanted = {split: share * total for split, share in zip(SPLITS, fractions, strict=True)}
    for split in ("valid", "test"):
        raised = max(wanted[split], min(least_samples, total / 4))
        wanted["train"] -= raised - wanted[split]
        wanted[split] = raised
    return {
        split: wanted[split] - sum(n for n, own in zip(n_samples, given, strict=True) if own == split)
        for split in SPLITS
    }


def _nearest(sums: Whole, target: float, least: int, most: int) -> int:
    """Return the index from `least` to `most`, inclusive, of the sum that is nearest to the target."""
    return least + int(np.argmin(np.abs(sums[least : most + 1] - target)))
