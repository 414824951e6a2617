"""Corpus builder: write recordings to one HDF5 file, with checksums, a piece at a time.

The steps: find, decode, clean and write each recording; assign the splits; join short pieces; measure the pieces.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from tqdm import tqdm

from rnnaudio.atomic import replacing
from rnnaudio.audio.arrays import Array, Audio
from rnnaudio.audio.cleaning import Cleaning, cleaned
from rnnaudio.audio.files import Decoder, check_audio, resample, to_int16
from rnnaudio.data import corpus_splits
from rnnaudio.data.corpus_format import FORMAT, SAMPLE_SCALE, SPLITS, VERSION, sha256_of
from rnnaudio.data.corpus_splits import Splitting
from rnnaudio.data.corpus_summary import CorpusSummary, Moments, PieceSummary, measure, notes_on
from rnnaudio.data.likeness import Print, alike, print_of
from rnnaudio.data.sources import LeftOut, as_lines, find_audio, printable
from rnnaudio.errors import RnnaudioError

MIN_SECONDS = 0.1
GAP_SECONDS = 0.25  # of silence between short pieces that are joined
JOINED_SECONDS = 60.0  # length at which another joined piece begins
USUAL_CLEANING, USUAL_SPLITTING = Cleaning(), Splitting()
MOST_NOTE_BYTES = 40_000  # HDF5 keeps attributes up to 64 KiB


@dataclass(frozen=True)
class Recording:
    """A recording to be stored in a corpus.

    `load` is the path of an audio file, or a function that returns ((n_samples,) audio on the scale -1 to 1, sample
    rate in Hz). `split` is train, valid or test; None leaves the choice to `build_corpus`.
    """

    title: str
    source: str
    licence: str
    split: str | None
    load: Path | Callable[[], tuple[Audio, int]]


def build_corpus(
    sources: Sequence[Path | Recording],
    out: Path,
    *,
    sample_rate_hz: int = 16_000,
    dtype: str = "int16",
    cleaning: Cleaning = USUAL_CLEANING,
    splitting: Splitting = USUAL_SPLITTING,
    strict: bool = False,
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
        strict: whether to raise RnnaudioError, naming all of them, if any files cannot be used.
        progress: whether to show a progress bar (on a terminal only).

    A file that cannot be used (not readable, truncated, silent, shorter than 0.1 s) is left out; the summary, and the
    attribute `left_out` of the file, name it with the reason.

    Raises RnnaudioError for invalid settings, a missing source, a Recording whose function fails, no usable audio, an
    empty split, a constant training signal, no space or no permission. An earlier file at `out` is then left
    unchanged, also after Ctrl-C.
    """
    _check_settings(dtype, splitting)
    recordings, left_out = _gather(sources, splitting)
    with replacing(Path(out)) as temporary, _new_hdf5(temporary) as file:
        group = file.create_group("pieces")
        written, notes = [], []
        with Decoder() as decoder:
            for recording in tqdm(recordings, unit="piece", disable=None if progress else True):
                try:
                    audio, of_piece = _prepared(recording, decoder, sample_rate_hz, cleaning)
                except _Faulty as fault:
                    left_out.append(LeftOut(recording.source, str(fault)))
                    continue
                notes += [f"{recording.title!r}: {note}" for note in of_piece]
                written.append(_written(group, recording, audio, sample_rate_hz, dtype, splitting))
        _check_left_out(left_out, bool(written), strict)
        notes += _set_splits(group, written, splitting, sample_rate_hz)
        notes += _join_short_pieces(group, cleaning.join_seconds, sample_rate_hz)
        moments, summaries = _measure_pieces(group, sample_rate_hz)
        std = (moments.squares / moments.n) ** 0.5
        if std == 0.0:
            raise RnnaudioError("the training pieces are constant (standard deviation 0): add pieces with sound")
        notes += notes_on(summaries)
        file.attrs.update(
            format=FORMAT, version=VERSION, sample_rate_hz=sample_rate_hz, dtype=dtype, mean=moments.mean, std=std,
            left_out=_as_attribute(as_lines(left_out)), notes=_as_attribute(notes),
        )  # fmt: skip
    return CorpusSummary(
        Path(out), sample_rate_hz, dtype, moments.mean, std, tuple(summaries), tuple(notes), tuple(left_out)
    )


class _Faulty(Exception):
    """Error for a recording that cannot be used; the message gives the reason."""


class _Written(NamedTuple):
    """A piece that is already written, with the properties by which it is assigned to a split."""

    key: str  # of its group
    split: str | None  # as given
    print: Print


def _check_settings(dtype: str, splitting: Splitting) -> None:
    if dtype not in SAMPLE_SCALE:
        raise RnnaudioError(f"dtype: got {dtype!r}, expected 'int16' or 'float32'")
    splitting.check()


