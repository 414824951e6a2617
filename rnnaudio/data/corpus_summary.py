"""Summary of a corpus: level, clipping and silence of each piece, durations of the splits, and a table of them."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from rnnaudio.corpus_file.layout import SAMPLE_SCALE, SPLITS, blocks, text_of
from rnnaudio.data.sources import LeftOut, as_lines
from rnnaudio.decoder.checksums import format_without
from rnnaudio.records import parsed
from rnnaudio.text import in_shell, visible

SILENCE_DBFS = -60.0
FULL_SCALE = 0.999
MAX_ROWS = 40
MOST_LEVEL_DIFFERENCE_DB = 20.0
QUIET_DBFS = -45.0
MOST_CLIPPED = 0.001
MOST_SILENT = 0.5
# How the notes on these end.
LEVEL_NOTE = ": --normalise brings all to one level"
CLIPPED_NOTE = " of its samples are at full scale"
SILENT_NOTE = " of its time: --drop-silence shortens silences of more than 1 s"
SAME_NOTE = " are the same sound"
GROUPS_NOTE = re.compile(r"\d+ pieces form \d+ groups, each in one split")
EARLIER_SILENT_NOTE = " of its time: --drop-silence cuts that"  # in corpora that lie on disks


@dataclass(frozen=True)
class PieceSummary:
    """Measurements of one piece as stored in the file.

    seconds
        length in seconds.
    rms_dbfs
        rms level in dB relative to full scale, not below -120.
    clipped_share
        share of samples whose magnitude is at least 0.999 of full scale.
    silent_share
        share of frames of 20 ms whose rms is below -60 dBFS.
    """

    title: str
    split: str
    seconds: float
    rms_dbfs: float
    clipped_share: float
    silent_share: float


@dataclass(frozen=True)
class CorpusSummary:
    """Summary of a corpus; `str()` returns it as a table.

    dtype
        sample format in the file, int16 or float32.
    mean, std
        mean and standard deviation of the training samples, on the scale -1 to 1.
    notes
        texts on changes made to the pieces, and on unusual pieces.
    left_out
        files and folders that are not in the corpus, with reasons.
    n_left_out_earlier
        number of the first entries of ``left_out`` that are from the corpora from which an edited corpus was made.
    unchecked
        sentence on the files without checksums, see :func:`on_unchecked`; empty except for a corpus just built.
    """

    path: Path
    sample_rate_hz: int
    dtype: str
    mean: float
    std: float
    pieces: tuple[PieceSummary, ...]
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    n_left_out_earlier: int = 0
    unchecked: str = ""

    def seconds(self, split: str) -> float:
        """Return the duration of a split in seconds."""
        return sum(piece.seconds for piece in self.pieces if piece.split == split)

    def __str__(self) -> str:
        return self.table(MAX_ROWS)

    def table(self, most_rows: int | None = None) -> str:
        """Format the summary as a table.

        most_rows: maximum number of pieces, of notes, and of files left out on purpose, that are listed; None: all are
        listed. Files that cannot be used are always listed, except those left out earlier, which are counted.
        """
        total = sum(piece.seconds for piece in self.pieces)
        lines = [
            f"{self.path}: {_pieces(len(self.pieces))}, {_clock(total)}, {self.sample_rate_hz} Hz, {self.dtype}, "
            f"training mean {self.mean:.6f}, standard deviation {self.std:.6f}"
        ]
        for split in SPLITS:
            n_pieces = sum(piece.split == split for piece in self.pieces)
            lines.append(
                f"  {split:5}  {_clock(self.seconds(split)):>10}  {self.seconds(split) / total:6.1%}  "
                f"{_pieces(n_pieces)}"
            )
        lines.append(f"  {'split':5}  {'duration':>10}  {'rms dBFS':>8}  {'clipped':>8}  {'silent':>7}  title")
        for piece in self.pieces[:most_rows]:
            lines.append(
                f"  {piece.split:5}  {_clock(piece.seconds):>10}  {piece.rms_dbfs:8.1f}  "
                f"{piece.clipped_share:8.3%}  {piece.silent_share:7.1%}  {piece.title}"
            )
        if most_rows is not None and len(self.pieces) > most_rows:
            lines.append(f"  ... and {len(self.pieces) - most_rows} more")
        lines += [f"  note: {note}" for note in _shortened(self.notes, most_rows)]
        left_out = self.left_out[self.n_left_out_earlier :]
        faults = [one for one in left_out if one.is_fault]
        others = [one for one in left_out if not one.is_fault]
        lines += [f"  skipped: {line}" for line in _shortened(as_lines(others), most_rows)]
        if faults:
            lines.append(f"  {len(faults)} could not be used:")
            lines += [f"    {line}" for line in as_lines(faults)]
        if self.n_left_out_earlier:
            lines.append(f"  {self.n_left_out_earlier} left out before: rnnaudio corpus info {in_shell(self.path)}")
        lines += [f"  {self.unchecked}"] if self.unchecked else []
        return "\n".join(map(visible, lines))


def on_unchecked(files: Iterable[Path]) -> str:
    """Make a sentence that counts the files whose formats have no checksums; empty if there are no such files.

    Files that cannot be read are ignored.
    """
    formats: Counter[str] = Counter()
    for file in files:
        with suppress(OSError):  # moved since it was read
            formats[format_without(os.fspath(file))] += 1
    del formats[""]
    if not formats:
        return ""
    names = ", ".join(sorted(formats))
    return f"{formats.total()} files of formats without checksums ({names}): damage inside them cannot be noticed"


def same_note(names: Sequence[str], splits: Sequence[str]) -> str:
    """Make a note on pieces with the same sound, given the name and the split of each."""
    apart = f", but in {' and '.join(split for split in SPLITS if split in splits)}" * (len(set(splits)) > 1)
    return f"{', '.join(names)}{SAME_NOTE}{apart}"


def is_of_the_whole(note: str) -> bool:
    """Return True if a note becomes outdated when pieces are added to the corpus or removed from it.

    These are the notes of :func:`notes_on`, which are then made anew, and the note on the number of groups, which are
    counted anew when pieces are assigned to splits.
    """
    ends = (LEVEL_NOTE, CLIPPED_NOTE, SILENT_NOTE, EARLIER_SILENT_NOTE)
    return note.endswith(ends) or bool(GROUPS_NOTE.fullmatch(note))


def notes_of(file: h5py.File) -> list[str]:
    """Read the notes stored in a corpus; [] if there are none or they are damaged."""
    return [note for note in _entries(file, "notes") if isinstance(note, str)]


def left_out_of(file: h5py.File) -> list[LeftOut]:
    """Read the list, stored in a corpus, of files and folders left out; [] if there is none or it is damaged."""
    return [LeftOut(*row) for row in _entries(file, "left_out") if _is_left_out(row)]


def _is_left_out(row: object) -> bool:
    return isinstance(row, list) and [type(value) for value in row] == [str, str, bool]


def _entries(file: h5py.File, name: str) -> list[Any]:
    try:
        entries = parsed(text_of(file, name))
    except (KeyError, TypeError, ValueError):
        return []
    return entries if isinstance(entries, list) else []


def notes_on(pieces: Sequence[PieceSummary]) -> list[str]:
    """Make notes on unusual pieces; a note ends with the option that helps, if there is one.

    There is a note if the median level of the pieces is below -45 dBFS, and one for each piece that is more than 20 dB
    from the median level, has more than .1 % of its samples at full scale, or is silent for more than half of its
    time.
    """
    notes = []
    median = float(np.median([piece.rms_dbfs for piece in pieces]))
    if median < QUIET_DBFS:
        notes.append(f"the median level of the pieces is {median:.0f} dBFS, which is very quiet{LEVEL_NOTE}")
    for piece in pieces:
        difference = piece.rms_dbfs - median
        if abs(difference) > MOST_LEVEL_DIFFERENCE_DB:
            side = "above" if difference > 0.0 else "below"
            notes.append(
                f"{piece.title!r} is {abs(difference):.0f} dB {side} the median level of the pieces{LEVEL_NOTE}"
            )
        if piece.clipped_share > MOST_CLIPPED:
            notes.append(f"{piece.title!r} is clipped: {piece.clipped_share:.1%}{CLIPPED_NOTE}")
        if piece.silent_share > MOST_SILENT:
            notes.append(f"{piece.title!r} is silent for {piece.silent_share:.0%}{SILENT_NOTE}")
    return notes


def _shortened(lines: Sequence[str], most: int | None) -> list[str]:
    if most is None or len(lines) <= most:
        return list(lines)
    return [*lines[:most], f"... and {len(lines) - most} more"]


class Moments(NamedTuple):
    """Number of samples in a set, their mean, and the sum of their squared deviations from the mean."""

    n: int
    mean: float
    squares: float

    def merged(self, other: "Moments") -> "Moments":
        """Return the moments of the union of both sets.

        They are computed without the cancellation of sum(x^2) - n mean^2, as in Chan, Golub and LeVeque (1979).
        """
        n = self.n + other.n
        difference = other.mean - self.mean
        return Moments(
            n,
            self.mean + difference * other.n / n,
            self.squares + other.squares + difference**2 * self.n * other.n / n,
        )


def measure(piece: h5py.Dataset, sample_rate_hz: int) -> tuple[Moments, PieceSummary]:
    """Measure a stored piece on the scale -1 to 1, reading about a minute at a time; returns (moments, summary).

    OSError if a chunk of the file is damaged.
    """
    n_frame = max(1, sample_rate_hz // 50)
    moments, n_clipped, n_silent, n_frames = Moments(0, 0.0, 0.0), 0, 0, 0
    for block in blocks(piece):
        audio = np.multiply(block, SAMPLE_SCALE[piece.dtype.name], dtype=np.float64)
        mean = float(audio.mean())
        moments = moments.merged(Moments(audio.size, mean, float(np.sum((audio - mean) ** 2))))
        n_clipped += int(np.count_nonzero(np.abs(audio) >= FULL_SCALE))
        frames = audio[: audio.size // n_frame * n_frame].reshape(-1, n_frame)
        n_silent += int(np.count_nonzero(np.mean(frames**2, axis=1) < 10.0 ** (SILENCE_DBFS / 10.0)))
        n_frames += len(frames)
    power = moments.squares / moments.n + moments.mean**2
    rms_dbfs = 10.0 * float(np.log10(max(power, 1e-12)))
    return moments, PieceSummary(
        text_of(piece, "title"),
        text_of(piece, "split"),
        moments.n / sample_rate_hz,
        rms_dbfs,
        n_clipped / moments.n,
        n_silent / max(1, n_frames),
    )


def _pieces(n: int) -> str:
    return f"{n} piece{'s' * (n != 1)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"
