"""Results of listening tests: votes for the better sound of each pair, and the share won by each condition."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypedDict

import numpy as np

from rnnaudio.audio.arrays import Array
from rnnaudio.errors import RnnaudioError
from rnnaudio.report.pairs import TIE, A, B
from rnnaudio.runs.voting.files import Ballot, ballots
from rnnaudio.text import visible

QUANTILE = 1.959963984540054  # of the normal distribution at .975
N_SAMPLES, SEED = 10_000, 2016  # of the bootstrap
LEAST_ONE_SIDED = 6  # votes for one side and none for the other: by chance in 2 of 64 listeners


class SideEntry(TypedDict):
    """Entry of a key for one sound of a pair."""

    condition: str
    sound: str
    file: str


Pair: TypeAlias = Mapping[str, SideEntry]  # by side, A and B


class Standing(NamedTuple):
    """Result of a condition: numbers of votes won, tied and lost, and the share won with its 95 % interval.

    A tie counts as half. ``low`` and ``high`` are the ends of the interval; share and interval are NaN without votes.
    """

    condition: str
    won: int
    tied: int
    lost: int
    share: float
    low: float
    high: float


class Meeting(NamedTuple):
    """Votes on the pairs of two conditions: numbers won, tied and lost by the first, ``condition``."""

    condition: str
    other: str
    won: int
    tied: int
    lost: int


class Preferences(NamedTuple):
    """The outcome of a listening test.

    standings: results of the conditions, the highest share first. meetings: votes for every two conditions. n_pairs:
    number of pairs on the page. left_out: reasons for files that were not counted. notes: remarks on listeners.
    """

    standings: list[Standing]
    meetings: list[Meeting]
    n_pairs: int
    n_listeners: int
    left_out: list[str]
    notes: list[str]

    def as_table(self) -> str:
        """Format standings and meetings as two text tables."""
        width = max(9, *(len(standing.condition) for standing in self.standings))
        lines = [
            f"{_n(self.n_listeners, 'listener')}, {_n(self.n_pairs, 'pair')}, "
            f"{_n(sum(sum(meeting[2:]) for meeting in self.meetings), 'vote')}, "
            f"{_n(sum(meeting.tied for meeting in self.meetings), 'tie')}",
            "",
            f"{'condition':{width}}  won  tied  lost  share won  95 % interval",
        ]
        for one in self.standings:
            interval = "-" if np.isnan(one.low) else f"{one.low:.2f} to {one.high:.2f}"
            share = "-" if np.isnan(one.share) else f"{one.share:.2f}"
            lines.append(
                f"{one.condition:{width}}  {one.won:3d}  {one.tied:4d}  {one.lost:4d}  {share:>9}  {interval}"
            )
        pairs = [f"{meeting.condition} against {meeting.other}" for meeting in self.meetings]
        width = max(map(len, pairs))
        lines += ["", f"{'pairs':{width}}  won  tied  lost"]
        for name, meeting in zip(pairs, self.meetings, strict=True):
            lines.append(f"{name:{width}}  {meeting.won:3d}  {meeting.tied:4d}  {meeting.lost:4d}")
        return "\n".join(lines)

    def as_json(self) -> str:
        """Format everything as a JSON object; NaN becomes null."""
        rows = [{k: _plain(v) for k, v in standing._asdict().items()} for standing in self.standings]
        content = self._asdict() | {"standings": rows, "meetings": [meeting._asdict() for meeting in self.meetings]}
        return json.dumps(content, indent=2, allow_nan=False)


def _n(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def count_preferences(page: str, pairs: Mapping[str, Pair], files: Sequence[Path]) -> Preferences:
    """Count the votes on the pairs of a page.

    page: identifier of the page. pairs: pairs by number. The votes of all listeners are pooled. A listener who votes
    for one side only, who votes only ties, or who leaves out pairs is counted, and named in the notes. For errors and
    files left out see :func:`ballots`.
    """

    def checked(number: str, vote: Any) -> str:
        if number not in pairs or vote not in (A, B, TIE):
            got = f"{visible(json.dumps(vote))} for pair {visible(number)}"
            raise RnnaudioError(f'got {got}, expected "A", "B" or "tie" for a pair of 1 to {len(pairs)}')
        return str(vote)

    read, left_out = ballots(files, page, checked)
    votes = [(pairs[number], vote) for ballot in read for number, vote in ballot.votes.items()]
    conditions = list(dict.fromkeys(visible(pair[side]["condition"]) for pair in pairs.values() for side in (A, B)))
    standings = [_standing(condition, votes) for condition in sorted(conditions)]
    standings.sort(key=lambda standing: -np.nan_to_num(standing.share, nan=-1.0))
    order = [standing.condition for standing in standings]
    return Preferences(
        standings, _meetings(votes, order), len(pairs), len(read), left_out, list(_on_listeners(read, len(pairs)))
    )


def _outcomes(condition: str, votes: Sequence[tuple[Pair, str]]) -> Iterator[tuple[str, str, float]]:
    """Yield a triple for each vote on a pair of ``condition``.

    It is the condition's sound, the other condition, and the share won: 1, .5 for a tie, or 0.
    """
    for pair, vote in votes:
        for side, other in ((A, B), (B, A)):
            if visible(pair[side]["condition"]) == condition:
                share = 0.5 if vote == TIE else float(vote == side)
                yield pair[side]["sound"], visible(pair[other]["condition"]), share


def _standing(condition: str, votes: Sequence[tuple[Pair, str]]) -> Standing:
    outcomes = list(_outcomes(condition, votes))
    of_sounds: dict[str, list[float]] = {}
    for sound, _, share in outcomes:
        of_sounds.setdefault(sound, []).append(share)
    counts = Counter(share for _, _, share in outcomes)
    share = float(np.mean([share for *_, share in outcomes])) if outcomes else float("nan")
    return Standing(condition, counts[1.0], counts[0.5], counts[0.0], share, *interval(list(of_sounds.values())))


def interval(of_sounds: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Compute the 95 % interval of a mean share, from the shares, 0 to 1, won by each sound in its votes.

    With one vote on each sound it is Wilson's interval for the n votes: with p their mean and z = 1.96,

        (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Votes on the same sound are not independent. With several votes on some sound the interval is a bootstrap: the
    sounds, each with all its votes, are sampled with replacement 10,000 times, and the interval is the range of the
    middle 95 % of the means. If this range has no width, as when a condition has always won, or if there are fewer
    than three sounds, the interval is Wilson's with n the number of sounds. NaN without votes. Wilson, E. B. (1927),
    J. Am. Stat. Assoc. 22.
    """
    if not of_sounds:
        return float("nan"), float("nan")
    sums = np.array([sum(shares) for shares in of_sounds])
    counts = np.array([len(shares) for shares in of_sounds])
    n, mean = len(of_sounds), float(sums.sum() / counts.sum())
    if counts.max() == 1 or n < 3:
        return _wilson(mean, n)
    low, high = np.quantile(_resampled(sums, counts), [0.025, 0.975])
    return (float(low), float(high)) if high > low else _wilson(mean, n)


