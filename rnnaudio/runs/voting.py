"""Votes on a blind comparison, counted."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.errors import RnnaudioError
from rnnaudio.records import Json, parsed, read_text
from rnnaudio.report.players import LEAST_VOTE, MOST_VOTE
from rnnaudio.text import visible

MOST_BYTES = 1_000_000  # of a file of votes


class Tally(NamedTuple):
    """The votes on one sound: the run's folder, or ``the recording``; one number, 1 to 5, for each listener."""

    name: str
    votes: list[int]

    @property
    def mean(self) -> float:
        """Mean vote; NaN without any."""
        return float(np.mean(self.votes)) if self.votes else float("nan")

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; NaN for fewer than two votes."""
        n = len(self.votes)
        return float(np.std(self.votes, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


def count(key: Path, files: Sequence[Path]) -> tuple[list[Tally], list[str]]:
    """Count votes by the key of their page; returns (tallies, the best liked first, and reasons for files left out).

    A file with the votes of a listener who has voted already, by name, is left out, as are files of another page and
    what is no file of votes. RnnaudioError if the key cannot be read, or no file of votes is left.
    """
    page, clips = _key(key)
    tallies = {letter: Tally(name, []) for letter, name in clips.items()}
    left_out: list[str] = []
    if not files:
        raise RnnaudioError("no votes to count: name the files that listeners have sent back")
    voters: set[str] = set()
    seen: set[Path] = set()
    n_counted = 0
    for file in files:
        try:
            if (real := Path(file).resolve()) in seen:
                raise RnnaudioError("it is named twice")
            seen.add(real)
            voter, votes = _votes(file, page, clips)
            if voter and voter in voters:
                raise RnnaudioError(f"{visible(voter)} has voted already")
        except (RnnaudioError, OSError) as error:
            left_out.append(f"{file}: {error}")
            continue
        voters.add(voter)
        n_counted += 1
        for letter, vote in votes.items():
            tallies[letter].votes.append(vote)
    if not n_counted:
        raise RnnaudioError("no votes to count: " + "; ".join(left_out))
    return sorted(tallies.values(), key=lambda tally: -np.nan_to_num(tally.mean)), left_out


def as_table(tallies: Sequence[Tally]) -> str:
    """Format tallies as a table."""
    width = max(len(tally.name) for tally in tallies)
    lines = [f"{'sound':{width}}  votes  mean  standard error"]
    for tally in tallies:
        numbers = (f"{value:.2f}" if np.isfinite(value) else "-" for value in (tally.mean, tally.standard_error))
        mean, error = numbers
        lines.append(f"{tally.name:{width}}  {len(tally.votes):5d}  {mean:>4}  {error:>14}")
    return "\n".join(lines)


def as_json(tallies: Sequence[Tally]) -> str:
    """Format tallies as a JSON array; what is not known is null."""
    rows = [tally._asdict() | {"mean": tally.mean, "standard_error": tally.standard_error} for tally in tallies]
    plain = [{k: v if not isinstance(v, float) or np.isfinite(v) else None for k, v in row.items()} for row in rows]
    return json.dumps(plain, indent=2, allow_nan=False)


def _key(path: Path) -> tuple[str, dict[str, str]]:
    content = _read(path)
    page, clips = content.get("page"), content.get("clips")
    if not isinstance(page, str) or not isinstance(clips, dict) or not clips or not all(map(_is_text, clips.values())):
        raise RnnaudioError(f"{path} is no key of a blind comparison: expected a .key.json that `compare` wrote")
    return page, {letter: visible(name) for letter, name in clips.items()}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Make a table; ValueError if a name is there twice."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name is in it twice")
    return table


def _votes(path: Path, page: str, clips: Mapping[str, str]) -> tuple[str, dict[str, int]]:
    """The listener's name, may be empty, and the votes by letter."""
    content = _read(path)
    if content.get("page") != page:
        raise RnnaudioError("it is not of this page: name the key that was written with its page")
    votes = content.get("votes")
    if not isinstance(votes, dict) or not votes:
        raise RnnaudioError("it holds no votes")
    for letter, vote in votes.items():
        if letter not in clips or type(vote) is not int or not LEAST_VOTE <= vote <= MOST_VOTE:
            expected = f"a vote of {LEAST_VOTE} to {MOST_VOTE} on one of {', '.join(clips)}"
            raise RnnaudioError(f"got {visible(str(vote))} for {visible(letter)}, expected {expected}")
    voter = content.get("voter", "")
    if not isinstance(voter, str):
        raise RnnaudioError(f"the voter is {visible(str(voter))}; expected a text")
    return " ".join(voter.casefold().split()), votes


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parsed(read_text(path, MOST_BYTES), object_pairs_hook=_once)
    except OSError as error:
        raise RnnaudioError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RnnaudioError(f"{path} is no file of votes: {error}") from error
    if not isinstance(content, dict):
        raise RnnaudioError(f"{path} is no file of votes: expected an object")
    return content