def _gather(sources: Sequence[Path | Recording], splitting: Splitting) -> tuple[list[Recording], list[LeftOut]]:
    """Convert the sources to Recordings, each file once; returns (Recordings, what is left out)."""
    recordings = [source for source in sources if isinstance(source, Recording)]
    wrong = {recording.split for recording in recordings} - {None, *SPLITS}
    if wrong:
        raise RnnaudioError(f"split: got {wrong.pop()!r}, expected one of {', '.join(SPLITS)} or None")
    named = {
        split: [Path(p) for p in paths] for split, paths in (("valid", splitting.valid), ("test", splitting.test))
    }
    found = find_audio([*named["valid"], *named["test"], *(Path(s) for s in sources if not isinstance(s, Recording))])
    split_of = {path.resolve(): split for split in named for path in find_audio(named[split]).files}
    for path in sorted(found.files, key=found.files.index if not split_of else str):
        split = split_of.get(path.resolve())
        recordings.append(Recording(printable(path.stem), printable(path), "not stated", split, path))
    return recordings, list(found.left_out)


def _check_left_out(left_out: list[LeftOut], has_pieces: bool, strict: bool) -> None:
    faults = [one for one in left_out if one.is_fault]
    if strict and faults:
        lines = "\n  ".join(as_lines(faults))
        raise RnnaudioError(f"{len(faults)} files cannot be used (--strict); nothing was written:\n  {lines}")
    if not has_pieces:
        raise RnnaudioError("no usable audio: " + ("; ".join(as_lines(left_out)) or "no sources were given"))


def _as_attribute(lines: Sequence[str]) -> str:
    """The lines as a JSON list, cut to the size that an HDF5 attribute can hold."""
    kept, n_bytes = [], 0
    for k, line in enumerate(lines):
        n_bytes += len(json.dumps(line)) + 2
        if n_bytes > MOST_NOTE_BYTES:
            kept.append(f"... and {len(lines) - k} more")
            break
        kept.append(line)
    return json.dumps(kept)


# ---------------------------------------------------------------- a piece


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
    audio, of_cleaning = cleaned(audio, sample_rate_hz, cleaning, of_file=isinstance(recording.load, Path))
    if not audio.size:
        raise _Faulty(cleaning.silence)
    if audio.size < MIN_SECONDS * sample_rate_hz:
        raise _Faulty(f"shorter than {MIN_SECONDS:g} s")
    return audio, notes + of_cleaning


def _loaded(recording: Recording, sample_rate_hz: int) -> Audio:
    """Load a recording by its function; returns its audio, resampled to the rate of the corpus."""
    assert not isinstance(recording.load, Path)
    try:
        audio, rate_hz = recording.load()
    except OSError as error:
        raise RnnaudioError(f"{recording.title!r} cannot be loaded: {error}") from error
    audio = check_audio(audio, repr(recording.title))
    return np.clip(audio if rate_hz == sample_rate_hz else resample(audio, rate_hz, sample_rate_hz), -1.0, 1.0)


def _written(
    group: h5py.Group, recording: Recording, audio: Audio, sample_rate_hz: int, dtype: str, splitting: Splitting
) -> _Written:
    key = f"{len(group)}"  # a group of its own
    if isinstance(recording.load, Path):
        key = corpus_splits.key_of(recording.load, splitting.group)
    samples = to_int16(audio) if dtype == "int16" else audio
    texts = {"title": recording.title, "source": recording.source, "licence": recording.licence}
    _write_piece(group, samples, sample_rate_hz, texts | {"split": recording.split or ""})
    return _Written(key, recording.split, print_of(audio, sample_rate_hz))


def _write_piece(group: h5py.Group, samples: Array, sample_rate_hz: int, texts: dict[str, str]) -> None:
    dataset = group.create_dataset(
        f"{len(group):06d}",
        data=samples,
        chunks=(min(sample_rate_hz, samples.size),),
        maxshape=samples.shape,
        fletcher32=True,
    )
    dataset.attrs.update(texts)
    group.file.flush()


# ---------------------------------------------------------------- splits


def _set_splits(
    group: h5py.Group, written: Sequence[_Written], splitting: Splitting, sample_rate_hz: int
) -> list[str]:
    """Assign a split to every piece; returns notes for the summary."""
    pieces = list(group.values())
    n_samples, given = [len(piece) for piece in pieces], [one.split for one in written]
    same = [] if all(given) else alike([one.print for one in written])
    notes = _notes_on_same([Path(str(piece.attrs["source"])).name for piece in pieces], same)
    groups = corpus_splits.united([one.key for one in written], same)
    if not any(given):
        why = corpus_splits.uninformative(groups, n_samples)
        alone = corpus_splits.united([str(k) for k in range(len(pieces))], same)
        if why and groups != alone:
            notes.append(f"pieces were not kept together by {splitting.group}, for {why}")
            groups = alone
        if len(set(groups)) < len(SPLITS):
            return [*notes, _cut_all(group, splitting.fractions)]
    least = round(splitting.least_seconds * sample_rate_hz)
    splits = corpus_splits.assign_groups(n_samples, given, groups, splitting, least)
    for piece, split in zip(pieces, splits, strict=True):
        piece.attrs["split"] = split
    if len(set(groups)) < len(pieces):
        notes.append(f"{len(pieces)} pieces form {len(set(groups))} groups, each in one split")
    return notes


