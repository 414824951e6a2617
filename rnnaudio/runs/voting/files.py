"""Reading of keys of blind pages and of files of votes, which come from unknown sources."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from rnnaudio.errors import RnnaudioError
from rnnaudio.records import Json, Record, parsed, read_text
from rnnaudio.text import visible

MOST_BYTES = 1_000_000  # of a file of votes
V = TypeVar("V")


class Ballot(NamedTuple, Generic[V]):
    """The votes of a listener.

    voter: the name that the listener gave, in lower case; may be empty. file: the file that the votes were read from.
    votes: the votes, by letter of the sound or number of the pair.
    """

    voter: str
    file: Path
    votes: dict[str, V]

    @property
    def name(self) -> str:
        """Designation of the listener in messages: the name, if there is one, and the file."""
        return f"{visible(self.voter)} ({self.file})" if self.voter else str(self.file)


def read(path: Path, kind: str = "file of votes") -> Record:
    """Read the JSON object in a file; ``kind``: what the file should be, for error messages.

    RnnaudioError if the file cannot be read, has over 1 MB, is cut off, or does not hold a JSON object, or if a name
    occurs twice in an object.
    """
    try:
        content = parsed(read_text(path, MOST_BYTES), object_pairs_hook=_once)
    except OSError as error:
        raise RnnaudioError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RnnaudioError(f"{path} is no {kind}: {error}") from error
    if not isinstance(content, dict):
        raise RnnaudioError(f"{path} is no {kind}: expected an object")
    return content


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Make a dict of key-value pairs; ValueError if a key occurs twice."""
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name is in it twice")
    return table


def ballots(files: Sequence[Path], page: str, checked: Callable[[str, Any], V]) -> tuple[list[Ballot[V]], list[str]]:
    """Read the votes on a page; return (ballots, reasons for files left out).

    page: identifier of the page. checked: function that takes the name of a sound or pair and the vote as read, and
    returns the vote, or raises RnnaudioError if it is not valid. Left out are files with invalid votes, files of
    another page, files that hold no votes, files named twice, and files of a listener whose name an earlier file has.
    RnnaudioError if no file is left.
    """
    if not files:
        raise RnnaudioError("no votes to count: name the files that listeners have sent back")
    left_out: list[str] = []
    read_so_far: list[Ballot[V]] = []
    voters: set[str] = set()
    seen: set[Path] = set()
    for file in files:
        try:
            if (real := Path(file).resolve()) in seen:
                raise RnnaudioError("it is named twice")
            seen.add(real)
            ballot = _ballot(Path(file), page, checked)
            if ballot.voter and ballot.voter in voters:
                raise RnnaudioError(f"{visible(ballot.voter)} has voted already")
        except (RnnaudioError, OSError) as error:
            reason = str(error)
            left_out.append(reason if reason.startswith(str(file)) else f"{file}: {reason}")
            continue
        voters.add(ballot.voter)
        read_so_far.append(ballot)
    if not read_so_far:
        raise RnnaudioError("no votes to count: " + "; ".join(left_out))
    return read_so_far, left_out


def _ballot(path: Path, page: str, checked: Callable[[str, Any], V]) -> Ballot[V]:
    content = read(path)
    if content.get("page") != page:
        raise RnnaudioError("it is not of this page: name the key that was written with its page")
    votes = content.get("votes")
    if not isinstance(votes, dict) or not votes:
        raise RnnaudioError("it holds no votes")
    voter = content.get("voter", "")
    valid = {on: checked(on, vote) for on, vote in votes.items()}
    if not isinstance(voter, str):
        raise RnnaudioError(f"the voter is {visible(str(voter))}; expected a text")
    return Ballot(" ".join(voter.casefold().split()), path, valid)
