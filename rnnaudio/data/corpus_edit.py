"""Changes to a corpus: add recordings, remove pieces, merge corpora. Each change writes a complete new file.

Pieces of the old corpora are passed to :func:`rnnaudio.data.corpus_build.write_corpus` like new recordings, but are
neither cleaned nor joined. Their texts and splits stay the same, and so do their samples unless they are resampled.
"""

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.cleaning import AS_IT_IS, Cleaning
from rnnaudio.corpus_file.layout import SAMPLE_SCALE, SPLITS, text_of
from rnnaudio.data.corpus_build import (
    USUAL_CLEANING,
    USUAL_SPLITTING,
    Plan,
    Recording,
    check_settings,
    plan_of,
    write_corpus,
)
from rnnaudio.data.corpus_format import open_checked
from rnnaudio.data.corpus_splits import Splitting
from rnnaudio.data.corpus_summary import (
    SAME_NOTE,
    CorpusSummary,
    is_of_the_whole,
    left_out_of,
    measure,
    notes_of,
    same_note,
)
from rnnaudio.data.corpus_verify import Verification
from rnnaudio.data.sources import IN_THE_CORPUS, LeftOut
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owned_file
from rnnaudio.registry import nearest
from rnnaudio.text import in_shell

MOST_NAMES = 12


class _Earlier(NamedTuple):
    """An open corpus from which pieces are taken: sample rate, sample format, and a plan that holds its pieces."""

    sample_rate_hz: int
    dtype: str
    plan: Plan


def summary_of(path: Path) -> CorpusSummary:
    """Measure all pieces of a corpus file and return its summary; RnnaudioError if it is not a usable corpus."""
    with open_checked(path) as file:
        try:
            pieces = tuple(measure(piece, int(file.attrs["sample_rate_hz"]))[1] for piece in file["pieces"].values())
        except OSError as error:
            raise RnnaudioError(f"{path} is damaged: a piece cannot be read; build it again") from error
        return CorpusSummary(
            Path(path), int(file.attrs["sample_rate_hz"]), text_of(file, "dtype"), float(file.attrs["mean"]),
            float(file.attrs["std"]), pieces, tuple(notes_of(file)), tuple(left_out_of(file)),
        )  # fmt: skip


def add_to_corpus(
    path: Path,
    sources: Sequence[Path | Recording],
    *,
    cleaning: Cleaning = USUAL_CLEANING,
    splitting: Splitting = USUAL_SPLITTING,
    strict: bool = False,
    out: Path | None = None,
    overwrite: bool = True,
    progress: bool = True,
) -> CorpusSummary:
    """Add recordings to the corpus at ``path``; returns the summary of the new corpus.

    out: path of the new corpus; None: the new corpus replaces the old one. overwrite: whether to replace an existing
    file at that path.

    Pieces already in the corpus keep their splits; new pieces are assigned so that the total durations approximate the
    fractions. A new piece with the same sound as an old one goes to the split of the old one. Files whose path is the
    source of a piece in the corpus are left out. Sample rate and dtype stay those of the corpus. Other arguments and
    errors are those of :func:`build_corpus`; also RnnaudioError if there is nothing to add.
    """
    with owned_file(path), _opened(path) as earlier:
        check_settings(earlier.dtype, splitting)
        new = plan_of(sources, splitting)
        known = {Path(recording.source).resolve(): recording.title for recording in earlier.plan.recordings}
        recordings, left_out = [], []
        for one in new.recordings:
            title = known.get(one.load.resolve()) if isinstance(one.load, Path) else None
            if title is None:
                recordings.append(one)
            else:
                left_out.append(LeftOut(one.source, f"{IN_THE_CORPUS}, as {title!r}", False))
        if not recordings:
            raise RnnaudioError(
                f"{path}: nothing to add, what was found ({len(new.recordings)}) is in it; to read one of them again, "
                "remove it first ('rnnaudio corpus remove')"
            )
        plan = _joined(earlier.plan, Plan(recordings, [*new.left_out, *left_out]))
        return write_corpus(
            plan, Path(out or path), sample_rate_hz=earlier.sample_rate_hz, dtype=earlier.dtype, cleaning=cleaning,
            splitting=splitting, strict=strict, overwrite=overwrite, progress=progress,
        )  # fmt: skip


def remove_from_corpus(
    path: Path, patterns: Sequence[str], *, out: Path | None = None, overwrite: bool = True, progress: bool = True
) -> CorpusSummary:
    """Remove the pieces whose titles match a pattern (``*``, ``?``, ``[abc]``); returns the summary of the others.

    ``out`` and ``overwrite`` are those of :func:`add_to_corpus`. A pattern that equals a title matches it, too, even
    if it contains ``*``, ``?`` or ``[``. Case matters. RnnaudioError if ``patterns`` is empty, if a pattern matches no
    title, or if a split would be empty.
    """
    with owned_file(path), _opened(path) as earlier:
        recordings = earlier.plan.recordings
        titles = list(dict.fromkeys(recording.title for recording in recordings))
        for pattern in patterns:
            if not any(_matches(title, pattern) for title in titles):
                raise RnnaudioError(f"{path}: no piece is called {pattern!r}; {_nearest(pattern, titles, path)}")
        kept = [one for one in recordings if not any(_matches(one.title, pattern) for pattern in patterns)]
        if len(kept) == len(recordings):
            raise RnnaudioError("which pieces? Give titles, or patterns such as 'live*'")
        empty = [split for split in SPLITS if not any(one.split == split for one in kept)]
        if empty:
            raise RnnaudioError(
                f"{path}: no piece would be left in {' and '.join(empty)}: add other recordings to it first "
                f"('rnnaudio corpus add'), or remove fewer"
            )
        notes = [_without_gone(note, recordings, kept) for note in earlier.plan.notes]
        plan = earlier.plan._replace(recordings=kept, notes=list(filter(None, notes)))
        return _rewritten(plan, Path(out or path), earlier, progress, overwrite)


