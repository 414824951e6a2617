"""Amount of music in a corpus that a run can use: pieces shorter than a training or validation window are skipped."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rnnaudio.data.corpus import Split
from rnnaudio.errors import RnnaudioError

Figures = dict[str, float | int]


class Need(NamedTuple):
    """Length, ``n_samples``, that a piece of a split must have for a run to use it.

    settings: names of the settings that determine this length, as words for an error message.
    """

    split: Split
    n_samples: int
    settings: str

    @property
    def seconds(self) -> float:
        return self.n_samples / self.split.sample_rate_hz

    def figures(self) -> Figures:
        """Return the amount of music that can be used, as entries of a run's record.

        usable_seconds
            total length of the pieces that are long enough.
        of_seconds
            total length of all pieces of the split.
        too_short_pieces
            number of pieces that are too short.
        window_seconds
            the length that a piece must have.
        """
        usable = [piece.n_samples for piece in self.split.pieces if piece.n_samples >= self.n_samples]
        return {
            "usable_seconds": round(sum(usable) / self.split.sample_rate_hz, 3),
            "of_seconds": round(self.split.seconds, 3),
            "too_short_pieces": len(self.split.pieces) - len(usable),
            "window_seconds": round(self.seconds, 6),
        }


class Needs(NamedTuple):
    """Lengths that pieces must have for training and for validation."""

    train: Need
    valid: Need


def check(needs: Needs, path: Path) -> None:
    """Raise RnnaudioError, with the length needed, if all pieces for training, or all for validation, are too short.

    path: the corpus, for the message.
    """
    for words, need in (("training", needs.train), ("validation", needs.valid)):
        longest = max((piece.n_samples for piece in need.split.pieces), default=0)
        seconds = longest / need.split.sample_rate_hz
        if longest < need.n_samples:
            raise RnnaudioError(
                f"{path}: the longest {words} piece has {seconds:.3g} s ({longest} samples), a window needs "
                f"{need.seconds:.3g} s ({need.n_samples}): lower {need.settings}, or build the corpus of longer pieces"
            )


def record_of(needs: Needs) -> dict[str, Figures]:
    """Return :meth:`Need.figures` by split, ``train`` and ``valid``, as an entry of a run's record."""
    return {"train": needs.train.figures(), "valid": needs.valid.figures()}


def in_words(record: Mapping[str, Figures]) -> str:
    """Format a result of :func:`record_of` as text.

    One line is on training; another is on validation, if any validation piece is too short.
    """
    lines = [_line("training", record["train"])]
    if record["valid"]["too_short_pieces"]:
        lines.append(_line("validating", record["valid"]))
    return "\n".join(lines)


def _line(what: str, figures: Figures) -> str:
    n = figures["too_short_pieces"]
    short = f": {n} piece{'s are' if n > 1 else ' is'} shorter than a window of {figures['window_seconds']:.3g} s"
    return f"{what} on {figures['usable_seconds']:.1f} of {figures['of_seconds']:.1f} s{short if n else ''}"
