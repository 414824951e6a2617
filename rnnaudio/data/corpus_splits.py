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
    """How pieces are assigned to train, valid and test.

    seed
        random seed of the assignment.
    fractions
        target shares of train, valid and test in the total duration; all positive, their sum is 1.
    group
        which pieces go to the same split: all of one ``folder``; those of a folder whose names differ only in the
        number of a part or copy (``name``); or no particular ones (``none``). Pieces that hold the same sound go to
        the same split in any case, unless different splits are given for them. Grouping by folder or name is dropped
        if no piece has a given split and there would be fewer than three groups, or a group with over 70 % of the
        sound. If some pieces have a given split, it is dropped if there would be fewer groups without a given split
        than splits that are given for no piece.
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
        """RnnaudioError for a seed out of range, or fractions that are not three positive numbers whose sum is 1."""
        if len(self.fractions) != 3 or min(self.fractions) <= 0.0 or abs(sum(self.fractions) - 1.0) > 1e-6:
            raise RnnaudioError(
                f"fractions: got {self.fractions}, expected three positive numbers (train, valid, test) that sum to 1"
            )
        check_seed(self.seed)


def key_of(path: Path, group: Grouping) -> str:
    """Name of the group that a file belongs to under :attr:`Splitting.group`; a group goes to one split as a whole."""
    if group == "folder":
        return str(path.parent)
    if group == "name":
        return str(path.parent / (PARTS.sub("", path.stem) or path.stem))
    return str(path)


def united(keys: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Group the pieces; returns for each piece the number of its group, counted from 0 in the order of the pieces.

    Pieces with equal ``keys`` are in one group, and so are pieces whose indices form one of the ``pairs``. Groups that
    share a piece are merged.
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
    """Assign the groups to the splits; returns the split (train, valid or test) of every piece.

    All pieces of a group go to one split, the first that is given for any of them; only a piece for which another
    split is given goes to that one. Groups without a given split are assigned by :func:`assign_splits`.

    n_samples, given: length of each piece, and the split given for it or None. groups: number of each piece's group,
    see :func:`united`. least: ``least_samples`` of :func:`assign_splits`. RnnaudioError if a split would be empty.
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
    """Reason why splitting by these groups is not sensible; empty if there is none.

    If no piece has a given split, the reasons are: fewer than three groups, or a group with over 70 % of the sound. If
    some have one, the reason is: fewer groups without a given split than splits that are given for no piece.

    groups, n_samples, given: for each piece, the number of its group, its length in samples, and its given split or
    None; an empty ``given``: no piece has one.
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

    n_samples, given: length of each piece, and the split given for it or None. fractions: shares of train, valid and
    test in the total duration. seed: determines the random orders.

    Tries 200 random orders of the pieces without a given split. Each order is cut into test, validation and training
    where the cumulative durations come nearest to those that test and validation lack. Of the results, those in which
    validation and test fall least short of ``least_samples`` (at most a quarter of the total) are considered, and the
    one with the smallest deviation from the fractions is returned. RnnaudioError if a split would be empty.
    """
    total = sum(n_samples)
    wanted = {split: share * total for split, share in zip(SPLITS, fractions, strict=True)}
    for split in ("valid", "test"):
        raised = max(wanted[split], min(least_samples, total / 4))
        wanted["train"] -= raised - wanted[split]
        wanted[split] = raised
    lacking = {
        split: wanted[split] - sum(n for n, own in zip(n_samples, given, strict=True) if own == split)
        for split in SPLITS
    }
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


def _nearest(sums: Whole, target: float, least: int, most: int) -> int:
    """Index from `least` to `most` whose sum is nearest to the target."""
    return least + int(np.argmin(np.abs(sums[least : most + 1] - target)))
