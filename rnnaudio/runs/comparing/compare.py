"""Command `compare`: one page with the same prime continued by several runs, at one loudness.

The page of an open comparison has learning curves and settings, too. The page of a blind comparison has sounds only,
under letters; a key file beside it tells which run is which, and :mod:`rnnaudio.runs.voting` counts the saved votes.
"""

from collections.abc import Sequence
from pathlib import Path

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.comparing.entries import Entry, entries_in
from rnnaudio.runs.comparing.page import write_blind, write_open
from rnnaudio.runs.comparing.sounds import Asked, clips_of, stretch_of
from rnnaudio.runs.continuing import SamplingOptions
from rnnaudio.runs.primes import check_seconds
from rnnaudio.text import visible

MOST_SECONDS = 600.0  # of each sound: a page of hours would fit into no browser


def compare(places: Sequence[Path], out: Path, asked: Asked, *, overwrite: bool = False) -> str:
    """Write the page ``out`` on the runs in ``places``; return text on what was written and what was left out.

    places: folders of runs, or folders with runs in or below them; a run that is named twice appears once. Runs that
    cannot be loaded or played are left out, with the reason.

    RnnaudioError if fewer than two runs are left, if no corpus of the runs is found for a prime and no file is given,
    for lengths out of range, if ``out`` does not end in .html, or if page or key (of a blind comparison) cannot be
    written, or exist and ``overwrite`` is off.
    """
    _check(asked)
    if out.suffix.lower() != ".html":
        raise RnnaudioError(f"{out}: expected a name that ends in .html")
    key = out.with_suffix(".key.json")
    for target in (out, key) if asked.blind else (out,):
        check_target(target, overwrite)
    entries, left_out = entries_in(places)
    _require_two(entries, left_out)
    stretch = stretch_of(entries, asked)
    if asked.blind and len(stretch.original):  # a length of its own would tell the recording from the rest
        asked = asked._replace(seconds=min(asked.seconds, len(stretch.original) / stretch.sample_rate_hz))
    clips, lives = clips_of(entries, stretch, asked, left_out)
    entries = [entry for entry in entries if entry.name in clips]
    _require_two(entries, left_out)
    if asked.blind:
        write_blind(out, key, entries, clips, stretch)
    else:
        write_open(out, entries, clips, lives, stretch)
    notes = [f"left out: {visible(reason)}" for reason in left_out]
    which = f"; which is which: {visible(key)}, for `rnnaudio votes`" if asked.blind else ""
    size = f"{out.stat().st_size / 1e6:.1f} MB"
    return "\n".join([*notes, f"wrote {visible(out)}: {len(entries)} runs, {size}{which}"])


def _check(asked: Asked) -> None:
    asked.prime.check()
    SamplingOptions(seed=asked.seed)  # raises
    check_seconds(asked.seconds, "seconds")
    if asked.seconds > MOST_SECONDS:
        raise RnnaudioError(
            f"seconds is {asked.seconds:g}; expected {MOST_SECONDS:g} at most on a page; `generate` writes hours"
        )
    if asked.prime_seconds is not None:
        check_seconds(asked.prime_seconds, "prime_seconds")


def check_target(target: Path, overwrite: bool) -> None:
    """Raise RnnaudioError if ``target`` cannot be written, or if it exists and ``overwrite`` is off."""
    if not target.parent.is_dir():
        raise RnnaudioError(f"{target}: there is no folder {target.parent}; make it, or name another")
    if target.is_dir():
        raise RnnaudioError(f"{target} is a folder; name a file")
    if target.exists() and not overwrite:
        raise RnnaudioError(f"{target} exists: choose another name, or replace it with --overwrite")


def _require_two(entries: Sequence[Entry], left_out: Sequence[str]) -> None:
    if len(entries) < 2:
        reasons = "".join(f"; {reason}" for reason in left_out)
        one = f" ({entries[0].run_dir})" if entries else ""
        found = "1 run" if entries else "no run"
        raise RnnaudioError(f"got {found}{one} to compare, expected two or more: name others{reasons}")
