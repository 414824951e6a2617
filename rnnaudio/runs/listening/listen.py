"""Command `listen`: a blind page with pairs of sounds, and its key; :mod:`rnnaudio.runs.voting` counts the votes."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.comparing.compare import check_target
from rnnaudio.runs.listening.page import Test, write_test
from rnnaudio.runs.listening.pairs import Kind, Names, Pair, are_matched, candidates, chosen, in_order, most_pairs
from rnnaudio.runs.listening.sounds import LEAST_SECONDS, Excerpt, Found, of_folders, of_runs
from rnnaudio.runs.listing import run_folders
from rnnaudio.runs.primes import check_seconds
from rnnaudio.seeds import check_seed
from rnnaudio.text import visible

MOST_SECONDS, MOST_MINUTES = 60.0, 60.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a listening test; RnnaudioError for values out of range.

    seconds: length of each sound; both sounds of a pair are cut to the shorter one. start: time in each file at which
    the sound begins, in seconds. minutes: limit on the time that a listener needs if each sound is heard once. seed:
    random seed of the choice of pairs, of their order and sides, and of the sampling by runs.
    """

    seconds: float = 10.0
    start: float = 0.0
    minutes: float = 10.0
    seed: int = 2016

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not LEAST_SECONDS <= self.seconds <= MOST_SECONDS:
            raise RnnaudioError(
                f"seconds is {self.seconds:g}; expected {LEAST_SECONDS:g} to {MOST_SECONDS:g}: whoever hears more has "
                "forgotten the beginning"
            )
        if not 0.0 < self.minutes <= MOST_MINUTES:
            raise RnnaudioError(f"minutes is {self.minutes:g}; expected more than 0, and {MOST_MINUTES:g} at most")
        if not self.n_most:
            least = (2.0 * self.seconds + 5.0) / 60.0
            raise RnnaudioError(f"minutes is {self.minutes:g}, too short for a pair: expected {least:.2g} or more")
        if self.start:
            check_seconds(self.start, "start")

    @property
    def n_most(self) -> int:
        """Largest number of pairs that fits into ``minutes``."""
        return most_pairs(self.minutes, self.seconds)


def listen(folder: Path, out: Path, settings: Settings, *, overwrite: bool = False) -> str:
    """Write the page ``out`` and its key; return text on what was written and what was left out.

    folder: holds a folder of sounds for each condition, or holds runs, in it or below it. Each run is then a condition
    and continues the same primes; the recording is one more condition. The same folder and settings give the same
    pairs, order, sides and key.

    RnnaudioError if there are fewer than two conditions, if no corpus of the runs is where it was in training, if
    ``out`` does not end in .html, or if page or key cannot be written, or exist and ``overwrite`` is off.
    """
    folder, out = Path(folder), Path(out)
    if out.suffix.lower() != ".html":
        raise RnnaudioError(f"{out}: expected a name that ends in .html")
    key = out.with_suffix(".key.json")
    for target in (out, key):
        check_target(target, overwrite)
    found = _found(folder, settings)
    _require_two(folder, found)
    names = {condition: in_order(list(sounds)) for condition, sounds in found.excerpts.items()}
    of_kinds = candidates(names)
    pairs = chosen(of_kinds, settings.n_most, settings.seed)
    on_levels = write_test(out, key, Test(pairs, found.excerpts, settings.seed))
    notes = [*_on_the_choice(names, of_kinds, pairs), *_on_lengths(pairs, found), *on_levels]
    minutes = max(1.0, len(pairs) * settings.minutes / settings.n_most)
    lines = [f"left out: {visible(reason)}" for reason in found.left_out] + [f"note: {note}" for note in notes]
    lines.append(
        f"wrote {out}: {_n(len(pairs), 'pair')} of {len(names)} conditions ({', '.join(names)}), about {minutes:.0f} "
        f"min, {out.stat().st_size / 1e6:.1f} MB; which is which: {key}, for `rnnaudio votes`"
    )
    return "\n".join(lines)


def _require_two(folder: Path, found: Found) -> None:
    if len(found.excerpts) < 2:
        one = "".join(f" ({name})" for name in found.excerpts)
        reasons = "".join(f"; {visible(reason)}" for reason in found.left_out)
        raise RnnaudioError(
            f"{folder}: got {len(found.excerpts) or 'no'} condition{one}, expected two or more: a folder of sounds "
            f"for each, or runs{reasons}"
        )


def _found(folder: Path, settings: Settings) -> Found:
    """Generate sounds by the runs in and below a folder; if it holds no runs, read its folders of sounds."""
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "no such folder"
        raise RnnaudioError(f"{folder}: {what}; expected a folder with a folder of sounds for each condition, or runs")
    try:
        below = sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))
    except OSError as error:
        raise RnnaudioError(f"{folder} cannot be read: {error.strerror}; mend this") from error
    runs = list(run_folders(folder, lambda error: None))
    if not runs:
        return of_folders(below, settings.start, settings.seconds)
    n_conditions = len(runs) + 1
    n_primes = max(1, settings.n_most // (n_conditions * (n_conditions - 1) // 2))
    found = of_runs([folder], settings.seconds, n_primes, settings.seed)
    others = [place for place in below if not any(os.path.commonpath([place, run]) == str(place) for run in runs)]
    return Found(found.excerpts, [*found.left_out, *(f"{place}: it holds no run, as others do" for place in others)])


def _n(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)


def _on_the_choice(names: Names, of_kinds: dict[Kind, list[Pair]], pairs: Sequence[Pair]) -> list[str]:
    """Return remarks on how sounds were paired, and on pairs left out for lack of sounds or of time."""
    notes = [] if are_matched(names) else ["names of sounds differ by condition: they are paired in their order"]
    if len(pairs) < len(of_kinds):
        notes.append(f"there is no time for each two of {len(names)} conditions: {len(pairs)} of {len(of_kinds)} meet")
    poorest = min(of_kinds, key=lambda kind: len(of_kinds[kind]))
    n_least = len(of_kinds[poorest])
    if n_least < max(map(len, of_kinds.values())) and len(pairs) == n_least * len(of_kinds):
        notes.append(
            f"{' and '.join(poorest)} have {_n(n_least, 'pair')}, so there are as many of each two conditions"
        )
    return notes


def _on_lengths(pairs: Sequence[Pair], found: Found) -> list[str]:
    """Return a remark, in a list, if the sounds of some pairs differ in length; else an empty list."""
    cut: list[tuple[float, Excerpt]] = []
    for pair in pairs:
        a, b = (found.excerpts[side.condition][side.sound] for side in pair)
        if abs(a.seconds - b.seconds) > 0.01:
            cut.append(min((a.seconds, a), (b.seconds, b), key=lambda one: one[0]))
    if not cut:
        return []
    seconds, shortest = min(cut, key=lambda one: one[0])
    which = f"the shortest: {seconds:.3g} s, {visible(shortest.file)}"
    return [f"sounds of different lengths are cut to the shorter one in {_n(len(cut), 'pair')} ({which})"]
