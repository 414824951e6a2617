"""Counting of votes on blind pages: ratings from 1 to 5 of single sounds, or choices of the better sound of a pair."""

from rnnaudio.runs.voting.counting import count
from rnnaudio.runs.voting.files import MOST_BYTES
from rnnaudio.runs.voting.ratings import Tally

__all__ = ["MOST_BYTES", "Tally", "count"]
