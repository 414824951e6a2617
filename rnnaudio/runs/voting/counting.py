"""Counting of votes on any blind page; its key tells whether they are ratings or choices between two sounds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from rnnaudio.errors import RnnaudioError
from rnnaudio.records import Record
from rnnaudio.report.pairs import A, B
from rnnaudio.runs.voting.files import read
from rnnaudio.runs.voting.preferences import Pair, Preferences, SideEntry, count_preferences
from rnnaudio.runs.voting.ratings import Ratings, count_ratings
from rnnaudio.schema import checked
from rnnaudio.text import visible

KEY = "key of a blind page, the .key.json that `compare --blind` or `listen` has written beside it"


def count(key: Path, files: Sequence[Path]) -> Ratings | Preferences:
    """Count the votes in ``files`` on the page of ``key``, the file that `compare --blind` or `listen` has written.

    RnnaudioError if the key cannot be read or is no key, or if no file with valid votes is left.
    """
    content = read(key, KEY)
    page = content.get("page")
    if isinstance(page, str) and "pairs" in content:
        return count_preferences(page, _pairs(key, content), files)
    clips = content.get("clips")
    if not isinstance(page, str) or not isinstance(clips, dict) or not clips or not all(map(_is_text, clips.values())):
        raise RnnaudioError(f"{key} is no {KEY}")
    return count_ratings(page, {letter: visible(name) for letter, name in clips.items()}, files)


class PairEntry(TypedDict):
    """Entry of a key for a pair, with the sound on side A and the one on side B."""

    A: SideEntry
    B: SideEntry


def _pairs(key: Path, content: Record) -> dict[str, Pair]:
    try:
        pairs: dict[str, PairEntry] = checked(content["pairs"], dict[str, PairEntry], "pairs")
    except RnnaudioError as error:
        raise RnnaudioError(
            f"{key} is no key of a listening test: {error}; name the one that `listen` wrote"
        ) from error
    if not pairs:
        raise RnnaudioError(f"{key} is the key of no pairs; name the one that `listen` wrote")
    return {number: {A: pair["A"], B: pair["B"]} for number, pair in pairs.items()}


def _is_text(value: object) -> bool:
    return isinstance(value, str)