def _notes_on_same(names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    groups = corpus_splits.united([str(k) for k in range(len(names))], pairs)
    members = [[names[k] for k, own in enumerate(groups) if own == group] for group in range(len(set(groups)))]
    return [f"{', '.join(one)} are the same sound" for one in members if len(one) > 1]


def _cut_all(group: h5py.Group, fractions: tuple[float, float, float]) -> str:
    pieces = list(group.values())
    for piece in pieces:
        _cut_in_time(group, piece, fractions)
    return (
        f"only {len(pieces)} piece{'s' * (len(pieces) > 1)}: cut in time into train, valid and test, so these "
        "come from the same recording"
    )


def _cut_in_time(group: h5py.Group, piece: h5py.Dataset, fractions: tuple[float, float, float]) -> None:
    """Copy the last parts of a piece to new pieces for validation and test, and shorten the piece to the rest."""
    n_train, n_valid_end = (round(len(piece) * share) for share in np.cumsum(fractions)[:2])
    texts, title = dict(piece.attrs), piece.attrs["title"]
    for split, start, stop in (("valid", n_train, n_valid_end), ("test", n_valid_end, len(piece))):
        _write_piece(
            group, piece[start:stop], piece.chunks[0], texts | {"title": f"{title} ({split} part)", "split": split}
        )
    piece.resize((n_train,))
    piece.attrs.update(title=f"{title} (train part)", split="train")


def _join_short_pieces(group: h5py.Group, shorter_than: float, sample_rate_hz: int) -> list[str]:
    """Replace the pieces of each split below ``shorter_than`` seconds by joined pieces of about a minute.

    Returns notes for the summary. A quarter of a second of silence separates the parts of a joined piece.
    """
    notes, replaced = [], []
    for split in SPLITS:
        names = [
            n for n in group if group[n].attrs["split"] == split and len(group[n]) < shorter_than * sample_rate_hz
        ]
        if len(names) < 2:
            continue
        gap = np.zeros(round(GAP_SECONDS * sample_rate_hz), group[names[0]].dtype)
        parts: list[Array] = []
        n_joined = 0
        for name in [*names, None]:
            if name is None or sum(map(len, parts)) > JOINED_SECONDS * sample_rate_hz:
                n_joined += 1
                texts = {"title": f"short pieces ({split}, {n_joined})", "source": f"{len(parts) // 2} short files"}
                licences = {group[n].attrs["licence"] for n in names}
                texts |= {"licence": "; ".join(sorted(licences)), "split": split}
                _write_piece(group, np.concatenate(parts[:-1]), sample_rate_hz, texts)
                parts = []
            if name is not None:
                parts += [group[name][:], gap]
        seconds = sum(len(group[name]) for name in names) / sample_rate_hz
        replaced += names
        notes.append(
            f"{len(names)} pieces of {split} shorter than {shorter_than:g} s, {seconds:.1f} s in all, were joined "
            f"with {GAP_SECONDS:g} s of silence between them"
        )
    for name in replaced:  # last, for pieces are numbered by their count
        del group[name]
    return notes


# ---------------------------------------------------------------- the file


@contextmanager
def _new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Create an HDF5 file without a chunk cache, and close it at the end.

    If the disk is full, HDF5 fails to write cached chunks when it closes the file, and crashes the process. Without
    the cache, the write itself fails, with an OSError.
    """
    file = h5py.File(path, "w", rdcc_nbytes=0)
    try:
        yield file
        file.flush()
    except BaseException:
        with suppress(OSError, RuntimeError):  # an error while closing must not hide the first one
            file.close()
        raise
    file.close()


def _measure_pieces(group: h5py.Group, sample_rate_hz: int) -> tuple[Moments, list[PieceSummary]]:
    """Read back every piece and store its checksum; returns (moments of the training split, summary per piece)."""
    training = Moments(0, 0.0, 0.0)
    summaries = []
    for piece in group.values():
        piece.attrs["sha256"] = sha256_of(piece)
        moments, summary = measure(piece, sample_rate_hz)
        summaries.append(summary)
        if summary.split == "train":
            training = training.merged(moments)
    return training, summaries
