"""Results of blind comparisons: votes from 1 to 5 on each sound."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.errors import RnnaudioError
from rnnaudio.report.players import MARKS
from rnnaudio.runs.voting.files import ballots
from rnnaudio.text import visible


class Tally(NamedTuple):
    """The votes on one sound: one number, 1 to 5, for each listener.

    name: the folder of the run, or ``the recording``.
    """

    name: str
    votes: list[int]

    @property
    def mean(self) -> float:
        """Mean vote; NaN without votes."""
        return float(np.mean(self.votes)) if self.votes else float("nan")

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; NaN for fewer than two votes."""
        n = len(self.votes)
        return float(np.std(self.votes, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


class Ratings(NamedTuple):
    """Result of a blind comparison: tallies by mean vote, highest first, and reasons for files left out."""

    tallies: list[Tally]
    left_out: list[str]

    @property
    def notes(self) -> list[str]:
        return []

    def as_table(self) -> str:
        """Format the tallies as a text table."""
        width = max(len(tally.name) for tally in self.tallies)
        lines = [f"{'sound':{width}}  votes  mean  standard error"]
        for tally in self.tallies:
            numbers = (f"{value:.2f}" if np.isfinite(value) else "-" for value in (tally.mean, tally.standard_error))
            mean, error = numbers
            lines.append(f"{tally.name:{width}}  {len(tally.votes):5d}  {mean:>4}  {error:>14}")
        return "\n".join(lines)

    def as_json(self) -> str:
        """Format the tallies as a JSON array; NaN becomes null."""
        rows = [
            tally._asdict() | {"mean": tally.mean, "standard_error": tally.standard_error} for tally in self.tallies
        ]
        plain = [
            {k: v if not isinstance(v, float) or np.isfinite(v) else None for k, v in row.items()} for row in rows
        ]
        return json.dumps(plain, indent=2, allow_nan=False)


def count_ratings(page: str, clips: Mapping[str, str], files: Sequence[Path]) -> Ratings:
    """Count the votes on the sounds of a page.

    page: identifier of the page. clips: names of the sounds by letter. For errors and files left out see
    :func:`ballots`.
    """

    def checked(letter: str, vote: Any) -> int:
        if letter not in clips or type(vote) is not int or vote not in MARKS:
            expected = f"a vote of {min(MARKS)} to {max(MARKS)} on one of {', '.join(clips)}"
            raise RnnaudioError(f"got {visible(str(vote))} for {visible(letter)}, expected {expected}")
        return vote

    read, left_out = ballots(files, page, checked)
    tallies = {letter: Tally(name, []) for letter, name in clips.items()}
    for ballot in read:
        for letter, vote in ballot.votes.items():
            tallies[letter].votes.append(vote)
    return Ratings(sorted(tallies.values(), key=lambda tally: -np.nan_to_num(tally.mean)), left_out)
