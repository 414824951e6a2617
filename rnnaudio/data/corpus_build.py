"""Corpus builder: write recordings to one HDF5 file, with checksums, one piece at a time.

The steps: find, decode, clean and write each recording; assign the splits; join short pieces; measure the pieces.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

import rnnaudio
from rnnaudio.atomic import replacing
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.cleaning import SILENT, Cleaning, cleaned
from rnnaudio.audio.files import Decoder, check_audio, resample, to_int16
from rnnaudio.corpus_file.layout import RATES_HZ, SAMPLE_SCALE, SPLITS
from rnnaudio.data.corpus_arrange import Written, join_short_pieces, set_splits, write_piece
from rnnaudio.data.corpus_format import remember_own
from rnnaudio.data.corpus_partial import Kept, PartialFile, Setting
from rnnaudio.data.corpus_splits import Splitting
from rnnaudio.data.corpus_summary import CorpusSummary, notes_on, on_unchecked
from rnnaudio.data.corpus_write import measure_pieces, new_hdf5, write_attributes
from rnnaudio.data.disk_space import n_bytes, require_space
from rnnaudio.data.likeness import print_of
from rnnaudio.data.sources import SAME_FILE, LeftOut, as_lines, find_audio
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owned_file
from rnnaudio.progress import bar
from rnnaudio.text import visible

MIN_SECONDS = 0.1
USUAL_CLEANING, USUAL_SPLITTING = Cleaning(), Splitting()
BAR = "{desc} |{bar}| {percentage:3.0f}% [{elapsed}<{remaining}]"


@dataclass(frozen=True)
class Recording:
    """A recording to be stored in a corpus.

    `title`, `source` and `licence` are texts that are stored with it; `source` tells the origin, for example a path or
    a URL, and is not opened. `load` is the path of an audio file, or a function that returns ((n_samples,) audio on
    the scale -1 to 1, sample rate in Hz). `split` is train, valid or test; None leaves the choice to `build_corpus`.
    `origin` is the path of the corpus that the recording is a piece of, if any; such a recording is neither cleaned
    nor joined, however short. `seconds` is the length of the recording if it is known before loading, else 0; the disk
    space needed is estimated from it.
    """

    title: str
    source: str
    licence: str
    split: str | None
    load: Path | Callable[[], tuple[Audio, int]]
    origin: str = ""
    seconds: float = 0.0


class Plan(NamedTuple):
    """The contents of a corpus to be built.

    recordings
        the recordings, in the order in which they are written.
    left_out
        files and folders found among the sources, but not used.
    notes, left_out_earlier
        notes, and files and folders left out, that are stored in the corpora from which recordings are taken.
    """

    recordings: list[Recording]
    left_out: Sequence[LeftOut] = ()
    notes: Sequence[str] = ()
    left_out_earlier: Sequence[LeftOut] = ()


def build_corpus(
    sources: Sequence[Path | Recording],
    out: Path,
    *,
    sample_rate_hz: int = 16_000,
    dtype: str = "int16",
    cleaning: Cleaning = USUAL_CLEANING,
    splitting: Splitting = USUAL_SPLITTING,
    strict: bool = False,
    overwrite: bool = True,
    progress: bool = True,
) -> CorpusSummary:
    """Write a corpus file and return its summary; memory use is bounded by the longest piece.

    Args:
        sources: files, folders (searched recursively, see `find_audio`) and Recordings.
        out: the HDF5 file; it appears, or replaces an earlier one, only when complete.
        sample_rate_hz: sample rate of the corpus; every piece is resampled to it.
        dtype: sample format in the file, "int16" or "float32".
        cleaning: how recordings are trimmed, scaled and joined.
        splitting: how pieces are assigned to train, valid and test. If no piece has a given split and there are fewer
            than three pieces (the same sound counts once), each piece is cut in time into the three splits.
        strict: whether to raise RnnaudioError if any file cannot be used; the message names all such files.
        overwrite: whether to replace an earlier file at `out`.
        progress: whether to show a progress bar (on a terminal only).

    A file that cannot be used (not readable, truncated, silent, shorter than 0.1 s) is left out; the summary, and the
    attribute `left_out` of the file, name it with the reason.

    If the build is broken off (Ctrl-C, an error, a killed process), `out`.pieces.part beside `out` keeps the pieces
    decoded until then. A later build with the same settings does not decode them again, unless the path, size or
    modification time of their files differs.

    Raises RnnaudioError for invalid settings, a missing source, a Recording whose function fails, no usable audio, an
    empty split, a constant training signal, too little disk space (checked before decoding), missing permission, or a
    corpus that another process is writing (see `rnnaudio.lock`). An earlier file at `out` is then left unchanged, also
    after Ctrl-C.
    """
    check_settings(dtype, splitting)
    return write_corpus(
        plan_of(sources, splitting), Path(out), sample_rate_hz=sample_rate_hz, dtype=dtype, cleaning=cleaning,
        splitting=splitting, strict=strict, overwrite=overwrite, progress=progress,
    )  # fmt: skip


def write_corpus(
    plan: Plan,
    out: Path,
    *,
    sample_rate_hz: int,
    dtype: str,
    cleaning: Cleaning = USUAL_CLEANING,
    splitting: Splitting = USUAL_SPLITTING,
    strict: bool = False,
    overwrite: bool = True,
    progress: bool = True,
) -> CorpusSummary:
    """Write the corpus of a plan; arguments, result and errors are those of :func:`build_corpus`."""
    _check_rate(sample_rate_hz)
    # What the samples of a piece depend on: where and how it is joined to others is decided later.
    settings: dict[str, Setting] = {"rnnaudio": rnnaudio.__version__, "sample_rate_hz": sample_rate_hz, "dtype": dtype}
    settings |= {name: value for name, value in vars(cleaning).items() if name != "join_seconds"}
    partial = PartialFile(out, settings)
    with (
        _owned(out, overwrite),
        partial.named_in_errors(),
        replacing(out) as temporary,
        partial.opened(),
        new_hdf5(temporary) as file,
    ):
        group = file.create_group("pieces")
        with Decoder() as decoder, _Decoding(plan.recordings, partial, shown=progress) as bar:
            _require_space(out, plan.recordings, decoder, partial, sample_rate_hz, dtype)
            stored = _Stored()
            for recording in plan.recordings:
                bar.done(stored.add(recording, group, decoder, partial, sample_rate_hz, dtype, cleaning))
        _check_left_out([*plan.left_out, *stored.left_out], plan, stored.written, splitting, strict)
        notes = [*plan.notes, *stored.notes, *set_splits(group, stored.written, splitting, sample_rate_hz)]
        n_earlier = sum(bool(one.origin) for one in stored.written)
        notes += join_short_pieces(group, n_earlier, cleaning.join_seconds, sample_rate_hz)
        moments, summaries = measure_pieces(group, sample_rate_hz)
        notes = list(dict.fromkeys(notes + notes_on(summaries)))
        left_out = [*plan.left_out_earlier, *plan.left_out, *stored.left_out]
        std = write_attributes(file, moments, left_out, notes, {"sample_rate_hz": sample_rate_hz, "dtype": dtype})
        check_free(out, overwrite)  # another program may have written it meanwhile
    notes += partial.all_notes()
    return CorpusSummary(
        out, sample_rate_hz, dtype, moments.mean, std, tuple(summaries), tuple(notes), tuple(left_out),
        n_left_out_earlier=len(plan.left_out_earlier),
        unchecked=on_unchecked([one.file for one in stored.written if one.file and not one.origin]),
    )  # fmt: skip


class _Faulty(Exception):
    """Error for a recording that cannot be used; the message gives the reason."""


def check_settings(dtype: str, splitting: Splitting) -> None:
    """Raise RnnaudioError if ``dtype`` is not int16 or float32, or :meth:`Splitting.check` rejects ``splitting``."""
    if dtype not in SAMPLE_SCALE:
        raise RnnaudioError(f"dtype: got {dtype!r}, expected 'int16' or 'float32'")
    splitting.check()


def _check_rate(sample_rate_hz: int) -> None:
    if not RATES_HZ[0] <= sample_rate_hz <= RATES_HZ[1]:
        raise RnnaudioError(
            f"sample rate: got {sample_rate_hz}, expected a whole number of Hz from {RATES_HZ[0]} to {RATES_HZ[1]}, "
            "such as 16000"
        )


def plan_of(sources: Sequence[Path | Recording], splitting: Splitting) -> Plan:
    """Make a plan from the sources and from the files that ``splitting`` names for validation and test.

    Folders are searched (:func:`find_audio`); each file becomes one Recording. RnnaudioError for a Recording with an
    unknown split, a path without audio, or a file that is named for both validation and test.
    """
    recordings = [source for source in sources if isinstance(source, Recording)]
    wrong = {recording.split for recording in recordings} - {None, *SPLITS}
    if wrong:
        raise RnnaudioError(f"split: got {wrong.pop()!r}, expected one of {', '.join(SPLITS)} or None")
    split_of: dict[Path, str] = {}
    named = splitting.named()
    for split, paths in named.items():
        for path in _named_files(split, paths):
            if split_of.setdefault(path.resolve(), split) != split:
                raise RnnaudioError(f"{visible(path)} is named by --valid and by --test: name it for one of the two")
    found = find_audio([*named["valid"], *named["test"], *(Path(s) for s in sources if not isinstance(s, Recording))])
    for path in sorted(found.files, key=found.files.index if not split_of else str):
        own = split_of.get(path.resolve())
        recordings.append(Recording(visible(path.stem), visible(path), "not stated", own, path))
    # A file that is named for a split is usually in one of the folders, too.
    return Plan(recordings, [one for one in found.left_out if one.reason != f"{SAME_FILE} as {one.name}"])


def _named_files(split: str, paths: Sequence[Path]) -> list[Path]:
    """List the audio files in ``paths``, the files and folders that the user has named for a split.

    RnnaudioError, naming the path, if a path does not exist or holds no audio.
    """
    files: list[Path] = []
    for path in paths:
        try:
            found = find_audio([path])
        except RnnaudioError as error:
            raise RnnaudioError(f"--{split}: {error}") from error
        if not found.files:
            raise RnnaudioError(f"--{split}: no audio in {visible(path)} ({'; '.join(as_lines(found.left_out))})")
        files += found.files
    return files


def _check_left_out(
    left_out: Sequence[LeftOut], plan: Plan, written: Sequence[Written], splitting: Splitting, strict: bool
) -> None:
    """Raise RnnaudioError if too much is left out of a corpus.

    Too much is: any file that cannot be used, if ``strict`` is True; all recordings, or all new ones; or all files
    that the user has named for one split. left_out: files and folders left out in this build. written: properties of
    the pieces written.
    """
    faults = [one for one in left_out if one.is_fault] if strict else []
    if faults:
        names = "; ".join(as_lines(faults))
        raise RnnaudioError(f"{len(faults)} files cannot be used (--strict); nothing was written: {names}")
    adds = any(not recording.origin for recording in plan.recordings)
    if not written or (adds and all(one.origin for one in written)):
        reasons = "; ".join(as_lines(left_out))
        raise RnnaudioError("no usable audio: " + (reasons or "no sources were given"))
    for split, paths in splitting.named().items():
        new = [one for one in plan.recordings if one.split == split and not one.origin]
        if paths and new and not any(one.split == split and not one.origin for one in written):
            own = {recording.source for recording in new}
            reasons = "; ".join(as_lines(one for one in left_out if one.name in own))
            raise RnnaudioError(f"--{split}: none of these files can be used: {reasons}; name others")


# ---------------------------------------------------------------- a piece


@dataclass
class _Stored:
    """State of a build: the pieces written so far, in order, the recordings left out, and notes on the pieces."""

    written: list[Written] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        recording: Recording,
        group: h5py.Group,
        decoder: Decoder,
        partial: PartialFile,
        sample_rate_hz: int,
        dtype: str,
        cleaning: Cleaning,
    ) -> float:
        """Write a recording to the ``group`` of pieces; returns its length there in seconds.

        If it cannot be used, it is added to ``left_out`` and the length is 0. partial: keeps the decoded piece for a
        later build. sample_rate_hz, dtype: of the corpus.
        """
        try:
            piece = _piece(recording, decoder, partial, sample_rate_hz, dtype, cleaning)
        except _Faulty as fault:
            self.left_out.append(LeftOut(recording.source, str(fault)))
            return 0.0
        self.notes += [f"{recording.title!r}: {note}" for note in piece.notes]
        texts = {"title": recording.title, "source": recording.source, "licence": recording.licence}
        write_piece(group, piece.samples, sample_rate_hz, texts | {"split": recording.split or ""})
        self.written.append(Written(_file_of(recording), recording.split, piece.print, recording.origin))
        return piece.samples.size / sample_rate_hz


def _require_space(
    out: Path,
    recordings: Sequence[Recording],
    decoder: Decoder,
    partial: PartialFile,
    sample_rate_hz: int,
    dtype: str,
) -> None:
    """Raise RnnaudioError if the disk of ``out`` has too little room for the recordings, by their stated lengths."""
    to_decode = [r.load for r in recordings if isinstance(r.load, Path) and not partial.holds(r.load)]
    kept_seconds = partial.seconds(sample_rate_hz) + sum(recording.seconds for recording in recordings)
    require_space(out, to_decode, kept_seconds, decoder.stated_seconds, sample_rate_hz, dtype)


def _piece(
    recording: Recording, decoder: Decoder, partial: PartialFile, sample_rate_hz: int, dtype: str, cleaning: Cleaning
) -> Kept:
    """Load and clean a recording, or take it from ``partial`` if an earlier build has done so; returns the piece.

    _Faulty if it cannot be used. sample_rate_hz, dtype: of the corpus.
    """

    def made() -> Kept:
        audio, notes = _prepared(recording, decoder, sample_rate_hz, cleaning)
        kept_print = print_of(audio, sample_rate_hz)  # first, while the samples are in memory once
        return Kept(to_int16(audio) if dtype == "int16" else audio, kept_print, notes)

    return partial.piece(recording.load, made) if isinstance(recording.load, Path) else made()


def _file_of(recording: Recording) -> Path | None:
    """Return the file that a recording is read from; None if there is none.

    For a piece of an earlier corpus, it is the file that is the source of the piece, if it exists.
    """
    if isinstance(recording.load, Path):
        return recording.load
    source = Path(recording.source)
    return source if recording.origin and source.is_file() else None


def _prepared(
    recording: Recording, decoder: Decoder, sample_rate_hz: int, cleaning: Cleaning
) -> tuple[Audio, list[str]]:
    """Load and clean a recording; returns (audio at the rate of the corpus, notes). _Faulty if it cannot be used."""
    if isinstance(recording.load, Path):
        try:
            decoded = decoder.decode(recording.load, sample_rate_hz)
        except RnnaudioError as error:
            raise _Faulty(str(error).removeprefix(f"{recording.load.absolute()}: ")) from error
        if decoded.truncated and not cleaning.keep_truncated:
            raise _Faulty(f"truncated: {decoded.truncated}; copy it again, or use what there is with --keep-truncated")
        audio, notes = decoded.audio, list(decoded.notes)
        if decoded.truncated:
            notes.append(f"truncated: {decoded.truncated}")
    else:
        audio, notes = _loaded(recording, sample_rate_hz), []
    if recording.origin:
        return audio, notes
    audio, of_cleaning = cleaned(audio, sample_rate_hz, cleaning, of_file=isinstance(recording.load, Path))
    if not audio.size:
        raise _Faulty(SILENT)
    if audio.size < MIN_SECONDS * sample_rate_hz:
        raise _Faulty(f"shorter than {MIN_SECONDS:g} s")
    return audio, notes + of_cleaning


def _loaded(recording: Recording, sample_rate_hz: int) -> Audio:
    """Load a recording by its function; returns its audio, resampled to the rate of the corpus.

    RnnaudioError if the function raises OSError, or if what it returns is not valid audio.
    """
    assert not isinstance(recording.load, Path)
    try:
        audio, rate_hz = recording.load()
    except OSError as error:
        raise RnnaudioError(f"{recording.title!r} cannot be loaded: {error}") from error
    audio = check_audio(audio, repr(recording.title))
    if recording.origin and rate_hz == sample_rate_hz:
        return audio
    return np.clip(audio if rate_hz == sample_rate_hz else resample(audio, rate_hz, sample_rate_hz), -1.0, 1.0)


class _Decoding:
    """Progress bar of a build: number of pieces and minutes of sound written so far, and the time left.

    The time left is estimated from the sizes in bytes of the files still to be decoded; a piece that an earlier build
    has decoded counts as 0 bytes.
    """

    def __init__(self, recordings: Sequence[Recording], partial: PartialFile, *, shown: bool) -> None:
        weights = [
            n_bytes(r.load) if isinstance(r.load, Path) and not partial.holds(r.load) else 0 for r in recordings
        ]
        self._weights = iter(weights if any(weights) else [1] * len(recordings))
        self._n_pieces, self._n_done, self._seconds = len(recordings), 0, 0.0
        total = sum(weights) or len(recordings)
        self._bar = bar(total=total, bar_format=BAR, leave=True, disable=not shown)

    def __enter__(self) -> "_Decoding":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def done(self, seconds: float) -> None:
        """Count the next recording as done; ``seconds``: its length in the corpus, 0 if it was left out."""
        self._n_done += 1
        self._seconds += seconds
        text = f"{self._n_done} of {self._n_pieces} pieces, {self._seconds / 60.0:.1f} min of sound"
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(next(self._weights))


# ---------------------------------------------------------------- the file


@contextmanager
def _owned(out: Path, overwrite: bool) -> Iterator[None]:
    """Context manager that keeps other processes from writing the corpus ``out`` while the block runs.

    After the block the corpus is recorded as checked (:func:`remember_own`). RnnaudioError if ``out`` exists and
    ``overwrite`` is False, and the errors of :func:`rnnaudio.lock.owned_file`.
    """
    with owned_file(out):
        check_free(out, overwrite)
        yield
        with suppress(OSError):  # moved by another program: it is checked when it is opened
            remember_own(out)


def check_free(out: Path, overwrite: bool) -> None:
    """Raise RnnaudioError if ``out`` exists and ``overwrite`` is False."""
    if out.exists() and not overwrite:
        raise RnnaudioError(f"{visible(out)} exists: choose another name, or replace it with --overwrite")