def _wilson(p: float, n: int) -> tuple[float, float]:
    z = QUANTILE
    centre, scale = p + z**2 / (2 * n), 1.0 + z**2 / n
    half = z * np.sqrt(p * (1.0 - p) / n + z**2 / (4 * n**2))
    return float(max(0.0, (centre - half) / scale)), float(min(1.0, (centre + half) / scale))


def _resampled(sums: Array, counts: Array) -> Array:
    """Compute the means of 10,000 samples of the sounds with replacement, (10,000,).

    sums, counts: sum and number of the votes on each sound, (n,).
    """
    rng = np.random.default_rng(SEED)
    means = np.empty(N_SAMPLES)
    for k in range(N_SAMPLES):
        some = rng.integers(0, len(sums), len(sums))
        means[k] = sums[some].sum() / counts[some].sum()
    return means


def _meetings(votes: Sequence[tuple[Pair, str]], order: Sequence[str]) -> list[Meeting]:
    """Count the votes on every two conditions; the first of a meeting is the one earlier in ``order``."""
    meetings = []
    for k, condition in enumerate(order):
        outcomes = list(_outcomes(condition, votes))
        for other in order[k + 1 :]:
            counts = Counter(share for _, met, share in outcomes if met == other)
            if counts:
                meetings.append(Meeting(condition, other, counts[1.0], counts[0.5], counts[0.0]))
    return meetings


def _on_listeners(read: Sequence[Ballot[str]], n_pairs: int) -> Iterator[str]:
    """Yield remarks on listeners who voted for one side only, who only voted ties, or who left out pairs."""
    for ballot in read:
        counts = Counter(ballot.votes.values())
        n, (side, n_side) = len(ballot.votes), max(((s, counts[s]) for s in (A, B)), key=lambda one: one[1])
        if n_side >= LEAST_ONE_SIDED and n_side + counts[TIE] == n:
            always = "always" if n_side == n else f"in all {n_side} votes that are no tie"
            yield f"{ballot.name} voted {side} {always}: count without this file, and see what changes"
        if n == counts[TIE] and n >= LEAST_ONE_SIDED:
            yield f"{ballot.name} voted a tie in all {n} pairs"
        if n < n_pairs:
            yield f"{ballot.name} voted on {n} of {n_pairs} pairs"