def _without_gone(note: str, before: Sequence[Recording], kept: Sequence[Recording]) -> str:
    """Return a note as it reads after the removal of pieces; empty if it no longer applies.

    A note on a single piece no longer applies if the piece was removed. A note that names pieces with the same sound
    is rewritten to name those that are left, if there are two or more. before, kept: recordings before and after the
    removal.
    """
    titles = {one.title for one in before} - {one.title for one in kept}
    if note.startswith(tuple(f"{title!r}: " for title in titles)):
        return ""
    names, is_same, _ = note.partition(SAME_NOTE)
    if not is_same:
        return note
    left = [(name, one) for one in kept if (name := _named(one, names))]
    return same_note([name for name, _ in left], [str(one.split) for _, one in left]) if len(left) > 1 else ""


def _named(recording: Recording, names: str) -> str:
    """Return the name that ``names`` uses for a recording: its source, or the file name at the end of its source.

    names: names separated by commas. The result is empty if the recording is not among them.
    """
    for name in (recording.source, Path(recording.source).name):
        if name and f", {name}, " in f", {names}, ":
            return name
    return ""


def merge_corpora(
    out: Path,
    paths: Sequence[Path],
    *,
    sample_rate_hz: int | None = None,
    overwrite: bool = True,
    progress: bool = True,
) -> CorpusSummary:
    """Write the pieces of several corpora to ``out``; returns the summary. Each piece keeps its split.

    sample_rate_hz: sample rate of the result; None: the rate of the first corpus. Pieces of corpora with another rate
    are resampled; the samples of all others stay the same. The result is float32 if any of the corpora is, else int16.
    ``out`` may be one of ``paths``. overwrite: whether to replace an earlier file at ``out``. RnnaudioError for fewer
    than two corpora, or a corpus that is given twice; other errors are those of :func:`build_corpus`.
    """
    if len(paths) < 2 or len({Path(path).resolve() for path in paths}) < len(paths):
        raise RnnaudioError(f"got {', '.join(map(str, paths)) or 'no corpus'}; expected two or more different corpora")
    with owned_file(Path(out)), ExitStack() as stack:
        earlier = [stack.enter_context(_opened(path)) for path in paths]
        plan = _joined(*(one.plan for one in earlier))
        dtype = "float32" if any(one.dtype == "float32" for one in earlier) else "int16"
        first = earlier[0]._replace(sample_rate_hz=sample_rate_hz or earlier[0].sample_rate_hz, dtype=dtype)
        return _rewritten(plan, Path(out), first, progress, overwrite)


def _rewritten(plan: Plan, out: Path, like: _Earlier, progress: bool, overwrite: bool = True) -> CorpusSummary:
    """Write pieces of earlier corpora to ``out``, without cleaning; returns the summary.

    like: sets the sample rate and the sample format of the new corpus.
    """
    return write_corpus(
        plan, out, sample_rate_hz=like.sample_rate_hz, dtype=like.dtype, cleaning=AS_IT_IS, overwrite=overwrite,
        progress=progress,
    )  # fmt: skip


@contextmanager
def _opened(path: Path) -> Iterator[_Earlier]:
    """Context manager that yields an open corpus as a source of pieces; its file is open while the block runs."""
    with open_checked(path) as file:
        rate_hz, origin = int(file.attrs["sample_rate_hz"]), str(Path(path).resolve())
        verification = Verification(Path(path), file)
        recordings = [_recording(piece, rate_hz, verification, origin) for piece in file["pieces"].values()]
        notes = [note for note in notes_of(file) if not is_of_the_whole(note)]
        left_out = left_out_of(file)
        yield _Earlier(rate_hz, text_of(file, "dtype"), Plan(recordings, (), notes, left_out))


def _recording(piece: h5py.Dataset, rate_hz: int, verification: Verification, origin: str) -> Recording:
    texts = {name: text_of(piece, name) for name in ("title", "source", "licence", "split")}
    return Recording(**texts, load=_loader(piece, rate_hz, verification), origin=origin, seconds=len(piece) / rate_hz)


def _loader(piece: h5py.Dataset, rate_hz: int, verification: Verification) -> Callable[[], tuple[Audio, int]]:
    def load() -> tuple[Audio, int]:
        verification.require(piece)
        # Whole numbers of 16 bits, divided by a power of two, are exact in float32.
        return np.multiply(piece[:], np.float32(SAMPLE_SCALE[piece.dtype.name]), dtype=np.float32), rate_hz

    return load


def _joined(*plans: Plan) -> Plan:
    """Join plans into one; equal notes are kept once.

    Files that were left out of an earlier corpus are dropped from ``left_out_earlier`` if they are recordings now.
    """
    recordings = [recording for plan in plans for recording in plan.recordings]
    present = {recording.source for recording in recordings}
    left_out = [one for plan in plans for one in plan.left_out]
    notes = dict.fromkeys(note for plan in plans for note in plan.notes)
    earlier = dict.fromkeys(one for plan in plans for one in plan.left_out_earlier if one.name not in present)
    return Plan(recordings, left_out, list(notes), [one for one in earlier if one not in left_out])


def _matches(title: str, pattern: str) -> bool:
    return title == pattern or fnmatch.fnmatchcase(title, pattern)


def _nearest(pattern: str, titles: Sequence[str], path: Path) -> str:
    hint = nearest(pattern, titles)
    many = not hint.startswith("did you mean") and len(titles) > MOST_NAMES
    return f"`rnnaudio corpus list {in_shell(path)}` names all {len(titles)}" if many else hint
